//! Parts that stop, refuse or forget, while requests go on: istiod with its webhook, the API server, etcd.

use serde_json::json;

use super::super::bookinfo;
use crate::support::cluster::{Mesh, Options, RealCluster};
use crate::support::mesh::{Load, Town, weights};
use crate::support::served::Served;
use crate::support::wait_for;

/// In a cluster of its own: its parts stop.
#[tokio::test]
async fn parts_that_stop_make_refusals_and_nothing_else() {
    let options = Options { mesh: Mesh::Started, ..Options::default() };
    let Some(cluster) = RealCluster::start(options) else { return };
    let (town, load) = bookinfo(&cluster, "parts", &[("v1", 1), ("v2", 1)]).await;
    let sluice = town.sluice().await;
    town.known(&sluice, "reviews", &[("v1", 1), ("v2", 1)]).await;
    let steady = town.begin(&Load { rate: 100.0, ..load.clone() }).await;
    town.changed(&sluice, "reviews", weights(&[("v1", 50), ("v2", 50)])).await;
    let calm = spec(&town).await;

    // The webhook cannot be reached: the API server's words come back, nothing is written.
    cluster.ask("istiod/kill", "", std::time::Duration::from_mins(1)).await;
    let (answer, _) = town.change(&sluice, "reviews", weights(&[("v1", 20), ("v2", 80)])).await;
    assert!(answer.status >= 400, "{:?}", answer.body);
    let said = answer.body.to_string();
    assert!(said.contains("rev.validation.istio.io"), "{said}");
    assert_eq!(spec(&town).await, calm);
    cluster.ask("istiod/start", "", std::time::Duration::from_mins(1)).await;
    again(&town, &sluice, &load, 20).await;

    // istiod stands still: a write waits for its webhook, and ends with a refusal.
    let calm = spec(&town).await;
    cluster.ask("istiod/freeze", "", std::time::Duration::from_mins(1)).await;
    let (answer, _) = town.change(&sluice, "reviews", weights(&[("v1", 70), ("v2", 30)])).await;
    assert!(answer.status >= 400, "{:?}", answer.body);
    cluster.ask("istiod/thaw", "", std::time::Duration::from_mins(1)).await;
    assert_eq!(spec(&town).await, calm, "{:?}", answer.body);
    again(&town, &sluice, &load, 70).await;

    // The API server stands still in the middle, then goes on.
    let calm = spec(&town).await;
    let etag = town.seen(&sluice, "reviews").await.etag.unwrap();
    cluster.freeze().await;
    let body = json!({"weights": {"v1": 40, "v2": 60}, "reason": "frozen"});
    let token = Some(cluster.token("admin"));
    let path = format!("{}/traffic", town.path("reviews"));
    let headers = [("if-match", etag.as_str())];
    let answer = sluice.call("PUT", &path, token, Some(body), &headers);
    let answer = tokio::time::timeout(std::time::Duration::from_mins(1), answer).await;
    let answer = answer.expect("an answer although the API server gives none");
    assert!(answer.status >= 400, "{:?}", answer.body);
    cluster.thaw().await;
    assert_eq!(spec(&town).await, calm);
    again(&town, &sluice, &load, 40).await;

    // All the while, requests were answered.
    steady.stop().await.assert_no_failure();

    // It forgets its history, and starts again.
    let steady = town.begin(&Load { rate: 100.0, ..load.clone() }).await;
    cluster.expire().await;
    wait_for("Sluice is ready again", async || {
        let answer = sluice.call("GET", "/readyz", None, None, &[]).await;
        (answer.status == 200).then_some(())
    })
    .await;
    town.until(&load, &["v1", "v2"]).await;
    // Routes and subsets were there all the while.
    steady.stop().await.assert_routed();
    let steady = town.begin(&Load { rate: 100.0, ..load.clone() }).await;
    again(&town, &sluice, &load, 90).await;
    steady.stop().await.assert_no_failure();

    // It is gone: a change is refused in time, nothing is written, and later it works.
    let calm = spec(&town).await;
    let etag = town.seen(&sluice, "reviews").await.etag.unwrap();
    cluster.kill().await;
    let body = json!({"weights": {"v1": 40, "v2": 60}, "reason": "gone"});
    let headers = [("if-match", etag.as_str())];
    let answer = sluice.call("PUT", &path, token, Some(body), &headers);
    let answer = tokio::time::timeout(std::time::Duration::from_secs(20), answer).await;
    let answer = answer.expect("an answer although there is no API server");
    assert!(answer.status >= 400, "{:?}", answer.body);
    cluster.start_again().await;
    assert_eq!(spec(&town).await, calm);
    again(&town, &sluice, &load, 80).await;
    super::forgetful::prometheus_and_its_proxy_start_anew(&cluster).await;
}

/// A change works again and reaches the proxy.
async fn again(town: &Town<'_>, sluice: &Served, load: &Load, v1: u8) {
    wait_for("a change works again", async || {
        let (answer, _) = town.change(sluice, "reviews", weights(&[("v1", v1), ("v2", 100 - v1)])).await;
        (answer.status == 200).then_some(())
    })
    .await;
    let share = f64::from(v1) / 100.0;
    town.until_split(load, 600, &[("v1", share), ("v2", 1.0 - share)]).await;
}

async fn spec(town: &Town<'_>) -> serde_json::Value {
    town.get("VirtualService", "reviews").await["spec"].clone()
}
