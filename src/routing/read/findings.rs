//! What is wrong with, or worth knowing about, the routing objects of a service as they are.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::domain::ids::{Kind, ObjectRef, RouteId, VersionName};
use crate::domain::istio::{HttpMatch, WeightedDestination};
use crate::domain::owner::{Owner, Role};
use crate::domain::refusal::{Check, Code, Finding, Severity};
use crate::domain::removal;
use crate::domain::routing::{Dest, RouteKind, Subject, Uncovered};
use crate::domain::service::{Labels, Shape, Version};

use super::super::cookies;
use super::super::lookup::ANY_OTHER;
use super::answers::{answers, lost_finding, scope};
use super::selection::within;
use super::{Inspected, Selection, destination_rule, shares, virtual_service};

/// More routes than this are counted, not named.
const LISTED: usize = 6;

/// All findings, the gravest first, each once.
pub fn of(inspected: &Inspected<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    shape(inspected, &mut out);
    ports(inspected, &mut out);
    objects(inspected, &mut out);
    delegation(inspected, &mut out);
    targets(inspected, &mut out);
    answers(inspected, &mut out);
    scope(inspected, &mut out);
    hidden(inspected, &mut out);
    order(inspected, &mut out);
    cookie_values(inspected, &mut out);
    unexpanded(inspected, &mut out);
    out.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let mut seen: HashSet<(Code, crate::domain::refusal::Args)> = HashSet::new();
    out.retain(|finding| seen.insert((finding.code, finding.args.clone())));
    out
}

pub fn found(severity: Severity, code: Code) -> Finding {
    Check::new(severity, code)
}

/// Pods alone decide: what that makes now, and what one percent for the smallest would cost.
fn by_pods(versions: &[Version]) -> Finding {
    let out = found(Severity::Info, Code::SpreadByPods);
    let ready: Vec<(&VersionName, u32)> =
        versions.iter().filter(|one| one.ready > 0).map(|one| (&one.name, one.ready)).collect();
    let [_, _, ..] = ready[..] else { return out };
    let counts: Vec<i64> = ready.iter().map(|(_, pods)| i64::from(*pods)).collect();
    let list: Vec<String> =
        ready.iter().zip(shares(&counts)).map(|((name, _), share)| format!("{name} {share}%")).collect();
    let all: i64 = counts.iter().sum();
    let smallest = ready.iter().min_by_key(|(_, pods)| *pods).map_or("", |(name, _)| name.as_str());
    out.arg("list", list.join(", ")).arg("v", smallest).arg("n", 100).arg("m", all)
}

/// Route ids as a sentence lists them: the first few, and how many more there are.
pub fn listed(routes: &[&RouteId]) -> String {
    let mut list: Vec<String> = routes.iter().take(LISTED).map(|id| format!("`{id}`")).collect();
    if routes.len() > LISTED {
        list.push(format!("… (+{})", routes.len() - LISTED));
    }
    list.join(", ")
}

fn shape(inspected: &Inspected<'_>, out: &mut Vec<Finding>) {
    let snapshot = inspected.snapshot;
    let service = &snapshot.service;
    if !snapshot.mesh.installed {
        out.push(found(Severity::Block, Code::NoIstio));
    } else if snapshot.mesh.pods > 0 && snapshot.mesh.meshed_pods == 0 {
        let bare = snapshot.mesh.pods.saturating_sub(snapshot.mesh.meshed_pods);
        out.push(found(Severity::Acknowledge, Code::NoSidecar).arg("n", bare).arg("m", snapshot.mesh.pods));
    }
    if service.deleting {
        out.push(found(Severity::Block, Code::Deleting).arg("object", format!("Service {}", service.at)));
    }
    out.extend(snapshot.versions.iter().flat_map(|version| removal::going(version, Severity::Acknowledge)));
    match service.shape {
        Shape::ClusterIp => {}
        Shape::Headless => out.push(found(Severity::Block, Code::Headless)),
        Shape::ExternalName => out.push(found(Severity::Block, Code::ExternalName)),
    }
    match &snapshot.versions[..] {
        [] => out.push(found(Severity::Info, Code::NoWorkloads)),
        [only] => out.push(found(Severity::Info, Code::OneVersion).arg("v", &only.name)),
        _ => {}
    }
    if inspected.routing.routes.is_empty() {
        out.push(by_pods(&snapshot.versions));
    } else if inspected.default.is_none() {
        // A port without any route says it better than the route that is missing.
        let unrouted = inspected.uncovered().iter().any(|open| !open.half);
        let choices = inspected.choices();
        let check = if inspected.answering().is_some() {
            // What answers is found with the routes.
            return;
        } else if inspected.claimed_in_mesh && !unrouted && inspected.holds_for_others() {
            let object = inspected.routing.routes.first().map(|route| route.object.to_string());
            found(Severity::Acknowledge, Code::NoDefaultRoute).arg("object", object.unwrap_or_default())
        } else if snapshot.service.known_in().is_some_and(|known| known.is_empty()) {
            // No route acts; why is found with the scope.
            return;
        } else if choices.is_empty() || inspected.claimed_in_mesh {
            by_pods(&snapshot.versions)
        } else {
            found(Severity::Info, Code::ChooseRoute).arg("list", listed(&choices))
        };
        out.push(check);
    }
}

