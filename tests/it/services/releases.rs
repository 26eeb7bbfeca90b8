//! Releases on the sample cluster in memory: from an image to all traffic and back, through the real client.

use std::time::Duration;

use serde_json::{Value, json};
use sluice::domain::audit::{Action, Ending};
use sluice::domain::refusal::Refusal;
use sluice::domain::release::validate::read;
use sluice::domain::release::{Command, PauseReason, Phase, Release, ReleaseId, Spec};
use sluice::services::Settings;
use sluice::services::releases::Until;

use crate::support::house::{House, anna, at, weights};

pub fn wish(change: impl FnOnce(&mut Value)) -> Spec {
    let mut wish = json!({
        "service": {"namespace": "bookinfo", "name": "reviews"},
        "strategy": "canary", "stable": "v1",
        "candidate": {"from": "image", "version": "v9", "image": "istio/examples-bookinfo-reviews-v9:1"},
        "steps": [{"kind": "weight", "percent": 30}, {"kind": "approval"}, {"kind": "weight", "percent": 100}],
    });
    change(&mut wish);
    read(&wish).unwrap()
}

/// The same without routing, of a service that is spread by pods.
pub fn by_pods(wish: &mut Value, steps: Value) {
    wish["service"] = json!({"namespace": "shop", "name": "search"});
    wish["strategy"] = json!("replicas");
    wish["stable"] = json!("stable");
    wish["candidate"]["version"] = json!("next");
    wish["steps"] = steps;
}

impl House {
    pub async fn start(&self, spec: Spec) -> Release {
        Box::pin(self.services.start_release(&anna(), spec, "REL-1", "req")).await.unwrap()
    }

    pub async fn say(&self, id: ReleaseId, command: Command) -> Result<Release, Refusal> {
        self.services.command_release(&anna(), id, command, None, "because", "req").await
    }

    pub async fn phase(&self, id: ReleaseId) -> Release {
        self.services.release(&anna(), id).await.unwrap().release
    }

    /// Waits until it is paused for this reason.
    pub async fn until_paused(&self, id: ReleaseId, reason: PauseReason) -> Release {
        self.until("it is paused", async |house| {
            let release = house.phase(id).await;
            assert!(!release.state.phase.is_final(), "{:?}", release.state);
            (release.state.pause_reason() == Some(reason)).then_some(release)
        })
        .await
    }

    /// Waits until it has ended, and looks how.
    pub async fn until_final(&self, id: ReleaseId, phase: Phase) -> Release {
        let release = self
            .until("it has ended", async |house| {
                let release = house.phase(id).await;
                let over = release.state.phase.is_final() && release.state.pending.is_empty();
                over.then_some(release)
            })
            .await;
        assert_eq!(release.state.phase, phase, "{:?}", release.state);
        release
    }

    pub fn weight_of(&self, subset: &str) -> i64 {
        let all = self.written("bookinfo", "reviews", 0);
        all.iter().find(|(name, _)| name == subset).map_or(0, |(_, weight)| *weight)
    }
}

