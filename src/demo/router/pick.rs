//! From a route to a pod: the draw among destinations, the subset, the endpoint, the copies.

use std::sync::Arc;

use super::super::random::Random;
use super::super::world::{Endpoint, Service, World};
use super::{Caller, End, hosts};
use crate::domain::istio::{Destination, HttpRoute, WeightedDestination};
use crate::domain::service::{Labels, Shape, selects};

/// Draws a destination by weight. One alone gets everything whatever its weight; a weight that is absent,
/// zero or below gets nothing beside others; `None` when nothing is left.
pub fn weighted<'a>(route: &'a [WeightedDestination], random: &mut Random) -> Option<&'a Destination> {
    if let [only] = route {
        return Some(&only.destination);
    }
    let part = |one: &WeightedDestination| u64::try_from(one.weight).unwrap_or(0);
    let total: u64 = route.iter().map(part).sum();
    if total == 0 {
        return None;
    }
    let mut at = random.below(total);
    for one in route {
        match at.checked_sub(part(one)) {
            Some(rest) => at = rest,
            None => return Some(&one.destination),
        }
    }
    None
}

/// The pod that a destination reaches, and the service that it names.
pub fn endpoint<'a>(
    world: &'a World,
    from: &Caller,
    destination: &Destination,
    namespace: &str,
    listener: u16,
    random: &mut Random,
) -> (Option<&'a Service>, End) {
    let known = |service: &&Service| service.is_known_in(&from.namespace);
    let Some(service) = hosts::destination(world, &destination.host, namespace).filter(known) else {
        return (None, End::NO_CLUSTER);
    };
    let asked = destination.port.as_ref().and_then(|port| port.number);
    let port = match (asked, service.ports.as_slice()) {
        (Some(number), _) => u16::try_from(number).unwrap_or(0),
        (None, [only]) => only.number,
        (None, _) => listener,
    };
    if service.port(port).is_none() || service.shape == Shape::ExternalName {
        return (Some(service), End::NO_CLUSTER);
    }
    let Some(name) = destination.subset.as_deref().filter(|name| !name.is_empty()) else {
        return (Some(service), any(&service.endpoints, random));
    };
    let Some(subset) = hosts::subset(world, &service.at, name, from) else {
        return (Some(service), End::NO_CLUSTER);
    };
    if service.shape == Shape::Headless {
        // The client has chosen a pod before its proxy hears of it; the subset changes nothing.
        return (Some(service), any(&service.endpoints, random));
    }
    let labels: Labels = subset.labels.iter().map(|(k, v)| ((**k).into(), (**v).into())).collect();
    let within: Vec<Arc<Endpoint>> =
        service.endpoints.iter().filter(|endpoint| selects(&labels, &endpoint.labels)).cloned().collect();
    (Some(service), any(&within, random))
}

/// Any of the ready pods.
pub fn any(endpoints: &[Arc<Endpoint>], random: &mut Random) -> End {
    random.choose(endpoints).map_or(End::NOBODY, |endpoint| End::Pod(endpoint.clone()))
}

/// Who gets copies of this request. A percentage that is absent means all.
pub fn mirrors(
    world: &World,
    from: &Caller,
    route: &HttpRoute,
    namespace: &str,
    listener: u16,
    random: &mut Random,
) -> Vec<Arc<Endpoint>> {
    let single = route.mirror.as_ref().map(|to| {
        let percent = route.mirror_percentage.as_ref().map(|percentage| percentage.value);
        (to, percent.or(route.mirror_percent))
    });
    let several = route
        .mirrors
        .iter()
        .map(|mirror| (&mirror.destination, mirror.percentage.as_ref().map(|percentage| percentage.value)));
    let mut copies = Vec::new();
    for (to, percent) in single.into_iter().chain(several) {
        if !random.percent(percent.unwrap_or(100.0)) {
            continue;
        }
        if let (_, End::Pod(endpoint)) = endpoint(world, from, to, namespace, listener, random) {
            copies.push(endpoint);
        }
    }
    copies
}
