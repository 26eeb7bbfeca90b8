//! The fingerprint of what is declared about a service: what outside edits are noticed by.
//!
//! Over the views only, in a fixed order, so that the watch cache and a fresh reading agree, and a change
//! of status, metadata, another service's route or an unknown field does not count.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::domain::ids::Kind;
use crate::domain::routing::RouteKind;

use super::read::{Inspected, Place};

/// SHA-256 in hex; empty text when nothing is declared.
pub fn of(inspected: &Inspected<'_>) -> String {
    if inspected.routing.objects.is_empty() {
        return String::new();
    }
    let snapshot = inspected.snapshot;
    let parts: Vec<Value> = inspected
        .routing
        .objects
        .iter()
        .map(|at| match at.kind {
            Kind::VirtualService => snapshot
                .virtual_services
                .iter()
                .position(|held| held.object.at(at.kind) == *at)
                .map_or(Value::Null, |vs| json!([at, virtual_service(inspected, vs)])),
            Kind::DestinationRule => snapshot
                .destination_rules
                .iter()
                .find(|held| held.object.at(at.kind) == *at)
                .map_or(Value::Null, |held| json!([at, held.object.malformed.is_some(), held.object.spec])),
        })
        .collect();
    let text = serde_json::to_vec(&parts).unwrap_or_default();
    hex::encode(Sha256::digest(&text))
}

/// The whole spec of the service's own objects; of others only what they say about the service.
fn virtual_service(inspected: &Inspected<'_>, at: usize) -> Value {
    let object = &inspected.snapshot.virtual_services[at].object;
    let spec = &object.spec;
    let own = inspected.conflict.is_some_and(|(a, b)| a == at || b == at)
        || inspected.spots.iter().any(|spot| spot.roots.contains(&at) && spot.place == Place::Own);
    if own || object.malformed.is_some() {
        return json!([object.malformed.is_some(), spec]);
    }
    let routes: Vec<Value> = inspected
        .spots
        .iter()
        .filter(|spot| spot.vs == at)
        .map(|spot| match spot.kind {
            RouteKind::Http => json!(["http", spec.http.get(spot.index)]),
            RouteKind::Tls => json!(["tls", spec.tls.get(spot.index)]),
            RouteKind::Tcp => json!(["tcp", spec.tcp.get(spot.index)]),
        })
        .collect();
    json!([spec.hosts, spec.gateways, spec.export_to, routes])
}
