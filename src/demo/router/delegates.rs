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

/// One route with the alternatives that are left of its matches.
pub struct Candidate<'a> {
    pub rules: &'a Rules,
    pub route: &'a HttpRoute,
    pub extra: &'a Extra,
    pub when: &'a Arc<[HttpMatch]>,
    /// The namespace in which names of the root's matches are meant.
    root_namespace: &'a str,
    /// Each: the match of the root (when there is one) and of the route; both must hold. Empty = everything.
    either: Vec<(Option<&'a HttpMatch>, Option<&'a HttpMatch>)>,
}

impl Candidate<'_> {
    /// True when the route takes every request that reaches it.
    pub fn is_catch_all(&self) -> bool {
        let everything = |when: Option<&HttpMatch>| when.is_none_or(takes_all);
        self.either.is_empty() || self.either.iter().any(|(root, own)| everything(*root) && everything(*own))
    }

    /// Whether, and how, the request fits.
    pub fn matches(&self, world: &World, request: &Request<'_>) -> Option<Fit> {
        if self.either.is_empty() {
            return Some(Fit::Whole);
        }
        let fit = |when: Option<&HttpMatch>| when.is_none_or(|when| fits(world, when, request));
        let (root, own) = self.either.iter().find(|(root, own)| fit(*root) && fit(*own))?;
        let uri = own.and_then(|own| own.uri.as_ref()).or_else(|| root.and_then(|root| root.uri.as_ref()));
        let prefix = uri.and_then(|uri| uri.prefix.as_ref());
        Some(prefix.map_or(Fit::Whole, |prefix| Fit::Prefix(prefix.len())))
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

/// The routes of one object for a client, in order.
pub fn routes<'a>(world: &'a World, rules: &'a Rules, from: &Caller, port: u16) -> Vec<Candidate<'a>> {
    let mut found = Vec::new();
    for (route, extra, when) in in_order(rules) {
        let root_namespace = rules.at.namespace.as_str();
        match &route.delegate {
            None => {
                let either = route.r#match.iter().map(|own| (None, Some(own))).collect();
                push(
                    &mut found,
                    Candidate { rules, route, extra, when, root_namespace, either },
                    route.r#match.is_empty(),
                    from,
                    port,
                );
            }
            Some(delegate) => {
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
                    let all = either.is_empty();
                    let candidate =
                        Candidate { rules: leaf, route: route_of_leaf, extra, when, root_namespace, either };
                    push(&mut found, candidate, all, from, port);
                }
            }
        }
        if found.last().is_some_and(Candidate::is_catch_all) {
            break;
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

/// Leaves out the alternatives that do not concern the client, and the route when none is left.
fn push<'a>(
    found: &mut Vec<Candidate<'a>>,
    mut candidate: Candidate<'a>,
    all: bool,
    from: &Caller,
    port: u16,
) {
    let (root, own) = (candidate.root_namespace, candidate.rules.at.namespace.as_str());
    let concerned = |when: Option<&HttpMatch>, namespace: &str| {
        when.is_none_or(|when| concerns(when, namespace, from, port))
    };
    candidate.either.retain(|pair| concerned(pair.0, root) && concerned(pair.1, own));
    if all || !candidate.either.is_empty() {
        found.push(candidate);
    }
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
