//! A storm of changes: 20 a second on 20 services for a minute, through the REST API of the program on a real API
//! server, each with its dry run, its PUT and its two durable rows of the history; beside it the same changes one
//! after another on an otherwise quiet Sluice, before and after the storm.
//!
//! `cargo bench --bench flips`; needs what `tests/cluster` needs. Goal: p99 of a change in the storm ≤ 2 × quiet. A
//! change counts from the moment at which it is due, so one that waits for its turn counts with the wait. Ends with an
//! error beyond 1.3 × the goal.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and ends at the first trouble"
)]

#[path = "../tests/it/support/cluster.rs"]
#[expect(dead_code, reason = "the tests' own way to a cluster; less of it is wanted here")]
mod cluster;
#[path = "../tests/it/support/mesh.rs"]
#[expect(dead_code, reason = "no requests are made here")]
mod mesh;
#[path = "../tests/it/support/served.rs"]
#[expect(dead_code, reason = "the program is only called")]
mod served;
#[path = "../tests/it/support/wait.rs"]
mod wait;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::{Options, RealCluster};
use mesh::Town;
use serde_json::{Value, json};
use served::Served;
use tokio::sync::Mutex;
use wait::wait_for;

const SERVICES: usize = 20;
const A_SECOND: u32 = 20;
const SECONDS: u32 = 60;
/// Changes of each quiet round.
const QUIET: usize = 200;
const GOAL: f64 = 2.0;

/// One service, its revision and its weight.
struct Lever {
    name: String,
    revision: u64,
    weight: u8,
}

#[tokio::main]
async fn main() {
    sluice::cluster::client::install_crypto();
    let Some(cluster) = RealCluster::start(Options::default()) else { std::process::exit(1) };
    let town = Town::new(&cluster, "storm").await;
    let names: Vec<String> = (0..SERVICES).map(|n| format!("service-{n:02}")).collect();
    for name in &names {
        town.app(name, 8080, &[("v1", 1), ("v2", 1)]).await;
        let host = format!("{name}.storm.svc.cluster.local");
        let subsets = ["v1", "v2"].map(|version| json!({"name": version, "labels": {"version": version}}));
        town.istio("DestinationRule", name, json!({"host": host, "subsets": subsets})).await;
        let to = |version: &str, weight: u8| json!({"destination": {"host": host, "subset": version}, "weight": weight});
        let route = json!([to("v1", 50), to("v2", 50)]);
        town.istio("VirtualService", name, json!({"hosts": [host], "http": [{"route": route}]})).await;
    }
    town.settled().await;
    let options = ["--max-changes-per-minute", "0", "--max-connections-per-address", "0"];
    let sluice = Arc::new(Served::on(&cluster, &options).await);
    let mut levers = Vec::new();
    for name in names {
        town.known(&sluice, &name, &[("v1", 1), ("v2", 1)]).await;
        levers.push(Arc::new(Mutex::new(Lever { name, revision: 0, weight: 50 })));
    }
    let token: Arc<str> = cluster.token("admin").into();

    let mut before = quiet(&sluice, &token, &levers).await;
    print("quiet, before", &mut before);
    let mut stormy = storm(&sluice, &token, &levers).await;
    print("storm", &mut stormy);
    let mut after = quiet(&sluice, &token, &levers).await;
    print("quiet, after", &mut after);
    let mut calm = [before, after].concat();
    print("quiet", &mut calm);
    let ratio = p(&stormy, 0.99).as_secs_f64() / p(&calm, 0.99).as_secs_f64();
    println!("p99 of a change in the storm / quiet: {ratio:.2} (goal <= {GOAL})");
    assert!(ratio <= GOAL * 1.3, "beyond 1.3 x the goal");
}

/// Changes one after another, nothing else.
async fn quiet(sluice: &Served, token: &str, levers: &[Arc<Mutex<Lever>>]) -> Vec<Duration> {
    let mut took = Vec::new();
    for n in 0..QUIET {
        let due = Instant::now();
        flip(sluice, token, &levers[n % SERVICES]).await;
        took.push(due.elapsed());
    }
    took
}

/// Changes that are due at fixed moments, however long the earlier ones take.
async fn storm(sluice: &Arc<Served>, token: &Arc<str>, levers: &[Arc<Mutex<Lever>>]) -> Vec<Duration> {
    let start = Instant::now();
    let mut under_way = Vec::new();
    for n in 0..A_SECOND * SECONDS {
        let due = start + Duration::from_secs(1) / A_SECOND * n;
        tokio::time::sleep_until(due.into()).await;
        let lever = levers[usize::try_from(n).unwrap() % SERVICES].clone();
        let (sluice, token) = (sluice.clone(), token.clone());
        under_way.push(tokio::spawn(async move {
            flip(&sluice, &token, &lever).await;
            due.elapsed()
        }));
    }
    let mut took = Vec::new();
    for one in under_way {
        took.push(one.await.unwrap());
    }
    took
}

async fn flip(sluice: &Served, token: &str, lever: &Mutex<Lever>) {
    let mut lever = lever.lock().await;
    let weight = if lever.weight == 50 { 55 } else { 50 };
    let body: Value = json!({"weights": {"v1": weight, "v2": 100 - weight}, "reason": "a benchmark",
        "ack": ["big_jump", "few_pods", "no_sidecar", "no_metrics"]});
    let path = format!("/api/v1/services/storm/{}/traffic", lever.name);
    let tag = format!("\"{}\"", lever.revision);
    let answer = sluice.call("PUT", &path, Some(token), Some(body), &[("if-match", &tag)]).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    lever.revision = answer.body["revision"].as_u64().unwrap();
    lever.weight = weight;
}

fn p(sorted: &[Duration], q: f64) -> Duration {
    let last = u32::try_from(sorted.len() - 1).unwrap();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the list")]
    let at = (f64::from(last) * q) as usize;
    sorted[at]
}

fn print(what: &str, took: &mut [Duration]) {
    took.sort();
    let ms = |q: f64| p(took, q).as_secs_f64() * 1e3;
    println!(
        "{what}: {} changes, p50 {:.1}, p90 {:.1}, p99 {:.1}, max {:.1} ms",
        took.len(),
        ms(0.5),
        ms(0.9),
        ms(0.99),
        ms(1.0)
    );
}
