//! The way back of releases that are done, or that broke: in one press the service has what it had before, whatever
//! the release moved (weights, rules, copies, pods, a StatefulSet's image and partition).

use serde_json::{Value, json};
use sluice::domain::audit::Action;
use sluice::domain::command::{MirrorWish, TrafficChange};
use sluice::domain::ids::VersionName;
use sluice::domain::release::{Command, PauseReason, Phase, ReleaseId};
use sluice::domain::routing::{Condition, Op, Rule, Subject};
use sluice::domain::split::Split;
use sluice::services::Settings;
use sluice::services::ask::Wish;

use super::releases::{by_pods, wish};
use crate::support::house::{House, anna, at, weights};

impl House {
    async fn back(&self, id: ReleaseId) {
        self.say(id, Command::SwitchBack).await.unwrap();
        let release = self.until_final(id, Phase::RolledBack).await;
        assert_eq!(release.state.needs, None);
        assert!(release.state.switch_back);
    }

    fn replicas(&self, kind: &str, name: &str) -> Value {
        self.api.get(kind, "shop", name).unwrap()["spec"]["replicas"].clone()
    }

    /// A StatefulSet `shop/ledger` of three with a Service, all pods ready.
    pub(super) async fn ledger(&self, strategy: Value) {
        let labels = json!({"app": "ledger"});
        let service = json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"namespace": "shop", "name": "ledger"},
            "spec": {"clusterIP": "10.96.9.9", "selector": labels, "ports": [{"name": "http", "port": 8080}]}});
        let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"namespace": "shop", "name": "ledger"},
            "spec": {"serviceName": "ledger", "replicas": 3, "selector": {"matchLabels": labels},
                "updateStrategy": strategy,
                "template": {"metadata": {"labels": {"app": "ledger", "version": "v1"}},
                    "spec": {"containers": [{"name": "ledger", "image": "shop/ledger:1"}]}}}});
        self.api.put_as(service, "kubectl").unwrap();
        self.api.put_as(set, "kubectl").unwrap();
        self.until("three pods", async |house| {
            let snapshot = house.cache.snapshot(&at("shop", "ledger"))?;
            (snapshot.versions.first()?.ready == 3).then_some(())
        })
        .await;
    }

    fn images(&self) -> Vec<String> {
        let image = |n: u32| self.api.get("Pod", "shop", &format!("ledger-{n}"));
        let text = |pod: Value| pod["spec"]["containers"][0]["image"].as_str().unwrap().to_owned();
        (0..3).map(|n| image(n).map_or_else(String::new, text)).collect()
    }
}

pub(super) fn in_place(w: &mut Value, version: &str, image: &str) {
    w["service"] = json!({"namespace": "shop", "name": "ledger"});
    w["strategy"] = json!("replicas");
    w["candidate"] = json!({"from": "image", "version": version, "image": image, "in_place": true});
    w["steps"] = json!([{"kind": "replicas", "candidate": 1}, {"kind": "approval"},
        {"kind": "replicas", "candidate": 3}]);
}

