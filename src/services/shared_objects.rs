//! A change that was made here for one service, of an object that decides about others too: what these others get
//! is recorded as that change, by the person who made it, and never as an edit from outside.
//!
//! Called by `outside` under the other service's lock. A write is known to be ours when the object names a change of
//! our history and is what that change made of it; another Sluice's history is not ours.

use std::collections::HashMap;

use serde_json::Value;

use crate::cluster::FIELD_MANAGER;
use crate::domain::audit::{Action, Details, EditRecord, Ending, Entry, Filter, Intent, Outcome};
use crate::domain::ids::{Kind, ObjectRef, Revision, ServiceRef};
use crate::domain::overview::Happening;
use crate::domain::plan::CHANGE_ANNOTATION;
use crate::domain::refusal::Refusal;
use crate::domain::routing::{Routing, Weights};
use crate::domain::snapshot::Snapshot;
use crate::routing;
use crate::store::Revise;

use super::Services;
use super::once::unavailable;
use super::outside::meta_of;

/// Rows that belong to one change: its own, and one for each service that shares the object.
const ROWS_OF_CHANGE: usize = 20;

/// A change of ours that other services notice.
pub(super) struct OwnChange {
    /// The newest of the entries that wrote the objects.
    entry: Entry,
    /// What the objects were before.
    edits: Vec<EditRecord>,
}

impl Services {
    /// Which of these edits were made here: by object, with the entry and its record of the edit.
    pub(super) async fn own_edits(
        &self,
        snapshot: &Snapshot,
        edits: &[EditRecord],
    ) -> Result<HashMap<ObjectRef, (Entry, EditRecord)>, Refusal> {
        let mut own = HashMap::new();
        for edit in edits {
            let Some(change) = change_on(snapshot, &edit.object) else { continue };
            if let Some((entry, record)) = self.wrote(&change, edit).await? {
                own.insert(edit.object.clone(), (entry, record));
            }
        }
        Ok(own)
    }

    /// The entry of a change that made of an object what it is now.
    async fn wrote(&self, change: &str, edit: &EditRecord) -> Result<Option<(Entry, EditRecord)>, Refusal> {
        let filter = Filter { text: Some(change.to_owned()), ..Filter::default() };
        let page = self.inner.store.entries(&filter, None, ROWS_OF_CHANGE).await.map_err(unavailable)?;
        for found in page.items.iter().filter(|entry| entry.intent.change == change) {
            let Some(entry) = self.inner.store.entry(found.id).await.map_err(unavailable)? else { continue };
            let late = entry.outcome.iter().flat_map(|outcome| &outcome.details.edits);
            let record = late
                .chain(&entry.intent.details.edits)
                .find(|record| record.object == edit.object && record.after == edit.after)
                .cloned();
            if let Some(record) = record {
                return Ok(Some((entry, record)));
            }
        }
        Ok(None)
    }

    /// The objects among these that name a change which this history does not have: another Sluice wrote them, or this
    /// one before its database was restored. An object that names a change of ours was written by somebody else
    /// since when it is not what that change made of it.
    pub(super) async fn written_elsewhere(
        &self,
        snapshot: &Snapshot,
        edits: &[EditRecord],
    ) -> Result<Vec<ObjectRef>, Refusal> {
        let mut found = Vec::new();
        for edit in edits {
            let manager = meta_of(snapshot, &edit.object).and_then(|meta| meta.manager.as_deref());
            if manager == Some(FIELD_MANAGER)
                && let Some(change) = change_on(snapshot, &edit.object)
                && !self.has_change(&change).await?
            {
                found.push(edit.object.clone());
            }
        }
        Ok(found)
    }

    /// True when the history has a row of this change.
    async fn has_change(&self, change: &str) -> Result<bool, Refusal> {
        let filter = Filter { text: Some(change.to_owned()), ..Filter::default() };
        let page = self.inner.store.entries(&filter, None, ROWS_OF_CHANGE).await.map_err(unavailable)?;
        // A row that cannot be read any more may be the one.
        Ok(!page.damaged.is_empty() || page.items.iter().any(|entry| entry.intent.change == change))
    }

    /// The change behind the edits, when all of them were made here.
    pub(super) fn own_change(
        edits: &[EditRecord],
        own: HashMap<ObjectRef, (Entry, EditRecord)>,
    ) -> Option<OwnChange> {
        if edits.is_empty() || own.len() < edits.len() {
            return None;
        }
        let (entries, edits): (Vec<Entry>, Vec<EditRecord>) = own.into_values().unzip();
        let entry = entries.into_iter().max_by_key(|entry| entry.id)?;
        Some(OwnChange { entry, edits })
    }

    /// Records what a change of another service made of this one, and gives it its next revision.
    pub(super) async fn record_shared(
        &self,
        at: &ServiceRef,
        snapshot: &Snapshot,
        routing: &Routing,
        before: Option<Weights>,
        (OwnChange { entry, edits }, known): (OwnChange, bool),
    ) -> Result<Option<Revision>, Refusal> {
        let now = self.inner.clock.now_ms();
        let specs = routing::saved_of(snapshot, &routing.objects);
        let made = entry.intent;
        let intent = Intent {
            // The id of the change is what its rows have in common.
            change: made.change,
            at_ms: now,
            service: Some(at.clone()),
            actor: made.actor,
            groups: made.groups,
            channel: made.channel,
            address: made.address,
            action: Action::SetTraffic,
            reason: made.reason,
            request_id: made.request_id,
            details: Details {
                before,
                after: routing.declared(),
                specs_before: (!known).then(|| as_before(&specs, &edits)),
                edits,
                ..Details::default()
            },
        };
        let details = Details { specs, ..Details::default() };
        let outcome = Outcome { at_ms: now, ending: Ending::Applied, revision: None, details };
        let revise = Revise::Next { fingerprint: routing.fingerprint.clone() };
        let entry = self.inner.store.single(&intent, &outcome, revise).await.map_err(unavailable)?;
        let revision = entry.outcome.as_ref().and_then(|outcome| outcome.revision);
        self.inner.releases.note_outside(at, entry.id, std::slice::from_ref(&entry.intent.actor));
        self.announce(Happening::Service(at.clone()));
        if let Some(revision) = revision {
            self.announce(Happening::Revision { service: at.clone(), revision, by: entry.intent.actor });
        }
        Ok(revision)
    }
}

/// The specs with the edited objects as they were before.
fn as_before(specs: &[(ObjectRef, Value)], edits: &[EditRecord]) -> Vec<(ObjectRef, Value)> {
    let edit_of = |at: &ObjectRef| edits.iter().find(|edit| edit.object == *at);
    let kept = specs.iter().filter_map(|(at, spec)| match edit_of(at) {
        Some(edit) => Some((at.clone(), edit.before.clone()?)),
        None => Some((at.clone(), spec.clone())),
    });
    kept.collect()
}

/// The change that an object names.
fn change_on(snapshot: &Snapshot, at: &ObjectRef) -> Option<String> {
    let json = match at.kind {
        Kind::VirtualService => {
            snapshot.virtual_services.iter().find(|held| held.object.at(at.kind) == *at)?.json.as_ref()?
        }
        Kind::DestinationRule => {
            snapshot.destination_rules.iter().find(|held| held.object.at(at.kind) == *at)?.json.as_ref()?
        }
    };
    json["metadata"]["annotations"][CHANGE_ANNOTATION].as_str().map(str::to_owned)
}
