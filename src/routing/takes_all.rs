//! Does a match take every request? Decided from what the proxy does with it, not from how it is written: a path always
//! begins with `/`, so `/?.*`, `/+.*` and `[^?]*` are as wide as no condition at all. Called by the reader and by plans.

use std::collections::HashSet;

use regex_syntax::hir::{Class, Hir, HirKind, Look};

use crate::domain::istio::{HttpMatch, HttpRoute, StringMatch};

/// How much of the requests that come to a match it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Takes {
    /// A part.
    Some,
    /// A part or all: it depends on what callers send.
    Maybe,
    /// All.
    All,
}

/// Where matches stand: what their conditions on gateways, port and host are compared with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Site<'s> {
    /// The full host of the service.
    pub host: &'s str,
    /// Of the VirtualService; empty = `mesh`.
    pub gateways: &'s [Box<str>],
    /// The ports of the service that speak HTTP.
    pub ports: &'s [u32],
}

/// Headers that (nearly) every request has, many of them set by the proxy itself.
const ALWAYS: [&str; 9] = [
    ":authority",
    ":method",
    ":path",
    ":scheme",
    "accept",
    "host",
    "user-agent",
    "x-forwarded-proto",
    "x-request-id",
];

/// Paths that have little in common.
const PATHS: [&str; 4] = ["/index.html", "/api/v2/Items/42", "/q_~x-y/%20a", "/checkout"];

/// Bounds for one expression; beyond them it counts as one that may match everything.
const MAX_STEPS: usize = 4000;
const MAX_SETS: usize = 200;

/// What the conditions of a match take, wherever it stands (port, gateways and sources are not looked at).
pub fn conditions(entry: &HttpMatch, host: &str) -> Takes {
    let mut takes = Takes::All;
    let mut and = |other: Takes| takes = takes.min(other);
    if let Some(uri) = &entry.uri {
        and(path(uri));
    }
    if let Some(method) = &entry.method {
        and(one_of(method, &["GET", "POST"]));
    }
    if let Some(scheme) = &entry.scheme {
        and(one_of(scheme, &["http", "https"]));
    }
    if let Some(authority) = &entry.authority {
        and(one_of(authority, &forms(host)));
    }
    for (name, said) in &entry.headers {
        let everybody = ALWAYS.iter().any(|always| name.eq_ignore_ascii_case(always));
        and(if everybody {
            path(said).max(one_of(said, &["GET", "POST"])).min(Takes::Maybe)
        } else {
            Takes::Some
        });
    }
    if !entry.query_params.is_empty() {
        and(Takes::Some);
    }
    if !entry.without_headers.is_empty() {
        and(Takes::Maybe);
    }
    takes
}

/// True when one of the matches takes everything that comes to its port and gateways.
pub fn everything(route: &HttpRoute, host: &str) -> bool {
    route.r#match.is_empty()
        || route
            .r#match
            .iter()
            .any(|entry| entry.is_for_every_caller() && conditions(entry, host) == Takes::All)
}

/// True when nothing reaches the routes below: a match takes everything on every port and gateway.
pub fn catch_all(route: &HttpRoute, site: Site<'_>) -> bool {
    if route.r#match.is_empty() {
        return true;
    }
    let mesh: [Box<str>; 1] = ["mesh".into()];
    let gateways = if site.gateways.is_empty() { &mesh[..] } else { site.gateways };
    let whole: Vec<Option<u32>> = route
        .r#match
        .iter()
        .filter(|entry| {
            entry.is_for_every_caller()
                && (entry.gateways.is_empty() || gateways.iter().all(|own| entry.gateways.contains(own)))
                && conditions(entry, site.host) == Takes::All
        })
        .map(|entry| entry.port)
        .collect();
    // A port in a match is one of the service only for callers in the mesh.
    let in_mesh = gateways.iter().all(|gateway| &**gateway == "mesh");
    whole.contains(&None)
        || (in_mesh && !site.ports.is_empty() && site.ports.iter().all(|port| whole.contains(&Some(*port))))
}

/// True when a route may take every request, and it cannot be known from the objects.
pub fn may(route: &HttpRoute, host: &str) -> bool {
    let maybe = |entry: &HttpMatch| entry.is_for_every_caller() && conditions(entry, host) == Takes::Maybe;
    !everything(route, host) && route.r#match.iter().any(maybe)
}

/// The names by which callers ask for a service.
fn forms(host: &str) -> Vec<&str> {
    let ends = host.char_indices().filter(|(_, c)| *c == '.').map(|(at, _)| at);
    ends.chain([host.len()]).filter_map(|end| host.get(..end)).collect()
}

fn path(said: &StringMatch) -> Takes {
    match (&said.exact, &said.prefix, &said.regex) {
        // What the proxy makes of an empty condition is not known.
        (None, None, None) => Takes::Maybe,
        (None, Some(prefix), None) if &**prefix == "/" => Takes::All,
        (None, None, Some(regex)) => by_regex(regex, Some('/'), |all| PATHS.iter().all(|path| all(path))),
        _ => Takes::Some,
    }
}

