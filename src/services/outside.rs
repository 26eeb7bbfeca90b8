//! Edits from outside: detected, recorded with the field manager's name, never overwritten.
//!
//! What is known of a service is the fingerprint of its routing objects after the last recorded change
//! (in the store), or, before any, as they were first seen (in memory).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::cluster::{FIELD_MANAGER, Fate};
use crate::domain::actor::Channel;
use crate::domain::audit::{Action, Details, EditRecord, Ending, Intent, Outcome, Written};
use crate::domain::ids::{Kind, ObjectRef, Revision, ServiceRef};
use crate::domain::istio::Meta;
use crate::domain::overview::Happening;
use crate::domain::refusal::Refusal;
use crate::domain::routing::{Routing, Weights};
use crate::domain::snapshot::Snapshot;
use crate::routing;
use crate::store::{Revise, ServiceState};

use super::Services;
use super::once::unavailable;

/// What the objects of each service looked like when Sluice last had a good look.
#[derive(Default)]
pub(super) struct Known(Mutex<HashMap<ServiceRef, Seen>>);

#[derive(Clone)]
struct Seen {
    fingerprint: Box<str>,
    weights: Option<Weights>,
    /// The generation of each routing object, where it was read: tells later which of them was edited.
    generations: Vec<(ObjectRef, i64)>,
    /// The objects that the last recorded change wrote, at the version at which they were stored.
    written: Vec<(ObjectRef, String)>,
}

impl Known {
    /// Remembers a state of which only this much is known.
    pub fn learn(
        &self,
        at: &ServiceRef,
        fingerprint: &str,
        weights: Option<Weights>,
        written: Vec<(ObjectRef, String)>,
    ) {
        let seen = Seen { fingerprint: fingerprint.into(), weights, generations: Vec::new(), written };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(at.clone(), seen);
    }

    fn learn_from(&self, at: &ServiceRef, snapshot: &Snapshot, routing: &Routing) {
        let seen = Seen {
            fingerprint: routing.fingerprint.as_str().into(),
            weights: routing.declared(),
            generations: generations(snapshot, routing),
            written: self.written(at),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(at.clone(), seen);
    }

    /// Compares with what is remembered; a service that was never seen is remembered now and is known.
    fn is(&self, at: &ServiceRef, snapshot: &Snapshot, routing: &Routing) -> bool {
        let known = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(at)
            .map(|seen| seen.fingerprint.clone());
        let Some(known) = known else {
            self.learn_from(at, snapshot, routing);
            return true;
        };
        if *known == *routing.fingerprint {
            return true;
        }
        let same = routing::is_recorded(snapshot, routing, &known);
        if same {
            // From now on in the form of today, which shared objects do not move.
            self.learn_from(at, snapshot, routing);
        }
        same
    }

    fn seen(&self, at: &ServiceRef) -> Option<Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(at).cloned()
    }

    /// The generation of each routing object when they were last read, as far as it is known.
    pub fn generations(&self, at: &ServiceRef) -> Vec<(ObjectRef, i64)> {
        self.seen(at).map(|seen| seen.generations).unwrap_or_default()
    }

    /// The objects that the last recorded change wrote, at the version at which they were stored.
    pub fn written(&self, at: &ServiceRef) -> Vec<(ObjectRef, String)> {
        self.seen(at).map(|seen| seen.written).unwrap_or_default()
    }

    /// Forgets a service that is gone.
    pub fn forget(&self, at: &ServiceRef) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(at);
    }
}

impl Services {
    /// True when the routing is what was last recorded (or first seen).
    pub(super) async fn is_known(
        &self,
        at: &ServiceRef,
        snapshot: &Snapshot,
        routing: &Routing,
    ) -> Result<bool, Refusal> {
        match self.inner.store.revision(at).await.map_err(unavailable)? {
            Some(ServiceState { fingerprint: Some(known), .. }) => {
                let same = routing::is_recorded(snapshot, routing, &known);
                // What was recorded in the form before was compared when Sluice started.
                let seen = || self.inner.outside.seen(at).map(|seen| seen.fingerprint);
                let at_start =
                    routing::is_of_before(&known) && seen().is_some_and(|seen| *seen == *routing.fingerprint);
                Ok(same || at_start)
            }
            _ => Ok(self.inner.outside.is(at, snapshot, routing)),
        }
    }

