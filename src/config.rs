//! What can be set from outside: command line and `SLUICE_…` environment, parsed and checked once.
//!
//! `main` parses, `app` and `web` read. Nothing else looks at the environment.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use url::Url;

mod networks;

pub use networks::Network;

/// Moves traffic between versions of a service on Kubernetes and Istio, and keeps a history of it.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub log: Log,
}

/// What the program is asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows everything without a cluster: an API server in memory, two sample applications, live traffic.
    Demo(Demo),
    /// Serves the pages and the API for a cluster.
    Serve(Box<Serve>),
    /// Works on past releases, offline.
    #[command(subcommand)]
    Release(Release),
    /// Works on the history, offline.
    #[command(subcommand)]
    Audit(Audit),
    /// Lists and ends browser sessions, also while the server runs.
    #[command(subcommand)]
    Sessions(Sessions),
}

/// Work on the browser sessions of a file.
#[derive(Debug, Subcommand)]
pub enum Sessions {
    /// Lists the sessions that are not over.
    List {
        /// The SQLite file of the server.
        file: PathBuf,
        /// Only those of this person.
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
    /// Ends sessions at once; the server notes it in its history.
    Revoke {
        /// The SQLite file of the server.
        file: PathBuf,
        #[command(flatten)]
        which: Which,
        /// Kept in the history.
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
}

/// Which sessions shall end.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// The one with this id.
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// All of this person.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Everybody's.
    #[arg(long)]
    pub all: bool,
}

/// Work on past releases.
#[derive(Debug, Subcommand)]
pub enum Release {
    /// Judges what a past release saw against other limits, and says where it would have stopped.
    Replay {
        /// The SQLite file; it is opened read-only.
        file: PathBuf,
        /// The release: `R-12`.
        release: String,
        /// Success rate in percent that the new version must have had.
        #[arg(long, value_name = "PERCENT")]
        success: Option<f64>,
        /// 95th percentile in milliseconds that it must not have exceeded.
        #[arg(long, value_name = "MS")]
        latency: Option<f64>,
        /// Failures in a row that end it.
        #[arg(long, value_name = "N")]
        failures: Option<u32>,
        /// Requests below which there is no verdict.
        #[arg(long, value_name = "N")]
        min_requests: Option<u32>,
    },
}

/// Work on the history.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Checks the hash chain of a history file (or of a copy of it) and says what is wrong. Ends with 0 when
    /// everything is as it was written and every anchor fits, with 2 when not, with 1 when it cannot be read.
    Verify {
        /// The SQLite file; it is opened read-only.
        file: PathBuf,
        /// A row and its hash that were kept elsewhere (may be given several times). Without an anchor, rows that
        /// were cut off at the end and a history whose hashes were all computed again are not found.
        #[arg(long, value_name = "SEQ:HASH")]
        anchor: Vec<String>,
        /// A log of Sluice, as text or JSON: each line `head of the history` in it is an anchor (may be given
        /// several times; `-` = standard input).
        #[arg(long, value_name = "LOGFILE")]
        anchors_from: Vec<PathBuf>,
    },
}

/// How much is logged, and how.
#[derive(Clone, Debug, Args)]
pub struct Log {
    /// What is logged: a level, or levels per part (`info,sluice::cluster=debug`).
    #[arg(long = "log", env = "SLUICE_LOG", default_value = "info", global = true, value_name = "FILTER")]
    pub filter: String,
    /// `text` for people, `json` for machines.
    #[arg(long = "log-format", env = "SLUICE_LOG_FORMAT", default_value = "text", global = true)]
    pub format: LogFormat,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// Options of `sluice demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Where to listen; loopback only, because the demo knows no sign-in. When the port is busy another is taken.
    #[arg(long, env = "SLUICE_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// A folder that keeps the history; without it a temporary file is used and removed at the end.
    #[arg(long, env = "SLUICE_DATA", value_name = "FOLDER")]
    pub data: Option<PathBuf>,
}

