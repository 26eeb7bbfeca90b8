//! The current routing objects of a service, without fetching them all: the API server names the
//! objects of the namespace and their versions, and what is known of an object at that very version is it. The rest
//! is fetched. A namespace of a hundred services costs the API server a quarter of what whole lists cost it.
//!
//! Called by `fresh`. An object that matters is either fetched by a quorum read, or was read or written whole
//! before (`recent`) at the version that the API server names; a later write carries that version, and the API
//! server refuses it when it is no longer so.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::StreamExt;
use futures::future::try_join_all;
use futures::stream;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::ids::{Kind, ObjectRef};

use super::error::ClusterError;
use super::fresh::{FEW, Read, Reading, unreadable};
use super::parse;
use super::state::{State, Touched};
use super::wire::Call;
use super::write::text;

/// What was found of the routing objects.
pub(super) struct Found {
    /// The cluster serves Istio's kinds.
    pub installed: bool,
    /// The objects of the service's namespace.
    pub names: Vec<ObjectRef>,
    pub reads: Vec<Read>,
}

/// An object's metadata, as far as it tells one state of it from another.
#[derive(Deserialize)]
struct Standing {
    metadata: StandingMeta,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StandingMeta {
    name: String,
    uid: String,
    resource_version: String,
}

impl StandingMeta {
    /// True of the state that an object had when this metadata was its own.
    fn is(&self, uid: &str, version: &str) -> bool {
        !version.is_empty() && self.resource_version == version && self.uid == uid
    }
}

impl Reading<'_> {
    /// The routing objects of the service's namespace, and those that are known to matter wherever they are.
    pub(super) async fn routing(&self, known: &[ObjectRef]) -> Result<Found, ClusterError> {
        let recent = |object: &ObjectRef| {
            let kept = self.cluster.inner.recent.get(object)?;
            (object.namespace == self.at.namespace).then(|| (object.clone(), kept))
        };
        let kept: HashMap<ObjectRef, Arc<Value>> = known.iter().filter_map(recent).collect();
        let mut asked: Vec<ObjectRef> =
            known.iter().filter(|object| !kept.contains_key(*object)).cloned().collect();
        let (virtual_services, rules, mut reads) = futures::try_join!(
            self.standing(Kind::VirtualService),
            self.standing(Kind::DestinationRule),
            self.named(&asked),
        )?;
        let installed = virtual_services.is_some() && rules.is_some();
        let mut names = Vec::new();
        let mut unknown: Vec<ObjectRef> = Vec::new();
        for (object, meta) in virtual_services.into_iter().chain(rules).flatten() {
            // What was asked for by name is newer than the list.
            if !asked.contains(&object) {
                match self.as_known(&object, &meta, kept.get(&object)) {
                    Some(read) => reads.push(read),
                    None => unknown.push(object.clone()),
                }
            }
            names.push(object);
        }
        let listed: HashSet<&ObjectRef> = names.iter().collect();
        unknown.extend(kept.into_keys().filter(|object| !listed.contains(object)));
        reads.extend(self.unknown(&unknown).await?);
        asked.extend(unknown);
        let there: HashSet<ObjectRef> = reads.iter().filter_map(|read| read.row.routing_object()).collect();
        names.retain(|object| there.contains(object) || !asked.contains(object));
        Ok(Found { installed, names, reads })
    }

