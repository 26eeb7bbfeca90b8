//! Releases on a real API server, with exactly the rights that `deploy/` gives: a copy of a Deployment to half of
//! the traffic and away again, a copy of a StatefulSet, and a StatefulSet's pods replaced in place.

use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use serde_json::{Value, json};
use sluice::clock::Clock;
use sluice::cluster::{Cluster, Options, Target};
use sluice::domain::release::{Command, PauseReason, Phase, Release, ReleaseId};
use sluice::metrics::Metrics;
use sluice::services::{Services, Settings};
use sluice::store::Store;
use tokio_util::sync::CancellationToken;

use super::releases::wish;
use crate::support::cluster::RealCluster;
use crate::support::house::anna;
use crate::support::wait_for;

struct Here {
    services: Services,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Here {
    async fn on(cluster: &RealCluster) -> Self {
        let clock = Clock::System;
        let target = Target::Infer {
            kubeconfig: Some(cluster.kubeconfig("sluice")),
            files: Vec::new(),
            context: None,
        };
        let cluster = Cluster::connect(target, Options::default()).await.unwrap();
        let stop = CancellationToken::new();
        let cache = cluster.watch(stop.clone());
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("sluice.db"), clock.clone()).await.unwrap();
        let metrics = Metrics::new(None, clock.clone());
        let services = Services::new(cluster, cache, store, metrics, clock, Settings::default());
        services.spawn(stop.clone());
        let here = Self { services, stop, _folder: folder };
        wait_for("it is ready", async || here.services.ready().ok()).await;
        here
    }

    async fn start(&self, change: impl FnOnce(&mut Value)) -> ReleaseId {
        self.services.start_release(&anna(), wish(change), "REL-1", "req").await.unwrap().id
    }

    async fn say(&self, id: ReleaseId, command: Command) {
        self.services.command_release(&anna(), id, command, None, "because", "req").await.unwrap();
    }

    async fn until(&self, id: ReleaseId, there: impl Fn(&Release) -> bool) -> Release {
        wait_for("the release is there", async || {
            let release = self.services.release(&anna(), id).await.unwrap().release;
            (there(&release) && release.state.pending.is_empty()).then_some(release)
        })
        .await
    }

    async fn ended(&self, id: ReleaseId, phase: Phase) {
        let release = self.until(id, |release| release.state.phase.is_final()).await;
        assert_eq!(release.state.phase, phase, "{:?}", release.state);
        assert_eq!(release.state.needs, None);
    }
}

/// Image and readiness of the pod of `weather/ledger-v1`.
async fn ledger_pod(cluster: &RealCluster) -> (String, bool) {
    let pods: Api<Pod> = Api::namespaced(cluster.client("admin").await, "weather");
    let Ok(pod) = pods.get("ledger-v1-0").await else { return (String::new(), false) };
    let image = pod.spec.and_then(|spec| spec.containers.into_iter().next()?.image).unwrap_or_default();
    let conditions = pod.status.and_then(|status| status.conditions).unwrap_or_default();
    (image, conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}

/// Called by the flow that holds the rights used against the rights granted.
pub async fn releases_on_a_real_api_server(cluster: &RealCluster) {
    let here = Here::on(cluster).await;
    let gate = |release: &Release| release.state.pause_reason() == Some(PauseReason::Gate);

    let id = here
        .start(|w| {
            w["service"] = json!({"namespace": "weather", "name": "recommendation"});
            w["candidate"]["image"] = json!("istioweather/recommendation:v9");
            w["policies"] = json!({"delete_after_abort": true});
            w["steps"] = json!([{"kind": "replicas", "candidate": 1}, {"kind": "weight", "percent": 50},
                {"kind": "replicas", "candidate": 2}, {"kind": "approval"}, {"kind": "weight", "percent": 100}]);
        })
        .await;
    assert_eq!(here.until(id, gate).await.share(), 50);
    here.say(id, Command::Abort).await;
    here.ended(id, Phase::RolledBack).await;

    let ledger = |w: &mut Value, candidate: Value, steps: Value| {
        w["service"] = json!({"namespace": "weather", "name": "ledger"});
        w["strategy"] = json!("replicas");
        w["candidate"] = candidate;
        w["policies"] = json!({"delete_after_abort": true});
        w["steps"] = steps;
    };
    let copy = json!({"from": "image", "version": "v8", "image": "shop/ledger:8"});
    let id = here
        .start(|w| ledger(w, copy, json!([{"kind": "replicas", "candidate": 1}, {"kind": "approval"}])))
        .await;
    here.until(id, gate).await;
    here.say(id, Command::Abort).await;
    here.ended(id, Phase::RolledBack).await;

    let replaced = json!({"from": "image", "version": "v9", "image": "shop/ledger:9", "in_place": true});
    let id = here.start(|w| ledger(w, replaced, json!([{"kind": "replicas", "candidate": 1}]))).await;
    here.ended(id, Phase::Succeeded).await;
    // In one press its pods run again what they ran before.
    here.say(id, Command::SwitchBack).await;
    here.ended(id, Phase::RolledBack).await;
    assert_eq!(ledger_pod(cluster).await, ("shop/ledger:1".to_owned(), true));

    // Pods are replaced in order: one that never gets ready is waited for until somebody deletes it.
    let broken = json!({"from": "image", "version": "v10", "image": "shop/ledger:broken", "in_place": true});
    let id = here.start(|w| ledger(w, broken, json!([{"kind": "replicas", "candidate": 1}]))).await;
    wait_for("the pod is broken", async || {
        (ledger_pod(cluster).await == ("shop/ledger:broken".to_owned(), false)).then_some(())
    })
    .await;
    here.say(id, Command::Abort).await;
    here.ended(id, Phase::RolledBack).await;
    assert_eq!(ledger_pod(cluster).await, ("shop/ledger:1".to_owned(), true));
    here.stop.cancel();
}
