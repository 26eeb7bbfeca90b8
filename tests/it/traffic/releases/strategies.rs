//! Releases of every strategy under load, several at once, one after the other on each service: no request is
//! lost because of a release. Five of each; `SLUICE_TEST_RELEASES=100` for more (25 services at once).

use serde_json::{Value, json};

use super::super::{subsets, to};
use super::manager;
use crate::support::cluster::RealCluster;
use crate::support::manager::{STRATEGIES, by_image, wish};
use crate::support::mesh::{Ask, Load, Town};
use crate::support::number;

const NAMESPACE: &str = "strategies";
/// Releases of one service in one round of load (a load ends after five minutes).
const ROUND: usize = 5;
const PORT: u16 = 9080;

/// A service for releases of this strategy, all traffic on v1.
async fn prepare(town: &Town<'_>, name: &str, strategy: &str) {
    town.service(name, PORT).await;
    town.deploy(name, "v1", 2, PORT, json!({})).await;
    if !by_image(strategy) {
        let pods = if strategy == "replicas" { 0 } else { 2 };
        town.deploy(name, "v2", pods, PORT, json!({})).await;
    }
    if strategy != "replicas" {
        let versions: &[&str] = if by_image(strategy) { &["v1"] } else { &["v1", "v2"] };
        subsets(town, name, versions).await;
        let route: Vec<Value> =
            versions.iter().map(|v| to(name, v, if *v == "v1" { 100 } else { 0 })).collect();
        town.istio("VirtualService", name, json!({"hosts": [name], "http": [{"route": route}]})).await;
    }
}

#[tokio::test]
async fn releases_of_every_strategy_lose_no_request() {
    let Some(cluster) = RealCluster::with_mesh() else { return };
    let wanted: usize = number("SLUICE_TEST_RELEASES", ROUND);
    let rounds = wanted.div_ceil(ROUND);
    let abreast = rounds.min(5);
    let town = Town::new(cluster, NAMESPACE).await;
    town.app("client", PORT, &[("v1", 1)]).await;
    let mut services = Vec::new();
    for strategy in STRATEGIES {
        for n in 0..abreast {
            let name = format!("{}-{n}", strategy.replace('_', "-"));
            prepare(&town, &name, strategy).await;
            services.push((name, strategy));
        }
    }
    town.settled().await;
    let from = town.sidecar("client").await;
    let sluice = town.sluice().await;
    let mut requests = Vec::new();
    for (name, strategy) in &services {
        let second = u32::from(*strategy != "replicas") * 2;
        let all: &[(&str, u32)] =
            if by_image(strategy) { &[("v1", 2)] } else { &[("v1", 2), ("v2", second)] };
        town.known(&sluice, name, all).await;
        let ask = Ask::to(&format!("{name}.{NAMESPACE}.svc.cluster.local:{PORT}"));
        requests.push(ask.clone().header("x-user", "beta"));
        requests.push(ask);
    }
    let load = Load { from, port: PORT, requests, streams: 8, rate: 300.0, ..Load::default() };
    let people = manager(&town, &sluice);
    let (mut sent, mut done) = (0, 0);
    for round in 0..rounds.div_ceil(abreast) {
        let steady = town.begin(&load).await;
        let one = async |name: &str, strategy: &str| {
            for n in round * ROUND..(round + 1) * ROUND {
                let spec = wish(NAMESPACE, name, strategy, n);
                let id = people.start(&spec).await;
                people.until_ended(&id, "succeeded").await;
                if by_image(strategy) {
                    people.retire(&id, name, spec["stable"].as_str().unwrap()).await;
                }
            }
        };
        let all = services.iter().map(|(name, strategy)| one(name, strategy));
        done += futures::future::join_all(all).await.len() * ROUND;
        let got = steady.stop().await;
        got.assert_no_failure();
        sent += got.sent;
    }
    eprintln!("{done} releases under {sent} requests, none lost");
    assert!(sent > 500, "{sent}");
    // Copies were made, and answered nobody.
    let tallies = town.tallies().await;
    let copies = tallies.iter().any(|tally| tally.app.starts_with("mirror") && tally.requests > 0);
    assert!(copies, "{tallies:?}");
}