/// A value of which requests mostly have one of these.
fn one_of(said: &StringMatch, usual: &[&str]) -> Takes {
    let maybe = |is: bool| if is { Takes::Maybe } else { Takes::Some };
    match (&said.exact, &said.prefix, &said.regex) {
        (None, None, None) => Takes::All,
        (Some(exact), None, None) => {
            let bare = exact.rsplit_once(':').map_or(&**exact, |(name, _)| name);
            maybe(usual.contains(&bare) || usual.contains(&&**exact))
        }
        (None, Some(prefix), None) => maybe(usual.iter().any(|value| value.starts_with(&**prefix))),
        (None, None, Some(regex)) if &**regex == "*" => Takes::All,
        (None, None, Some(regex)) => {
            by_regex(regex, None, |matches| usual.iter().any(|value| matches(value)))
        }
        _ => Takes::Some,
    }
}

/// `first`: the character with which every value begins. `usual`: whether the expression matches what is usual.
fn by_regex(regex: &str, first: Option<char>, usual: impl Fn(&dyn Fn(&str) -> bool) -> bool) -> Takes {
    // What cannot be read is not known.
    let Ok(hir) = regex_syntax::Parser::new().parse(regex) else { return Takes::Maybe };
    let Some(automaton) = Automaton::of(&hir) else { return Takes::Maybe };
    // What has a longest match, or a shortest one of some length, leaves something out.
    let properties = hir.properties();
    let wide = properties.maximum_len().is_none() && properties.minimum_len().is_none_or(|least| least <= 1);
    match wide.then(|| automaton.is_universal(first)) {
        Some(Some(true)) => Takes::All,
        Some(None) => Takes::Maybe,
        Some(Some(false)) | None if usual(&|value| automaton.matches(value)) => Takes::Maybe,
        Some(Some(false)) | None => Takes::Some,
    }
}

enum State {
    Take(Vec<(char, char)>, usize),
    Fork(Vec<usize>),
    Start(usize),
    End(usize),
    Match,
}

/// An expression as states with steps; the whole value must match, as Envoy wants it.
struct Automaton {
    states: Vec<State>,
    entry: usize,
    /// What is left of [`MAX_STEPS`].
    left: usize,
}

impl Automaton {
    fn of(hir: &Hir) -> Option<Self> {
        let mut built = Self { states: vec![State::Match], entry: 0, left: MAX_STEPS };
        built.entry = built.build(hir, 0)?;
        Some(built)
    }

    fn push(&mut self, state: State) -> usize {
        self.states.push(state);
        self.states.len() - 1
    }