    /// Starts from what the store knows: called once, before anything else is compared.
    pub(super) async fn learn_from_history(&self) -> Result<(), Refusal> {
        for (at, state) in self.inner.store.states().await.map_err(unavailable)? {
            if let Some(fingerprint) = state.fingerprint {
                self.inner.outside.learn(&at, &fingerprint, state.weights, Vec::new());
            }
        }
        Ok(())
    }

    /// Compares the cached state of a service with what is known; on a difference reads freshly under the
    /// lock and records it. Cheap when nothing differs.
    pub(super) async fn notice_outside_edit(&self, at: &ServiceRef) -> Result<(), Refusal> {
        let Some(snapshot) = self.inner.cache.snapshot(at) else {
            self.inner.outside.forget(at);
            return Ok(());
        };
        let routing = self.inner.routings.glance(&snapshot);
        if self.inner.outside.is(at, &snapshot, &routing) {
            return Ok(());
        }
        self.look(at, false).await.map(|_| ())
    }

    /// Records an outside edit if there is one; the caller holds the service's lock and has just read
    /// the snapshot. Returns the new revision.
    pub(super) async fn record_if_outside(
        &self,
        at: &ServiceRef,
        snapshot: &Snapshot,
        routing: &Routing,
    ) -> Result<Option<Revision>, Refusal> {
        if self.is_known(at, snapshot, routing).await? {
            self.inner.outside.learn_from(at, snapshot, routing);
            return Ok(None);
        }
        if self.is_cut_off(at).await? {
            return Ok(None);
        }
        let last = self.revision_of(at).await?;
        let recorded = self.inner.store.specs_at(at, last).await.map_err(unavailable)?;
        let known = self.inner.outside.seen(at);
        // Without a recorded spec it is the generation that tells which object was edited.
        let untouched = |object: &ObjectRef| {
            let now = generations(snapshot, routing).into_iter().find(|(other, _)| other == object);
            recorded.is_none()
                && now.is_some_and(|now| known.as_ref().is_some_and(|seen| seen.generations.contains(&now)))
        };
        let before = recorded.clone().unwrap_or_default();
        let specs = routing::saved_of(snapshot, &routing.objects);
        let mut edits = Vec::new();
        for (object, spec) in &specs {
            let was = before.iter().find(|(other, _)| other == object).map(|(_, spec)| spec);
            if was != Some(spec) && !untouched(object) {
                edits.push(seen(object, was.cloned(), Some(spec.clone())));
            }
        }
        for (object, spec) in &before {
            if !specs.iter().any(|(other, _)| other == object) {
                edits.push(seen(object, Some(spec.clone()), None));
            }
        }
        let specs_before =
            if recorded.is_none() { self.before_of(known.as_ref(), snapshot, routing, &specs) } else { None };
        for (object, spec) in specs_before.iter().flatten() {
            if !specs.iter().any(|(other, _)| other == object) {
                edits.push(seen(object, Some(spec.clone()), None));
            }
        }
        // A rule of several services counts where it decides about this one.
        edits.retain(|edit| {
            edit.object.kind != Kind::DestinationRule
                || routing::decides(snapshot, &edit.object, edit.before.as_ref())
        });
        let own = self.own_edits(snapshot, &edits).await?;
        let others: Vec<EditRecord> =
            edits.iter().filter(|edit| !own.contains_key(&edit.object)).cloned().collect();
        if let Some(change) = Self::own_change(&edits, own) {
            let weights = known.as_ref().and_then(|seen| seen.weights.clone());
            let change = (change, recorded.is_some());
            let revision = self.record_shared(at, snapshot, routing, weights, change).await?;
            self.inner.outside.learn_from(at, snapshot, routing);
            return Ok(revision);
        }
        let elsewhere = self.written_elsewhere(snapshot, &others).await?;
        let managers = managers_of(snapshot, &others, &elsewhere);
        let now = self.inner.clock.now_ms();
        if let Some(object) = elsewhere.into_iter().next() {
            tracing::warn!(service = %at, %object, "another Sluice, or this one before its database was restored, made a change");
            self.inner.others.see_write(object, now);
        }
        let intent = Intent {
            change: uuid::Uuid::now_v7().to_string(),
            at_ms: now,
            service: Some(at.clone()),
            actor: managers.first().cloned().unwrap_or_else(|| "outside".to_owned()),
            groups: Vec::new(),
            channel: Channel::Outside,
            address: None,
            action: Action::OutsideEdit,
            reason: String::new(),
            request_id: String::new(),
            details: Details {
                before: known.as_ref().and_then(|seen| seen.weights.clone()),
                after: routing.declared(),
                edits,
                specs_before,
                managers,
                ..Details::default()
            },
        };
        let details = Details { specs, ..Details::default() };
        let outcome = Outcome { at_ms: now, ending: Ending::Outside, revision: None, details };
        let revise = Revise::Next { fingerprint: routing.fingerprint.clone() };
        let entry = self.inner.store.single(&intent, &outcome, revise).await.map_err(unavailable)?;
        self.inner.outside.learn_from(at, snapshot, routing);
        let revision = entry.outcome.as_ref().and_then(|outcome| outcome.revision);
        self.inner.releases.note_outside(at, entry.id, &entry.intent.details.managers);
        self.announce(Happening::Service(at.clone()));
        if let Some(revision) = revision {
            self.announce(Happening::Revision { service: at.clone(), revision, by: entry.intent.actor });
        }
        Ok(revision)
    }

