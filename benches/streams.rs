//! Live pages for 500 people: how far apart an event reaches the first and each other page, beside a bare
//! broadcast of as many bytes over the same kind of stream; whether anything is lost; memory a page.
//!
//! `cargo bench --bench streams [-- CLIENTS EVENTS]`. Goals: p99 ≤ 1.5 × the bare broadcast, nothing lost,
//! ≤ 20 KB a page. Ends with an error beyond 1.3 × a goal. The product also gathers what happens within
//! 250 ms into one event, on purpose; that wait comes before the first page and is not part of the figure.
//! Memory a page is what the pages after the first few add, on both sides: what a process needs once (the first
//! look at the store, the first rendering) is no page's.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and ends at the first trouble"
)]

#[path = "support/data.rs"]
mod data;
#[path = "support/house.rs"]
mod house;
#[path = "support/load.rs"]
#[expect(dead_code, reason = "only the quantile is wanted here")]
mod load;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use futures::{Stream, StreamExt};
use house::Served;
use load::quantile;
use serde_json::{Value, json};
use sluice::clock::Clock;
use sluice::demo::api::ApiServer;
use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::BroadcastStream;

/// Pages that are opened before memory is measured.
const FIRST: usize = 10;

/// What each page noted: the number of the event, when it was there, its bytes.
type Notes = mpsc::UnboundedReceiver<(usize, Instant, usize)>;
type Told = mpsc::UnboundedSender<(usize, Instant, usize)>;

#[tokio::main(worker_threads = 1)]
async fn main() {
    sluice::cluster::client::install_crypto();
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match arguments.first().map(String::as_str) {
        Some("product") => {
            let api = ApiServer::new(Clock::System);
            data::fill(&api, 100);
            let folder = tempfile::tempdir().unwrap();
            house::serve(house::open(&api, folder.path()).await).await;
        }
        Some("bare") => house::serve(bare()).await,
        pages => {
            let pages = pages.map_or(500, |n| n.parse().unwrap());
            let events = arguments.get(1).map_or(40, |n| n.parse().unwrap());
            std::process::exit(measure(pages, events).await);
        }
    }
}

/// The floor: what is posted goes to everybody.
fn bare() -> Router {
    let (sender, _) = broadcast::channel(1024);
    Router::new().route("/events", get(events)).route("/tell", post(tell)).with_state(sender)
}

type Everybody = broadcast::Sender<Arc<str>>;

async fn events(State(all): State<Everybody>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let hello = futures::stream::iter([Ok(Event::default().event("ping").data("{}"))]);
    let all = BroadcastStream::new(all.subscribe()).filter_map(async |said| said.ok());
    Sse::new(hello.chain(all.map(|said| Ok(Event::default().event("frag").data(&*said)))))
}

async fn tell(State(all): State<Everybody>, body: String) {
    all.send(body.into()).unwrap();
}

/// Opens pages' streams; each tells of every event in which `mark` finds a number.
async fn open(url: &str, pages: usize, mark: fn(&str) -> Option<usize>, notes: &Told) {
    let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
    for _ in 0..pages {
        let mut answer = client.get(url).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        let first = answer.chunk().await.unwrap().unwrap();
        assert!(!first.is_empty());
        let notes = notes.clone();
        tokio::spawn(async move {
            let mut text = String::new();
            while let Ok(Some(chunk)) = answer.chunk().await {
                let now = Instant::now();
                text.push_str(&String::from_utf8_lossy(&chunk));
                while let Some((event, rest)) = text.split_once("\n\n") {
                    if let Some(number) = mark(event) {
                        let _ = notes.send((number, now, event.len()));
                    }
                    text = rest.to_owned();
                }
            }
        });
    }
}

/// Milliseconds between the first page and each, of one event, and how many never got it within ten seconds.
async fn spread(notes: &mut Notes, number: usize, pages: usize, bytes: &mut usize) -> (Vec<f64>, usize) {
    let mut seen = Vec::new();
    let end = tokio::time::Instant::now() + Duration::from_secs(10);
    while seen.len() < pages {
        match tokio::time::timeout_at(end, notes.recv()).await {
            Ok(Some((which, at, size))) if which == number => {
                seen.push(at);
                *bytes = size;
            }
            Ok(Some(_)) => {}
            _ => break,
        }
    }
    let first = seen.iter().min().copied();
    let lost = pages - seen.len();
    (seen.iter().map(|at| at.duration_since(first.unwrap()).as_secs_f64() * 1e3).collect(), lost)
}

