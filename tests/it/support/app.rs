//! A whole Sluice for a test: the router over real use cases, an API server in memory with the sample
//! applications, a store in a temporary folder, a clock that the test turns.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, header};
use http_body_util::BodyExt;
use serde_json::Value;
use sluice::clock::Clock;
use sluice::cluster::{Cluster, Options, Target, client};
use sluice::config::{Auth, Web};
use sluice::demo::Demo;
use sluice::demo::api::{Person, Right};
use sluice::domain::ids::Namespace;
use sluice::domain::observed::Sample;
use sluice::metrics::{Metrics, MetricsError, Source};
use sluice::services::{Services, Settings};
use sluice::store::Store;
use sluice::web::listen::{self, Limits, Peer};
use sluice::web::{App, router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// The instant at which the clock stands: 2026-01-02T03:04:05Z.
pub const START_MS: i64 = 1_767_323_045_000;

/// Tokens of the people of [`TestApp::with_people`]. `VIEWER` sees `bookinfo` only and may change nothing;
/// `RELEASER` sees and changes `bookinfo`; `AUDITOR` sees everything and the whole history.
pub const VIEWER: &str = "token-of-vera";
pub const RELEASER: &str = "token-of-rolf";
pub const AUDITOR: &str = "token-of-aude";

pub struct TestApp {
    pub demo: Demo,
    pub clock: Clock,
    pub services: Services,
    pub router: Router,
    pub figures: Arc<Figures>,
    stop: CancellationToken,
    folder: Arc<tempfile::TempDir>,
}

/// Metrics that a test sets by hand.
#[derive(Default)]
pub struct Figures(pub Mutex<Vec<Sample>>);

impl Source for Figures {
    fn namespace<'a>(
        &'a self,
        _namespace: &'a Namespace,
        _window_s: u32,
    ) -> BoxFuture<'a, Result<Vec<Sample>, MetricsError>> {
        let samples = self.0.lock().unwrap().clone();
        Box::pin(async move { Ok(samples) })
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl TestApp {
    /// Nobody is asked who they are.
    pub async fn open() -> Self {
        Self::start(Web::open(), |_| {}).await
    }

    /// Kubernetes tokens, and the people above.
    pub async fn with_people() -> Self {
        Self::start(Web { auth: Auth::Token, demo: false, ..Web::open() }, people).await
    }

    pub async fn start(settings: Web, set_up: impl FnOnce(&Demo)) -> Self {
        let clock = Clock::manual(START_MS);
        let (demo, _) = Demo::still(clock.clone(), 7);
        set_up(&demo);
        Self::on(settings, demo, clock, Arc::new(tempfile::tempdir().unwrap())).await
    }

    async fn on(settings: Web, demo: Demo, clock: Clock, folder: Arc<tempfile::TempDir>) -> Self {
        // Tasks of one that has just ended may hold the history a moment longer.
        let file = folder.path().join("sluice.db");
        let open = async || Store::open(&file, clock.clone()).await.ok();
        let store = super::wait_for("the history is free", open).await;
        let target = Target::InProcess(client::in_process(demo.api.service()));
        let options = Options { clock: clock.clone(), ..Options::default() };
        let cluster = Cluster::connect(target, options).await.unwrap();
        let stop = CancellationToken::new();
        let cache = cluster.watch(stop.clone());
        let figures = Arc::new(Figures::default());
        let metrics = Metrics::new(Some(figures.clone()), clock.clone());
        let rules = Settings { open: settings.auth == Auth::None, ..Settings::default() };
        let services = Services::new(cluster, cache.clone(), store, metrics, clock.clone(), rules);
        drop(services.spawn(stop.clone()));
        assert!(cache.ready_within(Duration::from_secs(20)).await, "{:?}", cache.health());
        let app = App::new(services.clone(), settings, clock.clone(), None, stop.clone());
        let this = Self { router: router(app.clone()), demo, clock, services, figures, stop, folder };
        this.until_listed().await;
        this
    }

    /// Another Sluice on the same cluster and the same history, after this one has ended.
    pub async fn restart(self) -> Self {
        self.stop.cancel();
        self.services.finish().await;
        let (demo, clock, folder) = (self.demo.clone(), self.clock.clone(), self.folder.clone());
        drop(self);
        Self::on(Web::open(), demo, clock, folder).await
    }

    /// The file of the history.
    pub fn history_file(&self) -> std::path::PathBuf {
        self.folder.path().join("sluice.db")
    }

    /// The same router behind the real listener, on a loopback address.
    pub async fn listen(&self, limits: Limits) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(listen::serve(listener, self.router.clone(), limits, self.stop.clone()));
        at
    }

    /// Tells everybody that the server stops.
    pub fn shut(&self) {
        self.stop.cancel();
    }

    /// Sets the weights of `bookinfo/reviews` through the API; the new revision.
    pub async fn set_reviews(&self, expected: u64, v1: u8, v2: u8) -> u64 {
        let body = serde_json::json!({
            "weights": {"v1": v1, "v2": v2, "v3": 0}, "reason": "a test", "ack": ["big_jump", "few_pods"],
        });
        let ask = self.ask("PUT", "/api/v1/services/bookinfo/reviews/traffic");
        let answer = ask.header("if-match", &format!("\"{expected}\"")).json(&body).send().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["revision"].as_u64().unwrap()
    }

    /// Waits until the list's index knows the samples.
    async fn until_listed(&self) {
        let who = sluice::domain::actor::Actor {
            identity: Arc::new(sluice::domain::actor::Identity::local("test")),
            channel: sluice::domain::actor::Channel::Api,
            address: None,
        };
        super::wait_for("the list", async || {
            let page = self.services.list(&who, &sluice::domain::overview::ListAsk::default()).await.ok()?;
            (!page.items.is_empty()).then_some(())
        })
        .await;
    }

    /// A request that is yet to be sent.
    pub fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        let request = Request::builder().method(method).uri(path).header(header::HOST, "127.0.0.1:8080");
        Ask { router: &self.router, request, body: Body::empty() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path).send().await
    }

    /// Signs in with a token; the value of the cookie header.
    pub async fn sign_in(&self, token: &str) -> String {
        let answer = self.ask("POST", "/login").form(&[("token", token)]).send().await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        let cookie = answer.header("set-cookie");
        cookie.split(';').next().unwrap().to_owned()
    }

    /// The token against forged requests that pages of this session carry.
    pub async fn csrf(&self, cookie: &str) -> String {
        let page = self.ask("GET", "/services").header("cookie", cookie).send().await;
        page.between("<meta name=\"csrf\" content=\"", "\"").to_owned()
    }
}

