//! Our own credentials: renewed when the API server refuses them, read as kubectl reads them, and named when
//! they are what is wrong.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use sluice::clock::Clock;
use sluice::cluster::{Cache, Cluster, ClusterError, Health, Options, Target};
use sluice::demo::api::{ApiServer, Person, Right};
use sluice::domain::audit::Ending;
use sluice::domain::refusal::Code;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::scene::{at, reviews, shift};

/// An API server that knows tokens, behind a socket, and a folder for credentials.
struct Guarded {
    api: ApiServer,
    server: String,
    folder: tempfile::TempDir,
}

struct Watching {
    cluster: Cluster,
    cache: Cache,
    _stop: DropGuard,
}

impl Guarded {
    async fn new() -> Self {
        let api = ApiServer::new(Clock::System);
        reviews(&api);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let serving = api.clone();
        tokio::spawn(async move { serving.serve(listener).await });
        let all = || vec!["*".to_owned()];
        api.grant(Right {
            subject: "sluice".to_owned(),
            verbs: all(),
            groups: all(),
            resources: all(),
            ..Right::default()
        });
        let guarded = Self { api, server, folder: tempfile::tempdir().unwrap() };
        guarded.accept("first");
        guarded
    }

    /// From now on this token is Sluice's.
    fn accept(&self, token: &str) {
        let person = Person { token: token.to_owned(), name: "sluice".to_owned(), ..Person::default() };
        self.api.add_person(person);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A kubeconfig whose user is this.
    fn kubeconfig(&self, user: Value) -> PathBuf {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": self.server}}],
            "users": [{"name": "here", "user": user}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
        });
        self.write("kubeconfig", &config.to_string())
    }

    /// A plugin that prints the token of the file `token`, without an expiry, and counts its runs.
    fn plugin(&self) -> PathBuf {
        let (token, runs) = (self.path("token"), self.path("runs"));
        let script = format!(
            "echo run >> {runs}; token=$(cat {token}) || exit 7; \
             echo '{{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\
             \"status\":{{\"token\":\"'$token'\"}}}}'",
            runs = runs.display(),
            token = token.display(),
        );
        self.kubeconfig(json!({"exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script],
            "interactiveMode": "Never",
        }}))
    }

    fn runs(&self) -> usize {
        std::fs::read_to_string(self.path("runs")).unwrap_or_default().lines().count()
    }
}

fn target(kubeconfig: PathBuf) -> Target {
    Target::Infer { kubeconfig: Some(kubeconfig), files: Vec::new(), context: None }
}

async fn watch(target: Target) -> Watching {
    let watching = begin(target).await;
    let ready = watching.cache.ready_within(Duration::from_secs(20)).await;
    assert!(ready, "{:?}", watching.cache.health());
    watching
}

async fn begin(target: Target) -> Watching {
    let cluster = Cluster::connect(target, Options::default()).await.unwrap();
    let stop = CancellationToken::new();
    let cache = cluster.watch(stop.clone());
    Watching { cluster, cache, _stop: stop.drop_guard() }
}

#[tokio::test]
async fn a_plugin_without_expiry_runs_again_when_its_token_is_refused() {
    let guarded = Guarded::new().await;
    guarded.write("token", "first");
    let Watching { cluster, cache, _stop } = watch(target(guarded.plugin())).await;
    let at_start = guarded.runs();
    let snapshot = cluster.read_fresh(&at("reviews"), &cache).await.unwrap().unwrap();
    assert_eq!(guarded.runs(), at_start, "a token that is accepted is kept");
    guarded.api.withdraw("first");
    guarded.accept("second");
    guarded.write("token", "second");
    // A write comes first: what was refused was not written, so it may be sent again.
    let applied = cluster.apply(&shift(&snapshot, [30, 70]), "change-1", &cache).await;
    assert_eq!(applied.ending, Ending::Applied, "{:?}", applied.error);
    cluster.read_fresh(&at("reviews"), &cache).await.unwrap().unwrap();
    // As often as at the start: for the client that reads and the one that writes.
    assert_eq!(guarded.runs(), 2 * at_start);
}

#[tokio::test]
async fn a_plugin_does_not_run_for_each_request_that_is_refused() {
    let guarded = Guarded::new().await;
    guarded.write("token", "first");
    let Watching { cluster, cache, _stop } = watch(target(guarded.plugin())).await;
    let at_start = guarded.runs();
    guarded.api.withdraw("first");
    // The rights of the server count from the first person on: without anybody all are let in.
    guarded.accept("second");
    for _ in 0..20 {
        let error = cluster.read_fresh(&at("reviews"), &cache).await.unwrap_err();
        assert!(matches!(&error, ClusterError::Unauthenticated(_)), "{error}");
        assert_eq!(error.refusal().code, Code::ClusterUnauthenticated);
    }
    // Only the client that reads was refused.
    assert!(guarded.runs() <= 2 * at_start, "{} runs", guarded.runs());
}

