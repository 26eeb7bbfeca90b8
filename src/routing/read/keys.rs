//! Route ids. Stable while weights change, destinations are appended and rules are reordered: the name of
//! the route where it is the only one of that name, else a short hash of its match. Destinations are left
//! out on purpose: a command that gives a new version its first share must still mean the same route.
//! Unnamed routes with one and the same match are distinguished by their place (`-2`); only the first of them acts.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::domain::ids::{Kind, RouteId};
use crate::domain::istio::{Object, VirtualService};
use crate::domain::routing::RouteKind;

/// The ids of all routes of one list of an object, in order.
pub fn of(object: &Object<VirtualService>, kind: RouteKind) -> Vec<RouteId> {
    let spec = &object.spec;
    match kind {
        RouteKind::Http => {
            let named = spec.http.iter().map(|route| (route.name.as_deref(), &route.r#match));
            ids(object, kind, named)
        }
        RouteKind::Tls => ids(object, kind, spec.tls.iter().map(|route| (None, &route.r#match))),
        RouteKind::Tcp => ids(object, kind, spec.tcp.iter().map(|route| (None, &route.r#match))),
    }
}

fn ids<'a, M: Serialize + 'a>(
    object: &Object<VirtualService>,
    kind: RouteKind,
    routes: impl Iterator<Item = (Option<&'a str>, &'a Vec<M>)> + Clone,
) -> Vec<RouteId> {
    let at = object.at(Kind::VirtualService);
    let mut names: HashMap<&str, usize> = HashMap::new();
    for (name, _) in routes.clone() {
        if let Some(name) = name {
            *names.entry(name).or_default() += 1;
        }
    }
    let mut twins: HashMap<String, usize> = HashMap::new();
    routes
        .map(|(name, matches)| {
            let prefix = format!("{}/{}/{}", at.namespace, at.name, kind.as_str());
            let own = name.filter(|name| !name.is_empty() && names.get(name) == Some(&1));
            if let Some(name) = own {
                return RouteId::trusted(format!("{prefix}/{name}"));
            }
            let key = short_hash(matches);
            let twin = twins.entry(key.clone()).or_default();
            *twin += 1;
            let tail = if *twin > 1 { format!("-{twin}") } else { String::new() };
            RouteId::trusted(format!("{prefix}/~{key}{tail}"))
        })
        .collect()
}

/// Eight hex digits over the canonical JSON of a value.
pub fn short_hash<T: Serialize>(value: &T) -> String {
    let text = serde_json::to_vec(value).unwrap_or_default();
    let mut out = String::with_capacity(8);
    for byte in Sha256::digest(&text).iter().take(4) {
        let _ = write!(out, "{byte:02x}");
    }
    out
}
