//! A client whose credentials can be renewed. Kubernetes' rule for credential plugins is that an answer without
//! expiry holds until the API server refuses it (401), and `kube` runs such a plugin only once: so a refusal makes a
//! new client here, and the request is sent again. That is safe for writes, too: what was refused was not written.
//!
//! Called by `wire`, for every request.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::client::Source;
use super::error::ClusterError;
use super::served::Served;

/// Credentials are renewed at most this often: a plugin may ask a person, or a server that counts.
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// A connection to the API server: cheap to clone.
#[derive(Clone)]
pub(super) struct Connection {
    inner: Arc<Inner>,
}

struct Inner {
    current: RwLock<Current>,
    /// Where new credentials come from; `None` for an API server in this process.
    source: Option<Source>,
    /// When they were renewed last, and the result.
    renewed: Mutex<Option<(Instant, Option<ClusterError>)>>,
    served: Arc<Served>,
}

/// A client, and how many there were before it.
#[derive(Clone)]
pub(super) struct Current {
    pub client: kube::Client,
    number: u64,
}

impl Connection {
    pub fn new(client: kube::Client, source: Option<Source>, served: Arc<Served>) -> Self {
        let current = RwLock::new(Current { client, number: 0 });
        Self { inner: Arc::new(Inner { current, source, renewed: Mutex::new(None), served }) }
    }

    /// The client to send with now.
    pub fn current(&self) -> Current {
        self.inner.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Which version of Istio's API the cluster serves.
    pub fn served(&self) -> &Served {
        &self.inner.served
    }

    /// After the credentials of `refused` were refused or could not be used: true when there is another client to
    /// try with. An error says why there are no new credentials.
    pub async fn renew(&self, refused: &Current) -> Result<bool, ClusterError> {
        if self.inner.source.is_none() {
            return Ok(false);
        }
        let (this, number) = (self.clone(), refused.number);
        // A task of its own: a caller whose time is over must not take the new credentials with it.
        let renewal = tokio::spawn(async move { this.renew_once(number).await });
        renewal.await.unwrap_or(Ok(false))
    }

    async fn renew_once(&self, number: u64) -> Result<bool, ClusterError> {
        // Callers that were refused at the same time wait here for one renewal.
        let mut renewed = self.inner.renewed.lock().await;
        if self.current().number != number {
            return Ok(true);
        }
        if let Some((at, outcome)) = &*renewed
            && at.elapsed() < RENEW_EVERY
        {
            return outcome.clone().map_or(Ok(false), Err);
        }
        let Some(source) = &self.inner.source else { return Ok(false) };
        let made = source.client().await;
        *renewed = Some((Instant::now(), made.as_ref().err().cloned()));
        match made {
            Ok(client) => {
                tracing::info!("the credentials for the API server were read again");
                let current = Current { client, number: number + 1 };
                *self.inner.current.write().unwrap_or_else(PoisonError::into_inner) = current;
                Ok(true)
            }
            Err(error) => {
                tracing::warn!(%error, "there are no new credentials for the API server");
                Err(error)
            }
        }
    }
}
