//! What was really sent is what Sluice shows as observed, from a real Prometheus that scrapes a real Envoy; and a
//! Prometheus that is slow, down, lying or new makes notices, never a wrong number, never a blocked change.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use sluice::domain::ids::Namespace;
use sluice::metrics::{Prometheus, Source};

use super::bookinfo;
use crate::support::cluster::RealCluster;
use crate::support::mesh::{Load, Town, weights};
use crate::support::served::Served;
use crate::support::wait_for;

/// How the go-between treats answers of the real Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Mood {
    Honest,
    Silent,
    Down,
    Nan,
    Empty,
    Twice,
}

/// Stands between Sluice and the real Prometheus.
#[derive(Clone)]
pub(super) struct Between {
    to: Arc<str>,
    mood: Arc<AtomicU8>,
    asked: Arc<AtomicUsize>,
    /// The questions themselves, as they came.
    questions: Arc<Mutex<Vec<String>>>,
    client: reqwest::Client,
}

impl Between {
    pub(super) async fn start(prometheus: &str) -> (Self, String) {
        let between = Self {
            to: prometheus.into(),
            mood: Arc::default(),
            asked: Arc::default(),
            questions: Arc::default(),
            client: reqwest::Client::new(),
        };
        let router = axum::Router::new()
            .route("/api/v1/query", axum::routing::get(pass_on))
            .with_state(between.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (between, url)
    }

    fn is(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::SeqCst);
    }

    /// The questions that name a namespace, since this was last asked.
    pub(super) fn about(&self, namespace: &str) -> Vec<String> {
        let all = std::mem::take(&mut *self.questions.lock().unwrap());
        all.into_iter().filter(|question| question.contains(&format!("%22{namespace}%22"))).collect()
    }
}

async fn pass_on(State(between): State<Between>, RawQuery(query): RawQuery) -> Response {
    between.asked.fetch_add(1, Ordering::SeqCst);
    between.questions.lock().unwrap().extend(query.clone());
    let is = |mood: Mood| between.mood.load(Ordering::SeqCst) == mood as u8;
    if is(Mood::Silent) {
        std::future::pending::<()>().await;
    }
    if is(Mood::Down) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let url = format!("{}/api/v1/query?{}", between.to, query.unwrap_or_default());
    let Ok(answer) = between.client.get(url).send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let mut body: Value = answer.json().await.unwrap();
    let result = body["data"]["result"].as_array_mut().unwrap();
    if is(Mood::Nan) {
        for series in result.iter_mut() {
            series["value"][1] = json!("NaN");
        }
    } else if is(Mood::Empty) {
        result.clear();
    } else if is(Mood::Twice) {
        result.extend(result.clone());
    }
    axum::Json(body).into_response()
}

/// How many requests the pods of v1 and v2 really got.
async fn sent(town: &Town<'_>) -> (f64, f64) {
    let tallies = town.tallies().await;
    let of = |version: &str| {
        let one = tallies.iter().find(|tally| tally.app == "reviews" && tally.version == version);
        f64::from(u32::try_from(one.unwrap().requests).unwrap())
    };
    (of("v1"), of("v2"))
}

/// What is shown may lag behind, and older requests leave the window: but it is never far from 30 to 70, and
/// never more than was sent (an increase is extrapolated by up to a scrape at each end).
async fn is_right(town: &Town<'_>, seen: &Value) -> bool {
    let share = |version: &str| seen["observed"][version].as_f64().unwrap_or_default();
    let n = seen["figures"]["requests"].as_f64().unwrap();
    let (first, second) = sent(town).await;
    (26.0..38.0).contains(&share("v1"))
        && (share("v1") + share("v2") - 100.0).abs() < 0.2
        && n <= (first + second) * 1.15
}

