//! Memory and cold start of the watch cache at 10,000 services, beside what they are measured against: typed
//! reflectors over the same objects, and a raw LIST of the same kinds. All three read one API server over
//! loopback TCP, each in a process of its own, in turn.
//!
//! `cargo bench --bench cache [-- --services 1000]`. Goal: memory ≤ 1/8 of typed reflectors; ends with an error beyond
//! 1.3 × it. The time to ready only informs: this server sends bytes that lie ready, so the raw LIST beside it costs
//! next to nothing. The goal of a cold start is measured by `scale`, where a real API server answers.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and ends when something is wrong"
)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use futures::StreamExt;
use http_body_util::{BodyExt, Empty};
#[path = "support/data.rs"]
mod data;

use data::fill;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::reflector::Lookup;
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, Client, Resource};
use serde_json::{Value, json};
use sluice::clock::Clock;
use sluice::cluster::{Cluster, Options, Target};
use sluice::demo::api::ApiServer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const KINDS: [&str; 8] = [
    "/api/v1/namespaces",
    "/api/v1/services",
    "/apis/discovery.k8s.io/v1/endpointslices",
    "/api/v1/pods",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/statefulsets",
    "/apis/networking.istio.io/v1/virtualservices",
    "/apis/networking.istio.io/v1/destinationrules",
];

const ROUNDS: usize = 3;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let after = |flag: &str| arguments.iter().position(|a| a == flag).and_then(|at| arguments.get(at + 1));
    if let Some(role) = after("--child") {
        let server = after("--server").unwrap();
        let figures = match role.as_str() {
            "ours" => ours(server).await,
            "typed" => typed(server).await,
            _ => raw(server).await,
        };
        println!("{figures}");
        return;
    }
    let services: usize = after("--services").map_or(10_000, |n| n.parse().unwrap());
    let api = ApiServer::new(Clock::System);
    let start = Instant::now();
    let objects = fill(&api, services);
    println!("{services} services, {objects} objects, filled in {:.1} s", start.elapsed().as_secs_f64());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { api.serve(listener).await });

    let mut rounds: Vec<[Value; 3]> = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push([
            child("raw", &server).await,
            child("ours", &server).await,
            child("typed", &server).await,
        ]);
    }
    std::process::exit(report(&rounds, services));
}

