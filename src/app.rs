//! The composition root: adapters → services → router, the listener, readiness and the orderly end.
//!
//! The only place that knows every module. `main` calls [`run`]; the tests build the same parts by hand.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::cluster::{Cluster, Options, Target, client};
use crate::config::{Audit, Command, Demo as DemoOptions, Release, Serve, Web};
use crate::demo::Demo;
use crate::domain::ids::Namespace;
use crate::domain::owner::Writers;
use crate::domain::release::Spec;
use crate::domain::versions::VersionKeys;
use crate::metrics::{Metrics, Prometheus, Source};
use crate::services::instances::Instance;
use crate::services::releases::Webhook;
use crate::services::{Services, Settings};
use crate::store::Store;
use crate::web::demo_pages::DemoVisits;
use crate::web::{self, App};

/// How often the Lease that tells of this Sluice is renewed: three times in its duration.
const RENEW: Duration = Duration::from_secs(15);

mod audit;
mod demo_glue;
mod replay;
mod say;
mod sessions;

/// What the demo's mesh counted, as a source of figures.
pub fn demo_source(demo: &Demo) -> Arc<dyn Source> {
    Arc::new(demo_glue::Figures(demo.clone()))
}

/// The releases that the demo begins with.
pub fn demo_releases() -> [Spec; 2] {
    demo_glue::releases()
}

/// Does what the command line asks. The code is what the shell sees.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(options) => demo(options).await.map(|()| ExitCode::SUCCESS),
        Command::Serve(options) => serve(*options).await.map(|()| ExitCode::SUCCESS),
        Command::Audit(Audit::Verify { file, anchor, anchors_from }) => {
            audit::verify(&file, &anchor, &anchors_from).await
        }
        Command::Sessions(command) => sessions::run(command).await,
        Command::Release(Release::Replay { file, release, success, latency, failures, min_requests }) => {
            let limits = replay::Limits { success, latency, failures, min_requests };
            replay::run(&file, &release, &limits).await
        }
    }
}

async fn serve(options: Serve) -> anyhow::Result<()> {
    let settings = options.web().map_err(anyhow::Error::msg)?;
    let clock = Clock::System;
    let stop = until_signal();
    let store = Store::open(&options.database_url.0, clock.clone())
        .await
        .with_context(|| format!("cannot open the history {}", options.database_url.0.display()))?;
    let target = Target::Infer {
        kubeconfig: options.kubeconfig.clone(),
        files: options.kubeconfig_files(),
        context: options.context.clone(),
    };
    let cluster = Cluster::connect(target, cluster_options(&options, clock.clone())?).await?;
    let source = match &options.prometheus_url {
        Some(url) => Some(Arc::new(Prometheus::new(&url.0, None)?) as Arc<dyn Source>),
        None => None,
    };
    let webhooks = webhooks(&options)?;
    let instance = instance(&options)?;
    let parts = Parts { cluster, store, source, clock, settings, webhooks, instance, demo: None };
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    parts.serve(listener, stop).await
}

async fn demo(options: DemoOptions) -> anyhow::Result<()> {
    let settings = options.web().map_err(anyhow::Error::msg)?;
    let clock = Clock::System;
    let stop = until_signal();
    let temporary = Folder::choose(options.data)?;
    let store = Store::open(&temporary.path.join("sluice-demo.db"), clock.clone())
        .await
        .with_context(|| format!("cannot keep the history in {}", temporary.path.display()))?;
    let demo = Demo::start(clock.clone(), &stop);
    let cluster = Cluster::connect(
        Target::InProcess(client::in_process(demo.api.service())),
        Options { clock: clock.clone(), ..Options::default() },
    )
    .await?;
    let source = demo_source(&demo);
    let listener = listen_somewhere(options.listen).await?;
    let parts = Parts {
        cluster,
        store,
        source: Some(source),
        clock,
        settings,
        webhooks: Vec::new(),
        instance: None,
        demo: Some(demo),
    };
    parts.serve(listener, stop).await
}

/// Everything that a running Sluice consists of.
struct Parts {
    cluster: Cluster,
    store: Store,
    source: Option<Arc<dyn Source>>,
    clock: Clock,
    settings: Web,
    webhooks: Vec<Webhook>,
    instance: Option<Instance>,
    demo: Option<Demo>,
}