/// Options of `sluice serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen.
    #[arg(long, env = "SLUICE_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// The SQLite file of the history and the sessions: `sqlite:///absolute/path` or `sqlite://relative/path`.
    /// Local disks only; one process at a time.
    #[arg(long, env = "SLUICE_DATABASE_URL", default_value = "sqlite://sluice.db", value_name = "URL")]
    pub database_url: DatabaseUrl,
    /// Prometheus with Istio's standard metrics. Without it, observed shares are not shown.
    #[arg(long, env = "SLUICE_PROMETHEUS_URL", value_name = "URL")]
    pub prometheus_url: Option<HttpUrl>,
    /// Where transitions of releases are posted, signed (may be given several times).
    #[arg(
        long,
        env = "SLUICE_WEBHOOK_URL",
        value_delimiter = ',',
        requires = "webhook_secret_file",
        value_name = "URL"
    )]
    pub webhook_url: Vec<HttpUrl>,
    /// A file with the secret (at least 16 bytes) that signs them: HMAC-SHA-256 over `<timestamp>.<body>`.
    #[arg(long, env = "SLUICE_WEBHOOK_SECRET_FILE", value_name = "FILE")]
    pub webhook_secret_file: Option<PathBuf>,
    /// Who may come in. `token`: people and programs with a Kubernetes token, judged by Kubernetes' own RBAC.
    /// `none`: everybody who reaches the address may do everything; loopback addresses only.
    #[arg(long, env = "SLUICE_AUTH", default_value = "token", value_name = "MODE")]
    pub auth: Auth,
    /// The address that people type. With `https` cookies are Secure and browsers stay on HTTPS:
    /// TLS ends before Sluice (ingress, mesh).
    #[arg(long, env = "SLUICE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<HttpUrl>,
    /// An audience that tokens must be meant for (`TokenReview`); may be given several times.
    #[arg(long, env = "SLUICE_TOKEN_AUDIENCE", value_delimiter = ',', value_name = "AUDIENCE")]
    pub token_audience: Vec<String>,
    /// A kubeconfig file. Without it: `$KUBECONFIG`, `~/.kube/config`, or the pod's own service account.
    #[arg(long, env = "SLUICE_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The files of `$KUBECONFIG`, separated as the system separates paths; those that do not exist are skipped.
    #[arg(long = "kubeconfig-files", env = "KUBECONFIG", hide = true)]
    pub kubeconfig_files: Option<std::ffi::OsString>,
    /// The context of the kubeconfig to use.
    #[arg(long, env = "SLUICE_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// Watch these namespaces only (comma-separated); without it all of them.
    #[arg(long, env = "SLUICE_NAMESPACES", value_delimiter = ',', value_name = "NAMESPACE,…")]
    pub namespaces: Vec<String>,
    /// Pod labels that name a version, the first that a pod has counts (comma-separated).
    #[arg(
        long,
        env = "SLUICE_VERSION_LABELS",
        value_delimiter = ',',
        default_value = "version,app.kubernetes.io/version",
        value_name = "LABEL,…"
    )]
    pub version_labels: Vec<String>,
    /// Further controllers that move traffic: objects that they write are not changed here. A field manager
    /// (`metadata.managedFields`) or a kind of owner (`Kind.group`), `*` at the end for any rest; comma-separated.
    /// Argo Rollouts, Flagger, OpenKruise, Knative, KServe and KubeSphere are known; Argo CD, Flux, Fleet, Config
    /// Sync, Crossplane and KubeVela must be acknowledged, like every controller that is not named here.
    #[arg(long, env = "SLUICE_CONTROLLERS", value_delimiter = ',', value_name = "NAME,…")]
    pub controllers: Vec<String>,
    /// Further tools that write objects only when a person asks, named in the same way: they are not warned of.
    /// `kubectl*`, `helm`, `k9s`, `lens*`, `Headlamp*`, `kiali*`, `istioctl*` and consoles in browsers are known.
    #[arg(long, env = "SLUICE_TOOLS", value_delimiter = ',', value_name = "NAME,…")]
    pub tools: Vec<String>,
    /// The cluster's DNS domain.
    #[arg(long, env = "SLUICE_CLUSTER_DOMAIN", default_value = "cluster.local", value_name = "DOMAIN")]
    pub cluster_domain: String,
    /// Istio's root namespace, whose destination rules apply to everybody.
    #[arg(long, env = "SLUICE_ROOT_NAMESPACE", default_value = "istio-system", value_name = "NAMESPACE")]
    pub root_namespace: String,
    /// The namespace in which this Sluice renews a Lease that tells other Sluices of it. Without it: the namespace of
    /// the pod; outside a pod none.
    #[arg(long, env = "SLUICE_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// The cluster's name on every page.
    #[arg(long, env = "SLUICE_CLUSTER_NAME", default_value = "", value_name = "TEXT")]
    pub cluster_name: String,
    /// A short tag on every page that tells environments apart, such as `PROD`.
    #[arg(long, env = "SLUICE_ENVIRONMENT", value_name = "TEXT")]
    pub environment: Option<String>,
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// Limits against abuse.
#[derive(Clone, Debug, Args)]
pub struct LimitArgs {
    /// Open connections in all.
    #[arg(long, env = "SLUICE_MAX_CONNECTIONS", default_value = "1000", value_name = "N")]
    pub max_connections: NonZeroUsize,
    /// Open connections from one address; 0 = as many as in all (behind an ingress every visitor has its address).
    #[arg(long, env = "SLUICE_MAX_CONNECTIONS_PER_ADDRESS", default_value = "50", value_name = "N")]
    pub max_connections_per_address: usize,
    /// Open live streams in all.
    #[arg(long, env = "SLUICE_MAX_STREAMS", default_value = "500", value_name = "N")]
    pub max_streams: usize,
    /// Open live streams of one session; 0 = as many as in all.
    #[arg(long, env = "SLUICE_MAX_STREAMS_PER_SESSION", default_value = "4", value_name = "N")]
    pub max_streams_per_session: usize,
    /// Changes that one person or program may ask for in a minute; 0 = any number. Switching back never waits.
    #[arg(long, env = "SLUICE_MAX_CHANGES_PER_MINUTE", default_value = "60", value_name = "N")]
    pub max_changes_per_minute: u32,
    /// Open live streams of one person, in all sessions; 0 = as many as in all.
    #[arg(long, env = "SLUICE_MAX_STREAMS_PER_PERSON", default_value = "25", value_name = "N")]
    pub max_streams_per_person: usize,
    /// Previews, dry runs and plans that one person or program may ask for in a minute; 0 = any number.
    #[arg(long, env = "SLUICE_MAX_PREVIEWS_PER_MINUTE", default_value = "120", value_name = "N")]
    pub max_previews_per_minute: u32,
    /// Networks of proxies (ingress, load balancer) that are believed about who is behind them: of X-Forwarded-For
    /// (or Forwarded) the rightmost address that is none of theirs counts. They must append to that header.
    /// Without it everybody behind a proxy is one address. May be given several times.
    #[arg(long, env = "SLUICE_TRUSTED_PROXIES", value_delimiter = ',', value_name = "CIDR")]
    pub trusted_proxies: Vec<Network>,
}

