//! Known answers 5, 6 and 8: from a new image to all traffic and back and forth, pods that move requests where
//! there is no mesh, and a StatefulSet in batches. One test, since they wait for each other's minutes.

use kube::api::ListParams;
use serde_json::json;

use super::super::bookinfo;
use super::manager;
use crate::support::cluster::RealCluster;
use crate::support::manager::{Manager, told};
use crate::support::mesh::{Ask, Change, Load, Town};
use crate::support::served::Served;

#[tokio::test]
async fn the_known_answers_about_releases() {
    let Some(cluster) = RealCluster::with_mesh() else { return };
    tokio::join!(canary(cluster), pods_only(cluster), batches(cluster));
}

/// 5: half, take over, switch back, take over, retire.
async fn canary(cluster: &'static RealCluster) {
    let (town, load) = bookinfo(cluster, "bookinfo-canary", &[("v1", 2)]).await;
    let sluice = town.sluice().await;
    town.known(&sluice, "reviews", &[("v1", 2)]).await;
    let people = manager(&town, &sluice);
    let steady = town.begin(&Load { rate: 100.0, ..load.clone() }).await;
    let spec = json!({
        "service": {"namespace": "bookinfo-canary", "name": "reviews"}, "strategy": "canary", "stable": "v1",
        "candidate": {"from": "image", "version": "v2", "image": "tests/reviews:v2"},
        "steps": [{"kind": "weight", "percent": 50}, {"kind": "approval"}, {"kind": "weight", "percent": 100}],
    });
    let id = people.start(&spec).await;
    people.until_gate(&id).await;
    town.until(&load, &["v1", "v2"]).await;
    let half = town.load(&Load { count: 4_000, ..load.clone() }).await;
    half.assert_no_failure();
    half.assert_share("v2", 0.5);
    let revision = town.seen(&sluice, "reviews").await.body["revision"].as_u64().unwrap();

    people.say(&id, json!({"command": "promote"})).await;
    people.until_ended(&id, "succeeded").await;
    town.until(&load, &["v2"]).await;
    town.changed(&sluice, "reviews", Change::SwitchBack(revision)).await;
    town.until(&load, &["v1", "v2"]).await;
    town.changed(&sluice, "reviews", Change::TakeOver("v2")).await;
    town.until(&load, &["v2"]).await;
    people.retire(&id, "reviews", "v1").await;
    town.known(&sluice, "reviews", &[("v2", 2)]).await;
    let subsets = town.get("DestinationRule", "reviews").await["spec"]["subsets"].clone();
    assert_eq!(subsets.as_array().unwrap().len(), 1, "{subsets}");
    // Long enough for whatever a deleted pod leaves behind.
    town.load(&Load { rate: 100.0, seconds: 4.0, ..load }).await.assert_no_failure();
    steady.stop().await.assert_no_failure();
}

/// 6: nobody reads routing objects; three pods beside one are 75 to 25, and one percent would cost 100.
async fn pods_only(cluster: &'static RealCluster) {
    let town = Town::new(cluster, "release-nginx").await;
    town.app("client", 80, &[("v1", 1)]).await;
    town.service("nginx", 80).await;
    let labels = json!({"app": "nginx", "track": "stable"});
    let pod = json!({"metadata": {"labels": labels},
        "spec": {"containers": [{"name": "nginx", "image": "nginx:1.29", "ports": [{"containerPort": 80}]}]}});
    let spec = json!({"replicas": 4, "selector": {"matchLabels": labels}, "template": pod});
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "nginx-stable"}, "spec": spec});
    town.create("Deployment", object).await.unwrap();
    town.settled().await;
    let from = town.sidecar("client").await;
    let host = "nginx.release-nginx.svc.cluster.local";
    let load = Load { from, port: 80, requests: vec![Ask::to(host)], streams: 4, ..Load::default() };
    town.until(&load, &["stable"]).await;
    let sluice = town.sluice().await;
    // Alone and without a version label it has its own name.
    town.known(&sluice, "nginx", &[("nginx-stable", 4)]).await;
    let people = manager(&town, &sluice);
    let steady = town.begin(&Load { rate: 100.0, ..load.clone() }).await;
    let spec = json!({
        "service": {"namespace": "release-nginx", "name": "nginx"}, "strategy": "replicas", "stable": "nginx-stable",
        "candidate": {"from": "image", "version": "canary", "image": "nginx:1.30"},
        "steps": [{"kind": "replicas", "candidate": 1, "stable": 3}, {"kind": "approval"},
            {"kind": "replicas", "candidate": 4, "stable": 0}],
    });
    let plan = people.plan(&spec).await;
    let honest = plan["checks"].as_array().unwrap().iter().find(|check| check["code"] == "no_mesh").unwrap();
    let text = honest["text"].as_str().unwrap();
    assert!(text.contains("25") && text.contains("100"), "{text}");
    let id = people.start(&spec).await;
    people.until_gate(&id).await;
    town.until_split(&load, 4_000, &[("stable", 0.75), ("canary", 0.25)]).await;
    town.known(&sluice, "nginx", &[("nginx-stable", 3), ("canary", 1)]).await;
    let seen = town.seen(&sluice, "nginx").await.body;
    let findings = seen["findings"].to_string();
    assert!(findings.contains("nginx-stable 75%, canary 25%") && findings.contains("100 pods"), "{findings}");
    people.say(&id, json!({"command": "promote"})).await;
    people.until_ended(&id, "succeeded").await;
    town.until(&load, &["canary"]).await;
    town.load(&Load { rate: 100.0, seconds: 4.0, ..load }).await.assert_no_failure();
    steady.stop().await.assert_no_failure();
}

