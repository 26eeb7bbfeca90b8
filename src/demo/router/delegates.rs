//! The http routes of an object as a proxy gets them: delegates put in, what does not concern the client left
//! out, nothing after the first that takes everything.
//!
//! Merging of delegates: `pilot/pkg/model/virtualservice.go` of Istio. A delegate that is missing, not visible
//! or in conflict with its root makes the route vanish.

use std::sync::Arc;

use super::super::world::{Extra, Rules, World};
use super::hosts::visible;
use super::matching::{concerns, fits};
use super::{Caller, Request};
use crate::domain::istio::{HttpMatch, HttpRoute, StringMatch};

/// One alternative of a route, which is a route of its own for the proxy.
pub struct Candidate<'a> {
    pub rules: &'a Rules,
    pub route: &'a HttpRoute,
    pub extra: &'a Extra,
    pub when: &'a Arc<[HttpMatch]>,
    /// The match of the root (when there is one) and of the route; both must hold.
    both: Pair<'a>,
}

impl Candidate<'_> {
    /// True when it takes every request that reaches it.
    pub fn is_catch_all(&self) -> bool {
        let everything = |when: Option<&HttpMatch>| when.is_none_or(takes_all);
        everything(self.both.0) && everything(self.both.1)
    }

    /// Whether, and how, the request fits.
    pub fn matches(&self, world: &World, request: &Request<'_>) -> Option<Fit> {
        let (root, own) = self.both;
        let fits = |when: Option<&HttpMatch>| when.is_none_or(|when| fits(world, when, request));
        let uri = own.and_then(|own| own.uri.as_ref()).or_else(|| root.and_then(|root| root.uri.as_ref()));
        (fits(root) && fits(own)).then(|| match uri {
            // A match without a path is one of the prefix `/` for the proxy.
            None => Fit::Prefix(1),
            Some(uri) => uri.prefix.as_ref().map_or(Fit::Whole, |prefix| Fit::Prefix(prefix.len())),
        })
    }
}

/// What a rewrite of the path replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// All of it.
    Whole,
    /// The first bytes, which a prefix matched.
    Prefix(usize),
}

/// Sources, gateways and ports were looked at before: what is left takes all when it has no other condition.
fn takes_all(when: &HttpMatch) -> bool {
    let rest = HttpMatch {
        port: None,
        gateways: Vec::new(),
        source_labels: std::collections::BTreeMap::new(),
        source_namespace: None,
        ..when.clone()
    };
    rest.is_everything()
}

/// The routes of one object for a client, in order; nothing after the first that takes everything.
pub fn routes<'a>(world: &'a World, rules: &'a Rules, from: &Caller, port: u16) -> Vec<Candidate<'a>> {
    let mut found = Vec::new();
    let root_namespace = rules.at.namespace.as_str();
    for (route, extra, when) in in_order(rules) {
        let Some(delegate) = &route.delegate else {
            let either = route.r#match.iter().map(|own| (None, Some(own))).collect();
            if push(&mut found, (rules, route, extra, when), either, root_namespace, from, port) {
                return found;
            }
            continue;
        };
        let namespace = delegate.namespace.as_deref().unwrap_or(root_namespace);
        let leaf = world.virtual_services.iter().find(|leaf| {
            leaf.at.namespace.as_str() == namespace
                && *leaf.at.name == *delegate.name
                && leaf.spec.hosts.is_empty()
                && visible(&leaf.spec.export_to, namespace, root_namespace)
        });
        let Some(leaf) = leaf else { continue };
        for (route_of_leaf, extra, when) in in_order(leaf) {
            let Some(either) = merged(&route.r#match, &route_of_leaf.r#match) else { continue };
            let of = (leaf, route_of_leaf, extra, when);
            if push(&mut found, of, either, root_namespace, from, port) {
                return found;
            }
        }
    }
    found
}

fn in_order(rules: &Rules) -> impl Iterator<Item = (&HttpRoute, &Extra, &Arc<[HttpMatch]>)> {
    rules
        .spec
        .http
        .iter()
        .zip(&rules.extras)
        .zip(&rules.whens)
        .map(|((route, extra), when)| (route, extra, when))
}

type Of<'a> = (&'a Rules, &'a HttpRoute, &'a Extra, &'a Arc<[HttpMatch]>);

/// Adds the alternatives of a route that concern the client; none at all = everything. True once one of them
/// takes everything: proxies get nothing that comes after it.
fn push<'a>(
    found: &mut Vec<Candidate<'a>>,
    (rules, route, extra, when): Of<'a>,
    mut either: Vec<Pair<'a>>,
    root_namespace: &str,
    from: &Caller,
    port: u16,
) -> bool {
    let own_namespace = rules.at.namespace.as_str();
    let concerned = |when: Option<&HttpMatch>, namespace: &str| {
        when.is_none_or(|when| concerns(when, namespace, from, port))
    };
    if either.is_empty() {
        either.push((None, None));
    }
    for both in either {
        if !concerned(both.0, root_namespace) || !concerned(both.1, own_namespace) {
            continue;
        }
        let candidate = Candidate { rules, route, extra, when, both };
        let last = candidate.is_catch_all();
        found.push(candidate);
        if last {
            return true;
        }
    }
    false
}

