//! Everything that is known of the cluster, indexed, and what each event touches. The cache keeps one of these behind
//! a lock; a fresh reading fills a small one of its own, so that both join in exactly the same way.
//!
//! Holds no lock, does no I/O, reads no clock.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use crate::domain::ids::ServiceRef;
use crate::domain::service::WorkloadKind;
use crate::domain::snapshot::Snapshot;
use crate::domain::versions::VersionKeys;

use super::find::Finder;
use super::hosts::HostKey;
use super::kinds::Watched;
use super::routes::{Ctx, Routes};
use super::rows::{NamespaceRow, PodRow, Row, ServiceRow, SliceRow, WorkloadRow};
use super::words::{LabelSet, Pair, Word, Words};

/// Settings that a state gets when it is made.
#[derive(Clone)]
pub(super) struct Facts {
    pub keys: VersionKeys,
    pub domain: Arc<str>,
    pub root_namespace: Arc<str>,
    pub words: Arc<Words>,
}

/// The objects of the cluster.
pub(super) struct State {
    pub facts: Facts,
    pub(super) namespaces: HashMap<Word, Shard>,
    pub routes: Routes,
    /// The cluster serves Istio's kinds.
    pub installed: bool,
    /// Of which Services it is known whether they exist.
    pub known: Known,
}

/// Of which Services it is known whether they exist.
#[derive(Default)]
pub(super) enum Known {
    /// Of those that are held.
    #[default]
    Held,
    /// Of all in these namespaces.
    In(HashSet<Word>),
    /// Of all.
    All,
    /// Of those that were asked for.
    Asked(HashSet<(Word, Word)>),
}

impl Known {
    /// True when a Service that is not held does not exist.
    pub fn has(&self, namespace: &Word, name: &Word) -> bool {
        match self {
            Self::Held => false,
            Self::In(namespaces) => namespaces.contains(namespace),
            Self::All => true,
            Self::Asked(asked) => asked.contains(&(namespace.clone(), name.clone())),
        }
    }
}

/// The objects of one namespace.
#[derive(Default)]
pub(super) struct Shard {
    /// The Namespace itself, once seen.
    pub row: Option<NamespaceRow>,
    pub services: HashMap<Word, Entry>,
    pub slices: HashMap<Word, Arc<SliceRow>>,
    /// EndpointSlices by the service that they belong to.
    pub slices_of: HashMap<Word, Vec<Arc<SliceRow>>>,
    pub pods: HashMap<Word, Arc<PodRow>>,
    pub deployments: HashMap<Word, Arc<WorkloadRow>>,
    pub stateful_sets: HashMap<Word, Arc<WorkloadRow>>,
    pub finder: Finder,
}

/// A service with what was joined for it last.
pub(super) struct Entry {
    pub row: Arc<ServiceRow>,
    pub anchor: Option<Pair>,
    pub joined: OnceLock<Arc<Snapshot>>,
}

/// What a batch of events touched.
#[derive(Default)]
pub(super) struct Touched {
    /// Services whose snapshot is no longer what it was: namespace and name.
    pub services: HashSet<(Word, Word)>,
    /// Every service is.
    pub all: bool,
    /// A service came or went.
    pub set: bool,
    /// A namespace came or went.
    pub namespaces: bool,
}

impl Touched {
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && !self.all && !self.set && !self.namespaces
    }
}

impl State {
    pub fn new(facts: Facts) -> Self {
        Self {
            facts,
            namespaces: HashMap::new(),
            routes: Routes::default(),
            installed: true,
            known: Known::default(),
        }
    }

    /// The Services of a namespace, but for one, that would select a pod with these labels. In no order.
    pub fn services_matching(&self, but: &ServiceRef, labels: &LabelSet) -> Vec<ServiceRef> {
        let Some(shard) = self.namespaces.get(but.namespace.as_str()) else { return Vec::new() };
        let others = shard.choosers(labels).filter(|name| **name != but.name);
        others.map(|name| ServiceRef { namespace: but.namespace.clone(), name: name.clone() }).collect()
    }

