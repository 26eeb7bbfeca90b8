//! Prometheus (or what speaks its HTTP API) as a source. Made by `app` from the configuration.
//!
//! Talks to the one configured address only: no redirects, no proxy from the environment, ten seconds,
//! four MiB. Never shows or logs what the server wrote, nor the token.

use std::path::PathBuf;
use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use url::Url;

use super::source::{Latency, MetricsError, Source};
use super::{answer, queries};
use crate::domain::ids::Namespace;
use crate::domain::observed::Sample;

const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// A client of one Prometheus server.
#[derive(Debug)]
pub struct Prometheus {
    client: reqwest::Client,
    query: Url,
    token_file: Option<PathBuf>,
}

impl Prometheus {
    /// A client for the server at `base` (`http://prometheus.monitoring:9090`, or with a path below which
    /// its API is served). `token_file` holds a bearer token and is read again for every question, because
    /// projected tokens change.
    pub fn new(base: &Url, token_file: Option<PathBuf>) -> Result<Self, MetricsError> {
        let query = endpoint(base)?;
        // Fails only when a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT);
        if base.scheme() == "http" {
            // No certificate is looked at, so a machine without any must not stop us.
            builder = builder.tls_certs_only(std::iter::empty());
        }
        let client = builder.build().map_err(|_| MetricsError::Address("no certificates to trust"))?;
        Ok(Self { client, query, token_file })
    }

    async fn ask(&self, query: &str) -> Result<Vec<u8>, MetricsError> {
        let mut request = self.client.get(self.query.clone()).query(&[("query", query)]);
        request = request.header(ACCEPT, "application/json");
        if let Some(file) = &self.token_file {
            let token = tokio::fs::read_to_string(file).await.map_err(|_| MetricsError::Token)?;
            let mut value =
                HeaderValue::try_from(format!("Bearer {}", token.trim())).map_err(|_| MetricsError::Token)?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let mut response = request.send().await.map_err(|error| cause(&error))?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(MetricsError::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| cause(&error))? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(MetricsError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl Source for Prometheus {
    fn namespace<'a>(
        &'a self,
        namespace: &'a Namespace,
        window_s: u32,
    ) -> BoxFuture<'a, Result<Vec<Sample>, MetricsError>> {
        Box::pin(async move {
            let counts = queries::counts(namespace, window_s);
            let p95 = queries::p95(namespace, window_s);
            let (counts, p95) = futures::future::try_join(self.ask(&counts), self.ask(&p95)).await?;
            answer::samples(&counts, &p95)
        })
    }

    fn number<'a>(&'a self, query: &'a str) -> BoxFuture<'a, Result<Option<f64>, MetricsError>> {
        Box::pin(async move { answer::number(&self.ask(query).await?) })
    }

    fn latency<'a>(&'a self, asked: &'a Latency) -> BoxFuture<'a, Result<Option<f64>, MetricsError>> {
        Box::pin(async move { answer::number(&self.ask(&queries::latency(asked)).await?) })
    }
}

fn endpoint(base: &Url) -> Result<Url, MetricsError> {
    if !matches!(base.scheme(), "http" | "https") {
        return Err(MetricsError::Address("it must begin with http:// or https://"));
    }
    if !base.username().is_empty() || base.password().is_some() {
        return Err(MetricsError::Address("it must not hold a password; use a token file"));
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err(MetricsError::Address("it must not have a query or a fragment"));
    }
    let mut url = base.clone();
    url.set_path(&format!("{}/api/v1/query", base.path().trim_end_matches('/')));
    Ok(url)
}

fn cause(error: &reqwest::Error) -> MetricsError {
    if error.is_timeout() { MetricsError::Timeout } else { MetricsError::Unreachable }
}
