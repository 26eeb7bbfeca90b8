//! What the routing objects say about one service, in words that do not depend on the mesh:
//! routes (places where its traffic is split), rules, mirror, findings.

use serde::{Deserialize, Serialize};

use super::ids::{Namespace, ObjectRef, RouteId, VersionName};
use super::refusal::Finding;
use super::service::{Port, Protocol};

/// Whole percents per version as a route declares them. Sums to 100 unless a destination outside the
/// service takes a part, or a subset holds several versions.
pub type Weights = Vec<(VersionName, u8)>;

/// Everything that the objects say about one service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routing {
    /// In the order in which proxies try them, the service's own VirtualService first.
    pub routes: Vec<Route>,
    /// The routes with matches of the object that holds the default route, first match wins.
    pub rules: Vec<Rule>,
    pub mirror: Option<Mirror>,
    /// What becomes of the requests that no rule takes; empty where they are spread by pods, or where it is
    /// not clear which of several routes is meant.
    pub split: Vec<Part>,
    /// For whom the default route's split holds; `None` = there is no default route.
    pub scope: Option<Scope>,
    pub findings: Vec<Finding>,
    /// Namespaces other than the service's in which a Service, or a port of one, that a route names is missing.
    pub beyond: Vec<Namespace>,
    /// Every object that was read to say this, in a stable order.
    pub objects: Vec<ObjectRef>,
    /// SHA-256 (hex) over what of those objects decides about this service's traffic.
    pub fingerprint: String,
}

impl Routing {
    /// The route that a command without a route means: the catch-all.
    pub fn default_route(&self) -> Option<&Route> {
        self.routes.iter().find(|route| route.is_default)
    }

    /// True when a route that can be shifted, a match rule or another one, sends requests to another version
    /// than this.
    pub fn sends_elsewhere(&self, version: &VersionName) -> bool {
        let others = |weights: Weights| weights.iter().any(|(name, weight)| name != version && *weight > 0);
        self.routes.iter().any(|route| route.fixed.is_none() && route.weights().is_some_and(others))
    }

    /// The route with this id.
    pub fn route(&self, id: &RouteId) -> Option<&Route> {
        self.routes.iter().find(|route| route.id == *id)
    }

    /// The weights of the default route as they are shown: with what goes to several versions at once.
    pub fn declared_parts(&self) -> Option<Weights> {
        self.default_route().and_then(Route::parts)
    }

    /// Percent of the requests that the proxy answers by itself because an object says so, or has no route.
    pub fn answered_percent(&self) -> u8 {
        let answers = |part: &&Part| match &part.to {
            Outcome::Answer(answer) => answer.is_wanted() || answer.why == Why::NoRoute,
            _ => false,
        };
        self.split.iter().filter(answers).map(|part| part.percent).fold(0, u8::saturating_add)
    }

    /// True when routes bring requests to the service and none of them stands for all: which one is meant has
    /// to be stated.
    pub fn is_undecided(&self) -> bool {
        self.default_route().is_none()
            && self.findings.iter().any(|finding| finding.code == super::refusal::Code::ChooseRoute)
    }

    /// The weights of the default route; `None` where requests are spread by pods.
    pub fn declared(&self) -> Option<Weights> {
        self.default_route().and_then(Route::weights)
    }
}

/// Which of a VirtualService's lists a route stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteKind {
    Http,
    Tls,
    Tcp,
}

impl RouteKind {
    /// `http`, `tls` or `tcp`: also the name of the list in the object.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tls => "tls",
            Self::Tcp => "tcp",
        }
    }

    /// True when Istio applies routes of this list to a port of this protocol.
    pub fn applies_to(self, protocol: Protocol) -> bool {
        match self {
            Self::Http => matches!(protocol, Protocol::Http | Protocol::Auto),
            Self::Tcp => matches!(protocol, Protocol::Tcp | Protocol::Auto),
            Self::Tls => protocol == Protocol::Tls,
        }
    }
}

/// One place where the service's traffic is split.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub id: RouteId,
    /// The object that holds it (the delegate's, where a root delegates).
    pub object: ObjectRef,
    pub kind: RouteKind,
    /// The position in the list of the object as it was read.
    pub index: usize,
    pub name: Option<String>,
    /// The hosts that callers use, as the (root) object writes them.
    pub hosts: Vec<String>,
    /// `mesh` and/or gateways, as the (root) object writes them.
    pub gateways: Vec<String>,
    pub port: Option<u32>,
    pub catch_all: bool,
    pub is_default: bool,
    pub targets: Vec<Target>,
    /// Why its weights cannot be shifted, if so.
    pub fixed: Option<Fixed>,
    /// What becomes of its requests, in whole percents that sum to 100.
    pub parts: Vec<Part>,
    /// A share of its requests is held back first.
    pub delay: Option<Delay>,
}

/// A share of requests that the proxy holds back before it sends them on.
#[derive(Clone, Debug, PartialEq)]
pub struct Delay {
    pub percent: f64,
    /// As the object writes it: `7s`.
    pub by: String,
}

