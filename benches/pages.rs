//! The list of services as a page and as JSON: at 10,000 services beside the same at 100, and beside a bare
//! axum handler that renders a page of as many rows with askama, or serialises as many services. Every
//! server is a process of its own; they are asked in turn by 16 connections.
//!
//! `cargo bench --bench pages [-- SERVICES SECONDS]`. Goals: p99 at 10,000 ≤ 1.5 × at 100; rate ≥ 50 % of
//! the bare handler's. Ends with an error beyond 1.3 × a goal.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and ends at the first trouble"
)]

#[path = "support/data.rs"]
mod data;
#[path = "support/fresh.rs"]
mod fresh;
#[path = "support/house.rs"]
mod house;
#[path = "support/load.rs"]
mod load;

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::response::Html;
use axum::routing::get;
use fresh::once_each;
use house::Served;
use load::{Taken, storm};
use serde_json::Value;
use sluice::clock::Clock;
use sluice::demo::api::ApiServer;

const ROUNDS: usize = 5;
const AT_ONCE: usize = 16;

/// The floor's page: a hundred rows with the words that a row of ours shows, and nothing else.
#[derive(Template)]
#[template(
    ext = "html",
    source = "<!doctype html><html lang=en><head><title>Services</title></head><body><table>\
{% for row in rows %}<tr id=\"row-{{ row.name }}\"><td><a href=\"/services/{{ row.namespace }}/{{ row.name }}\">{{ row.name }}</a> {{ row.namespace }}</td>\
<td>{% for version in row.versions %}<span class=\"v\" data-weight=\"{{ version.weight }}\">{{ version.name }} {{ version.weight }} % {{ version.ready }}/{{ version.total }}</span> {% endfor %}</td>\
<td>{{ row.requests }}/s</td><td>{{ row.success }} %</td><td>{{ row.p95 }} ms</td><td>{{ row.state }}</td><td>{{ row.changed }}</td></tr>\
{% endfor %}</table></body></html>"
)]
struct Bare {
    rows: Vec<Row>,
}

struct Row {
    namespace: String,
    name: String,
    versions: Vec<Version>,
    requests: f64,
    success: f64,
    p95: f64,
    state: &'static str,
    changed: &'static str,
}

struct Version {
    name: &'static str,
    weight: u8,
    ready: u32,
    total: u32,
}

fn rows() -> Vec<Row> {
    let versions = || {
        [("v1", 70), ("v2", 20), ("v3", 10)].map(|(name, weight)| Version {
            name,
            weight,
            ready: 1,
            total: 1,
        })
    };
    (0..100)
        .map(|n| Row {
            namespace: format!("team-{:03}", n % 7),
            name: format!("service-{n:05}"),
            versions: versions().into(),
            requests: 3.3,
            success: 99.7,
            p95: 38.0,
            state: "Steady",
            changed: "never",
        })
        .collect()
}

/// `likeness` is an answer of ours: as much is serialised for every request.
fn bare(likeness: Value) -> Router {
    let likeness = Arc::new(likeness);
    let json = move || {
        let likeness = likeness.clone();
        async move { ([("content-type", "application/json")], serde_json::to_vec(&*likeness).unwrap()) }
    };
    Router::new()
        .route("/page", get(|| async { Html(Bare { rows: rows() }.render().unwrap()) }))
        .route("/json", get(json))
}

#[tokio::main(worker_threads = 1)]
async fn main() {
    sluice::cluster::client::install_crypto();
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match arguments.first().map(String::as_str) {
        Some("product") => {
            let api = ApiServer::new(Clock::System);
            data::fill(&api, arguments[1].parse().unwrap());
            let folder = tempfile::tempdir().unwrap();
            house::serve(house::open(&api, folder.path()).await).await;
        }
        Some("bare") => {
            house::serve(bare(
                serde_json::from_str(&std::fs::read_to_string(&arguments[1]).unwrap()).unwrap(),
            ))
            .await;
        }
        many => {
            let many = many.map_or(10_000, |n| n.parse::<u32>().unwrap());
            let seconds = arguments.get(1).map_or(3, |n| n.parse::<u64>().unwrap());
            std::process::exit(measure(many, Duration::from_secs(seconds)).await);
        }
    }
}

/// The middle one by `figure`.
fn median(rounds: &[Taken], figure: impl Fn(&Taken) -> f64) -> f64 {
    load::quantile(&mut rounds.iter().map(figure).collect::<Vec<_>>(), 0.5)
}

async fn measure(many: u32, time: Duration) -> i32 {
    let few = Served::start(&["product", "100"]);
    let full = Served::start(&["product", &many.to_string()]);
    let likeness = reqwest::get(format!("{}/api/v1/services?limit=100", few.url)).await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), likeness.text().await.unwrap()).unwrap();
    let floor = Served::start(&["bare", file.path().to_str().unwrap()]);

    let mut over = false;
    for (what, bare, ours) in
        [("page", "/page", "/services?limit=100"), ("JSON", "/json", "/api/v1/services?limit=100")]
    {
        let mut taken: [Vec<Taken>; 3] = Default::default();
        for round in 0..=ROUNDS {
            let servers =
                [format!("{}{bare}", floor.url), format!("{}{ours}", few.url), format!("{}{ours}", full.url)];
            for (url, taken) in servers.iter().zip(&mut taken) {
                let figures = storm(url, AT_ONCE, time).await;
                // The first round warms everything up.
                if round > 0 {
                    taken.push(figures);
                }
            }
        }
        let names = ["bare".to_owned(), "100 services".to_owned(), format!("{many} services")];
        for (name, taken) in names.iter().zip(&taken) {
            println!(
                "{what:5} {name:15} {:7.0}/s  p50 {:6.2} ms  p99 {:6.2} ms  {} bytes",
                median(taken, |t| t.rate),
                median(taken, |t| t.p50),
                median(taken, |t| t.p99),
                taken[0].bytes
            );
        }
        let growth = median(&taken[2], |t| t.p99) / median(&taken[1], |t| t.p99);
        let rate = median(&taken[2], |t| t.rate) / median(&taken[0], |t| t.rate);
        let size = load::as_f64(taken[2][0].bytes) / load::as_f64(taken[0][0].bytes);
        println!(
            "{what:5} p99 at {many}: {growth:.2} x at 100 (goal 1.5); rate {rate:.2} x bare (goal 0.5), with {size:.1} x its bytes"
        );
        over |= growth > 1.5 * 1.3 || rate < 0.5 / 1.3;
    }
    // Answers are kept for a second while nothing changes; here every question is a new one.
    for (what, path) in [("page", "/services"), ("JSON", "/api/v1/services")] {
        for (server, services) in [(&few, 100), (&full, many)] {
            let urls = (0..200).map(|n| format!("{}{path}?q=service&limit={}", server.url, 100 + n));
            let mut times = once_each(urls).await;
            let (p50, p99) = (load::quantile(&mut times, 0.5), load::quantile(&mut times, 0.99));
            println!(
                "{what:5} never asked before, 100-300 rows of {services} services: p50 {p50:.2} ms, p99 {p99:.2} ms"
            );
        }
    }
    println!(
        "memory: {:.1} MB with 100 services and {:.1} MB with {many}, the API server in the same process included",
        few.kb() / 1024.0,
        full.kb() / 1024.0
    );
    println!("load {}", std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());
    i32::from(over)
}