#[tokio::test]
async fn from_an_image_to_all_traffic_and_the_old_version_retired() {
    let house = House::alive(None, Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    let started = house.start(wish(|_| ())).await;
    let id = started.id;
    assert_eq!(started.state.phase, Phase::Running);
    let paused = house.until_paused(id, PauseReason::Gate).await;
    assert!(paused.state.awaits_approval());
    assert_eq!((house.weight_of("v1"), house.weight_of("v9")), (70, 30));
    let made = house.api.get("Deployment", "bookinfo", "reviews-v9").unwrap();
    assert_eq!(made["spec"]["template"]["metadata"]["labels"]["version"], "v9");
    assert_eq!(made["metadata"]["annotations"]["sluice.io/release"], id.to_string().as_str());

    // Only the release moves the service.
    let refused = house.change(weights(&[("v1", 100)]), &reviews, &["big_jump"]).await.unwrap_err();
    assert_eq!(refused.refusal.code.as_str(), "release_owns_service");
    assert_eq!(house.services.release_of(&reviews).map(|owner| owner.id), Some(id));
    let v8 = wish(|w| w["candidate"]["version"] = json!("v8"));
    let second = house.services.start_release(&anna(), v8, "r", "q").await;
    assert_eq!(second.unwrap_err()[0].code.as_str(), "release_owns_service");

    house.say(id, Command::Promote).await.unwrap();
    let done =
        house.services.await_release(&anna(), id, Duration::from_secs(30), Until::Final).await.unwrap();
    assert_eq!((done.state.phase, done.share()), (Phase::Succeeded, 100));
    assert_eq!((house.weight_of("v1"), house.weight_of("v9")), (0, 100));
    assert_eq!(house.services.release_of(&reviews), None);

    // Retire: typed, then rules, subset and workload are gone.
    let wrong = house.say(id, Command::Retire { confirm: "reviews v2".into() }).await.unwrap_err();
    assert_eq!((wrong.code.as_str(), wrong.field.as_deref()), ("confirm_mismatch", Some("confirm")));
    house.say(id, Command::Retire { confirm: "reviews v1".into() }).await.unwrap();
    house.until_final(id, Phase::Succeeded).await;
    assert!(house.api.get("Deployment", "bookinfo", "reviews-v1").is_none());
    let subsets = house.api.get("DestinationRule", "bookinfo", "reviews").unwrap()["spec"]["subsets"].clone();
    assert!(!subsets.to_string().contains("\"v1\""), "{subsets}");
    let route = house.api.get("VirtualService", "bookinfo", "reviews").unwrap();
    assert!(!route["spec"].to_string().contains("\"v1\""), "{route}");

    // Each transition is a row with its actor, and everything written had its intent.
    let detail = house.services.release(&anna(), id).await.unwrap();
    let history = house.history(&reviews).await;
    for entry in &detail.timeline {
        let row = history.iter().find(|row| Some(row.id) == entry.entry).expect("a row of the history");
        assert_eq!(row.intent.action, Action::Release);
    }
    let workloads = history.iter().filter(|row| row.intent.action == Action::Workload);
    assert!(workloads.clone().count() >= 2);
    assert!(workloads.into_iter().all(|row| row.outcome.as_ref().unwrap().ending == Ending::Applied));
    let report = sluice::store::verify::verify(&house.history_file(), None).await.unwrap();
    assert!(report.is_good(), "{report}");
}

#[tokio::test]
async fn an_abort_takes_all_traffic_back_and_cleans_up_when_asked() {
    let house = House::alive(None, Settings::default()).await;
    let id = house.start(wish(|w| w["policies"] = json!({"delete_after_abort": true}))).await.id;
    house.until_paused(id, PauseReason::Gate).await;
    house.say(id, Command::Abort).await.unwrap();
    house.until_final(id, Phase::RolledBack).await;
    assert_eq!((house.weight_of("v1"), house.weight_of("v9")), (100, 0));
    assert!(house.api.get("Deployment", "bookinfo", "reviews-v9").is_none());
    let illegal = house.say(id, Command::Pause).await.unwrap_err();
    assert_eq!(illegal.code.as_str(), "release_illegal");
    // Once more from the first step.
    house.say(id, Command::Retry).await.unwrap();
    house.until_paused(id, PauseReason::Gate).await;
    assert_eq!(house.weight_of("v9"), 30);
    house.say(id, Command::Abort).await.unwrap();
    house.until_final(id, Phase::RolledBack).await;
}

#[tokio::test]
async fn a_rule_and_copies_come_with_the_release_and_go_with_it() {
    let house = House::alive(None, Settings::default()).await;
    let id = house
        .start(wish(|w| {
            w["strategy"] = json!("ab_test");
            w["candidate"] = json!({"from": "adopt", "version": "v3"});
            w["steps"] = json!([
                {"kind": "rules", "when": [[{"on": {"in": "header", "name": "end-user"}, "op": "exact", "value": "jason"}]]},
                {"kind": "approval"}, {"kind": "weight", "percent": 100}]);
        }))
        .await
        .id;
    house.until_paused(id, PauseReason::Gate).await;
    let object = house.api.get("VirtualService", "bookinfo", "reviews").unwrap();
    assert_eq!(object["spec"]["http"][0]["match"][0]["headers"]["end-user"]["exact"], "jason", "{object}");
    house.say(id, Command::Promote).await.unwrap();
    house.until_final(id, Phase::Succeeded).await;
    let object = house.api.get("VirtualService", "bookinfo", "reviews").unwrap();
    assert!(!object["spec"].to_string().contains("jason"), "{object}");
    assert_eq!(house.weight_of("v3"), 100);
}

#[tokio::test]
async fn without_a_mesh_pods_are_what_moves_requests() {
    let house = House::alive(None, Settings::default()).await;
    let item = house.services.overview(&anna(), &at("shop", "search"), 60).await.unwrap();
    let colours = (item.slots.get("stable"), item.slots.get("canary"));
    assert_eq!(colours, (Some(1), Some(2)), "the version with most pods has the first colour");
    let id = house
        .start(wish(|w| {
            by_pods(
                w,
                json!([{"kind": "replicas", "candidate": 1, "stable": 3}, {"kind": "approval"},
                {"kind": "replicas", "candidate": 3, "stable": 0}]),
            );
        }))
        .await
        .id;
    house.until_paused(id, PauseReason::Gate).await;
    let replicas =
        |name: &str| house.api.get("Deployment", "shop", name).unwrap()["spec"]["replicas"].clone();
    assert_eq!((replicas("search-stable"), replicas("search-next")), (json!(3), json!(1)));
    house.say(id, Command::PromoteAll).await.unwrap();
    house.until_final(id, Phase::Succeeded).await;
    assert_eq!((replicas("search-stable"), replicas("search-next")), (json!(0), json!(3)));
    // No revision holds what was before: the page names who did it, and the release that leads back.
    let page = house.services.detail(&anna(), &at("shop", "search"), 60).await.unwrap();
    assert_eq!(page.overview.last.map(|last| last.by), Some(anna().identity.user.clone()));
    assert_eq!((page.back, page.undo.map(|release| release.id)), (None, Some(id)));
}

#[tokio::test]
async fn a_stateful_set_is_replaced_in_batches_and_its_pods_say_in_which() {
    let house = House::alive(None, Settings::default()).await;
    let labels = json!({"app": "ledger"});
    let service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": "shop", "name": "ledger"},
        "spec": {"clusterIP": "10.96.9.9", "selector": labels, "ports": [{"name": "http", "port": 8080}]}});
    let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"namespace": "shop", "name": "ledger"},
        "spec": {"serviceName": "ledger", "replicas": 5, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": {"app": "ledger", "version": "v1"}},
                "spec": {"containers": [{"name": "ledger", "image": "shop/ledger:1"}]}}}});
    house.api.put_as(service, "kubectl").unwrap();
    house.api.put_as(set, "kubectl").unwrap();
    let ready = async |house: &House| {
        let snapshot = house.cache.snapshot(&at("shop", "ledger"))?;
        (snapshot.versions.first()?.ready == 5).then_some(())
    };
    house.until("five pods", ready).await;
    let id = house
        .start(wish(|w| {
            w["service"] = json!({"namespace": "shop", "name": "ledger"});
            w["strategy"] = json!("replicas");
            w["candidate"] =
                json!({"from": "image", "version": "v2", "image": "shop/ledger:2", "in_place": true});
            w["steps"] = json!([{"kind": "replicas", "candidate": 1}, {"kind": "approval"},
                {"kind": "replicas", "candidate": 5}]);
        }))
        .await
        .id;
    house.until_paused(id, PauseReason::Gate).await;
    let pod = |n: u32| house.api.get("Pod", "shop", &format!("ledger-{n}")).unwrap();
    let batch = |n: u32| pod(n)["metadata"]["labels"]["rollouts.kruise.io/rollout-batch-id"].clone();
    let image = |n: u32| pod(n)["spec"]["containers"][0]["image"].clone();
    assert_eq!((image(4), batch(4)), (json!("shop/ledger:2"), json!("1")));
    assert_eq!((image(0), batch(0)), (json!("shop/ledger:1"), Value::Null));
    house.say(id, Command::Promote).await.unwrap();
    house.until_final(id, Phase::Succeeded).await;
    for n in 0..4 {
        assert_eq!((image(n), batch(n)), (json!("shop/ledger:2"), json!("2")));
    }
    assert_eq!(batch(4), json!("1"));
    assert_eq!(pod(0)["metadata"]["labels"]["rollouts.kruise.io/rollout-id"], format!("r-{}", id.0).as_str());
}
