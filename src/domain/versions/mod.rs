//! From workloads and pods to versions: which pods behind a Service belong together.
//!
//! A version is a set of pods, and a pod's own labels say to which it belongs; a workload's template counts only for
//! pods that do not exist yet. One workload may have pods of several versions (a rolling update that changes the
//! label), one version may have several workloads. How versions are named: [`naming`].
//! Pure; called by the catalogue for lists and by the fresh reading before a write.

mod naming;
mod pools;
mod units;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ids::VersionName;
use super::labels::LabelSet;
use super::service::{
    Labels, MOST_WAITING, PodCause, PodGroup, PodTemplate, Version, Workload, WorkloadKind,
};

use self::naming::Naming;
use self::units::{Group, Images, Unit};

pub use self::pools::Pools;

/// The label keys that name a version, in order of preference.
#[derive(Clone, Debug)]
pub struct VersionKeys(pub Vec<Arc<str>>);

impl Default for VersionKeys {
    fn default() -> Self {
        Self(vec!["version".into(), "app.kubernetes.io/version".into()])
    }
}

/// A workload, as far as versions are concerned.
#[derive(Clone, Debug)]
pub struct WorkloadFacts {
    pub kind: WorkloadKind,
    pub name: Arc<str>,
    pub created_ms: i64,
    pub image: Arc<str>,
    pub wanted: u32,
    /// `spec.selector.matchLabels`: which pods are its own.
    pub selector: LabelSet,
    /// Labels of the pod template.
    pub pod_labels: LabelSet,
    /// As [`Workload::going`].
    pub going: Option<Arc<str>>,
    pub template: PodTemplate,
}

/// A pod, as far as versions are concerned.
#[derive(Clone, Debug)]
pub struct PodFacts {
    pub name: Arc<str>,
    pub labels: LabelSet,
    /// A ready endpoint of the service (EndpointSlice: ready, not terminating).
    pub ready: bool,
    /// It would be one if a port of its containers had this name.
    pub lacks: Option<Arc<str>>,
    pub terminating: bool,
    /// Why it is not ready, when the cluster says.
    pub cause: Option<Arc<PodCause>>,
    pub image: Arc<str>,
    pub owner: Option<PodOwner>,
}

/// The controller of a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodOwner {
    pub kind: OwnerKind,
    /// Of a ReplicaSet that something else made: without the hash, which is the name of what made it.
    pub name: Arc<str>,
    /// The hash that was left out.
    pub hash: Option<Arc<str>>,
}

/// The kinds of controllers of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OwnerKind {
    ReplicaSet,
    StatefulSet,
    Other,
}

/// Groups what stands behind a Service (already chosen by its selector) into versions, oldest first. `pools`: how the
/// service's routing objects tell its pods apart.
pub fn group(
    workloads: &[WorkloadFacts],
    pods: &[PodFacts],
    keys: &VersionKeys,
    pools: &Pools,
) -> Vec<Version> {
    let units = units::of(workloads, pods);
    let naming = Naming::of(&units, keys, pools);
    let mut versions: BTreeMap<VersionName, Draft> = BTreeMap::new();
    for unit in &units {
        add(&mut versions, unit, &naming);
    }
    // Of a workload that was deleted, pods that are ending are no version any more.
    let lives = |draft: &Draft| {
        let version = &draft.version;
        !version.workloads.is_empty() || version.total > 0 || version.ready > 0
    };
    let mut versions: Vec<Draft> = versions.into_values().filter(lives).collect();
    versions.sort_by(|a, b| {
        let (x, y) = (&a.version, &b.version);
        (x.created_ms.cmp(&y.created_ms))
            .then_with(|| a.is_newest.cmp(&b.is_newest))
            .then_with(|| natural(x.name.as_str(), y.name.as_str()))
    });
    versions.into_iter().map(Draft::finish).collect()
}

/// A version while it is put together.
struct Draft {
    version: Version,
    /// It is what a template says, beside pods of that workload that are not.
    is_newest: bool,
    images: Images,
}

impl Draft {
    fn new(name: VersionName, subset_labels: Labels) -> Self {
        let version = Version {
            name,
            subset_labels,
            pods: Vec::new(),
            workloads: Vec::new(),
            image: Arc::default(),
            ready: 0,
            total: 0,
            lacks: None,
            cause: None,
            waiting: Vec::new(),
            created_ms: i64::MAX,
        };
        Self { version, is_newest: false, images: Images::default() }
    }

    fn add(&mut self, group: &Group) {
        let version = &mut self.version;
        version.ready += group.ready;
        version.total += group.total;
        self.images.add(&group.images);
        version.lacks = version.lacks.take().or_else(|| group.lacks.clone());
        if version.cause.is_none() {
            let mut causes = group.waiting.iter().filter_map(|pod| pod.cause.as_ref());
            version.cause = causes.next().map(|cause| cause.reason.clone());
        }
        version.waiting.extend(group.waiting.iter().cloned());
        match version.pods.iter_mut().find(|held| held.labels == group.labels) {
            Some(held) => {
                held.ready += group.ready;
                held.total += group.total;
            }
            None => version.pods.push(PodGroup {
                labels: group.labels.clone(),
                ready: group.ready,
                total: group.total,
            }),
        }
    }

