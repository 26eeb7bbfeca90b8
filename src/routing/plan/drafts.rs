//! Objects as a plan wants them: copies of what was read, and new ones. Called by the other parts of the
//! plan; at the end it gives the edits, and the snapshot as it would be after them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::domain::ids::{Kind, ObjectRef};
use crate::domain::istio::Meta;
use crate::domain::plan::{Edit, Plan};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::snapshot::Snapshot;

use super::super::{ChangeStamp, json, json_of};

/// One object that is (or may be) changed.
#[derive(Clone, Debug)]
pub struct Draft {
    pub before: Option<Arc<Value>>,
    /// `None` = it goes.
    pub after: Option<Value>,
}

/// All drafts of a plan.
#[derive(Clone, Debug, Default)]
pub struct Drafts {
    all: BTreeMap<ObjectRef, Draft>,
    /// DestinationRules that only lose subsets: written after the routes that named them.
    last: BTreeSet<ObjectRef>,
}

impl Drafts {
    /// The object to be changed, copied from the snapshot the first time.
    pub fn open(&mut self, snapshot: &Snapshot, at: &ObjectRef) -> Result<&mut Value, Refusal> {
        if !self.all.contains_key(at) {
            let json = find(snapshot, at).ok_or_else(|| unread(at))?;
            self.all.insert(at.clone(), Draft { after: Some((*json).clone()), before: Some(json) });
        }
        self.all.get_mut(at).and_then(|draft| draft.after.as_mut()).ok_or_else(|| unread(at))
    }

    /// Writes a DestinationRule after the routes.
    pub fn write_last(&mut self, at: &ObjectRef) {
        self.last.insert(at.clone());
    }

    /// True for an object that is written after the routes.
    pub fn is_last(&self, at: &ObjectRef) -> bool {
        self.last.contains(at)
    }

    /// True when the plan changes the object.
    pub fn changes(&self, at: &ObjectRef) -> bool {
        self.changed().any(|(other, _)| other == at)
    }

    /// The object as it stands in the plan so far.
    pub fn peek<'s>(&'s self, snapshot: &'s Snapshot, at: &ObjectRef) -> Option<&'s Value> {
        match self.all.get(at) {
            Some(draft) => draft.after.as_ref(),
            None => json_of(snapshot, at),
        }
    }

    /// Adds an object that will be created.
    pub fn create(&mut self, at: ObjectRef, after: Value) {
        self.all.insert(at, Draft { before: None, after: Some(after) });
    }

    /// Takes an object away that exists.
    pub fn remove(&mut self, snapshot: &Snapshot, at: &ObjectRef) -> Result<(), Refusal> {
        let json = find(snapshot, at).ok_or_else(|| unread(at))?;
        self.all.insert(at.clone(), Draft { before: Some(json), after: None });
        Ok(())
    }

    /// True when the object exists or will.
    pub fn holds(&self, snapshot: &Snapshot, at: &ObjectRef) -> bool {
        self.all.contains_key(at) || snapshot.taken.contains(at) || json_of(snapshot, at).is_some() || {
            let known = |kind: Kind| kind == at.kind;
            (known(Kind::VirtualService)
                && snapshot.virtual_services.iter().any(|held| held.object.at(at.kind) == *at))
                || (known(Kind::DestinationRule)
                    && snapshot.destination_rules.iter().any(|held| held.object.at(at.kind) == *at))
        }
    }

    /// The drafts that change something.
    pub fn changed(&self) -> impl Iterator<Item = (&ObjectRef, &Draft)> {
        self.all.iter().filter(|(_, draft)| draft.before.as_deref() != draft.after.as_ref())
    }

    /// The plan: DestinationRules first (last, where subsets go), each object with the change's name on it.
    pub fn plan(&self, change: &ChangeStamp, removes: bool) -> Plan {
        let mut adds = Vec::new();
        let mut switch = Vec::new();
        let mut last = Vec::new();
        for (at, draft) in self.changed() {
            let mut after = draft.after.clone();
            if let Some(after) = &mut after {
                json::stamp(after, change);
            }
            let edit = Edit { object: at.clone(), before: draft.before.clone(), after };
            // Subsets before the routes that name them: a route must never name what does not exist.
            match at.kind {
                // After the routes that named them.
                Kind::DestinationRule if removes || self.is_last(at) => last.push(edit),
                Kind::DestinationRule => adds.push(edit),
                Kind::VirtualService => switch.push(edit),
            }
        }
        Plan::new(adds, switch, last)
    }