/// Who may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Auth {
    /// A Kubernetes bearer token.
    Token,
    /// No sign-in; loopback only.
    None,
}

/// An `http` or `https` URL without user and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl(pub Url);

impl FromStr for HttpUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err("must be http://… or https://…".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not carry a user or a password".to_owned());
        }
        Ok(Self(url))
    }
}

/// Where the SQLite file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseUrl(pub PathBuf);

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("sqlite://") {
            Some(path) if !path.is_empty() && !path.contains('?') => Ok(Self(PathBuf::from(path))),
            Some(_) => Err("must name a file and no parameters: sqlite:///path/to/sluice.db".to_owned()),
            None => Err("only sqlite://… is known".to_owned()),
        }
    }
}

/// What the web module needs to know.
#[derive(Clone, Debug)]
pub struct Web {
    pub auth: Auth,
    pub public_url: Option<Url>,
    pub cluster_name: String,
    pub environment: Option<String>,
    /// True for `sluice demo`: every page says so.
    pub demo: bool,
    pub max_streams: usize,
    pub max_streams_per_session: usize,
    pub max_streams_per_person: usize,
    pub max_changes_per_minute: Option<NonZeroU32>,
    pub max_previews_per_minute: Option<NonZeroU32>,
    pub trusted_proxies: Vec<Network>,
    pub max_connections: usize,
    pub max_connections_per_address: usize,
}