/// A part of what becomes of a route's requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub to: Outcome,
    pub percent: u8,
}

impl Part {
    /// True for what is spread by pods among all versions.
    pub fn is_by_pods(&self) -> bool {
        self.to == Outcome::Pods
    }
}

/// What becomes of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Version(VersionName),
    /// Spread by pods among these versions, by a subset that holds them all.
    Several {
        subset: String,
        versions: Vec<VersionName>,
    },
    /// Spread by pods among all versions.
    Pods,
    /// They leave for another host.
    Host(String),
    /// The proxy answers by itself.
    Answer(Answer),
}

/// An answer of the proxy's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Envoy's response flag, `-` where it has none: `NC`, `UH`, `FI`, `NR`.
    pub flag: &'static str,
    pub why: Why,
    /// The target: a version, subset or host; empty where there is none.
    pub name: String,
}

impl Answer {
    /// True when the object asks for it; false when something that it names is not there.
    pub fn is_wanted(&self) -> bool {
        matches!(self.why, Why::Fault | Why::Redirect | Why::DirectResponse)
    }
}

/// Why the proxy answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// `fault.abort`.
    Fault,
    Redirect,
    DirectResponse,
    /// No DestinationRule of the caller defines the subset.
    NoSubset,
    /// No Service has the host.
    NoHost,
    /// The Service has no such port.
    NoPort,
    /// No pod behind it is ready.
    NoPods,
    /// No route takes the request.
    NoRoute,
}

impl Why {
    /// `fault`, `redirect`, `direct_response`, `no_subset`, `no_host`, `no_port`, `no_pods` or `no_route`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Redirect => "redirect",
            Self::DirectResponse => "direct_response",
            Self::NoSubset => "no_subset",
            Self::NoHost => "no_host",
            Self::NoPort => "no_port",
            Self::NoPods => "no_pods",
            Self::NoRoute => "no_route",
        }
    }
}

/// For whom a split holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The hosts that callers ask for.
    pub hosts: Vec<String>,
    /// `mesh` and/or gateways.
    pub gateways: Vec<String>,
    pub port: Option<u32>,
    /// Only callers of these namespaces; `None` = of all but `except`.
    pub namespaces: Option<Vec<String>>,
    /// Namespaces whose callers follow other routes.
    pub except: Vec<String>,
    /// What becomes of callers in the mesh for whom it does not hold.
    pub rest: Rest,
    /// Traffic of the service's ports that no route takes: it is spread by pods.
    pub uncovered: Vec<Uncovered>,
}

/// Traffic of a port that no route takes, though others of the service's have one: it is spread by pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncovered {
    pub port: Port,
    /// The list in which a route would have to be.
    pub kind: RouteKind,
    /// Other traffic of the same port has a route.
    pub half: bool,
}

/// What becomes of callers in the mesh for whom a split does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// There are none.
    Nobody,
    ByPods,
    OtherRoutes,
    /// Their proxies do not know the Service: the mesh's policy for what is outside of it decides.
    Unknown,
}

impl Rest {
    /// `nobody`, `spread_by_pods`, `other_routes` or `unknown`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::ByPods => "spread_by_pods",
            Self::Unknown => "unknown",
            Self::OtherRoutes => "other_routes",
        }
    }
}

/// Why a route has no weights to shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixed {
    Redirect,
    DirectResponse,
    /// Delegates to an object that is missing or not visible.
    Delegate,
    /// No destination at all.
    Empty,
}

impl Route {
    /// Percents per version of the service; `None` when a destination without subset takes all (spread
    /// by pods) or no destination belongs to one version.
    pub fn weights(&self) -> Option<Weights> {
        let mut out: Weights = Vec::new();
        for target in &self.targets {
            let Dest::Version(version) = &target.to else { continue };
            let reaches = if target.lost.is_some() { 0 } else { target.percent };
            match out.iter_mut().find(|(name, _)| name == version) {
                Some((_, percent)) => *percent = percent.saturating_add(reaches),
                None => out.push((version.clone(), reaches)),
            }
        }
        (!out.is_empty()).then_some(out)
    }

    /// What goes to subsets that hold several versions: subset, versions, percent.
    pub fn shared(&self) -> impl Iterator<Item = (&str, &[VersionName], u8)> {
        self.targets.iter().filter_map(|target| match &target.to {
            Dest::Several { subset, versions } => {
                Some((subset.as_str(), versions.as_slice(), target.percent))
            }
            _ => None,
        })
    }

    /// The weights with what goes to several versions at once, as a part of its own: `v2 (v2.0, v2.1)`.
    pub fn parts(&self) -> Option<Weights> {
        let mut parts = self.weights().unwrap_or_default();
        for (subset, versions, percent) in self.shared() {
            let names: Vec<&str> = versions.iter().map(VersionName::as_str).collect();
            parts.push((VersionName::trusted(format!("{subset} ({})", names.join(", "))), percent));
        }
        (!parts.is_empty()).then_some(parts)
    }

