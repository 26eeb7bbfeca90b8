//! From the click on Apply in Chromium to the first request that goes the new way through a real Envoy, driven by the
//! real istiod; beside it, in turn on the same chain, the same from a bare PATCH of the VirtualService.
//!
//! `cargo bench --bench click`; needs what `tests/cluster` and `tests/browser` need. Goal: median of the click
//! ≤ 1.2 × median of the PATCH. Requests are made 500 times a second, so each figure is good to 2 ms. Ends with an
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
#[expect(dead_code, reason = "the tests' own way to make requests; less of it is wanted here")]
mod mesh;
#[path = "../tests/it/support/served.rs"]
#[expect(dead_code, reason = "the program is only looked at")]
mod served;
#[path = "../tests/it/support/wait.rs"]
mod wait;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use cluster::{Mesh, Options, RealCluster, repository};
use mesh::{Ask, Load, Town};
use serde_json::{Value, json};
use sluice::clock::Clock;
use wait::wait_for;

const ROUNDS: usize = 6;
const GOAL: f64 = 1.2;

/// Chromium with the page of the service; `tests/browser/click.mjs`.
struct Hand {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Drop for Hand {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Hand {
    fn start(url: &str, token: &str, service: &str) -> Self {
        let mut child = Command::new("node")
            .arg(repository().join("tests/browser/click.mjs"))
            .args([url, service])
            .env("SLUICE_TEST_TOKEN", token)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output) }
    }

    /// Says something and waits for the answer.
    fn say(&mut self, line: &Value) -> Value {
        writeln!(self.input, "{line}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }
}

#[tokio::main]
async fn main() {
    sluice::cluster::client::install_crypto();
    let options = Options { mesh: Mesh::Started, ..Options::default() };
    let Some(cluster) = RealCluster::start(options) else { std::process::exit(1) };
    let town = Town::new(&cluster, "click").await;
    town.app("productpage", 9080, &[("v1", 1)]).await;
    town.app("reviews", 9080, &[("v1", 1), ("v2", 1)]).await;
    let subsets = ["v1", "v2"].map(|version| json!({"name": version, "labels": {"version": version}}));
    town.istio("DestinationRule", "reviews", json!({"host": "reviews", "subsets": subsets})).await;
    town.istio("VirtualService", "reviews", json!({"hosts": ["reviews"], "http": http("v1")})).await;
    town.settled().await;
    let from = town.sidecar("productpage").await;
    let ask = Ask::to("reviews.click.svc.cluster.local:9080");
    let load = Load {
        from,
        port: 9080,
        requests: vec![ask],
        streams: 4,
        rate: 500.0,
        each: true,
        ..Load::default()
    };
    town.until(&load, &["v1"]).await;
    let sluice = town.sluice().await;
    town.known(&sluice, "reviews", &[("v1", 1), ("v2", 1)]).await;
    let mut hand = Hand::start(&sluice.url, cluster.token("admin"), "/services/click/reviews");

    let (mut clicks, mut patches) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Both go both ways, and each comes first every other time.
        for (turn, to) in [(round, "v2"), (round + 1, "v1"), (round + 1, "v2"), (round, "v1")] {
            let by_hand = turn % 2 == 0;
            if by_hand {
                // The page must show what a PATCH left behind.
                wait_for("Sluice has seen it", async || {
                    let declared = town.seen(&sluice, "reviews").await.body["declared"].clone();
                    (declared[to] == json!(0)).then_some(())
                })
                .await;
                assert_eq!(hand.say(&json!({"prepare": to})), json!({"ready": true}));
            }
            let steady = town.begin(&load).await;
            town.until(&Load { each: false, ..load.clone() }, &[if to == "v1" { "v2" } else { "v1" }]).await;
            let began = if by_hand {
                hand.say(&json!({"click": true}))["at"].as_f64().unwrap()
            } else {
                let now = now_ms();
                town.merge("VirtualService", "reviews", json!({"spec": {"http": http(to)}})).await;
                now
            };
            town.until(&Load { each: false, ..load.clone() }, &[to]).await;
            let got = steady.stop().await;
            got.assert_no_failure();
            let first = got.each.iter().filter(|one| one.version == to && one.at >= began);
            let took = first.map(|one| one.at - began).reduce(f64::min).unwrap();
            println!("{} to {to}: {took:.0} ms", if by_hand { "click" } else { "PATCH" });
            let kept = if by_hand { &mut clicks } else { &mut patches };
            kept.push(took);
        }
    }
    let (click, patch) = (median(&mut clicks), median(&mut patches));
    let ratio = click / patch;
    println!("click -> first request: median {click:.0} ms of {clicks:.0?}");
    println!("PATCH -> first request: median {patch:.0} ms of {patches:.0?}");
    println!("ratio {ratio:.2} (goal <= {GOAL})");
    assert!(ratio <= GOAL * 1.3, "beyond 1.3 x the goal");
}

fn now_ms() -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "microseconds since 1970 fit")]
    let micros = Clock::System.now().as_microsecond() as f64;
    micros / 1_000.0
}

/// All requests to one version; the other one stays in the list.
fn http(to: &str) -> Value {
    let part = |version: &str| {
        let weight = if version == to { 100 } else { 0 };
        json!({"destination": {"host": "reviews", "subset": version}, "weight": weight})
    };
    json!([{"route": [part("v1"), part("v2")]}])
}

fn median(all: &mut [f64]) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
