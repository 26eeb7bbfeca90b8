//! TCP and TLS: weights are drawn once a connection.

use super::super::random::Random;
use super::super::world::{Service, World};
use super::matching::concerns_l4;
use super::{Caller, End, Proxy, Request, Routed, hosts, pick, plain};
use crate::domain::istio::{L4Match, WeightedDestination};
use crate::domain::service::Protocol;

/// Opens a connection to a service's port. No route, or none that fits, means any ready pod.
pub fn connect(world: &World, from: &Caller, host: &str, port: u16, random: &mut Random) -> Routed {
    let headers = std::collections::BTreeMap::new();
    let request = Request { authority: host, port, method: "", path: "", query: &[], headers: &headers };
    let service = hosts::service_of(world, host, &from.namespace).filter(|s| s.port(port).is_some());
    let mut routed = plain(service, &request, random);
    let by_mesh = |service: &&Service| from.proxy == Proxy::Sidecar && service.is_known_in(&from.namespace);
    let Some(service) = service.filter(by_mesh) else { return routed };
    let full = hosts::full_name(&service.at);
    let tls = service.port(port).is_some_and(|port| port.protocol == Protocol::Tls);
    for rules in hosts::for_sidecar(world, &full, &from.namespace) {
        let namespace = rules.at.namespace.as_str();
        let fits = |when: &[L4Match]| {
            let one = |when: &L4Match| {
                let by_name =
                    |sni: &str| sni.strip_prefix('*').is_some_and(|s| host.ends_with(s)) || sni == host;
                concerns_l4(when, namespace, from, port)
                    && (!tls || when.sni_hosts.iter().any(|sni| by_name(sni)))
            };
            when.is_empty() || when.iter().any(one)
        };
        let route: Option<&[WeightedDestination]> = if tls {
            rules.spec.tls.iter().find(|route| fits(&route.r#match)).map(|route| route.route.as_slice())
        } else {
            rules.spec.tcp.iter().find(|route| fits(&route.r#match)).map(|route| route.route.as_slice())
        };
        let Some(route) = route else { continue };
        let Some(destination) = pick::weighted(route, random) else {
            routed.end = End::NO_CLUSTER;
            return routed;
        };
        let (reached, end) = pick::endpoint(world, from, destination, namespace, port, random);
        if let Some(reached) = reached {
            routed.service = Some(reached.at.name.clone());
            routed.namespace = Some(reached.at.namespace.as_str().into());
        }
        routed.end = end;
        return routed;
    }
    routed
}