/// Ports, or a part of what they carry, that the service's own routes leave to the pods.
fn ports(inspected: &Inspected<'_>, out: &mut Vec<Finding>) {
    out.extend(inspected.uncovered().iter().map(|open| by_port(inspected, open)));
}

/// Traffic of a port that no route takes. Half a port is graver than a whole one, because what is declared seems
/// to hold for it.
pub fn by_port(inspected: &Inspected<'_>, open: &Uncovered) -> Check {
    let severity =
        if open.half || inspected.default.is_none() { Severity::Acknowledge } else { Severity::Info };
    found(severity, Code::PortByPods)
        .arg("protocol", open.kind.as_str().to_uppercase())
        .arg("port", open.port.label())
        .arg("list", open.kind.as_str())
}

/// Another writer of an object: how grave that is, and what an exemption in its product has to name (`pointers`: the
/// parts of the object that are meant).
pub fn owned(owner: &Owner, at: &ObjectRef, pointers: &str) -> Check {
    let (severity, code) = match owner.role {
        Role::MovesTraffic => (Severity::Block, Code::OwnedByController),
        Role::Reverts => (Severity::Acknowledge, Code::GitOps),
        Role::Unknown => (Severity::Acknowledge, Code::OtherWriter),
        Role::Installs => (Severity::Info, Code::HelmManaged),
    };
    found(severity, code)
        .arg("tool", &owner.tool)
        .arg("name", &owner.name)
        .arg("object", at)
        .arg("group", "networking.istio.io")
        .arg("kind", at.kind.as_str())
        .arg("namespace", &at.namespace)
        .arg("object_name", &at.name)
        .arg("pointer", pointers)
        .arg("advice", &owner.advice)
}

/// The parts of an object that Sluice writes, as JSON pointers.
fn pointers(inspected: &Inspected<'_>, at: &ObjectRef) -> String {
    if at.kind == Kind::DestinationRule {
        return "/spec/subsets".to_owned();
    }
    let mut lists: Vec<&str> = Vec::new();
    for route in inspected.routing.routes.iter().filter(|route| route.object == *at) {
        if !lists.contains(&route.kind.as_str()) {
            lists.push(route.kind.as_str());
        }
    }
    if lists.is_empty() {
        lists.push("http");
    }
    let lists: Vec<String> = lists.iter().map(|list| format!("/spec/{list}")).collect();
    lists.join(", ")
}

fn objects(inspected: &Inspected<'_>, out: &mut Vec<Finding>) {
    let snapshot = inspected.snapshot;
    let service = snapshot.service.at.namespace.as_str();
    let virtual_services = snapshot
        .virtual_services
        .iter()
        .map(|held| (held.object.at(Kind::VirtualService), &held.object.meta, &held.object.malformed));
    let rules = snapshot
        .destination_rules
        .iter()
        .map(|held| (held.object.at(Kind::DestinationRule), &held.object.meta, &held.object.malformed));
    let used: BTreeSet<&ObjectRef> = inspected.routing.objects.iter().collect();
    for (at, meta, malformed) in virtual_services.chain(rules).filter(|(at, ..)| used.contains(at)) {
        if let Some(error) = malformed {
            let short: String = error.chars().take(200).collect();
            out.push(found(Severity::Block, Code::Malformed).arg("object", &at).arg("why", short));
        }
        if meta.deleting {
            out.push(found(Severity::Block, Code::Deleting).arg("object", &at));
        }
        if let Some(owner) = &meta.owner {
            out.push(owned(owner, &at, &pointers(inspected, &at)));
        }
        if *meta.namespace != *service {
            out.push(
                found(Severity::Info, Code::CrossNamespace)
                    .arg("object", &at)
                    .arg("namespace", &meta.namespace),
            );
        }
    }
    if let Some((winner, other)) = inspected.conflict {
        out.push(
            found(Severity::Block, Code::HostConflict)
                .arg("object", virtual_service(snapshot, winner))
                .arg("other", virtual_service(snapshot, other))
                .arg("host", &inspected.host),
        );
    }
}

