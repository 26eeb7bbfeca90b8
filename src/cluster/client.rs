//! The two clients: one that reads and one that writes. Neither repeats anything by itself: `wire` repeats
//! readings, and nobody repeats writes.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderValue, Request, Response};
use kube::client::{AuthError, Body};
use kube::config::KubeConfigOptions;
use tower::{BoxError, Service};

use super::error::ClusterError;
use super::{FIELD_MANAGER, Target};

/// A client whose requests stay in this process.
pub struct InProcess {
    read: kube::Client,
    write: kube::Client,
}

/// Makes clients for an API server in this process, which is any HTTP service. Needs a tokio runtime.
pub fn in_process<S, B>(service: S) -> InProcess
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    InProcess {
        read: kube::Client::new(service.clone(), "default"),
        write: kube::Client::new(service, "default"),
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

/// Chooses ring as the process's TLS cryptography. Called first in `main`; calling it again does nothing.
pub fn install_crypto() {
    // An error says that a provider is already there, which is what we want.
    drop(rustls::crypto::ring::default_provider().install_default());
}

#[derive(Clone)]
pub(super) struct Clients {
    pub read: kube::Client,
    pub write: kube::Client,
}

impl Clients {
    pub async fn connect(target: Target) -> Result<Self, ClusterError> {
        match target {
            Target::InProcess(InProcess { read, write }) => Ok(Self { read, write }),
            Target::Infer { kubeconfig, context } => {
                install_crypto();
                let config = tuned(read_config(kubeconfig, context).await?);
                let make = |config: kube::Config| {
                    kube::Client::try_from(config)
                        .map_err(|e: kube::Error| ClusterError::Config(e.to_string()))
                };
                Ok(Self { read: make(config.clone())?, write: make(config)? })
            }
        }
    }
}

async fn read_config(
    kubeconfig: Option<std::path::PathBuf>,
    context: Option<String>,
) -> Result<kube::Config, ClusterError> {
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let broken = |error: kube::config::KubeconfigError| ClusterError::Config(error.to_string());
    if let Some(path) = kubeconfig {
        let file = kube::config::Kubeconfig::read_from(path).map_err(broken)?;
        return kube::Config::from_custom_kubeconfig(file, &options).await.map_err(broken);
    }
    if options.context.is_some() {
        return kube::Config::from_kubeconfig(&options).await.map_err(broken);
    }
    match kube::Config::from_kubeconfig(&options).await {
        Ok(config) => Ok(config),
        // In the order that kubectl uses: a kubeconfig where there is one, else the pod's own account.
        Err(no_file) => kube::Config::incluster().map_err(|no_pod| {
            ClusterError::Config(format!("no kubeconfig ({no_file}), and not in a pod ({no_pod})"))
        }),
    }
}

fn tuned(mut config: kube::Config) -> kube::Config {
    // Since kube 4.0 every verb is sent again up to 15 times on 429, 503 and 504 by default: a write would
    // land minutes after its answer was given up.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    // Longer than a watch may be silent (45 s). Counted from the request, not from when the pooled
    // connection became idle.
    config.read_timeout = Some(Duration::from_secs(50));
    config.reset_reader_on_write = true;
    let agent = concat!("sluice/", env!("CARGO_PKG_VERSION"));
    config.headers.push((USER_AGENT, HeaderValue::from_static(agent)));
    debug_assert!(agent.starts_with(FIELD_MANAGER));
    config
}

/// An error with its causes, each said once. What a credential plugin printed is left out: it may be the secret.
pub(super) fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let more = match credentials(error) {
            Some(more) => return more,
            None => error.to_string(),
        };
        // Many errors repeat their cause in their own text.
        if !text.contains(&more) {
            text = if text.is_empty() { more } else { format!("{text}: {more}") };
        }
        cause = error.source();
    }
    text
}

/// The words for an error of our own credentials.
pub(super) fn credentials(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    // An io::Error names the cause of its cause as its own.
    if let Some(inside) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        return credentials(inside);
    }
    let kube = error.downcast_ref::<kube::Error>().and_then(|error| match error {
        kube::Error::Auth(error) => Some(error),
        _ => None,
    });
    Some(match error.downcast_ref::<AuthError>().or(kube)? {
        AuthError::AuthExecRun { cmd, out } => {
            format!("the credential plugin `{cmd}` ended with {}", out.status)
        }
        _ => "the credentials for the API server cannot be used".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_credential_plugin_printed_is_not_told() {
        let out = std::process::Output {
            status: std::process::ExitStatus::default(),
            stdout: b"canary-token".to_vec(),
            stderr: b"canary-token".to_vec(),
        };
        let error =
            kube::Error::Auth(AuthError::AuthExecRun { cmd: "get-token".to_owned(), out: Box::new(out) });
        assert!(error.to_string().contains("canary"), "kube no longer prints the output: {error}");
        let told = words(&error);
        assert_eq!(told, "the credential plugin `get-token` ended with exit status: 0");
        let wrapped = std::io::Error::other(error);
        assert_eq!(words(&wrapped), told);
    }
}
