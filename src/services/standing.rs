//! How a service stands: one state out of what the objects say, what is ready, what the metrics show
//! and how the last change ended. Pure.

use crate::domain::audit::{Action, Ending};
use crate::domain::observed::{Observed, interval};
use crate::domain::overview::{LastChange, State};
use crate::domain::refusal::{Check, Code, Finding, Severity};
use crate::domain::routing::Routing;

/// Findings after which requests fail or would fail.
const BREAKING: [Code; 7] = [
    Code::HostConflict,
    Code::SubsetMissing,
    Code::WeightWithoutPods,
    Code::DelegateMissing,
    Code::DelegateInvalid,
    Code::Malformed,
    Code::SubsetHidden,
];

/// Findings that take away the levers.
const UNROUTABLE: [Code; 6] = [
    Code::NoIstio,
    Code::Headless,
    Code::ExternalName,
    Code::NoWorkloads,
    Code::OwnedByController,
    Code::NoSidecar,
];

/// The state, and the findings with those that explain it first.
pub fn standing(
    routing: &Routing,
    observed: Option<&Observed>,
    last: Option<&LastChange>,
) -> (State, Vec<Finding>) {
    let mut findings = routing.findings.clone();
    if let Some(finding) = drift(routing, observed) {
        findings.push(finding);
    }
    if let Some(last) = last {
        if last.action == Action::OutsideEdit {
            let found = Check::new(Severity::Info, Code::ChangedOutside).arg("who", &last.by);
            findings.push(found);
        }
        match last.ending {
            Ending::Failed | Ending::Partial => {
                findings.push(Check::new(Severity::Acknowledge, Code::LastChangeFailed).arg("who", &last.by));
            }
            Ending::Unknown => {
                findings.push(Check::new(Severity::Acknowledge, Code::UnknownFate).arg("who", &last.by));
            }
            _ => {}
        }
    }
    let has = |codes: &[Code]| findings.iter().any(|finding| codes.contains(&finding.code));
    let state = if has(&UNROUTABLE) && !has(&[Code::HostConflict]) {
        State::NotRoutable
    } else if has(&BREAKING) {
        State::Broken
    } else if has(&[Code::LastChangeFailed, Code::UnknownFate]) {
        State::LastFailed
    } else if has(&[Code::Drift]) {
        State::Drift
    } else if has(&[Code::ChangedOutside]) {
        State::ChangedOutside
    } else if routing.declared().is_none() {
        State::SpreadByPods
    } else {
        State::Steady
    };
    let explains = |finding: &Finding| match state {
        State::NotRoutable => UNROUTABLE.contains(&finding.code),
        State::Broken => BREAKING.contains(&finding.code),
        State::LastFailed => matches!(finding.code, Code::LastChangeFailed | Code::UnknownFate),
        State::Drift => finding.code == Code::Drift,
        State::ChangedOutside => finding.code == Code::ChangedOutside,
        State::SpreadByPods => finding.code == Code::SpreadByPods,
        State::Steady => false,
    };
    findings.sort_by_key(|finding| (!explains(finding), std::cmp::Reverse(finding.severity)));
    (state, findings)
}

/// Declared ≠ observed: some version's declared share lies outside the 99 % interval of what was seen,
/// by at least three points. Only where the default route decides alone: match rules and other routes
/// move requests that the declared split does not speak of.
fn drift(routing: &Routing, observed: Option<&Observed>) -> Option<Finding> {
    let observed = observed.filter(|observed| !observed.too_few())?;
    let declared = routing.declared()?;
    let route = routing.default_route()?;
    if routing.routes.len() > 1 || route.foreign_percent() > 0 {
        return None;
    }
    let all = observed.requests();
    declared.iter().find_map(|(version, weight)| {
        let seen = observed.of(version.as_str()).map_or(0.0, |v| v.requests);
        let (low, high) = interval(seen, all);
        let want = f64::from(*weight);
        let off = (want < low - 3.0 || want > high + 3.0).then(|| seen * 100.0 / all)?;
        Some(
            Check::new(Severity::Acknowledge, Code::Drift)
                .arg("v", version)
                .arg("declared", weight)
                .arg("observed", format!("{off:.1}")),
        )
    })
}
