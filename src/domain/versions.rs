//! From workloads and pods to versions: which pods behind a Service belong together.
//!
//! Rule (product.md): the `version` label, then `app.kubernetes.io/version` (configurable); workloads
//! without such a label are told apart by the pod labels in which they differ, else by their names.
//! Pure; called by the catalogue for lists and by the fresh reading before a write.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ids::VersionName;
use super::service::{Labels, Version, Workload, WorkloadKind, selects};

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
    pub selector: Labels,
    /// Labels of the pod template.
    pub pod_labels: Labels,
}

/// A pod, as far as versions are concerned.
#[derive(Clone, Debug)]
pub struct PodFacts {
    pub name: Arc<str>,
    pub labels: Labels,
    /// A ready endpoint of the service (EndpointSlice: ready, not terminating).
    pub ready: bool,
    pub terminating: bool,
    /// Why it is not ready, when the cluster says.
    pub cause: Option<Arc<str>>,
    pub image: Arc<str>,
}

/// Groups what stands behind a Service (already chosen by its selector) into versions, oldest first.
pub fn group(workloads: &[WorkloadFacts], pods: &[PodFacts], keys: &VersionKeys) -> Vec<Version> {
    let told_apart_by = differing_key(workloads, keys);
    let mut versions: BTreeMap<VersionName, Version> = BTreeMap::new();
    let entry = |name: VersionName, subset_labels: Labels, created_ms: i64| Version {
        name,
        subset_labels,
        pod_labels: Vec::new(),
        workloads: Vec::new(),
        ready: 0,
        total: 0,
        cause: None,
        created_ms,
    };
    for workload in workloads {
        let (name, labels) = name_of(&workload.pod_labels, keys, told_apart_by.as_ref())
            .unwrap_or_else(|| (VersionName::trusted(workload.name.clone()), Labels::new()));
        let version =
            versions.entry(name.clone()).or_insert_with(|| entry(name, labels, workload.created_ms));
        version.created_ms = version.created_ms.min(workload.created_ms);
        if !version.pod_labels.contains(&workload.pod_labels) {
            version.pod_labels.push(workload.pod_labels.clone());
        }
        version.total += workload.wanted;
        version.workloads.push(Workload {
            kind: workload.kind,
            name: workload.name.clone(),
            image: workload.image.clone(),
            wanted: workload.wanted,
        });
    }
    let mut seen: BTreeMap<VersionName, u32> = BTreeMap::new();
    for pod in pods {
        // A selector may choose another workload's pods too: the one that asks for most is theirs.
        let own = workloads
            .iter()
            .filter(|w| !w.selector.is_empty() && selects(&w.selector, &pod.labels))
            .max_by_key(|w| w.selector.len());
        let template = own.map_or(&pod.labels, |workload| &workload.pod_labels);
        let (name, labels) = name_of(template, keys, told_apart_by.as_ref()).unwrap_or_else(|| {
            let name = own.map_or(&pod.name, |workload| &workload.name);
            (VersionName::trusted(name.clone()), Labels::new())
        });
        let version = versions.entry(name.clone()).or_insert_with(|| entry(name.clone(), labels, i64::MAX));
        if own.is_none() && !version.pod_labels.contains(&pod.labels) {
            version.pod_labels.push(pod.labels.clone());
        }
        if !pod.terminating {
            *seen.entry(name).or_default() += 1;
        }
        if pod.ready {
            version.ready += 1;
        } else if version.cause.is_none() {
            version.cause.clone_from(&pod.cause);
        }
    }
    for (name, count) in seen {
        if let Some(version) = versions.get_mut(&name) {
            version.total = version.total.max(count);
        }
    }
    let mut versions: Vec<Version> = versions.into_values().collect();
    versions.sort_by(|a, b| {
        a.created_ms.cmp(&b.created_ms).then_with(|| natural(a.name.as_str(), b.name.as_str()))
    });
    versions
}

fn name_of(labels: &Labels, keys: &VersionKeys, apart: Option<&Arc<str>>) -> Option<(VersionName, Labels)> {
    keys.0.iter().chain(apart).find_map(|key| {
        let value = labels.get(key).filter(|value| !value.is_empty())?;
        Some((VersionName::trusted(value.clone()), Labels::from([(key.clone(), value.clone())])))
    })
}

/// The one label key (least in order) that every unnamed workload carries with a value of its own.
fn differing_key(workloads: &[WorkloadFacts], keys: &VersionKeys) -> Option<Arc<str>> {
    let unnamed: Vec<&WorkloadFacts> =
        workloads.iter().filter(|workload| name_of(&workload.pod_labels, keys, None).is_none()).collect();
    let first = unnamed.first()?;
    if unnamed.len() < 2 {
        return None;
    }
    let differs = |key: &&Arc<str>| {
        let mut values: Vec<_> = unnamed.iter().map(|w| w.pod_labels.get(*key)).collect();
        values.sort_unstable();
        values[0].is_some() && values.windows(2).all(|pair| pair[0] != pair[1])
    };
    first.pod_labels.keys().find(differs).cloned()
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
