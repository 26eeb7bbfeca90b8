//! The weather story from deploy to retire, under 200 requests a second: no request fails, at no time.

use serde_json::{Value, json};

use crate::support::cluster::RealCluster;
use crate::support::mesh::{Ask, Change, Load, Town, weights};
use crate::support::wait_for;

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

    // A release brings v2 into the route, half and half; a person looks, then all.
    let token = Some(cluster.token("admin"));
    let spec = json!({"service": {"namespace": "story", "name": "forecast"}, "strategy": "canary", "stable": "v1",
        "candidate": {"from": "adopt", "version": "v2"},
        "steps": [{"kind": "weight", "percent": 50}, {"kind": "approval"}, {"kind": "weight", "percent": 100}]});
    let body = json!({"spec": spec, "reason": "the story"});
    let release = sluice.call("POST", "/api/v1/releases", token, Some(body), &[]).await;
    assert_eq!(release.status, 200, "{:?}", release.body);
    let path = format!("/api/v1/releases/{}", release.body["id"].as_str().unwrap());
    let until = async |what: &str, there: fn(&Value) -> bool| {
        wait_for(what, async || {
            let release = sluice.call("GET", &path, token, None, &[]).await.body;
            there(&release).then_some(release)
        })
        .await
    };
    let say = async |body: Value| {
        let told = sluice.call("POST", &format!("{path}/commands"), token, Some(body), &[]).await;
        assert_eq!(told.status, 200, "{:?}", told.body);
    };
    until("it waits for approval", |release| release["paused"]["reason"] == "gate").await;
    town.until(&load, &["v1", "v2"]).await;
    let half = town.load(&Load { count: 4_000, ..load.clone() }).await;
    half.assert_no_failure();
    half.assert_share("v2", 0.5);
    say(json!({"command": "promote", "reason": "half is well"})).await;
    until("it has ended", |release| release["phase"] == "succeeded").await;
    town.until(&load, &["v2"]).await;
    let kept = town.get("Deployment", "forecast-v1").await;
    assert_eq!(kept["status"]["readyReplicas"], json!(2), "v1 keeps running");

    // Back once, and forward again.
    let before = town.seen(&sluice, "forecast").await.body["revision"].as_u64().unwrap() - 1;
    town.changed(&sluice, "forecast", Change::SwitchBack(before)).await;
    town.until(&load, &["v1", "v2"]).await;
    town.changed(&sluice, "forecast", Change::TakeOver("v2")).await;
    town.until(&load, &["v2"]).await;

    // v1 is retired: its workload, its subset and its part of the route go.
    say(json!({"command": "retire", "confirm": "forecast v1", "reason": "v2 has all",
        "ack": ["still_answers"]}))
    .await;
    town.known(&sluice, "forecast", &[("v2", 2)]).await;
    let gone = town.objects("Deployment").get_opt("forecast-v1").await.unwrap();
    assert!(gone.is_none(), "{gone:?}");
    for kind in ["VirtualService", "DestinationRule"] {
        let spec = town.get(kind, "forecast").await["spec"].to_string();
        assert!(!spec.contains("v1"), "{kind}: {spec}");
    }
    town.until(&load, &["v2"]).await;

    // Long enough for whatever a deleted pod leaves behind.
    town.load(&Load { rate: 200.0, seconds: 4.0, ..load }).await.assert_no_failure();
    let all = steady.stop().await;
    assert!(all.sent > 500, "{}", all.sent);
    all.assert_no_failure();
    let seen = town.seen(&sluice, "forecast").await.body;
    assert_eq!(seen["declared"], json!({"v2": 100}), "{seen}");
}