fn delegation(inspected: &Inspected<'_>, out: &mut Vec<Finding>) {
    for trouble in &inspected.troubles {
        let code = if trouble.invalid { Code::DelegateInvalid } else { Code::DelegateMissing };
        out.push(
            found(Severity::Block, code).arg("object", &trouble.root).arg("delegate", &trouble.delegate),
        );
    }
}

fn targets(inspected: &Inspected<'_>, out: &mut Vec<Finding>) {
    for (at, route) in inspected.routing.routes.iter().enumerate() {
        if inspected.destinations(at).iter().any(|entry| entry.destination.host.is_empty()) {
            out.push(found(Severity::Block, Code::NoHost).arg("object", &route.object));
        }
        if let Some(negative) = route.targets.iter().find(|target| target.weight < 0) {
            let check = found(Severity::Block, Code::NegativeWeight);
            out.push(check.arg("object", &route.object).arg("n", negative.weight));
        }
        let several = route.targets.len() > 1;
        let sum: i128 = route.targets.iter().map(|target| i128::from(target.weight)).sum();
        if several && sum != 100 {
            out.push(found(Severity::Info, Code::NotSumming).arg("object", &route.object).arg("n", sum));
        }
        for (entry, target) in route.targets.iter().enumerate() {
            let heavy = if target.percent > 0 { Severity::Block } else { Severity::Info };
            if let Some(lost) = lost_finding(inspected, heavy, route, target) {
                out.push(lost);
                continue;
            }
            match &target.to {
                Dest::Missing { subset } if inspected.selector_rule(subset).is_some() => {
                    let rule = inspected.selector_rule(subset).map(|rule| rule.to_string());
                    out.push(
                        found(heavy, Code::SubsetSelector)
                            .arg("subset", subset)
                            .arg("object", rule.unwrap_or_default())
                            .arg("v", subset),
                    );
                }
                Dest::Missing { subset } => out.push(
                    found(heavy, Code::SubsetMissing).arg("subset", subset).arg("object", &route.object),
                ),
                Dest::Nobody { subset } if target.percent > 0 => out.push(
                    found(Severity::Block, Code::SubsetEmpty)
                        .arg("subset", subset)
                        .arg("object", &route.object)
                        .arg("x", target.percent),
                ),
                Dest::Several { subset, versions } if target.percent > 0 => {
                    let held = inspected.namer(inspected.home(at)).selected(subset);
                    if held.iter().all(|selection| selection.ready() == 0) {
                        let check = found(Severity::Block, Code::WeightWithoutPods).arg("v", subset);
                        out.push(check.arg("n", target.percent).arg("object", &route.object));
                    }
                    let names: Vec<&str> = versions.iter().map(VersionName::as_str).collect();
                    out.push(
                        found(Severity::Info, Code::SubsetOfSeveral)
                            .arg("subset", subset)
                            .arg("versions", names.join(", "))
                            .arg("x", target.percent)
                            .arg("object", &route.object),
                    );
                }
                Dest::Version(name) if target.percent > 0 => {
                    let selection = inspected.selection(at, entry);
                    if selection.as_ref().is_none_or(|selection| selection.ready() == 0) {
                        let version = inspected.snapshot.versions.iter().find(|one| one.name == *name);
                        out.push(match version.and_then(|version| version.lacks.as_deref()) {
                            Some(port) => {
                                found(Severity::Block, Code::NoTargetPort).arg("v", name).arg("port", port)
                            }
                            None => found(Severity::Block, Code::WeightWithoutPods)
                                .arg("v", name)
                                .arg("n", target.percent),
                        });
                    }
                    out.extend(selection.and_then(|selection| part(inspected, at, entry, &selection)));
                }
                // No pod of the service is ready at all; one without versions has its own sentence.
                Dest::Whole if target.percent > 0 && podless(&inspected.snapshot.versions) => {
                    let name = &inspected.snapshot.service.at.name;
                    let check = found(Severity::Block, Code::WeightWithoutPods);
                    out.push(check.arg("v", name).arg("n", target.percent).arg("object", &route.object));
                }
                _ => {}
            }
        }
    }
}

