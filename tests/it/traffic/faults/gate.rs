//! Stands between one Sluice and the real API server, passes everything on with Sluice's own rights, and says
//! when a write comes by: so a test can end the process exactly there.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::sync::{Mutex, oneshot};

use crate::support::cluster::RealCluster;

/// A moment of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The first dry run: nothing is recorded yet.
    DryRun,
    /// Write number n is on its way, and never arrives.
    Before(u32),
    /// Write number n was stored, and its answer never comes.
    After(u32),
}

/// The step that is waited for, and who waits.
type Awaited = (Step, oneshot::Sender<()>);

#[derive(Clone)]
pub struct Gate {
    client: kube::Client,
    writes: Arc<AtomicU32>,
    waits: Arc<Mutex<Option<Awaited>>>,
    pub address: SocketAddr,
}

impl Gate {
    pub async fn start(cluster: &RealCluster) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gate = Self {
            client: cluster.client("sluice").await,
            writes: Arc::default(),
            waits: Arc::default(),
            address: listener.local_addr().unwrap(),
        };
        let router = axum::Router::new().fallback(pass).with_state(gate.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        gate
    }

    /// Writes the kubeconfig that leads here.
    pub fn kubeconfig(&self, file: &Path) {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: gate\n\
             clusters: [{{name: gate, cluster: {{server: 'http://{}'}}}}]\n\
             users: [{{name: gate, user: {{}}}}]\n\
             contexts: [{{name: gate, context: {{cluster: gate, user: gate}}}}]\n",
            self.address
        );
        std::fs::write(file, text).unwrap();
    }

    /// Says when the step has come; the request that brought it is never answered.
    pub async fn holds_at(&self, step: Step) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        self.writes.store(0, Ordering::SeqCst);
        *self.waits.lock().await = Some((step, tell));
        told
    }

    async fn come(&self, step: Step) {
        let mut waits = self.waits.lock().await;
        if waits.as_ref().is_some_and(|(awaited, _)| *awaited == step) {
            let (_, tell) = waits.take().unwrap();
            drop(waits);
            let _ = tell.send(());
            std::future::pending::<()>().await;
        }
    }
}

async fn pass(State(gate): State<Gate>, request: Request<Body>) -> Response {
    let (mut parts, body) = request.into_parts();
    let writes = matches!(parts.method.as_str(), "POST" | "PUT" | "PATCH" | "DELETE")
        && parts.uri.path().contains("networking.istio.io");
    let dry = parts.uri.query().is_some_and(|query| query.contains("dryRun"));
    let number = if writes && !dry { gate.writes.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
    if writes {
        gate.come(if dry { Step::DryRun } else { Step::Before(number) }).await;
    }
    parts.headers.remove("authorization");
    parts.headers.remove("host");
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let request = Request::from_parts(parts, kube::client::Body::from(bytes));
    let answer = match gate.client.send(request).await {
        Ok(answer) => answer.map(Body::new).into_response(),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    };
    if number > 0 {
        gate.come(Step::After(number)).await;
    }
    answer
}
