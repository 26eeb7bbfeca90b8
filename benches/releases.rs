//! Releases, 500 running at once on one SQLite file, each with an analysis: how late their steps come, what they
//! cost while they hold, how often the source of figures is asked, and what a release's page takes beside its
//! service's. Everything is in this process: use cases, store, watch cache, an API server in memory, the pages.
//!
//! `cargo bench --bench releases [-- RELEASES]`. Goals: p99 of lateness ≤ 1 s; < 10 % of one core while they hold; one
//! question a namespace and interval; page p99 ≤ 2 × the service page's. Ends with an error beyond 1.3 × a goal.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and ends at the first trouble"
)]

#[path = "support/data.rs"]
mod data;
#[path = "support/load.rs"]
mod load;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::BoxFuture;
use load::{Taken, as_f64, quantile, storm};
use serde_json::json;
use sluice::clock::Clock;
use sluice::cluster::{Cluster, Options, Target, client};
use sluice::config::Web;
use sluice::demo::api::ApiServer;
use sluice::domain::actor::{Actor, Channel, Identity};
use sluice::domain::ids::Namespace;
use sluice::domain::observed::Sample;
use sluice::domain::release::validate::read;
use sluice::domain::release::{Happened, Phase, ReleaseId, Step};
use sluice::metrics::{Latency, Metrics, MetricsError, Source};
use sluice::services::{Services, Settings};
use sluice::store::Store;
use sluice::web::{App, listen, router};
use tokio_util::sync::CancellationToken;

const INTERVAL_S: u64 = 15;
/// Over how long an analysis looks back: unlike the minute that pages show, so that queries can be distinguished.
const WINDOW_S: u32 = 300;
/// Long enough that all are started, and looked at for a while, before the first goes on.
const HOLD_S: u64 = 150;
const IDLE: Duration = Duration::from_secs(30);

/// Every version answers well, the new one a tenth of the requests as it is declared while this is measured;
/// counts the questions.
#[derive(Default)]
struct Figures {
    /// Questions of analyses.
    asked: AtomicUsize,
    /// Questions of pages and of what follows a change, while a page is open.
    shown: AtomicUsize,
}

impl Source for Figures {
    fn namespace<'a>(
        &'a self,
        namespace: &'a Namespace,
        window_s: u32,
    ) -> BoxFuture<'a, Result<Vec<Sample>, MetricsError>> {
        let count = if window_s == WINDOW_S { &self.asked } else { &self.shown };
        count.fetch_add(1, Ordering::Relaxed);
        let number: usize = namespace.as_str().trim_start_matches("team-").parse().unwrap_or_default();
        let of = |n: usize, version: &str, requests: f64| Sample {
            service: format!("service-{n:05}").into(),
            workload: format!("service-{n:05}-{version}").into(),
            version: version.into(),
            requests,
            errors: 0.0,
            p95_ms: Some(38.0),
        };
        let all = (number * 100..number * 100 + 100)
            .flat_map(|n| [of(n, "v1", 900.0), of(n, "v2", 100.0)])
            .collect();
        Box::pin(async move { Ok(all) })
    }

    fn latency<'a>(&'a self, _: &'a Latency) -> BoxFuture<'a, Result<Option<f64>, MetricsError>> {
        Box::pin(async { Ok(Some(38.0)) })
    }

    fn number<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<f64>, MetricsError>> {
        Box::pin(async { Ok(None) })
    }
}

fn who() -> Actor {
    Actor { identity: Arc::new(Identity::local("bench")), channel: Channel::Api, address: None }
}

/// Seconds of processor time that this process has used.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().unwrap()).sum();
    ticks / 100.0
}

/// Percent of one core while nothing is asked.
async fn idle() -> f64 {
    let (start, before) = (Instant::now(), cpu_s());
    tokio::time::sleep(IDLE).await;
    (cpu_s() - before) / start.elapsed().as_secs_f64() * 100.0
}

async fn start(services: &Services, n: usize) -> ReleaseId {
    let spec = json!({
        "service": {"namespace": format!("team-{:03}", n / 100), "name": format!("service-{n:05}")},
        "strategy": "canary", "stable": "v1", "candidate": {"from": "adopt", "version": "v2"},
        "steps": [{"kind": "weight", "percent": 10}, {"kind": "hold", "seconds": HOLD_S},
            {"kind": "weight", "percent": 50}, {"kind": "hold", "seconds": 2 * INTERVAL_S},
            {"kind": "weight", "percent": 100}],
        "analysis": {"interval_s": INTERVAL_S, "window_s": WINDOW_S, "min_requests": 50, "failures": 2,
            "metrics": [{"metric": "success_rate", "limit": {"absolute": 99.0}},
                {"metric": "latency", "quantile": 95, "limit": {"relative": 1.5}}]},
    });
    services.start_release(&who(), read(&spec).unwrap(), "a benchmark", "bench").await.unwrap().id
}

/// How late timers of the machine itself are, milliseconds: the floor.
async fn oversleep(stop: CancellationToken) -> Vec<f64> {
    let mut all = Vec::new();
    while !stop.is_cancelled() {
        let start = Instant::now();
        tokio::time::sleep(Duration::from_millis(100)).await;
        all.push((start.elapsed().as_secs_f64() - 0.1) * 1e3);
    }
    all
}

