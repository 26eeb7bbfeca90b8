//! The fingerprint of what is declared about a service: what outside edits are noticed by.
//!
//! Over the views only, in a fixed order, so that the watch cache and a fresh reading agree, and a change
//! of status, metadata, another service's route or an unknown field does not count. Of DestinationRules only
//! what the service's callers look up counts: a rule of several services (`*.shop.svc.cluster.local`) that a
//! closer one hides, or whose new subset no route of this service names, decides nothing about it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::domain::ids::Kind;
use crate::domain::routing::{Dest, RouteKind};

use super::lookup::{ANY_OTHER, Merged};
use super::read::{Inspected, Place};

/// Begins every fingerprint of this form. Those that were recorded before it existed have no such mark.
const MARK: &str = "2:";

/// SHA-256 in hex behind a mark; empty text when nothing is declared.
pub fn of(inspected: &Inspected<'_>) -> String {
    let snapshot = inspected.snapshot;
    let mut parts: Vec<Value> = Vec::new();
    for at in &inspected.routing.objects {
        match at.kind {
            Kind::VirtualService => {
                let found = snapshot.virtual_services.iter().position(|held| held.object.at(at.kind) == *at);
                parts.extend(found.map(|vs| json!([at, virtual_service(inspected, vs)])));
            }
            Kind::DestinationRule => {
                let mut held = snapshot.destination_rules.iter();
                let malformed =
                    held.any(|held| held.object.at(at.kind) == *at && held.object.malformed.is_some());
                parts.extend(malformed.then(|| json!([at, true])));
            }
        }
    }
    parts.extend(lookups(inspected));
    if parts.is_empty() {
        return String::new();
    }
    let text = serde_json::to_vec(&parts).unwrap_or_default();
    format!("{MARK}{}", hex::encode(Sha256::digest(&text)))
}

/// True when `recorded` is the fingerprint of this, in the form of today or in the one before.
pub fn is(inspected: &Inspected<'_>, recorded: &str) -> bool {
    recorded == inspected.routing.fingerprint || (is_of_before(recorded) && recorded == of_before(inspected))
}

/// True for a fingerprint that was recorded in the form before this one.
pub fn is_of_before(recorded: &str) -> bool {
    !recorded.is_empty() && !recorded.starts_with(MARK)
}

/// What callers find when they look the service's subsets up: for the namespaces that find something else than all
/// others do, and for all others.
fn lookups(inspected: &Inspected<'_>) -> Option<Value> {
    let named = named_subsets(inspected);
    let mut found: BTreeMap<&str, Value> = inspected
        .clients
        .iter()
        .zip(&inspected.effective)
        .map(|(client, rules)| {
            (
                *client,
                json!(rules.iter().filter_map(|rule| seen(inspected, rule, &named)).collect::<Vec<_>>()),
            )
        })
        .collect();
    let rest = found.remove(ANY_OTHER).unwrap_or_else(|| json!([]));
    found.retain(|_, rules| *rules != rest);
    (rest != json!([]) || !found.is_empty()).then(|| json!(["lookups", rest, found]))
}

/// What a rule says about the service: all subsets of the service's own rule, of a rule of several services those
/// that this one's routes name.
fn seen(inspected: &Inspected<'_>, rule: &Merged<'_>, named: &BTreeSet<&str>) -> Option<Value> {
    let own = rule.from.iter().any(|at| inspected.is_own_rule(*at));
    let mut subsets: BTreeMap<&str, &BTreeMap<Box<str>, Box<str>>> = BTreeMap::new();
    for subset in rule.subsets.iter().filter(|subset| own || named.contains(&*subset.name)) {
        subsets.entry(&subset.name).or_insert(&subset.labels);
    }
    let selector = rule.from.iter().find_map(|at| {
        let spec = &inspected.snapshot.destination_rules[*at].object.spec;
        spec.workload_selector.as_ref().map(|selector| &selector.match_labels)
    });
    (!subsets.is_empty() || selector.is_some()).then(|| json!([selector, subsets]))
}

/// The subsets of the service that routes and mirrors name.
fn named_subsets<'i>(inspected: &'i Inspected<'_>) -> BTreeSet<&'i str> {
    let mut named = BTreeSet::new();
    for (at, route) in inspected.routing.routes.iter().enumerate() {
        let own = |entry: &usize| !matches!(route.targets[*entry].to, Dest::Foreign { .. });
        named.extend((0..route.targets.len()).filter(own).filter_map(|entry| inspected.subset_of(at, entry)));
        named.extend(inspected.mirror_subset(at));
    }
    named
}

/// The form before: every rule that covers the host, whole.
fn of_before(inspected: &Inspected<'_>) -> String {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::ids::{ObjectRef, ServiceRef};
    use crate::domain::service::{Labels, ServiceFacts, Shape};
    use crate::domain::snapshot::{Mesh, Snapshot};
    use crate::routing::json;
    use crate::routing::read::inspect;

    fn snapshot(weight: u8) -> Snapshot {
        let object = ObjectRef::new(Kind::VirtualService, "shop", "reviews");
        let route = json!([{ "destination": { "host": "reviews" }, "weight": weight }]);
        let spec = json!({ "hosts": ["reviews"], "http": [{ "route": route }] });
        let json = Arc::new(json::created(&object, spec));
        Snapshot {
            service: ServiceFacts {
                at: ServiceRef::new("shop", "reviews"),
                uid: "uid".into(),
                shape: Shape::ClusterIp,
                ports: Vec::new(),
                selector: Labels::new(),
                deleting: false,
                export_to: Box::default(),
            },
            versions: Vec::new(),
            virtual_services: vec![json::held(json, json::new_meta(&object, 0))],
            destination_rules: Vec::new(),
            others: Vec::new(),
            mesh: Mesh {
                installed: true,
                cluster_domain: "cluster.local".into(),
                root_namespace: "istio-system".into(),
                meshed_pods: 0,
                pods: 0,
            },
            taken: Vec::new(),
        }
    }

    #[test]
    fn what_was_recorded_in_the_form_before_is_known_still() {
        let (now, other) = (snapshot(100), snapshot(50));
        let (now, other) = (inspect(&now), inspect(&other));
        let (before, today) = (of_before(&now), of(&now));
        assert_ne!(before, today);
        assert!(is(&now, &before) && is(&now, &today));
        assert!(!is(&other, &before) && !is(&other, &today));
        assert!(is_of_before(&before) && !is_of_before(&today) && !is_of_before(""));
    }
}
