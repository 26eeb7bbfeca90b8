//! Reads one service and everything that matters to it from the API server, not from the cache: what a decision
//! to write is made on. The JSON of routing objects is kept whole, because edits happen in it.
//!
//! All requests go out together. What is known to matter by name (the service, its routing objects, its workloads)
//! is a quorum read: a GET without `resourceVersion`. Lists find what is not known by name, and the pods; they are
//! asked to be no older than what our own watch has seen. A quorum list would wait in the API server until its own
//! watch cache has caught up with etcd, up to 100 ms whenever anything at all was written (Kubernetes 1.31 and
//! later, `ConsistentListFromCache`), and would be no safer: between it and the write lies the same gap. What was made
//! here is known by then: `apply` waits for it. The cache is asked for names and versions only; what it knows of the
//! objects is not used.

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt;
use futures::future::try_join_all;
use futures::stream;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};

use crate::domain::ids::{Kind, ObjectRef, ServiceRef};
use crate::domain::service::WorkloadKind;
use crate::domain::snapshot::Snapshot;

use super::cache::Cache;
use super::error::ClusterError;
use super::kinds::{self, Watched};
use super::rows::Row;
use super::state::{Facts, State, Touched};
use super::watch::Page;
use super::wire::{self, Call, query};
use super::words::{LabelSet, Words};
use super::{Cluster, parse, within};

/// More workloads than this are listed rather than read one by one.
const FEW: usize = 16;

/// An object as it came, and as the state wants it.
struct Read {
    row: Row,
    json: Box<RawValue>,
}

impl Read {
    /// Its name, where it is a routing object.
    fn routing(&self) -> Option<ObjectRef> {
        let kind = match self.row {
            Row::VirtualService(_) => Kind::VirtualService,
            Row::DestinationRule(_) => Kind::DestinationRule,
            _ => return None,
        };
        let (namespace, name) = self.row.key();
        Some(ObjectRef::new(kind, namespace, name))
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
        timeout_at(end, reading.whole()).await.map_err(|_| late())?
    }
}

struct Reading<'a> {
    cluster: &'a Cluster,
    at: &'a ServiceRef,
    cache: &'a Cache,
    words: Arc<Words>,
    end: Instant,
}