    /// The state from which `hir` is matched, and then what `next` matches. `None`: too much, or not known.
    fn build(&mut self, hir: &Hir, next: usize) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        Some(match hir.kind() {
            HirKind::Empty => next,
            HirKind::Literal(literal) => {
                let text = std::str::from_utf8(&literal.0).ok()?;
                self.left = self.left.checked_sub(text.len())?;
                text.chars().rev().fold(next, |next, c| self.push(State::Take(vec![(c, c)], next)))
            }
            HirKind::Class(class) => {
                let ranges = match class {
                    Class::Unicode(class) => {
                        class.ranges().iter().map(|range| (range.start(), range.end())).collect()
                    }
                    Class::Bytes(class) => {
                        class.ranges().iter().map(|r| (char::from(r.start()), char::from(r.end()))).collect()
                    }
                };
                self.push(State::Take(ranges, next))
            }
            HirKind::Look(Look::Start) => self.push(State::Start(next)),
            HirKind::Look(Look::End) => self.push(State::End(next)),
            HirKind::Look(_) => return None,
            HirKind::Repetition(repetition) => {
                let mut at = next;
                if let Some(max) = repetition.max {
                    for _ in repetition.min..max {
                        let body = self.build(&repetition.sub, at)?;
                        at = self.push(State::Fork(vec![body, next]));
                    }
                } else {
                    let hub = self.push(State::Fork(vec![next]));
                    let body = self.build(&repetition.sub, hub)?;
                    self.states[hub] = State::Fork(vec![body, next]);
                    at = hub;
                }
                for _ in 0..repetition.min {
                    at = self.build(&repetition.sub, at)?;
                }
                at
            }
            HirKind::Capture(capture) => self.build(&capture.sub, next)?,
            HirKind::Concat(parts) => {
                let mut at = next;
                for part in parts.iter().rev() {
                    at = self.build(part, at)?;
                }
                at
            }
            HirKind::Alternation(parts) => {
                let ways: Option<Vec<usize>> = parts.iter().map(|part| self.build(part, next)).collect();
                self.push(State::Fork(ways?))
            }
        })
    }

    /// Every state that is reached without a character, sorted.
    fn closed(&self, from: impl IntoIterator<Item = usize>, at_start: bool, at_end: bool) -> Vec<usize> {
        let mut open: Vec<usize> = from.into_iter().collect();
        let mut seen: HashSet<usize> = HashSet::new();
        while let Some(at) = open.pop() {
            if !seen.insert(at) {
                continue;
            }
            match &self.states[at] {
                State::Fork(ways) => open.extend(ways),
                State::Start(next) if at_start => open.push(*next),
                State::End(next) if at_end => open.push(*next),
                State::Start(_) | State::End(_) | State::Take(..) | State::Match => {}
            }
        }
        let mut all: Vec<usize> = seen.into_iter().collect();
        all.sort_unstable();
        all
    }

    fn start(&self) -> Vec<usize> {
        self.closed([self.entry], true, false)
    }

    fn step(&self, from: &[usize], c: char) -> Vec<usize> {
        let taken = from.iter().filter_map(|at| match &self.states[*at] {
            State::Take(ranges, next) if ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) => {
                Some(*next)
            }
            _ => None,
        });
        self.closed(taken, false, false)
    }

    fn accepts(&self, set: &[usize]) -> bool {
        self.closed(set.iter().copied(), false, true).contains(&0)
    }

    fn matches(&self, value: &str) -> bool {
        let end = value.chars().fold(self.start(), |set, c| self.step(&set, c));
        self.accepts(&end)
    }

    /// Does every value that begins with `first` (any value but the empty one, without it) match? `None` = too much to
    /// find out. Values have the characters of a path in a request: visible ASCII without `?` and `#`.
    fn is_universal(&self, first: Option<char>) -> Option<bool> {
        let alphabet = || ('!'..='~').filter(|c| !matches!(c, '?' | '#'));
        let start = self.start();
        let mut open: Vec<Vec<usize>> = alphabet()
            .filter(|c| first.is_none_or(|first| first == *c))
            .map(|c| self.step(&start, c))
            .collect();
        let mut seen: HashSet<Vec<usize>> = HashSet::new();
        while let Some(set) = open.pop() {
            if seen.contains(&set) {
                continue;
            }
            if !self.accepts(&set) {
                return Some(false);
            }
            if seen.len() == MAX_SETS {
                return None;
            }
            open.extend(alphabet().map(|c| self.step(&set, c)).filter(|next| !seen.contains(next)));
            seen.insert(set);
        }
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(text: &str) -> StringMatch {
        StringMatch { regex: Some(text.into()), ..StringMatch::default() }
    }

    #[test]
    fn a_path_is_judged_by_what_matches() {
        for text in [
            ".*",
            "/.*",
            ".+",
            "/+.*",
            "(/.*)?",
            "[^?]*",
            "/?.*",
            "^/.*$",
            "(?i)/.*",
            "/|/.+",
            "(.|x)*",
            "/[^#]*",
            "(/[^/]*)+",
            "(?:/a)?/?.*|/",
            "/{0,3}.*",
        ] {
            assert_eq!(path(&regex(text)), Takes::All, "{text}");
        }
        for text in
            ["/.+", "/[a-zA-Z0-9_~%./-]+", "/[^0].*", r"/.*\b.*", "/.{0,900}.{0,900}.{0,900}.{0,900}.{0,900}"]
        {
            assert_eq!(path(&regex(text)), Takes::Maybe, "{text}");
        }
        for text in ["/api/.*", "/", "/[0-9]+", r"/.*\.html", "/a*", "", "(/x)?/y.*", "/[^/]*"] {
            assert_eq!(path(&regex(text)), Takes::Some, "{text}");
        }
    }

    #[test]
    fn other_conditions() {
        use serde_json::json;
        let of = |json: serde_json::Value| {
            conditions(&serde_json::from_value(json).unwrap(), "reviews.shop.svc.cluster.local")
        };
        assert_eq!(of(json!({})), Takes::All);
        assert_eq!(of(json!({"authority": {"regex": ".*"}, "method": {"regex": ".+"}})), Takes::All);
        for maybe in [
            json!({"method": {"exact": "GET"}}),
            json!({"method": {"regex": "GET|PUT"}}),
            json!({"scheme": {"exact": "http"}}),
            json!({"authority": {"exact": "reviews.shop:9080"}}),
            json!({"authority": {"prefix": "reviews"}}),
            json!({"withoutHeaders": {"x-never": {}}}),
            json!({"headers": {"x-request-id": {"regex": ".*"}}}),
        ] {
            assert_eq!(of(maybe.clone()), Takes::Maybe, "{maybe}");
        }
        for some in [
            json!({"method": {"exact": "DELETE"}}),
            json!({"authority": {"exact": "shop.example.com"}}),
            json!({"headers": {"x-user": {}}}),
            json!({"headers": {"user-agent": {"prefix": "curl"}}}),
            json!({"queryParams": {"a": {"exact": "1"}}}),
            json!({"uri": {"prefix": "/api"}, "withoutHeaders": {"x": {}}}),
        ] {
            assert_eq!(of(some.clone()), Takes::Some, "{some}");
        }
    }
}
