//! `sluice serve` on a real API server with 1,000 services of three versions each (3,000 running pods):
//! start to ready, memory, the list of one namespace and of all, and one change, each beside the bare calls
//! of Kubernetes that such a thing cannot do without.
//!
//! `cargo bench --bench scale [-- SERVICES [PROGRAM]]`; needs what `tests/cluster` needs, and about a minute to fill
//! the server. PROGRAM is another build of Sluice, the one of a release say. Goals: ready in ≤ 2.5 × the bare LISTs,
//! list of 100 services ≤ 8 ms, of 1,000 ≤ 78 ms, memory ≤ 49 MB, a change ≤ 1.5 × (PUT + one durable commit). What
//! every careful client does one after the other (GET, dry run, durable intent, PUT, durable outcome) is printed, too.
//! Ends with an error beyond 1.3 × a ratio; absolute figures only inform.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and ends at the first trouble"
)]

#[path = "../tests/it/support/cluster.rs"]
#[expect(dead_code, reason = "the tests' own way to a cluster; less of it is wanted here")]
mod cluster;
#[path = "support/data.rs"]
mod data;
#[path = "support/fresh.rs"]
mod fresh;
#[path = "support/load.rs"]
mod load;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cluster::{Options, RealCluster};
use fresh::once_each;
use futures::{StreamExt, TryStreamExt, stream};
use load::{as_f64, quantile, storm};
use serde_json::{Value, json};
use sluice::clock::Clock;
use sluice::demo::api::ApiServer;
use sqlx::{Connection, SqliteConnection};

const CHANGES: usize = 200;

