//! The weather story from deploy to retire, under 200 requests a second: no request fails, at no time.

use serde_json::json;

use super::to;
use crate::support::cluster::RealCluster;
use crate::support::mesh::Change;
use crate::support::mesh::{Ask, Load, Town, weights};

#[tokio::test]
async fn forecast_v2_takes_over_from_v1_and_no_request_fails_meanwhile() {
    let Some(cluster) = RealCluster::with_mesh() else { return };
    let town = Town::new(cluster, "story").await;
    town.app("frontend", 3000, &[("v1", 1)]).await;
    town.app("forecast", 3002, &[("v1", 2)]).await;
    town.settled().await;
    let from = town.sidecar("frontend").await;
    let sluice = town.sluice().await;
    town.known(&sluice, "forecast", &[("v1", 2)]).await;
    let host = "forecast.story.svc.cluster.local:3002";
    let load = Load { from, port: 3002, requests: vec![Ask::to(host)], streams: 8, ..Load::default() };
    town.until(&load, &["v1"]).await;
    let steady = town.begin(&Load { rate: 200.0, ..load.clone() }).await;

    // Nothing exists yet: Sluice declares v1 first, so that a new version gets nothing by being there.
    town.changed(&sluice, "forecast", weights(&[("v1", 100)])).await;
    town.until_routed(&load.from, "outbound|3002|v1|forecast.story.svc.cluster.local").await;

    // v2 and a new application are deployed: no request reaches them.
    town.deploy("forecast", "v2", 2, 3002, json!({})).await;
    town.app("recommendation", 3005, &[("v1", 1)]).await;
    town.settled().await;
    town.known(&sluice, "forecast", &[("v1", 2), ("v2", 2)]).await;
    let alone = town.load(&Load { count: 1_000, ..load.clone() }).await;
    assert_eq!((alone.of("v1"), alone.of("v2")), (1_000, 0));
    let unknown: u64 = town
        .tallies()
        .await
        .iter()
        .filter(|tally| tally.version == "v2" || tally.app == "recommendation")
        .map(|tally| tally.requests)
        .sum();
    assert_eq!(unknown, 0);

    // Into the route, half and half; then all.
    town.changed(&sluice, "forecast", weights(&[("v1", 50), ("v2", 50)])).await;
    town.until(&load, &["v1", "v2"]).await;
    let half = town.load(&Load { count: 4_000, ..load.clone() }).await;
    half.assert_no_failure();
    half.assert_share("v2", 0.5);
    town.changed(&sluice, "forecast", Change::TakeOver("v2")).await;
    town.until(&load, &["v2"]).await;
    let kept = town.get("Deployment", "forecast-v1").await;
    assert_eq!(kept["status"]["readyReplicas"], json!(2), "v1 keeps running");

    // Back once, and forward again.
    let before = town.seen(&sluice, "forecast").await.body["revision"].as_u64().unwrap() - 1;
    town.changed(&sluice, "forecast", Change::SwitchBack(before)).await;
    town.until(&load, &["v1", "v2"]).await;
    town.changed(&sluice, "forecast", Change::TakeOver("v2")).await;
    town.until(&load, &["v2"]).await;

    // v1 is retired by hand, in the safe order: route, subset, workload.
    let route = json!([to("forecast.story.svc.cluster.local", "v2", 100)]);
    let mut service = town.get("VirtualService", "forecast").await;
    service["spec"]["http"][0]["route"] = route;
    replace(&town, "VirtualService", service).await;
    town.until(&load, &["v2"]).await;
    let mut rule = town.get("DestinationRule", "forecast").await;
    rule["spec"]["subsets"].as_array_mut().unwrap().retain(|subset| subset["name"] != json!("v1"));
    replace(&town, "DestinationRule", rule).await;
    town.delete("Deployment", "forecast-v1").await;
    town.known(&sluice, "forecast", &[("v2", 2)]).await;
    town.until(&load, &["v2"]).await;

    // Long enough for whatever a deleted pod leaves behind.
    town.load(&Load { rate: 200.0, seconds: 4.0, ..load }).await.assert_no_failure();
    let all = steady.stop().await;
    assert!(all.sent > 500, "{}", all.sent);
    all.assert_no_failure();
    let seen = town.seen(&sluice, "forecast").await.body;
    assert_eq!(seen["declared"], json!({"v2": 100}), "{seen}");
}

async fn replace(town: &Town<'_>, kind: &str, object: serde_json::Value) {
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let object = serde_json::from_value(object).unwrap();
    let by = kube::api::PostParams { field_manager: Some("kubectl-edit".into()), ..Default::default() };
    town.objects(kind).replace(&name, &by, &object).await.unwrap();
}