    /// Puts an object that was added or changed.
    pub fn put(&mut self, row: Row, touched: &mut Touched) {
        match row {
            Row::Namespace(row) => self.put_namespace(row, touched),
            Row::Service(row) => self.put_service(row, touched),
            Row::Slice(row) => self.put_slice(&row, touched),
            Row::Pod(row) => self.put_pod(&row, touched),
            Row::Workload(row) => self.put_workload(&row, touched),
            Row::VirtualService(object) => {
                let key = (object.meta.namespace.clone(), object.meta.name.clone());
                self.set_route(Watched::VirtualService, &key, Some(Row::VirtualService(object)), touched);
            }
            Row::DestinationRule(object) => {
                let key = (object.meta.namespace.clone(), object.meta.name.clone());
                self.set_route(Watched::DestinationRule, &key, Some(Row::DestinationRule(object)), touched);
            }
        }
    }

    /// Removes an object that is gone.
    pub fn remove(&mut self, kind: Watched, namespace: &Word, name: &Word, touched: &mut Touched) {
        if kind.is_optional() {
            return self.set_route(kind, &(namespace.clone(), name.clone()), None, touched);
        }
        let Some(shard) = self.namespaces.get_mut(namespace) else { return };
        match kind {
            Watched::Namespace => {
                touched.namespaces |= shard.row.is_some();
                if shard.row.take().is_some_and(|row| row.ambient) {
                    touched
                        .services
                        .extend(shard.services.keys().map(|name| (namespace.clone(), name.clone())));
                }
            }
            Watched::Service => {
                if let Some(entry) = shard.services.remove(name) {
                    if let Some(anchor) = &entry.anchor {
                        shard.finder.remove_service(name, anchor);
                    }
                    touched.set = true;
                    touched.services.insert((namespace.clone(), name.clone()));
                }
            }
            Watched::EndpointSlice => shard.remove_slice(name, touched),
            Watched::Pod => {
                if let Some(pod) = shard.pods.remove(name) {
                    shard.finder.remove_pod(&pod);
                    shard.touch_choosers(&pod.labels, namespace, touched);
                }
            }
            Watched::Deployment | Watched::StatefulSet => {
                let kind = if kind == Watched::Deployment {
                    WorkloadKind::Deployment
                } else {
                    WorkloadKind::StatefulSet
                };
                if let Some(workload) = shard.workloads_of(kind).remove(name) {
                    shard.finder.remove_workload(&workload);
                    shard.touch_choosers(&workload.pod_labels, namespace, touched);
                }
            }
            Watched::VirtualService | Watched::DestinationRule => {}
        }
        if shard.is_empty() {
            self.namespaces.remove(namespace);
        }
        if kind == Watched::Service {
            self.touch_beside(namespace, name, touched);
        }
    }

    /// Makes the rows all there is of a kind, in one namespace or everywhere: what is not among them is gone.
    pub fn replace(&mut self, kind: Watched, scope: Option<&str>, rows: Vec<Row>, touched: &mut Touched) {
        let new: HashSet<(&Word, &Word)> = rows.iter().map(Row::key).collect();
        let mut gone = self.keys(kind, scope);
        gone.retain(|(namespace, name)| !new.contains(&(namespace, name)));
        drop(new);
        for (namespace, name) in gone {
            self.remove(kind, &namespace, &name, touched);
        }
        for row in rows {
            self.put(row, touched);
        }
    }

    /// Notes whether the cluster serves Istio's kinds.
    pub fn set_installed(&mut self, installed: bool, touched: &mut Touched) {
        if self.installed != installed {
            self.installed = installed;
            touched.all = true;
        }
    }

    /// All Services there are, of one namespace or of all, were listed.
    pub fn set_listed(&mut self, scope: Option<&Word>, touched: &mut Touched) {
        let new = match (&mut self.known, scope) {
            (Known::All, _) => false,
            (known, None) => {
                *known = Known::All;
                true
            }
            (Known::In(namespaces), Some(scope)) => namespaces.insert(scope.clone()),
            (known, Some(scope)) => {
                *known = Known::In(HashSet::from([scope.clone()]));
                true
            }
        };
        touched.all |= new;
    }

