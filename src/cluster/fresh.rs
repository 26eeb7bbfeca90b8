//! Reads one service and everything that matters to it from the API server, not from the cache: what a decision
//! to write is made on. The JSON of routing objects is kept whole, because edits happen in it.
//!
//! All requests go out together. The service is a quorum read: a GET without `resourceVersion`. Its routing objects
//! are read as `current` says. The rest is asked to be no older than what our own watch has seen. A quorum list would
//! wait in the API server until its own watch cache has caught up with etcd, up to 100 ms whenever anything at all was
//! written (Kubernetes 1.31 and later, `ConsistentListFromCache`), and would be no safer: between it and the write
//! lies the same gap. What was made here is known by then: `apply` waits for it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::StreamExt;
use futures::future::try_join_all;
use futures::stream;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};

use crate::domain::ids::{Kind, ObjectRef, ServiceRef};
use crate::domain::service::WorkloadKind;
use crate::domain::snapshot::{OtherService, Snapshot};

use super::cache::Cache;
use super::error::ClusterError;
use super::join::service_facts;
use super::kinds::Watched;
use super::routes::Ctx;
use super::rows::Row;
use super::state::{Facts, Known, State, Touched};
use super::watch::Page;
use super::wire::{self, Call, query};
use super::words::{LabelSet, Word, Words};
use super::{Cluster, parse, within};

/// More workloads than this are listed rather than read one by one.
pub(super) const FEW: usize = 16;

/// An object as the state wants it, and whole where it came so and may be written.
pub(super) struct Read {
    pub row: Row,
    pub json: Option<Arc<Value>>,
}

impl Read {
    /// Puts it where what was read is gathered.
    pub fn keep(self, state: &mut State, jsons: &mut HashMap<ObjectRef, Arc<Value>>) {
        if let (Some(object), Some(json)) = (self.row.routing_object(), self.json) {
            jsons.insert(object, json);
        }
        state.put(self.row, &mut Touched::default());
    }
}

/// What to ask for by name.
#[derive(Default)]
struct Hint {
    selector: String,
    /// `None` = list them.
    workloads: Option<Vec<(Watched, Arc<str>)>>,
    /// The routing objects that are known to matter, wherever they are.
    routing: Vec<ObjectRef>,
}

impl Cluster {
    /// The service as it is now, with the JSON of its routing objects; `None` when there is no such service.
    /// Takes at most [`Limits::read`](super::Limits::read).
    pub async fn read_fresh(&self, at: &ServiceRef, cache: &Cache) -> Result<Option<Snapshot>, ClusterError> {
        let end = within(self.limits().read);
        let reading = Reading { cluster: self, at, cache, words: cache.words(), end };
        let late = || ClusterError::Timeout(format!("reading {at}"));
        timeout_at(end, Box::pin(reading.whole())).await.map_err(|_| late())?
    }

    /// What is known now of Services that a service's routes do not name yet. One that cannot be read is left out.
    pub async fn services(&self, at: &ServiceRef, wanted: &[ServiceRef], cache: &Cache) -> Vec<OtherService> {
        let end = within(self.limits().read);
        let reading = Reading { cluster: self, at, cache, words: cache.words(), end };
        let get = async |one: &ServiceRef| {
            let read = reading.get(Watched::Service, one.namespace.as_str(), &one.name, "").await.ok()?;
            let facts = read.and_then(|read| match read.row {
                Row::Service(row) => Some(service_facts(&row)),
                _ => None,
            });
            Some(OtherService { at: one.clone(), facts })
        };
        let mut found = Vec::new();
        for one in wanted {
            found.extend(get(one).await);
        }
        found
    }
}

/// A reading under way.
pub(super) struct Reading<'a> {
    pub cluster: &'a Cluster,
    pub at: &'a ServiceRef,
    pub cache: &'a Cache,
    pub words: Arc<Words>,
    end: Instant,
}

