//! A shop whose services are routed, owned and named in all the ways that make traffic tools stumble.

use serde_json::{Value, json};

use super::Seeded;
use super::kit::{
    Workload, by_kubectl, deployment, destination_rule, gateway, istio, service, version, virtual_service,
};

pub const NAMESPACE: &str = "shop";
const NS: &str = NAMESPACE;
const HTTP: (&str, u16) = ("http", 8080);
/// 63 characters, as long as a name may be.
pub const LONGEST_NAME: &str = "international-shipping-cost-and-customs-duty-estimation-service";
/// See [`being_released`].
pub const RELEASED: [&str; 2] = ["pricing", "newsletter"];
const LONG_VERSION: &str = "2026.11.20-release-candidate.4-with-hotfix-for-customs-duties";

pub fn objects() -> Vec<Seeded> {
    let mut all = storefront();
    all.extend(catalog());
    all.extend(cart());
    all.extend(checkout());
    all.extend(accounts());
    all.extend(gift_cards());
    all.extend(shipping());
    all.extend(search());
    all.extend(invoices());
    all.extend(sessions());
    all
}

/// Two services that are being released when the demo is shown: one to a good version, one to a bad one.
pub fn being_released() -> Vec<Seeded> {
    let mut all = Vec::new();
    for name in RELEASED {
        all.extend(app(name, &[("v1", 2)]));
        all.push(destination_rule(NS, name, name, &["v1"]));
        let routes = json!([{ "route": [to(name, "v1", 100)] }]);
        all.push(virtual_service(NS, name, json!({ "hosts": [name], "http": routes })));
    }
    all
}

fn app(name: &str, versions: &[(&str, u32)]) -> Vec<Seeded> {
    let image = |v: &str| format!("shop/{name}:{v}");
    let mut all = vec![service(NS, name, HTTP)];
    all.extend(versions.iter().map(|(v, replicas)| version(NS, name, v, &image(v), 8080, *replicas)));
    all
}

fn to(host: &str, subset: &str, weight: u8) -> Value {
    json!({ "destination": { "host": host, "subset": subset }, "weight": weight })
}

/// A root that hands a part of its paths to another object; installed by Helm.
fn storefront() -> Vec<Seeded> {
    let helm = |seeded: Seeded| {
        seeded
            .by("helm")
            .label("app.kubernetes.io/managed-by", "Helm")
            .annotation("meta.helm.sh/release-name", "storefront")
            .annotation("meta.helm.sh/release-namespace", NS)
    };
    let mut all = app("storefront", &[("v1", 2)]);
    all.push(helm(gateway(NS, "shop-gateway", "shop.example.com")));
    all.push(helm(virtual_service(
        NS,
        "storefront",
        json!({ "hosts": ["shop.example.com"], "gateways": ["shop-gateway"], "http": [
            { "name": "accounts", "match": [{ "uri": { "prefix": "/account" } }],
                "delegate": { "name": "accounts-routes" } },
            { "name": "old-address", "match": [{ "uri": { "exact": "/home" } }],
                "redirect": { "uri": "/", "redirectCode": 301 } },
            { "name": "site", "route": [{ "destination": { "host": "storefront" } }] },
        ] }),
    )));
    all
}

/// Several routes with matches, named and unnamed, with settings of many kinds.
fn catalog() -> Vec<Seeded> {
    let host = "catalog.shop.svc.cluster.local";
    let mut all = app("catalog", &[("v1", 3), ("v2", 1)]);
    all.push(destination_rule(NS, "catalog", host, &["v1", "v2"]));
    all.push(virtual_service(
        NS,
        "catalog",
        json!({ "hosts": [host], "exportTo": ["*"], "http": [
            { "name": "beta-testers", "match": [
                { "headers": { "x-beta": { "exact": "true" } } },
                { "headers": { "cookie": { "regex": "(.*;\\s*)?beta=1(;.*)?" } } },
            ], "route": [to(host, "v2", 0)] },
            { "match": [{ "uri": { "prefix": "/admin" }, "method": { "exact": "POST" } }],
                "route": [to(host, "v1", 100)], "timeout": "30s" },
            { "name": "everybody-else", "route": [to(host, "v1", 95), to(host, "v2", 5)],
                "timeout": "3s", "retries": { "attempts": 2, "perTryTimeout": "1s" },
                "headers": { "response": { "set": { "x-served-by": "catalog" } } },
                "corsPolicy": { "allowOrigins": [{ "exact": "https://shop.example.com" }], "maxAge": "24h" } },
        ] }),
    ));
    all
}

/// Owned by Argo CD: what is written here is put back from Git.
fn cart() -> Vec<Seeded> {
    let track = |seeded: Seeded, kind: &str| {
        let id = format!("shop-production:networking.istio.io/{kind}:{NS}/cart");
        seeded.by("argocd-controller").annotation("argocd.argoproj.io/tracking-id", &id)
    };
    let mut all = app("cart", &[("v1", 2), ("v2", 2)]);
    all.push(track(destination_rule(NS, "cart", "cart", &["v1", "v2"]), "DestinationRule"));
    let routes = json!([{ "route": [to("cart", "v1", 100), to("cart", "v2", 0)] }]);
    all.push(track(
        virtual_service(NS, "cart", json!({ "hosts": ["cart"], "http": routes })),
        "VirtualService",
    ));
    all
}