    /// Drops what was joined for the services that are no longer the same.
    pub fn forget(&mut self, touched: &Touched) {
        if touched.all {
            for entry in self.namespaces.values_mut().flat_map(|shard| shard.services.values_mut()) {
                entry.joined.take();
            }
            return;
        }
        for (namespace, name) in &touched.services {
            let shard = self.namespaces.get_mut(namespace);
            if let Some(entry) = shard.and_then(|shard| shard.services.get_mut(name)) {
                entry.joined.take();
            }
        }
    }

    /// The services in no order.
    pub fn services(&self) -> impl Iterator<Item = &Arc<ServiceRow>> {
        self.namespaces.values().flat_map(|shard| shard.services.values()).map(|entry| &entry.row)
    }

    fn keys(&self, kind: Watched, scope: Option<&str>) -> Vec<(Word, Word)> {
        if kind.is_optional() {
            return self.routes.keys(kind == Watched::VirtualService, scope);
        }
        let mut keys = Vec::new();
        let shards = self.namespaces.iter().filter(|(name, _)| scope.is_none_or(|scope| &***name == scope));
        for (namespace, shard) in shards {
            let mut add = |name: &Word| keys.push((namespace.clone(), name.clone()));
            match kind {
                Watched::Namespace => shard.row.iter().for_each(|row| add(&row.name)),
                Watched::Service => shard.services.keys().for_each(add),
                Watched::EndpointSlice => shard.slices.keys().for_each(add),
                Watched::Pod => shard.pods.keys().for_each(add),
                Watched::Deployment => shard.deployments.keys().for_each(add),
                Watched::StatefulSet => shard.stateful_sets.keys().for_each(add),
                Watched::VirtualService | Watched::DestinationRule => {}
            }
        }
        keys
    }

    fn put_namespace(&mut self, row: NamespaceRow, touched: &mut Touched) {
        let shard = self.namespaces.entry(row.name.clone()).or_default();
        touched.namespaces |= shard.row.is_none();
        if shard.row.as_ref().is_some_and(|old| old.ambient) != row.ambient {
            touched.services.extend(shard.services.keys().map(|name| (row.name.clone(), name.clone())));
        }
        shard.row = Some(row);
    }

    fn put_service(&mut self, row: Arc<ServiceRow>, touched: &mut Touched) {
        let shard = self.namespaces.entry(row.namespace.clone()).or_default();
        let old = shard.services.get(&row.name);
        if old.is_some_and(|old| *old.row == *row) {
            return;
        }
        let (namespace, name) = (row.namespace.clone(), row.name.clone());
        self.put_service_row(row, touched);
        self.touch_beside(&namespace, &name, touched);
    }

    /// Touches the services whose routes name this one, too.
    fn touch_beside(&self, namespace: &Word, name: &Word, touched: &mut Touched) {
        let ctx = Ctx { domain: &self.facts.domain, words: &self.facts.words };
        self.touch(self.routes.beside(namespace, name, &ctx), touched);
    }

    fn put_service_row(&mut self, row: Arc<ServiceRow>, touched: &mut Touched) {
        let shard = self.namespaces.entry(row.namespace.clone()).or_default();
        let old = shard.services.get(&row.name);
        touched.set |= old.is_none();
        touched.services.insert((row.namespace.clone(), row.name.clone()));
        if let Some(anchor) = old.and_then(|old| old.anchor.clone()) {
            shard.finder.remove_service(&row.name, &anchor);
        }
        let added = row.chooses().and_then(|selector| shard.finder.add_service(&row.name, selector));
        let anchor = added.map(|(anchor, key_is_new)| {
            if key_is_new {
                let workloads = shard.deployments.values().chain(shard.stateful_sets.values());
                shard.finder.index(&anchor.0, shard.pods.values(), workloads);
            }
            anchor
        });
        shard.services.insert(row.name.clone(), Entry { row, anchor, joined: OnceLock::new() });
    }

    fn put_slice(&mut self, row: &Arc<SliceRow>, touched: &mut Touched) {
        let shard = self.namespaces.entry(row.namespace.clone()).or_default();
        if shard.slices.get(&row.name) == Some(row) {
            return;
        }
        shard.remove_slice(&row.name, touched);
        shard.slices.insert(row.name.clone(), Arc::clone(row));
        shard
            .slices_of
            .entry(row.service.clone())
            .or_insert_with(|| Vec::with_capacity(1))
            .push(Arc::clone(row));
        touched.services.insert((row.namespace.clone(), row.service.clone()));
    }

