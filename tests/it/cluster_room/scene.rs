//! What the tests of this module use: an API server with a service in it, and a cluster that watches it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sluice::clock::Clock;
use sluice::cluster::{Cache, Cluster, Options, Target, client};
use sluice::demo::api::ApiServer;
use sluice::domain::ids::{Kind, ObjectRef, ServiceRef};
use sluice::domain::plan::{Edit, Plan};
use sluice::domain::snapshot::Snapshot;
use tokio_util::sync::CancellationToken;

/// The instant at which manual clocks begin: 2026-01-02T03:04:05Z.
pub const START_MS: i64 = 1_767_323_045_000;

pub struct Scene {
    pub api: ApiServer,
    pub clock: Clock,
    pub cluster: Cluster,
    pub cache: Cache,
    stop: CancellationToken,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Scene {
    /// A cluster that watches a server which was set up first.
    pub async fn on(set_up: impl FnOnce(&ApiServer)) -> Self {
        Self::with(|_| {}, set_up).await
    }

    pub async fn with(options: impl FnOnce(&mut Options), set_up: impl FnOnce(&ApiServer)) -> Self {
        let scene = Self::unready(options, set_up).await;
        assert!(scene.cache.ready_within(Duration::from_secs(30)).await, "{:?}", scene.cache.health());
        scene
    }

    /// The same without waiting for the first lists.
    pub async fn unready(change: impl FnOnce(&mut Options), set_up: impl FnOnce(&ApiServer)) -> Self {
        let clock = Clock::manual(START_MS);
        let api = ApiServer::new(clock.clone());
        set_up(&api);
        let mut options = Options { clock: clock.clone(), ..Options::default() };
        change(&mut options);
        let target = Target::InProcess(client::in_process(api.service()));
        let cluster = Cluster::connect(target, options).await.unwrap();
        let stop = CancellationToken::new();
        let cache = cluster.watch(stop.clone());
        Self { api, clock, cluster, cache, stop }
    }

    pub fn snapshot(&self, name: &str) -> Option<Arc<Snapshot>> {
        self.cache.snapshot(&at(name))
    }

    pub async fn fresh(&self, name: &str) -> Option<Snapshot> {
        self.cluster.read_fresh(&at(name), &self.cache).await.unwrap()
    }

    /// Waits (paused time passes quickly) until the cache shows what is asked for.
    pub async fn until<T>(&self, what: &str, ask: impl Fn(&Cache) -> Option<T>) -> T {
        let asking = async {
            loop {
                if let Some(answer) = ask(&self.cache) {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(200), asking)
            .await
            .unwrap_or_else(|_| panic!("never: {what}; {:?}", self.cache.health()))
    }

    /// The weights of `reviews` as the API server holds them.
    pub fn weights(&self) -> Vec<i64> {
        let object = self.api.get("VirtualService", "shop", "reviews").unwrap();
        let route = object["spec"]["http"][0]["route"].as_array().unwrap().clone();
        route.iter().map(|destination| destination["weight"].as_i64().unwrap()).collect()
    }
}

/// A service of the namespace `shop`.
pub fn at(name: &str) -> ServiceRef {
    ServiceRef::new("shop", name)
}

pub fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": name},
        "spec": {"clusterIP": "10.96.0.9", "selector": {"app": name}, "ports": [{"name": "http", "port": 9080}]},
    })
}

/// A Deployment of one pod, with its pod.
pub fn deployment(app: &str, version: &str) -> Value {
    let labels = json!({"app": app, "version": version});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": "shop", "name": format!("{app}-{version}")},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [
                {"name": app, "image": format!("registry.example/{app}:{version}")},
            ]}},
        },
    })
}

/// A pod with a sidecar.
pub fn pod(app: &str, version: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "shop", "name": format!("{app}-{version}-a"), "labels": {"app": app, "version": version}},
        "spec": {"containers": [
            {"name": app, "image": format!("registry.example/{app}:{version}")},
            {"name": "istio-proxy", "image": "docker.io/istio/proxyv2:1.32"},
        ]},
        "status": {"phase": "Running"},
    })
}