/// Prints the medians and says whether the goals are met.
fn report(rounds: &[[Value; 3]], services: usize) -> i32 {
    let median = |who: usize, figure: &str| {
        let mut all: Vec<f64> = rounds.iter().map(|round| round[who][figure].as_f64().unwrap()).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let (raw, ours, typed) = (0, 1, 2);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("medians of {ROUNDS} rounds in turn; load {}", load.trim());
    println!("raw LIST       {:6.2} s  {:7.1} MB read", median(raw, "s"), median(raw, "mb"));
    println!(
        "ours           {:6.2} s  {:7.1} MB, {:.1} MB with every snapshot joined, highest {:.1} MB, base {:.1} MB",
        median(ours, "s"),
        median(ours, "mb"),
        median(ours, "joined_mb"),
        median(ours, "highest_mb"),
        median(ours, "base_mb"),
    );
    println!("typed          {:6.2} s  {:7.1} MB", median(typed, "s"), median(typed, "mb"));
    println!(
        "a row of the list: {:.0} ns joined before, {:.1} us joined anew",
        median(ours, "row_ns"),
        median(ours, "join_us")
    );
    let memory = median(ours, "joined_mb") / median(typed, "mb");
    let cold = median(ours, "s") / median(raw, "s");
    let kb = median(ours, "joined_mb") * 1024.0 / f64::from(u32::try_from(services).unwrap());
    println!("memory: 1/{:.1} of typed reflectors (goal 1/8), {kb:.1} KB a service (goal 10)", 1.0 / memory);
    println!("cold start: {cold:.2} x raw LIST of ready bytes");
    i32::from(memory > 1.3 / 8.0)
}

async fn child(role: &'static str, server: &str) -> Value {
    let server = server.to_owned();
    let run = move || {
        let program = std::env::current_exe().unwrap();
        Command::new(program).args(["--child", role, "--server", &server]).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.trim()).unwrap_or_else(|_| {
        panic!("{role} told no figures: {text}{}", String::from_utf8_lossy(&output.stderr));
    })
}

/// Megabytes of a line of `/proc/self/status`.
fn memory(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix(line)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

fn kubeconfig(server: &str, folder: &Path) -> std::path::PathBuf {
    let path = folder.join("kubeconfig");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "bench",
        "clusters": [{"name": "bench", "cluster": {"server": server}}],
        "users": [{"name": "bench", "user": {}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
    });
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

/// Our cache: time to ready, memory, and what a row of the list costs.
async fn ours(server: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = Some(kubeconfig(server, folder.path()));
    let target = Target::Infer { kubeconfig, files: Vec::new(), context: None };
    let cluster = Cluster::connect(target, Options::default()).await.unwrap();
    let base_mb = memory("VmRSS");
    let stop = CancellationToken::new();
    let start = Instant::now();
    let cache = cluster.watch(stop.clone());
    assert!(cache.ready_within(Duration::from_mins(5)).await);
    let s = start.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mb = memory("VmRSS");

    let services = cache.services();
    let each =
        |from: Instant| from.elapsed().as_secs_f64() / f64::from(u32::try_from(services.len()).unwrap());
    let start = Instant::now();
    let pods: u32 = services.iter().map(|at| cache.snapshot(at).unwrap().mesh.pods).sum();
    let join_us = each(start) * 1e6;
    assert_eq!(pods as usize, services.len() * 3);
    let joined_mb = memory("VmRSS");
    let start = Instant::now();
    let versions: usize = services.iter().map(|at| cache.snapshot(at).unwrap().versions.len()).sum();
    let row_ns = each(start) * 1e9;
    assert_eq!(versions, services.len() * 3);
    stop.cancel();
    json!({"s": s, "mb": mb, "joined_mb": joined_mb, "highest_mb": memory("VmHWM"), "base_mb": base_mb,
        "row_ns": row_ns, "join_us": join_us})
}

/// What a controller usually does: a typed reflector a kind, nothing left out.
async fn typed(server: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = kube::config::Kubeconfig::read_from(kubeconfig(server, folder.path())).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(file, &options).await.unwrap();
    let client = Client::try_from(config).unwrap();
    let start = Instant::now();
    let istio = |kind: &str, plural: &str| {
        let gvk = GroupVersionKind::gvk("networking.istio.io", "v1", kind);
        ApiResource::from_gvk_with_plural(&gvk, plural)
    };
    let (services, rules) =
        (istio("VirtualService", "virtualservices"), istio("DestinationRule", "destinationrules"));
    tokio::join!(
        held::<Namespace>(Api::all(client.clone()), ()),
        held::<Service>(Api::all(client.clone()), ()),
        held::<EndpointSlice>(Api::all(client.clone()), ()),
        held::<Pod>(Api::all(client.clone()), ()),
        held::<Deployment>(Api::all(client.clone()), ()),
        held::<StatefulSet>(Api::all(client.clone()), ()),
        held::<DynamicObject>(Api::all_with(client.clone(), &services), services.clone()),
        held::<DynamicObject>(Api::all_with(client.clone(), &rules), rules.clone()),
    );
    let s = start.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_secs(2)).await;
    json!({"s": s, "mb": memory("VmRSS")})
}

/// Returns when the reflector is ready; it goes on until the process ends.
async fn held<K>(api: Api<K>, kind: <K as Resource>::DynamicType)
where
    K: Resource
        + Lookup<DynamicType = <K as Resource>::DynamicType>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
    <K as Resource>::DynamicType: Eq + std::hash::Hash + Clone + Send + Sync + Unpin + 'static,
{
    let writer = reflector::store::Writer::<K>::new(kind);
    let store = writer.as_reader();
    let stream = watcher(api, watcher::Config::default()).default_backoff().reflect(writer).touched_objects();
    tokio::spawn(async move {
        futures::pin_mut!(stream);
        while stream.next().await.is_some() {}
    });
    store.wait_until_ready().await.unwrap();
}

/// The floor of a cold start: the same lists, read and thrown away, one after the other.
async fn raw(server: &str) -> Value {
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build_http::<Empty<bytes::Bytes>>();
    let start = Instant::now();
    let mut read = 0;
    for path in KINDS {
        let answer = client.get(format!("{server}{path}?resourceVersion=0").parse().unwrap()).await.unwrap();
        assert!(answer.status().is_success(), "{path}");
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            read += frame.unwrap().data_ref().map_or(0, bytes::Bytes::len);
        }
    }
    let mb = f64::from(u32::try_from(read).unwrap()) / 1024.0 / 1024.0;
    json!({"s": start.elapsed().as_secs_f64(), "mb": mb})
}
