//! A real Prometheus with an hour of Istio's own series: the queries mean there what we think they mean.
//!
//! Needs `prometheus` and `promtool` (Debian's package `prometheus`), on the path or beside what
//! `SLUICE_TEST_PROMETHEUS` names.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use sluice::clock::Clock;
use sluice::domain::ids::{Namespace, ServiceRef};
use sluice::domain::observed::Sample;
use sluice::metrics::{Latency, Prometheus, Source};
use url::Url;

use crate::support::wait_for;

/// Seconds between two scrapes.
const EVERY_S: i64 = 15;
const PAST_S: i64 = 3_900;

struct Server {
    child: Child,
    url: Url,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn binary(name: &str) -> PathBuf {
    let named = std::env::var_os("SLUICE_TEST_PROMETHEUS").map(PathBuf::from);
    named.map_or_else(|| PathBuf::from(name), |path| path.with_file_name(name))
}

/// `None` when there is no Prometheus here, which is reported, and is a failure when `CI=true`.
async fn server(series: &str) -> Option<Server> {
    let skipped = if std::env::var_os("SLUICE_TEST_LAYERS").is_some_and(|layers| layers == "fake") {
        true
    } else {
        let found = Command::new(binary("promtool")).arg("--version").output().is_ok();
        assert!(found || std::env::var_os("CI").is_none_or(|ci| ci != "true"), "prometheus is not installed");
        !found
    };
    if skipped {
        eprintln!("SKIPPED: real Prometheus");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let (text, data) = (folder.path().join("series.txt"), folder.path().join("data"));
    std::fs::write(&text, series).unwrap();
    let config = folder.path().join("prometheus.yml");
    std::fs::write(&config, "scrape_configs: []\n").unwrap();
    let made = Command::new(binary("promtool"))
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([&text, &data])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new(binary("prometheus"))
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", data.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let url = Url::parse(&format!("http://127.0.0.1:{port}")).unwrap();
    let server = Server { child, url, _folder: folder };
    let prometheus = Prometheus::new(&server.url, None).unwrap();
    wait_for("an answer of Prometheus", async || {
        prometheus
            .namespace(&Namespace::from("bookinfo"), 60)
            .await
            .ok()
            .filter(|samples| !samples.is_empty())
    })
    .await;
    Some(server)
}

/// Who was called, and what else the series says.
fn labels(reporter: &str, namespace: &str, service: &str, version: &str, more: &str) -> String {
    format!(
        "reporter=\"{reporter}\",destination_service_namespace=\"{namespace}\",\
         destination_service_name=\"{service}\",destination_workload=\"{service}-{version}\",\
         destination_version=\"{version}\",{more}"
    )
}

/// The counters of one metric over the last hour, as text that promtool reads: labels, growth a second.
fn counters(out: &mut String, metric: &str, all: &[(String, f64)]) {
    let now_s = Clock::System.now_ms() / 1000;
    writeln!(out, "# TYPE {metric} counter").unwrap();
    for (labels, per_second) in all {
        let mut value = 0.0;
        for scrape in 0..=PAST_S / EVERY_S {
            let at_s = now_s - PAST_S + scrape * EVERY_S;
            writeln!(out, "{metric}_total{{{labels}}} {value} {at_s}").unwrap();
            value += per_second * f64::from(u16::try_from(EVERY_S).unwrap());
        }
    }
}

/// Durations of one workload: of 100 requests a second 90 take at most 10 ms, 99 at most 25 ms.
fn durations(out: &mut String, labels: &str) {
    for (end, per_second) in [("10", 90.0), ("25", 99.0), ("+Inf", 100.0)] {
        let metric = "istio_request_duration_milliseconds_bucket";
        let mut rows = String::new();
        counters(&mut rows, metric, &[(format!("{labels},le=\"{end}\""), per_second)]);
        // As plain series: promtool wants whole histograms of a type, and keeps names as they are.
        for row in rows.lines().filter(|row| !row.starts_with('#')) {
            writeln!(out, "{}", row.replace("_bucket_total{", "_bucket{")).unwrap();
        }
    }
}

fn an_hour() -> String {
    let http = |reporter, namespace, version, code: &str| {
        let more = format!("response_code=\"{code}\",response_flags=\"-\",source_workload=\"productpage\"");
        labels(reporter, namespace, "reviews", version, &more)
    };
    let from_gateway = http("source", "bookinfo", "v1", "200").replace("productpage", "gateway");
    let mut out = String::new();
    counters(
        &mut out,
        "istio_requests",
        &[
            (http("source", "bookinfo", "v1", "200"), 20.0),
            (from_gateway, 9.0),
            (http("source", "bookinfo", "v1", "503"), 1.0),
            (http("waypoint", "bookinfo", "v2", "200"), 70.0),
            (http("source", "bookinfo", "v3", "200"), 0.0),
            // The server's side of the same requests, and somebody else's.
            (http("destination", "bookinfo", "v1", "200"), 30.0),
            (http("source", "other", "v1", "200"), 500.0),
        ],
    );
    let tcp =
        |flags: &str| labels("source", "bookinfo", "mongodb", "v1", &format!("response_flags=\"{flags}\""));
    counters(&mut out, "istio_tcp_connections_opened", &[(tcp("-"), 4.0), (tcp("UF"), 1.0)]);
    writeln!(out, "# TYPE istio_request_duration_milliseconds_bucket unknown").unwrap();
    durations(&mut out, &labels("source", "bookinfo", "reviews", "v1", "response_code=\"200\""));
    out.push_str("# EOF\n");
    out
}

fn near(value: f64, wanted: f64) -> bool {
    (value - wanted).abs() <= wanted * 0.02
}

#[tokio::test]
async fn the_queries_count_what_istio_counted() {
    let Some(server) = server(&an_hour()).await else { return };
    let prometheus = Prometheus::new(&server.url, None).unwrap();
    for window_s in [60, 300, 3600] {
        let samples = prometheus.namespace(&Namespace::from("bookinfo"), window_s).await.unwrap();
        let of = |workload: &str| -> &Sample { samples.iter().find(|s| &*s.workload == workload).unwrap() };
        let seconds = f64::from(window_s);
        let (v1, v2) = (of("reviews-v1"), of("reviews-v2"));
        assert!(near(v1.requests, 30.0 * seconds), "{window_s}: {v1:?}");
        assert!(near(v1.errors, seconds), "{v1:?}");
        assert!(near(v2.requests, 70.0 * seconds), "{v2:?}");
        assert!(near(of("reviews-v3").requests + 1.0, 1.0));
        assert!(near(of("mongodb-v1").requests, 5.0 * seconds));
        assert!(near(of("mongodb-v1").errors, seconds));
        // 95 of 100: five ninths of the way from 10 to 25 ms.
        assert!(near(v1.p95_ms.unwrap(), 10.0 + 15.0 * 5.0 / 9.0), "{v1:?}");
        assert_eq!(v2.p95_ms, None);
        let latency = async |workloads: &[&str], quantile| {
            let asked = Latency {
                service: ServiceRef::new("bookinfo", "reviews"),
                siblings: Vec::new(),
                workloads: workloads.iter().map(|name| (*name).into()).collect(),
                quantile,
                window_s,
            };
            prometheus.latency(&asked).await.unwrap()
        };
        assert!(near(latency(&["reviews-v1", "reviews-v2"], 50).await.unwrap(), 10.0 * 50.0 / 90.0));
        assert!(near(latency(&["reviews-v1"], 99).await.unwrap(), 25.0));
        // Names are names, not patterns.
        assert_eq!(latency(&["reviews.v1", "reviews-v.*", "\"} or vector(1) #"], 99).await, None);
        assert_eq!(samples.len(), 4, "{samples:?}");
    }
    for nobody in ["nobody", "x\"}[1s])) or vector(1) #\n\\", "\u{7}'`ü{}"] {
        let found = prometheus.namespace(&Namespace::trusted(nobody), 60).await;
        assert_eq!(found, Ok(vec![]), "{nobody:?} is a value and nothing else");
    }
}
