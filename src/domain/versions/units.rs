//! What makes pods: a workload, a ReplicaSet that no known workload owns, or nobody. The pods of one unit, by their
//! labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::labels::{LabelSet, is_generated};
use super::super::service::{Labels, MOST_WAITING, PodCause, WaitingPod, WorkloadKind};
use super::{OwnerKind, PodFacts, PodOwner, WorkloadFacts};

/// What makes pods, and the pods that it made.
pub struct Unit<'a> {
    /// What its pods are called where no label names them.
    pub name: Arc<str>,
    pub workload: Option<&'a WorkloadFacts>,
    /// Of pods without a workload: last.
    pub created_ms: i64,
    pub groups: Vec<Group>,
    /// A pair that all its pods have and no other unit's: how a subset can select them although no key names them.
    pub telling: Labels,
}

/// The pods of a unit with the same labels.
pub struct Group {
    pub labels: LabelSet,
    pub ready: u32,
    /// Those that are going are not counted.
    pub total: u32,
    /// The name of a target port that a pod has not.
    pub lacks: Option<Arc<str>>,
    /// Those that are not ready and not going, at most [`MOST_WAITING`]: pods with a cause first.
    pub waiting: Vec<WaitingPod>,
    pub images: Images,
}

impl Group {
    fn new(labels: LabelSet) -> Self {
        Self { labels, ready: 0, total: 0, lacks: None, waiting: Vec::new(), images: Images::default() }
    }

    fn add(&mut self, pod: &PodFacts) {
        self.ready += u32::from(pod.ready);
        self.total += u32::from(!pod.terminating);
        if !pod.ready && !pod.terminating {
            self.lacks = self.lacks.take().or_else(|| pod.lacks.clone());
            self.waits(pod);
        }
        let image = self.images.0.entry(pod.image.clone()).or_default();
        image.0 += u32::from(pod.ready);
        image.1 += u32::from(!pod.terminating);
    }

    fn waits(&mut self, pod: &PodFacts) {
        let lacks = || pod.lacks.as_ref().map(|port| Arc::new(PodCause::no_target_port(port)));
        let waiting = WaitingPod { name: pod.name.clone(), cause: pod.cause.clone().or_else(lacks) };
        if self.waiting.len() < MOST_WAITING {
            self.waiting.push(waiting);
        } else if pod.cause.is_some()
            && let Some(other) = self.waiting.iter_mut().find(|other| other.cause.is_none())
        {
            *other = waiting;
        }
    }
}

/// The images that pods run: how many of them take traffic, and how many there are.
#[derive(Default)]
pub struct Images(BTreeMap<Arc<str>, (u32, u32)>);

impl Images {
    pub fn of(groups: &[&Group]) -> Self {
        let mut all = Self::default();
        for group in groups {
            all.add(&group.images);
        }
        all
    }

    pub fn add(&mut self, other: &Self) {
        for (image, (ready, total)) in &other.0 {
            let sum = self.0.entry(image.clone()).or_default();
            *sum = (sum.0 + ready, sum.1 + total);
        }
    }

    /// True when a pod runs it.
    pub fn has(&self, image: &Arc<str>) -> bool {
        self.0.contains_key(image)
    }

    /// The image that most pods run: of those that take traffic, else of all.
    pub fn most(&self) -> Option<Arc<str>> {
        let most = self.0.iter().filter(|(image, _)| !image.is_empty()).max_by_key(|(_, counts)| **counts);
        most.map(|(image, _)| image.clone())
    }
}

impl Unit<'_> {
    /// The pods that the workload still wants, with the labels of its template.
    pub fn template(&self) -> Option<Group> {
        let workload = self.workload?;
        let there: u32 = self.groups.iter().map(|group| group.total).sum();
        let total = workload.wanted.saturating_sub(there);
        Some(Group { total, ..Group::new(workload.pod_labels.clone()) })
    }

    /// The labels by which the unit is looked at: those of its pods, else of its template.
    pub fn labels(&self) -> impl Iterator<Item = &LabelSet> {
        let template = self.workload.filter(|_| self.groups.is_empty()).map(|workload| &workload.pod_labels);
        self.groups.iter().map(|group| &group.labels).chain(template)
    }

    /// The value of a key that all its pods share.
    pub fn value(&self, key: &str) -> Option<&Arc<str>> {
        let mut values = self.labels().map(|labels| labels.get(key));
        let first = values.next()??;
        values.all(|value| value == Some(first)).then_some(first).filter(|value| !value.is_empty())
    }
}

