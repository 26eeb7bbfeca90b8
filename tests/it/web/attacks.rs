//! What people tried to lock others out with, against the real listener or the whole router. Counts are bounded,
//! nothing is measured by the clock.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use sluice::domain::release::Word;
use sluice::web::demand::{Effect, Pool};
use sluice::web::listen::Limits;
use sluice::web::{demand_of, routes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::support::app::{RELEASER, TestApp, VIEWER};

type Endless = mpsc::UnboundedSender<Result<Bytes, std::io::Error>>;

/// One connection of HTTP/2.
struct Many {
    at: SocketAddr,
    send: http2::SendRequest<Body>,
}

impl Many {
    async fn open(at: SocketAddr) -> Self {
        let stream = TcpStream::connect(at).await.unwrap();
        let (send, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("a connection");
        tokio::spawn(connection);
        Self { at, send }
    }

    fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(format!("http://{}{path}", self.at))
    }

    async fn send(&mut self, request: Request<Body>) -> (u16, String) {
        let answer = self.send.send_request(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (parts.status.as_u16(), String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Sends the head of a request, and no end of its body.
    fn begin(&mut self, path: &str, cookie: &str) -> Endless {
        let (more, body) = mpsc::unbounded_channel();
        more.send(Ok(Bytes::from_static(b"token="))).unwrap();
        let request = self
            .request("POST", path)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("cookie", cookie)
            .body(Body::from_stream(UnboundedReceiverStream::new(body)))
            .unwrap();
        tokio::spawn(self.send.send_request(request));
        more
    }
}

/// 360 bodies that never end, over three connections: nobody else notices. (Before, they held every place for 30 s.)
#[tokio::test]
async fn bodies_that_never_end_hold_no_place() {
    let app = TestApp::with_people().await;
    let at = app.listen(Limits::default()).await;
    let cookie = app.sign_in(RELEASER).await;
    let csrf = app.csrf(&cookie).await;
    let back = "/services/bookinfo/reviews/traffic/switch-back";
    let mut bodies = Vec::new();
    for (path, cookie) in [("/login", ""), ("/login", ""), (back, cookie.as_str())] {
        let mut connection = Many::open(at).await;
        bodies.extend((0..120).map(|_| connection.begin(path, cookie)).collect::<Vec<_>>());
        // Answered after the heads before it were taken.
        let alive = connection.request("GET", "/healthz").body(Body::empty()).unwrap();
        assert_eq!(connection.send(alive).await.0, 200);
        bodies.push(connection.begin(path, cookie));
    }
    let mut person = Many::open(at).await;
    for path in ["/services", "/services/bookinfo/reviews", back, "/static/app.css", "/readyz", "/login"] {
        let ask = person.request("GET", &format!("{path}?revision=0"));
        let ask = ask.header("cookie", &cookie).body(Body::empty()).unwrap();
        let (status, body) = person.send(ask).await;
        assert!(status < 400, "{path}: {status} {body}");
    }
    let form = |fields: &[(&str, &str)]| {
        Body::from(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish())
    };
    let kind = "application/x-www-form-urlencoded";
    let ask = person.request("POST", "/login").header("content-type", kind);
    let (status, body) = person.send(ask.body(form(&[("token", VIEWER)])).unwrap()).await;
    assert_eq!(status, 303, "a sign-in that is whole: {body}");
    let ask = person.request("POST", back).header("content-type", kind).header("cookie", &cookie);
    let (status, body) = person.send(ask.body(form(&[("csrf", &csrf), ("revision", "9")])).unwrap()).await;
    assert_eq!(status, 422, "a way back that is whole reaches its use case: {body}");
}

/// Three minutes' worth of a person's own requests that hang: the others go on, and so does this person's way back.
#[tokio::test]
async fn one_person_cannot_hold_all_places() {
    let app = TestApp::with_people().await;
    for token in [VIEWER, RELEASER] {
        let known = app.ask("GET", "/api/v1/services/bookinfo/reviews").token(token).send().await;
        assert_eq!(known.status, 200);
    }
    app.demo.api.freeze();
    let preview = "/api/v1/services/bookinfo/reviews/traffic/preview";
    let hanging: Vec<_> = (0..100)
        .map(|_| {
            let request = app.ask("POST", preview).token(VIEWER).json(&json!({"weights": {"v1": 100}}));
            tokio::spawn(request.detached())
        })
        .collect();
    tokio::task::yield_now().await;
    let full = crate::support::wait_for("too many", async || {
        let answer = app.ask("GET", "/api/v1/me").token(VIEWER).send().await;
        (answer.status == 429).then_some(answer)
    });
    assert_eq!(full.await.problem(), (429, "too_many_at_once".into()));
    assert_eq!(app.ask("GET", "/api/v1/me").token(RELEASER).send().await.status, 200);
    let page = app.ask("GET", "/api/v1/services/bookinfo/reviews").token(VIEWER).send().await;
    assert_eq!(page.status, 200, "what has to be seen to go back has a reserve");
    app.demo.api.thaw();
    for one in hanging {
        one.abort();
    }
}

/// What a route asks for is declared with it: nothing is served from places that somebody forgot to name.
#[test]
fn every_route_declares_its_places_and_every_way_back_has_its_own() {
    let (_, document) = sluice::web::api::document::build();
    for item in document.paths.paths.values() {
        for operation in [&item.get, &item.put, &item.post, &item.delete].into_iter().flatten() {
            let id = operation.operation_id.as_deref().unwrap();
            assert!(demand_of(id).is_some(), "{id} is not in the table of operations in web/routes.rs");
        }
    }
    let of = |method: &str, path: &str| {
        let all = routes();
        let found = all.iter().find(|route| route.method == method && route.path == path);
        found.unwrap_or_else(|| panic!("{method} {path}")).demand
    };
    for (method, path, pool) in [
        ("POST", "/services/{namespace}/{name}/traffic/switch-back", Pool::Back),
        ("GET", "/services/{namespace}/{name}/traffic/switch-back", Pool::BackPage),
        ("GET", "/services/{namespace}/{name}", Pool::BackPage),
        ("POST", "/services/{namespace}/{name}/traffic/takeover", Pool::Normal),
        ("POST", "/services/{namespace}/{name}/traffic/apply", Pool::Normal),
        ("GET", "/releases/{id}", Pool::BackPage),
        ("POST", "/api/v1/services/{namespace}/{name}/traffic/switch-back", Pool::Back),
        ("POST", "/api/v1/services/{namespace}/{name}/traffic/takeover", Pool::Normal),
        ("POST", "/services/{namespace}/{name}/traffic/retire", Pool::Normal),
        ("POST", "/api/v1/services/{namespace}/{name}/traffic/retire", Pool::Normal),
        ("GET", "/api/v1/services/{namespace}/{name}", Pool::BackPage),
        ("GET", "/api/v1/releases/{id}", Pool::BackPage),
        ("POST", "/api/v1/releases/{id}/commands", Pool::Command),
        ("GET", "/login", Pool::SignIn),
        ("POST", "/login", Pool::SignIn),
        ("GET", "/healthz", Pool::Light),
        ("GET", "/readyz", Pool::Light),
        ("GET", "/static/{name}", Pool::Light),
    ] {
        assert_eq!(of(method, path).pool, pool, "{method} {path}");
    }
    for word in Word::ALL {
        let path = format!("/releases/{{id}}/{}", word.as_str().replace('_', "-"));
        let (asked, told) = (of("GET", &path).pool, of("POST", &path).pool);
        let back = matches!(word, Word::Abort | Word::Rollback | Word::SwitchBack | Word::Pause);
        assert_eq!((asked == Pool::BackPage, told == Pool::Back), (back, back), "{path}");
    }
    for route in routes() {
        let what = format!("{} {}", route.method, route.path);
        if route.demand.effect == Effect::Writes {
            assert_ne!(route.method, "GET", "{what}");
        }
        // `wait` is up to 60 s, after a start that may take 20 s.
        let waits = matches!(&*route.path, "/api/v1/releases" | "/api/v1/releases/{id}")
            && route.method != "DELETE"
            || route.path == "/api/v1/releases/{id}/commands";
        let lists = route.path == "/api/v1/releases" && route.method == "GET";
        assert_eq!(route.demand.patience > Duration::from_secs(80), waits && !lists, "{what}");
    }
}

/// RFC 9112 §3.2.
#[tokio::test]
async fn a_request_names_exactly_one_host() {
    let app = TestApp::with_people().await;
    let at = app.listen(Limits::default()).await;
    for (head, status) in [
        ("GET /healthz HTTP/1.1\r\nHost: a.example\r\n", 200),
        ("GET /healthz HTTP/1.0\r\n", 200),
        ("GET /healthz HTTP/1.1\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a.example\r\nhost: a.example\r\n", 400),
        ("GET /healthz HTTP/1.0\r\nHost: a.example\r\nHost: b.example\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a b\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: x@a.example\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost:\r\n", 400),
        ("GET http://b.example/healthz HTTP/1.1\r\nHost: a.example\r\n", 400),
        ("GET http://a.example/healthz HTTP/1.1\r\nHost: a.example\r\n", 200),
    ] {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let expected = format!("HTTP/1.{} {status} ", u8::from(!head.contains("/1.0")));
        assert!(answer.starts_with(&expected), "{head}: {answer}");
        if status == 400 {
            assert!(answer.contains("\"bad_host\""), "{head}: {answer}");
        }
    }
}
