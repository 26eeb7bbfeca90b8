//! The state of a service: one out of what the objects say, what is ready, what the metrics show
//! and how the last change ended. Pure.

use crate::domain::agreement::Beside;
use crate::domain::audit::{Action, Ending};
use crate::domain::ids::VersionName;
use crate::domain::observed::{Observed, interval};
use crate::domain::overview::{LastChange, State};
use crate::domain::refusal::{Check, Code, Finding, Severity};
use crate::domain::routing::{Routing, Weights};
use crate::domain::service::Version;

/// What a change needs besides the window until the figures speak of it alone: two scrapes of 15 s.
const SETTLING_MS: i64 = 30_000;

/// Findings after which requests fail or would fail.
const BREAKING: [Code; 14] = [
    Code::HostConflict,
    Code::SubsetMissing,
    Code::SubsetEmpty,
    Code::WeightWithoutPods,
    Code::NoTargetPort,
    Code::DelegateMissing,
    Code::DelegateInvalid,
    Code::Malformed,
    Code::SubsetHidden,
    Code::NegativeWeight,
    Code::NoHost,
    Code::SubsetSelector,
    Code::HostMissing,
    Code::PortMissing,
];

/// Findings that take away the levers.
const UNROUTABLE: [Code; 7] = [
    Code::NoIstio,
    Code::Headless,
    Code::ExternalName,
    Code::ServiceNotExported,
    Code::NoWorkloads,
    Code::OwnedByController,
    Code::NoSidecar,
];

/// What the figures of a service are held against.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    pub observed: &'a Observed,
    /// The versions of the service.
    pub versions: &'a [Version],
    /// Below this success rate a version fails, percent.
    pub min_success_percent: f64,
    /// A release moves the service: it judges the versions, and says what it found.
    pub is_released: bool,
}

impl Seen<'_> {
    /// The first version that gets requests and fails too many of them, with its success rate in percent. `declared` are
    /// the shares where these decide alone which version gets requests.
    fn failing(&self, declared: Option<&Weights>) -> Option<(&VersionName, f64)> {
        if self.is_released {
            return None;
        }
        let is_idle = |name: &VersionName| {
            declared.is_some_and(|all| !all.iter().any(|(version, weight)| version == name && *weight > 0))
        };
        let mut serving = self.versions.iter().map(|version| &version.name).filter(|name| !is_idle(name));
        serving.find_map(|name| {
            let percent = self.observed.of(name.as_str())?.poor_percent(self.min_success_percent)?;
            Some((name, percent))
        })
    }
}

/// The state, and the findings with those that explain it first.
pub fn standing(
    routing: &Routing,
    seen: Option<Seen<'_>>,
    last: Option<&LastChange>,
) -> (State, Vec<Finding>) {
    let mut findings = routing.findings.clone();
    let aim = Aim::of(routing, last);
    if let Some(seen) = seen
        && let Some((version, percent)) = seen.failing(aim.as_ref().map(|aim| &aim.declared))
    {
        findings.push(
            Check::new(Severity::Acknowledge, Code::Failing)
                .arg("v", version)
                .arg("p", format!("{percent:.1}"))
                .arg("q", format!("{:.1}", seen.min_success_percent)),
        );
    }
    if let Some(finding) = drift(aim.as_ref(), seen.map(|seen| seen.observed)) {
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
    } else if has(&[Code::Failing]) {
        State::Failing
    } else if has(&[Code::Drift]) {
        State::Drift
    } else if routing.answered_percent() > 0 {
        State::Answered
    } else if has(&[Code::ChangedOutside]) {
        State::ChangedOutside
    } else if routing.is_by_pods() {
        State::SpreadByPods
    } else {
        State::Steady
    };
    let explains = |finding: &Finding| match state {
        State::NotRoutable => UNROUTABLE.contains(&finding.code),
        State::Broken => BREAKING.contains(&finding.code),
        State::LastFailed => matches!(finding.code, Code::LastChangeFailed | Code::UnknownFate),
        State::Failing => finding.code == Code::Failing,
        State::Drift => finding.code == Code::Drift,
        State::Answered => matches!(finding.code, Code::AnsweredByProxy | Code::NoDefaultRoute),
        State::ChangedOutside => finding.code == Code::ChangedOutside,
        State::SpreadByPods => finding.code == Code::SpreadByPods,
        State::Steady => false,
    };
    findings.sort_by_key(|finding| (!explains(finding), std::cmp::Reverse(finding.severity)));
    (state, findings)
}

