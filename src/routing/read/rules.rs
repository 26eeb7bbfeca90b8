//! Rules: the http routes with matches of the object that holds the default route, in words.

use crate::domain::istio::{HttpMatch, StringMatch};
use crate::domain::refusal::Code;
use crate::domain::routing::{Condition, Dest, Fixed, Op, Route, RouteKind, Rule, Subject};

use super::super::{cookies, hosts, rule_input};
use super::Inspected;

/// The port and gateways that the default route is for: a rule before it is for the same ones, so they
/// are no conditions of the rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    pub port: Option<u32>,
    pub gateways: Vec<Box<str>>,
}

/// Fills `routing.rules` and `rule_spots`.
pub fn collect(into: &mut Inspected<'_>, main_http: Option<usize>) {
    let default = into.default.filter(|at| into.spots[*at].kind == RouteKind::Http);
    let holder = match (default, into.default, main_http) {
        (Some(at), ..) => into.spots[at].vs,
        (None, None, Some(root)) => root,
        _ => return,
    };
    let scope = into.scope();
    for at in 0..into.spots.len() {
        let spot = &into.spots[at];
        let plain = spot.everything || into.route(at).catch_all;
        if spot.vs != holder || spot.kind != RouteKind::Http || Some(at) == default || plain {
            continue;
        }
        if into.is_of_others(at) {
            continue;
        }
        let rule = into.rule(at, &scope);
        into.rule_spots.push(at);
        into.routing.rules.push(rule);
    }
}

impl Inspected<'_> {
    /// What the default route is restricted to, when it is restricted to nothing else.
    pub fn scope(&self) -> Scope {
        let entry = self.default.and_then(|at| {
            let spot = &self.spots[at];
            match &self.holder(at).object.spec.http.get(spot.index)?.r#match[..] {
                [only] if spot.kind == RouteKind::Http && spot.everything => Some(only),
                _ => None,
            }
        });
        entry.map(|entry| Scope { port: entry.port, gateways: entry.gateways.clone() }).unwrap_or_default()
    }

    /// True for a route that belongs to other services: all it does happens elsewhere, in an object that
    /// claims other hosts too.
    pub fn is_of_others(&self, at: usize) -> bool {
        !self.reaches_service(at) && self.spots[at].roots.iter().any(|root| self.has_other_hosts(*root))
    }

    /// True when a VirtualService claims hosts of other services besides this one's.
    pub fn has_other_hosts(&self, vs: usize) -> bool {
        let object = &self.snapshot.virtual_services[vs].object;
        let domain = &*self.snapshot.mesh.cluster_domain;
        object.spec.hosts.iter().any(|host| {
            let full = hosts::resolve(host, &object.meta.namespace, domain);
            *full != *self.host && hosts::in_cluster(&full, domain)
        })
    }

    fn rule(&self, at: usize, scope: &Scope) -> Rule {
        let spot = &self.spots[at];
        let route = self.route(at);
        let entries =
            self.holder(at).object.spec.http.get(spot.index).map_or(&[][..], |route| &route.r#match[..]);
        let mut opaque: Vec<String> = Vec::new();
        let when = entries.iter().map(|entry| conditions(entry, scope, &mut opaque)).collect();
        opaque.sort();
        opaque.dedup();
        let weights = route.weights().unwrap_or_default();
        let whole = weights.iter().map(|(_, percent)| u32::from(*percent)).sum::<u32>() == 100;
        Rule {
            id: Some(route.id.clone()),
            name: route.name.clone(),
            when,
            opaque,
            action: if whole { None } else { Some(action(route)) },
            to: if whole { weights } else { Vec::new() },
        }
    }
}

/// What a rule does that is no choice among versions.
fn action(route: &Route) -> String {
    match route.fixed {
        Some(Fixed::Redirect) => return "redirect".to_owned(),
        Some(Fixed::DirectResponse) => return "direct_response".to_owned(),
        Some(Fixed::Delegate) => return "delegate".to_owned(),
        Some(Fixed::Empty) => return "nothing".to_owned(),
        None => {}
    }
    let heavy = route.targets.iter().filter(|target| target.percent > 0);
    let strange = heavy.into_iter().find(|target| !matches!(target.to, Dest::Version(_)));
    match strange.map(|target| &target.to) {
        Some(Dest::Foreign { host, .. }) => host.clone(),
        Some(Dest::Whole) => "spread_by_pods".to_owned(),
        Some(Dest::Several { subset, .. } | Dest::Nobody { subset } | Dest::Missing { subset }) => {
            format!("subset {subset}")
        }
        Some(Dest::Version(_)) | None => "nothing".to_owned(),
    }
}

fn conditions(entry: &HttpMatch, scope: &Scope, opaque: &mut Vec<String>) -> Vec<Condition> {
    let mut out = Vec::new();
    let mut take =
        |on: Subject, said: &StringMatch, field: &str, presence: bool| match condition(on, said, presence) {
            Some(condition) => out.push(condition),
            None => opaque.push(field.to_owned()),
        };
    if let Some(uri) = &entry.uri {
        take(Subject::Path, uri, "uri", false);
    }
    if let Some(method) = &entry.method {
        take(Subject::Method, method, "method", false);
    }
    for (name, said) in &entry.query_params {
        take(Subject::Query(name.to_string()), said, &format!("queryParams.{name}"), true);
    }
    for (name, said) in &entry.headers {
        let field = format!("headers.{name}");
        if name.eq_ignore_ascii_case("cookie") {
            match said.regex.as_deref().filter(|_| said.exact.is_none() && said.prefix.is_none()) {
                Some(regex) => match cookies::parse(regex) {
                    Some(condition) => out.push(condition),
                    None => opaque.push(field),
                },
                None => opaque.push(field),
            }
            continue;
        }
        // A value that may be a secret is never shown, and pseudo-headers have matches of their own.
        match rule_input::header_name(name) {
            Err(Code::SensitiveHeader | Code::BadHeaderName) => opaque.push(field),
            _ => match condition(Subject::Header(name.to_string()), said, true) {
                Some(condition) => out.push(condition),
                None => opaque.push(field),
            },
        }
    }
    let others = [
        ("ignoreUriCase", entry.ignore_uri_case && entry.uri.is_some()),
        ("scheme", entry.scheme.is_some()),
        ("authority", entry.authority.is_some()),
        ("withoutHeaders", !entry.without_headers.is_empty()),
        ("port", entry.port.is_some() && entry.port != scope.port),
        ("gateways", !entry.gateways.is_empty() && entry.gateways != scope.gateways),
        ("sourceLabels", !entry.source_labels.is_empty()),
        ("sourceNamespace", entry.source_namespace.is_some()),
    ];
    opaque.extend(others.into_iter().filter(|(_, there)| *there).map(|(name, _)| name.to_owned()));
    out
}

fn condition(on: Subject, said: &StringMatch, presence: bool) -> Option<Condition> {
    let (op, value) = match (&said.exact, &said.prefix, &said.regex) {
        (Some(value), None, None) => (Op::Exact, value.to_string()),
        (None, Some(value), None) => (Op::Prefix, value.to_string()),
        (None, None, Some(value)) => (Op::Regex, value.to_string()),
        (None, None, None) if presence => (Op::Present, String::new()),
        _ => return None,
    };
    Some(Condition { on, op, value })
}