/// The people above, and what each may do.
pub fn people(demo: &Demo) {
    let person =
        |token: &str, name: &str| Person { token: token.into(), name: name.into(), ..Person::default() };
    demo.api.add_person(person(VIEWER, "vera"));
    demo.api.add_person(person(RELEASER, "rolf"));
    demo.api.add_person(person(AUDITOR, "aude"));
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let right = |subject: &str, namespace: Option<&str>, verbs: &[&str], resources: &[&str]| Right {
        subject: subject.into(),
        namespace: namespace.map(str::to_owned),
        verbs: words(verbs),
        groups: words(&["*"]),
        resources: words(resources),
        names: Vec::new(),
    };
    // Sluice itself comes without a token.
    demo.api.grant(right("system:anonymous", None, &["*"], &["*"]));
    let routes = ["virtualservices", "destinationrules"];
    let read = ["services", "pods", "deployments", "statefulsets", routes[0], routes[1]];
    for name in ["vera", "rolf"] {
        demo.api.grant(right(name, Some("bookinfo"), &["get", "list"], &read));
    }
    demo.api.grant(right("rolf", Some("bookinfo"), &["create", "update"], &routes));
    demo.api.grant(right("aude", None, &["get", "list"], &["audit"]));
    demo.api.grant(right("aude", None, &["get", "list"], &read));
}

/// A request in the making.
pub struct Ask<'a> {
    router: &'a Router,
    request: http::request::Builder,
    body: Body,
}

impl Ask<'_> {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub fn json(mut self, body: &Value) -> Self {
        self.body = Body::from(body.to_string());
        self.header("content-type", "application/json")
    }

    pub fn bytes(mut self, kind: &str, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self.header("content-type", kind)
    }

    pub fn form(mut self, fields: &[(&str, &str)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.body = Body::from(body);
        self.header("content-type", "application/x-www-form-urlencoded")
    }

    /// The status, and the body as it comes: for streams.
    pub async fn open(self) -> (u16, Body) {
        let (parts, body) = self.exchange().await.into_parts();
        (parts.status.as_u16(), body)
    }

    /// The same without borrowing the application.
    pub fn detached(self) -> impl Future<Output = Answer> + Send + 'static {
        let (router, request, body) = (self.router.clone(), self.request, self.body);
        async move { Ask { router: &router, request, body }.send().await }
    }

    async fn exchange(self) -> http::Response<Body> {
        let mut request = self.request.body(self.body).unwrap();
        request.extensions_mut().insert(Peer(SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000))));
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub async fn send(self) -> Answer {
        let (parts, body) = self.exchange().await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// A header's value; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The status and the code of a problem.
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.body);
        let body = self.json();
        assert_eq!(body["status"], self.status, "{body}");
        assert_eq!(body["request_id"], self.header("x-request-id"), "{body}");
        (self.status, body["code"].as_str().unwrap().to_owned())
    }

    /// The text between two marks.
    pub fn between(&self, from: &str, to: &str) -> &str {
        let rest = self.body.split_once(from).unwrap_or_else(|| panic!("no {from} in {}", self.body)).1;
        rest.split_once(to).unwrap().0
    }
}

/// What was counted of a version of reviews: no errors, p95 38 ms.
pub fn sample(version: &str, requests: f64) -> Sample {
    Sample {
        service: "reviews".into(),
        workload: format!("reviews-{version}").into(),
        version: version.into(),
        requests,
        errors: 0.0,
        p95_ms: Some(38.0),
    }
}