/// The revision that the fragment with the declared split names.
fn ours(event: &str) -> Option<usize> {
    let told: Value = serde_json::from_str(event.strip_prefix("event: frag\ndata: ")?).ok()?;
    let html = told["html"].as_str().filter(|_| told["id"] == "t-declared")?;
    let rest = html.split_once("<dd class=\"s\">")?.1.split('<').next()?;
    rest.split(|c: char| !c.is_ascii_digit()).find(|word| !word.is_empty())?.parse().ok()
}

fn theirs(event: &str) -> Option<usize> {
    event.split_once("data: number=")?.1.split(' ').next()?.parse().ok()
}

/// Opens the pages' streams; also how many kilobytes each of them added.
async fn filled(server: &Served, path: &str, pages: usize, mark: fn(&str) -> Option<usize>) -> (Notes, f64) {
    let url = format!("{}{path}", server.url);
    let (told, notes) = mpsc::unbounded_channel();
    open(&url, FIRST, mark, &told).await;
    let before = server.kb();
    open(&url, pages - FIRST, mark, &told).await;
    let kb = (server.kb() - before) / load::as_f64(pages - FIRST);
    (notes, kb)
}

async fn measure(pages: usize, events: usize) -> i32 {
    let product = Served::start(&["product"]);
    let floor = Served::start(&["bare"]);
    let client = reqwest::Client::new();
    let (mut our_notes, kb) =
        filled(&product, "/events?topic=service:team-000/service-00001", pages, ours).await;
    let (mut their_notes, their_kb) = filled(&floor, "/events", pages, theirs).await;

    let (mut ours, mut theirs, mut lost, mut bytes) = (Vec::new(), Vec::new(), 0, 0);
    let path = format!("{}/api/v1/services/team-000/service-00001/traffic", product.url);
    for number in 0..events {
        let weight = 20 + number % 50;
        let body = json!({"weights": {"v1": 80 - weight, "v2": weight, "v3": 20}, "reason": "a benchmark",
            "ack": ["big_jump", "few_pods"]});
        let seen = client.get(path.trim_end_matches("/traffic")).send().await.unwrap();
        let tag = seen.headers()["etag"].to_str().unwrap().to_owned();
        let answer = client.put(&path).header("if-match", tag).json(&body).send().await.unwrap();
        let status = answer.status();
        let told: Value = answer.json().await.unwrap();
        assert!(status.is_success(), "{told}");
        let revision = usize::try_from(told["revision"].as_u64().unwrap()).unwrap();
        let (times, missing) = spread(&mut our_notes, revision, pages, &mut bytes).await;
        ours.extend(times);
        lost += missing;
        let said = format!("number={number} {}", "x".repeat(bytes));
        client.post(format!("{}/tell", floor.url)).body(said).send().await.unwrap();
        let (times, missing) = spread(&mut their_notes, number, pages, &mut 0).await;
        theirs.extend(times);
        assert_eq!(missing, 0, "the floor lost something");
    }
    let (our_p50, our_p99) = (quantile(&mut ours, 0.5), quantile(&mut ours, 0.99));
    let (their_p50, their_p99) = (quantile(&mut theirs, 0.5), quantile(&mut theirs, 0.99));
    println!("{pages} pages, {events} events of about {bytes} bytes");
    println!("bare   p50 {their_p50:6.2} ms  p99 {their_p99:6.2} ms  lost 0  {their_kb:.1} KB a page");
    println!("ours   p50 {our_p50:6.2} ms  p99 {our_p99:6.2} ms  lost {lost}  {kb:.1} KB a page");
    let ratio = our_p99 / their_p99;
    println!("p99 {ratio:.2} x bare broadcast (goal 1.5); memory goal 20 KB a page");
    println!("load {}", std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());
    i32::from(ratio > 1.5 * 1.3 || lost > 0 || kb > 20.0 * 1.3)
}