/// Beyond this, what tells a unit from all others is not looked for: it costs the square.
const MOST_UNITS: usize = 64;

/// What makes the pods behind a service.
pub fn of<'a>(workloads: &'a [WorkloadFacts], pods: &[PodFacts]) -> Vec<Unit<'a>> {
    let mut units: Vec<Unit<'a>> = workloads
        .iter()
        .map(|workload| Unit {
            name: workload.name.clone(),
            workload: Some(workload),
            created_ms: workload.created_ms,
            groups: Vec::new(),
            telling: Labels::new(),
        })
        .collect();
    let mut owners: BTreeMap<&PodOwner, usize> = BTreeMap::new();
    for pod in pods {
        let at = match (workload_of(workloads, pod), &pod.owner) {
            (Some(at), _) => at,
            (None, Some(owner)) => *owners.entry(owner).or_insert_with(|| {
                let name = match &owner.hash {
                    Some(hash) => format!("{}-{hash}", owner.name).into(),
                    None => owner.name.clone(),
                };
                units.push(without_workload(name));
                units.len() - 1
            }),
            (None, None) => {
                units.push(without_workload(pod.name.clone()));
                units.len() - 1
            }
        };
        let Some(unit) = units.get_mut(at) else { continue };
        if let Some(group) = unit.groups.iter_mut().find(|group| group.labels == pod.labels) {
            group.add(pod);
        } else {
            let mut group = Group::new(pod.labels.clone());
            group.add(pod);
            unit.groups.push(group);
        }
    }
    if (2..=MOST_UNITS).contains(&units.len()) {
        let telling: Vec<Labels> = (0..units.len()).map(|at| telling(&units, at)).collect();
        for (unit, telling) in units.iter_mut().zip(telling) {
            unit.telling = telling;
        }
    }
    units
}

fn without_workload(name: Arc<str>) -> Unit<'static> {
    Unit { name, workload: None, created_ms: i64::MAX, groups: Vec::new(), telling: Labels::new() }
}

/// The workload that made a pod: as the pod says, else by selector.
fn workload_of(workloads: &[WorkloadFacts], pod: &PodFacts) -> Option<usize> {
    if let Some(owner) = &pod.owner {
        let kind = match owner.kind {
            OwnerKind::ReplicaSet => WorkloadKind::Deployment,
            OwnerKind::StatefulSet => WorkloadKind::StatefulSet,
            OwnerKind::Other => return None,
        };
        return workloads.iter().position(|workload| workload.kind == kind && workload.name == owner.name);
    }
    // A selector may choose another workload's pods too: the one that asks for most is theirs.
    let chosen = workloads
        .iter()
        .enumerate()
        .filter(|(_, workload)| !workload.selector.is_empty() && workload.selector.selects(&pod.labels));
    chosen.max_by_key(|(_, workload)| workload.selector.len()).map(|(at, _)| at)
}

/// The first pair that all pods of a unit have and no pod of another.
fn telling(units: &[Unit<'_>], at: usize) -> Labels {
    let Some(first) = units[at].labels().next() else { return Labels::new() };
    let own = |key: &str, value: &str| units[at].labels().all(|labels| labels.has(key, value));
    let others = |key: &str, value: &str| {
        let all = units.iter().enumerate().filter(|(other, _)| *other != at);
        all.flat_map(|(_, unit)| unit.labels()).any(|labels| labels.has(key, value))
    };
    let mut pairs = first.iter().filter(|(key, value)| !is_generated(key) && !value.is_empty());
    let found = pairs.find(|(key, value)| own(key, value) && !others(key, value));
    found.cloned().into_iter().collect()
}
