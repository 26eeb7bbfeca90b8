//! The three interfaces of the server: a tower service (for `kube::Client::new`), an axum router, a TCP listener.
//!
//! All lead to `wire`. A dropped connection is an error of the service: in process the client sees a failed
//! connection, over TCP the socket is closed without an answer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use super::ApiServer;
use super::wire::BODY_LIMIT;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The connection was cut without an answer, because a test ordered it.
#[derive(Debug, thiserror::Error)]
#[error("connection reset by peer")]
pub struct Dropped;

/// The server as a tower service over any body.
#[derive(Clone)]
pub struct ApiService {
    server: ApiServer,
}

impl ApiServer {
    /// For `kube::Client::new(server.service(), "default")`.
    pub fn service(&self) -> ApiService {
        ApiService { server: self.clone() }
    }

    /// The server as a router, to be nested or served. A dropped connection becomes a body that breaks at once.
    pub fn router(&self) -> axum::Router {
        let server = self.clone();
        axum::Router::new().fallback(move |request: axum::extract::Request| {
            let server = server.clone();
            async move {
                server.handle(request).await.unwrap_or_else(|dropped| {
                    let error = futures::stream::iter([Err::<bytes::Bytes, _>(dropped)]);
                    Response::new(Body::from_stream(error))
                })
            }
        })
    }

    /// Serves on a listener until the future is dropped; running connections end then too.
    pub async fn serve(&self, listener: TcpListener) {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    // A client that is gone before it was accepted is no failure.
                    let Ok((stream, _)) = accepted else { continue };
                    let service = hyper_util::service::TowerToHyperService::new(self.service());
                    connections.spawn(async move {
                        let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                        // The error is the cut connection that a test ordered, or a client that went away.
                        drop(builder.serve_connection(TokioIo::new(stream), service).await);
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }

    async fn handle<B>(&self, request: Request<B>) -> Result<Response<Body>, Dropped>
    where
        B: HttpBody + Send,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let (parts, body) = request.into_parts();
        // One byte more than a server takes, so that "too large" is answered by the same code as everything else.
        let body = Limited::new(body, BODY_LIMIT + 1).collect().await;
        let body = body.map_or_else(|_| vec![b' '; BODY_LIMIT + 1], |b| b.to_bytes().to_vec());
        self.answer(Request::from_parts(parts, body)).await
    }
}

impl<B> tower::Service<Request<B>> for ApiService
where
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Dropped;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let server = self.server.clone();
        Box::pin(async move { server.handle(request).await })
    }
}
