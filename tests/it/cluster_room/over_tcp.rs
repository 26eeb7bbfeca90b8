//! What only a real connection can show: which failures mean that nothing was sent, and that nothing below us
//! sends a write again.

use std::path::{Path, PathBuf};

use serde_json::json;
use sluice::clock::Clock;
use sluice::cluster::{Cache, Cluster, ClusterError, Options, Target};
use sluice::demo::api::{ApiServer, On, Times, Trouble, Verb};
use sluice::domain::audit::Ending;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::scene::{at, reviews, shift};

struct Wired {
    api: ApiServer,
    cluster: Cluster,
    cache: Cache,
    server: JoinHandle<()>,
    _stop: DropGuard,
    _folder: tempfile::TempDir,
}

fn kubeconfig(folder: &Path, server: &str) -> PathBuf {
    let path = folder.join("kubeconfig");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": server}}],
        "users": [{"name": "here", "user": {"token": "canary-token"}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
    });
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

async fn wired() -> Wired {
    let api = ApiServer::new(Clock::System);
    reviews(&api);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = kubeconfig(folder.path(), &format!("http://{}", listener.local_addr().unwrap()));
    let serving = api.clone();
    let server = tokio::spawn(async move { serving.serve(listener).await });
    let target = Target::Infer { kubeconfig: Some(file), files: Vec::new(), context: None };
    let cluster = Cluster::connect(target, Options::default()).await.unwrap();
    let stop = CancellationToken::new();
    let cache = cluster.watch(stop.clone());
    assert!(cache.ready_within(std::time::Duration::from_secs(20)).await, "{:?}", cache.health());
    Wired { api, cluster, cache, server, _stop: stop.drop_guard(), _folder: folder }
}

#[tokio::test]
async fn a_write_is_sent_once_whatever_happens_to_its_answer() {
    for (trouble, ending) in [
        (Trouble::Answer(429), Ending::Failed),
        (Trouble::Answer(503), Ending::Failed),
        (Trouble::Drop, Ending::Failed),
        (Trouble::AnswerAfterApplying(504), Ending::Applied),
        (Trouble::DropAfterApplying, Ending::Applied),
    ] {
        let wired = wired().await;
        let snapshot = wired.cluster.read_fresh(&at("reviews"), &wired.cache).await.unwrap().unwrap();
        wired.api.trouble(On::verb(Verb::Update), trouble.clone(), Times::Always);
        let applied = wired.cluster.apply(&shift(&snapshot, [30, 70]), "change-1", &wired.cache).await;
        assert_eq!(applied.ending, ending, "{trouble:?}: {:?}", applied.error);
        assert_eq!(wired.api.count("PUT", "virtualservices"), 1, "{trouble:?}");
        assert!(wired.api.log().iter().all(|line| line.agent.starts_with("sluice/")));
    }
}

#[tokio::test]
async fn a_refused_connection_means_that_nothing_was_sent() {
    let wired = wired().await;
    let snapshot = wired.cluster.read_fresh(&at("reviews"), &wired.cache).await.unwrap().unwrap();
    wired.server.abort();
    // The listener is closed, and so are the connections.
    assert!(wired.server.await.unwrap_err().is_cancelled());
    let applied = wired.cluster.apply(&shift(&snapshot, [30, 70]), "change-1", &wired.cache).await;
    assert_eq!(applied.ending, Ending::Failed, "{:?}", applied.error);
    let error = wired.cluster.read_fresh(&at("reviews"), &wired.cache).await.unwrap_err();
    assert!(matches!(&error, ClusterError::Unreachable(why) if !why.contains("canary")), "{error}");
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_used_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let connect = async |kubeconfig: PathBuf, context: Option<&str>| {
        let target = Target::Infer {
            kubeconfig: Some(kubeconfig),
            files: Vec::new(),
            context: context.map(Into::into),
        };
        Cluster::connect(target, Options::default()).await.unwrap_err().to_string()
    };
    let missing = connect(folder.path().join("none"), None).await;
    assert!(missing.starts_with("cannot find out how to reach the cluster"), "{missing}");
    let other = connect(kubeconfig(folder.path(), "http://127.0.0.1:1"), Some("elsewhere")).await;
    assert!(other.contains("elsewhere") && !other.contains("canary"), "{other}");
}
