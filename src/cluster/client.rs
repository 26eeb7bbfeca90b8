//! The two clients: one that reads and one that writes. Neither repeats anything by itself: `wire` repeats
//! readings, and writes are never repeated.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderValue, Request, Response};
use kube::client::{AuthError, Body};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use rustls::AlertDescription;
use secrecy::{ExposeSecret, SecretString};
use tower::{BoxError, Service};

use super::connection::Connection;
use super::error::ClusterError;
use super::served::Served;
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
    pub read: Connection,
    pub write: Connection,
}

impl Clients {
    pub async fn connect(target: Target) -> Result<Self, ClusterError> {
        let served = Arc::new(Served::default());
        match target {
            Target::InProcess(InProcess { read, write }) => Ok(Self {
                read: Connection::new(read, None, Arc::clone(&served)),
                write: Connection::new(write, None, served),
            }),
            Target::Infer { kubeconfig, files, context } => {
                install_crypto();
                let source = Source { kubeconfig, files, context };
                let connect = async |served| {
                    Ok::<_, ClusterError>(Connection::new(
                        source.client().await?,
                        Some(source.clone()),
                        served,
                    ))
                };
                Ok(Self { read: connect(Arc::clone(&served)).await?, write: connect(served).await? })
            }
        }
    }
}

/// Where the address of the API server and the credentials for it come from. Read again whenever the API server no
/// longer accepts what was read.
#[derive(Clone, Debug)]
pub(super) struct Source {
    kubeconfig: Option<PathBuf>,
    files: Vec<PathBuf>,
    context: Option<String>,
}

impl Source {
    /// A client with the credentials as they are now. Runs the credential plugin, if there is one.
    pub async fn client(&self) -> Result<kube::Client, ClusterError> {
        let config = tuned(self.config().await?);
        // A plugin is run as the client is made, and blocks until it ends.
        let made = tokio::task::spawn_blocking(move || kube::Client::try_from(config)).await;
        made.map_err(|error| ClusterError::Config(error.to_string()))?.map_err(|error| {
            let text = words(&error);
            if is_of_credentials(&error) {
                ClusterError::Credentials(text)
            } else {
                ClusterError::Config(text)
            }
        })
    }

    async fn config(&self) -> Result<kube::Config, ClusterError> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let broken = |error: KubeconfigError| ClusterError::Config(words(&error));
        let file = match &self.kubeconfig {
            Some(path) => Some(Kubeconfig::read_from(path).map_err(broken)?),
            None if self.files.is_empty() => match Kubeconfig::read() {
                Ok(file) => Some(file),
                // In the order that kubectl uses: a kubeconfig where there is one, else the pod's own account.
                Err(no_file) if self.context.is_none() => {
                    return kube::Config::incluster().map_err(|no_pod| {
                        let (no_file, no_pod) = (words(&no_file), words(&no_pod));
                        ClusterError::Config(format!(
                            "no kubeconfig ({no_file}), and not in a pod ({no_pod})"
                        ))
                    });
                }
                Err(error) => return Err(broken(error)),
            },
            None => Some(merged(&self.files)?),
        };
        let mut file = file.unwrap_or_default();
        trim_tokens(&mut file)?;
        kube::Config::from_custom_kubeconfig(file, &options).await.map_err(broken)
    }
}

/// Several kubeconfig files as one, as `KUBECONFIG` lists them: a file that does not exist is skipped.
fn merged(files: &[PathBuf]) -> Result<Kubeconfig, ClusterError> {
    let broken = |error: KubeconfigError| ClusterError::Config(words(&error));
    let mut all: Option<Kubeconfig> = None;
    for path in files {
        match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                tracing::debug!(file = %path.display(), "a kubeconfig file of the list does not exist");
            }
            _ => {
                let file = Kubeconfig::read_from(path).map_err(broken)?;
                all = Some(all.unwrap_or_default().merge(file).map_err(broken)?);
            }
        }
    }
    all.ok_or_else(|| {
        let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        ClusterError::Config(format!("none of the files that KUBECONFIG lists exists: {}", names.join(", ")))
    })
}

/// Tokens without the white space around them, as kubectl reads them: `kube` would send a line break in a header. A
/// token file that needs it is read here; it is read again when the API server refuses the token.
fn trim_tokens(file: &mut Kubeconfig) -> Result<(), ClusterError> {
    for user in file.auth_infos.iter_mut().filter_map(|user| user.auth_info.as_mut()) {
        if let Some(token) = &user.token {
            user.token = Some(SecretString::from(token.expose_secret().trim()));
            continue;
        }
        let Some(path) = &user.token_file else { continue };
        // Another user's file may be missing; the one that is needed is reported when it is used.
        let Ok(token) = std::fs::read_to_string(path) else { continue };
        if token.trim().is_empty() {
            return Err(ClusterError::Credentials(format!("the token file {path} is empty")));
        }
        if token.trim() != token {
            user.token = Some(SecretString::from(token.trim()));
        }
    }
    Ok(())
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

/// An error with its causes, each once. What a credential plugin printed is left out: it may be the secret.
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
            format!("the credential plugin `{}` ended with {}", program(cmd), out.status)
        }
        AuthError::AuthExecStart(error) => format!("the credential plugin cannot be started: {error}"),
        AuthError::AuthExecParse(_) | AuthError::ExecPluginFailed => {
            "the credential plugin printed no credential".to_owned()
        }
        AuthError::ReadTokenFile(error, path) => {
            format!("the token file {} cannot be read: {}", path.display(), error.kind())
        }
        _ => "the credentials for the API server cannot be used".to_owned(),
    })
}

/// The program of a command line as `Command` prints it (`KEY="value" "program" "argument"`): the environment and the
/// arguments of a plugin may be secrets.
fn program(command: &str) -> &str {
    // Quotes inside a value are escaped, so only a program or an argument begins with one.
    let quoted = command.split(' ').find(|word| word.len() > 1 && word.starts_with('"'));
    let word = quoted.or_else(|| command.split(' ').find(|word| !word.contains('=')));
    word.unwrap_or_default().trim_matches('"')
}

fn is_of_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| credentials(error).is_some())
}

/// Who does not trust whom, when TLS was not agreed upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Distrust {
    /// We do not trust the API server's certificate.
    Server,
    /// The API server does not accept our client certificate.
    Client,
}

impl Distrust {
    pub fn error(self, text: String) -> ClusterError {
        match self {
            Self::Server => ClusterError::Untrusted(text),
            Self::Client => ClusterError::Unauthenticated(text),
        }
    }
}

/// What a TLS error says about certificates.
pub(super) fn distrust(error: &(dyn std::error::Error + 'static)) -> Option<Distrust> {
    // An io::Error names the cause of its cause as its own.
    if let Some(inside) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        return distrust(inside);
    }
    match error.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(_) => Some(Distrust::Server),
        rustls::Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA,
        ) => Some(Distrust::Client),
        _ => None,
    }
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

    #[test]
    fn of_a_plugin_only_the_program_is_told() {
        for command in [
            r#""get-token" "--secret" "canary""#,
            r#"KEY="canary and more" OTHER="a \"canary" "get-token" "x""#,
            r#"env -u HOME "get-token""#,
            "get-token canary",
        ] {
            assert_eq!(program(command), "get-token", "{command}");
        }
    }
}
