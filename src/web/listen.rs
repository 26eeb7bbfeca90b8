//! The listener: accepts connections and keeps slow, silent and greedy clients from holding them.
//!
//! `app` calls [`serve`]. `axum::serve` is not used because it never closes a half-sent header and
//! waits without end for the first byte (slowloris). No request is looked at here.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::lines::{Answering, Line, Lines, Slot};
use super::stall::Stalling;
use crate::config::Network;

pub use super::lines::network;

/// The address at the other end, as the listener saw it. Who stands behind it `forwarded` finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// How long a client may take, and how many connections there may be.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From the connection to the first bytes of a request.
    pub first_byte: Duration,
    /// For the whole header of a request; also how long an idle connection is kept.
    pub header: Duration,
    /// How long an HTTP/2 connection is kept that asks nothing.
    pub idle: Duration,
    /// For a client to take more of an answer.
    pub stall: Duration,
    /// For requests under way when the server stops.
    pub drain: Duration,
    pub header_bytes: usize,
    pub connections: usize,
    pub per_address: usize,
    /// Proxies: `per_address` does not hold for them.
    pub trusted: Vec<Network>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(10),
            header: Duration::from_secs(5),
            idle: Duration::from_mins(1),
            stall: Duration::from_secs(30),
            drain: Duration::from_secs(25),
            header_bytes: 16 * 1024,
            connections: 1000,
            per_address: 50,
            trusted: Vec::new(),
        }
    }
}

/// How long a client that is idle has to take its leave.
const GOODBYE: Duration = Duration::from_secs(1);

/// The first bytes of HTTP/2.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves until `stop`, then lets requests under way finish for `limits.drain`.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let lines = Lines::new(limits.connections, limits.per_address, limits.trusted.clone());
    let tasks = TaskTracker::new();
    let cut = CancellationToken::new();
    let house = Arc::new(House::new(router, limits.clone(), stop.clone(), cut.clone()));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: wait for some to come back instead of spinning.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(slot) = lines.take(peer.ip()) else {
            tracing::debug!(%peer, "connection closed: too many");
            continue;
        };
        let house = house.clone();
        tasks.spawn(async move {
            house.welcome(stream, peer, &slot).await;
            drop(slot);
        });
    }
    drop(listener);
    tasks.close();
    if timeout(limits.drain, tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "closing connections that did not finish in time");
        cut.cancel();
        tasks.wait().await;
    }
}

/// What every connection needs.
struct House {
    router: Router,
    limits: Limits,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    stop: CancellationToken,
    cut: CancellationToken,
}

impl House {
    fn new(router: Router, limits: Limits, stop: CancellationToken, cut: CancellationToken) -> Self {
        let mut http1 = http1::Builder::new();
        http1.timer(TokioTimer::new()).header_read_timeout(limits.header).max_buf_size(limits.header_bytes);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .max_concurrent_streams(128)
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10));
        Self { router, limits, http1, http2, stop, cut }
    }

    async fn welcome(&self, stream: TcpStream, peer: SocketAddr, slot: &Slot) {
        let line = &slot.line;
        let first = tokio::select! {
            () = self.stop.cancelled() => return,
            () = line.give_way.cancelled() => return,
            first = timeout(self.limits.first_byte, speaks(&stream)) => first,
        };
        let Ok(Ok(Some(speech))) = first else { return };
        // Answers are small and written whole, so waiting to fill packets would only delay them.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let (router, own) = (self.router.clone(), line.clone());
        let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer));
            let (router, busy) = (router.clone(), own.request());
            async move {
                let answer = router.oneshot(request).await.unwrap_or_else(|never| match never {});
                Ok::<_, Infallible>(answer.map(|body| Answering::new(body, busy)))
            }
        });
        let io = TokioIo::new(Stalling::new(stream, self.limits.stall));
        match speech {
            Speech::Http1 => self.serve(peer, line, self.http1.serve_connection(io, service)).await,
            // On the heap, so that the many connections of the other kind need not be large enough for it.
            Speech::Http2 => Box::pin(self.serve(peer, line, self.http2.serve_connection(io, service))).await,
        }
    }

    async fn serve(
        &self,
        peer: SocketAddr,
        line: &Arc<Line>,
        connection: impl GracefulConnection<Error = hyper::Error>,
    ) {
        let mut connection = pin!(connection);
        let mut draining = false;
        let mut look = pin!(sleep(self.limits.idle));
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, %error, "connection ended");
                    }
                    return;
                }
                () = self.stop.cancelled(), if !draining => {
                    draining = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = line.give_way.cancelled(), if !draining => {
                    draining = true;
                    connection.as_mut().graceful_shutdown();
                    look.as_mut().reset(Instant::now() + GOODBYE);
                }
                () = &mut look => match line.patience(if draining { Duration::ZERO } else { self.limits.idle }) {
                    // Idle for so long, or draining and with nothing left to answer.
                    None if draining => return,
                    None => {
                        draining = true;
                        connection.as_mut().graceful_shutdown();
                        look.as_mut().reset(Instant::now() + GOODBYE);
                    }
                    Some(left) => look.as_mut().reset(Instant::now() + left.max(GOODBYE)),
                },
                () = self.cut.cancelled() => return,
            }
        }
    }
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speech {
    Http1,
    Http2,
}

/// Waits until the client has sent enough to distinguish HTTP/1 from HTTP/2; `None` when it hung up. The bytes stay
/// in the socket. (A builder that finds out by itself has no deadline for it, and holds twice the memory.)
async fn speaks(stream: &TcpStream) -> io::Result<Option<Speech>> {
    let mut seen = [0; PREFACE.len()];
    loop {
        let n = stream.peek(&mut seen).await?;
        if n == 0 {
            return Ok(None);
        }
        if seen[..n] != PREFACE[..n] {
            return Ok(Some(Speech::Http1));
        }
        if n == seen.len() {
            return Ok(Some(Speech::Http2));
        }
        // A peek does not wait for more than there already is.
        sleep(Duration::from_millis(20)).await;
    }
}