#[tokio::test]
async fn a_plugin_that_fails_is_named_without_what_it_printed() {
    let guarded = Guarded::new().await;
    let error = Cluster::connect(target(guarded.plugin()), Options::default()).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(&error, ClusterError::Credentials(_)), "{text}");
    assert!(text.contains("`sh` ended with exit status: 7") && !text.contains("echo"), "{text}");
    // The same later, when the token is no longer accepted and the plugin cannot get another.
    guarded.write("token", "first");
    let Watching { cluster, cache, _stop } = watch(target(guarded.plugin())).await;
    std::fs::remove_file(guarded.path("token")).unwrap();
    guarded.api.withdraw("first");
    guarded.accept("second");
    let error = cluster.read_fresh(&at("reviews"), &cache).await.unwrap_err();
    assert_eq!(error.refusal().code, Code::ClusterCredentials, "{error}");
}

#[tokio::test]
async fn tokens_are_read_without_the_white_space_around_them() {
    let guarded = Guarded::new().await;
    let file = guarded.write("token", "first\n");
    watch(target(guarded.kubeconfig(json!({"tokenFile": file})))).await;
    watch(target(guarded.kubeconfig(json!({"token": "first\n"})))).await;
    // A token that was exchanged in its file is found when the old one is refused.
    let Watching { cluster, cache, _stop } =
        watch(target(guarded.kubeconfig(json!({"tokenFile": file})))).await;
    guarded.api.withdraw("first");
    guarded.accept("second");
    guarded.write("token", " second\r\n");
    cluster.read_fresh(&at("reviews"), &cache).await.unwrap().unwrap();
    // An empty one is named.
    guarded.write("token", "\n");
    let error = Cluster::connect(target(guarded.kubeconfig(json!({"tokenFile": file}))), Options::default());
    let error = error.await.unwrap_err();
    assert!(matches!(&error, ClusterError::Credentials(why) if why.contains("empty")), "{error}");
}

#[tokio::test]
async fn refused_credentials_are_not_a_lack_of_rights() {
    let guarded = Guarded::new().await;
    let Watching { cache, _stop, .. } = begin(target(guarded.kubeconfig(json!({"token": "wrong"})))).await;
    let failing = async {
        loop {
            let health = cache.health();
            if health.iter().all(|kind| matches!(kind.state, Health::Failing { .. })) {
                return health;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let health = tokio::time::timeout(Duration::from_secs(20), failing).await.expect("all kinds fail");
    for kind in health {
        assert!(matches!(kind.state, Health::Failing { code: Code::ClusterUnauthenticated, .. }), "{kind:?}");
    }
    assert!(!cache.is_ready());
    assert_eq!(cache.blindness().map(|refusal| refusal.code), Some(Code::ClusterUnauthenticated));
    // Who is let in and has no rights: that is another thing.
    guarded.api.add_person(Person {
        token: "stranger".to_owned(),
        name: "stranger".to_owned(),
        ..Person::default()
    });
    let stranger = watch(target(guarded.kubeconfig(json!({"token": "stranger"})))).await;
    for kind in stranger.cache.health() {
        assert!(matches!(kind.state, Health::Forbidden { .. }), "{kind:?}");
    }
    assert_eq!(stranger.cache.blindness().map(|refusal| refusal.code), Some(Code::ClusterForbids));
}

#[tokio::test]
async fn a_missing_file_of_a_list_is_skipped() {
    let guarded = Guarded::new().await;
    let whole: Value = serde_json::from_str(
        &std::fs::read_to_string(guarded.kubeconfig(json!({"token": "first"}))).unwrap(),
    )
    .unwrap();
    let (mut a, mut b) = (whole.clone(), whole);
    a["users"] = json!([]);
    b["clusters"] = json!([]);
    let a = guarded.write("a", &a.to_string());
    let b = guarded.write("b", &b.to_string());
    let list = |files: &[&Path]| Target::Infer {
        kubeconfig: None,
        files: files.iter().map(|file| file.to_path_buf()).collect(),
        context: None,
    };
    watch(list(&[&a, &guarded.path("missing"), &b])).await;
    let gone = list(&[&guarded.path("missing"), &guarded.path("gone")]);
    let error = Cluster::connect(gone, Options::default()).await.unwrap_err().to_string();
    assert!(error.contains("none of the files that KUBECONFIG lists exists"), "{error}");
    assert!(error.contains("missing") && error.contains("gone"), "{error}");
    // A file that is there must be readable.
    let broken = guarded.write("broken", "{");
    assert!(Cluster::connect(list(&[&a, &broken, &b]), Options::default()).await.is_err());
}
