//! Objects that nobody would write, but that exist: read in milliseconds, without a panic, with a word.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice::domain::ids::{Kind, ObjectRef};

use super::support::{SUBSETS, World, held, set, take_over, three, usual};

fn with_vs(spec: Value) -> World {
    let mut world = three().with(SUBSETS);
    let object = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": "reviews", "namespace": "shop"}, "spec": spec,
    });
    world.snapshot.virtual_services.push(held(object, 5));
    world
}

/// Reads and plans; says which findings there are.
fn check(spec: Value, expected: &str) {
    let world = with_vs(spec.clone());
    let codes: Vec<&str> = world.read().findings.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(codes.join(" "), expected, "{spec}");
    let _ = world.plan(&set("v1=50 v2=50"));
    let _ = world.plan(&take_over("v2"));
}

#[test]
fn strange_shapes_have_findings() {
    check(Value::Null, "spread_by_pods");
    check(json!({}), "spread_by_pods");
    check(json!([]), "spread_by_pods");
    check(json!("text"), "malformed_object spread_by_pods");
    check(json!({"hosts": null, "http": null}), "spread_by_pods");
    check(json!({"hosts": ["reviews"]}), "spread_by_pods");
    check(json!({"hosts": ["reviews"], "http": []}), "spread_by_pods");
    check(json!({"hosts": ["reviews"], "http": [{}]}), "no_default_route");
    check(json!({"hosts": ["reviews"], "http": [null]}), "malformed_object spread_by_pods");
    check(json!({"hosts": ["reviews"], "http": [{"route": []}]}), "no_default_route");
    check(json!({"hosts": ["reviews"], "http": [{"route": [null]}]}), "malformed_object spread_by_pods");
    check(json!({"hosts": ["reviews"], "http": [{"route": [{}]}]}), "no_host");
    check(json!({"hosts": ["reviews"], "http": [{"route": [{"destination": null}]}]}), "no_host");
    check(
        json!({"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": null, "subset": null}}]}]}),
        "no_host",
    );
    check(json!({"hosts": ["reviews"], "http": [{"route": "x"}]}), "malformed_object spread_by_pods");
    check(
        json!({"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews"}, "weight": "50"}]}]}),
        "malformed_object spread_by_pods",
    );
    check(
        json!({"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews", "subset": "v1"}, "weight": 9_223_372_036_854_775_807_i64}, {"destination": {"host": "reviews", "subset": "v2"}, "weight": 9_223_372_036_854_775_807_i64}]}]}),
        "not_summing",
    );
    check(
        json!({"hosts": ["reviews"], "http": [{"match": [null], "route": []}]}),
        "malformed_object spread_by_pods",
    );
    check(
        json!({"hosts": ["reviews"], "http": [{"match": null, "route": [{"destination": {"host": "reviews", "subset": "v1"}}]}]}),
        "",
    );
    check(
        json!({"hosts": ["reviews"], "http": [{"delegate": {"name": "reviews"}}]}),
        "delegate_invalid no_default_route",
    );
    check(
        json!({"hosts": ["*"], "http": [{"route": [{"destination": {"host": "reviews", "subset": "v1"}}]}]}),
        "",
    );
    check(
        json!({"hosts": [""], "http": [{"route": [{"destination": {"host": "reviews", "subset": "v1"}}]}]}),
        "spread_by_pods",
    );
}

#[test]
fn destination_rules_may_be_strange_too() {
    for spec in [
        Value::Null,
        json!({}),
        json!({"host": null}),
        json!({"host": "reviews", "subsets": null}),
        json!({"host": "reviews", "subsets": [{}]}),
        json!({"host": "reviews", "subsets": [{"name": null, "labels": null}]}),
        json!({"host": "reviews", "subsets": [null]}),
        json!({"host": "*", "subsets": [{"name": "v1"}]}),
        json!({"host": "", "exportTo": [""]}),
        json!({"host": "reviews", "subsets": "x"}),
    ] {
        let mut world = usual();
        let object = json!({
            "kind": "DestinationRule", "metadata": {"name": "odd", "namespace": "shop"}, "spec": spec,
        });
        world.snapshot.destination_rules.push(held(object, 1));
        world.read();
        let _ = world.plan(&set("v1=50 v2=50"));
        let _ = world.plan(&take_over("v2"));
    }
}

/// How long `read` takes, the best of three.
fn time(world: &World) -> Duration {
    (0..3)
        .map(|_| {
            let start = Instant::now();
            let routing = world.read();
            assert!(!routing.routes.is_empty());
            start.elapsed()
        })
        .min()
        .unwrap_or_default()
}

#[test]
fn large_objects_are_read_quickly() {
    let entry = |at: usize| json!({"headers": {format!("x-{at}"): {"exact": "y".repeat(300)}}, "uri": {"prefix": format!("/{at}")}});
    let routes: Vec<Value> = (0..500)
        .map(|route| {
            let matches: Vec<Value> = (0..4).map(|at| entry(route * 4 + at)).collect();
            json!({"match": matches, "route": [
                {"destination": {"host": "reviews", "subset": "v1"}, "weight": 50},
                {"destination": {"host": "reviews", "subset": "v2"}, "weight": 50},
            ]})
        })
        .chain([json!({"route": [{"destination": {"host": "reviews", "subset": "v1"}}]})])
        .collect();
    let world = with_vs(json!({"hosts": ["reviews"], "http": routes}));
    assert!(serde_json::to_vec(&world.spec(Kind::VirtualService, "reviews")).expect("JSON").len() > 700_000);
    // Milliseconds when optimised; hashing without optimisation on a busy machine is another matter.
    let bound = if cfg!(debug_assertions) { 8000 } else { 60 };
    let took = time(&world);
    assert!(took < Duration::from_millis(bound), "{took:?}");
    assert_eq!(world.read().rules.len(), 500);
    let planned = world.plan(&set("v1=90 v2=10")).expect("a plan");
    assert_eq!(planned.plan.edits().count(), 1);
}

#[test]
fn many_objects_are_read_quickly() {
    let mut world = usual();
    for at in 0..300 {
        world = world.with(&format!(
            "kind: VirtualService\nmetadata: {{name: e{at}, namespace: n{at}}}\nspec:\n  hosts: [e{at}.example.com]\n  gateways: [g{at}/gw]\n  http: [{{route: [{{destination: {{host: reviews.shop.svc.cluster.local, subset: v1}}}}]}}]\n"
        ));
    }
    let bound = if cfg!(debug_assertions) { 8000 } else { 60 };
    let took = time(&world);
    assert!(took < Duration::from_millis(bound), "{took:?}");
}

#[test]
fn a_snapshot_without_json_cannot_be_planned_on() {
    let mut world = usual();
    for held in &mut world.snapshot.virtual_services {
        held.json = None;
    }
    assert_eq!(world.plan(&set("v1=50 v2=50")).expect_err("no JSON").code.as_str(), "internal");
    let at = ObjectRef::new(Kind::VirtualService, "shop", "reviews");
    assert_eq!(world.spec_at(&at), Value::Null);
}