/// 8: a StatefulSet of five in batches of 1 (a person), 2 (60 s) and the rest.
async fn batches(cluster: &'static RealCluster) {
    let town = Town::new(cluster, "release-ledger").await;
    town.app("client", 8080, &[("v1", 1)]).await;
    town.service("ledger", 8080).await;
    let labels = json!({"app": "ledger"});
    let pod = json!({"metadata": {"labels": {"app": "ledger", "version": "v1"}},
        "spec": {"containers": [{"name": "ledger", "image": "tests/ledger:1", "ports": [{"containerPort": 8080}]}]}});
    let spec = json!({"serviceName": "ledger", "replicas": 5, "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": labels}, "template": pod});
    let object =
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "ledger"}, "spec": spec});
    town.create("StatefulSet", object).await.unwrap();
    town.settled().await;
    let from = town.sidecar("client").await;
    let host = "ledger.release-ledger.svc.cluster.local:8080";
    let load = Load { from, port: 8080, requests: vec![Ask::to(host)], streams: 4, ..Load::default() };
    town.until(&load, &["v1"]).await;
    let sluice = town.sluice().await;
    town.known(&sluice, "ledger", &[("v1", 5)]).await;
    let people = manager(&town, &sluice);
    let steady = town.begin(&Load { rate: 100.0, ..load.clone() }).await;
    let spec = json!({
        "service": {"namespace": "release-ledger", "name": "ledger"}, "strategy": "replicas", "stable": "v1",
        "candidate": {"from": "image", "version": "v2", "image": "tests/ledger:2", "in_place": true},
        "steps": [{"kind": "replicas", "candidate": 1}, {"kind": "approval"}, {"kind": "replicas", "candidate": 3},
            {"kind": "hold", "seconds": 60}, {"kind": "replicas", "candidate": 5}],
    });
    let id = people.start(&spec).await;
    people.until_gate(&id).await;
    assert_eq!(batch(&town, &id, 1).await, ["ledger-4"]);
    town.until_split(&load, 2_000, &[("v1", 0.8), ("v2", 0.2)]).await;
    people.say(&id, json!({"command": "promote"})).await;
    people.until(&id, "the second batch is held", |release| !release["due"].is_null()).await;
    assert_eq!(batch(&town, &id, 2).await, ["ledger-2", "ledger-3"]);
    town.until_split(&load, 2_000, &[("v1", 0.4), ("v2", 0.6)]).await;
    after_the_hold(&people, &sluice, cluster, &id).await;
    assert_eq!(batch(&town, &id, 3).await, ["ledger-0", "ledger-1"]);
    assert_eq!((batch(&town, &id, 1).await.len(), batch(&town, &id, 2).await.len()), (1, 2));
    town.until(&load, &["v2"]).await;
    steady.stop().await.assert_no_failure();
}

async fn after_the_hold(people: &Manager<'_>, sluice: &Served, cluster: &RealCluster, id: &str) {
    let path = format!("/api/v1/releases/{id}?wait=60");
    sluice.call("GET", &path, Some(cluster.token("admin")), None, &[]).await;
    people.until_ended(id, "succeeded").await;
    let timeline = people.timeline(id).await;
    let held_ms = told(&timeline, "step_done", 3) - told(&timeline, "step_began", 3);
    assert!(held_ms >= 60_000, "{held_ms}");
}

/// The pods of a batch, as somebody finds them who filters by its labels.
async fn batch(town: &Town<'_>, id: &str, number: u32) -> Vec<String> {
    let labels = format!(
        "rollouts.kruise.io/rollout-id={},rollouts.kruise.io/rollout-batch-id={number}",
        id.to_lowercase()
    );
    let found = town.objects("Pod").list(&ListParams::default().labels(&labels)).await.unwrap();
    let mut names: Vec<String> = found.items.into_iter().filter_map(|pod| pod.metadata.name).collect();
    names.sort();
    names
}
