//! What stands in a plan's way, what must be acknowledged, what is good to know. Judged on the state before
//! and the state after, whatever the command was. Called by the plan; [`observe()`] by `services`,
//! which has the metrics.

use std::collections::BTreeSet;

use crate::domain::command::Command;
use crate::domain::ids::{Kind, ObjectRef, RouteId, VersionName};
use crate::domain::istio::Meta;
use crate::domain::owner::Role;
use crate::domain::plan::{Effect, Plan};
use crate::domain::refusal::{Check, Code, Severity};
use crate::domain::routing::{Dest, Outcome, Route, RouteKind, Why};
use crate::domain::snapshot::Snapshot;

use super::super::read::{Inspected, Place, answered, by_port, listed, lost_finding, owned, virtual_service};
use super::super::{Policy, validate};
use super::Planner;

mod observe;
mod pods;
mod taken;

pub use observe::observe;

/// A written object may not be larger than this.
const MAX_BYTES: usize = 1_000_000;

fn block(code: Code) -> Check {
    Check::new(Severity::Block, code)
}

fn acknowledge(code: Code) -> Check {
    Check::new(Severity::Acknowledge, code)
}

fn info(code: Code) -> Check {
    Check::new(Severity::Info, code)
}

/// What is declared now, after the first stage, and after all of a plan.
#[derive(Clone, Copy)]
pub struct States<'s, 'a> {
    pub before: &'s Inspected<'a>,
    pub between: &'s Inspected<'s>,
    pub after: &'s Inspected<'s>,
}

/// All checks of a plan, blocks first.
pub fn of(
    planner: &Planner<'_>,
    states: States<'_, '_>,
    plan: &Plan,
    effect: &Effect,
    command: &Command,
    policy: &Policy,
) -> Vec<Check> {
    let States { before, between, after } = states;
    let judge = Judge { planner, before, between, after, plan, effect, policy };
    let mut out = Vec::new();
    judge.service(&mut out);
    judge.objects(&mut out);
    judge.subsets(&mut out);
    judge.pods(&mut out);
    judge.sharing(&mut out);
    judge.answers(&mut out);
    judge.written(&mut out);
    judge.words(&mut out);
    judge.taken(&mut out);
    judge.ports(&mut out);
    out.extend(planner.notes.iter().cloned());
    if command.goes_back() {
        judge.failing(&mut out);
        relax(&mut out);
    }
    sort(&mut out);
    out
}

/// The way back is never delayed: what would have to be acknowledged is information only, but for requests that fail.
pub fn relax(checks: &mut [Check]) {
    let eased =
        |check: &&mut Check| check.severity == Severity::Acknowledge && !FAILING.contains(&check.code);
    for check in checks.iter_mut().filter(eased) {
        check.severity = Severity::Info;
    }
}

