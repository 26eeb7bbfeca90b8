//! A server that plays Prometheus, a source that a test steers, and a service to look at.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use sluice::domain::ids::{Namespace, ServiceRef};
use sluice::domain::observed::Sample;
use sluice::domain::service::{PodTemplate, ServiceFacts, Shape, Version, Workload, WorkloadKind};
use sluice::domain::snapshot::{Mesh, Snapshot};
use sluice::metrics::{MetricsError, Source};
use tokio::sync::Mutex;
use url::Url;

/// One question as it arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    pub query: String,
    pub authorization: Option<String>,
}

type Answering = Arc<dyn Fn(&Asked) -> Response + Send + Sync>;

#[derive(Clone)]
struct Plays {
    answer: Answering,
    asked: Arc<std::sync::Mutex<Vec<Asked>>>,
}

/// A server on loopback; ends with the test's runtime.
pub struct Server {
    pub url: Url,
    asked: Arc<std::sync::Mutex<Vec<Asked>>>,
}

impl Server {
    pub async fn start(answer: impl Fn(&Asked) -> Response + Send + Sync + 'static) -> Self {
        let asked: Arc<std::sync::Mutex<Vec<Asked>>> = Arc::default();
        let plays = Plays { answer: Arc::new(answer), asked: asked.clone() };
        let router = axum::Router::new()
            .route("/api/v1/query", axum::routing::get(answer_one))
            .route("/below/api/v1/query", axum::routing::get(answer_one))
            .with_state(plays);
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, asked }
    }

    /// Everything that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer_one(
    State(plays): State<Plays>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let asked = Asked { query: query["query"].clone(), authorization };
    plays.asked.lock().unwrap().push(asked.clone());
    (plays.answer)(&asked)
}

/// The body of an instant vector.
pub fn vector(series: &[(&[(&str, &str)], &str)]) -> Value {
    let result: Vec<Value> = series
        .iter()
        .map(|(labels, value)| {
            let metric: BTreeMap<&str, &str> = labels.iter().copied().collect();
            json!({ "metric": metric, "value": [1_700_000_000.5, value] })
        })
        .collect();
    json!({ "status": "success", "data": { "resultType": "vector", "result": result } })
}

/// Answers counts with the first body and durations with the second.
pub fn both(counts: Value, p95: Value) -> impl Fn(&Asked) -> Response + Send + Sync + 'static {
    move |asked| {
        let body = if asked.query.starts_with("histogram_quantile") { &p95 } else { &counts };
        axum::Json(body.clone()).into_response()
    }
}

/// Labels of a workload of `reviews`.
pub fn who<'a>(version: &'a str, code: &'a str) -> Vec<(&'a str, &'a str)> {
    let workload = match version {
        "v1" => "reviews-v1",
        "v2" => "reviews-v2",
        _ => "unknown",
    };
    vec![
        ("destination_service_name", "reviews"),
        ("destination_workload", workload),
        ("destination_version", version),
        ("response_code", code),
    ]
}

/// A source that waits for a given time, and counts how often it was asked.
pub struct Steered {
    pub asked: AtomicUsize,
    pub wait: Mutex<Duration>,
    pub answer: Mutex<Result<Vec<Sample>, MetricsError>>,
}

impl Steered {
    pub fn new(answer: Result<Vec<Sample>, MetricsError>) -> Arc<Self> {
        Arc::new(Self { asked: AtomicUsize::new(0), wait: Mutex::default(), answer: Mutex::new(answer) })
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Source for Steered {
    fn namespace<'a>(
        &'a self,
        _namespace: &'a Namespace,
        _window_s: u32,
    ) -> BoxFuture<'a, Result<Vec<Sample>, MetricsError>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let wait = *self.wait.lock().await;
            tokio::time::sleep(wait).await;
            self.answer.lock().await.clone()
        })
    }
}

pub fn sample(workload: &str, version: &str, requests: f64, errors: f64) -> Sample {
    Sample {
        service: "reviews".into(),
        workload: workload.into(),
        version: version.into(),
        requests,
        errors,
        p95_ms: Some(12.0),
    }
}

/// The service `bookinfo/NAME` with versions, each with its workloads.
pub fn service(name: &str, versions: &[(&str, &[&str])]) -> Snapshot {
    let version = |(name, workloads): &(&str, &[&str])| Version {
        name: (*name).into(),
        subset_labels: BTreeMap::new(),
        pods: Vec::new(),
        image: "image".into(),
        workloads: workloads
            .iter()
            .map(|workload| Workload {
                kind: WorkloadKind::Deployment,
                name: (*workload).into(),
                image: "image".into(),
                wanted: 1,
                template: PodTemplate::default(),
                shared: false,
                going: None,
            })
            .collect(),
        ready: 1,
        total: 1,
        lacks: None,
        cause: None,
        waiting: Vec::new(),
        created_ms: 0,
    };
    Snapshot {
        service: ServiceFacts {
            at: ServiceRef::new("bookinfo", name),
            uid: "uid".into(),
            shape: Shape::ClusterIp,
            ports: Vec::new(),
            selector: BTreeMap::new(),
            deleting: false,
            export_to: Box::default(),
        },
        versions: versions.iter().map(version).collect(),
        virtual_services: Vec::new(),
        destination_rules: Vec::new(),
        mesh: Mesh {
            installed: true,
            cluster_domain: "cluster.local".into(),
            root_namespace: "istio-system".into(),
            meshed_pods: 1,
            pods: 1,
        },
        taken: Vec::new(),
        others: Vec::new(),
    }
}

/// `reviews` with v1 and v2.
pub fn reviews() -> Snapshot {
    service("reviews", &[("v1", &["reviews-v1"]), ("v2", &["reviews-v2"])])
}
