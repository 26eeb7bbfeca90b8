//! Where figures come from, and the ways in which they can fail to come. Implemented by
//! [`super::Prometheus`] and, for the demo, by `app`; must never answer with a guess.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::domain::ids::{Namespace, ServiceRef};
use crate::domain::observed::{RouteHits, Sample};
use crate::domain::refusal::{Code, Refusal};

/// Something that counts requests per workload.
pub trait Source: Send + Sync + 'static {
    /// Everything that was counted for the services of one namespace in the last `window_s` seconds.
    /// A service without an entry has no data.
    fn namespace<'a>(
        &'a self,
        namespace: &'a Namespace,
        window_s: u32,
    ) -> BoxFuture<'a, Result<Vec<Sample>, MetricsError>>;

    /// The one number that a query of PromQL gives; `None` = no series.
    fn number<'a>(&'a self, _query: &'a str) -> BoxFuture<'a, Result<Option<f64>, MetricsError>> {
        Box::pin(async { Err(MetricsError::NotConfigured) })
    }

    /// A quantile of the durations of some workloads' answers; `None` = no data.
    fn latency<'a>(&'a self, _asked: &'a Latency) -> BoxFuture<'a, Result<Option<f64>, MetricsError>> {
        Box::pin(async { Err(MetricsError::NotConfigured) })
    }

    /// How often each route of the namespace's routing objects was taken; empty when the source does not
    /// know (Istio's standard series do not say).
    fn hits(&self, _namespace: &Namespace, _window_s: u32) -> Vec<RouteHits> {
        Vec::new()
    }
}

/// A question about durations: milliseconds below which `quantile` percent (50 to 99) of the answers lay that these
/// workloads gave for the service, or for the Services that stand for its versions, in the last `window_s` seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latency {
    pub service: ServiceRef,
    /// Services of the same namespace that stand for a version.
    pub siblings: Vec<Arc<str>>,
    pub workloads: Vec<Arc<str>>,
    pub quantile: u8,
    pub window_s: u32,
}

/// Why there are no figures. Holds our own words only: what a server wrote is never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum MetricsError {
    #[error("no metrics source is configured")]
    NotConfigured,
    #[error("the metrics server cannot be reached")]
    Unreachable,
    #[error("the metrics server did not answer in time")]
    Timeout,
    #[error("the metrics server answered with status {0}")]
    Status(u16),
    #[error("the metrics server's answer is larger than the limit")]
    TooLarge,
    #[error("the metrics server's answer is not what its API promises: {0}")]
    Strange(&'static str),
    #[error("the metrics server answered with warnings: its data may be partial")]
    Partial,
    #[error("the query gives {0} series")]
    Many(usize),
    #[error("the token for the metrics server cannot be read from its file")]
    Token,
    #[error("the address of the metrics server is not usable: {0}")]
    Address(&'static str),
}

impl MetricsError {
    /// True when the server as a whole gives nothing, not only for this namespace.
    pub fn is_outage(self) -> bool {
        !matches!(self, Self::NotConfigured | Self::TooLarge | Self::Many(_))
    }

    /// The same about a receiver of messages, for the log.
    pub fn of_receiver(self) -> String {
        self.to_string().replace("metrics server", "receiver")
    }

    /// The same about a query that a person wrote.
    pub fn of_query(self) -> Refusal {
        match self {
            Self::Status(400 | 422) => Refusal::new(Code::BadPromql).arg("why", self),
            Self::Many(n) => Refusal::new(Code::PromqlMany).arg("n", n),
            Self::Strange(why) => Refusal::new(Code::BadPromql).arg("why", why),
            _ => Refusal::new(Code::PromqlTimeout),
        }
    }
}

/// There are no figures now: since when, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Milliseconds since 1970 of the first failure in a row; `None` when there is no source at all.
    pub since_ms: Option<i64>,
    pub error: MetricsError,
}