/// What the observed shares of a service are held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aim {
    declared: Weights,
    changed_ms: Option<i64>,
}

impl Aim {
    /// The aim of a service; `None` where match rules and other routes move requests that the declared split
    /// does not speak of.
    pub fn of(routing: &Routing, last: Option<&LastChange>) -> Option<Self> {
        let declared = routing.declared()?;
        if Beside::of(routing).is_some() {
            return None;
        }
        Some(Self { declared, changed_ms: last.map(|last| last.at_ms) })
    }

    /// Declared ≠ observed: the first version whose declared share lies outside the 99 % interval of what was
    /// seen, by at least three points; with its declared and its observed share. Only once the whole window
    /// lies after the last change, with time for two scrapes: before that, requests from before it still count.
    fn missed(&self, observed: &Observed) -> Option<(&VersionName, u8, f64)> {
        let settled_ms = i64::from(observed.window_s) * 1000 + SETTLING_MS;
        if observed.too_few() || self.changed_ms.is_some_and(|at_ms| observed.at_ms - at_ms < settled_ms) {
            return None;
        }
        let all = observed.requests();
        self.declared.iter().find_map(|(version, weight)| {
            let seen = observed.of(version.as_str()).map_or(0.0, |v| v.requests);
            let (low, high) = interval(seen, all);
            let want = f64::from(*weight);
            (want < low - 3.0 || want > high + 3.0).then(|| (version, *weight, seen * 100.0 / all))
        })
    }
}

/// The state of a service with these figures, when it is `calm` without any. Says what [`standing`] says.
pub fn with_figures(calm: State, aim: Option<&Aim>, seen: Option<Seen<'_>>) -> State {
    let Some(seen) = seen.filter(|_| calm > State::Drift && calm != State::NotRoutable) else { return calm };
    if seen.failing(aim.map(|aim| &aim.declared)).is_some() {
        State::Failing
    } else if aim.is_some_and(|aim| aim.missed(seen.observed).is_some()) {
        State::Drift
    } else {
        calm
    }
}

