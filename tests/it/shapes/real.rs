//! The real chain: the real API server and controllers, istiod, Envoy, and Sluice as a user starts it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::expect::REQUESTS;
use super::walk::{self, Chain};
use super::{Send, whole};
use crate::support::cluster::RealCluster;
use crate::support::mesh::{Ask, Load, Outcome};
use crate::support::served::Served;
use crate::support::wait_for;

pub async fn walk(name: &str, text: &str) {
    let Some(cluster) = RealCluster::with_mesh() else { return };
    let client = cluster.client("admin").await;
    let chain = Real { cluster, client, sluice: OnceCell::new(), proxies: Mutex::default() };
    walk::walk(&chain, name, text).await;
}

struct Real<'a> {
    cluster: &'a RealCluster,
    client: kube::Client,
    /// Started by the first question: what it sees being made afterwards is an outside change, what was there is not.
    sluice: OnceCell<Served>,
    proxies: Mutex<BTreeSet<String>>,
}

impl Drop for Real<'_> {
    /// They would go on listening to everything that istiod says.
    fn drop(&mut self) {
        for name in self.proxies.lock().unwrap_or_else(std::sync::PoisonError::into_inner).iter() {
            if name != "gateway" {
                self.cluster.tell(&format!("proxy/stop?name={name}"));
            }
        }
    }
}

impl Real<'_> {
    fn objects(&self, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let group = match kind {
            "Service" | "Pod" | "ConfigMap" => "",
            "Deployment" | "StatefulSet" | "ReplicaSet" => "apps",
            _ => "networking.istio.io",
        };
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    async fn list(&self, kind: &str, namespace: &str) -> Vec<Value> {
        let list = self.objects(kind, namespace).list(&ListParams::default()).await.unwrap();
        list.items.into_iter().map(|one| serde_json::to_value(one).unwrap()).collect()
    }

    /// The proxy beside a sender, once its pods are there.
    async fn proxy(&self, from: &str) {
        if self.proxies.lock().unwrap().insert(from.to_owned()) {
            self.cluster.ask(&format!("proxy/start?name={from}"), "", Duration::from_mins(1)).await;
        }
    }
}

/// True when its controller has nothing left to do, or waits for pods that will not get ready.
fn settled(kind: &str, workload: &Value) -> bool {
    let (spec, status) = (&workload["spec"], &workload["status"]);
    if status["observedGeneration"] != workload["metadata"]["generation"] {
        return false;
    }
    let wanted = spec["replicas"].as_u64().unwrap_or(1);
    let number = |key: &str| status[key].as_u64().unwrap_or(0);
    let image = spec["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
    if image.contains("broken") || image.contains("unready") {
        return number("replicas") > 0 || wanted == 0;
    }
    let all = number("readyReplicas") == wanted && number("replicas") == wanted;
    let paused = spec["paused"] == json!(true) || kind == "ReplicaSet";
    all && (paused || number("updatedReplicas") == wanted)
}

impl Chain for Real<'_> {
    async fn create(&self, object: &Value) {
        let (kind, namespace) = (&object["kind"], &object["metadata"]["namespace"]);
        let all = self.objects(kind.as_str().unwrap(), namespace.as_str().unwrap());
        let mut made = object.clone();
        made["metadata"].as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let made: DynamicObject = serde_json::from_value(made).unwrap();
        let answer = all.create(&PostParams::default(), &made).await;
        answer.unwrap_or_else(|error| panic!("{kind} {}: {error}", object["metadata"]["name"]));
    }

    async fn merge(&self, kind: &str, namespace: &str, name: &str, patch: &Value) {
        let all = self.objects(kind, namespace);
        all.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    async fn delete(&self, kind: &str, namespace: &str, name: &str) {
        self.objects(kind, namespace).delete(name, &DeleteParams::default()).await.unwrap();
    }

    async fn pods(&self, namespace: &str) -> Vec<Value> {
        self.list("Pod", namespace).await
    }

    async fn begin(&self, namespaces: &BTreeSet<String>, senders: &BTreeSet<String>) {
        let all: Api<Namespace> = Api::all(self.client.clone());
        let own = senders.iter().filter_map(|from| from.split_once('/').map(|(namespace, _)| namespace));
        for name in namespaces.iter().map(String::as_str).chain(own).collect::<BTreeSet<_>>() {
            let made = json!({"metadata": {"name": name, "labels": {"istio-injection": "enabled"}}});
            all.create(&PostParams::default(), &serde_json::from_value(made).unwrap()).await.unwrap();
        }
        for (namespace, name) in senders.iter().filter_map(|from| from.split_once('/')) {
            if name == "client" {
                let client = json!({"deployment": "client", "labels": {"app": "client"}});
                self.create(&whole(&client, namespace)).await;
            }
        }
    }

    async fn settle(&self, namespaces: &BTreeSet<String>) {
        for namespace in namespaces {
            for kind in ["Deployment", "StatefulSet", "ReplicaSet"] {
                wait_for(&format!("every {kind} of {namespace} is settled"), async || {
                    let list = self.list(kind, namespace).await;
                    // Those of a Deployment are its own business.
                    let mut free = list.iter().filter(|one| one["metadata"]["ownerReferences"].is_null());
                    free.all(|one| settled(kind, one)).then_some(())
                })
                .await;
            }
        }
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>, etag: &str) -> (u16, String, Value) {
        let headers = if body.is_some() { vec![("if-match", etag)] } else { Vec::new() };
        let token = Some(self.cluster.token("admin"));
        let start = || Served::on(self.cluster, &["--max-changes-per-minute", "0"]);
        let sluice = self.sluice.get_or_init(start).await;
        let answer = sluice.call(method, path, token, body, &headers).await;
        (answer.status, answer.etag.unwrap_or_default(), answer.body)
    }

    async fn send(&self, from: &str, host: &str, port: u16, send: &Send) -> BTreeMap<String, u32> {
        self.proxy(from).await;
        let speaks = if send.speaks.as_deref() == Some("tcp") { "tcp" } else { "http" };
        let name =
            if speaks == "tcp" || from == "gateway" { host.to_owned() } else { format!("{host}:{port}") };
        let ask = Ask { path: send.path.clone(), headers: send.headers.clone(), ..Ask::to(&name) };
        let load = Load {
            from: from.to_owned(),
            port,
            speaks,
            requests: vec![ask],
            streams: 4,
            count: REQUESTS,
            each: true,
            ..Load::default()
        };
        let body = serde_json::to_string(&load).unwrap();
        let answer = self.cluster.ask("load", &body, Duration::from_mins(2)).await;
        let outcome: Outcome = serde_json::from_str(&answer).unwrap();
        let mut counts = BTreeMap::new();
        for got in outcome.each {
            let who = match (got.status, got.pod.as_str()) {
                (0, _) => format!("error: {}", got.error),
                (status, "") => format!("{status} {}", got.flags).trim().to_owned(),
                (_, pod) => format!("pod {pod}"),
            };
            *counts.entry(who).or_default() += 1;
        }
        counts
    }

    fn is_memory(&self) -> bool {
        false
    }
}
