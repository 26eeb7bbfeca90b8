//! Which service a host name means, and which objects have a say about it.

use crate::domain::ids::ServiceRef;
use crate::domain::istio::Subset;

use super::super::world::{Rules, Service, Subsets, World};
use super::Caller;
use crate::domain::service::selects;

const DOMAIN: &str = "cluster.local";
const ROOT: &str = "istio-system";

/// The full host name of a service.
pub fn full_name(at: &ServiceRef) -> String {
    at.host(DOMAIN)
}

/// The service that a client in `namespace` means by a `Host` header: its short name, `name.namespace`,
/// `….svc` or the full name, with or without a port.
pub fn service_of<'a>(world: &'a World, authority: &str, namespace: &str) -> Option<&'a Service> {
    let host = plain(authority);
    let bare = host.strip_suffix(DOMAIN).and_then(|host| host.strip_suffix('.')).unwrap_or(&host);
    let bare = bare.strip_suffix(".svc").unwrap_or(bare);
    let at = match bare.split_once('.') {
        Some((name, namespace)) => ServiceRef::new(namespace, name),
        None => ServiceRef::new(namespace, bare),
    };
    world.services.get(&at)
}

/// The service that a host of a routing object means. Unlike for clients, a name with a dot is taken as it
/// is: `reviews.bookinfo` means nothing here.
pub fn destination<'a>(world: &'a World, host: &str, namespace: &str) -> Option<&'a Service> {
    let full = expand(host, namespace);
    let name = full.strip_suffix(DOMAIN)?.strip_suffix(".svc.")?;
    let (name, namespace) = name.split_once('.')?;
    world.services.get(&ServiceRef::new(namespace, name))
}

/// A host of an object in `namespace`, in full.
pub fn expand(host: &str, namespace: &str) -> String {
    if host.contains('.') || host.contains('*') {
        return host.to_owned();
    }
    format!("{host}.{namespace}.svc.{DOMAIN}")
}

/// A `Host` header as objects write hosts: in lower case, without a port.
pub fn plain(authority: &str) -> String {
    without_port(authority).to_ascii_lowercase()
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// How well a host pattern fits: `None` = not at all; exact before wildcards, longer wildcards first.
fn fit(pattern: &str, host: &str) -> Option<usize> {
    match pattern.strip_prefix('*') {
        Some(suffix) => host.ends_with(suffix).then_some(suffix.len()),
        None => (pattern == host).then_some(usize::MAX),
    }
}

/// How an object's `exportTo` reaches a namespace: privately, by name, or as one of all.
fn reach(export_to: &[Box<str>], own: &str, client: &str) -> Option<u8> {
    if export_to.is_empty() || export_to.iter().any(|to| &**to == "*") {
        return Some(2);
    }
    if own == client && export_to.iter().any(|to| &**to == "." || **to == *own) {
        return Some(0);
    }
    export_to.iter().any(|to| **to == *client).then_some(1)
}

/// True when an object may be used by clients in this namespace.
pub fn visible(export_to: &[Box<str>], own: &str, client: &str) -> bool {
    reach(export_to, own, client).is_some()
}

/// The objects that claim a service's host in the mesh, the one that wins first: best fitting host, then
/// private before exported by name before public, then the oldest.
pub fn for_sidecar<'a>(world: &'a World, host: &str, client: &str) -> Vec<&'a Rules> {
    let mut found: Vec<(usize, u8, &Rules)> = Vec::new();
    for rules in &world.virtual_services {
        let own = rules.at.namespace.as_str();
        let in_mesh =
            rules.spec.gateways.is_empty() || rules.spec.gateways.iter().any(|gateway| &**gateway == "mesh");
        let Some(reach) = reach(&rules.spec.export_to, own, client).filter(|_| in_mesh) else { continue };
        let fits = rules.spec.hosts.iter().filter_map(|pattern| fit(&expand(pattern, own), host));
        if let Some(fit) = fits.max() {
            found.push((fit, reach, rules));
        }
    }
    // Stable: the world holds the oldest first.
    found.sort_by_key(|(fit, reach, _)| (std::cmp::Reverse(*fit), *reach));
    found.into_iter().map(|(_, _, rules)| rules).collect()
}

/// The objects whose routes a gateway has for a host, oldest first; best fitting hosts only.
pub fn for_gateway<'a>(world: &'a World, gateway: &str, authority: &str) -> Vec<&'a Rules> {
    let host = plain(authority);
    let open = world
        .gateways
        .iter()
        .any(|g| *g.name == *gateway && g.hosts.iter().any(|pattern| fit(pattern, &host).is_some()));
    if !open {
        return Vec::new();
    }
    let mut found: Vec<(usize, &Rules)> = Vec::new();
    for rules in &world.virtual_services {
        let own = rules.at.namespace.as_str();
        if !rules.spec.gateways.iter().any(|name| in_full(name, own) == *gateway) {
            continue;
        }
        let fits = rules.spec.hosts.iter().filter_map(|pattern| fit(&expand(pattern, own), &host));
        if let Some(fit) = fits.max() {
            found.push((fit, rules));
        }
    }
    let best = found.iter().map(|(fit, _)| *fit).max();
    found.into_iter().filter(|(fit, _)| Some(*fit) == best).map(|(_, rules)| rules).collect()
}

/// A gateway as an object in `namespace` names it, as `namespace/name` (`mesh` stays).
pub fn in_full(gateway: &str, namespace: &str) -> String {
    if gateway == "mesh" || gateway.contains('/') {
        return gateway.to_owned();
    }
    format!("{namespace}/{gateway}")
}

/// The subset of a service as a client sees it: rules of the client's namespace, else of the service's, else of
/// the root namespace; the first that has any rule for the host decides, nothing is merged across namespaces.
pub fn subset<'a>(world: &'a World, service: &ServiceRef, name: &str, from: &Caller) -> Option<&'a Subset> {
    let host = full_name(service);
    let own = service.namespace.as_str();
    let client = &*from.namespace;
    // The root namespace's own proxies look there first for rules that no other proxy sees; the rest of that
    // namespace comes last for them as for all.
    let only = if client == ROOT { Only::Private } else { Only::Visible };
    [(client, only), (own, Only::Visible), (ROOT, Only::Visible)]
        .into_iter()
        .map(|(namespace, only)| winning(world, &host, namespace, from, only))
        .find(|rules| !rules.is_empty())?
        .into_iter()
        // Rules for one host in one namespace are put together; the older one's subset wins.
        .flat_map(|rules| &rules.spec.subsets)
        .find(|subset| &*subset.name == name)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Only {
    /// What the client may use.
    Visible,
    /// What its namespace keeps for itself.
    Private,
}

fn winning<'a>(world: &'a World, host: &str, namespace: &str, from: &Caller, only: Only) -> Vec<&'a Subsets> {
    let mut found: Vec<(usize, &Subsets)> = Vec::new();
    for rules in &world.destination_rules {
        let own = rules.at.namespace.as_str();
        let meant = rules
            .for_clients
            .as_ref()
            .is_none_or(|labels| *own == *from.namespace && selects(labels, &from.labels));
        let private = rules.spec.export_to.iter().any(|to| &**to == ".");
        let usable =
            visible(&rules.spec.export_to, own, &from.namespace) && (private || only == Only::Visible);
        if own != namespace || !meant || !usable {
            continue;
        }
        if let Some(fit) = fit(&expand(&rules.spec.host, own), host) {
            found.push((fit, rules));
        }
    }
    let best = found.iter().map(|(fit, _)| *fit).max();
    found.into_iter().filter(|(fit, _)| Some(*fit) == best).map(|(_, rules)| rules).collect()
}
