//! The whole product for a benchmark, in a process of its own: router, use cases, store and watch cache over
//! an API server in memory. It ends when its standard input is closed.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures::future::BoxFuture;
use sluice::clock::Clock;
use sluice::cluster::{Cluster, Options, Target, client};
use sluice::config::Web;
use sluice::demo::api::ApiServer;
use sluice::domain::ids::Namespace;
use sluice::domain::observed::Sample;
use sluice::metrics::{Metrics, MetricsError, Source};
use sluice::services::{Services, Settings};
use sluice::store::Store;
use sluice::web::{App, listen, router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A process that serves; ends when dropped.
pub struct Served {
    pub url: String,
    child: Child,
    _input: ChildStdin,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    /// Starts this program again in another role and waits for its address.
    pub fn start(role: &[&str]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let input = child.stdin.take().unwrap();
        Self { url: line.trim().to_owned(), child, _input: input }
    }

    /// Resident memory in kilobytes.
    pub fn kb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// Sends the parent the address and serves until the parent closes our input.
pub async fn serve(router: Router) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut output = std::io::stdout();
    writeln!(output, "http://{}", listener.local_addr().unwrap()).unwrap();
    output.flush().unwrap();
    let stop = CancellationToken::new();
    let ended = stop.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        ended.cancel();
    });
    listen::serve(
        listener,
        router,
        listen::Limits { connections: 2_000, per_address: 2_000, ..listen::Limits::default() },
        stop,
    )
    .await;
}

/// Every version of every service answers the same.
struct Figures;

impl Source for Figures {
    fn namespace<'a>(
        &'a self,
        namespace: &'a Namespace,
        _window_s: u32,
    ) -> BoxFuture<'a, Result<Vec<Sample>, MetricsError>> {
        let number: usize = namespace.as_str().trim_start_matches("team-").parse().unwrap_or_default();
        let of = |n: usize, version: &str, requests| Sample {
            service: format!("service-{n:05}").into(),
            workload: format!("service-{n:05}-{version}").into(),
            version: version.into(),
            requests,
            errors: 1.0,
            p95_ms: Some(38.0),
        };
        let all = (number * 100..number * 100 + 100)
            .flat_map(|n| [of(n, "v1", 700.0), of(n, "v2", 200.0), of(n, "v3", 100.0)])
            .collect();
        Box::pin(async move { Ok(all) })
    }
}

/// The product's router over that API server, ready; `folder` holds the history.
pub async fn open(api: &ApiServer, folder: &std::path::Path) -> Router {
    let clock = Clock::System;
    let store = Store::open(&folder.join("sluice.db"), clock.clone()).await.unwrap();
    let target = Target::InProcess(client::in_process(api.service()));
    let cluster = Cluster::connect(target, Options::default()).await.unwrap();
    let stop = CancellationToken::new();
    let cache = cluster.watch(stop.clone());
    let metrics = Metrics::new(Some(Arc::new(Figures)), clock.clone());
    let rules = Settings { open: true, ..Settings::default() };
    let services = Services::new(cluster, cache.clone(), store, metrics, clock.clone(), rules);
    drop(services.spawn(stop.clone()));
    assert!(cache.ready_within(Duration::from_mins(2)).await);
    while services.ready().is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    router(App::new(services, Web::open(), clock, None, stop))
}
