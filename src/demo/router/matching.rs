//! Whether a request fits one `match` of a route.

use super::super::world::World;
use super::hosts::in_full;
use super::{Caller, Proxy, Request};
use crate::domain::istio::{HttpMatch, L4Match, StringMatch};
use crate::domain::service::{Labels, selects};

/// True when a match concerns this caller and port at all; else its proxy never gets it.
pub fn concerns(when: &HttpMatch, namespace: &str, from: &Caller, port: u16) -> bool {
    concerns_source(
        &when.gateways,
        when.port,
        when.source_labels.iter(),
        when.source_namespace.as_deref(),
        (namespace, from, port),
    )
}

/// The same for TCP and TLS.
pub fn concerns_l4(when: &L4Match, namespace: &str, from: &Caller, port: u16) -> bool {
    concerns_source(
        &when.gateways,
        when.port,
        when.source_labels.iter(),
        when.source_namespace.as_deref(),
        (namespace, from, port),
    )
}

fn concerns_source<'a>(
    gateways: &[Box<str>],
    port: Option<u32>,
    labels: impl Iterator<Item = (&'a Box<str>, &'a Box<str>)>,
    source_namespace: Option<&str>,
    (namespace, from, on): (&str, &Caller, u16),
) -> bool {
    if port.is_some_and(|port| port != u32::from(on)) {
        return false;
    }
    if !gateways.is_empty() {
        // With gateways, the labels and the namespace of the source are ignored.
        let proxy = match &from.proxy {
            Proxy::Gateway(name) => name,
            Proxy::Sidecar | Proxy::Absent => "mesh",
        };
        return gateways.iter().any(|gateway| in_full(gateway, namespace) == *proxy);
    }
    let wanted: Labels = labels.map(|(key, value)| ((**key).into(), (**value).into())).collect();
    selects(&wanted, &from.labels)
        && source_namespace.is_none_or(|ns| ns.is_empty() || *ns == *from.namespace)
}

/// True when the request fits all conditions of the match.
pub fn fits(world: &World, when: &HttpMatch, request: &Request<'_>) -> bool {
    let header = |name: &str| request.headers.get(&name.to_ascii_lowercase()).map(String::as_str);
    let query = |name: &str| request.query.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let is = |wanted: &Option<StringMatch>, value: &str| {
        wanted.as_ref().is_none_or(|wanted| holds(world, wanted, value))
    };
    when.uri.as_ref().is_none_or(|uri| fits_path(world, uri, request.path, when.ignore_uri_case))
        && is(&when.scheme, "http")
        && is(&when.method, request.method)
        && is(&when.authority, request.authority)
        && when.headers.iter().all(|(name, wanted)| header(name).is_some_and(|v| holds(world, wanted, v)))
        && !when.without_headers.iter().any(|(name, bad)| header(name).is_some_and(|v| holds(world, bad, v)))
        && when.query_params.iter().all(|(name, wanted)| query(name).is_some_and(|v| holds(world, wanted, v)))
}

fn fits_path(world: &World, wanted: &StringMatch, path: &str, ignore_case: bool) -> bool {
    if !ignore_case || wanted.regex.is_some() {
        return holds(world, wanted, path);
    }
    let lower = |text: &Option<Box<str>>| text.as_ref().map(|text| text.to_ascii_lowercase().into());
    let wanted = StringMatch { exact: lower(&wanted.exact), prefix: lower(&wanted.prefix), regex: None };
    holds(world, &wanted, &path.to_ascii_lowercase())
}

/// Exact, prefix, or a regular expression over the whole value; none of them, or `*`, holds for every value.
fn holds(world: &World, wanted: &StringMatch, value: &str) -> bool {
    match (&wanted.exact, &wanted.prefix, &wanted.regex) {
        (Some(exact), _, _) => **exact == *value,
        (_, Some(prefix), _) => value.starts_with(&**prefix),
        (_, _, Some(regex)) if &**regex == "*" => true,
        (_, _, Some(regex)) => world.patterns.get(regex).is_some_and(|pattern| pattern.is_match(value)),
        (None, None, None) => true,
    }
}
