//! What stands in a plan's way, what must be acknowledged, what is good to know. Judged on the state before
//! and the state after, whatever the command was. Called by the plan; [`observe`] by `services`, which
//! has the metrics.

use std::collections::BTreeSet;

use crate::domain::command::Command;
use crate::domain::ids::{Kind, ObjectRef, VersionName};
use crate::domain::istio::Meta;
use crate::domain::observed::Observed;
use crate::domain::plan::{Effect, Plan, Planned};
use crate::domain::refusal::{Check, Code, Severity};
use crate::domain::routing::{Dest, Route, RouteKind, Weights};
use crate::domain::service::Version;
use crate::domain::snapshot::Snapshot;

use super::super::read::{Inspected, Place, shares, virtual_service};
use super::super::{Policy, validate};
use super::Planner;

/// Load per pod above which a version must be acknowledged, in parts of today's busiest.
const CROWDED: f64 = 1.5;
/// A written object may not be larger than this.
const MAX_BYTES: usize = 1_000_000;
/// Below this many requests a success rate says nothing.
const ENOUGH_TO_JUDGE: f64 = 20.0;

fn block(code: Code) -> Check {
    Check::new(Severity::Block, code)
}

fn acknowledge(code: Code) -> Check {
    Check::new(Severity::Acknowledge, code)
}

fn info(code: Code) -> Check {
    Check::new(Severity::Info, code)
}

/// All checks of a plan, blocks first.
pub fn of(
    planner: &Planner<'_>,
    after: &Inspected<'_>,
    plan: &Plan,
    effect: &Effect,
    command: &Command,
    policy: &Policy,
) -> Vec<Check> {
    let judge = Judge { planner, before: &planner.before, after, plan, effect, policy };
    let mut out = Vec::new();
    judge.service(&mut out);
    judge.objects(&mut out);
    judge.subsets(&mut out);
    judge.pods(&mut out);
    judge.sharing(&mut out);
    judge.written(&mut out);
    judge.words(&mut out);
    out.extend(planner.notes.iter().cloned());
    if command.goes_back() {
        relax(&mut out);
    }
    sort(&mut out);
    out
}

/// The way back is never delayed: what would have to be acknowledged is only said.
fn relax(checks: &mut [Check]) {
    for check in checks.iter_mut().filter(|check| check.severity == Severity::Acknowledge) {
        check.severity = Severity::Info;
    }
}

fn sort(checks: &mut Vec<Check>) {
    checks.sort_by_key(|check| std::cmp::Reverse(check.severity));
    let mut seen: Vec<Check> = Vec::new();
    checks.retain(|check| {
        let new = !seen.contains(check);
        if new {
            seen.push(check.clone());
        }
        new
    });
}

struct Judge<'j, 'a> {
    planner: &'j Planner<'a>,
    before: &'j Inspected<'a>,
    after: &'j Inspected<'j>,
    plan: &'j Plan,
    effect: &'j Effect,
    policy: &'j Policy,
}

impl Judge<'_, '_> {
    fn snapshot(&self) -> &Snapshot {
        self.before.snapshot
    }

    /// What makes shifting impossible or useless for the service as a whole.
    fn service(&self, out: &mut Vec<Check>) {
        let kept = [
            Code::NoIstio,
            Code::Headless,
            Code::ExternalName,
            Code::NoSidecar,
            Code::DelegateMissing,
            Code::DelegateInvalid,
            Code::HostConflict,
        ];
        let findings = self.before.routing.findings.iter().filter(|finding| kept.contains(&finding.code));
        out.extend(findings.cloned());
        if self.before.conflict.is_none()
            && let Some((winner, other)) = self.after.conflict
        {
            out.push(
                block(Code::HostConflict)
                    .arg("winner", virtual_service(self.after.snapshot, winner))
                    .arg("other", virtual_service(self.after.snapshot, other))
                    .arg("host", &self.after.host),
            );
        }
    }