/// Owned by Argo Rollouts, which moves the traffic itself; its new version fails more often.
fn checkout() -> Vec<Seeded> {
    let owned = |seeded: Seeded| {
        seeded
            .by("rollouts-controller")
            .annotation("argo-rollouts.argoproj.io/managed-by-rollouts", "checkout")
    };
    let mut all = app("checkout", &[("v1", 2), ("v2", 1)]);
    let subset = |name: &str, v: &str| json!({ "name": name, "labels": { "app": "checkout", "version": v } });
    all.push(owned(istio(
        "DestinationRule",
        NS,
        "checkout",
        json!({ "host": "checkout", "subsets": [subset("stable", "v1"), subset("canary", "v2")] }),
    )));
    all.push(owned(virtual_service(
        NS,
        "checkout",
        json!({ "hosts": ["checkout"], "http": [{ "name": "primary",
            "route": [to("checkout", "stable", 80), to("checkout", "canary", 20)] }] }),
    )));
    all
}

/// A delegate: reached through the storefront's object only.
fn accounts() -> Vec<Seeded> {
    let mut all = app("accounts", &[("v1", 1), ("v2", 1)]);
    all.push(destination_rule(NS, "accounts", "accounts", &["v1", "v2"]));
    all.push(virtual_service(
        NS,
        "accounts-routes",
        json!({ "http": [{ "name": "accounts",
            "route": [to("accounts", "v1", 75), to("accounts", "v2", 25)] }] }),
    ));
    all
}

/// Broken: a part of the requests is sent to a subset that is not defined.
fn gift_cards() -> Vec<Seeded> {
    let mut all = app("gift-cards", &[("v1", 1), ("v2", 1)]);
    all.push(destination_rule(NS, "gift-cards", "gift-cards", &["v1"]));
    let routes = json!([{ "route": [to("gift-cards", "v1", 90), to("gift-cards", "v2", 10)] }]);
    all.push(virtual_service(NS, "gift-cards", json!({ "hosts": ["gift-cards"], "http": routes })));
    all
}

/// Names and versions as long as they may be, and dots in them.
fn shipping() -> Vec<Seeded> {
    let workload = |name: &str, v: &str| {
        deployment(&Workload {
            namespace: NS,
            name,
            labels: &[("app", LONGEST_NAME), ("version", v)],
            image: &format!("shop/logistics/europe/{LONGEST_NAME}:{v}"),
            port: 8080,
            replicas: 1,
            sidecar: true,
        })
    };
    let subset = |name: &str, v: &str| json!({ "name": name, "labels": { "version": v } });
    vec![
        service(NS, LONGEST_NAME, HTTP),
        workload("shipping-estimation-current", "2026.10.1"),
        workload("shipping-estimation-next", LONG_VERSION),
        istio(
            "DestinationRule",
            NS,
            "shipping-estimation",
            json!({ "host": LONGEST_NAME, "subsets": [subset("current", "2026.10.1"), subset("next", LONG_VERSION)] }),
        ),
        virtual_service(
            NS,
            "shipping-estimation",
            json!({ "hosts": [LONGEST_NAME], "http": [{ "route": [to(LONGEST_NAME, "current", 99), to(LONGEST_NAME, "next", 1)] }] }),
        ),
    ]
}

/// No routing object, no version label: distinguished by `track`, spread by pods.
fn search() -> Vec<Seeded> {
    let track = |track: &str, image: &str, replicas| {
        deployment(&Workload {
            namespace: NS,
            name: &format!("search-{track}"),
            labels: &[("app", "search"), ("track", track)],
            image,
            port: 8080,
            replicas,
            sidecar: true,
        })
    };
    vec![
        service(NS, "search", HTTP),
        track("stable", "shop/search:5.2.0", 3),
        track("canary", "shop/search:5.3.0-rc1", 1),
    ]
}

/// No sidecar: no proxy routes from here, and its own pods are plain.
fn invoices() -> Vec<Seeded> {
    let workload = |v: &str| {
        deployment(&Workload {
            namespace: NS,
            name: &format!("legacy-invoices-{v}"),
            labels: &[("app", "legacy-invoices"), ("version", v)],
            image: &format!("shop/legacy-invoices:{v}"),
            port: 8080,
            replicas: 1,
            sidecar: false,
        })
    };
    vec![service(NS, "legacy-invoices", HTTP), workload("v1"), workload("v2")]
}

/// Headless: the client chooses the pod.
fn sessions() -> Vec<Seeded> {
    vec![
        by_kubectl(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "namespace": NS, "name": "sessions", "labels": { "app": "sessions" } },
            "spec": { "clusterIP": "None", "selector": { "app": "sessions" },
                "ports": [{ "name": "tcp-redis", "port": 6379 }] },
        })),
        by_kubectl(json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": { "namespace": NS, "name": "sessions", "labels": { "app": "sessions" } },
            "spec": {
                "replicas": 3, "serviceName": "sessions",
                "selector": { "matchLabels": { "app": "sessions" } },
                "template": {
                    "metadata": { "labels": { "app": "sessions", "version": "7.4" } },
                    "spec": { "containers": [{ "name": "redis", "image": "redis:7.4",
                        "ports": [{ "containerPort": 6379 }] }] },
                },
            },
        })),
    ]
}
