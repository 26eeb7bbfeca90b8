//! The Kubernetes API, and the only module that names `kube`: watches, uncached reads, dry runs, writes and access
//! reviews. `services` calls it. It decides nothing about traffic (that is `routing`), and it writes
//! nothing but a [`Plan`](crate::domain::plan::Plan), through [`Cluster::apply`], and the workloads of releases.
//!
//! ```text
//! watch ──rows──► state (indexes) ──► cache ──snapshot──► lists and pages
//! fresh ──GET/LIST──► a state of its own ──snapshot with JSON──► decisions to write
//! apply ──PUT, one object after the other──► cluster; barrier = the cache has heard it
//! ```
//!
//! `kube` supplies what is hard to get right about connections: kubeconfig, in-cluster credentials and
//! their rotation, TLS. Requests, retries, time limits and watches are ours, because their failures are what this
//! module is about: whether a write was sent, whether its answer was lost, how long a watch was silent.

pub mod client;
mod connection;
mod error;
mod served;
mod wire;

mod json;
mod kinds;
mod meta;
mod parse;
mod rows;
mod template;
mod words;

mod choosers;
mod find;
mod host_config;
mod hosts;
mod join;
mod routes;
mod state;

mod cache;
mod watch;

#[cfg(test)]
mod random;

mod access;
mod apply;
mod current;
mod fresh;
mod leases;
mod left_behind;
mod one;
mod owners;
mod recent;
mod workloads;
mod write;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;
use crate::domain::ids::Namespace;
use crate::domain::owner::Writers;
use crate::domain::versions::VersionKeys;

pub use self::access::{Ask, Visible, asks_of};
pub use self::apply::{Applied, Fate, ObjectWrite};
pub use self::cache::{Cache, Change, Health, KindHealth};
pub use self::choosers::{Chooser, Departing};
pub use self::error::{ApplyError, ClusterError};
pub use self::leases::InstanceLease;
pub use self::left_behind::{About, Leaving};
pub use self::workloads::WorkloadError;
pub use self::write::Warning;

use self::client::Clients;
use self::words::Words;

/// The name under which the API server books what we write, in `managedFields` and in its audit log.
pub use crate::domain::plan::FIELD_MANAGER;

/// Which API server is meant.
pub enum Target {
    /// A kubeconfig file (or the default one), else the service account of the pod that we run in.
    Infer {
        kubeconfig: Option<std::path::PathBuf>,
        /// Without `kubeconfig`: the files that `KUBECONFIG` lists; empty = the default file.
        files: Vec<std::path::PathBuf>,
        context: Option<String>,
    },
    /// An API server in this process; made by [`client::in_process`].
    InProcess(client::InProcess),
}

/// Settings of the module.
#[derive(Clone, Debug)]
pub struct Options {
    pub version_keys: VersionKeys,
    pub clock: Clock,
    /// Usually `cluster.local`.
    pub cluster_domain: Arc<str>,
    /// Usually `istio-system`.
    pub root_namespace: Arc<str>,
    /// Watch only these namespaces; `None` = the whole cluster.
    pub namespaces: Option<Vec<Namespace>>,
    /// The audiences that a bearer token must be meant for; empty = the API server's own.
    pub audiences: Vec<String>,
    /// Writers of routing objects that this installation adds to those known.
    pub writers: Arc<Writers>,
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            version_keys: VersionKeys::default(),
            clock: Clock::System,
            cluster_domain: "cluster.local".into(),
            root_namespace: "istio-system".into(),
            namespaces: None,
            audiences: Vec::new(),
            writers: Arc::default(),
            limits: Limits::default(),
        }
    }
}

/// How long things may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// One reading, its retries included.
    pub read: Duration,
    /// One write request.
    pub write: Duration,
    /// A whole change from the first request to the last, undoing included.
    pub change: Duration,
    /// How long to wait until our own watch has heard of a write before the next stage.
    pub barrier: Duration,
    /// What proxies get on top of that between two stages, counted from when nothing moves any more: Istio waits
    /// for 100 quiet milliseconds before it pushes.
    pub grace: Duration,
    /// The API server ends each watch after this time; a silent one is dropped 5 s later.
    pub watch: Duration,
    /// No event, bookmark or list of a kind for this long: list again.
    pub silence: Duration,
    /// How often a kind that is not installed, or forbidden, is tried again.
    pub probe: Duration,
    /// Objects a page of a list.
    pub page: u32,
    /// How long an allowed answer about a person's rights is believed.
    pub rights: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            read: Duration::from_secs(15),
            write: Duration::from_secs(20),
            change: Duration::from_secs(20),
            barrier: Duration::from_secs(5),
            grace: Duration::from_millis(300),
            watch: Duration::from_secs(40),
            silence: Duration::from_secs(90),
            probe: Duration::from_secs(30),
            page: 200,
            rights: Duration::from_mins(1),
        }
    }
}

/// What a call gets even when the deadline has passed.
const LEAST: Duration = Duration::from_secs(1);

/// The cluster: cheap to clone, safe to share.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

tokio::task_local! {
    /// When the work that the task is about must be over.
    static DEADLINE: Instant;
}

/// Does work whose calls to the cluster, together, end by a deadline: reading, trying out and applying
/// share one change's time. A call that begins after it still gets a second, to find out what became of a write.
pub async fn until<F: Future>(deadline: Instant, work: F) -> F::Output {
    DEADLINE.scope(deadline, work).await
}

struct Inner {
    clients: Clients,
    options: Options,
    words: Arc<Words>,
    rights: access::Known,
    recent: recent::Recent,
}

impl Cluster {
    /// Reads credentials and makes the clients; sends nothing yet.
    pub async fn connect(target: Target, options: Options) -> Result<Self, ClusterError> {
        let clients = Clients::connect(target).await?;
        let inner = Inner {
            clients,
            options,
            words: Arc::new(Words::default()),
            rights: access::Known::default(),
            recent: recent::Recent::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    fn limits(&self) -> &Limits {
        &self.inner.options.limits
    }

    fn writers(&self) -> &Writers {
        &self.inner.options.writers
    }
}

/// When a call that may take `limit` must be over.
fn within(limit: Duration) -> Instant {
    let now = Instant::now();
    let deadline = DEADLINE.try_with(|deadline| *deadline).ok();
    deadline.map_or(now + limit, |deadline| deadline.clamp(now + LEAST, now + limit.max(LEAST)))
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}