    /// Other writers, deletions and shapes that cannot be read.
    fn objects(&self, out: &mut Vec<Check>) {
        let edited: BTreeSet<&ObjectRef> = self.plan.edits().map(|edit| &edit.object).collect();
        let mut alone = true;
        for at in &self.before.routing.objects {
            let Some((meta, malformed)) = meta(self.snapshot(), at) else { continue };
            if let Some(error) = malformed {
                let short: String = error.chars().take(200).collect();
                out.push(block(Code::Malformed).arg("object", at).arg("error", short));
            }
            if meta.deleting && edited.contains(at) {
                out.push(block(Code::Deleting).arg("object", at));
            }
            let Some(owner) = &meta.owner else { continue };
            let check = if owner.tool.moves_traffic() {
                block(Code::OwnedByController)
            } else if !edited.contains(at) {
                continue;
            } else if owner.tool.reverts() {
                acknowledge(Code::GitOps)
            } else {
                info(Code::HelmManaged)
            };
            alone = false;
            // What an exemption in the tool has to name: the object, and the part that we write.
            out.push(
                check
                    .arg("tool", owner.tool.as_str())
                    .arg("app", &owner.name)
                    .arg("object", at)
                    .arg("group", "networking.istio.io")
                    .arg("kind", at.kind.as_str())
                    .arg("ns", &at.namespace)
                    .arg("name", &at.name)
                    .arg("pointer", self.pointer(at)),
            );
        }
        if alone && !edited.is_empty() {
            out.push(Check::new(Severity::Ok, Code::NobodyElse));
        }
    }

