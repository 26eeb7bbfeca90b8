//! Connections.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sluice::demo::random::Random;
use sluice::demo::router::{Caller, connect};
use sluice::demo::world::World;

use super::support::{assert_share, client, dr, said, service, to, vs};

fn world(port: Value, spec: Value) -> World {
    let mut all = service("shop", "web", &["v1", "v2"]);
    all[0]["spec"]["ports"] = json!([port]);
    all.push(dr("shop", "web", &["v1", "v2"]));
    all.push(vs("shop", "web", spec));
    World::of(all.into_iter())
}

fn counts(world: &World, from: &Caller) -> BTreeMap<String, u32> {
    let mut random = Random::new(5);
    let mut counts = BTreeMap::new();
    for _ in 0..2_000 {
        *counts.entry(said(&connect(world, from, "web", 1000, &mut random))).or_default() += 1;
    }
    counts
}

#[test]
fn tcp_connections_follow_tcp_routes_only() {
    let port = json!({ "name": "tcp-db", "port": 1000 });
    let from = client("shop", &[("app", "a")]);
    let split = json!([to("v1", 80), to("v2", 20)]);
    for (spec, share) in [
        (json!({ "hosts": ["web"], "tcp": [{ "route": split }] }), 0.8),
        (json!({ "hosts": ["web"], "tcp": [{ "match": [{ "port": 1000 }], "route": split }] }), 0.8),
        (json!({ "hosts": ["web"], "tcp": [{ "match": [{ "port": 1001 }], "route": split }] }), 0.5),
        (
            json!({ "hosts": ["web"], "tcp": [{ "match": [{ "sourceLabels": { "app": "b" } }], "route": split }] }),
            0.5,
        ),
        (json!({ "hosts": ["web"], "http": [{ "route": split }] }), 0.5),
        (json!({ "hosts": ["web"], "tcp": [{ "route": [to("v1", 0)] }] }), 1.0),
    ] {
        assert_share(counts(&world(port.clone(), spec), &from)["v1"], 2_000, share);
    }
}

#[test]
fn tls_connections_follow_tls_routes_by_name() {
    let port = json!({ "name": "tls", "port": 1000 });
    let from = client("shop", &[]);
    let tls = |sni: &str| json!({ "hosts": ["web"], "tls": [{ "match": [{ "sniHosts": [sni] }], "route": [to("v2", 1)] }] });
    assert_eq!(counts(&world(port.clone(), tls("web")), &from).len(), 1);
    assert_eq!(counts(&world(port.clone(), tls("*")), &from).len(), 1);
    assert_eq!(counts(&world(port, tls("else.example.com")), &from).len(), 2);
}
