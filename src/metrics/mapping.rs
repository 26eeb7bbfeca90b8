//! From workloads to versions: the mesh counts by workload, people think in versions. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::ids::VersionName;
use crate::domain::labels::LabelSet;
use crate::domain::observed::{Observed, Sample, VersionTraffic};
use crate::domain::service::Version;
use crate::domain::snapshot::Snapshot;

/// The counts of one service by version, oldest version first. `None` without a single request, and where a workload
/// has pods of several versions that the mesh counts as one: then it is unknown which of them answered.
///
/// A workload that the snapshot knows decides, of one that several versions share the version label; else the version
/// label alone. What belongs to no version that
/// exists now (a retired one; `unknown`, when no pod answered) keeps its own name at the end: leaving it
/// out would make the others' shares too large.
///
/// What a route sends to a sibling Service is counted under that Service's name, and belongs to this one. Requests by
/// callers who ask for the sibling itself cannot be distinguished from those.
pub fn observed(
    snapshot: &Snapshot,
    services: &HashMap<Arc<str>, Vec<Sample>>,
    window_s: u32,
    at_ms: i64,
) -> Option<Observed> {
    let mut versions: Vec<VersionTraffic> = Vec::new();
    let named = std::iter::once(&snapshot.service.at.name).chain(snapshot.siblings());
    let samples = named.filter_map(|name| services.get(name)).flatten();
    for sample in samples.filter(|sample| sample.requests > 0.0) {
        let name = version_of(snapshot, sample)?;
        match versions.iter_mut().find(|version| version.version == name) {
            Some(version) => {
                version.requests += sample.requests;
                version.errors += sample.errors;
                // Percentiles cannot be added; of several workloads the slowest is shown.
                version.p95_ms = match (version.p95_ms, sample.p95_ms) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    _ => None,
                };
            }
            None => versions.push(VersionTraffic {
                version: name,
                requests: sample.requests,
                errors: sample.errors.min(sample.requests),
                p95_ms: sample.p95_ms,
            }),
        }
    }
    let place = |name: &VersionName| {
        snapshot.versions.iter().position(|version| version.name == *name).unwrap_or(usize::MAX)
    };
    versions
        .sort_by(|a, b| place(&a.version).cmp(&place(&b.version)).then_with(|| a.version.cmp(&b.version)));
    (!versions.is_empty()).then_some(Observed { window_s, at_ms, versions })
}

/// The version that a sample is of; `None` where that cannot be known.
fn version_of(snapshot: &Snapshot, sample: &Sample) -> Option<VersionName> {
    let of_workload =
        |version: &&Version| version.workloads.iter().any(|workload| workload.name == sample.workload);
    let known: Vec<&Version> = snapshot.versions.iter().filter(of_workload).collect();
    match known[..] {
        [] => {}
        [only] => return Some(only.name.clone()),
        _ => {
            let mut labelled = known.iter().filter(|version| is_labelled(version, &sample.version));
            let first = labelled.next()?;
            return labelled.next().is_none().then(|| first.name.clone());
        }
    }
    Some(match &*sample.version {
        "" | "unknown" | "latest" if !is_unknown(&sample.workload) => {
            VersionName::trusted(sample.workload.clone())
        }
        "" => VersionName::from("unknown"),
        label => VersionName::from(label),
    })
}

/// The labels from which the mesh takes the version of what it counts, in its order.
const COUNTED_BY: [&str; 3] = ["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"];

/// True when the mesh counts pods of this version under this name.
fn is_labelled(version: &Version, counted: &str) -> bool {
    let name = |labels: &LabelSet| COUNTED_BY.iter().find_map(|key| labels.get(key)).cloned();
    version.live().any(|at| name(&version.pods[at].labels).as_deref() == Some(counted))
}

fn is_unknown(workload: &str) -> bool {
    workload.is_empty() || workload == "unknown"
}
