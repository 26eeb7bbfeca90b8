//! A real Kubernetes API server for a test: starts `tests/cluster/up` as a child process and ends it.
//!
//! Called by every test that needs real parts. It must never leave a process behind: the child
//! ends when its standard input is closed, and the system closes that however this process ends.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a cluster is started with. `Options::default()`: Istio's kinds, the people, no samples.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub samples: Samples,
    pub istio: Istio,
    pub mesh: Mesh,
    /// More flags for kube-apiserver.
    pub api_server: &'static [&'static str],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Samples {
    #[default]
    None,
    /// Bookinfo and the weather application, all pods settled.
    Applied,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Istio {
    #[default]
    Kinds,
    NotInstalled,
}

/// Whether requests can be made (`support::mesh`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mesh {
    #[default]
    None,
    /// istiod with its webhook, backends for every pod, Prometheus, and Envoy where a test asks for one.
    Started,
}

impl Options {
    fn layer(self) -> &'static str {
        match self.mesh {
            Mesh::None => "the real API server",
            Mesh::Started => "the real API server with Istio, Envoy and Prometheus",
        }
    }
}

/// The line that `tests/cluster/up` prints; `report` in its options.go.
#[derive(Deserialize)]
struct Report {
    ready: bool,
    #[serde(default)]
    error: String,
    #[serde(default)]
    server: String,
    #[serde(default)]
    control: String,
    #[serde(default)]
    prometheus: String,
    #[serde(default)]
    dir: PathBuf,
    #[serde(default)]
    pid: u32,
    #[serde(default)]
    tokens: BTreeMap<String, String>,
}

/// A running cluster; it ends when this is dropped.
pub struct RealCluster {
    report: Report,
    child: Child,
    said: Option<JoinHandle<String>>,
}

