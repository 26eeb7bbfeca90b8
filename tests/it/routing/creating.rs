//! Objects where none exist.

use serde_json::json;
use sluice::domain::ids::{Kind, ObjectRef};
use sluice::domain::refusal::Severity;
use sluice::domain::service::Protocol::{Http, Tcp, Tls, Udp};

use super::support::{SUBSETS, World, codes, outcome, reviews, set, take_over, three};

const FULL: &str = "reviews.shop.svc.cluster.local";

#[test]
fn a_rule_with_a_subset_a_version_and_a_virtual_service_are_created() {
    let planned = three().plan(&set("v1=90 v2=10")).expect("a plan");
    let told: Vec<String> = planned.plan.edits().map(|edit| edit.object.to_string()).collect();
    assert_eq!(told, ["DestinationRule shop/reviews", "VirtualService shop/reviews"]);
    assert_eq!(planned.plan.stages().count(), 2, "subsets before routes");
    for edit in planned.plan.edits() {
        assert_eq!(edit.before, None);
        let after = edit.after.as_ref().expect("an object");
        assert_eq!(after["metadata"]["labels"]["app.kubernetes.io/managed-by"], "sluice");
        assert_eq!(after["metadata"]["annotations"]["sluice.io/change"], "0199-change");
        assert_eq!(after["apiVersion"], "networking.istio.io/v1");
    }
    let after = three().after(&planned);
    assert_eq!(
        after.spec(Kind::DestinationRule, "reviews"),
        json!({"host": FULL, "subsets": [
            {"name": "v1", "labels": {"version": "v1"}},
            {"name": "v2", "labels": {"version": "v2"}},
            {"name": "v3", "labels": {"version": "v3"}},
        ]})
    );
    assert_eq!(
        after.spec(Kind::VirtualService, "reviews"),
        json!({"hosts": [FULL], "http": [{"route": [
            {"destination": {"host": FULL, "subset": "v1"}, "weight": 90},
            {"destination": {"host": FULL, "subset": "v2"}, "weight": 10},
        ]}]})
    );
    assert_eq!(codes(&planned, Severity::Info), "creates_objects callers");
}

/// What is created for a service with these ports.
fn check(world: &World, command: &str, expected: &str) {
    assert_eq!(outcome(world, &set(command)).replace(FULL, "R"), expected);
}

#[test]
fn every_port_gets_its_route() {
    let ports = |ports: &[(u16, sluice::domain::service::Protocol)]| three().with(SUBSETS).ports(ports);
    check(&ports(&[(80, Http)]), "v1=50 v2=50", "http → R/v1:50 R/v2:50");
    check(&ports(&[(80, Http), (81, Http)]), "v1=50 v2=50", "http m1→ R/v1:50 R/v2:50; m1→ R/v1:50 R/v2:50");
    check(
        &ports(&[(80, Http), (9000, Tcp)]),
        "v1=50 v2=50",
        "http → R/v1:50 R/v2:50 | tcp m1→ R/v1:50 R/v2:50",
    );
    check(&ports(&[(9000, Tcp)]), "v1=50 v2=50", "tcp → R/v1:50 R/v2:50");
    check(&ports(&[(80, Http), (443, Tls), (53, Udp)]), "v1=100", "http → R/v1:100");
    check(&ports(&[(443, Tls)]), "v1=100", "refused tls_port");
    check(&ports(&[(53, Udp)]), "v1=100", "refused udp_port");
    check(&ports(&[]), "v1=100", "refused not_shiftable");
    let two = ports(&[(80, Http), (9000, Tcp)]);
    let planned = two.plan(&set("v1=100")).expect("a plan");
    let spec = two.after(&planned).spec(Kind::VirtualService, "reviews");
    assert_eq!(spec["http"][0]["route"][0]["destination"]["port"]["number"], 80);
    assert_eq!(spec["tcp"][0]["match"], json!([{"port": 9000}]));
    assert_eq!(spec["tcp"][0]["route"][0]["destination"]["port"]["number"], 9000);
}

#[test]
fn names_do_not_collide() {
    let names = |world: &World| -> Vec<String> {
        let planned = world.plan(&set("v1=100")).expect("a plan");
        planned.plan.edits().map(|edit| edit.object.name.to_string()).collect()
    };
    assert_eq!(names(&three()), ["reviews", "reviews"]);
    let mut world = three();
    world.snapshot.taken.push(ObjectRef::new(Kind::VirtualService, "shop", "reviews"));
    assert_eq!(names(&world), ["reviews", "reviews-sluice"]);
    world.snapshot.taken.push(ObjectRef::new(Kind::VirtualService, "shop", "reviews-sluice"));
    world.snapshot.taken.push(ObjectRef::new(Kind::DestinationRule, "shop", "reviews"));
    assert_eq!(names(&world), ["reviews-sluice", "reviews-sluice-2"]);
    world.snapshot.taken.push(ObjectRef::new(Kind::VirtualService, "other", "reviews-sluice-2"));
    assert_eq!(names(&world), ["reviews-sluice", "reviews-sluice-2"]);
}

#[test]
fn what_would_be_shadowed_is_taken_over() {
    let root = "
kind: DestinationRule
metadata: {name: default, namespace: istio-system}
spec:
  host: '*.local'
  trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}
  subsets:
  - {name: first, labels: {version: v1}, trafficPolicy: {loadBalancer: {simple: RANDOM}}}
";
    let planned = three().with(root).plan(&set("v1=50 v2=50")).expect("a plan");
    let after = three().with(root).after(&planned);
    assert_eq!(
        after.spec(Kind::DestinationRule, "reviews"),
        json!({
            "host": FULL,
            "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}},
            "subsets": [
                {"name": "first", "labels": {"version": "v1"}, "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}},
                {"name": "v2", "labels": {"version": "v2"}},
                {"name": "v3", "labels": {"version": "v3"}},
            ]
        })
    );
    check(&three().with(root), "v1=50 v2=50", "http → R/first:50 R/v2:50");
}

#[test]
fn versions_that_no_label_tells_cannot_be_named() {
    let world = || reviews().version("v1", 1).pods("reviews-old", 1, 1, "app=reviews", "");
    check(&world(), "v1=100", "http → R/v1:100");
    check(&world(), "v1=100 reviews-old=0", "http → R/v1:100");
    check(&world(), "v1=50 reviews-old=50", "refused no_label");
    // The labels would select the other version's pods as well.
    let alike = reviews().version("v1", 1).pods("b", 1, 1, "app=reviews,track=b", "app=reviews");
    check(&alike, "b=100", "refused no_label");
}

#[test]
fn take_over_creates_too() {
    assert_eq!(outcome(&three(), &take_over("v2")).replace(FULL, "R"), "http → R/v2:100");
}
