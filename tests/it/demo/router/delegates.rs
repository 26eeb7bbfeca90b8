//! A root that hands paths to another object.

use serde_json::{Value, json};

use super::support::{Ask, ask, only, shop, vs};

/// A root with this match that delegates to an object with these routes; then everything to v3.
fn end(ask: &Ask, root_match: Value, leaf: Value) -> String {
    let mut first = json!({ "delegate": { "name": "leaf" } });
    if !root_match.is_null() {
        first["match"] = json!([root_match]);
    }
    let root = json!({ "hosts": ["web"], "http": [first, { "route": only("v3") }] });
    ask.end(&shop(vec![vs("shop", "root", root), vs("shop", "leaf", leaf)]))
}

fn leaf(when: Value) -> Value {
    if when.is_null() {
        return json!({ "http": [{ "route": only("v1") }] });
    }
    json!({ "http": [{ "match": [when], "route": only("v1") }] })
}

#[test]
fn both_matches_must_hold() {
    let prefix = |p: &str| json!({ "uri": { "prefix": p } });
    let header = json!({ "headers": { "x": { "exact": "1" } } });
    let p = |path| ask().path(path);
    for (ask, root, own, is) in [
        (p("/a"), prefix("/a"), json!(null), "v1"),
        (p("/b"), prefix("/a"), json!(null), "v3"),
        (p("/b"), json!(null), json!(null), "v1"),
        (p("/a"), prefix("/a"), header.clone(), "v3"),
        (p("/a").header("x", "1"), prefix("/a"), header.clone(), "v1"),
        (p("/b").header("x", "1"), prefix("/a"), header, "v3"),
        (p("/a/b"), prefix("/a"), prefix("/a/b"), "v1"),
        (p("/a"), prefix("/a"), prefix("/a/b"), "v3"),
    ] {
        assert_eq!(end(&ask, root.clone(), leaf(own.clone())), is, "{} {root} {own}", ask.path);
    }
}

#[test]
fn a_delegate_outside_its_root_vanishes() {
    let a = json!({ "uri": { "prefix": "/a" } });
    for own in [
        json!({ "uri": { "prefix": "/b" } }),
        json!({ "uri": { "exact": "/b" } }),
        json!({ "uri": { "regex": "/a.*" } }),
        json!({ "uri": { "prefix": "/a" }, "ignoreUriCase": true }),
    ] {
        assert_eq!(end(&ask().path("/a"), a.clone(), leaf(own.clone())), "v3", "{own}");
        assert_eq!(end(&ask().path("/b"), a.clone(), leaf(own)), "v3");
    }
}

#[test]
fn a_delegate_that_is_missing_hidden_or_no_delegate_vanishes() {
    let all = json!(null);
    let mut hidden = leaf(json!(null));
    hidden["exportTo"] = json!(["other"]);
    assert_eq!(end(&ask(), all.clone(), hidden), "v3");
    let mut with_hosts = leaf(json!(null));
    with_hosts["hosts"] = json!(["something.example.com"]);
    assert_eq!(end(&ask(), all, with_hosts), "v3");
    let root = json!({ "hosts": ["web"], "http": [{ "delegate": { "name": "none" } }] });
    let world = shop(vec![vs("shop", "root", root)]);
    assert_eq!(super::support::counts(&world, &ask(), 300).len(), 3, "no route is left: it has no say");
}

#[test]
fn a_delegate_elsewhere_means_its_own_namespace_by_short_names() {
    let root = |namespace: Value| json!({ "hosts": ["web"], "http": [{ "delegate": { "name": "leaf", "namespace": namespace } }] });
    let world = shop(vec![vs("shop", "root", root(json!("team"))), vs("team", "leaf", leaf(json!(null)))]);
    assert_eq!(ask().end(&world), "503 NC", "there is no service `web` in `team`");
    let mut full = leaf(json!(null));
    full["http"][0]["route"][0]["destination"]["host"] = "web.shop.svc.cluster.local".into();
    let world = shop(vec![vs("shop", "root", root(json!("team"))), vs("team", "leaf", full)]);
    assert_eq!(ask().end(&world), "v1");
    let routed = ask().routed(&world, &mut sluice::demo::random::Random::new(1));
    assert_eq!(routed.by.unwrap().object.to_string(), "VirtualService team/leaf");
}