#[tokio::test]
async fn a_release_by_weights_goes_back_to_what_was_before_it_and_not_to_a_step_of_it() {
    let house = House::alive(None, Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    let rule = Rule {
        id: None,
        name: Some("jason".into()),
        when: vec![vec![Condition {
            on: Subject::Header("end-user".into()),
            op: Op::Exact,
            value: "jason".into(),
        }]],
        opaque: Vec::new(),
        to: vec![("v3".into(), 100)],
        action: None,
    };
    let before = TrafficChange {
        weights: Some(Split::all_to(VersionName::from("v1"))),
        rules: Some(vec![rule]),
        mirror: Some(Some(MirrorWish { version: "v3".into(), percent: 5.0 })),
        ..TrafficChange::default()
    };
    house.change(Wish::Set(before), &reviews, &["big_jump", "few_pods", "mirror_writes"]).await.unwrap();
    let spec = house.api.get("VirtualService", "bookinfo", "reviews").unwrap()["spec"].clone();
    let id = house
        .start(wish(|w| {
            w["candidate"] = json!({"from": "adopt", "version": "v2"});
            w["strategy"] = json!("mirror");
            w["steps"] = json!([{"kind": "mirror", "percent": 10}, {"kind": "mirror", "percent": 0},
                {"kind": "weight", "percent": 50}, {"kind": "approval"}, {"kind": "weight", "percent": 100}]);
        }))
        .await
        .id;
    house.until_paused(id, PauseReason::Gate).await;
    assert_eq!(house.say(id, Command::SwitchBack).await.unwrap_err().code.as_str(), "release_illegal");
    house.say(id, Command::Promote).await.unwrap();
    let done = house.until_final(id, Phase::Succeeded).await;
    let weight = |spec: &Value, subset: &str| {
        let route = spec["http"].as_array().unwrap().last().unwrap()["route"].as_array().unwrap().clone();
        let found = route.iter().find(|to| to["destination"]["subset"] == subset).cloned();
        found.map_or(0, |to| to["weight"].as_i64().unwrap_or(100))
    };
    let reached = house.api.get("VirtualService", "bookinfo", "reviews").unwrap()["spec"].clone();
    assert_eq!(weight(&reached, "v2"), 100, "{reached}");
    assert!(done.state.words().iter().any(|word| word.as_str() == "switch_back"));
    let way = house.services.way_back(&anna(), id).await.unwrap();
    let of = |weights: &[(VersionName, u8)], name: &str| {
        weights.iter().find(|(version, _)| version.as_str() == name).map(|(_, weight)| *weight)
    };
    assert_eq!((of(&way.now, "v2"), of(&way.then, "v1"), way.mirror), (Some(100), Some(100), true));
    house.back(id).await;
    let after = house.api.get("VirtualService", "bookinfo", "reviews").unwrap()["spec"].clone();
    assert_eq!((weight(&after, "v1"), weight(&after, "v2")), (100, 0), "{after}");
    // Rules and copies are those from before.
    assert_eq!(after["http"][0]["match"], spec["http"][0]["match"]);
    let copies = |spec: &Value| {
        let last = spec["http"].as_array().unwrap().last().unwrap().clone();
        (last["mirror"].clone(), last["mirrorPercentage"].clone(), last["mirrors"].clone())
    };
    assert_eq!(copies(&after), copies(&spec));
    // Who pressed it is in the history, and the release says how it ended.
    let history = house.history(&reviews).await;
    assert!(history.iter().any(|row| row.intent.action == Action::SwitchBack));
}

#[tokio::test]
async fn what_had_no_route_before_the_release_gets_all_requests_back_and_none_go_to_the_new_version() {
    let house = House::alive(None, Settings::default()).await;
    assert!(house.api.get("VirtualService", "bookinfo", "details").is_none());
    let id = house
        .start(wish(|w| {
            w["service"]["name"] = json!("details");
            w["steps"] = json!([{"kind": "weight", "percent": 100}]);
        }))
        .await
        .id;
    house.until_final(id, Phase::Succeeded).await;
    let way = house.services.way_back(&anna(), id).await.unwrap();
    assert_eq!(way.revision, Some(0));
    house.back(id).await;
    let routing = house.services.overview(&anna(), &at("bookinfo", "details"), 60).await.unwrap().routing;
    // Spread by pods, as it was, would give the new version half of them.
    let declared = routing.declared().unwrap();
    assert_eq!(declared.iter().find(|(name, _)| name.as_str() == "v1").map(|(_, n)| *n), Some(100));
}

#[tokio::test]
async fn a_canary_that_was_taken_over_goes_back_to_its_former_split_and_pods_come_first() {
    let house = House::alive(None, Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    house.change(weights(&[("v1", 60), ("v2", 40)]), &reviews, &["big_jump", "few_pods"]).await.unwrap();
    let pods = |house: &House| {
        house.api.get("Deployment", "bookinfo", "reviews-v1").unwrap()["spec"]["replicas"].clone()
    };
    let had = pods(&house);
    let id = house
        .start(wish(|w| {
            w["candidate"] = json!({"from": "adopt", "version": "v2"});
            w["policies"] = json!({"stable_after": 0});
            w["steps"] = json!([{"kind": "weight", "percent": 100}]);
        }))
        .await
        .id;
    house.until_final(id, Phase::Succeeded).await;
    assert_eq!(pods(&house), json!(0));
    house.back(id).await;
    assert_eq!(pods(&house), had);
    assert_eq!((house.weight_of("v1"), house.weight_of("v2")), (60, 40));
}

#[tokio::test]
async fn without_a_mesh_the_old_version_gets_its_pods_back() {
    let house = House::alive(None, Settings::default()).await;
    let id = house
        .start(wish(|w| {
            by_pods(w, json!([{"kind": "replicas", "candidate": 3, "stable": 0}]));
        }))
        .await
        .id;
    house.until_final(id, Phase::Succeeded).await;
    let of = |house: &House, name: &str| house.replicas("Deployment", name);
    assert_eq!((of(&house, "search-stable"), of(&house, "search-next")), (json!(0), json!(3)));
    let way = house.services.way_back(&anna(), id).await.unwrap();
    assert_eq!(way.pods, [("search-stable".to_owned(), 0, 3), ("search-next".to_owned(), 3, 0)]);
    house.back(id).await;
    assert_eq!((of(&house, "search-stable"), of(&house, "search-next")), (json!(3), json!(0)));
}

#[tokio::test]
async fn a_stateful_set_gets_image_and_partition_back_and_keeps_the_rest_of_its_strategy() {
    let house = House::alive(None, Settings::default()).await;
    house
        .ledger(json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "partition": 2}}))
        .await;
    let rolling = |house: &House| {
        house.api.get("StatefulSet", "shop", "ledger").unwrap()["spec"]["updateStrategy"]["rollingUpdate"]
            .clone()
    };
    for (version, image) in [("v2", "shop/ledger:2"), ("v3", "shop/ledger:3")] {
        let stable = if version == "v2" { "v1" } else { "v2" };
        let id = house
            .start(wish(|w| {
                in_place(w, version, image);
                w["stable"] = json!(stable);
            }))
            .await
            .id;
        house.until_paused(id, PauseReason::Gate).await;
        assert_eq!(rolling(&house), json!({"maxUnavailable": 1, "partition": 2}));
        house.say(id, Command::Promote).await.unwrap();
        house.until_final(id, Phase::Succeeded).await;
        assert_eq!(rolling(&house), json!({"maxUnavailable": 1, "partition": 0}));
        assert_eq!(house.images(), vec![image; 3]);
        if version == "v2" {
            let way = house.services.way_back(&anna(), id).await.unwrap();
            assert_eq!(way.image, Some(("ledger".to_owned(), "shop/ledger:1".to_owned())));
            continue;
        }
        // What the release before it had is nobody's to go back to any more.
        let first = ReleaseId(id.0 - 1);
        let refused = house.say(first, Command::SwitchBack).await.unwrap_err();
        assert_eq!(refused.code.as_str(), "workload_changed");
        house.back(id).await;
        assert_eq!(house.images(), vec!["shop/ledger:2"; 3]);
        assert_eq!(rolling(&house)["maxUnavailable"], json!(1));
        let set = house.api.get("StatefulSet", "shop", "ledger").unwrap();
        assert_eq!(set["spec"]["template"]["metadata"]["labels"]["version"], json!("v2"));
    }
}