/// An EndpointSlice of a service: pods, and whether each is ready.
pub fn slice(service: &str, name: &str, pods: &[(&str, bool)]) -> Value {
    let endpoint = |(at, (pod, ready)): (usize, &(&str, bool))| {
        json!({
            "addresses": [format!("10.244.0.{}", at + 1)], "conditions": {"ready": ready},
            "targetRef": {"kind": "Pod", "namespace": "shop", "name": pod},
        })
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"namespace": "shop", "name": name, "labels": {"kubernetes.io/service-name": service}},
        "endpoints": pods.iter().enumerate().map(endpoint).collect::<Vec<_>>(),
        "ports": [{"name": "http", "port": 9080}],
    })
}

pub fn virtual_service(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"namespace": "shop", "name": name}, "spec": spec,
    })
}

pub fn destination_rule(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "metadata": {"namespace": "shop", "name": name}, "spec": spec,
    })
}

/// `spec` of a VirtualService that splits a service of two versions.
pub fn split(name: &str, weights: [i64; 2]) -> Value {
    let to = |subset: &str, weight: i64| json!({"destination": {"host": name, "subset": subset}, "weight": weight});
    json!({"hosts": [name], "http": [{"timeout": "3s", "route": [to("v1", weights[0]), to("v2", weights[1])]}]})
}

pub fn subsets(name: &str, versions: &[&str]) -> Value {
    let subset = |version: &&str| json!({"name": version, "labels": {"version": version}});
    json!({"host": name, "subsets": versions.iter().map(subset).collect::<Vec<_>>()})
}

/// `shop/reviews` with v1 and v2, one ready pod each, split 70 to 30.
pub fn reviews(api: &ApiServer) {
    let put = |object: Value| drop(api.put(object).unwrap());
    put(service("reviews"));
    for version in ["v1", "v2"] {
        put(deployment("reviews", version));
        put(pod("reviews", version));
    }
    put(slice("reviews", "reviews-1", &[("reviews-v1-a", true), ("reviews-v2-a", true)]));
    put(virtual_service("reviews", split("reviews", [70, 30])));
    put(destination_rule("reviews", subsets("reviews", &["v1", "v2"])));
}

/// An edit of an object that a fresh snapshot holds: its spec replaced.
pub fn edit(snapshot: &Snapshot, kind: Kind, name: &str, change: impl FnOnce(&mut Value)) -> Edit {
    let object = ObjectRef::new(kind, "shop", name);
    let virtual_services =
        snapshot.virtual_services.iter().map(|held| (held.object.at(Kind::VirtualService), &held.json));
    let rules =
        snapshot.destination_rules.iter().map(|held| (held.object.at(Kind::DestinationRule), &held.json));
    let (_, json) = virtual_services.chain(rules).find(|(at, _)| *at == object).unwrap();
    let before = Arc::clone(json.as_ref().unwrap());
    let mut after = Value::clone(&before);
    change(&mut after["spec"]);
    Edit { object, before: Some(before), after: Some(after) }
}

/// The plan that gives `reviews` other weights.
pub fn shift(snapshot: &Snapshot, weights: [i64; 2]) -> Plan {
    let switch = edit(snapshot, Kind::VirtualService, "reviews", |spec| *spec = split("reviews", weights));
    Plan::new(vec![], vec![switch], vec![])
}

/// `reviews` with a second, older DestinationRule: what [`three_stages`] works on.
pub async fn stages_scene() -> Scene {
    Scene::on(|api| {
        reviews(api);
        api.put(destination_rule("reviews-old", subsets("reviews", &["v1", "v2"]))).unwrap();
    })
    .await
}

/// The plan that adds a subset first, shifts, and then drops a subset: three stages.
pub fn three_stages(snapshot: &Snapshot) -> Plan {
    let add = edit(snapshot, Kind::DestinationRule, "reviews", |spec| {
        *spec = subsets("reviews", &["v1", "v2", "v3"]);
    });
    let switch = edit(snapshot, Kind::VirtualService, "reviews", |spec| *spec = split("reviews", [0, 100]));
    let other =
        edit(snapshot, Kind::DestinationRule, "reviews-old", |spec| *spec = subsets("reviews", &["v1"]));
    Plan::new(vec![add], vec![switch], vec![other])
}
