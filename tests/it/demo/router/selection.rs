//! Host names, and which of several VirtualServices has the say.

use serde_json::{Value, json};
use sluice::demo::world::World;

use super::support::{ask, client, object, only, service, shop, vs};

fn rules(host: &str, version: &str) -> Value {
    json!({ "hosts": [host], "http": [{ "route": only(version) }] })
}

/// Which version `web` answers with from namespace `shop` and from `other`.
fn ends(objects: Vec<Value>) -> (String, String) {
    let mut all = vec![];
    all.extend(service("other", "unrelated", &["v1"]));
    all.extend(objects);
    let world = shop(all);
    let elsewhere = ask().host("web.shop").from(client("other", &[]));
    (ask().end(&world), elsewhere.end(&world))
}

#[test]
fn clients_may_write_a_host_in_every_form() {
    let world = shop(vec![vs("shop", "web", rules("web", "v2"))]);
    for host in ["web", "web:80", "web.shop", "web.shop.svc", "web.shop.svc.cluster.local", "WEB.shop.svc:80"]
    {
        assert_eq!(ask().host(host).end(&world), "v2", "{host}");
    }
    for host in ["web.other", "nobody", "web.shop.svc.cluster.org", "example.com"] {
        assert_eq!(ask().host(host).end(&world), "503 NC", "{host}");
    }
    let wrong_port = super::support::Ask { port: 81, ..ask() };
    assert_eq!(wrong_port.end(&world), "503 NC");
}

#[test]
fn an_object_claims_a_host_in_full_or_short_in_its_own_namespace_but_not_by_half() {
    for (namespace, host, claims) in [
        ("shop", "web", true),
        ("shop", "web.shop.svc.cluster.local", true),
        ("shop", "*.shop.svc.cluster.local", true),
        ("shop", "*", true),
        ("other", "web.shop.svc.cluster.local", true),
        // A name with a dot is taken as it is.
        ("shop", "web.shop", false),
        ("shop", "web.shop.svc", false),
        ("other", "web", false),
        ("shop", "*.other.svc.cluster.local", false),
    ] {
        let to_v2 = json!([{ "destination": { "host": "web.shop.svc.cluster.local", "subset": "v2" } }]);
        let world = shop(vec![vs(namespace, "x", json!({ "hosts": [host], "http": [{ "route": to_v2 }] }))]);
        let first: Vec<String> = (1..40)
            .map(|seed| {
                let routed = ask().routed(&world, &mut sluice::demo::random::Random::new(seed));
                super::support::said(&routed)
            })
            .collect();
        assert_eq!(first.iter().all(|end| end == "v2"), claims, "{namespace} {host}: {first:?}");
    }
}

#[test]
fn a_destination_by_half_a_name_reaches_nobody() {
    let to = |host: &str| json!([{ "destination": { "host": host } }]);
    for (host, end) in [("web.shop", "503 NC"), ("nobody", "503 NC"), ("web.shop.svc.cluster.local", "v")] {
        let world = shop(vec![vs("shop", "x", json!({ "hosts": ["web"], "http": [{ "route": to(host) }] }))]);
        assert!(ask().end(&world).starts_with(end), "{host}");
    }
}

#[test]
fn of_several_objects_one_has_the_say_and_the_others_none() {
    let aged = |name: &str, age, spec| object("VirtualService", "shop", name, age, spec);
    // The oldest.
    let two = vec![aged("a", 2, rules("web", "v1")), aged("b", 1, rules("web", "v2"))];
    assert_eq!(ends(two).0, "v2");
    // Of the same second: by name.
    let two = vec![aged("b", 1, rules("web", "v1")), aged("a", 1, rules("web", "v2"))];
    assert_eq!(ends(two).0, "v2");
    // An exact host before a wildcard, a longer wildcard before a shorter one, whatever the age.
    let two = vec![aged("a", 1, rules("*.shop.svc.cluster.local", "v1")), aged("b", 2, rules("web", "v2"))];
    assert_eq!(ends(two).0, "v2");
    let two = vec![aged("a", 1, rules("*", "v1")), aged("b", 2, rules("*.svc.cluster.local", "v2"))];
    assert_eq!(ends(two).0, "v2");
}

#[test]
fn what_is_private_comes_before_what_is_exported_and_what_is_not_exported_does_not_come() {
    let exported = |name: &str, age, version: &str, to: Value| {
        let mut spec = rules("web.shop.svc.cluster.local", version);
        spec["http"][0]["route"][0]["destination"]["host"] = "web.shop.svc.cluster.local".into();
        spec["exportTo"] = to;
        object("VirtualService", "shop", name, age, spec)
    };
    let public = exported("public", 1, "v1", json!(["*"]));
    let private = exported("private", 2, "v2", json!(["."]));
    let named = exported("named", 3, "v3", json!(["other"]));
    let hidden = exported("hidden", 0, "v3", json!(["~"]));
    let all = ends(vec![public, private.clone(), named, hidden]);
    assert_eq!(all, ("v2".into(), "v3".into()));
    let (own, other) = ends(vec![private]);
    assert_eq!(own, "v2");
    assert!(other.starts_with('v'), "nobody has a say there: any pod");
}

#[test]
fn an_object_for_a_gateway_only_has_no_say_in_the_mesh() {
    let mut spec = rules("web", "v2");
    spec["gateways"] = json!(["some-gateway"]);
    let older = object("VirtualService", "shop", "a", 1, spec.clone());
    assert_eq!(ends(vec![older, object("VirtualService", "shop", "b", 2, rules("web", "v3"))]).0, "v3");
    spec["gateways"] = json!(["some-gateway", "mesh"]);
    assert_eq!(ends(vec![object("VirtualService", "shop", "a", 1, spec)]).0, "v2");
}

#[test]
fn an_object_without_a_route_for_this_client_leaves_the_host_to_the_next() {
    let for_others = json!({ "hosts": ["web"], "http": [{
        "match": [{ "sourceLabels": { "app": "nobody" } }], "route": only("v1") }] });
    let older = object("VirtualService", "shop", "a", 1, for_others);
    assert_eq!(ends(vec![older, object("VirtualService", "shop", "b", 2, rules("web", "v3"))]).0, "v3");
    let tcp_only = json!({ "hosts": ["web"], "tcp": [{ "route": only("v1") }] });
    let world: World = shop(vec![vs("shop", "web", tcp_only)]);
    assert_eq!(super::support::counts(&world, &ask(), 300).len(), 3);
}
