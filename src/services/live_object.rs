//! The live state of a routing object of a service, for readers who may get that object. Reads only.

use crate::cluster::Ask;
use crate::domain::actor::{Actor, Channel};
use crate::domain::audit::{EditRecord, Entry, Written};
use crate::domain::ids::{ObjectRef, ServiceRef};
use crate::domain::live_object::{ByUs, LiveObject};
use crate::domain::refusal::{Code, Refusal};
use crate::routing;

use super::Services;
use super::once::unavailable;

/// So many revisions of a service are looked through for one that wrote the object.
const LOOK_BACK: u32 = 200;

impl Services {
    /// A routing object of a service as it is in the cluster, without `managedFields`.
    pub async fn live_object(
        &self,
        who: &Actor,
        at: &ServiceRef,
        object: &ObjectRef,
    ) -> Result<LiveObject, Refusal> {
        let item = self.overview(who, at, 60).await?;
        let missing = || Refusal::new(Code::ObjectNotFound).arg("object", object).arg("svc", at);
        if !item.routing.objects.contains(object) {
            return Err(missing());
        }
        if let Some(refusal) = self.judge(&who.identity, at, vec![Ask::route("get", object)]).await? {
            return Err(refusal);
        }
        let read = self.inner.cluster.routing_object(object).await.map_err(|error| error.refusal())?;
        let mut json = read.ok_or_else(missing)?;
        if let Some(metadata) = json["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        let entries = self.inner.store.since(at, 0, LOOK_BACK).await.map_err(unavailable)?;
        let own = entries.iter().filter(|entry| entry.intent.channel != Channel::Outside);
        let wrote = |created: bool| {
            let found = own.clone().find(|entry| edits(entry).any(|edit| is_write(edit, object, created)));
            found.and_then(|entry| entry.outcome.as_ref()?.revision)
        };
        let of = |marked: bool, revision| match (revision, marked) {
            (Some(revision), _) => ByUs::At(revision),
            (None, true) => ByUs::Yes,
            (None, false) => ByUs::No,
        };
        // One that was made again by another tool does not carry the mark.
        let made = routing::is_made_here(&json);
        let created = of(made, wrote(true).filter(|_| made));
        let changed = of(routing::is_written_here(&json), wrote(false));
        let yaml = routing::diff::text(&json);
        Ok(LiveObject { object: object.clone(), json, yaml, created, changed })
    }
}

fn edits(entry: &Entry) -> impl Iterator<Item = &EditRecord> {
    let late = entry.outcome.as_ref().map(|outcome| &outcome.details.edits);
    late.into_iter().flatten()
}

fn is_write(edit: &EditRecord, object: &ObjectRef, created: bool) -> bool {
    let written = matches!(edit.written, Written::Yes) && edit.object == *object && edit.after.is_some();
    written && (!created || edit.before.is_none())
}