struct Sluice {
    url: String,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Sluice {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::main]
async fn main() {
    sluice::cluster::client::install_crypto();
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    let services = arguments.next().map_or(1_000, |n| n.parse().unwrap());
    let program = arguments.next().unwrap_or_else(|| env!("CARGO_BIN_EXE_sluice").to_owned());
    let Some(cluster) = RealCluster::start(Options::default()) else { std::process::exit(1) };
    let client = cluster.client("admin").await;
    let start = Instant::now();
    fill(&client, services).await;
    println!("{services} services filled and running in {:.0} s", start.elapsed().as_secs_f64());

    let lists = [
        "/api/v1/namespaces",
        "/api/v1/services",
        "/apis/discovery.k8s.io/v1/endpointslices",
        "/api/v1/pods",
        "/apis/apps/v1/deployments",
        "/apis/apps/v1/statefulsets",
        "/apis/networking.istio.io/v1/virtualservices",
        "/apis/networking.istio.io/v1/destinationrules",
    ];
    let raw = Instant::now();
    for path in lists {
        text(&client, "GET", &format!("{path}?resourceVersion=0"), None).await;
    }
    let raw = raw.elapsed().as_secs_f64();

    let start = Instant::now();
    let sluice = serve(&cluster, &program).await;
    let ready = start.elapsed().as_secs_f64();
    println!("start to ready {ready:.2} s, {:.1} x the bare LISTs ({raw:.2} s; goal 2.5)", ready / raw);
    println!(
        "memory {:.1} MB (goal 49): {:.1} MB of its own, {:.1} MB of the program's file",
        sluice.mb("VmRSS:"),
        sluice.mb("RssAnon:"),
        sluice.mb("RssFile:")
    );

    let bare = "/apis/networking.istio.io/v1/namespaces/team-001/virtualservices?resourceVersion=0";
    let mut times = Vec::new();
    for _ in 0..100 {
        let from = Instant::now();
        text(&client, "GET", bare, None).await;
        times.push(from.elapsed().as_secs_f64() * 1e3);
    }
    println!("bare LIST of one namespace's VirtualServices p50 {:.2} ms", quantile(&mut times, 0.5));
    let page = Duration::from_secs(3);
    for (what, path) in [
        ("one namespace as JSON (goal 8 ms)", "/api/v1/services?namespace=team-001&limit=100"),
        ("one namespace as a page (goal 8 ms)", "/services?ns=team-001"),
        ("the first 500 as JSON (half of a goal of 78 ms)", "/api/v1/services?limit=500"),
        ("one service as JSON", "/api/v1/services/team-001/service-00101"),
    ] {
        let taken = storm(&format!("{}{path}", sluice.url), 1, page).await;
        println!(
            "{what}: p50 {:.2} ms, p99 {:.2} ms, {:.0}/s, {} bytes",
            taken.p50, taken.p99, taken.rate, taken.bytes
        );
    }
    // Answers are kept for a second while nothing changes; here every question is a new one.
    let urls =
        (0..100).map(|n| format!("{}/api/v1/services?namespace=team-001&limit={}", sluice.url, 100 + n));
    let mut times = once_each(urls).await;
    println!(
        "one namespace as JSON, never asked before: p50 {:.2} ms, p99 {:.2} ms",
        quantile(&mut times, 0.5),
        quantile(&mut times, 0.99)
    );
    let ratio = change(&client, &sluice).await;
    println!("memory after all that {:.1} MB", sluice.mb("VmRSS:"));
    println!("load {}", std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());
    // An exit drops nothing.
    drop((sluice, cluster));
    std::process::exit(i32::from(ratio > 1.5 * 1.3 || ready / raw > 2.5 * 1.3));
}

/// A change through Sluice, a bare PUT with one durable commit, and the calls of a careful client, in turn, on
/// services of their own.
async fn change(client: &kube::Client, sluice: &Sluice) -> f64 {
    let http = reqwest::Client::new();
    let folder = tempfile::tempdir().unwrap();
    let mut history =
        SqliteConnection::connect(&format!("sqlite://{}/floor.db?mode=rwc", folder.path().display()))
            .await
            .unwrap();
    for line in
        ["PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "CREATE TABLE floor (at INTEGER, what TEXT)"]
    {
        sqlx::query(line).execute(&mut history).await.unwrap();
    }
    let of = |name: &str| format!("/apis/networking.istio.io/v1/namespaces/team-000/virtualservices/{name}");
    let (bare, safe) = (of("service-00002"), of("service-00003"));
    let ours = format!("{}/api/v1/services/team-000/service-00001", sluice.url);
    let (mut floor, mut careful, mut product) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..CHANGES {
        let weight = 20 + n % 50;
        let object = weighed(&text(client, "GET", &bare, None).await, weight);
        let from = Instant::now();
        text(client, "PUT", &bare, Some(&object)).await;
        commit(&mut history).await;
        floor.push(from.elapsed().as_secs_f64() * 1e3);

        let from = Instant::now();
        let object = weighed(&text(client, "GET", &safe, None).await, weight);
        text(client, "PUT", &format!("{safe}?dryRun=All"), Some(&object)).await;
        commit(&mut history).await;
        text(client, "PUT", &safe, Some(&object)).await;
        commit(&mut history).await;
        careful.push(from.elapsed().as_secs_f64() * 1e3);

        let seen = http.get(&ours).send().await.unwrap();
        let tag = seen.headers()["etag"].to_str().unwrap().to_owned();
        let body = json!({"weights": {"v1": 80 - weight, "v2": weight, "v3": 20}, "reason": "a benchmark",
            "ack": ["big_jump", "few_pods", "no_sidecar"]});
        let from = Instant::now();
        let answer =
            http.put(format!("{ours}/traffic")).header("if-match", tag).json(&body).send().await.unwrap();
        let status = answer.status();
        let told = answer.text().await.unwrap();
        product.push(from.elapsed().as_secs_f64() * 1e3);
        assert!(status.is_success(), "{told}");
    }
    for (what, times) in [
        ("PUT and commit", &mut floor),
        ("GET, dry run, commit, PUT, commit", &mut careful),
        ("a change", &mut product),
    ] {
        println!("{what}: p50 {:.2} ms, p99 {:.2} ms", quantile(times, 0.5), quantile(times, 0.99));
    }
    let product = quantile(&mut product, 0.5);
    let ratio = product / quantile(&mut floor, 0.5);
    println!("a change is {ratio:.2} x (PUT + commit) (goal 1.5)");
    println!("and {:.2} x the calls of a careful client", product / quantile(&mut careful, 0.5));
    ratio
}

fn weighed(object: &str, weight: usize) -> Value {
    let mut object: Value = serde_json::from_str(object).unwrap();
    for (at, weight) in [80 - weight, weight, 20].into_iter().enumerate() {
        object["spec"]["http"][0]["route"][at]["weight"] = json!(weight);
    }
    object
}

async fn commit(history: &mut SqliteConnection) {
    sqlx::query("INSERT INTO floor VALUES (?, ?)").bind(1_i64).bind("set").execute(history).await.unwrap();
}

async fn serve(cluster: &RealCluster, program: &str) -> Sluice {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(program)
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--auth",
            "none",
            "--max-changes-per-minute",
            "0",
            "--kubeconfig",
        ])
        .arg(cluster.kubeconfig("admin"))
        .args(["--database-url", &format!("sqlite://{}/sluice.db", folder.path().display())])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("Sluice is at ").unwrap().to_owned();
    let sluice = Sluice { url, child, _folder: folder };
    loop {
        let answer = reqwest::get(format!("{}/readyz", sluice.url)).await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return sluice;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Sluice {
    fn mb(&self, figure: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(figure)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }
}

async fn text(client: &kube::Client, method: &str, path: &str, body: Option<&Value>) -> String {
    let body = body.map(|body| serde_json::to_vec(body).unwrap()).unwrap_or_default();
    let request =
        http::Request::builder().method(method).uri(path).header("content-type", "application/json");
    client
        .request_text(request.body(body).unwrap())
        .await
        .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

/// Writes the made-up services; the controllers and the stand-in kubelet make the rest. Waits for all pods.
async fn fill(client: &kube::Client, services: usize) {
    let made_up = ApiServer::new(Clock::System);
    data::fill(&made_up, services);
    let request = |path: String, object: Value| async move {
        text(client, "POST", &path, Some(&object)).await;
        Ok::<_, std::convert::Infallible>(())
    };
    let namespaces = (0..services.div_ceil(100)).map(|n| {
        let name = format!("team-{n:03}");
        request(
            "/api/v1/namespaces".into(),
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
        )
    });
    stream::iter(namespaces).buffer_unordered(8).try_collect::<()>().await.unwrap();
    for (kind, group, plural) in [
        ("Service", "/api/v1", "services"),
        ("Deployment", "/apis/apps/v1", "deployments"),
        ("VirtualService", "/apis/networking.istio.io/v1", "virtualservices"),
        ("DestinationRule", "/apis/networking.istio.io/v1", "destinationrules"),
    ] {
        let all = made_up.list(kind, None).into_iter().map(|object| {
            let mut object: Value = serde_json::from_slice(&object.json()).unwrap();
            let namespace = object["metadata"]["namespace"].as_str().unwrap().to_owned();
            let keep = |meta: &Value, key: &str| meta[key].clone();
            object["metadata"] = json!({"name": keep(&object["metadata"], "name"), "labels": keep(&object["metadata"], "labels")});
            object.as_object_mut().unwrap().remove("status");
            if kind == "Service" {
                let spec = object["spec"].as_object_mut().unwrap();
                spec.retain(|field, _| !field.starts_with("clusterIP") && !field.starts_with("ipFamil"));
            }
            if kind == "Deployment" {
                object["spec"]["template"]["spec"].as_object_mut().unwrap().remove("serviceAccountName");
            }
            request(format!("{group}/namespaces/{namespace}/{plural}"), object)
        });
        stream::iter(all).buffer_unordered(8).try_collect::<()>().await.unwrap();
    }
    loop {
        let pods: Value = serde_json::from_str(
            &text(client, "GET", "/apis/apps/v1/deployments?resourceVersion=0", None).await,
        )
        .unwrap();
        let items = pods["items"].as_array().unwrap();
        let ready = items.iter().filter(|item| item["status"]["readyReplicas"] == 1).count();
        if ready >= services * 3 {
            return;
        }
        println!("{:.0} % of the pods run", as_f64(ready) * 100.0 / as_f64(services * 3));
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
}