fn drift(aim: Option<&Aim>, observed: Option<&Observed>) -> Option<Finding> {
    let (version, declared, seen) = aim?.missed(observed?)?;
    Some(
        Check::new(Severity::Acknowledge, Code::Drift)
            .arg("v", version)
            .arg("declared", declared)
            .arg("observed", format!("{seen:.1}")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::actor::Channel;
    use crate::domain::ids::{Kind, ObjectRef};
    use crate::domain::observed::VersionTraffic;
    use crate::domain::routing::{Dest, Route, RouteKind, Target};

    fn routing(v1: u8) -> Routing {
        let to = |name: &str, percent: u8| Target {
            to: Dest::Version(name.into()),
            weight: i64::from(percent),
            percent,
            via: None,
            lost: None,
        };
        let route = Route {
            id: "r".into(),
            object: ObjectRef::new(Kind::VirtualService, "shop", "reviews"),
            kind: RouteKind::Http,
            index: 0,
            name: None,
            hosts: vec![],
            gateways: vec![],
            port: None,
            catch_all: true,
            is_default: true,
            targets: vec![to("v1", v1), to("v2", 100 - v1)],
            fixed: None,
            parts: Vec::new(),
            delay: None,
        };
        Routing { routes: vec![route], ..Routing::default() }
    }

    fn observed(v1: f64, v2: f64) -> Observed {
        let of = |name: &str, requests| VersionTraffic {
            version: name.into(),
            requests,
            errors: 0.0,
            p95_ms: None,
        };
        Observed { window_s: 60, at_ms: 1_000_000, versions: vec![of("v1", v1), of("v2", v2)] }
    }

    fn changed(at_ms: i64, ending: Ending) -> LastChange {
        let (by, channel, action) = ("lin".into(), Channel::Browser, Action::SetTraffic);
        LastChange { at_ms, by, channel, action, ending, entry: 1 }
    }

    #[track_caller]
    fn check(declared: u8, seen: (f64, f64), last: Option<&LastChange>, expected: State) {
        judge(declared, &observed(seen.0, seen.1), last, false, expected);
    }

    #[track_caller]
    fn judge(
        declared: u8,
        observed: &Observed,
        last: Option<&LastChange>,
        is_released: bool,
        expected: State,
    ) {
        let routing = routing(declared);
        let versions = ["v1", "v2"].map(version);
        let seen = Some(Seen { observed, versions: &versions, min_success_percent: 99.0, is_released });
        assert_eq!(standing(&routing, seen, last).0, expected);
        let calm = standing(&routing, None, last).0;
        assert_eq!(with_figures(calm, Aim::of(&routing, last).as_ref(), seen), expected);
    }

    #[test]
    fn a_version_that_has_traffic_and_fails_needs_attention() {
        let with = |v2: f64, errors: f64| {
            let mut observed = observed(1_000.0 - v2, v2);
            observed.versions[1].errors = errors;
            observed
        };
        judge(90, &with(100.0, 15.0), None, false, State::Failing);
        judge(90, &with(100.0, 1.0), None, false, State::Steady);
        // A release judges its versions itself.
        judge(90, &with(100.0, 15.0), None, true, State::Steady);
        // What is left of the time in which it had a share is nobody's trouble any more.
        judge(100, &with(30.0, 15.0), None, false, State::Steady);
        // Too few of its requests say nothing.
        judge(99, &with(19.0, 10.0), None, false, State::Steady);
    }

    fn version(name: &str) -> Version {
        Version {
            name: name.into(),
            subset_labels: std::collections::BTreeMap::new(),
            pods: Vec::new(),
            workloads: Vec::new(),
            image: std::sync::Arc::default(),
            ready: 1,
            total: 1,
            lacks: None,
            cause: None,
            waiting: Vec::new(),
            created_ms: 0,
        }
    }

    #[test]
    fn what_is_seen_is_held_against_what_is_declared() {
        check(90, (900.0, 100.0), None, State::Steady);
        check(90, (700.0, 300.0), None, State::Drift);
        check(90, (0.0, 1000.0), None, State::Drift);
        // Too few requests say nothing; a point or two is noise.
        check(90, (40.0, 40.0), None, State::Steady);
        check(90, (8_800.0, 1_200.0), None, State::Steady);
    }

    #[test]
    fn nothing_drifts_before_the_window_lies_after_the_change() {
        let just_now = changed(1_000_000 - 60_000, Ending::Applied);
        check(10, (900.0, 100.0), Some(&just_now), State::Steady);
        let long_ago = changed(1_000_000 - 90_000, Ending::Applied);
        check(10, (900.0, 100.0), Some(&long_ago), State::Drift);
    }

    #[test]
    fn how_the_last_change_ended_is_part_of_how_it_stands() {
        for ending in [Ending::Failed, Ending::Partial, Ending::Unknown] {
            check(90, (900.0, 100.0), Some(&changed(0, ending)), State::LastFailed);
        }
        let mut outside = changed(0, Ending::Outside);
        outside.action = Action::OutsideEdit;
        check(90, (900.0, 100.0), Some(&outside), State::ChangedOutside);
    }
}