impl Reading<'_> {
    async fn whole(&self) -> Result<Option<Snapshot>, ClusterError> {
        let hint = self.hint();
        let slices = format!("kubernetes.io/service-name={}", self.at.name);
        let (service, slices, pods, workloads, routing) = futures::try_join!(
            self.get(Watched::Service, self.at.namespace.as_str(), &self.at.name, ""),
            self.list(Watched::EndpointSlice, &slices),
            self.pods(&hint.selector),
            self.workloads(hint.workloads.as_deref()),
            self.routing(&hint.routing),
        )?;
        let Some(service) = service else { return Ok(None) };
        let selector = selector_of(&service.row);
        // The cache did not know the service, or its selector is another one now.
        let (pods, workloads) = if selector == hint.selector {
            (pods, workloads)
        } else {
            futures::try_join!(self.pods(&selector), self.workloads(None))?
        };

        let mut state = State::new(self.facts());
        let mut touched = Touched::default();
        state.installed = routing.installed;
        if let Some(row) = self.cache.namespace_row(&self.at.namespace) {
            state.put(Row::Namespace(row), &mut touched);
        }
        let mut jsons = HashMap::new();
        for read in [vec![service], slices, pods, workloads, routing.reads].into_iter().flatten() {
            read.keep(&mut state, &mut jsons);
        }
        self.complete(&mut state, &mut jsons).await?;
        self.others(&mut state).await;
        Ok(state.snapshot(self.at).map(|snapshot| {
            let mut snapshot = Snapshot { taken: routing.names, ..Snapshot::clone(&snapshot) };
            add_json(&mut snapshot, &mut jsons);
            // What is left of the namespace's objects is none of the service's.
            snapshot.taken.sort_unstable();
            snapshot
        }))
    }

    /// Reads the Services besides this one that its routes name. Of one that cannot be read nothing is known, which is
    /// not a reason to refuse the rest.
    async fn others(&self, state: &mut State) {
        let (namespace, name) = (self.words.get(self.at.namespace.as_str()), &self.at.name);
        let ctx = Ctx { domain: &state.facts.domain, words: &self.words };
        let wanted = state.routes.others_of(&namespace, name, &ctx);
        let get = |(namespace, name): (Word, Word)| async move {
            let read = self.get(Watched::Service, &namespace, &name, "").await;
            read.map(|read| ((namespace, name), read))
        };
        let reads: Vec<_> = stream::iter(wanted).map(get).buffer_unordered(FEW).collect().await;
        let mut asked = HashSet::new();
        for (key, read) in reads.into_iter().filter_map(Result::ok) {
            asked.insert(key);
            if let Some(read) = read {
                state.put(read.row, &mut Touched::default());
            }
        }
        state.known = Known::Asked(asked);
    }

    /// What the cache knows to ask for.
    fn hint(&self) -> Hint {
        let Some(known) = self.cache.snapshot(self.at) else { return Hint::default() };
        let sure = self.cache.is_live(Watched::Deployment) && self.cache.is_live(Watched::StatefulSet);
        let workloads: Vec<(Watched, Arc<str>)> = known
            .versions
            .iter()
            .flat_map(|version| &version.workloads)
            .map(|workload| (watched(workload.kind), workload.name.clone()))
            .collect();
        let virtual_services = known.virtual_services.iter().map(|held| held.object.at(Kind::VirtualService));
        let rules = known.destination_rules.iter().map(|held| held.object.at(Kind::DestinationRule));
        let selector: Vec<String> =
            known.service.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        Hint {
            selector: selector.join(","),
            workloads: (sure && workloads.len() <= FEW).then_some(workloads),
            routing: virtual_services.chain(rules).collect(),
        }
    }

    fn facts(&self) -> Facts {
        let options = &self.cluster.inner.options;
        Facts {
            keys: options.version_keys.clone(),
            domain: Arc::clone(&options.cluster_domain),
            root_namespace: Arc::clone(&options.root_namespace),
            words: Arc::clone(&self.words),
        }
    }

    async fn pods(&self, selector: &str) -> Result<Vec<Read>, ClusterError> {
        if selector.is_empty() {
            return Ok(Vec::new());
        }
        self.list(Watched::Pod, selector).await
    }

    async fn workloads(&self, known: Option<&[(Watched, Arc<str>)]>) -> Result<Vec<Read>, ClusterError> {
        let namespace = self.at.namespace.as_str();
        if let Some(known) = known {
            let get = |(kind, name): &(Watched, Arc<str>)| {
                let (kind, name) = (*kind, name.clone());
                let least = self.cache.reached_in(kind, &self.at.namespace).unwrap_or_default();
                async move { self.get(kind, namespace, &name, &least).await }
            };
            return Ok(try_join_all(known.iter().map(get)).await?.into_iter().flatten().collect());
        }
        let (mut deployments, sets) =
            futures::try_join!(self.list(Watched::Deployment, ""), self.list(Watched::StatefulSet, ""),)?;
        deployments.extend(sets);
        Ok(deployments)
    }

    /// One object: as it is now, or, when `least` is given, not older than that.
    pub(super) async fn get(
        &self,
        kind: Watched,
        namespace: &str,
        name: &str,
        least: &str,
    ) -> Result<Option<Read>, ClusterError> {
        let version = [("resourceVersion", least)];
        let pairs = if least.is_empty() { &[][..] } else { &version };
        let call = Call::get(kind.object(namespace, name) + &query(pairs));
        match wire::read(&self.cluster.inner.clients.read, &call, self.end).await {
            Ok(answer) => {
                let json: &RawValue = serde_json::from_slice(&answer.body).map_err(unreadable)?;
                let read = self.parse(kind, json)?;
                if let (Some(object), Some(json)) = (read.row.routing_object(), &read.json) {
                    self.cluster.inner.recent.keep(&object, Arc::clone(json), answer.body.len());
                }
                Ok(Some(read))
            }
            Err(ClusterError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The objects of a kind in the service's namespace; all of them when `labels` is empty.
    pub(super) async fn list(&self, kind: Watched, labels: &str) -> Result<Vec<Read>, ClusterError> {
        let items = self.items(kind, labels, Call::get).await?;
        items.iter().map(|item| self.parse(kind, item)).collect()
    }

    /// The same as they came, asked for by `call`.
    pub(super) async fn items(
        &self,
        kind: Watched,
        labels: &str,
        call: fn(String) -> Call,
    ) -> Result<Vec<Box<RawValue>>, ClusterError> {
        let limit = self.cluster.limits().page.to_string();
        let least = self.cache.reached_in(kind, &self.at.namespace).unwrap_or_default();
        let mut items = Vec::new();
        let mut token = String::new();
        loop {
            let mut pairs = vec![("limit", limit.as_str())];
            let selected = [("labelSelector", labels), ("continue", token.as_str())];
            pairs.extend(selected.into_iter().filter(|(_, value)| !value.is_empty()));
            if token.is_empty() && !least.is_empty() {
                pairs.extend([("resourceVersion", least.as_str()), ("resourceVersionMatch", "NotOlderThan")]);
            }
            let call = call(kind.collection(Some(self.at.namespace.as_str())) + &query(&pairs));
            let answer = wire::read(&self.cluster.inner.clients.read, &call, self.end).await?;
            let page: Page<'_> = serde_json::from_slice(&answer.body).map_err(unreadable)?;
            items.extend(page.items().map(ToOwned::to_owned));
            token = page.metadata.next;
            if token.is_empty() {
                return Ok(items);
            }
        }
    }

    fn parse(&self, kind: Watched, json: &RawValue) -> Result<Read, ClusterError> {
        let row = parse::row(kind, json.get(), &self.words, self.cluster.writers()).map_err(unreadable)?;
        let whole = || serde_json::from_str(json.get()).map(Arc::new).map_err(unreadable);
        let json = if kind.is_optional() { Some(whole()?) } else { None };
        Ok(Read { row, json })
    }
}

pub(super) fn unreadable(error: serde_json::Error) -> ClusterError {
    ClusterError::Invalid(error.to_string())
}

fn watched(kind: WorkloadKind) -> Watched {
    match kind {
        WorkloadKind::Deployment => Watched::Deployment,
        WorkloadKind::StatefulSet => Watched::StatefulSet,
    }
}

/// A service's selector as a query writes it; empty when pods are not chosen by labels.
fn selector_of(row: &Row) -> String {
    let Row::Service(service) = row else { return String::new() };
    let pairs: Vec<String> =
        service.chooses().into_iter().flat_map(LabelSet::iter).map(|(k, v)| format!("{k}={v}")).collect();
    pairs.join(",")
}

/// Gives a snapshot the JSON of its objects, and takes them off what is taken.
fn add_json(snapshot: &mut Snapshot, jsons: &mut HashMap<ObjectRef, Arc<Value>>) {
    let mut own = HashSet::new();
    let mut json = |object: ObjectRef| {
        let json = jsons.remove(&object);
        own.insert(object);
        json
    };
    for held in &mut snapshot.virtual_services {
        held.json = json(held.object.at(Kind::VirtualService));
    }
    for held in &mut snapshot.destination_rules {
        held.json = json(held.object.at(Kind::DestinationRule));
    }
    snapshot.taken.retain(|object| !own.contains(object));
}