fn podless(versions: &[Version]) -> bool {
    !versions.is_empty() && versions.iter().all(|version| version.ready == 0)
}

/// A subset that selects a part of a version: by which labels.
fn part(inspected: &Inspected<'_>, route: usize, entry: usize, selection: &Selection<'_>) -> Option<Finding> {
    let name = inspected.subset_of(route, entry).filter(|_| !selection.is_whole())?;
    let namer = inspected.namer(inspected.home(route));
    let pods = &selection.version.pods;
    let everywhere =
        |key: &str, value: &str| selection.version.live().all(|at| pods[at].labels.has(key, value));
    let labels: Vec<String> = (namer.defined(name)?.labels.iter())
        .filter(|(key, value)| !everywhere(key, value))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    Some(
        found(Severity::Info, Code::PartOfVersion)
            .arg("object", &inspected.route(route).object)
            .arg("v", &selection.version.name)
            .arg("labels", labels.join(", "))
            .arg("subset", name),
    )
}

/// The client namespaces that do not see a subset as a sentence names them, and the first one's rule. `*` = every
/// namespace that no object names; it says more than those that one does.
pub fn blind(hidden: &[(String, String)]) -> Option<(String, String)> {
    let (_, rule) = hidden.first()?;
    let all = hidden.iter().any(|(namespace, _)| namespace == "*");
    let names: Vec<&str> = hidden.iter().take(LISTED).map(|(namespace, _)| namespace.as_str()).collect();
    let shown = if all { "*".to_owned() } else { names.join("`, `") };
    Some((shown, rule.clone()))
}

/// Subsets that some clients of a route cannot see, though its home can.
fn hidden(inspected: &Inspected<'_>, out: &mut Vec<Finding>) {
    for (at, route) in inspected.routing.routes.iter().enumerate() {
        let heavy = route.targets.iter().enumerate().filter(|(_, target)| target.percent > 0);
        for (entry, target) in heavy {
            if matches!(target.to, Dest::Missing { .. } | Dest::Foreign { .. } | Dest::Whole) {
                continue;
            }
            let Some(subset) = inspected.subset_of(at, entry) else { continue };
            if let Some((namespaces, rule)) = blind(&inspected.hidden_from(at, subset)) {
                out.push(
                    found(Severity::Block, Code::SubsetHidden)
                        .arg("subset", subset)
                        .arg("namespace", namespaces)
                        .arg("object", rule)
                        .arg("v", subset),
                );
            }
        }
    }
}

/// Routes that seem to be the service's by a host that Istio does not expand.
fn unexpanded(inspected: &Inspected<'_>, out: &mut Vec<Finding>) {
    let service = &inspected.snapshot.service.at;
    for (at, route) in inspected.routing.routes.iter().enumerate() {
        let Some(host) = inspected.unexpanded(at) else { continue };
        out.push(
            found(Severity::Acknowledge, Code::HostNotExpanded)
                .arg("object", &route.object)
                .arg("host", host)
                .arg("name", &service.name)
                .arg("full", &inspected.host),
        );
    }
}

/// Conditions on a cookie that also take requests for what another cookie holds.
fn cookie_values(inspected: &Inspected<'_>, out: &mut Vec<Finding>) {
    for (rule, spot) in inspected.routing.rules.iter().zip(&inspected.rule_spots) {
        for condition in rule.when.iter().flatten().filter(|condition| cookies::crosses(condition)) {
            let Subject::Cookie(cookie) = &condition.on else { continue };
            let n = rule.name.clone().unwrap_or_else(|| (inspected.spots[*spot].index + 1).to_string());
            let finding = found(Severity::Info, Code::CookieBeyondValue)
                .arg("n", n)
                .arg("cookie", cookie)
                .arg("value", &condition.value)
                .arg("object", &inspected.route(*spot).object);
            out.push(finding);
        }
    }
}