/// Milliseconds between the end of each hold and the transition that it led to.
async fn lateness(services: &Services, id: ReleaseId, late: &mut Vec<f64>) {
    let detail = services.release(&who(), id).await.unwrap();
    assert_eq!(detail.release.state.phase, Phase::Succeeded, "{:?}", detail.release.state);
    let at = |wanted: &Happened| {
        let found = detail.timeline.iter().find(|entry| entry.happened.contains(wanted));
        found.map(|entry| entry.at_ms).unwrap()
    };
    for (step, held) in detail.release.spec.steps.iter().enumerate() {
        if let Step::Hold { seconds } = held {
            let due = at(&Happened::StepBegan { step }) + i64::try_from(*seconds).unwrap() * 1000;
            late.push(f64::from(i32::try_from(at(&Happened::StepDone { step }) - due).unwrap()));
        }
    }
}

fn data(releases: usize) -> ApiServer {
    let api = ApiServer::new(Clock::System);
    data::fill(&api, releases);
    for n in 0..releases {
        let (namespace, name) = (format!("team-{:03}", n / 100), format!("service-{n:05}"));
        let mut object = api.get("VirtualService", &namespace, &name).unwrap();
        let host = format!("{name}.{namespace}.svc.cluster.local");
        let to = |subset: &str, weight: u32| json!({"destination": {"host": host, "subset": subset}, "weight": weight});
        object["spec"]["http"] = json!([{"route": [to("v1", 100), to("v2", 0)]}]);
        api.put(object).unwrap();
    }
    api
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    client::install_crypto();
    let releases: usize =
        std::env::args().skip(1).find(|a| a != "--bench").map_or(500, |n| n.parse().unwrap());
    let api = data(releases);
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::System;
    let store = Store::open(&folder.path().join("sluice.db"), clock.clone()).await.unwrap();
    let target = Target::InProcess(client::in_process(api.service()));
    let cluster = Cluster::connect(target, Options::default()).await.unwrap();
    let stop = CancellationToken::new();
    let cache = cluster.watch(stop.clone());
    let figures = Arc::new(Figures::default());
    let metrics = Metrics::new(Some(figures.clone()), clock.clone());
    let settings = Settings { open: true, ..Settings::default() };
    let services = Services::new(cluster, cache, store, metrics, clock.clone(), settings);
    drop(services.spawn(stop.clone()));
    while services.ready().is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let pages = router(App::new(services.clone(), Web::open(), clock.clone(), None, stop.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let limits = listen::Limits { connections: 500, per_address: 500, ..listen::Limits::default() };
    tokio::spawn(listen::serve(listener, pages, limits, stop.clone()));

    let floor = idle().await;
    let begun = Instant::now();
    let ids: Vec<ReleaseId> =
        futures::stream::iter(0..releases).map(|n| start(&services, n)).buffer_unordered(8).collect().await;
    let took = begun.elapsed().as_secs_f64();
    println!("{releases} releases started in {took:.1} s");
    while futures::stream::iter(&ids)
        .any(async |id| services.release(&who(), *id).await.unwrap().release.state.step == 0)
        .await
    {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Looks come at whole intervals of the clock; a window that begins at one would have its end, or its start, twice.
    let interval_ms = i64::try_from(INTERVAL_S * 1000).unwrap();
    while (clock.now_ms() % interval_ms) / 1000 != i64::try_from(INTERVAL_S / 2).unwrap() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let counts = || (figures.asked.load(Ordering::Relaxed), figures.shown.load(Ordering::Relaxed));
    let before = counts();
    let busy = idle().await;
    let (asked, shown) = counts();
    let intervals = IDLE.as_secs_f64() / f64::from(u32::try_from(INTERVAL_S).unwrap());
    let namespaces = as_f64(releases.div_ceil(100));
    let questions = as_f64(asked - before.0) / namespaces / intervals;
    let shown = as_f64(shown - before.1) / namespaces / intervals;
    println!(
        "idle: {busy:.2} % of one core with {releases} running; floor without any {floor:.2} % (goal < 10 %)"
    );
    println!(
        "questions a namespace and interval: {questions:.2} (goal 1), and {shown:.2} while pages are open"
    );

    let (mut page, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let time = Duration::from_secs(3);
        page.push(storm(&format!("{url}/releases/{}", ids[0]), 8, time).await);
        beside.push(storm(&format!("{url}/services/team-000/service-00000"), 8, time).await);
    }
    for (what, taken) in [("release", &page), ("service", &beside)] {
        let Taken { rate, p50, p99, bytes } = taken[0];
        println!("{what} page: {rate:.0}/s, p50 {p50:.1} ms, p99 {p99:.1} ms, {bytes} bytes");
    }
    let p99 = |all: &[Taken]| quantile(&mut all.iter().map(|taken| taken.p99).collect::<Vec<_>>(), 0.5);
    let (page, beside) = (p99(&page), p99(&beside));
    println!("page p99: ratio {:.2} (goal ≤ 2)", page / beside);

    let awake = CancellationToken::new();
    let sleeping = tokio::spawn(oversleep(awake.clone()));
    for id in &ids {
        while !services.release(&who(), *id).await.unwrap().release.state.phase.is_final() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    awake.cancel();
    let mut slept = sleeping.await.unwrap();
    let mut late = Vec::new();
    for id in &ids {
        lateness(&services, *id, &mut late).await;
    }
    let p99 = quantile(&mut late, 0.99);
    println!(
        "{} steps: late by {:.0} ms p50, {p99:.0} ms p99, {:.0} ms at most; timers of the machine {:.1} ms p99 (goal ≤ 1,000 ms)",
        late.len(),
        quantile(&mut late, 0.5),
        quantile(&mut late, 1.0),
        quantile(&mut slept, 0.99),
    );
    stop.cancel();
    let met = p99 <= 1_300.0 && busy < 13.0 && questions <= 1.3 && page <= 2.6 * beside;
    assert!(met, "beyond 1.3 × a goal");
}
