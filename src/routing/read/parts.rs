//! What becomes of a route's requests: versions, other hosts, and what the proxy answers by itself. Called for every
//! route once its destinations are known, and once for the service as a whole.

use crate::domain::ids::ObjectRef;
use crate::domain::istio::{Fault, HttpRoute};
use crate::domain::refusal::{Code, Finding, Severity};
use crate::domain::routing::{
    Answer, Delay, Dest, Fixed, Lost, Outcome, Part, Rest, Route, RouteKind, Scope, Target, Why,
};
use crate::domain::service::Version;

use super::super::lookup::ANY_OTHER;
use super::findings::found;
use super::selection::selected;
use super::targets::shares;
use super::{Inspected, Place, destination_rule};

/// Parts in a million: percentages of faults have four decimals.
const MILLION: i64 = 1_000_000;

/// The parts of a route with these destinations. `http` is the route itself where it is one of HTTP.
pub fn of(
    targets: &[Target],
    fixed: Option<Fixed>,
    http: Option<&HttpRoute>,
    versions: &[Version],
) -> Vec<Part> {
    let abort = http.and_then(|route| route.fault.as_ref()).and_then(abort);
    let aborted = abort.as_ref().map_or(0, |(share, _)| *share);
    let mut found: Vec<(Outcome, i64)> = Vec::new();
    if let Some((share, answer)) = abort {
        found.push((Outcome::Answer(answer), share * 100));
    }
    let left = MILLION - aborted;
    match (fixed, http) {
        (Some(Fixed::Redirect), Some(route)) => {
            let status = route.redirect.and_then(|redirect| redirect.status).unwrap_or(301);
            found.push((answer(status, "-", Why::Redirect, ""), left * 100));
        }
        (Some(Fixed::DirectResponse), Some(route)) => {
            let status = route.direct_response.and_then(|direct| direct.status).unwrap_or(200);
            found.push((answer(status, "-", Why::DirectResponse, ""), left * 100));
        }
        (Some(Fixed::Delegate | Fixed::Empty), _) => return Vec::new(),
        _ => {
            for target in targets.iter().filter(|target| target.percent > 0) {
                let to = outcome(target, versions);
                let share = i64::from(target.percent) * left;
                match found.iter_mut().find(|(known, _)| *known == to) {
                    Some((_, all)) => *all += share,
                    None => found.push((to, share)),
                }
            }
        }
    }
    found.retain(|(_, share)| *share > 0);
    let weights: Vec<i64> = found.iter().map(|(_, share)| *share).collect();
    let percents = if weights.is_empty() { Vec::new() } else { shares(&weights) };
    found.into_iter().zip(percents).map(|((to, _), percent)| Part { to, percent }).collect()
}

