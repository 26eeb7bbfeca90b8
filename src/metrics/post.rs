//! One request to a receiver of messages, from the configuration: no redirects, no proxy, its answer is never read.
//! It is here because this module has the HTTP client for other servers; `services` signs and calls.

use std::time::Duration;

use url::Url;

use super::source::MetricsError;

/// Sends a JSON text; any answer of the 2xx family is a yes.
pub async fn json(
    url: &Url,
    headers: &[(&'static str, String)],
    body: &str,
    limit: Duration,
) -> Result<(), MetricsError> {
    // Fails only when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(limit);
    if url.scheme() == "http" {
        builder = builder.tls_certs_only(std::iter::empty());
    }
    let client = builder.build().map_err(|_| MetricsError::Address("no certificates to trust"))?;
    let mut request =
        client.post(url.clone()).header("content-type", "application/json").body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let answer = request.send().await.map_err(|error| {
        if error.is_timeout() { MetricsError::Timeout } else { MetricsError::Unreachable }
    })?;
    if answer.status().is_success() { Ok(()) } else { Err(MetricsError::Status(answer.status().as_u16())) }
}
