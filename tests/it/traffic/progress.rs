//! Accepted by the real webhook, written to the real API server, seen in the real requests of a real Envoy: each
//! step is shown with its time, and none before it happened.

use serde_json::{Value, json};

use super::bookinfo;
use crate::support::cluster::RealCluster;
use crate::support::mesh::{Change, Load, weights};
use crate::support::wait_for;

#[tokio::test]
async fn a_change_is_accepted_then_written_and_seen_once_requests_follow() {
    let Some(cluster) = RealCluster::with_mesh() else { return };
    let (town, load) = bookinfo(cluster, "progress", &[("v1", 1), ("v2", 1)]).await;
    let sluice = town.sluice().await;
    town.known(&sluice, "reviews", &[("v1", 1), ("v2", 1)]).await;
    let of = |body: &Value, name: &str| {
        body["progress"][name].as_i64().unwrap_or_else(|| panic!("{name}: {body}"))
    };
    let (answer, _) = town.change(&sluice, "reviews", weights(&[("v1", 30), ("v2", 70)])).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let done = answer.body;
    assert!(0 < of(&done, "accepted_ms"), "a dry run takes its time: {done}");
    assert!(of(&done, "accepted_ms") < of(&done, "written_ms"), "{done}");
    assert_eq!((&done["progress"]["state"], &done["progress"]["seen_at"]), (&json!("written"), &Value::Null));

    // Envoy follows; nobody asks it anything: that is no proof.
    town.until_routed(&load.from, "outbound|9080|v2|reviews.progress.svc.cluster.local").await;
    let body = town.seen(&sluice, "reviews").await.body;
    assert_eq!(
        (&body["progress"]["state"], &body["progress"]["not_seen"]),
        (&json!("written"), &json!("few_requests"))
    );

    let steady = town.begin(&Load { rate: 100.0, ..load }).await;
    let body = wait_for("it is seen", async || {
        let body = town.seen(&sluice, "reviews").await.body;
        (body["progress"]["state"] == "seen").then_some(body)
    })
    .await;
    steady.stop().await.assert_no_failure();
    assert_eq!(of(&body, "written_ms"), of(&done, "written_ms"), "{body}");
    assert!(of(&body, "seen_ms") > of(&body, "written_ms"), "{body}");
    let figure = |name: &str| body["progress"][name].as_f64().unwrap();
    assert!(figure("low") <= 70.0 && 70.0 <= figure("high"), "{body}");
    let entry = town.cluster.token("admin");
    let path = format!("/api/v1/audit/{}", done["entry"]);
    let kept = sluice.call("GET", &path, Some(entry), None, &[]).await.body;
    assert_eq!(kept["at"], body["progress"]["begun_at"], "{kept}");

    // What is refused is no step of anything.
    let before = body["progress"].clone();
    let condition = json!({"in": "header", "name": "x-a", "op": "regex", "value": "("});
    let body = json!({"rules": [{"name": "x", "when": [[condition]], "to": {"v2": 100}}]});
    let (answer, _) = town.change(&sluice, "reviews", Change::Traffic(body)).await;
    assert!((400..500).contains(&answer.status), "{:?}", answer.body);
    assert_eq!(town.seen(&sluice, "reviews").await.body["progress"], before);
}
