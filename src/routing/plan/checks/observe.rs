//! Checks on what the metrics show. Called by `services`, which has them.

use crate::domain::command::Command;
use crate::domain::ids::VersionName;
use crate::domain::observed::Observed;
use crate::domain::plan::Planned;
use crate::domain::refusal::{Check, Code};
use crate::domain::snapshot::Snapshot;

use super::super::super::Policy;
use super::{acknowledge, info, relax};

/// Checks on what the metrics show of the versions that get more. `down_since_ms`: a source is configured
/// and has been silent since then.
pub fn observe(
    planned: &Planned,
    snapshot: &Snapshot,
    observed: Option<&Observed>,
    down_since_ms: Option<i64>,
    command: &Command,
    policy: &Policy,
) -> Vec<Check> {
    let mut out = Vec::new();
    let gains = planned.effect.deltas().into_iter().filter(|(_, delta)| *delta > 0);
    let known = |name: &VersionName| snapshot.versions.iter().any(|version| version.name == *name);
    let rising: Vec<VersionName> = gains.map(|(name, _)| name).filter(known).collect();
    match (observed, down_since_ms) {
        (Some(observed), _) => {
            for name in &rising {
                let seen = observed.of(name.as_str()).filter(|seen| seen.requests > 0.0);
                let Some(seen) = seen else {
                    out.push(info(Code::NoBaseline).arg("v", name));
                    continue;
                };
                if let Some(percent) = seen.poor_percent(policy.min_success_percent) {
                    out.push(
                        acknowledge(Code::Unhealthy)
                            .arg("v", name)
                            .arg("p", format!("{percent:.1}"))
                            .arg("q", format!("{:.1}", policy.min_success_percent)),
                    );
                }
            }
        }
        (None, Some(since)) if !rising.is_empty() => out.push(acknowledge(Code::NoMetrics).arg("t", since)),
        (None, _) => {}
    }
    if command.goes_back() {
        relax(&mut out);
    }
    out
}
