//! A VirtualService of 1,500 routes (1.3 MB): a preview and a change of its weights through the program on a real API
//! server; beside them, in turn, the bare server-side dry run of the same object.
//!
//! `cargo bench --bench large`; needs what `tests/cluster` needs. Goal: p50 of a preview and of a change ≤ 3 × the dry
//! run. Ends with an error beyond 1.3 × the goal.

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

use std::time::{Duration, Instant};

use cluster::{Options, RealCluster};
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use mesh::Town;
use serde_json::{Value, json};
use served::Served;
use wait::wait_for;

const ROUTES: usize = 1500;
const ROUNDS: usize = 9;
const GOAL: f64 = 3.0;
const PATH: &str = "/api/v1/services/large/shop/traffic";

/// The catch-all and 1,500 routes with a path, a rewrite and headers of their own.
fn spec(host: &str) -> Value {
    let to = |version: &str, weight: u8| json!({"destination": {"host": host, "subset": version}, "weight": weight});
    let mut http: Vec<Value> = (0..ROUTES)
        .map(|n| {
            json!({
                "name": format!("tenant-{n:04}"),
                "match": [
                    {"uri": {"prefix": format!("/tenants/{n:04}/")}, "headers": {"x-tenant-group": {"exact": format!("group-{}", n % 40)}}},
                    {"uri": {"exact": format!("/tenants/{n:04}")}},
                ],
                "rewrite": {"uri": format!("/internal/tenants/{n:04}/")},
                "timeout": "5s",
                "retries": {"attempts": 2, "perTryTimeout": "2s", "retryOn": "connect-failure,refused-stream,unavailable"},
                "headers": {
                    "request": {"set": {"x-tenant": format!("{n:04}"), "x-forwarded-prefix": format!("/tenants/{n:04}")}},
                    "response": {"remove": ["server", "x-envoy-upstream-service-time"], "set": {"x-served-for": format!("tenant-{n:04}")}},
                },
                "route": [to("v1", 100)],
            })
        })
        .collect();
    http.push(json!({"route": [to("v1", 90), to("v2", 10)]}));
    json!({"hosts": [host], "http": http})
}

#[tokio::main]
async fn main() {
    sluice::cluster::client::install_crypto();
    let Some(cluster) = RealCluster::start(Options::default()) else { std::process::exit(1) };
    let town = Town::new(&cluster, "large").await;
    town.app("shop", 8080, &[("v1", 1), ("v2", 1)]).await;
    let host = "shop.large.svc.cluster.local";
    let subsets = ["v1", "v2"].map(|version| json!({"name": version, "labels": {"version": version}}));
    town.istio("DestinationRule", "shop", json!({"host": host, "subsets": subsets})).await;
    town.istio("VirtualService", "shop", spec(host)).await;
    town.settled().await;
    let options = ["--max-changes-per-minute", "0"];
    let sluice = Served::on(&cluster, &options).await;
    town.known(&sluice, "shop", &[("v1", 1), ("v2", 1)]).await;
    let kind = ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("networking.istio.io", "v1", "VirtualService"),
        "virtualservices",
    );
    let routes: Api<DynamicObject> = Api::namespaced_with(cluster.client("admin").await, "large", &kind);
    let bytes = serde_json::to_vec(&routes.get("shop").await.unwrap()).unwrap().len();
    println!("{ROUTES} routes, {bytes} bytes");

    let token = cluster.token("admin");
    let (mut bare, mut previews, mut changes) = (Vec::new(), Vec::new(), Vec::new());
    let mut revision = 0;
    for round in 0..ROUNDS {
        let mut object = routes.get("shop").await.unwrap();
        object.data["spec"]["http"][ROUTES]["route"][0]["weight"] = json!(50);
        object.data["spec"]["http"][ROUTES]["route"][1]["weight"] = json!(50);
        let start = Instant::now();
        routes
            .replace("shop", &PostParams { dry_run: true, ..PostParams::default() }, &object)
            .await
            .unwrap();
        bare.push(start.elapsed());

        let weight = if round % 2 == 0 { 80 } else { 90 };
        let body = json!({"weights": {"v1": weight, "v2": 100 - weight}, "reason": "a benchmark",
            "ack": ["big_jump", "few_pods", "no_sidecar", "no_metrics"]});
        let start = Instant::now();
        let seen =
            sluice.call("POST", &format!("{PATH}/preview"), Some(token), Some(body.clone()), &[]).await;
        previews.push(start.elapsed());
        assert_eq!(seen.status, 200, "{:?}", seen.body);
        let tag = format!("\"{revision}\"");
        let start = Instant::now();
        let done = sluice.call("PUT", PATH, Some(token), Some(body), &[("if-match", &tag)]).await;
        changes.push(start.elapsed());
        assert_eq!(done.status, 200, "{:?}", done.body);
        revision = done.body["revision"].as_u64().unwrap();
        wait_for("the change is known", async || {
            let now = sluice.call("GET", "/api/v1/services/large/shop", Some(token), None, &[]).await;
            (now.etag.as_deref() == Some(&format!("\"{revision}\""))).then_some(())
        })
        .await;
    }
    let floor = p50(&mut bare);
    println!("bare server-side dry run: p50 {:.0} ms", floor.as_secs_f64() * 1e3);
    let mut worst: f64 = 0.0;
    for (what, took) in [("preview", &mut previews), ("change", &mut changes)] {
        let middle = p50(took);
        let ratio = middle.as_secs_f64() / floor.as_secs_f64();
        println!(
            "{what}: p50 {:.0} ms, {ratio:.2} x the dry run (goal <= {GOAL})",
            middle.as_secs_f64() * 1e3
        );
        worst = worst.max(ratio);
    }
    assert!(worst <= GOAL * 1.3, "beyond 1.3 x the goal");
}

fn p50(took: &mut [Duration]) -> Duration {
    took.sort();
    took[took.len() / 2]
}
