//! Subsets: which DestinationRule a client sees, and who is behind a subset.

use serde_json::{Value, json};
use sluice::demo::world::World;

use super::support::{Ask, ask, client, dr, object, only, pod, service, slice, vs};

fn route_to(subset: &str) -> Value {
    let to = json!([{ "destination": { "host": "web.shop.svc.cluster.local", "subset": subset } }]);
    vs("shop", "web", json!({ "hosts": ["web.shop.svc.cluster.local"], "http": [{ "route": to }] }))
}

fn rule(namespace: &str, name: &str, age: u32, host: &str, subset: &str, version: &str) -> Value {
    let subsets = json!([{ "name": subset, "labels": { "version": version } }]);
    object("DestinationRule", namespace, name, age, json!({ "host": host, "subsets": subsets }))
}

fn end(ask: &Ask, rules: Vec<Value>) -> String {
    let mut all = service("shop", "web", &["v1", "v2"]);
    all.extend(service("other", "unrelated", &[]));
    all.push(route_to("canary"));
    all.extend(rules);
    ask.end(&World::of(all.into_iter()))
}

const FULL: &str = "web.shop.svc.cluster.local";

#[test]
fn a_subset_is_its_labels_whatever_it_is_called() {
    assert_eq!(end(&ask(), vec![rule("shop", "a", 0, "web", "canary", "v2")]), "v2");
    assert_eq!(end(&ask(), vec![rule("shop", "a", 0, FULL, "canary", "v1")]), "v1");
}

#[test]
fn a_missing_subset_or_rule_is_503_nc_and_nobody_ready_is_503_uh() {
    assert_eq!(end(&ask(), vec![]), "503 NC");
    assert_eq!(end(&ask(), vec![rule("shop", "a", 0, "web", "stable", "v1")]), "503 NC");
    assert_eq!(end(&ask(), vec![rule("shop", "a", 0, "web", "canary", "v9")]), "503 UH");
    assert_eq!(end(&ask(), vec![rule("shop", "a", 0, "web.shop", "canary", "v1")]), "503 NC");
}

#[test]
fn pods_that_are_not_ready_get_nothing() {
    let mut all = service("shop", "web", &["v1", "v2"]);
    all[1] = slice("shop", "web", &[("web-v1", true), ("web-v2", false)]);
    all.push(dr("shop", "web", &["v1", "v2"]));
    let routed = |route: Value| {
        let mut all = all.clone();
        all.push(vs("shop", "web", json!({ "hosts": ["web"], "http": [{ "route": route }] })));
        ask().end(&World::of(all.into_iter()))
    };
    assert_eq!(routed(only("v1")), "v1");
    assert_eq!(routed(only("v2")), "503 UH");
    assert_eq!(ask().end(&World::of(all.clone().into_iter())), "v1");
}

#[test]
fn the_clients_namespace_comes_first_then_the_services_then_the_root_and_nothing_is_merged() {
    let from_other = ask().host("web.shop").from(client("other", &[]));
    let own = rule("shop", "a", 0, FULL, "canary", "v1");
    let clients = rule("other", "b", 9, FULL, "canary", "v2");
    let root = rule("istio-system", "c", 0, FULL, "canary", "v2");
    assert_eq!(end(&from_other, vec![own.clone(), clients.clone(), root.clone()]), "v2");
    assert_eq!(end(&ask(), vec![own.clone(), clients, root.clone()]), "v1");
    assert_eq!(end(&ask(), vec![root.clone()]), "v2");
    // The client's rule hides the owner's, even when it does not define the subset.
    let shadow = rule("other", "b", 9, FULL, "something", "v2");
    assert_eq!(end(&from_other, vec![own.clone(), shadow]), "503 NC");
    // A gateway lives in the root namespace: what everybody sees there comes last for it too.
    let gateway = ask().host("web.shop").from(client("istio-system", &[]));
    assert_eq!(end(&gateway, vec![own.clone(), root.clone()]), "v1");
    let mut private = root;
    private["spec"]["exportTo"] = json!(["."]);
    assert_eq!(end(&gateway, vec![own, private]), "v2");
}

#[test]
fn rules_of_one_namespace_are_put_together_and_the_older_subset_wins() {
    let older = rule("shop", "a", 1, "web", "stable", "v1");
    let newer = rule("shop", "b", 2, "web", "canary", "v2");
    assert_eq!(end(&ask(), vec![older, newer.clone()]), "v2");
    let same = rule("shop", "c", 1, "web", "canary", "v1");
    assert_eq!(end(&ask(), vec![newer, same]), "v1");
    // A wildcard is used only where nothing fits better.
    let wide = rule("shop", "w", 0, "*.shop.svc.cluster.local", "canary", "v1");
    assert_eq!(end(&ask(), vec![wide.clone()]), "v1");
    assert_eq!(end(&ask(), vec![wide, rule("shop", "a", 5, "web", "canary", "v2")]), "v2");
}

#[test]
fn a_rule_that_is_not_exported_or_for_other_workloads_does_not_count() {
    let from_other = ask().host("web.shop").from(client("other", &[]));
    let mut private = rule("shop", "a", 0, FULL, "canary", "v1");
    private["spec"]["exportTo"] = json!(["."]);
    assert_eq!(end(&from_other, vec![private.clone()]), "503 NC");
    assert_eq!(end(&ask(), vec![private.clone()]), "v1");
    private["spec"]["workloadSelector"] = json!({ "matchLabels": { "app": "client" } });
    assert_eq!(end(&ask(), vec![private.clone()]), "v1");
    assert_eq!(end(&ask().from(client("shop", &[("app", "else")])), vec![private]), "503 NC");
}

#[test]
fn empty_labels_select_every_pod_and_a_headless_service_leaves_the_choice_to_the_client() {
    let all = object(
        "DestinationRule",
        "shop",
        "a",
        0,
        json!({ "host": "web", "subsets": [{ "name": "canary" }] }),
    );
    assert!(end(&ask(), vec![all]).starts_with('v'));
    let mut objects = service("shop", "web", &["v1", "v2"]);
    objects[0]["spec"]["clusterIP"] = "None".into();
    objects.push(route_to("canary"));
    objects.push(rule("shop", "a", 0, "web", "canary", "v2"));
    let counts = super::support::counts(&World::of(objects.into_iter()), &ask(), 500);
    assert_eq!(counts.len(), 2, "weights and subsets have no effect: {counts:?}");
}

#[test]
fn a_pod_without_a_version_label_is_called_latest() {
    let mut objects = service("shop", "web", &[]);
    objects[1] = slice("shop", "web", &[("web-x", true)]);
    objects.push(pod("shop", "web-x", json!({ "app": "web" })));
    assert_eq!(ask().end(&World::of(objects.into_iter())), "latest");
}

#[test]
fn a_port_is_the_one_that_is_named_or_the_only_one_or_the_callers() {
    let with = |ports: Value, port: Value| {
        let mut objects = service("shop", "web", &["v1"]);
        objects[0]["spec"]["ports"] = ports;
        let mut to = json!({ "host": "web" });
        to["port"] = port;
        let http = json!([{ "route": [{ "destination": to }] }]);
        objects.push(vs("shop", "web", json!({ "hosts": ["web"], "http": http })));
        ask().end(&World::of(objects.into_iter()))
    };
    let two = json!([{ "name": "http", "port": 80 }, { "name": "http-admin", "port": 81 }]);
    assert_eq!(with(two.clone(), json!({ "number": 81 })), "v1");
    assert_eq!(with(two.clone(), json!({ "number": 82 })), "503 NC");
    assert_eq!(with(two, json!(null)), "v1");
}