    /// Fetches what the service turns out to need besides: delegates in other namespaces that nothing was known of,
    /// and the whole of objects of which only the row was known.
    pub(super) async fn complete(
        &self,
        state: &mut State,
        jsons: &mut HashMap<ObjectRef, Arc<Value>>,
    ) -> Result<(), ClusterError> {
        let (namespace, name) = (self.words.get(self.at.namespace.as_str()), &self.at.name);
        let mut asked = HashSet::new();
        loop {
            let known = state.routes.virtual_services_for(&namespace, name, &self.words);
            let mut missing = state.routes.missing_delegates(&known, &self.words);
            missing.retain(|(of, _)| *of != namespace);
            let rules = state.routes.destination_rules_for(&namespace, name);
            let held = known.iter().map(|object| object.at(Kind::VirtualService));
            let held = held.chain(rules.iter().map(|object| object.at(Kind::DestinationRule)));
            let mut wanted: Vec<ObjectRef> = held.filter(|object| !jsons.contains_key(object)).collect();
            wanted.extend(missing.iter().map(|(of, name)| ObjectRef::new(Kind::VirtualService, of, name)));
            wanted.retain(|object| asked.insert(object.clone()));
            if wanted.is_empty() {
                return Ok(());
            }
            for object in &wanted {
                let (of, name) = (self.words.get(object.namespace.as_str()), self.words.get(&object.name));
                // It comes back, unless it is gone.
                state.remove(object.kind.into(), &of, &name, &mut Touched::default());
            }
            for read in self.named(&wanted).await? {
                read.keep(state, jsons);
            }
        }
    }

    /// The objects of a kind in the service's namespace; `None` when the cluster does not serve the kind.
    async fn standing(&self, kind: Kind) -> Result<Option<Vec<(ObjectRef, StandingMeta)>>, ClusterError> {
        let items = match self.items(kind.into(), "", Call::metadata).await {
            Ok(items) => items,
            Err(ClusterError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let read = |json: &str| {
            let Standing { metadata } = serde_json::from_str(json).map_err(unreadable)?;
            Ok((ObjectRef::new(kind, self.at.namespace.as_str(), &metadata.name), metadata))
        };
        items.iter().map(|item| read(item.get())).collect::<Result<_, _>>().map(Some)
    }

    /// The object at the version that the API server names, where that is known: whole if it is kept whole and may
    /// matter, which is not worth asking about an object that is at the version that the watch reported.
    fn as_known(&self, object: &ObjectRef, now: &StandingMeta, kept: Option<&Arc<Value>>) -> Option<Read> {
        let row = self
            .cache
            .routing_row(object)
            .filter(|row| row.routing_meta().is_some_and(|meta| now.is(&meta.uid, &meta.resource_version)));
        let json = match (kept, row) {
            (None, Some(row)) => return Some(Read { row, json: None }),
            (Some(kept), _) => Arc::clone(kept),
            (None, None) => self.cluster.inner.recent.get(object)?,
        };
        if !now.is(text(&json, "uid"), text(&json, "resourceVersion")) {
            return None;
        }
        let row =
            parse::row(object.kind.into(), &json.to_string(), &self.words, self.cluster.writers()).ok()?;
        Some(Read { row, json: Some(json) })
    }

    /// Objects of the service's namespace: one by one, or, when many are unknown, all there are.
    async fn unknown(&self, objects: &[ObjectRef]) -> Result<Vec<Read>, ClusterError> {
        if objects.len() <= FEW {
            return self.named(objects).await;
        }
        let of = |kind| objects.iter().any(|object| object.kind == kind);
        let kinds = [Kind::VirtualService, Kind::DestinationRule].into_iter().filter(|kind| of(*kind));
        let lists = try_join_all(kinds.map(|kind| self.list(kind.into(), ""))).await?;
        let mut reads: Vec<Read> = lists.into_iter().flatten().collect();
        reads.retain(|read| read.row.routing_object().is_some_and(|object| objects.contains(&object)));
        Ok(reads)
    }

    /// Objects by name; those that are gone are left out.
    async fn named(&self, objects: &[ObjectRef]) -> Result<Vec<Read>, ClusterError> {
        let get = |object: ObjectRef| async move {
            self.get(object.kind.into(), object.namespace.as_str(), &object.name, "").await
        };
        let reads: Vec<_> = stream::iter(objects.to_vec()).map(get).buffer_unordered(16).collect().await;
        reads.into_iter().filter_map(Result::transpose).collect()
    }
}
