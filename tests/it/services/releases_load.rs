//! Releases of each strategy, 25 at a time, under load: requests of two kinds of users are routed at every single
//! state that the cluster ever has (each write one by one), and every one of them must find a pod. Twenty of each;
//! `SLUICE_TEST_RELEASES=100` for more.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Value, json};
use sluice::demo::api::{Change, Event};
use sluice::demo::random::Random;
use sluice::demo::router::{Caller, End, Proxy, Request, route};
use sluice::demo::world::World;
use sluice::domain::release::validate::read;
use sluice::domain::release::{Command, Phase, ReleaseId};
use sluice::domain::service::Labels;
use sluice::services::Settings;

use crate::support::house::House;
use crate::support::manager::{STRATEGIES, by_image, wish};
use crate::support::number;

/// Services that are released at a time, of each strategy.
const ABREAST: usize = 5;
/// Releases of each strategy.
const EACH: usize = 20;

/// With a mesh, or without.
fn namespace_of(strategy: &str) -> &'static str {
    if strategy == "replicas" { "plain" } else { "many" }
}

fn prepare(house: &House, name: &str, strategy: &str) {
    let at = namespace_of(strategy);
    let put = |object: Value| drop(house.api.put_as(object, "kubectl").unwrap());
    put(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": at, "name": name},
        "spec": {"clusterIP": "10.96.0.9", "selector": {"app": name}, "ports": [{"name": "http", "port": 80}]}}));
    let deploy = |version: &str, replicas: u32| {
        let labels = json!({"app": name, "version": version});
        let pod = json!({"metadata": {"labels": labels},
            "spec": {"containers": [{"name": name, "image": format!("tests/{name}:{version}")}]}});
        put(json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"namespace": at, "name": format!("{name}-{version}"), "labels": labels},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod}}));
    };
    deploy("v1", 2);
    if !by_image(strategy) {
        deploy("v2", if strategy == "replicas" { 0 } else { 2 });
    }
}

/// The cluster as its writes make it, one after the other, and requests at each of its states.
#[derive(Default)]
struct Load {
    /// Objects by service, then by kind and name.
    seen: HashMap<String, BTreeMap<(String, String), Value>>,
    sent: u64,
    copies: u64,
    /// Those that found no pod.
    failed: Vec<String>,
    random: Option<Random>,
}

impl Load {
    /// The service that an object is about.
    fn about(kind: &str, object: &Value) -> Option<String> {
        let name = |value: &Value| value.as_str().map(str::to_owned);
        match kind {
            "Service" | "VirtualService" | "DestinationRule" => name(&object["metadata"]["name"]),
            "EndpointSlice" => name(&object["metadata"]["labels"]["kubernetes.io/service-name"]),
            "Pod" => name(&object["metadata"]["labels"]["app"]),
            _ => None,
        }
    }

    fn hear(&mut self, event: &Event, ready: bool) {
        let (kind, mut object) = (event.kind.kind, event.object.value());
        if !matches!(&*event.object.namespace, "many" | "plain") {
            return;
        }
        let Some(about) = Self::about(kind, &object) else { return };
        object["kind"] = kind.into();
        let key = (kind.to_owned(), event.object.name.to_string());
        let held = self.seen.entry(about.clone()).or_default();
        match event.change {
            Change::Deleted => drop(held.remove(&key)),
            Change::Added | Change::Modified => drop(held.insert(key, object)),
        }
        // Pods count once a slice names them.
        if ready && kind != "Pod" {
            self.send(&about, &event.object.namespace, kind);
        }
    }

    fn send(&mut self, name: &str, namespace: &str, why: &str) {
        let world = World::of(self.seen[name].values().cloned());
        let from = Caller {
            namespace: namespace.into(),
            labels: Labels::from([("app".into(), "somebody".into())]),
            proxy: Proxy::Sidecar,
        };
        let random = self.random.get_or_insert_with(|| Random::new(5));
        for user in ["", "beta", "", "beta", "", ""] {
            let headers = BTreeMap::from([("x-user".to_owned(), user.to_owned())]);
            let request = Request {
                authority: name,
                port: 80,
                method: "GET",
                path: "/",
                query: &[],
                headers: &headers,
            };
            let routed = route(&world, &from, &request, random);
            self.sent += 1;
            self.copies += u64::try_from(routed.mirrors.len()).unwrap();
            if let End::Proxy { status, flag } = routed.end {
                self.failed.push(format!("{name}: {status} {flag} after a write of {why}"));
            }
        }
    }
}

async fn releases_of(house: &House, name: &str, strategy: &str) {
    for n in 0..number("SLUICE_TEST_RELEASES", EACH).div_ceil(ABREAST) {
        let spec = read(&wish(namespace_of(strategy), name, strategy, n)).unwrap();
        let stable = spec.stable.to_string();
        let id = house.start(spec).await.id;
        until_done(house, id).await;
        if by_image(strategy) {
            house.say(id, Command::Retire { confirm: format!("{name} {stable}") }).await.unwrap();
            let release = until_done(house, id).await;
            assert!(!release.state.removed.is_empty(), "{:?}", release.state);
        }
    }
}

async fn until_done(house: &House, id: ReleaseId) -> sluice::domain::release::Release {
    let release = house.until_final(id, Phase::Succeeded).await;
    assert_eq!(release.state.needs, None);
    release
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn releases_of_each_strategy_lose_no_request_at_any_state_of_the_cluster() {
    let house = House::alive(None, Settings::default()).await;
    let mut events = house.api.subscribe();
    let labels = json!({"istio-injection": "enabled"});
    let many =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "many", "labels": labels}});
    house.api.put_as(many, "kubectl").unwrap();
    let mut services = Vec::new();
    for strategy in STRATEGIES {
        for n in 0..ABREAST {
            let name = format!("{}-{n}", strategy.replace('_', "-"));
            prepare(&house, &name, strategy);
            services.push((name, strategy));
        }
    }
    let mut load = Load::default();
    for (name, strategy) in &services {
        let at = sluice::domain::ids::ServiceRef::new(namespace_of(strategy), name);
        let there = async |house: &House| {
            let snapshot = house.cache.snapshot(&at)?;
            let known = snapshot.versions.len() == if by_image(strategy) { 1 } else { 2 };
            (known && snapshot.versions.iter().all(|v| v.ready == v.total)).then_some(())
        };
        house.until("its pods are ready", there).await;
    }
    while let Ok(event) = events.try_recv() {
        load.hear(&event, false);
    }
    let load = Arc::new(std::sync::Mutex::new(load));
    let listening = load.clone();
    let (last, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        while let Some(event) = events.blocking_recv() {
            let end = event.object.name.as_ref() == "the-end";
            listening.lock().unwrap().hear(&event, true);
            if end {
                last.send(()).unwrap();
            }
        }
    });
    let all = services.iter().map(|(name, strategy)| releases_of(&house, name, strategy));
    futures::future::join_all(all).await;
    let end = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "the-end"}});
    house.api.put_as(end, "kubectl").unwrap();
    tokio::task::spawn_blocking(move || ended.recv().unwrap()).await.unwrap();
    let load = load.lock().unwrap();
    eprintln!(
        "{} releases, {} requests, {} copies",
        services.len() * number("SLUICE_TEST_RELEASES", EACH).div_ceil(ABREAST),
        load.sent,
        load.copies
    );
    assert_eq!(load.failed, Vec::<String>::new());
    assert!(load.sent > 2_000 && load.copies > 20, "{} {}", load.sent, load.copies);
}
