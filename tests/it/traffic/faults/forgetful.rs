//! Prometheus killed and started again, then the proxy that it scrapes: notices meanwhile, right numbers after it,
//! and at no time a wrong one. Called by `parts`, in whose cluster nobody else counts.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::{subsets, to};
use crate::support::cluster::RealCluster;
use crate::support::mesh::{Ask, Load, Town, weights};
use crate::support::served::Served;
use crate::support::wait_for;

/// A figure may be this much older than the look at it: it is kept for a while, and read a while before.
const LATE: Duration = Duration::from_secs(25);

/// What the pods of `reviews` got, each time somebody looked.
#[derive(Default)]
struct Ledger(Mutex<Vec<(Instant, f64)>>);

impl Ledger {
    async fn look(&self, town: &Town<'_>) -> f64 {
        let tallies = town.tallies().await;
        let got: u64 =
            tallies.iter().filter(|tally| tally.app == "reviews").map(|tally| tally.requests).sum();
        let got = f64::from(u32::try_from(got).unwrap());
        self.0.lock().unwrap().push((Instant::now(), got));
        got
    }

    /// The most that a window may show: what was sent since it began at the latest look before that.
    async fn most(&self, town: &Town<'_>, window: Duration) -> f64 {
        let now = self.look(town).await;
        let began = Instant::now().checked_sub(window + LATE);
        let looks = self.0.lock().unwrap();
        let before = began.and_then(|began| looks.iter().rev().find(|(at, _)| *at <= began));
        now - before.or(looks.first()).map_or(0.0, |(_, got)| *got)
    }

    /// Fails when a figure is shown that cannot be: a share far from 30 to 70, or more than was sent. True when there
    /// are many, and right.
    async fn judge(&self, town: &Town<'_>, seen: &Value) -> bool {
        if seen["observed"].is_null() {
            return false;
        }
        let share = seen["observed"]["v1"].as_f64().unwrap();
        let n = seen["figures"]["requests"].as_f64().unwrap();
        let window = Duration::from_secs(seen["figures"]["window_s"].as_u64().unwrap());
        let most = self.most(town, window).await;
        // An increase is extrapolated by up to a scrape at each end.
        assert!(n <= most * 1.15 + 100.0, "{n} of {most}: {seen}");
        let far = 400.0 * (0.21 / n).sqrt() + 2.0;
        assert!((share - 30.0).abs() <= far, "{share} of {n}: {seen}");
        n > 1_000.0 && (share - 30.0).abs() < 4.0
    }
}

pub async fn prometheus_and_its_proxy_start_anew(cluster: &RealCluster) {
    let control = async |action: &str| cluster.ask(action, "", Duration::from_mins(1)).await;
    // Three to seven from the first request on, so that every figure has to say so.
    let town = Town::new(cluster, "anew").await;
    town.app("productpage", 9080, &[("v1", 1)]).await;
    town.app("reviews", 9080, &[("v1", 1), ("v2", 1)]).await;
    subsets(&town, "reviews", &["v1", "v2"]).await;
    let route = json!([to("reviews", "v1", 30), to("reviews", "v2", 70)]);
    town.istio("VirtualService", "reviews", json!({"hosts": ["reviews"], "http": [{"route": route}]})).await;
    town.settled().await;
    let from = town.sidecar("productpage").await;
    let ask = Ask::to("reviews.anew.svc.cluster.local:9080");
    let load = Load { from, port: 9080, requests: vec![ask], streams: 4, rate: 100.0, ..Load::default() };
    town.until_routed(&load.from, "outbound|9080|v2|reviews.anew.svc.cluster.local").await;
    let sluice = town.sluice().await;
    town.known(&sluice, "reviews", &[("v1", 1), ("v2", 1)]).await;
    let ledger = Ledger::default();
    ledger.look(&town).await;
    let right = async || {
        let body = town.seen(&sluice, "reviews").await.body;
        ledger.judge(&town, &body).await.then_some(())
    };
    let steady = town.begin(&load).await;
    wait_for("the figures are right", right).await;

    control("prometheus/kill").await;
    wait_for("the notice, and no number", async || {
        let body = town.seen(&sluice, "reviews").await.body;
        ledger.judge(&town, &body).await;
        (body["observed"].is_null() && told(&town, &sluice).await).then_some(())
    })
    .await;
    for v1 in [31, 30] {
        town.changed(&sluice, "reviews", weights(&[("v1", v1), ("v2", 100 - v1)])).await;
    }
    control("prometheus/start").await;
    wait_for("the notice is gone", async || {
        right().await;
        (!told(&town, &sluice).await).then_some(())
    })
    .await;
    wait_for("the figures are right again", right).await;

    // A new Envoy counts from nothing; what the old one counted after its last scrape is lost, never doubled.
    steady.stop().await.assert_routed();
    control(&format!("proxy/stop?name={}", load.from)).await;
    control(&format!("proxy/start?name={}", load.from)).await;
    town.until_routed(&load.from, "outbound|9080|v2|reviews.anew.svc.cluster.local").await;
    let before = ledger.look(&town).await;
    let steady = town.begin(&load).await;
    wait_for("the new one is counted, and right", async || {
        let fits = right().await.is_some();
        (fits && ledger.look(&town).await - before > 2_500.0).then_some(())
    })
    .await;
    steady.stop().await.assert_routed();
}

async fn told(town: &Town<'_>, sluice: &Served) -> bool {
    let path = format!("/api/v1/services?namespace={}", town.namespace);
    let list = sluice.call("GET", &path, Some(town.cluster.token("admin")), None, &[]).await.body;
    list["notices"].as_array().unwrap().iter().any(|notice| notice["code"] == "metrics_down")
}
