//! Host names as Istio resolves them. Called by every reader of a VirtualService or DestinationRule.
//!
//! A name without a dot is short and belongs to the namespace of the *object* that says it; a name with
//! any dot is taken as it is, so `reviews.prod` is no Kubernetes service.
//! Source: <https://istio.io/latest/docs/reference/config/networking/virtual-service/#Destination>.

use std::borrow::Cow;

use crate::domain::ids::ServiceRef;

/// The full name that an object of `namespace` means by `host`.
pub fn resolve<'a>(host: &'a str, namespace: &str, domain: &str) -> Cow<'a, str> {
    if host.is_empty() || host.starts_with('*') || host.contains('.') {
        return lower(host);
    }
    Cow::Owned(format!("{}.{namespace}.svc.{domain}", lower(host)))
}

/// The Service that a host means when an object of `namespace` says it; `None` when it is no Service's host.
pub fn service(host: &str, namespace: &str, domain: &str) -> Option<ServiceRef> {
    let full = resolve(host, namespace, domain);
    let name = full.strip_suffix(domain)?.strip_suffix(".svc.")?;
    let (name, namespace) = name.split_once('.')?;
    let plain = !name.is_empty() && !namespace.is_empty() && !namespace.contains('.') && !name.contains('*');
    plain.then(|| ServiceRef::new(namespace, name))
}

fn lower(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// True when a (resolved) host pattern, perhaps a wildcard, covers this full name.
pub fn covers(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(tail) => host.ends_with(tail),
        None => pattern == host,
    }
}

/// How closely a pattern names a host: exact names before wildcards, longer wildcards first. Greater is
/// closer.
pub fn closeness(pattern: &str) -> (bool, usize) {
    (!pattern.starts_with('*'), pattern.len())
}

/// True when `host`, written in `namespace`, is exactly `full`. Without allocation: it is asked once for
/// every destination of every route.
pub fn is(host: &str, namespace: &str, domain: &str, full: &str) -> bool {
    if host.contains('.') || host.starts_with('*') || host.is_empty() {
        return host.eq_ignore_ascii_case(full);
    }
    let Some((name, rest)) = full.split_once('.') else { return false };
    host.eq_ignore_ascii_case(name)
        && rest.strip_prefix(namespace).and_then(|rest| rest.strip_prefix(".svc.")) == Some(domain)
}

/// True when a host is a part of a Service's full name that a person would take for it (`reviews.shop`,
/// `reviews.shop.svc`), and Istio does not: it expands only names without a dot.
pub fn is_unexpanded(host: &str, full: &str) -> bool {
    host.contains('.')
        && full.len() > host.len()
        && full.as_bytes()[host.len()] == b'.'
        && full.is_char_boundary(host.len())
        && host.eq_ignore_ascii_case(&full[..host.len()])
}

/// The namespace of a gateway as a VirtualService of `namespace` names it; `None` for `mesh`.
pub fn gateway_namespace<'a>(gateway: &'a str, namespace: &'a str) -> Option<&'a str> {
    match gateway {
        "mesh" => None,
        other => Some(other.split_once('/').map_or(namespace, |(owner, _)| owner)),
    }
}

/// True for hosts inside the cluster (`name.namespace.svc.domain`) and for wildcards that may cover some.
pub fn in_cluster(host: &str, domain: &str) -> bool {
    host == "*" || host.strip_suffix(domain).is_some_and(|rest| rest.strip_suffix(".svc.").is_some())
}
