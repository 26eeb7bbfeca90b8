//! Versions that are bad: stopped within two looks, and all traffic is on the good one again within five seconds
//! of the verdict. Both by the times that Sluice stored and that the version's pods noted.

use kube::api::ListParams;
use serde_json::{Value, json};

use super::super::{subsets, to};
use super::manager;
use crate::support::cluster::RealCluster;
use crate::support::manager::{Manager, ms, told};
use crate::support::mesh::{Ask, Load, Town};
use crate::support::wait_for;

/// Milliseconds from a verdict to the last request that its version got.
const BACK_MS: i64 = 5_000;
/// A step, or a look, comes within a second of its time.
const LATE_MS: i64 = 1_000;

fn success(limit: f64) -> Value {
    json!([{"metric": "success_rate", "limit": {"absolute": limit, "relative": 5.0}}])
}

/// v1 and v2 of a service, all traffic on v1.
async fn pair(town: &Town<'_>, app: &str, good: Value, bad: Value) {
    town.service(app, 9080).await;
    town.deploy(app, "v1", 1, 9080, good).await;
    town.deploy(app, "v2", 1, 9080, bad).await;
    subsets(town, app, &["v1", "v2"]).await;
    let route = json!([to(app, "v1", 100), to(app, "v2", 0)]);
    town.istio("VirtualService", app, json!({"hosts": [app], "http": [{"route": route}]})).await;
}

fn spec(app: &str, interval_s: u32, metrics: Value) -> Value {
    json!({
        "service": {"namespace": "bad", "name": app}, "strategy": "canary", "stable": "v1",
        "candidate": {"from": "adopt", "version": "v2"},
        "steps": [{"kind": "weight", "percent": 30}, {"kind": "hold", "seconds": 600},
            {"kind": "weight", "percent": 100}],
        "analysis": {"interval_s": interval_s, "window_s": 60, "min_requests": 50, "failures": 1,
            "metrics": metrics},
    })
}

/// The release is stopped by a verdict at most two looks after `bad_ms` (or after its hold began), and no request
/// reaches v2 later than five seconds after that verdict.
async fn is_stopped(
    town: &Town<'_>,
    people: &Manager<'_>,
    app: &str,
    id: &str,
    interval_ms: i64,
    bad_ms: Option<i64>,
) {
    people.until_ended(id, "rolled_back").await;
    let looks = people.judgements(id).await;
    let verdict = looks.last().unwrap();
    assert_eq!(verdict["verdict"], "fail", "{looks:?}");
    let verdict_ms = ms(&verdict["at"]);
    let from_ms = match bad_ms {
        Some(bad_ms) => bad_ms,
        None => told(&people.timeline(id).await, "step_began", 1),
    };
    let took_ms = verdict_ms - from_ms;
    assert!(took_ms <= 2 * interval_ms + LATE_MS, "{app}: bad for {took_ms} ms: {looks:?}");
    let latest_ms = async || {
        let tallies = town.tallies().await;
        tallies.into_iter().find(|tally| tally.app == app && tally.version == "v2").unwrap().latest_ms
    };
    // Nobody comes any more: the good one has had hundreds since.
    let load = Load { from: format!("bad/{CLIENT}"), ..one(app) };
    town.until(&load, &["v1"]).await;
    let after = town.load(&Load { count: 300, ..load }).await;
    assert_eq!(after.of("v1"), 300, "{:?}", after.answers);
    let back_ms = latest_ms().await - verdict_ms;
    eprintln!("{app}: {took_ms} ms to the verdict, {back_ms} ms from it to the last request of v2");
    assert!(back_ms <= BACK_MS, "{app}: v2 got requests {back_ms} ms after the verdict");
}

const CLIENT: &str = "productpage";

fn one(app: &str) -> Load {
    let host = format!("{app}.bad.svc.cluster.local:9080");
    Load { port: 9080, requests: vec![Ask::to(&host)], streams: 2, ..Load::default() }
}

#[tokio::test]
async fn a_bad_version_is_stopped_within_two_looks_and_traffic_is_back_in_five_seconds() {
    let Some(cluster) = RealCluster::with_mesh() else { return };
    let town = Town::new(cluster, "bad").await;
    town.app(CLIENT, 9080, &[("v1", 1)]).await;
    let (five, thirty) = (json!({"tests.sluice/errors": "5%"}), json!({"tests.sluice/errors": "30%"}));
    pair(&town, "five", json!({}), five.clone()).await;
    pair(&town, "thirty", json!({}), thirty.clone()).await;
    pair(&town, "worse", json!({}), five).await;
    // Histograms know 25, 50, 100 and 250 ms.
    pair(&town, "slow", json!({"tests.sluice/latency": "40ms"}), json!({"tests.sluice/latency": "120ms"}))
        .await;
    town.settled().await;
    let from = town.sidecar(CLIENT).await;
    let sluice = town.sluice().await;
    let all = ["five", "thirty", "worse", "slow"];
    for app in all {
        town.known(&sluice, app, &[("v1", 1), ("v2", 1)]).await;
        town.until(&Load { from: from.clone(), ..one(app) }, &["v1"]).await;
    }
    let requests = all.iter().flat_map(|app| one(app).requests).collect();
    let load = Load { from, port: 9080, requests, streams: 24, rate: 500.0, ..Load::default() };
    let steady = town.begin(&load).await;
    let people = manager(&town, &sluice);
    let latency = json!([{"metric": "latency", "quantile": 95, "limit": {"relative": 1.5}}]);
    let stopped = async |app: &str, metrics: Value| {
        let id = people.start(&spec(app, 10, metrics)).await;
        is_stopped(&town, &people, app, &id, 10_000, None).await;
    };
    // Five percent is what this one may do; thirty is not.
    let worse = async {
        let mut limits = success(90.0);
        limits[0]["limit"] = json!({"absolute": 90.0});
        let id = people.start(&spec("worse", 15, limits)).await;
        wait_for("five percent pass", async || {
            let looks = people.judgements(&id).await;
            assert!(looks.iter().all(|look| look["verdict"] != "fail"), "{looks:?}");
            looks.iter().any(|look| look["verdict"] == "pass").then_some(())
        })
        .await;
        let pods = town.objects("Pod").list(&ListParams::default().labels("app=worse,version=v2")).await;
        let name = pods.unwrap().items.remove(0).metadata.name.unwrap();
        let bad_ms = sluice::clock::Clock::System.now_ms();
        town.merge("Pod", &name, json!({"metadata": {"annotations": thirty}})).await;
        is_stopped(&town, &people, "worse", &id, 15_000, Some(bad_ms)).await;
    };
    tokio::join!(
        stopped("five", success(99.0)),
        stopped("thirty", success(99.0)),
        stopped("slow", latency),
        worse
    );
    // What went wrong is what the versions answered, and nothing that the way back did.
    let got = steady.stop().await;
    let strange: Vec<_> = got
        .answers
        .keys()
        .filter(|key| !(key.starts_with("200 ") || key.starts_with("500 ") && key.ends_with(" v2")))
        .collect();
    assert!(strange.is_empty(), "{strange:?} {:?}", got.answers);
}
