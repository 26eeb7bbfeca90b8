//! Bookinfo, the sample application of Istio: productpage calls details and reviews, reviews calls ratings,
//! ratings v2 asks a database.

use serde_json::json;

use super::Seeded;
use super::kit::{Workload, deployment, destination_rule, gateway, istio, service, version, virtual_service};

pub const NAMESPACE: &str = "bookinfo";
const NS: &str = NAMESPACE;
const HTTP: (&str, u16) = ("http", 9080);

pub fn objects() -> Vec<Seeded> {
    let image = |app: &str, version: &str| format!("istio/examples-bookinfo-{app}-{version}:1.20.3");
    let mut all = Vec::new();
    for app in ["productpage", "details", "ratings", "reviews"] {
        all.push(service(NS, app, HTTP));
    }
    for (app, v, replicas) in [
        ("productpage", "v1", 2),
        ("details", "v1", 1),
        ("ratings", "v1", 2),
        ("ratings", "v2", 1),
        ("reviews", "v1", 1),
        ("reviews", "v2", 1),
        ("reviews", "v3", 1),
    ] {
        all.push(version(NS, app, v, &image(app, v), 9080, replicas));
    }
    // A version with no ready pod: its image cannot be pulled.
    all.push(version(NS, "details", "v2", "istio/examples-bookinfo-details-v2:broken", 9080, 1));
    all.extend(database());
    all.extend(routing());
    all
}

/// TCP: two versions of a database.
fn database() -> Vec<Seeded> {
    let mongodb = |v: &'static str, image| {
        deployment(&Workload {
            namespace: NS,
            name: &format!("mongodb-{v}"),
            labels: &[("app", "mongodb"), ("version", v)],
            image,
            port: 27017,
            replicas: 1,
            sidecar: true,
        })
    };
    let to = |subset: &str, weight: u8| {
        json!({ "destination": { "host": "mongodb", "subset": subset, "port": { "number": 27017 } },
            "weight": weight })
    };
    vec![
        service(NS, "mongodb", ("tcp-mongo", 27017)),
        mongodb("v1", "mongo:7.0.14"),
        mongodb("v2", "mongo:8.0.4"),
        destination_rule(NS, "mongodb", "mongodb.bookinfo.svc.cluster.local", &["v1", "v2"]),
        virtual_service(
            NS,
            "mongodb",
            json!({ "hosts": ["mongodb"], "tcp": [{
                "match": [{ "port": 27017 }], "route": [to("v1", 80), to("v2", 20)] }] }),
        ),
    ]
}

fn routing() -> Vec<Seeded> {
    let reviews = "reviews.bookinfo.svc.cluster.local";
    let to =
        |v: &str, weight: u8| json!({ "destination": { "host": reviews, "subset": v }, "weight": weight });
    vec![
        // A gateway: one route with several matches, no subset.
        gateway(NS, "bookinfo-gateway", "*"),
        virtual_service(
            NS,
            "bookinfo",
            json!({ "hosts": ["*"], "gateways": ["bookinfo-gateway"], "http": [{
                "match": [
                    { "uri": { "exact": "/productpage" } },
                    { "uri": { "prefix": "/static" } },
                    { "uri": { "exact": "/login" } },
                    { "uri": { "exact": "/logout" } },
                    { "uri": { "prefix": "/api/v1/products" } },
                ],
                "route": [{ "destination": { "host": "productpage", "port": { "number": 9080 } } }] }] }),
        ),
        // Full host names, every weight written, two versions at 0.
        destination_rule(NS, "reviews", reviews, &["v1", "v2", "v3"]),
        virtual_service(
            NS,
            "reviews",
            json!({ "hosts": [reviews], "http": [{ "name": "default",
                "route": [to("v1", 100), to("v2", 0), to("v3", 0)] }] }),
        ),
        // Short host names, and settings that must survive a change of weights.
        istio(
            "DestinationRule",
            NS,
            "ratings",
            json!({ "host": "ratings",
                "trafficPolicy": { "loadBalancer": { "simple": "LEAST_REQUEST" },
                    "outlierDetection": { "consecutive5xxErrors": 7, "interval": "30s" } },
                "subsets": [
                    { "name": "v1", "labels": { "version": "v1" } },
                    { "name": "v2", "labels": { "version": "v2" },
                        "trafficPolicy": { "connectionPool": { "tcp": { "maxConnections": 100 } } } },
                ] }),
        ),
        virtual_service(
            NS,
            "ratings",
            json!({ "hosts": ["ratings"], "http": [{
                "route": [
                    { "destination": { "host": "ratings", "subset": "v1" }, "weight": 90 },
                    { "destination": { "host": "ratings", "subset": "v2" }, "weight": 10 },
                ],
                "timeout": "2s",
                "retries": { "attempts": 2, "perTryTimeout": "1s", "retryOn": "5xx,connect-failure" } }] }),
        ),
    ]
}