type Pair<'a> = (Option<&'a HttpMatch>, Option<&'a HttpMatch>);

/// The alternatives of a root's and a delegate's route together; `None` when they are in conflict: each match
/// of the delegate must lie within one of the root.
fn merged<'a>(root: &'a [HttpMatch], leaf: &'a [HttpMatch]) -> Option<Vec<Pair<'a>>> {
    if root.is_empty() {
        return Some(leaf.iter().map(|own| (None, Some(own))).collect());
    }
    if leaf.is_empty() {
        return Some(root.iter().map(|root| (Some(root), None)).collect());
    }
    let mut pairs = Vec::new();
    for own in leaf {
        let before = pairs.len();
        pairs.extend(root.iter().filter(|root| !conflict(root, own)).map(|root| (Some(root), Some(own))));
        if pairs.len() == before {
            return None;
        }
    }
    Some(pairs)
}

fn conflict(root: &HttpMatch, leaf: &HttpMatch) -> bool {
    let single = |a: &Option<StringMatch>, b: &Option<StringMatch>| match (a, b) {
        (Some(a), Some(b)) => strings_conflict(a, b),
        _ => false,
    };
    single(&root.uri, &leaf.uri)
        || single(&root.scheme, &leaf.scheme)
        || single(&root.method, &leaf.method)
        || single(&root.authority, &leaf.authority)
        || [
            (&root.headers, &leaf.headers),
            (&root.without_headers, &leaf.without_headers),
            (&root.query_params, &leaf.query_params),
        ]
        .into_iter()
        .any(|(a, b)| a.iter().any(|(key, a)| b.get(key).is_some_and(|b| strings_conflict(a, b))))
        || root.ignore_uri_case != leaf.ignore_uri_case
        || matches!((root.port, leaf.port), (Some(a), Some(b)) if a != b)
        || root.source_labels.iter().any(|(key, a)| leaf.source_labels.get(key).is_some_and(|b| a != b))
        || matches!((&root.source_namespace, &leaf.source_namespace), (Some(a), Some(b)) if a != b)
        || (!root.gateways.is_empty() && leaf.gateways.iter().any(|gateway| !root.gateways.contains(gateway)))
}

/// True when the delegate's condition is not a part of the root's.
fn strings_conflict(root: &StringMatch, leaf: &StringMatch) -> bool {
    let some =
        |string: &StringMatch| string.exact.is_some() || string.prefix.is_some() || string.regex.is_some();
    if !some(root) || !some(leaf) {
        return false;
    }
    match (&root.exact, &root.prefix, &leaf.exact, &leaf.prefix) {
        (Some(root), _, Some(leaf), _) => root != leaf,
        (_, Some(root), Some(leaf), _) | (_, Some(root), _, Some(leaf)) => !leaf.starts_with(&**root),
        _ => true,
    }
}