    /// The specs before an edit that no earlier row holds: those of objects that are as they were when Sluice first saw
    /// them, and of those that are gone. `None` when one of them was edited, or went while no watch was open.
    fn before_of(
        &self,
        known: Option<&Seen>,
        snapshot: &Snapshot,
        routing: &Routing,
        specs: &[(ObjectRef, serde_json::Value)],
    ) -> Option<Vec<(ObjectRef, serde_json::Value)>> {
        let known = known?;
        if known.generations.is_empty() && !known.fingerprint.is_empty() {
            return None;
        }
        let standing = generations(snapshot, routing);
        let was = |(object, generation): &(ObjectRef, i64)| {
            let spec = match standing.iter().find(|(other, _)| other == object) {
                Some((_, now)) if now == generation => {
                    specs.iter().find(|(other, _)| other == object).map(|(_, spec)| spec.clone())
                }
                Some(_) => None,
                None => self.inner.cache.gone(object),
            };
            spec.map(|spec| (object.clone(), spec))
        };
        known.generations.iter().map(was).collect()
    }

    /// True when a change of ours that a crash cut off has written some of what differs. No other client did that:
    /// clearing up will tell it, as soon as it can know all of it.
    async fn is_cut_off(&self, at: &ServiceRef) -> Result<bool, Refusal> {
        let open = self.inner.store.open_intents().await.map_err(unavailable)?;
        for (_, intent) in open.iter().filter(|(_, intent)| intent.service.as_ref() == Some(at)) {
            let fates = self.inner.cluster.fate_of(&intent.change, &intent.details.edits).await;
            if fates.iter().any(|(_, fate)| matches!(fate, Fate::Carries)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The weights of the default route at a revision, as the history knows them.
    pub(super) async fn weights_at(
        &self,
        at: &ServiceRef,
        revision: Revision,
    ) -> Result<Option<Weights>, Refusal> {
        self.inner.store.weights_at(at, revision).await.map_err(unavailable)
    }
}

fn seen(
    object: &ObjectRef,
    before: Option<serde_json::Value>,
    after: Option<serde_json::Value>,
) -> EditRecord {
    EditRecord {
        object: object.clone(),
        before,
        after,
        resource_version_before: None,
        resource_version_after: None,
        written: Written::Yes,
    }
}

/// Who wrote the objects that differ, by their field managers; each named once. An edit that only takes something away
/// leaves no manager: the last one is then Sluice's own, which is named only where another Sluice wrote.
fn managers_of(snapshot: &Snapshot, edits: &[EditRecord], elsewhere: &[ObjectRef]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for edit in edits {
        let manager = meta_of(snapshot, &edit.object).and_then(|meta| meta.manager.as_deref());
        if let Some(manager) = manager
            && (manager != FIELD_MANAGER || elsewhere.contains(&edit.object))
            && !out.iter().any(|name| name == manager)
        {
            out.push(manager.to_owned());
        }
    }
    out
}

pub(super) fn generations(snapshot: &Snapshot, routing: &Routing) -> Vec<(ObjectRef, i64)> {
    let of = |object: &ObjectRef| Some((object.clone(), meta_of(snapshot, object)?.generation));
    routing.objects.iter().filter_map(of).collect()
}

pub(super) fn meta_of<'a>(snapshot: &'a Snapshot, object: &ObjectRef) -> Option<&'a Meta> {
    let is = |meta: &&Meta| meta.name == object.name && *meta.namespace == *object.namespace.as_str();
    match object.kind {
        Kind::VirtualService => snapshot.virtual_services.iter().map(|held| &held.object.meta).find(is),
        Kind::DestinationRule => snapshot.destination_rules.iter().map(|held| &held.object.meta).find(is),
    }
}