    /// The JSON pointer of the part of an object that the plan changes. Istio's lists have one owner each.
    fn pointer(&self, at: &ObjectRef) -> &'static str {
        let list = self.after.routing.routes.iter().find(|route| route.object == *at).map(|route| route.kind);
        match (at.kind, list) {
            (Kind::DestinationRule, _) => "/spec/subsets",
            (_, Some(RouteKind::Tcp)) => "/spec/tcp",
            (_, Some(RouteKind::Tls)) => "/spec/tls",
            _ => "/spec/http",
        }
    }

    fn earlier(&self, route: &Route) -> Option<usize> {
        self.before.routing.routes.iter().position(|other| other.id == route.id)
    }

    /// Subsets that some caller would look up in vain.
    fn subsets(&self, out: &mut Vec<Check>) {
        let mut named = BTreeSet::new();
        for (at, route) in self.after.routing.routes.iter().enumerate() {
            let earlier = self.earlier(route);
            for (entry, target) in route.targets.iter().enumerate().filter(|(_, target)| target.percent > 0) {
                let Some(subset) = self.after.subset_of(at, entry) else { continue };
                if matches!(target.to, Dest::Foreign { .. }) {
                    continue;
                }
                let was = earlier.map_or(0, |at| self.percent_of_subset(at, subset));
                let rises = target.percent > was;
                if rises {
                    named.insert(subset.to_owned());
                }
                let Some((namespace, rule)) = self.after.hides(at, subset) else { continue };
                let new = rises || earlier.is_none_or(|at| self.before.hides(at, subset).is_none());
                if !new {
                    continue;
                }
                let code = if matches!(target.to, Dest::Missing { .. }) {
                    Code::NoSubset
                } else {
                    Code::SubsetHidden
                };
                out.push(
                    block(code)
                        .arg("subset", subset)
                        .arg("v", version_of(target).map_or(subset, VersionName::as_str))
                        .arg("ns", namespace)
                        .arg("object", rule),
                );
            }
        }
        if !named.is_empty() && !out.iter().any(|c| matches!(c.code, Code::SubsetHidden | Code::NoSubset)) {
            let list: Vec<String> = named.into_iter().collect();
            out.push(Check::new(Severity::Ok, Code::SubsetsExist).arg("subsets", list.join(", ")));
        }
    }

    fn percent_of_subset(&self, route: usize, subset: &str) -> u8 {
        self.before
            .route(route)
            .targets
            .iter()
            .enumerate()
            .filter(|(entry, _)| self.before.subset_of(route, *entry) == Some(subset))
            .map(|(_, target)| target.percent)
            .fold(0, u8::saturating_add)
    }

    /// The share of a version in a route; by pods where the route spreads by pods.
    fn share(&self, route: Option<usize>, version: &VersionName) -> u8 {
        let weights = match route.map(|at| self.before.route(at)) {
            Some(route) if !spreads(route) => route.weights().unwrap_or_default(),
            _ => by_pods(&self.snapshot().versions),
        };
        weights.iter().find(|(name, _)| name == version).map_or(0, |(_, percent)| *percent)
    }

    /// Versions that get more than now, each in some route or as mirror.
    fn rising(&self) -> Vec<&Version> {
        let mut names: BTreeSet<&VersionName> = BTreeSet::new();
        for route in &self.after.routing.routes {
            let earlier = self.earlier(route);
            for target in route.targets.iter().filter(|target| target.percent > 0) {
                let Some(version) = version_of(target) else { continue };
                let now = percent(&route.weights().unwrap_or_default(), version);
                let was = earlier.map_or(0, |at| self.share(Some(at), version));
                if now > was {
                    names.insert(version);
                }
            }
        }
        let mirror = self.effect.mirror_after.as_ref();
        if mirror != self.effect.mirror_before.as_ref() {
            names.extend(mirror.and_then(|mirror| mirror.version()));
        }
        self.snapshot().versions.iter().filter(|version| names.contains(&version.name)).collect()
    }

    /// Pods behind what rises.
    fn pods(&self, out: &mut Vec<Check>) {
        let rising = self.rising();
        let mut ready: Vec<&str> = Vec::new();
        for version in &rising {
            if version.ready == 0 {
                let cause = version.cause.as_deref().unwrap_or_default();
                out.push(
                    block(Code::NoReadyPods)
                        .arg("v", &version.name)
                        .arg("n", version.total)
                        .arg("cause", cause),
                );
            } else {
                ready.push(version.name.as_str());
            }
        }
        if !ready.is_empty() && ready.len() == rising.len() {
            out.push(Check::new(Severity::Ok, Code::PodsReady).arg("versions", ready.join(", ")));
        }
        let versions = &self.snapshot().versions;
        let before =
            if self.effect.before.is_empty() { by_pods(versions) } else { self.effect.before.clone() };
        for (name, share) in &self.effect.after {
            let was = percent(&before, name);
            if share.saturating_sub(was) > self.policy.big_jump_points {
                out.push(
                    acknowledge(Code::BigJump)
                        .arg("v", name)
                        .arg("a", was)
                        .arg("b", share)
                        .arg("n", self.policy.big_jump_points),
                );
            }
            if *share > was {
                out.extend(crowded(versions, &before, name, *share));
            }
        }
    }

    /// Who else is moved by the same edit.
    fn sharing(&self, out: &mut Vec<Check>) {
        let edited: BTreeSet<&ObjectRef> = self.plan.edits().map(|edit| &edit.object).collect();
        for (at, spot) in self.before.spots.iter().enumerate() {
            if !edited.contains(&self.before.route(at).object) {
                continue;
            }
            if spot.roots.len() > 1 {
                let roots: Vec<String> = spot
                    .roots
                    .iter()
                    .map(|root| virtual_service(self.snapshot(), *root).to_string())
                    .collect();
                out.push(
                    acknowledge(Code::SharedDelegate)
                        .arg("object", &self.before.route(at).object)
                        .arg("roots", roots.join(", ")),
                );
            }
            let shared = spot.place == Place::Own
                && spot.roots.iter().any(|root| self.before.has_other_hosts(*root))
                && self.before.reaches_service(at);
            if shared {
                out.push(
                    acknowledge(Code::HostShared)
                        .arg("object", &self.before.route(at).object)
                        .arg("hosts", self.before.route(at).hosts.join(", ")),
                );
            }
        }
    }

    /// What the objects would be: valid for Istio, and not too large for the API server.
    fn written(&self, out: &mut Vec<Check>) {
        for edit in self.plan.edits() {
            let bytes = serde_json::to_vec(&edit.after).map_or(usize::MAX, |text| text.len());
            if bytes > MAX_BYTES {
                out.push(block(Code::TooLarge).arg("object", &edit.object).arg("n", bytes));
            }
            let old = edit.before.as_deref().map(|before| validate::object(edit.object.kind, before));
            let new = validate::object(edit.object.kind, &edit.after);
            let old = old.unwrap_or_default();
            for error in new.into_iter().filter(|error| !old.contains(error)) {
                out.push(block(Code::Malformed).arg("object", &edit.object).arg("error", error));
            }
        }
    }

    /// What is good to know about the change.
    fn words(&self, out: &mut Vec<Check>) {
        let id = self.effect.route.as_ref();
        let route = id.and_then(|id| self.after.routing.routes.iter().position(|route| route.id == *id));
        if let Some(at) = route {
            let route = self.after.route(at);
            if route.kind != RouteKind::Http {
                out.push(info(Code::PerConnection).arg("protocol", route.kind.as_str()));
            }
            out.push(info(Code::CallersMesh).arg("who", route.gateways.join(", ")));
        }
        let after = self.effect.mirror_after.as_ref();
        if let Some(mirror) = after.filter(|_| after != self.effect.mirror_before.as_ref()) {
            out.push(
                info(Code::MirrorWrites)
                    .arg("v", mirror.version().map_or("-", VersionName::as_str))
                    .arg("x", mirror.percent),
            );
        }
        if let Some(object) = self.hashed_by() {
            out.push(info(Code::Affinity).arg("object", object));
        }
        let kept = [Code::RuleShadowed, Code::RuleNeverMatches];
        let new = |finding: &&Check| {
            kept.contains(&finding.code) && !self.before.routing.findings.contains(finding)
        };
        out.extend(self.after.routing.findings.iter().filter(new).cloned());
    }

    /// The DestinationRule that keeps sessions on a pod, if one does: the version is drawn per request all
    /// the same.
    fn hashed_by(&self) -> Option<ObjectRef> {
        let rule = self.before.plain(0)?;
        rule.from.iter().map(|at| super::super::read::destination_rule(self.snapshot(), *at)).find(|at| {
            let json = self.planner.drafts.peek(self.snapshot(), at);
            let policy =
                json.and_then(|json| json.pointer("/spec/trafficPolicy/loadBalancer/consistentHash"));
            policy.is_some_and(|hash| hash.get("httpCookie").is_some_and(|cookie| !cookie.is_null()))
        })
    }
}