impl Parts {
    async fn serve(self, listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
        let cache = self.cluster.watch(stop.clone());
        let metrics = Metrics::new(self.source, self.clock.clone());
        let settings = Settings { webhooks: self.webhooks, instance: self.instance, ..Settings::default() };
        let services = Services::new(self.cluster, cache, self.store, metrics, self.clock.clone(), settings);
        let mut tasks = services.spawn(stop.clone());
        if self.demo.is_some() {
            tasks.push(tokio::spawn(demo_glue::begin_releases(services.clone())));
        }
        let visits = self.demo.map(|demo| Arc::new(demo_glue::Visits(demo)) as Arc<dyn DemoVisits>);
        let is_demo = visits.is_some();
        let app = App::new(services.clone(), self.settings, self.clock, visits, stop.clone());
        let address = listener.local_addr()?;
        announce(address, is_demo);
        web::listen::serve(listener, web::router(app.clone()), app.limits(), stop.clone()).await;
        stop.cancel();
        for task in &tasks {
            task.abort();
        }
        // Until the last of them has let go of what it was doing.
        futures::future::join_all(tasks).await;
        services.finish().await;
        Ok(())
    }
}

/// Prints the address. When standard output is closed it serves all the same.
fn announce(address: SocketAddr, demo: bool) {
    let mut lines = format!("Sluice is at http://{address}");
    if demo {
        let _ = write!(
            lines,
            "\nTry first:\n  \
             1. Move reviews to 30/70: http://{address}/services/bookinfo/reviews\n  \
             2. Watch a release that runs: http://{address}/releases?service=shop/pricing\n  \
             3. Look at a release that pauses itself within about four minutes: http://{address}/releases?service=shop/newsletter\n\
             Applications to watch: http://{address}/demo/bookinfo/productpage  http://{address}/demo/weather\n\
             This is a demo in memory. End it with Ctrl-C."
        );
    }
    if let Err(error) = say::say(lines) {
        tracing::warn!(%error, %address, "the address cannot be printed");
    }
}

/// The receivers of messages; a secret that is too short is refused.
fn webhooks(options: &Serve) -> anyhow::Result<Vec<Webhook>> {
    let Some(file) = &options.webhook_secret_file else { return Ok(Vec::new()) };
    let secret = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let secret: Arc<[u8]> = secret.trim_ascii().into();
    if secret.len() < 16 {
        bail!("the secret in {} is shorter than 16 bytes", file.display());
    }
    Ok(options.webhook_url.iter().map(|url| Webhook { url: url.0.clone(), secret: secret.clone() }).collect())
}

/// How other instances learn of this one: by a Lease in the namespace that was named, or in the pod's own.
fn instance(options: &Serve) -> anyhow::Result<Option<Instance>> {
    let own = std::fs::read_to_string("/var/run/secrets/kubernetes.io/serviceaccount/namespace").ok();
    let Some(namespace) = options.lease_namespace.as_deref().or(own.as_deref().map(str::trim)) else {
        return Ok(None);
    };
    let namespace = Namespace::parse(namespace).context("--lease-namespace")?;
    // In a pod it is the pod's name. Two processes of one machine are distinguished by their process ids.
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = Some(host.trim()).filter(|host| !host.is_empty()).unwrap_or("sluice");
    let holder = format!("{host}_{}", std::process::id());
    Ok(Some(Instance { namespace, holder, every: RENEW }))
}

fn cluster_options(options: &Serve, clock: Clock) -> anyhow::Result<Options> {
    let namespaces = if options.namespaces.is_empty() {
        None
    } else {
        let parsed = options.namespaces.iter().map(|name| Namespace::parse(name)).collect::<Result<_, _>>();
        Some(parsed.context("--namespaces")?)
    };
    Ok(Options {
        version_keys: VersionKeys(options.version_labels.iter().map(|key| key.as_str().into()).collect()),
        clock,
        cluster_domain: options.cluster_domain.as_str().into(),
        root_namespace: options.root_namespace.as_str().into(),
        namespaces,
        audiences: options.token_audience.clone(),
        writers: Arc::new(Writers { controllers: options.controllers.clone(), tools: options.tools.clone() }),
        ..Options::default()
    })
}

/// The address that was asked for, or, when its port is busy, one that the system picks.
async fn listen_somewhere(wanted: SocketAddr) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(wanted).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            tracing::info!(%wanted, "the port is busy, another one is taken");
            Ok(TcpListener::bind(SocketAddr::new(wanted.ip(), 0)).await?)
        }
        Err(error) => Err(error).with_context(|| format!("cannot listen on {wanted}")),
    }
}

/// Cancelled by Ctrl-C or SIGTERM. A second signal ends the process at once.
fn until_signal() -> CancellationToken {
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        signal().await;
        told.cancel();
        signal().await;
        std::process::exit(130);
    });
    stop
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut end) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = end.recv() => {}
    }
}

/// The demo's folder: the one that was named, or a temporary one that goes with the process.
struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    fn choose(named: Option<PathBuf>) -> anyhow::Result<Self> {
        let temporary = named.is_none();
        let path = named.unwrap_or_else(|| {
            std::env::temp_dir().join(format!("sluice-demo-{}", uuid::Uuid::now_v7().simple()))
        });
        if path.is_file() {
            bail!("{} is a file: name a folder with --data", path.display());
        }
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path, temporary })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            // Best effort: what stays behind is an empty demo in the system's temporary folder.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