#[tokio::test]
async fn a_partition_that_was_set_before_the_release_is_set_again() {
    let house = House::alive(None, Settings::default()).await;
    house.ledger(json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 3}})).await;
    let id = house.start(wish(|w| in_place(w, "v2", "shop/ledger:2"))).await.id;
    house.until_paused(id, PauseReason::Gate).await;
    house.say(id, Command::Promote).await.unwrap();
    house.until_final(id, Phase::Succeeded).await;
    house.back(id).await;
    let set = house.api.get("StatefulSet", "shop", "ledger").unwrap();
    assert_eq!(set["spec"]["updateStrategy"]["rollingUpdate"]["partition"], json!(3));
    assert_eq!(set["metadata"]["annotations"].get("sluice.io/stable-partition"), None);
    assert_eq!(house.images(), vec!["shop/ledger:1"; 3]);
}

#[tokio::test]
async fn an_abort_heals_a_stateful_set_whose_new_pod_never_gets_ready() {
    let house = House::alive(None, Settings::default()).await;
    house.ledger(json!({"type": "RollingUpdate"})).await;
    let id = house.start(wish(|w| in_place(w, "v2", "shop/ledger:broken"))).await.id;
    house
        .until("the new pod is broken", async |house| {
            (house.images()[2] == "shop/ledger:broken").then_some(())
        })
        .await;
    house.say(id, Command::Abort).await.unwrap();
    house.until_final(id, Phase::RolledBack).await;
    assert_eq!(house.images(), vec!["shop/ledger:1"; 3]);
    // Only the pod that was in the way was deleted, with its row in the history.
    let history = house.history(&at("shop", "ledger")).await;
    let deleted: Vec<String> = history
        .iter()
        .filter_map(|row| row.outcome.as_ref())
        .flat_map(|outcome| &outcome.details.workloads)
        .filter(|record| record.act == "delete")
        .map(|record| format!("{} {}", record.kind, record.name))
        .collect();
    assert_eq!(deleted, ["Pod ledger-2"]);
}

#[tokio::test]
async fn a_stateful_set_that_waits_for_people_to_delete_its_pods_is_refused_before_the_start() {
    let house = House::alive(None, Settings::default()).await;
    house.ledger(json!({"type": "OnDelete"})).await;
    let plan =
        house.services.plan_release(&anna(), &wish(|w| in_place(w, "v2", "shop/ledger:2"))).await.unwrap();
    let codes: Vec<&str> = plan.refusals.iter().map(|refusal| refusal.code.as_str()).collect();
    assert_eq!(codes, ["on_delete"]);
}