fn meta<'s>(snapshot: &'s Snapshot, at: &ObjectRef) -> Option<(&'s Meta, Option<&'s String>)> {
    match at.kind {
        Kind::VirtualService => snapshot
            .virtual_services
            .iter()
            .find(|held| held.object.at(at.kind) == *at)
            .map(|held| (&held.object.meta, held.object.malformed.as_ref())),
        Kind::DestinationRule => snapshot
            .destination_rules
            .iter()
            .find(|held| held.object.at(at.kind) == *at)
            .map(|held| (&held.object.meta, held.object.malformed.as_ref())),
    }
}

fn version_of(target: &crate::domain::routing::Target) -> Option<&VersionName> {
    match &target.to {
        Dest::Version(version) => Some(version),
        _ => None,
    }
}

fn spreads(route: &Route) -> bool {
    route.targets.iter().any(|target| target.to == Dest::Whole && target.percent > 0)
}

fn percent(weights: &Weights, version: &VersionName) -> u8 {
    weights.iter().find(|(name, _)| name == version).map_or(0, |(_, weight)| *weight)
}

/// The shares that pods give by their number.
pub fn by_pods(versions: &[Version]) -> Weights {
    let ready: Vec<i64> = versions.iter().map(|version| i64::from(version.ready)).collect();
    let percents = if ready.iter().sum::<i64>() == 0 { vec![0; ready.len()] } else { shares(&ready) };
    versions.iter().map(|version| version.name.clone()).zip(percents).collect()
}

/// Would each pod of a version carry much more than the busiest does today?
fn crowded(versions: &[Version], before: &Weights, name: &VersionName, share: u8) -> Option<Check> {
    let load = |version: &Version, share: u8| f64::from(share) / f64::from(version.ready);
    let busiest =
        versions
            .iter()
            .filter(|version| version.ready > 0 && percent(before, &version.name) > 0)
            .max_by(|a, b| load(a, percent(before, &a.name)).total_cmp(&load(b, percent(before, &b.name))))?;
    let today = load(busiest, percent(before, &busiest.name));
    let version =
        versions.iter().find(|version| version.name == *name).filter(|version| version.ready > 0)?;
    (load(version, share) > CROWDED * today).then(|| {
        acknowledge(Code::FewPods)
            .arg("v", name)
            .arg("n", version.ready)
            .arg("x", share)
            .arg("w", &busiest.name)
            .arg("m", format!("{:.0}", (f64::from(share) / today).ceil()))
    })
}

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
                let percent = seen.success().unwrap_or(1.0) * 100.0;
                if seen.requests >= ENOUGH_TO_JUDGE && percent < policy.min_success_percent {
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
