//! The other Services that send requests to pods that are to go: by the pods' own labels, with or without a route.

use std::collections::HashSet;
use std::sync::Arc;

use crate::domain::ids::ServiceRef;
use crate::domain::labels::LabelSet;
use crate::domain::service::WorkloadKind;
use crate::domain::versions::OwnerKind;

use super::rows::PodRow;
use super::state::State;
use super::words::Word;

/// Pods that go with their workloads.
pub struct Departing<'a> {
    /// Their labels.
    pub labels: Vec<&'a LabelSet>,
    /// The workloads that made them.
    pub workloads: Vec<(WorkloadKind, &'a str)>,
}

/// A Service that selects some of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chooser {
    pub name: Arc<str>,
    /// Its ready pods that stay.
    pub stay: usize,
}

impl Departing<'_> {
    /// A pod of another workload with the same labels stays.
    fn has(&self, pod: &PodRow) -> bool {
        let made = pod.owner.as_ref().is_none_or(|owner| {
            self.workloads.iter().any(|(kind, name)| {
                let kind = match kind {
                    WorkloadKind::Deployment => OwnerKind::ReplicaSet,
                    WorkloadKind::StatefulSet => OwnerKind::StatefulSet,
                };
                owner.kind == kind && *owner.name == **name
            })
        });
        made && !pod.ended && !pod.terminating && self.labels.iter().any(|labels| **labels == pod.labels)
    }
}

impl State {
    /// The Services of a namespace, but for one, that select pods that go. In no order.
    pub fn services_selecting(&self, but: &ServiceRef, departing: &Departing<'_>) -> Vec<Chooser> {
        let Some(shard) = self.namespaces.get(but.namespace.as_str()) else { return Vec::new() };
        let mut names: HashSet<&Word> =
            departing.labels.iter().flat_map(|labels| shard.finder.candidates(labels)).collect();
        names.remove(&but.name);
        let chooser = |name: &Word| {
            let entry = shard.services.get(name)?;
            let (anchor, selector) = (entry.anchor.as_ref()?, entry.row.chooses()?);
            if !shard.finder.pods(anchor, selector).any(|pod| departing.has(pod)) {
                return None;
            }
            let slices = shard.slices_of.get(name).into_iter().flatten();
            let slices = slices.filter(|slice| entry.row.lacks(slice).is_none());
            let stays = |name: &&Word| shard.pods.get(*name).is_some_and(|pod| !departing.has(pod));
            let stay = slices.flat_map(|slice| &slice.ready).filter(stays).collect::<HashSet<_>>().len();
            Some(Chooser { name: name.clone(), stay })
        };
        names.into_iter().filter_map(chooser).collect()
    }
}