#[tokio::test]
async fn what_was_sent_is_what_is_observed_whatever_prometheus_does() {
    let Some(cluster) = RealCluster::with_mesh() else { return };
    let (town, load) = bookinfo(cluster, "seen", &[("v1", 1), ("v2", 1)]).await;

    let (between, url) = Between::start(cluster.prometheus()).await;
    let sluice = town.sluice_with(&url).await;
    town.known(&sluice, "reviews", &[("v1", 1), ("v2", 1)]).await;
    town.changed(&sluice, "reviews", weights(&[("v1", 30), ("v2", 70)])).await;
    town.until_routed(&load.from, "outbound|9080|v2|reviews.seen.svc.cluster.local").await;
    annotate(&town, "v2", json!({"tests.sluice/latency": "30ms", "tests.sluice/errors": "10%"})).await;
    let steady = town.begin(&Load { rate: 60.0, ..load.clone() }).await;
    // What was sent before the first scrape of a series is in no increase.
    let real = Prometheus::new(&cluster.prometheus().parse().unwrap(), None).unwrap();
    wait_for("both versions are scraped", async || {
        let all = real.namespace(&Namespace::from("seen"), 60).await.ok()?;
        (all.iter().filter(|sample| &*sample.service == "reviews").count() == 2).then_some(())
    })
    .await;
    let before = sent(&town).await;
    town.load(&Load { count: 8_000, streams: 8, ..load.clone() }).await;

    // Requests, share, success and duration of each version, as they were made.
    let seen = wait_for("what was sent is what is observed", async || {
        let seen = town.seen(&sluice, "reviews").await.body;
        let now = sent(&town).await;
        let (first, second) = (now.0 - before.0, now.1 - before.1);
        let shown = seen["observed"]["v1"].as_f64()?;
        let requests = seen["figures"]["requests"].as_f64()?;
        let near = (shown - first * 100.0 / (first + second)).abs() < 3.0;
        (near && (requests / (first + second) - 1.0).abs() < 0.15).then_some(seen)
    })
    .await;
    let success = seen["figures"]["success"].as_f64().unwrap();
    assert!((0.90..0.97).contains(&success), "7 % of all answers were 500: {seen}");
    let p95 = seen["figures"]["p95_ms"].as_f64().unwrap();
    assert!((25.0..100.0).contains(&p95), "v2 takes 30 ms: {seen}");

    // However many look, one pair of questions is asked for all of them.
    let asked = between.asked.load(Ordering::SeqCst);
    let looking = (0..40).map(|_| town.seen(&sluice, "reviews"));
    futures::future::join_all(looking).await;
    let more = between.asked.load(Ordering::SeqCst) - asked;
    assert!(more <= 2, "{more} questions for forty looks at once");

    for (mood, is_outage) in [
        (Mood::Nan, false),
        (Mood::Empty, false),
        (Mood::Twice, false),
        (Mood::Down, true),
        (Mood::Silent, true),
    ] {
        between.is(mood);
        wait_for(&format!("{mood:?} leaves no number"), async || {
            let seen = town.seen(&sluice, "reviews").await.body;
            if seen["observed"].is_null() {
                return Some(());
            }
            assert!(is_right(&town, &seen).await, "{mood:?}: {seen}");
            None
        })
        .await;
        // A question is given up after ten seconds: until then its answer is only late.
        wait_for(&format!("{mood:?} is an outage: {is_outage}"), async || {
            let told = notices(&town, &sluice).await.contains(&"metrics_down".to_owned());
            (told == is_outage).then_some(())
        })
        .await;
        // Nothing of it holds up a change.
        town.changed(&sluice, "reviews", weights(&[("v1", 31), ("v2", 69)])).await;
        town.changed(&sluice, "reviews", weights(&[("v1", 30), ("v2", 70)])).await;
        between.is(Mood::Honest);
        wait_for(&format!("figures are back after {mood:?}"), async || {
            let seen = town.seen(&sluice, "reviews").await.body;
            (!seen["observed"].is_null()).then_some(())
        })
        .await;
    }
    let after = steady.stop().await;
    assert!(after.answers.keys().all(|key| key.contains("reviews v")), "{:?}", after.answers);
}

async fn annotate(town: &Town<'_>, version: &str, annotations: Value) {
    let pods = town.objects("Pod").list(&kube::api::ListParams::default()).await.unwrap();
    for pod in pods.items {
        let labels = pod.metadata.labels.unwrap_or_default();
        if labels.get("version").map(String::as_str) == Some(version) {
            let name = pod.metadata.name.unwrap();
            town.merge("Pod", &name, json!({"metadata": {"annotations": annotations}})).await;
        }
    }
}

async fn notices(town: &Town<'_>, sluice: &Served) -> Vec<String> {
    let token = Some(town.cluster.token("admin"));
    let path = format!("/api/v1/services?namespace={}", town.namespace);
    let asked = async || {
        tokio::time::timeout(Duration::from_secs(10), sluice.call("GET", &path, token, None, &[])).await
    };
    let list = asked().await.expect("the list comes though Prometheus does not");
    let codes = list.body["notices"].as_array().unwrap().iter();
    codes.map(|notice| notice["code"].as_str().unwrap().to_owned()).collect()
}
