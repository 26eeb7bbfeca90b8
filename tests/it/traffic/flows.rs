//! The known answers of the product, each by one test: a change through the REST API of the running program,
//! then requests that are counted.

use serde_json::json;

use super::bookinfo;
use crate::support::cluster::RealCluster;
use crate::support::mesh::{Ask, Change, Load, Town, weights};
use crate::support::wait_for;

#[tokio::test]
async fn thirty_to_seventy_is_three_to_seven_of_the_requests_and_v3_gets_none() {
    let Some(cluster) = RealCluster::with_mesh() else { return };
    let (town, load) = bookinfo(cluster, "flow-split", &[("v1", 2), ("v2", 1), ("v3", 1)]).await;
    let sluice = town.sluice().await;
    town.known(&sluice, "reviews", &[("v1", 2), ("v2", 1), ("v3", 1)]).await;
    let third = async || {
        let tallies = town.tallies().await;
        tallies.into_iter().find(|tally| tally.version == "v3").unwrap().requests
    };
    let before = third().await;
    town.changed(&sluice, "reviews", weights(&[("v1", 30), ("v2", 70), ("v3", 0)])).await;
    town.until(&load, &["v1", "v2"]).await;
    let got = town.load(&Load { count: 10_000, ..load }).await;
    got.assert_no_failure();
    got.assert_share("v1", 0.3);
    got.assert_share("v2", 0.7);
    assert_eq!(got.of("v3"), 0);
    assert_eq!(third().await, before, "what its pod says");
}

#[tokio::test]
async fn four_replicas_of_v1_change_nothing() {
    let Some(cluster) = RealCluster::with_mesh() else { return };
    let (town, load) = bookinfo(cluster, "flow-replicas", &[("v1", 1), ("v2", 1)]).await;
    let sluice = town.sluice().await;
    town.known(&sluice, "reviews", &[("v1", 1), ("v2", 1)]).await;
    town.changed(&sluice, "reviews", weights(&[("v1", 30), ("v2", 70)])).await;
    town.merge("Deployment", "reviews-v1", json!({"spec": {"replicas": 4}})).await;
    town.settled().await;
    town.known(&sluice, "reviews", &[("v1", 4), ("v2", 1)]).await;
    wait_for("all four get requests", async || {
        town.load(&Load { count: 200, ..load.clone() }).await;
        let tallies = town.tallies().await;
        let used = tallies.iter().filter(|tally| tally.version == "v1" && tally.requests > 0);
        (used.count() == 4).then_some(())
    })
    .await;
    let got = town.load(&Load { count: 10_000, ..load }).await;
    got.assert_no_failure();
    got.assert_share("v1", 0.3);
    got.assert_share("v2", 0.7);
}

#[tokio::test]
async fn gmail_users_get_v3_and_everybody_else_ten_to_ninety() {
    let Some(cluster) = RealCluster::with_mesh() else { return };
    let (town, load) = bookinfo(cluster, "flow-gmail", &[("v1", 1), ("v2", 1), ("v3", 1)]).await;
    let sluice = town.sluice().await;
    town.known(&sluice, "reviews", &[("v1", 1), ("v2", 1), ("v3", 1)]).await;
    let gmail = json!({"in": "header", "name": "x-user-email", "op": "regex", "value": ".*@gmail\\.com"});
    let change = json!({"weights": {"v1": 10, "v2": 90, "v3": 0},
        "rules": [{"name": "gmail", "when": [[gmail]], "to": {"v3": 100}}]});
    town.changed(&sluice, "reviews", Change::Traffic(change)).await;
    town.until(&load, &["v1", "v2"]).await;
    let ask = &load.requests[0];
    let from = |email: &str| ask.clone().header("x-user-email", email);
    let gmail = town.load(&Load { requests: vec![from("amy@gmail.com")], count: 500, ..load.clone() }).await;
    assert_eq!((gmail.of("v3"), gmail.sent), (500, 500), "{:?}", gmail.answers);
    let others = vec![ask.clone(), from("amy@gmail.com.evil.org"), from("amy@example.com"), from("")];
    let rest = town.load(&Load { requests: others, count: 8_000, ..load }).await;
    rest.assert_no_failure();
    rest.assert_share("v1", 0.1);
    rest.assert_share("v2", 0.9);
    assert_eq!(rest.of("v3"), 0);
}

/// Without sidecars nobody reads routing objects; the proxy here only stands for whatever spreads the
/// requests of a Service over its pods.
#[tokio::test]
async fn without_a_mesh_pods_decide_and_sluice_says_what_one_percent_would_cost() {
    let Some(cluster) = RealCluster::with_mesh() else { return };
    let town = Town::new(cluster, "flow-nginx").await;
    town.app("client", 80, &[("v1", 1)]).await;
    town.service("nginx", 80).await;
    for (track, replicas) in [("stable", 3), ("canary", 1)] {
        let labels = json!({"app": "nginx", "track": track});
        let pod = json!({"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "nginx", "image": "nginx:1.29", "ports": [{"containerPort": 80}]}]}});
        let spec = json!({"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod});
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": format!("nginx-{track}")}, "spec": spec});
        town.create("Deployment", object).await.unwrap();
    }
    town.settled().await;
    let from = town.sidecar("client").await;
    let host = "nginx.flow-nginx.svc.cluster.local";
    let load = Load { from, port: 80, requests: vec![Ask::to(host)], streams: 4, ..Load::default() };
    town.until(&load, &["canary", "stable"]).await;
    town.until_split(&load, 4_000, &[("stable", 0.75), ("canary", 0.25)]).await;

    let sluice = town.sluice().await;
    town.known(&sluice, "nginx", &[("stable", 3), ("canary", 1)]).await;
    let seen = town.seen(&sluice, "nginx").await.body;
    let says = |code: &str| {
        let findings = seen["findings"].as_array().unwrap();
        let found = findings.iter().find(|finding| finding["code"] == json!(code));
        found.unwrap_or_else(|| panic!("{code}: {findings:?}"))["text"].as_str().unwrap().to_owned()
    };
    assert_eq!((&seen["declared"], &seen["state"]), (&json!(null), &json!("not_routable")));
    says("no_sidecar");
    let spread = says("spread_by_pods");
    // The older one comes first, and both may be of the same second.
    assert!(spread.contains("canary 25%") && spread.contains("stable 75%"), "{spread}");
    assert!(spread.contains("100 pods"), "{spread}");
}
