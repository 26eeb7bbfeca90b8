//! What the analysis of a release will be able to judge, shown before it starts. Pure.

use crate::domain::refusal::{Check, Code, Severity};
use crate::domain::release::{Analysis, Spec, Step, Strategy, validate};
use crate::services::change::Look;

use super::workloads::source_of;

/// The first step whose share brings too few requests to be judged in its window, or ever: reported beforehand,
/// by the current rate (requests a second) and the share that the version has `now` (percent).
pub(super) fn too_slow(spec: &Spec, analysis: &Analysis, rate: f64, now: Option<f64>) -> Option<Check> {
    // A version that has no name yet cannot be judged.
    if spec.candidate.version().as_str().is_empty() {
        return None;
    }
    let deadline = f64::from(spec.policies.step_deadline_s);
    let least = f64::from(analysis.min_requests);
    let mut share = now.filter(|percent| *percent > 0.0);
    for step in &spec.steps {
        let hold = match step {
            Step::Weight { percent } | Step::Mirror { percent } => {
                share = Some(f64::from(*percent)).filter(|percent| *percent > 0.0);
                continue;
            }
            Step::Replicas { candidate, stable: Some(stable) } if spec.strategy == Strategy::Replicas => {
                let all = f64::from(candidate.saturating_add(*stable).max(1));
                share = Some(f64::from(*candidate) * 100.0 / all).filter(|percent| *percent > 0.0);
                continue;
            }
            Step::Hold { seconds } => f64::from(u32::try_from(*seconds).unwrap_or(u32::MAX)),
            Step::Analysis { .. } => 0.0,
            _ => continue,
        };
        let Some(percent) = share else { continue };
        let reach = rate * percent / 100.0;
        let check = |severity, code| {
            Check::new(severity, code)
                .arg("v", spec.candidate.version())
                .arg("n", format!("{:.0}", reach * 60.0))
                .arg("percent", format!("{percent:.0}"))
                .arg("least", analysis.min_requests)
        };
        let needed = if reach > 0.0 { least / reach } else { f64::INFINITY };
        let minutes = |seconds: f64| format!("{:.0}", (seconds / 60.0).ceil());
        let most = hold + deadline;
        if needed > most {
            let fits = (reach * most * 0.8).floor();
            return Some(
                check(Severity::Acknowledge, Code::NeverEnough)
                    .arg("most", minutes(most))
                    .arg("fits", format!("{fits:.0}")),
            );
        }
        if needed > f64::from(analysis.window_s) {
            let check = check(Severity::Info, Code::LowRate)
                .arg("window", minutes(f64::from(analysis.window_s)))
                .arg("better", minutes(needed));
            // The window that is long enough, of those that there are.
            let fits = validate::WINDOWS_S.into_iter().find(|window| f64::from(*window) >= needed);
            return Some(match fits {
                Some(window) => check.arg("advice", format!("window_{window}")),
                None => check,
            });
        }
    }
    None
}

/// By pods: that no step holds while both versions have pods, so that the analysis never looks at the new one before
/// the old one has none.
pub(super) fn blind(spec: &Spec, look: &Look) -> Option<Check> {
    if spec.strategy != Strategy::Replicas || spec.analysis.is_none() {
        return None;
    }
    let has = source_of(&look.snapshot, &spec.stable).map_or(0, |(_, workload)| workload.wanted);
    let in_place = spec.candidate.is_in_place();
    let mut begun = false;
    let mut ends = spec.policies.stable_after == Some(0) && !in_place;
    for step in &spec.steps {
        match step {
            Step::Replicas { candidate, stable } => {
                let last = if in_place { *candidate >= has } else { *stable == Some(0) };
                if last {
                    ends = true;
                    break;
                }
                begun |= *candidate > 0;
            }
            Step::Hold { .. } | Step::Analysis { .. } if begun => return None,
            _ => {}
        }
    }
    let check = Check::new(Severity::Acknowledge, Code::AnalysisBlind);
    ends.then(|| check.arg("v", spec.candidate.version()).arg("stable", &spec.stable))
}

/// That the analysis never looks at the new version, because no step holds while requests reach it, or that it does not
/// look at it once it has all of them.
pub(super) fn unheld(spec: &Spec) -> Option<Check> {
    spec.analysis.as_ref()?;
    let mut gets = false;
    let mut looks = false;
    let mut last_looks = false;
    for step in &spec.steps {
        match step {
            Step::Weight { percent } | Step::Mirror { percent } if *percent == 0 => {}
            Step::Rules { when } if when.is_empty() => {}
            // Beside weights, pods alone bring no requests.
            Step::Replicas { candidate, .. } if spec.strategy != Strategy::Replicas || *candidate == 0 => {}
            Step::Weight { .. } | Step::Mirror { .. } | Step::Rules { .. } | Step::Replicas { .. } => {
                (gets, last_looks) = (true, false);
            }
            Step::Hold { .. } | Step::Analysis { .. } if gets => (looks, last_looks) = (true, true),
            _ => {}
        }
    }
    let version = spec.candidate.version();
    // A version that has no name yet cannot be named.
    if !gets || last_looks || version.as_str().is_empty() {
        return None;
    }
    Some(if looks {
        Check::new(Severity::Info, Code::EndNotAnalysed).arg("v", version)
    } else {
        Check::new(Severity::Acknowledge, Code::NeverAnalysed).arg("v", version)
    })
}