/// What a fault answers, and its share in millionths; `None` when it answers nothing.
fn abort(fault: &Fault) -> Option<(i64, Answer)> {
    let abort = fault.abort.as_ref()?;
    // A gRPC status comes as an answer of HTTP status 200.
    let status = match (abort.http_status, &abort.grpc_status) {
        (Some(status), _) => u16::try_from(status).unwrap_or(503),
        (None, Some(_)) => 200,
        (None, None) => return None,
    };
    let share = millionths(abort.percentage.as_ref()?.value);
    (share > 0).then(|| (share, Answer { status, flag: "FI", why: Why::Fault, name: String::new() }))
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to 0..=100 before the cast")]
fn millionths(percent: f64) -> i64 {
    if percent.is_finite() { (percent.clamp(0.0, 100.0) * 10_000.0).round() as i64 } else { 0 }
}

/// The delay that a fault of a route brings.
pub fn delay(route: &HttpRoute) -> Option<Delay> {
    let delay = route.fault.as_ref()?.delay.as_ref()?;
    let older = u8::try_from(delay.percent.clamp(0, 100)).map_or(0.0, f64::from);
    let percent = delay.percentage.as_ref().map_or(older, |percentage| percentage.value);
    let by = delay.fixed_delay.as_deref().filter(|by| !by.is_empty())?;
    (percent > 0.0 && percent.is_finite()).then(|| Delay { percent: percent.min(100.0), by: by.to_owned() })
}

fn answer(status: u16, flag: &'static str, why: Why, name: &str) -> Outcome {
    Outcome::Answer(Answer { status, flag, why, name: name.to_owned() })
}

fn outcome(target: &Target, versions: &[Version]) -> Outcome {
    let none = |why: Why, name: &str| answer(503, "NC", why, name);
    if let Some(lost) = &target.lost {
        let name = match (&target.to, lost) {
            (Dest::Version(version), _) => version.as_str(),
            (Dest::Foreign { host, .. }, _) => host,
            (Dest::Several { subset, .. } | Dest::Nobody { subset } | Dest::Missing { subset }, _) => subset,
            (Dest::Whole, _) => "",
        };
        let why = if *lost == Lost::Host { Why::NoHost } else { Why::NoPort };
        return none(why, name);
    }
    match &target.to {
        Dest::Version(name) => {
            let podless = versions.iter().any(|version| version.name == *name && version.ready == 0);
            if podless {
                answer(503, "UH", Why::NoPods, name.as_str())
            } else {
                Outcome::Version(name.clone())
            }
        }
        Dest::Several { subset, versions } => {
            Outcome::Several { subset: subset.clone(), versions: versions.clone() }
        }
        Dest::Whole => Outcome::Pods,
        Dest::Nobody { subset } => answer(503, "UH", Why::NoPods, subset),
        Dest::Missing { subset } => none(Why::NoSubset, subset),
        Dest::Foreign { host, .. } => Outcome::Host(host.clone()),
    }
}

impl Inspected<'_> {
    /// What becomes of the requests to the service that no rule takes.
    pub fn split(&self) -> Vec<Part> {
        if let Some(at) = self.default {
            return self.route(at).parts.clone();
        }
        if !self.has_port_for(RouteKind::Http) || !self.holds_for_others() {
            return Vec::new();
        }
        let mut own = (0..self.spots.len()).filter(|at| self.is_own_http(*at));
        match own.find(|at| self.route(*at).catch_all) {
            Some(at) => self.route(at).parts.clone(),
            None if self.troubles.is_empty() => {
                vec![Part { to: answer(404, "NR", Why::NoRoute, ""), percent: 100 }]
            }
            None => Vec::new(),
        }
    }

    /// True for an http route of the service's own VirtualService that callers in the mesh use.
    fn is_own_http(&self, at: usize) -> bool {
        let spot = &self.spots[at];
        spot.place == Place::Own && spot.kind == RouteKind::Http && spot.for_mesh
    }

    /// True when the service's own VirtualService has an http route for every caller. Of one whose routes are all for
    /// some callers (`sourceLabels`, `sourceNamespace`), Istio has none for the others and leaves it out for them: pods
    /// decide.
    pub fn holds_for_others(&self) -> bool {
        (0..self.spots.len()).any(|at| self.is_own_http(at) && self.spots[at].for_others)
    }

    /// The route that answers everything by itself, where no route is left to shift.
    pub fn answering(&self) -> Option<&Route> {
        let at = (0..self.spots.len()).find(|at| {
            let spot = &self.spots[*at];
            spot.place == Place::Own && spot.for_mesh && self.route(*at).catch_all
        })?;
        let fixed = matches!(self.route(at).fixed, Some(Fixed::Redirect | Fixed::DirectResponse));
        (self.default.is_none() && fixed).then(|| self.route(at))
    }

    /// The clients of a route for whom one of its subsets holds other pods than for its home, each with the
    /// DestinationRule that says so: Istio takes the rule of the client's namespace first.
    pub fn differing(&self, at: usize) -> Vec<(usize, ObjectRef)> {
        let (home, spot) = (self.home(at), &self.spots[at]);
        let subsets: Vec<&str> = (0..self.route(at).targets.len())
            .filter(|entry| self.route(at).targets[*entry].percent > 0)
            .filter_map(|entry| self.subset_of(at, entry))
            .collect();
        let rule_of = |client: usize| {
            let rule = self.plain(client)?;
            let differs = |subset: &&str| {
                rule.subset(subset).is_some()
                    && self.namer(client).selected(subset) != self.namer(home).selected(subset)
            };
            subsets.iter().any(differs).then(|| rule.from.first().copied()).flatten()
        };
        let others = spot.clients.iter().copied().filter(|client| *client != home);
        others
            .filter_map(|client| Some((client, destination_rule(self.snapshot, rule_of(client)?))))
            .collect()
    }

    /// Workloads that a rule of their own (`workloadSelector`) gives other pods for a subset of a route, and that rule.
    fn differing_workloads(&self, at: usize) -> Vec<(String, ObjectRef)> {
        let (home, route, mut out) = (self.home(at), self.route(at), Vec::new());
        let heavy = (0..route.targets.len()).filter(|entry| route.targets[*entry].percent > 0);
        let subsets: Vec<&str> = heavy.filter_map(|entry| self.subset_of(at, entry)).collect();
        for client in &self.spots[at].clients {
            for rule in self.effective[*client].iter().filter(|rule| !rule.for_everybody()) {
                let differs = |name: &&str| {
                    let subset = rule.subset(name);
                    subset.is_some_and(|own| {
                        selected(own, &self.snapshot.versions) != self.namer(home).selected(name)
                    })
                };
                if let Some(first) = rule.from.first().filter(|_| subsets.iter().any(differs)) {
                    let who = format!("{} ({})", self.clients[*client], rule.clients());
                    out.push((who, destination_rule(self.snapshot, *first)));
                }
            }
        }
        out
    }

    /// What must be known of callers for whom a route's subsets hold other pods; `None` where there are none.
    pub fn differing_finding(&self, at: usize) -> Option<Finding> {
        let shown = |client: usize| match self.clients[client] {
            ANY_OTHER => "*".to_owned(),
            name => name.to_owned(),
        };
        let mut all: Vec<(String, ObjectRef)> =
            self.differing(at).into_iter().map(|(client, rule)| (shown(client), rule)).collect();
        all.extend(self.differing_workloads(at));
        let (_, rule) = all.first()?;
        let list: Vec<&str> = all.iter().map(|(who, _)| who.as_str()).collect();
        Some(
            found(Severity::Acknowledge, Code::SubsetDiffers)
                .arg("list", list.join(", "))
                .arg("object", rule)
                .arg("route", &self.route(at).id),
        )
    }

    /// For whom the default route's split holds.
    pub fn scope_of_default(&self) -> Option<Scope> {
        let at = self.default?;
        let (spot, route) = (&self.spots[at], self.route(at));
        let scope = |namespaces, except, rest| Scope {
            hosts: route.hosts.clone(),
            gateways: route.gateways.clone(),
            port: route.port,
            namespaces,
            except,
            rest,
            uncovered: self.uncovered(),
        };
        if spot.place == Place::Gateway {
            return Some(scope(None, Vec::new(), Rest::ByPods));
        }
        let name = |client: usize| self.clients[client].to_owned();
        let everybody = |at: usize| spot_has(self, at, ANY_OTHER);
        let own_for_others = || {
            (0..self.spots.len()).any(|other| {
                self.spots[other].place == Place::Own
                    && !self.spots[other].roots.iter().any(|root| spot.roots.contains(root))
                    && everybody(other)
            })
        };
        if !everybody(at) {
            let only: Vec<String> =
                spot.clients.iter().copied().filter(|at| self.clients[*at] != ANY_OTHER).map(name).collect();
            let rest = if own_for_others() {
                Rest::OtherRoutes
            } else if self.snapshot.service.is_known_in(ANY_OTHER) {
                Rest::ByPods
            } else {
                Rest::Unknown
            };
            return Some(scope(Some(only), Vec::new(), rest));
        }
        let other: Vec<usize> = self.differing(at).into_iter().map(|(client, _)| client).collect();
        let away = |client: &usize| !spot.clients.contains(client) || other.contains(client);
        let except: Vec<String> = (0..self.clients.len())
            .filter(|client| away(client) && self.clients[*client] != ANY_OTHER)
            .map(name)
            .collect();
        // Of a service's own object, what is for another port has a route of its own, or none.
        let ports = route.port.is_some() && self.snapshot.service.ports.len() > 1;
        let rest = if spot.place == Place::Elsewhere {
            Rest::ByPods
        } else if except.is_empty() && !ports {
            Rest::Nobody
        } else {
            Rest::OtherRoutes
        };
        Some(scope(None, except, rest))
    }
}

fn spot_has(inspected: &Inspected<'_>, at: usize, client: &str) -> bool {
    inspected.spots[at].clients.iter().any(|one| inspected.clients[*one] == client)
}
