//! The chain in memory: the API server, controllers and router of the demo, and Sluice's own REST API over them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde_json::{Value, json};
use sluice::demo::api::ApiServer;
use sluice::demo::controller::{Controller, Start};
use sluice::demo::pods;
use sluice::demo::random::Random;
use sluice::demo::router::{Caller, End, Proxy, Request, connect, route};
use sluice::demo::world::World;
use sluice::domain::service::Labels;

use super::Send;
use super::expect::REQUESTS;
use super::walk::{self, Chain};
use crate::support::app::TestApp;

/// Few enough to be quick, many enough that a pass of the controllers leaves nothing to do.
const PASSES: usize = 8;

pub async fn walk(name: &str, text: &str) {
    let app = TestApp::open().await;
    let controller = Controller::new(app.demo.api.clone(), app.clock.clone());
    let chain = Memory { app: &app, controller: Mutex::new(controller), random: Mutex::new(Random::new(11)) };
    walk::walk(&chain, name, text).await;
}

struct Memory<'a> {
    app: &'a TestApp,
    controller: Mutex<Controller>,
    random: Mutex<Random>,
}

impl Memory<'_> {
    fn api(&self) -> &ApiServer {
        &self.app.demo.api
    }
}

impl Chain for Memory<'_> {
    async fn create(&self, object: &Value) {
        self.api().put_as(object.clone(), "kubectl-client-side-apply").unwrap();
        let pods = match object["kind"].as_str() {
            Some("ReplicaSet") => bare_pods(object),
            // A kubelet starts it.
            Some("Pod") => {
                let mut pod = object.clone();
                pod["status"]["podIP"] = json!("10.244.200.9");
                vec![pod]
            }
            _ => Vec::new(),
        };
        for pod in pods {
            self.api().put_as(pods::started(pod), "kubelet").unwrap();
        }
    }

    async fn merge(&self, kind: &str, namespace: &str, name: &str, patch: &Value) {
        let mut object = self.api().get(kind, namespace, name).unwrap_or_else(|| panic!("no {kind} {name}"));
        json_patch::merge(&mut object, patch);
        object["kind"] = json!(kind);
        self.api().put_as(object, "kubectl-patch").unwrap();
    }

    async fn delete(&self, kind: &str, namespace: &str, name: &str) {
        self.api().delete(kind, namespace, name).unwrap();
    }

    async fn pods(&self, namespace: &str) -> Vec<Value> {
        self.api().list("Pod", Some(namespace)).iter().map(|pod| pod.value()).collect()
    }

    async fn begin(&self, namespaces: &BTreeSet<String>, _senders: &BTreeSet<String>) {
        for name in namespaces {
            let labels = json!({"istio-injection": "enabled"});
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
            self.api().put(object).unwrap();
        }
    }

    async fn settle(&self, _namespaces: &BTreeSet<String>) {
        for _ in 0..PASSES {
            self.controller.lock().unwrap().reconcile(Start::AlreadyUp);
        }
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>, etag: &str) -> (u16, String, Value) {
        let mut ask = self.app.ask(method, path);
        if let Some(body) = body {
            ask = ask.header("if-match", etag).json(&body);
        }
        let answer = ask.send().await;
        (answer.status, answer.header("etag").to_owned(), answer.json())
    }

    async fn send(&self, from: &str, host: &str, port: u16, send: &Send) -> BTreeMap<String, u32> {
        let world = World::read(self.api());
        let mut random = self.random.lock().unwrap();
        let caller = match from.split_once('/') {
            Some((namespace, app)) => Caller {
                namespace: namespace.into(),
                labels: Labels::from([("app".into(), app.into())]),
                proxy: Proxy::Sidecar,
            },
            None => Caller::outside(&gateway(&world)),
        };
        let mut counts = BTreeMap::new();
        for _ in 0..REQUESTS {
            let routed = if send.speaks.as_deref() == Some("tcp") {
                connect(&world, &caller, host, port, &mut random)
            } else {
                let (headers, path) = (&send.headers, send.path.as_str());
                let request = Request { authority: host, port, method: "GET", path, query: &[], headers };
                route(&world, &caller, &request, &mut random)
            };
            let who = match routed.end {
                End::Pod(pod) => format!("pod {}", pod.pod),
                End::Proxy { status, flag } => format!("{status} {flag}"),
            };
            *counts.entry(who).or_default() += 1;
        }
        counts
    }

    fn is_memory(&self) -> bool {
        true
    }
}

/// The pods of a ReplicaSet that no Deployment owns, which the controllers in memory do not know.
fn bare_pods(set: &Value) -> Vec<Value> {
    let pod = |n: u32| {
        let name = format!("{}-{n}abcd", set["metadata"]["name"].as_str().unwrap());
        let mut pod = pods::make(set, &name, "", 50_000 + n, false);
        pod["metadata"]["labels"] = set["spec"]["template"]["metadata"]["labels"].clone();
        pod["metadata"]["ownerReferences"][0]["name"] = set["metadata"]["name"].clone();
        pod
    };
    (0..u32::try_from(set["spec"]["replicas"].as_u64().unwrap()).unwrap()).map(pod).collect()
}

/// The Gateway by which requests come in: the one that a shape has beside those of the samples.
fn gateway(world: &World) -> String {
    let samples = ["shop/", "bookinfo/", "weather/"];
    let own = world.gateways.iter().find(|one| !samples.iter().any(|sample| one.name.starts_with(sample)));
    own.map_or_else(String::new, |one| one.name.to_string())
}
