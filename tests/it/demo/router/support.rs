//! A small cluster to route in, and a request to send.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sluice::demo::random::Random;
use sluice::demo::router::{Caller, End, Proxy, Request, Routed, route};
use sluice::demo::world::World;

/// A service of namespace `ns` with one ready pod a version.
pub fn service(namespace: &str, name: &str, versions: &[&str]) -> Vec<Value> {
    let pods: Vec<(String, &str)> = versions.iter().map(|v| (format!("{name}-{v}"), *v)).collect();
    let mut all = vec![
        json!({ "kind": "Service", "metadata": { "namespace": namespace, "name": name },
            "spec": { "clusterIP": "10.0.0.1", "ports": [{ "name": "http", "port": 80 }] } }),
        slice(namespace, name, &pods.iter().map(|(pod, _)| (pod.as_str(), true)).collect::<Vec<_>>()),
    ];
    all.extend(pods.iter().map(|(pod, v)| self::pod(namespace, pod, json!({ "app": name, "version": v }))));
    all
}

pub fn pod(namespace: &str, name: &str, labels: Value) -> Value {
    json!({ "kind": "Pod", "metadata": { "namespace": namespace, "name": name, "labels": labels },
        "spec": { "containers": [{ "name": "app" }, { "name": "istio-proxy" }] } })
}

/// Who answers for a service: pods, and whether they are ready.
pub fn slice(namespace: &str, service: &str, pods: &[(&str, bool)]) -> Value {
    let endpoint = |(pod, ready): &(&str, bool)| {
        json!({ "addresses": ["10.1.1.1"], "conditions": { "ready": ready },
            "targetRef": { "kind": "Pod", "name": pod } })
    };
    json!({ "kind": "EndpointSlice",
        "metadata": { "namespace": namespace, "name": format!("{service}-x"),
            "labels": { "kubernetes.io/service-name": service } },
        "endpoints": pods.iter().map(endpoint).collect::<Vec<_>>() })
}

/// An Istio object, made at second `age` of 1970.
pub fn object(kind: &str, namespace: &str, name: &str, age: u32, spec: Value) -> Value {
    let created = format!("1970-01-01T00:00:{age:02}Z");
    json!({ "kind": kind, "metadata": { "namespace": namespace, "name": name, "creationTimestamp": created },
        "spec": spec })
}

pub fn vs(namespace: &str, name: &str, spec: Value) -> Value {
    object("VirtualService", namespace, name, 0, spec)
}

/// A DestinationRule with one subset a version.
pub fn dr(namespace: &str, host: &str, versions: &[&str]) -> Value {
    let subsets: Vec<Value> =
        versions.iter().map(|v| json!({ "name": v, "labels": { "version": v } })).collect();
    object("DestinationRule", namespace, host, 0, json!({ "host": host, "subsets": subsets }))
}

/// `{"destination": {"host": "web", "subset": v}, "weight": w}`.
pub fn to(v: &str, weight: i64) -> Value {
    json!({ "destination": { "host": "web", "subset": v }, "weight": weight })
}

/// A route to one version of `web`.
pub fn only(v: &str) -> Value {
    json!([{ "destination": { "host": "web", "subset": v } }])
}

/// Namespace `shop` with the service `web` (v1, v2, v3), its subsets, and these objects.
pub fn shop(objects: Vec<Value>) -> World {
    let mut all = service("shop", "web", &["v1", "v2", "v3"]);
    all.push(dr("shop", "web", &["v1", "v2", "v3"]));
    all.extend(objects);
    World::of(all.into_iter())
}

/// `shop` with one VirtualService for `web` that holds these http routes.
pub fn web(http: Value) -> World {
    shop(vec![vs("shop", "web", json!({ "hosts": ["web"], "http": http }))])
}

/// A pod with a sidecar.
pub fn client(namespace: &str, labels: &[(&str, &str)]) -> Caller {
    Caller {
        namespace: namespace.into(),
        labels: labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        proxy: Proxy::Sidecar,
    }
}

/// A request that a test varies.
#[derive(Clone)]
pub struct Ask {
    pub from: Caller,
    pub authority: &'static str,
    pub port: u16,
    pub method: &'static str,
    pub path: &'static str,
    pub query: Vec<(&'static str, &'static str)>,
    pub headers: BTreeMap<String, String>,
}

/// `GET http://web/` from a pod of `shop`.
pub fn ask() -> Ask {
    Ask {
        from: client("shop", &[("app", "client")]),
        authority: "web",
        port: 80,
        method: "GET",
        path: "/",
        query: Vec::new(),
        headers: BTreeMap::new(),
    }
}

impl Ask {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn path(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    pub fn host(mut self, authority: &'static str) -> Self {
        self.authority = authority;
        self
    }

    pub fn from(mut self, from: Caller) -> Self {
        self.from = from;
        self
    }

    pub fn routed(&self, world: &World, random: &mut Random) -> Routed {
        let request = Request {
            authority: self.authority,
            port: self.port,
            method: self.method,
            path: self.path,
            query: &self.query,
            headers: &self.headers,
        };
        route(world, &self.from, &request, random)
    }

    /// Where it ends: the version, or `503 NC`.
    pub fn end(&self, world: &World) -> String {
        said(&self.routed(world, &mut Random::new(1)))
    }
}

pub fn said(routed: &Routed) -> String {
    match &routed.end {
        End::Pod(endpoint) => endpoint.version.to_string(),
        End::Proxy { status, flag } => format!("{status} {flag}"),
    }
}

/// How many of `n` requests end where.
pub fn counts(world: &World, ask: &Ask, n: u32) -> BTreeMap<String, u32> {
    let mut random = Random::new(7);
    let mut counts = BTreeMap::new();
    for _ in 0..n {
        *counts.entry(said(&ask.routed(world, &mut random))).or_default() += 1;
    }
    counts
}

/// Asserts that `count` of `n` lies in the 99.9 % interval of a share.
pub fn assert_share(count: u32, n: u32, share: f64) {
    let (n, count) = (f64::from(n), f64::from(count));
    let reach = 3.29 * (n * share * (1.0 - share)).sqrt();
    assert!((count - n * share).abs() <= reach, "{count} of {n} is not {share}");
}