impl Reading<'_> {
    async fn whole(&self) -> Result<Option<Snapshot>, ClusterError> {
        let hint = self.hint();
        let slices = format!("kubernetes.io/service-name={}", self.at.name);
        let (service, slices, pods, workloads, virtual_services, destination_rules, known) = futures::try_join!(
            self.get(Watched::Service, self.at.namespace.as_str(), &self.at.name),
            self.list(Watched::EndpointSlice, &slices),
            self.pods(&hint.selector),
            self.workloads(hint.workloads.as_deref()),
            self.istio(Watched::VirtualService),
            self.istio(Watched::DestinationRule),
            self.named(&hint.routing),
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
        state.installed = virtual_services.is_some() && destination_rules.is_some();
        if let Some(row) = self.cache.namespace_row(&self.at.namespace) {
            state.put(Row::Namespace(row), &mut touched);
        }
        let mut jsons: HashMap<ObjectRef, Box<RawValue>> = HashMap::new();
        for read in [vec![service], slices, pods, workloads].into_iter().flatten() {
            keep(read, &mut state, &mut jsons);
        }
        // Of what was read by name the lists know nothing newer, and may hold what is gone.
        let listed = [virtual_services.unwrap_or_default(), destination_rules.unwrap_or_default()];
        let of_list = |read: &Read| read.routing().is_none_or(|object| !hint.routing.contains(&object));
        for read in listed.into_iter().flatten().filter(of_list).chain(known) {
            keep(read, &mut state, &mut jsons);
        }
        self.add_delegates(&mut state, &mut jsons).await?;
        let snapshot =
            state.snapshot(self.at).map(|snapshot| with_json(&snapshot, &mut jsons)).transpose()?;
        Ok(snapshot.map(|snapshot| {
            // What is left of the namespace's objects is none of the service's.
            let mut taken: Vec<ObjectRef> = jsons.into_keys().collect();
            taken.retain(|object| object.namespace == self.at.namespace);
            taken.sort_unstable();
            Snapshot { taken, ..snapshot }
        }))
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

    /// The delegates in other namespaces that the objects read so far name, and that the cache did not know of.
    async fn add_delegates(
        &self,
        state: &mut State,
        jsons: &mut HashMap<ObjectRef, Box<RawValue>>,
    ) -> Result<(), ClusterError> {
        let (namespace, name) = (self.words.get(self.at.namespace.as_str()), &self.at.name);
        let known = state.routes.virtual_services_for(&namespace, name, &self.words);
        let mut missing = state.routes.missing_delegates(&known, &self.words);
        missing.retain(|(of, _)| *of != namespace);
        let objects: Vec<ObjectRef> =
            missing.iter().map(|(of, name)| ObjectRef::new(Kind::VirtualService, of, name)).collect();
        for read in self.named(&objects).await? {
            keep(read, state, jsons);
        }
        Ok(())
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
            let reads =
                try_join_all(known.iter().map(|(kind, name)| self.get(*kind, namespace, name))).await?;
            return Ok(reads.into_iter().flatten().collect());
        }
        let (mut deployments, sets) =
            futures::try_join!(self.list(Watched::Deployment, ""), self.list(Watched::StatefulSet, ""),)?;
        deployments.extend(sets);
        Ok(deployments)
    }

    /// The routing objects of the service's namespace; `None` when the cluster does not serve the kind.
    async fn istio(&self, kind: Watched) -> Result<Option<Vec<Read>>, ClusterError> {
        match self.list(kind, "").await {
            Ok(reads) => Ok(Some(reads)),
            Err(ClusterError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Objects by name; those that are gone are left out.
    async fn named(&self, objects: &[ObjectRef]) -> Result<Vec<Read>, ClusterError> {
        let get = |object: ObjectRef| async move {
            self.get(object.kind.into(), object.namespace.as_str(), &object.name).await
        };
        let reads: Vec<_> = stream::iter(objects.to_vec()).map(get).buffer_unordered(16).collect().await;
        reads.into_iter().filter_map(Result::transpose).collect()
    }

    async fn get(&self, kind: Watched, namespace: &str, name: &str) -> Result<Option<Read>, ClusterError> {
        let call = Call::get(kind.object(namespace, name));
        match wire::read(&self.cluster.inner.clients.read, &call, self.end).await {
            Ok(answer) => {
                let json: Box<RawValue> = serde_json::from_slice(&answer.body).map_err(unreadable)?;
                self.parse(kind, json).map(Some)
            }
            Err(ClusterError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The objects of a kind in the service's namespace; all of them when `labels` is empty.
    async fn list(&self, kind: Watched, labels: &str) -> Result<Vec<Read>, ClusterError> {
        let limit = self.cluster.limits().page.to_string();
        let least = self.cache.reached_in(kind, &self.at.namespace).unwrap_or_default();
        let mut reads = Vec::new();
        let mut token = String::new();
        loop {
            let mut pairs = vec![("limit", limit.as_str())];
            let selected = [("labelSelector", labels), ("continue", token.as_str())];
            pairs.extend(selected.into_iter().filter(|(_, value)| !value.is_empty()));
            if token.is_empty() && !least.is_empty() {
                pairs.extend([("resourceVersion", least.as_str()), ("resourceVersionMatch", "NotOlderThan")]);
            }
            let call = Call::get(kind.collection(Some(self.at.namespace.as_str())) + &query(&pairs));
            let answer = wire::read(&self.cluster.inner.clients.read, &call, self.end).await?;
            let page: Page<'_> = serde_json::from_slice(&answer.body).map_err(unreadable)?;
            for item in &page.items {
                reads.push(self.parse(kind, (*item).to_owned())?);
            }
            token = page.metadata.next;
            if token.is_empty() {
                return Ok(reads);
            }
        }
    }

    fn parse(&self, kind: Watched, json: Box<RawValue>) -> Result<Read, ClusterError> {
        let row = parse::row(kind, json.get(), &self.words).map_err(unreadable)?;
        Ok(Read { row, json })
    }
}

fn unreadable(error: serde_json::Error) -> ClusterError {
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

fn keep(read: Read, state: &mut State, jsons: &mut HashMap<ObjectRef, Box<RawValue>>) {
    if let Some(object) = read.routing() {
        jsons.insert(object, read.json);
    }
    state.put(read.row, &mut Touched::default());
}

/// The snapshot with the JSON of its own objects, taken out of what was read.
fn with_json(
    snapshot: &Snapshot,
    jsons: &mut HashMap<ObjectRef, Box<RawValue>>,
) -> Result<Snapshot, ClusterError> {
    let mut json = |object: ObjectRef| -> Result<Option<Arc<Value>>, ClusterError> {
        let Some(text) = jsons.remove(&object) else { return Ok(None) };
        let mut value: Value = serde_json::from_str(text.get()).map_err(unreadable)?;
        if let Some(members) = value.as_object_mut() {
            // Lists of built-in kinds leave these out of their items; a PUT needs them.
            members.entry("apiVersion").or_insert_with(|| kinds::ISTIO_VERSION.into());
            members.entry("kind").or_insert_with(|| object.kind.as_str().into());
        }
        Ok(Some(Arc::new(value)))
    };
    let mut snapshot = snapshot.clone();
    for held in &mut snapshot.virtual_services {
        held.json = json(held.object.at(Kind::VirtualService))?;
    }
    for held in &mut snapshot.destination_rules {
        held.json = json(held.object.at(Kind::DestinationRule))?;
    }
    Ok(snapshot)
}
