//! From workloads to versions: the mesh counts by workload, people think in versions. Pure.

use crate::domain::ids::VersionName;
use crate::domain::observed::{Observed, Sample, VersionTraffic};
use crate::domain::snapshot::Snapshot;

/// The counts of one service by version, oldest version first. `None` without a single request.
///
/// A workload that the snapshot knows decides; else the version label. What belongs to no version that
/// exists now (a retired one; `unknown`, when nobody answered) keeps its own name at the end: leaving it
/// out would make the others' shares too large.
pub fn observed(snapshot: &Snapshot, samples: &[Sample], window_s: u32, at_ms: i64) -> Option<Observed> {
    let mut versions: Vec<VersionTraffic> = Vec::new();
    for sample in samples.iter().filter(|sample| sample.requests > 0.0) {
        let name = version_of(snapshot, sample);
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

fn version_of(snapshot: &Snapshot, sample: &Sample) -> VersionName {
    let by_workload = snapshot
        .versions
        .iter()
        .find(|version| version.workloads.iter().any(|workload| workload.name == sample.workload));
    if let Some(version) = by_workload {
        return version.name.clone();
    }
    match &*sample.version {
        "" | "unknown" | "latest" if !is_unknown(&sample.workload) => {
            VersionName::trusted(sample.workload.clone())
        }
        "" => VersionName::from("unknown"),
        label => VersionName::from(label),
    }
}

fn is_unknown(workload: &str) -> bool {
    workload.is_empty() || workload == "unknown"
}