    /// The snapshot as it would be after some of the plan's edits.
    pub fn applied(&self, snapshot: &Snapshot, of: impl Fn(&ObjectRef, &Draft) -> bool) -> Snapshot {
        let mut after = snapshot.clone();
        for (at, draft) in self.changed().filter(|(at, draft)| of(at, draft)) {
            place(&mut after, at, draft.after.clone());
        }
        after
    }
}

/// The snapshot as it will be once a plan is written, as far as routing is concerned.
pub fn applied(snapshot: &Snapshot, plan: &Plan) -> Snapshot {
    let mut after = snapshot.clone();
    for edit in plan.edits() {
        place(&mut after, &edit.object, edit.after.clone());
    }
    after
}

/// The service as it was when its routing objects had these specs and there were no others, seen with the versions
/// of today. Objects that are still there keep their age: of two for one host the older one acts.
pub fn with_specs(snapshot: &Snapshot, specs: &[(ObjectRef, Value)]) -> Snapshot {
    let mut then = Snapshot {
        virtual_services: Vec::new(),
        destination_rules: Vec::new(),
        taken: Vec::new(),
        ..snapshot.clone()
    };
    for (at, spec) in specs {
        let json = Arc::new(serde_json::json!({ "spec": spec }));
        match at.kind {
            Kind::VirtualService => {
                let now = snapshot.virtual_services.iter().find(|held| held.object.at(at.kind) == *at);
                let meta = json::new_meta(at, now.map_or(0, |held| held.object.meta.created_ms));
                then.virtual_services.push(json::held(json, meta));
            }
            Kind::DestinationRule => {
                let now = snapshot.destination_rules.iter().find(|held| held.object.at(at.kind) == *at);
                let meta = json::new_meta(at, now.map_or(0, |held| held.object.meta.created_ms));
                then.destination_rules.push(json::held(json, meta));
            }
        }
    }
    then
}

/// The snapshot with another spec of an object, or without the object.
pub fn with_spec(snapshot: &Snapshot, at: &ObjectRef, spec: Option<&Value>) -> Snapshot {
    let mut other = snapshot.clone();
    place(&mut other, at, spec.map(|spec| serde_json::json!({ "spec": spec })));
    other
}

/// A snapshot made from the watch cache with the specs that the history recorded of these objects: enough for a plan
/// that only says its effect. `None` where the spec of one of them is not recorded.
pub fn recorded(
    snapshot: &Snapshot,
    objects: &[ObjectRef],
    specs: &[(ObjectRef, Value)],
) -> Option<Snapshot> {
    let mut whole = snapshot.clone();
    for at in objects {
        let (_, spec) = specs.iter().find(|(object, _)| object == at)?;
        place(&mut whole, at, Some(serde_json::json!({ "spec": spec })));
    }
    Some(whole)
}

/// Puts an object into the snapshot, or takes it out.
fn place(snapshot: &mut Snapshot, at: &ObjectRef, json: Option<Value>) {
    match (at.kind, json.map(Arc::new)) {
        (Kind::VirtualService, Some(json)) => put(&mut snapshot.virtual_services, at, json),
        (Kind::DestinationRule, Some(json)) => put(&mut snapshot.destination_rules, at, json),
        (Kind::VirtualService, None) => {
            snapshot.virtual_services.retain(|held| held.object.at(at.kind) != *at);
        }
        (Kind::DestinationRule, None) => {
            snapshot.destination_rules.retain(|held| held.object.at(at.kind) != *at);
        }
    }
}

/// Replaces an object of a list by its name, or adds it.
pub fn put<T: serde::de::DeserializeOwned + Default>(
    list: &mut Vec<crate::domain::snapshot::Held<T>>,
    at: &ObjectRef,
    json: Arc<Value>,
) {
    match list.iter_mut().find(|held| held.object.at(at.kind) == *at) {
        Some(held) => {
            let meta: Meta = held.object.meta.clone();
            *held = json::held(json, meta);
        }
        None => list.push(json::held(json, json::new_meta(at, i64::MAX))),
    }
}

fn find(snapshot: &Snapshot, at: &ObjectRef) -> Option<Arc<Value>> {
    match at.kind {
        Kind::VirtualService => {
            snapshot.virtual_services.iter().find(|held| held.object.at(at.kind) == *at)?.json.clone()
        }
        Kind::DestinationRule => {
            snapshot.destination_rules.iter().find(|held| held.object.at(at.kind) == *at)?.json.clone()
        }
    }
}

/// A plan was asked for on a snapshot that was not read for a write: a fault of the caller.
fn unread(at: &ObjectRef) -> Refusal {
    Refusal::new(Code::Internal).arg("object", at)
}