    /// True when it sends (or could send) requests to the service.
    pub fn reaches(&self) -> bool {
        self.targets.iter().any(|target| !matches!(target.to, Dest::Foreign { .. }))
    }

    /// Percent that leaves the service for other hosts.
    pub fn foreign_percent(&self) -> u8 {
        self.targets
            .iter()
            .filter(|target| matches!(target.to, Dest::Foreign { .. }))
            .map(|target| target.percent)
            .fold(0, u8::saturating_add)
    }
}

/// One destination of a route.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub to: Dest,
    /// As written; absent = 0.
    pub weight: i64,
    /// What Istio makes of it: the share among all destinations, 100 when it stands alone.
    pub percent: u8,
    /// The host of a sibling Service by which it reaches the version; `None` = the service's own host.
    pub via: Option<String>,
    /// Requests for it reach no pod, because this is not there: the proxy answers 503 (NC).
    pub lost: Option<Lost>,
}

/// What a destination names and is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// No Service has the host.
    Host,
    /// The Service has no such port.
    Port(u32),
}

/// Whom a destination reaches, seen from the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dest {
    /// Exactly one version of the service.
    Version(VersionName),
    /// A subset that selects several versions.
    Several { subset: String, versions: Vec<VersionName> },
    /// All pods of the service, by no subset.
    Whole,
    /// A subset that exists but selects no pod.
    Nobody { subset: String },
    /// A subset that no DestinationRule defines, neither where the route is used nor where the service
    /// lives: answers 503.
    Missing { subset: String },
    /// Another host.
    Foreign { host: String, subset: Option<String> },
}

/// Rules that a change may ask for.
pub const MAX_RULES: usize = 50;
/// Alternatives of a rule that is sent back unchanged, and conditions of one: foreign rules may hold more than new
/// ones.
pub const MAX_ALTERNATIVES: usize = 1_000;
pub const MAX_CONDITIONS: usize = 64;

/// Stands alone in [`Rule::opaque`] where the reader may not read the object that holds the conditions.
pub const HIDDEN: &str = "hidden";

/// A match rule: requests for which one of `when` holds go to `to` before the default split applies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The route that holds it; `None` for a rule that is being added.
    pub id: Option<RouteId>,
    pub name: Option<String>,
    /// Alternatives; within one, all conditions must hold.
    pub when: Vec<Vec<Condition>>,
    /// Fields of the match that Sluice shows but does not edit (`sourceLabels`, `withoutHeaders`, …).
    /// Not empty = the conditions are kept as they are.
    pub opaque: Vec<String>,
    /// Percents per version, sum 100; empty when the rule does something else (`action` says what).
    pub to: Weights,
    /// What the rule does instead of choosing among versions (`redirect`, `delegate`, another host).
    pub action: Option<String>,
}

/// One condition on a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    pub on: Subject,
    pub op: Op,
    pub value: String,
}

/// What a condition looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "in", content = "name")]
pub enum Subject {
    Header(String),
    Cookie(String),
    Query(String),
    Path,
    Method,
}

/// How a condition compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    Exact,
    Prefix,
    /// RE2; the whole value must match.
    Regex,
    /// The header or query parameter is there, whatever its value.
    Present,
}

impl Op {
    /// `exact`, `prefix`, `regex` or `present`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Prefix => "prefix",
            Self::Regex => "regex",
            Self::Present => "present",
        }
    }
}

/// A share of requests that is copied to a target whose answers are dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mirror {
    pub to: Dest,
    /// In steps of 0.0001, above 0, at most 100.
    pub percent: f64,
}

/// Envoy counts the share of copies in millionths, which Istio gets by cutting the rest off: of less than one, nothing
/// is copied.
const PARTS_OF_PERCENT: f64 = 10_000.0;

impl Mirror {
    /// The share that Envoy makes of a percentage in an object.
    pub fn made_of(percent: f64) -> f64 {
        (percent.min(100.0) * PARTS_OF_PERCENT).trunc() / PARTS_OF_PERCENT
    }

    /// A share that is asked for, where Envoy can have it: from 0.0001 to 100, at most four decimal places.
    pub fn possible(percent: f64) -> Option<f64> {
        let whole = (percent * PARTS_OF_PERCENT).round() / PARTS_OF_PERCENT;
        let fits = (1.0 / PARTS_OF_PERCENT..=100.0).contains(&percent) && (whole - percent).abs() < 1e-9;
        fits.then_some(whole)
    }

    /// The number to write so that Envoy's share is this one: binary fractions may lie just below a millionth.
    pub fn written(percent: f64) -> f64 {
        if Self::made_of(percent) < percent { percent.next_up() } else { percent }
    }

    /// Takes out which host gets the copies: it stands in an object that the reader may not get.
    pub fn hide(&mut self) {
        if let Dest::Foreign { host, subset } = &mut self.to {
            HIDDEN.clone_into(host);
            *subset = None;
        }
    }

    /// The version that gets the copies, when it is one of the service's.
    pub fn version(&self) -> Option<&VersionName> {
        match &self.to {
            Dest::Version(version) => Some(version),
            _ => None,
        }
    }
}
