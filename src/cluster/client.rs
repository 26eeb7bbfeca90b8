//! The two clients: one that reads and one that writes. Neither repeats anything by itself: `wire` repeats
//! readings, and nobody repeats writes.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderValue, Request, Response};
use kube::client::Body;
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