impl Web {
    /// True when browsers reach us by HTTPS.
    pub fn is_https(&self) -> bool {
        self.public_url.as_ref().is_some_and(|url| url.scheme() == "https")
    }
}

impl Serve {
    /// The kubeconfig files that the environment lists.
    pub fn kubeconfig_files(&self) -> Vec<PathBuf> {
        let listed = self.kubeconfig_files.iter().flat_map(std::env::split_paths);
        listed.filter(|path| !path.as_os_str().is_empty()).collect()
    }

    /// What the web module needs; an error says which options do not go together.
    pub fn web(&self) -> Result<Web, String> {
        if self.auth == Auth::None && !is_loopback(self.listen.ip()) {
            return Err(format!(
                "--auth none lets everybody change everything, so it is refused on {}: \
                 listen on a loopback address such as 127.0.0.1, or use --auth token",
                self.listen
            ));
        }
        Ok(Web {
            auth: self.auth,
            public_url: self.public_url.clone().map(|url| url.0),
            cluster_name: self.cluster_name.clone(),
            environment: self.environment.clone(),
            demo: false,
            max_streams: self.limits.max_streams,
            max_streams_per_session: or_all(self.limits.max_streams_per_session, self.limits.max_streams),
            max_streams_per_person: or_all(self.limits.max_streams_per_person, self.limits.max_streams),
            max_changes_per_minute: NonZeroU32::new(self.limits.max_changes_per_minute),
            max_previews_per_minute: NonZeroU32::new(self.limits.max_previews_per_minute),
            trusted_proxies: self.limits.trusted_proxies.clone(),
            max_connections: self.limits.max_connections.get(),
            max_connections_per_address: or_all(
                self.limits.max_connections_per_address,
                self.limits.max_connections.get(),
            ),
        })
    }
}

impl Demo {
    /// What the web module needs; an error says why the address is refused.
    pub fn web(&self) -> Result<Web, String> {
        if !is_loopback(self.listen.ip()) {
            return Err(format!(
                "the demo knows no sign-in, so it is refused on {}: listen on 127.0.0.1",
                self.listen
            ));
        }
        Ok(Web::open())
    }
}

impl Web {
    /// The settings of the demo (and of tests that need no others): no sign-in, generous limits.
    pub fn open() -> Self {
        Self {
            auth: Auth::None,
            public_url: None,
            cluster_name: String::new(),
            environment: None,
            demo: true,
            max_streams: 500,
            max_streams_per_session: 500,
            max_streams_per_person: 500,
            max_changes_per_minute: None,
            max_previews_per_minute: None,
            trusted_proxies: Vec::new(),
            max_connections: 1000,
            max_connections_per_address: 1000,
        }
    }
}

fn or_all(limit: usize, all: usize) -> usize {
    if limit == 0 { all } else { limit }
}

fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback(),
        IpAddr::V6(v6) => {
            v6.is_loopback() || v6.to_ipv4_mapped().is_some_and(|v4: Ipv4Addr| v4.is_loopback())
        }
    }
}