    fn finish(self) -> Version {
        let mut version = self.version;
        let of_template = || version.workloads.first().map(|workload| workload.image.clone());
        version.waiting.sort_by(|a, b| a.name.cmp(&b.name));
        version.waiting.truncate(MOST_WAITING);
        version.image = self.images.most().or_else(of_template).unwrap_or_default();
        version
    }
}

/// Adds the pods of one unit to the versions that they belong to.
fn add(versions: &mut BTreeMap<VersionName, Draft>, unit: &Unit<'_>, naming: &Naming) {
    let name_of = |labels: &LabelSet| {
        naming
            .of_labels(labels)
            .unwrap_or_else(|| (VersionName::trusted(unit.name.clone()), unit.telling.clone()))
    };
    let mut own: BTreeMap<VersionName, (Labels, Vec<&Group>)> = BTreeMap::new();
    for group in &unit.groups {
        let (name, labels) = name_of(&group.labels);
        own.entry(name).or_insert_with(|| (labels, Vec::new())).1.push(group);
    }
    // What the template says: pods that do not exist yet, and what the workload is on its way to.
    let template = unit.template().map(|group| {
        let (name, labels) = match naming.of_labels(&group.labels) {
            Some(named) => named,
            // The controller gives its pods the labels that distinguish versions: more of what there is.
            None => most(&own, unit.workload).unwrap_or_else(|| name_of(&group.labels)),
        };
        (name, labels, group)
    });
    let newest = template.as_ref().map(|(name, ..)| name.clone());
    let shared = own.keys().any(|name| own.len() > 1 || newest.as_ref().is_some_and(|newest| newest != name));
    let mut names: Vec<(VersionName, Labels)> =
        own.iter().map(|(name, (labels, _))| (name.clone(), labels.clone())).collect();
    if let Some((name, labels, _)) = &template
        && !own.contains_key(name)
    {
        names.push((name.clone(), labels.clone()));
    }
    for (name, labels) in names {
        let draft = versions.entry(name.clone()).or_insert_with(|| Draft::new(name.clone(), labels));
        let groups = own.get(&name).map_or(&[][..], |(_, groups)| groups);
        for group in groups {
            draft.add(group);
        }
        let missing = template.as_ref().filter(|(of, ..)| *of == name).map(|(.., group)| group);
        // Beside pods of this version the template's labels mean nothing until a pod of them is wanted.
        if let Some(group) = missing.filter(|group| groups.is_empty() || group.total > 0) {
            draft.add(group);
        }
        draft.version.created_ms = draft.version.created_ms.min(unit.created_ms);
        draft.is_newest |= shared && newest.as_ref() == Some(&name);
        if let Some(workload) = unit.workload {
            let there: u32 = groups.iter().map(|group| group.total).sum();
            let more = missing.map_or(0, |group| group.total);
            draft.version.workloads.push(Workload {
                kind: workload.kind,
                name: workload.name.clone(),
                image: Images::of(groups).most().unwrap_or_else(|| workload.image.clone()),
                wanted: if shared { there + more } else { workload.wanted },
                template: workload.template.clone(),
                shared,
                going: workload.going.clone(),
            });
        }
    }
}

/// The version with most pods; those that run the image of the template go before the others.
fn most(
    own: &BTreeMap<VersionName, (Labels, Vec<&Group>)>,
    workload: Option<&WorkloadFacts>,
) -> Option<(VersionName, Labels)> {
    let is_new = |groups: &[&Group]| {
        workload.is_some_and(|workload| groups.iter().any(|group| group.images.has(&workload.image)))
    };
    let count = |groups: &[&Group]| groups.iter().map(|group| group.total).sum::<u32>();
    let (name, (labels, _)) = own.iter().max_by_key(|(_, (_, groups))| (is_new(groups), count(groups)))?;
    Some((name.clone(), labels.clone()))
}

/// `v2` before `v10`: runs of digits compare as numbers.
fn natural(a: &str, b: &str) -> std::cmp::Ordering {
    let runs = |text: &str| -> Vec<(bool, String)> {
        let mut out: Vec<(bool, String)> = Vec::new();
        for c in text.chars() {
            match out.last_mut() {
                Some((digits, run)) if *digits == c.is_ascii_digit() => run.push(c),
                _ => out.push((c.is_ascii_digit(), c.to_string())),
            }
        }
        out
    };
    for (x, y) in runs(a).iter().zip(&runs(b)) {
        let order = if x.0 && y.0 {
            let (m, n) = (x.1.trim_start_matches('0'), y.1.trim_start_matches('0'));
            m.len().cmp(&n.len()).then_with(|| m.cmp(n))
        } else {
            x.1.cmp(&y.1)
        };
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}
