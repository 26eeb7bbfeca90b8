//! The cluster of the tests does what its README says: otherwise a test that leans on it proves nothing.

use std::process::Command;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, ListParams, PostParams, WatchEvent, WatchParams};
use serde_json::json;

use crate::support::cluster::{Istio, Options, RealCluster};
use crate::support::wait_for;

async fn pods(cluster: &RealCluster, labels: &str) -> Vec<Pod> {
    let pods: Api<Pod> = Api::all(cluster.client("admin").await);
    pods.list(&ListParams::default().labels(labels)).await.expect("pods").items
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True")
}

#[tokio::test]
async fn sample_pods_are_ready_and_a_broken_image_leaves_its_pod_waiting() {
    let Some(cluster) = RealCluster::shared() else { return };
    let reviews = pods(cluster, "app=reviews").await;
    assert_eq!(reviews.len(), 4);
    assert!(reviews.iter().all(is_ready));
    let ratings = pods(cluster, "app=ratings,version=v2").await;
    assert!(!is_ready(&ratings[0]));
    let status = serde_json::to_value(&ratings[0].status).expect("JSON");
    assert_eq!(status["containerStatuses"][0]["state"]["waiting"]["reason"], json!("ImagePullBackOff"));
    assert!(status["podIP"].as_str().expect("address").starts_with("10.244."));
}

#[tokio::test]
async fn readiness_is_taken_away_by_an_annotation_and_pods_end_when_deleted() {
    let Some(cluster) = RealCluster::shared() else { return };
    let all: Api<Pod> = Api::namespaced(cluster.client("admin").await, "default");
    let pod = |image: &str| -> Pod {
        serde_json::from_value(json!({"metadata": {"name": image.replace(':', "-")}, "spec": {"containers": [{"name": "a", "image": image}]}}))
            .expect("pod")
    };
    let post = PostParams::default();
    all.create(&post, &pod("one:1")).await.expect("created");
    all.create(&post, &pod("two:1-unready")).await.expect("created");
    let ready = async |name: &str, wanted: bool| {
        wait_for(name, async || {
            let pod = all.get(name).await.ok()?;
            (pod.status.as_ref()?.pod_ip.is_some() && is_ready(&pod) == wanted).then_some(())
        })
        .await;
    };
    ready("one-1", true).await;
    ready("two-1-unready", false).await;
    for (answer, wanted) in [("false", false), ("true", true)] {
        let mut pod = all.get("one-1").await.expect("pod");
        pod.metadata
            .annotations
            .get_or_insert_default()
            .insert("tests.sluice/ready".to_owned(), answer.to_owned());
        all.replace("one-1", &post, &pod).await.expect("annotated");
        ready("one-1", wanted).await;
    }
    for name in ["one-1", "two-1-unready"] {
        all.delete(name, &kube::api::DeleteParams::default()).await.expect("deleted");
        wait_for("the pod is gone", async || all.get_opt(name).await.ok()?.is_none().then_some(())).await;
    }
}

#[tokio::test]
async fn two_clusters_stand_side_by_side_and_know_nothing_of_each_other() {
    let Some(first) = RealCluster::shared() else { return };
    let second = RealCluster::start(Options { istio: Istio::NotInstalled, ..Options::default() })
        .expect("the first one started");
    assert_ne!(first.server(), second.server());
    let maps = async |cluster: &RealCluster| -> Api<ConfigMap> {
        Api::namespaced(cluster.client("admin").await, "default")
    };
    let (here, there) = (maps(first).await, maps(&second).await);
    let map = ConfigMap {
        metadata: kube::api::ObjectMeta { name: Some("mine".to_owned()), ..Default::default() },
        ..Default::default()
    };
    here.create(&PostParams::default(), &map).await.expect("created");
    assert!(there.get_opt("mine").await.expect("answer").is_none());
    // A token of the one opens nothing in the other.
    let mut stranger = config(&second).await;
    stranger.auth_info.token = Some(first.token("admin").to_owned().into());
    let refused = kube::Client::try_from(stranger).expect("client").apiserver_version().await;
    assert!(matches!(refused, Err(kube::Error::Api(status)) if status.code == 401));
    // And without Istio's kinds there are none.
    let groups = second.client("admin").await.list_api_groups().await.expect("groups");
    assert!(groups.groups.iter().all(|group| !group.name.contains("istio")));
}

async fn config(cluster: &RealCluster) -> kube::Config {
    let file = kube::config::Kubeconfig::read_from(cluster.kubeconfig("admin")).expect("kubeconfig");
    kube::Config::from_custom_kubeconfig(file, &kube::config::KubeConfigOptions::default())
        .await
        .expect("kubeconfig")
}

#[tokio::test]
async fn an_expired_resource_version_is_gone_and_a_frozen_server_answers_nothing() {
    let Some(cluster) = RealCluster::start(Options::default()) else { return };
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client("admin").await, "default");
    let before =
        maps.list(&ListParams::default()).await.expect("list").metadata.resource_version.expect("version");

    cluster.freeze().await;
    let silent = tokio::time::timeout(Duration::from_millis(700), maps.list(&ListParams::default())).await;
    assert!(silent.is_err(), "a frozen API server answered");
    cluster.thaw().await;
    let awake = tokio::time::timeout(Duration::from_secs(5), maps.list(&ListParams::default())).await;
    awake.expect("answer in time").expect("list");

    cluster.kill().await;
    assert!(maps.list(&ListParams::default()).await.is_err(), "a dead API server answered");
    cluster.start_again().await;
    maps.list(&ListParams::default()).await.expect("list");

    cluster.expire().await;
    let mut watch = Box::pin(maps.watch(&WatchParams::default(), &before).await.expect("a stream"));
    match watch.next().await {
        Some(Ok(WatchEvent::Error(status))) => assert_eq!(status.code, 410, "{status:?}"),
        other => panic!("expected 410 Gone, got {other:?}"),
    }
}

#[tokio::test]
async fn nothing_is_left_when_whoever_started_it_is_killed() {
    let Some(cluster) = RealCluster::start(Options::default()) else { return };
    let (dir, inside) = (cluster.dir().to_owned(), cluster.pid());
    let network = std::fs::read_link(format!("/proc/{inside}/ns/net")).expect("its network");
    let killed = Command::new("kill").args(["-9", &cluster.starter().to_string()]).status().expect("kill");
    assert!(killed.success());
    wait_for("the directory is gone", async || (!dir.exists()).then_some(())).await;
    wait_for("its processes are gone", async || processes_in(&network).is_empty().then_some(())).await;
}

/// Ids of the processes in a network namespace. The kernel ends a namespace without any.
fn processes_in(network: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let inside = entries
        .filter(|entry| std::fs::read_link(entry.path().join("ns/net")).is_ok_and(|found| found == network));
    inside.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