impl RealCluster {
    /// Starts a cluster of the test's own and waits until it is ready (4 to 8 s; the very first
    /// build takes minutes). `None` when this machine cannot build or run one: that is written to
    /// standard error, and is a panic when `CI=true`. Also `None` when `SLUICE_TEST_LAYERS=fake`.
    pub fn start(options: Options) -> Option<Self> {
        if std::env::var_os("SLUICE_TEST_LAYERS").is_some_and(|layers| layers == "fake") {
            say(options.layer(), "SLUICE_TEST_LAYERS=fake");
            return None;
        }
        let mut command = Command::new("bash");
        command.arg(repository().join("tests/cluster/up"));
        if options.samples == Samples::Applied {
            command.arg("--samples");
        }
        if options.istio == Istio::NotInstalled {
            command.arg("--without-istio");
        }
        if options.mesh == Mesh::Started {
            command.arg("--mesh");
        }
        for argument in options.api_server {
            command.arg(format!("--apiserver-arg={argument}"));
        }
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) => return skipped(options.layer(), &format!("bash: {error}")),
        };
        let mut errors = child.stderr.take().expect("piped");
        let said = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = errors.read_to_string(&mut text);
            text
        });
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        output.read_line(&mut line).expect("standard output of tests/cluster/up");
        if line.is_empty() {
            let status = child.wait().expect("tests/cluster/up ends");
            return skipped(
                options.layer(),
                &format!("tests/cluster/up ended with {status}\n{}", said.join().unwrap_or_default()),
            );
        }
        let report: Report = serde_json::from_str(&line).expect("the line of tests/cluster/up");
        let mut cluster = Self { report, child, said: Some(said) };
        if !cluster.report.ready {
            cluster.end();
            let said = cluster.said.take().and_then(|said| said.join().ok()).unwrap_or_default();
            panic!("the real API server did not start: {}\n{said}", cluster.report.error);
        }
        Some(cluster)
    }

    /// One cluster with the samples for all tests that only read, or write in namespaces of
    /// their own. It ends with the test program.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<RealCluster>> = OnceLock::new();
        SHARED
            .get_or_init(|| Self::start(Options { samples: Samples::Applied, ..Options::default() }))
            .as_ref()
    }

    /// One cluster with a mesh for all tests that make requests, each in namespaces of its own.
    pub fn with_mesh() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<RealCluster>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(Options { mesh: Mesh::Started, ..Options::default() })).as_ref()
    }

    /// URL of Prometheus; empty without a mesh.
    pub fn prometheus(&self) -> &str {
        &self.report.prometheus
    }

    /// URL of the API server.
    pub fn server(&self) -> &str {
        &self.report.server
    }

    /// Bearer token of `admin`, `amy`, `vic`, `aud`, `nobody`, `portal` or `sluice`.
    pub fn token(&self, person: &str) -> &str {
        self.report.tokens.get(person).unwrap_or_else(|| panic!("nobody is called {person}"))
    }

    /// File for `sluice serve --kubeconfig` and the like.
    pub fn kubeconfig(&self, person: &str) -> PathBuf {
        self.report.dir.join(format!("{person}.kubeconfig"))
    }

    /// A client with the rights of that person. Make one in each test: it belongs to its runtime.
    pub async fn client(&self, person: &str) -> kube::Client {
        let file = Kubeconfig::read_from(self.kubeconfig(person)).expect("kubeconfig");
        let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
            .await
            .expect("kubeconfig");
        kube::Client::try_from(config).expect("client")
    }

    /// Folder of the cluster, with the logs of its parts.
    pub fn dir(&self) -> &Path {
        &self.report.dir
    }

    /// Process of the namespace in which everything runs.
    pub fn pid(&self) -> u32 {
        self.report.pid
    }

    /// Process that was started; the cluster ends with it.
    pub fn starter(&self) -> u32 {
        self.child.id()
    }

    /// Drops etcd's history. The API server keeps its own memory of recent events, so a watch from
    /// an old resourceVersion is 410 Gone only after [`RealCluster::expire`].
    pub async fn compact(&self) {
        self.control("etcd/compact").await;
    }

    /// Makes every resourceVersion given out so far too old to watch from: a real 410 Gone.
    /// All open connections are reset.
    pub async fn expire(&self) {
        self.compact().await;
        self.restart().await;
    }

    /// The API server stops where it is; connections stay open and nothing answers.
    pub async fn freeze(&self) {
        self.control("apiserver/freeze").await;
    }

    /// It goes on.
    pub async fn thaw(&self) {
        self.control("apiserver/thaw").await;
    }

    /// The API server is gone: connections are reset until [`RealCluster::start_again`].
    pub async fn kill(&self) {
        self.control("apiserver/kill").await;
    }

    /// Starts the API server after [`RealCluster::kill`]; about 2.5 s.
    pub async fn start_again(&self) {
        self.control("apiserver/start").await;
    }

    /// Kills and starts the API server.
    pub async fn restart(&self) {
        self.control("apiserver/restart").await;
    }

    async fn control(&self, action: &str) {
        self.ask(action, "", Duration::from_mins(1)).await;
    }

    /// Asks the cluster's control endpoint; `control.go` lists what it knows.
    pub async fn ask(&self, action: &str, body: &str, limit: Duration) -> String {
        let url = url::Url::parse(&self.report.control).expect("control address");
        let (host, port) = (url.host_str().expect("host"), url.port().expect("port"));
        let asked = async {
            let mut stream = tokio::net::TcpStream::connect((host, port)).await?;
            let head = format!(
                "POST {}/{action} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n",
                url.path(),
                body.len()
            );
            stream.write_all(format!("{head}{body}").as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        let answer = tokio::time::timeout(limit, asked).await.expect("control in time").expect("control");
        assert!(answer.split(' ').nth(1) == Some("200"), "{action}: {answer}");
        answer.split_once("\r\n\r\n").expect("an answer of HTTP").1.trim_end().to_owned()
    }

    /// The same without waiting for its words, for those who cannot wait.
    pub fn tell(&self, action: &str) {
        let url = url::Url::parse(&self.report.control).expect("control address");
        let (host, port) = (url.host_str().expect("host"), url.port().expect("port"));
        let head =
            format!("POST {}/{action} HTTP/1.0\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n", url.path());
        if let Ok(mut stream) = std::net::TcpStream::connect((host, port)) {
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }

    fn end(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

impl Drop for RealCluster {
    fn drop(&mut self) {
        self.end();
    }
}

/// The folder of the package.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn skipped(layer: &str, reason: &str) -> Option<RealCluster> {
    let in_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(!in_ci, "the layer of {layer} cannot run: {reason}");
    say(layer, reason);
    None
}

/// Written past the test harness, which would keep it from whoever runs a passing test.
fn say(layer: &str, reason: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: the layer of {layer}: {reason}");
}