    fn put_pod(&mut self, row: &Arc<PodRow>, touched: &mut Touched) {
        let shard = self.namespaces.entry(row.namespace.clone()).or_default();
        if let Some(old) = shard.pods.get(&row.name).cloned() {
            if old == *row {
                return;
            }
            shard.finder.remove_pod(&old);
            shard.touch_choosers(&old.labels, &row.namespace, touched);
        }
        shard.finder.add_pod(row);
        shard.touch_choosers(&row.labels, &row.namespace, touched);
        shard.pods.insert(row.name.clone(), Arc::clone(row));
    }

    fn put_workload(&mut self, row: &Arc<WorkloadRow>, touched: &mut Touched) {
        let shard = self.namespaces.entry(row.namespace.clone()).or_default();
        if let Some(old) = shard.workloads_of(row.kind).get(&row.name).cloned() {
            if old == *row {
                return;
            }
            shard.finder.remove_workload(&old);
            shard.touch_choosers(&old.pod_labels, &row.namespace, touched);
        }
        shard.finder.add_workload(row);
        shard.touch_choosers(&row.pod_labels, &row.namespace, touched);
        shard.workloads_of(row.kind).insert(row.name.clone(), Arc::clone(row));
    }

    fn set_route(&mut self, kind: Watched, key: &(Word, Word), row: Option<Row>, touched: &mut Touched) {
        let ctx = Ctx { domain: &self.facts.domain, words: &self.facts.words };
        let hosts = match (kind, row) {
            (Watched::VirtualService, Some(Row::VirtualService(object))) => {
                self.routes.set_virtual_service(key, Some(object), &ctx)
            }
            (Watched::VirtualService, None) => self.routes.set_virtual_service(key, None, &ctx),
            (_, Some(Row::DestinationRule(object))) => {
                self.routes.set_destination_rule(key, Some(object), &ctx)
            }
            (_, _) => self.routes.set_destination_rule(key, None, &ctx),
        };
        self.touch(hosts, touched);
    }

    fn touch(&self, hosts: HashSet<HostKey>, touched: &mut Touched) {
        for host in hosts {
            match host {
                HostKey::All => touched.all = true,
                HostKey::Service(namespace, name) => {
                    touched.services.insert((namespace, name));
                }
                HostKey::Namespace(namespace) => {
                    let services =
                        self.namespaces.get(&namespace).into_iter().flat_map(|s| s.services.keys());
                    touched.services.extend(services.map(|name| (namespace.clone(), name.clone())));
                }
            }
        }
    }
}

impl Shard {
    pub fn workloads_of(&mut self, kind: WorkloadKind) -> &mut HashMap<Word, Arc<WorkloadRow>> {
        match kind {
            WorkloadKind::Deployment => &mut self.deployments,
            WorkloadKind::StatefulSet => &mut self.stateful_sets,
        }
    }

    fn remove_slice(&mut self, name: &Word, touched: &mut Touched) {
        if let Some(old) = self.slices.remove(name) {
            super::find::remove(&mut self.slices_of, &old.service, |other| Arc::ptr_eq(other, &old));
            touched.services.insert((old.namespace.clone(), old.service.clone()));
        }
    }

    /// Touches the services that choose these labels.
    fn touch_choosers(&self, labels: &LabelSet, namespace: &Word, touched: &mut Touched) {
        touched.services.extend(self.choosers(labels).map(|name| (namespace.clone(), name.clone())));
    }

    /// The services whose selector holds for these labels.
    fn choosers<'a>(&'a self, labels: &'a LabelSet) -> impl Iterator<Item = &'a Word> {
        self.finder.candidates(labels).filter(|name| {
            let chooses = self.services.get(*name).and_then(|entry| entry.row.chooses());
            chooses.is_some_and(|selector| selector.selects(labels))
        })
    }

    fn is_empty(&self) -> bool {
        self.row.is_none()
            && self.services.is_empty()
            && self.slices.is_empty()
            && self.pods.is_empty()
            && self.deployments.is_empty()
            && self.stateful_sets.is_empty()
    }
}