impl Inspected<'_> {
    /// The destinations of a route as its object lists them.
    fn destinations(&self, route: usize) -> &[WeightedDestination] {
        let spot = &self.spots[route];
        let spec = &self.holder(route).object.spec;
        let list = match spot.kind {
            RouteKind::Http => spec.http.get(spot.index).map(|route| &route.route),
            RouteKind::Tls => spec.tls.get(spot.index).map(|route| &route.route),
            RouteKind::Tcp => spec.tcp.get(spot.index).map(|route| &route.route),
        };
        list.map_or(&[], Vec::as_slice)
    }

    /// The pods of its version that one destination of a route selects: those of its subset, or all of them where
    /// another Service is the version.
    pub fn selection(&self, route: usize, entry: usize) -> Option<Selection<'_>> {
        let Dest::Version(name) = &self.route(route).targets.get(entry)?.to else { return None };
        let Some(subset) = self.subset_of(route, entry) else {
            let version = self.snapshot.versions.iter().find(|version| version.name == *name)?;
            return Some(within(version, &Labels::new()));
        };
        let selected = self.namer(self.home(route)).selected(subset);
        selected.into_iter().find(|selection| selection.version.name == *name)
    }

    /// The subset name of one destination of a route.
    pub fn subset_of(&self, route: usize, entry: usize) -> Option<&str> {
        let entry = self.destinations(route).get(entry)?;
        entry.destination.subset.as_deref().filter(|subset| !subset.is_empty())
    }

    /// The client namespaces of a route whose DestinationRule lacks the subset, each with that rule
    /// (`-` = none). `*` stands for all namespaces that no object names.
    pub fn hidden_from(&self, route: usize, subset: &str) -> Vec<(String, String)> {
        let none = || "-".to_owned();
        let blind = |client: &usize| {
            let all = &self.effective[*client];
            if self.plain(*client).is_none() {
                return Some(none());
            }
            // Of the rules for everybody only the last one counts, of those for some workloads each.
            let used = all.iter().filter(|rule| !rule.for_everybody()).chain(self.plain(*client));
            used.into_iter().find(|rule| rule.subset(subset).is_none()).map(|rule| {
                let first = rule.from.first();
                first.map_or_else(none, |at| destination_rule(self.snapshot, *at).to_string())
            })
        };
        let shown = |client: &usize| match self.clients[*client] {
            ANY_OTHER => "*".to_owned(),
            name => name.to_owned(),
        };
        let clients = self.spots[route].clients.iter();
        clients.filter_map(|client| Some((shown(client), blind(client)?))).collect()
    }
}

/// Rules that can never take a request: behind a catch-all, or with conditions that an earlier one has.
fn order(inspected: &Inspected<'_>, out: &mut Vec<Finding>) {
    // For each object: where its first catch-all stands, and where each match stands first.
    let mut known: HashMap<usize, (usize, HashMap<String, usize>)> = HashMap::new();
    let text = |entry: &HttpMatch| serde_json::to_string(entry).unwrap_or_default();
    for (at, route) in inspected.routing.routes.iter().enumerate() {
        let spot = &inspected.spots[at];
        if spot.kind != RouteKind::Http {
            continue;
        }
        let list = &inspected.holder(at).object.spec.http;
        let (closed, first) = known.entry(spot.vs).or_insert_with(|| {
            let mut first = HashMap::new();
            for (index, route) in list.iter().enumerate() {
                for entry in &route.r#match {
                    first.entry(text(entry)).or_insert(index);
                }
            }
            let root = spot.roots.first().copied().unwrap_or(spot.vs);
            let closed = list.iter().position(|route| inspected.catch_all(root, route));
            (closed.unwrap_or(usize::MAX), first)
        });
        let say = |code: Code, by: usize| {
            let name = |index: usize| {
                list.get(index)
                    .and_then(|route| route.name.as_deref())
                    .map_or_else(|| (index + 1).to_string(), str::to_owned)
            };
            found(Severity::Info, code)
                .arg("n", name(spot.index))
                .arg("m", name(by))
                .arg("object", &route.object)
        };
        if *closed < spot.index {
            out.push(say(Code::RuleNeverMatches, *closed));
            continue;
        }
        if inspected.may_take_all(at) {
            out.push(say(Code::RuleMayTakeAll, spot.index));
        }
        let own = list.get(spot.index).map_or(&[][..], |route| &route.r#match[..]);
        let earlier: Option<Vec<usize>> = own
            .iter()
            .map(|entry| first.get(&text(entry)).copied().filter(|index| *index < spot.index))
            .collect();
        if let Some([by, ..]) = earlier.as_deref() {
            out.push(say(Code::RuleShadowed, *by));
        }
    }
}
