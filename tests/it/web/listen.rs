//! Slow, silent and greedy clients on a real listener.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use futures::stream;
use sluice::web::listen::{self, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

struct Server {
    at: SocketAddr,
    stop: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
}

fn quick() -> Limits {
    Limits {
        first_byte: Duration::from_millis(300),
        header: Duration::from_millis(300),
        stall: Duration::from_millis(300),
        drain: Duration::from_secs(5),
        ..Limits::default()
    }
}

async fn start(router: Router, limits: Limits) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let ended = tokio::spawn(listen::serve(listener, router, limits, stop.clone()));
    Server { at, stop, ended }
}

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

/// Sends `bytes`, says nothing more, and returns what came until the server closed; fails after 5 s.
async fn until_closed(at: SocketAddr, bytes: &[u8]) -> (String, Duration) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let began = Instant::now();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _reset_counts_as_closed =
        tokio::time::timeout(Duration::from_secs(5), reading).await.expect("still open");
    (String::from_utf8_lossy(&answer).into_owned(), began.elapsed())
}

#[tokio::test]
async fn closes_a_connection_that_says_nothing() {
    let server = start(hello(), quick()).await;
    let (answer, took) = until_closed(server.at, b"").await;
    assert_eq!(answer, "");
    assert!(took >= Duration::from_millis(250), "closed after {took:?}");
}

#[tokio::test]
async fn closes_a_half_sent_header() {
    let server = start(hello(), quick()).await;
    until_closed(server.at, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
}

#[tokio::test]
async fn closes_a_half_sent_greeting_of_http_2() {
    let server = start(hello(), quick()).await;
    until_closed(server.at, b"PRI * HTTP/2.0\r\n").await;
    until_closed(server.at, b"P").await;
}

#[tokio::test]
async fn closes_a_kept_connection_that_stays_idle() {
    let server = start(hello(), quick()).await;
    let (answer, _) = until_closed(server.at, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.ends_with("hello"), "{answer}");
}

#[tokio::test]
async fn refuses_a_header_above_its_limit() {
    let server = start(hello(), quick()).await;
    let request = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Big: {}\r\n\r\n", "a".repeat(20 * 1024));
    let (answer, _) = until_closed(server.at, request.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    let fits = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Big: {}\r\n\r\n", "a".repeat(12 * 1024));
    let (answer, _) = until_closed(server.at, fits.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let (began, mut started) = mpsc::unbounded_channel();
    let slow = move || {
        let began = began.clone();
        async move {
            began.send(()).unwrap();
            std::future::pending::<&str>().await
        }
    };
    let router = hello().route("/slow", get(slow));
    let server =
        start(router, Limits { per_address: 2, first_byte: Duration::from_secs(5), ..quick() }).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.at).await.unwrap();
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        started.recv().await.unwrap();
        busy.push(stream);
    }
    let (answer, _) = until_closed(server.at, b"").await;
    assert_eq!(answer, "", "the third is closed without an answer");
    drop(busy.pop());
    for _ in 0..100 {
        let (answer, _) =
            until_closed(server.at, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        if answer.ends_with("hello") {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("a place that was given back stays taken");
}

#[tokio::test]
async fn gives_up_on_a_client_that_stops_reading() {
    struct Told(mpsc::UnboundedSender<()>);
    impl Drop for Told {
        fn drop(&mut self) {
            let _nobody_may_wait = self.0.send(());
        }
    }
    let (tell, mut told) = mpsc::unbounded_channel();
    let endless = move || {
        let told = Told(tell.clone());
        async move {
            Body::from_stream(stream::repeat_with(move || {
                let _kept_until_the_end = &told;
                Ok::<_, Infallible>(Bytes::from(vec![b'x'; 65536]))
            }))
        }
    };
    let server = start(Router::new().route("/", get(endless)), quick()).await;
    let mut stream = TcpStream::connect(server.at).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), told.recv()).await.expect("the answer is still held");
}

#[tokio::test]
async fn a_request_under_way_is_finished_when_the_server_stops() {
    let (began, mut started) = mpsc::unbounded_channel();
    let go_on = CancellationToken::new();
    let wait = go_on.clone();
    let slow = move || {
        let (began, wait) = (began.clone(), wait.clone());
        async move {
            began.send(()).unwrap();
            wait.cancelled().await;
            "done"
        }
    };
    let server = start(Router::new().route("/", get(slow)), quick()).await;
    let at = server.at;
    let asked = tokio::spawn(async move { until_closed(at, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await });
    started.recv().await.unwrap();
    server.stop.cancel();
    tokio::task::yield_now().await;
    go_on.cancel();
    let (answer, _) = asked.await.unwrap();
    assert!(answer.ends_with("done"), "{answer}");
    tokio::time::timeout(Duration::from_secs(5), server.ended).await.expect("does not end").unwrap();
    assert!(TcpStream::connect(at).await.is_err(), "nobody listens any more");
}
