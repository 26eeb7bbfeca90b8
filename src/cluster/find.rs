//! Selector index: the services that select a set of labels, and the pods and workloads of a service: joined
//! through one label pair of each selector (its anchor), so that an event costs its own labels and not services ×
//! pods.

use std::collections::HashMap;
use std::sync::Arc;

use super::rows::{PodRow, WorkloadRow};
use super::words::{LabelSet, Pair, Word};

/// The joins of one namespace.
#[derive(Default)]
pub(super) struct Finder {
    /// Services by the anchor of their selector.
    services: HashMap<Pair, Vec<Word>>,
    /// How many services are anchored on a key: pods and workloads are indexed by these keys only.
    keys: HashMap<Word, usize>,
    pods: HashMap<Pair, Vec<Arc<PodRow>>>,
    workloads: HashMap<Pair, Vec<Arc<WorkloadRow>>>,
}

/// Something with labels that selectors choose.
pub(super) trait Chosen {
    fn labels(&self) -> &LabelSet;
}

impl Chosen for PodRow {
    fn labels(&self) -> &LabelSet {
        &self.labels
    }
}

impl Chosen for WorkloadRow {
    fn labels(&self) -> &LabelSet {
        &self.pod_labels
    }
}

impl Finder {
    /// Adds a service; returns its anchor and whether the anchor's key is new, in which case everything in
    /// the namespace must be [`index`](Self::index)ed by that key.
    pub fn add_service(&mut self, name: &Word, selector: &LabelSet) -> Option<(Pair, bool)> {
        // The pair that the fewest services are anchored on; among equals one whose key is indexed already.
        let anchor = selector
            .iter()
            .min_by_key(|pair| {
                (self.services.get(*pair).map_or(0, Vec::len), !self.keys.contains_key(&pair.0))
            })?
            .clone();
        self.services.entry(anchor.clone()).or_default().push(Arc::clone(name));
        let users = self.keys.entry(Arc::clone(&anchor.0)).or_default();
        *users += 1;
        Some((anchor, *users == 1))
    }

    /// Removes a service from its anchor.
    pub fn remove_service(&mut self, name: &Word, anchor: &Pair) {
        remove(&mut self.services, anchor, |other| other == name);
        if let Some(users) = self.keys.get_mut(&anchor.0) {
            *users -= 1;
            if *users == 0 {
                self.keys.remove(&anchor.0);
                self.pods.retain(|pair, _| pair.0 != anchor.0);
                self.workloads.retain(|pair, _| pair.0 != anchor.0);
            }
        }
    }

    /// Indexes what is there by a key that is new.
    pub fn index<'a>(
        &mut self,
        key: &Word,
        pods: impl Iterator<Item = &'a Arc<PodRow>>,
        workloads: impl Iterator<Item = &'a Arc<WorkloadRow>>,
    ) {
        for pod in pods {
            if let Some(value) = pod.labels.get(key) {
                self.pods.entry((key.clone(), value.clone())).or_default().push(Arc::clone(pod));
            }
        }
        for workload in workloads {
            if let Some(value) = workload.pod_labels.get(key) {
                self.workloads.entry((key.clone(), value.clone())).or_default().push(Arc::clone(workload));
            }
        }
    }

    pub fn add_pod(&mut self, pod: &Arc<PodRow>) {
        add(&mut self.pods, &self.keys, pod);
    }

    pub fn remove_pod(&mut self, pod: &Arc<PodRow>) {
        for pair in pod.labels.iter().filter(|pair| self.keys.contains_key(&pair.0)) {
            remove(&mut self.pods, pair, |other| Arc::ptr_eq(other, pod));
        }
    }

    pub fn add_workload(&mut self, workload: &Arc<WorkloadRow>) {
        add(&mut self.workloads, &self.keys, workload);
    }

    pub fn remove_workload(&mut self, workload: &Arc<WorkloadRow>) {
        for pair in workload.pod_labels.iter().filter(|pair| self.keys.contains_key(&pair.0)) {
            remove(&mut self.workloads, pair, |other| Arc::ptr_eq(other, workload));
        }
    }

    /// Services whose anchor is among the labels; whether their whole selector holds is for the caller to see.
    pub fn candidates<'a>(&'a self, labels: &'a LabelSet) -> impl Iterator<Item = &'a Word> {
        labels.iter().filter_map(|pair| self.services.get(pair)).flatten()
    }

    /// The pods that a selector with this anchor chooses.
    pub fn pods<'a>(
        &'a self,
        anchor: &Pair,
        selector: &'a LabelSet,
    ) -> impl Iterator<Item = &'a Arc<PodRow>> {
        chosen(&self.pods, anchor, selector)
    }

    /// The workloads whose pods a selector with this anchor chooses.
    pub fn workloads<'a>(
        &'a self,
        anchor: &Pair,
        selector: &'a LabelSet,
    ) -> impl Iterator<Item = &'a Arc<WorkloadRow>> {
        chosen(&self.workloads, anchor, selector)
    }
}

fn chosen<'a, T: Chosen>(
    index: &'a HashMap<Pair, Vec<Arc<T>>>,
    anchor: &Pair,
    selector: &'a LabelSet,
) -> impl Iterator<Item = &'a Arc<T>> {
    index.get(anchor).into_iter().flatten().filter(|one| selector.selects(one.labels()))
}

fn add<T: Chosen>(index: &mut HashMap<Pair, Vec<Arc<T>>>, keys: &HashMap<Word, usize>, one: &Arc<T>) {
    for pair in one.labels().iter().filter(|pair| keys.contains_key(&pair.0)) {
        index.entry(pair.clone()).or_insert_with(|| Vec::with_capacity(1)).push(Arc::clone(one));
    }
}

/// Takes one entry out of a list of an index, and the list when it is empty.
pub(super) fn remove<K: std::hash::Hash + Eq, T>(
    index: &mut HashMap<K, Vec<T>>,
    key: &K,
    is_it: impl Fn(&T) -> bool,
) {
    if let Some(list) = index.get_mut(key) {
        if let Some(at) = list.iter().position(is_it) {
            list.swap_remove(at);
        }
        if list.is_empty() {
            index.remove(key);
        }
    }
}