/// Requests fail for what the restored revision names. Elsewhere that blocks; what was so then may come back, once
/// it is accepted.
const FAILING: [Code; 3] = [Code::RestoresFailing, Code::SubsetHidden, Code::SubsetSelector];

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
    between: &'j Inspected<'j>,
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
            Code::ServiceNotExported,
            Code::ServiceExported,
            Code::NoSidecar,
            Code::DelegateMissing,
            Code::DelegateInvalid,
            Code::HostConflict,
        ];
        let findings = self.before.routing.findings.iter().filter(|finding| kept.contains(&finding.code));
        out.extend(findings.cloned());
        let service = &self.snapshot().service;
        if service.deleting {
            out.push(block(Code::Deleting).arg("object", format!("Service {}", service.at)));
        }
        if self.before.conflict.is_none()
            && let Some((winner, other)) = self.after.conflict
        {
            out.push(
                block(Code::HostConflict)
                    .arg("object", virtual_service(self.after.snapshot, winner))
                    .arg("other", virtual_service(self.after.snapshot, other))
                    .arg("host", &self.after.host),
            );
        }
    }

    /// Other writers, deletions and shapes that cannot be read.
    fn objects(&self, out: &mut Vec<Check>) {
        let edited: BTreeSet<&ObjectRef> = self.plan.edits().map(|edit| &edit.object).collect();
        for at in &self.before.routing.objects {
            let Some((meta, malformed)) = meta(self.snapshot(), at) else { continue };
            if let Some(error) = malformed {
                let short: String = error.chars().take(200).collect();
                out.push(block(Code::Malformed).arg("object", at).arg("why", short));
            }
            if meta.deleting && edited.contains(at) {
                out.push(block(Code::Deleting).arg("object", at));
            }
            let Some(owner) = &meta.owner else { continue };
            // Who moves traffic moves it whatever is written; the others only undo what is.
            if owner.role == Role::MovesTraffic || edited.contains(at) {
                out.push(owned(owner, at, &self.pointers(at)));
            }
        }
    }

    /// The parts of an object that the plan changes, as JSON pointers. Istio's lists have one owner each.
    fn pointers(&self, at: &ObjectRef) -> String {
        let parts: &[&str] = match at.kind {
            Kind::DestinationRule => &["subsets"],
            Kind::VirtualService => &["http", "tls", "tcp"],
        };
        let edit = self.plan.edits().find(|edit| edit.object == *at);
        let before = edit.and_then(|edit| edit.before.as_deref());
        let changed = |part: &&&str| {
            let (before, after) =
                (before.map(|json| &json["spec"][**part]), edit.and_then(|edit| edit.after.as_ref()));
            before != after.map(|json| &json["spec"][**part])
        };
        let mut named: Vec<String> =
            parts.iter().filter(changed).map(|part| format!("/spec/{part}")).collect();
        if named.is_empty() {
            named.extend(parts.first().map(|part| format!("/spec/{part}")));
        }
        named.join(", ")
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
                let rises = target.percent > earlier.map_or(0, |at| self.percent_of_subset(at, subset));
                if rises {
                    named.insert(subset.to_owned());
                }
                out.extend(self.hidden(at, subset, &target.to, earlier.filter(|_| !rises)));
            }
        }
        out.extend(self.shadowed());
        out.extend(self.after.default.and_then(|at| self.after.differing_finding(at)));
        let mirror = self.effect.mirror_after.as_ref();
        if mirror != self.effect.mirror_before.as_ref()
            && let Some((at, mirror)) = self.after.default.zip(mirror)
            && let Some(subset) = self.after.mirror_subset(at)
        {
            named.insert(subset.to_owned());
            out.extend(self.hidden(at, subset, &mirror.to, None));
        }
        // What this change adds first does not exist yet.
        let adds = !self.planner.added.is_empty()
            || self.planner.notes.iter().any(|note| note.code == Code::AddsSubset);
        if !named.is_empty()
            && !adds
            && !out.iter().any(|c| matches!(c.code, Code::SubsetHidden | Code::NoSubset))
        {
            let list: Vec<String> = named.into_iter().collect();
            out.push(Check::new(Severity::Ok, Code::SubsetsExist).arg("subsets", list.join(", ")));
        }
    }

    /// A caller that would look up a subset of a route in vain, and did not before. `earlier`: the route
    /// as it was, when it sent as much to the subset then.
    fn hidden(&self, route: usize, subset: &str, to: &Dest, earlier: Option<usize>) -> Option<Check> {
        let before = earlier.map(|at| self.before.hidden_from(at, subset)).unwrap_or_default();
        let known = |client: &str| before.iter().any(|(other, _)| other == client);
        let now = self.after.hidden_from(route, subset);
        let (namespace, rule) = now.into_iter().find(|(client, _)| !known(client))?;
        if let Some(other) = self.after.selective(subset, &rule) {
            return Some(
                block(Code::SubsetSelector).arg("subset", subset).arg("v", subset).arg("object", other),
            );
        }
        let code = if matches!(to, Dest::Missing { .. }) { Code::NoSubset } else { Code::SubsetHidden };
        let version = match to {
            Dest::Version(version) => version.as_str(),
            _ => subset,
        };
        Some(
            block(code)
                .arg("subset", subset)
                .arg("v", version)
                .arg("namespace", namespace)
                .arg("object", rule),
        )
    }

    /// A subset in use that the DestinationRules of the first stage hide from a caller who still follows
    /// the old routes.
    fn shadowed(&self) -> Option<Check> {
        (0..self.between.spots.len()).find_map(|at| {
            let route = self.between.route(at);
            let earlier = self.earlier(route)?;
            let mut heavy = route.targets.iter().enumerate().filter(|(_, target)| target.percent > 0);
            heavy.find_map(|(entry, target)| {
                let subset = self.between.subset_of(at, entry)?;
                let own = !matches!(target.to, Dest::Foreign { .. });
                let known = self.before.hidden_from(earlier, subset);
                let now = if own { self.between.hidden_from(at, subset) } else { Vec::new() };
                let (client, rule) =
                    now.into_iter().find(|(client, _)| !known.iter().any(|(k, _)| k == client))?;
                Some(
                    block(Code::SubsetHidden)
                        .arg("subset", subset)
                        .arg("v", subset)
                        .arg("namespace", client)
                        .arg("object", rule),
                )
            })
        })
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
                        .arg("other", roots.join(", ")),
                );
            }
            let shared = spot.place == Place::Own
                && spot.roots.iter().any(|root| self.before.has_other_hosts(*root))
                && self.before.reaches_service(at);
            if shared {
                out.push(
                    acknowledge(Code::HostShared)
                        .arg("object", &self.before.route(at).object)
                        .arg("other", self.before.route(at).hosts.join(", ")),
                );
            }
        }
    }

    /// What no version would see of what the plan moves: destinations that are not there, and what the proxy
    /// answers by itself.
    fn answers(&self, out: &mut Vec<Check>) {
        for route in &self.after.routing.routes {
            let same = |at: usize| self.before.route(at).targets == route.targets;
            if self.earlier(route).is_some_and(same) {
                continue;
            }
            let lost = route.targets.iter().filter(|target| target.percent > 0);
            out.extend(lost.filter_map(|target| lost_finding(self.after, Severity::Block, route, target)));
            out.extend(answered(route, Severity::Acknowledge));
        }
        if !self.effect.kept.is_empty() {
            let ids: Vec<&RouteId> = self.effect.kept.iter().map(|route| &route.id).collect();
            out.push(info(Code::RoutesKeep).arg("n", ids.len()).arg("list", listed(&ids)));
        }
    }

    /// What a way back restores that no pod answers: it was so then, so it is not refused.
    fn failing(&self, out: &mut Vec<Check>) {
        let mut failing = Vec::new();
        for route in &self.after.routing.routes {
            let same = |at: usize| self.before.route(at).targets == route.targets;
            if self.earlier(route).is_some_and(same) {
                continue;
            }
            for part in &route.parts {
                let Outcome::Answer(answer) = &part.to else { continue };
                let restored = match answer.why {
                    Why::NoSubset => true,
                    // A version without ready pods is a matter of today.
                    Why::NoPods => !self.is_version(&answer.name),
                    _ => false,
                };
                if !restored {
                    continue;
                }
                failing.push(
                    acknowledge(Code::RestoresFailing)
                        .arg("route", &route.id)
                        .arg("n", part.percent)
                        .arg("name", &answer.name)
                        .arg("status", answer.status),
                );
            }
        }
        if !failing.is_empty() {
            // The same in the words of a change.
            out.retain(|check| check.code != Code::NoSubset);
        }
        out.extend(failing);
        for check in out.iter_mut().filter(|check| FAILING.contains(&check.code)) {
            check.severity = Severity::Acknowledge;
        }
    }

    fn is_version(&self, name: &str) -> bool {
        self.snapshot().versions.iter().any(|version| version.name.as_str() == name)
    }

    /// What the objects would be: valid for Istio, and not too large for the API server.
    fn written(&self, out: &mut Vec<Check>) {
        for edit in self.plan.edits() {
            let Some(after) = &edit.after else { continue };
            let bytes = serde_json::to_vec(after).map_or(usize::MAX, |text| text.len());
            if bytes > MAX_BYTES {
                out.push(block(Code::TooLarge).arg("object", &edit.object).arg("n", bytes));
            }
            let old = edit.before.as_deref().map(|before| validate::object(edit.object.kind, before));
            let new = validate::object(edit.object.kind, after);
            let old = old.unwrap_or_default();
            for error in new.into_iter().filter(|error| !old.contains(error)) {
                out.push(block(Code::Malformed).arg("object", &edit.object).arg("why", error));
            }
        }
    }

    /// Ports, or a part of what they carry, that stay spread by pods.
    fn ports(&self, out: &mut Vec<Check>) {
        if !self.plan.is_empty() {
            out.extend(self.after.uncovered().iter().map(|open| by_port(self.after, open)));
        }
    }

    /// What is good to know about the change.
    fn words(&self, out: &mut Vec<Check>) {
        let created: Vec<String> = self
            .plan
            .edits()
            .filter(|edit| edit.before.is_none())
            .map(|edit| edit.object.to_string())
            .collect();
        if !created.is_empty() {
            out.push(info(Code::CreatesObjects).arg("objects", created.join(", ")));
        }
        let gone: Vec<String> =
            self.plan.edits().filter(|edit| edit.deletes()).map(|edit| edit.object.to_string()).collect();
        if !gone.is_empty() {
            out.push(info(Code::DeletesObjects).arg("objects", gone.join(", ")));
        }
        let id = self.effect.route.as_ref();
        let route = id.and_then(|id| self.after.routing.routes.iter().position(|route| route.id == *id));
        if let Some(at) = route {
            let route = self.after.route(at);
            let other = self.after.counterpart(at).map(|other| self.after.route(other));
            if let Some(by_connection) =
                [Some(route), other].into_iter().flatten().find(|route| route.kind != RouteKind::Http)
            {
                out.push(info(Code::PerConnection).arg("protocol", by_connection.kind.as_str()));
            }
            let mesh = route.gateways.iter().any(|gateway| gateway == "mesh");
            let code = if mesh { Code::CallersMesh } else { Code::CallersGateway };
            out.push(info(code).arg("who", route.gateways.join(", ")));
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
