//! What stays when a version is retired: a workload that a finalizer holds, and objects that are only about it.

use serde_json::{Value, json};
use sluice::demo::api::{On, Times, Trouble, Verb};
use sluice::domain::audit::Action;
use sluice::domain::ids::VersionName;
use sluice::domain::refusal::{Check, Code, Severity};
use sluice::domain::release::{Command, Phase};
use sluice::services::Settings;
use sluice::services::ask::Wish;

use super::releases::wish;
use crate::support::house::{House, anna, at, weights};

fn retire(version: &str) -> Wish {
    Wish::Retire(VersionName::from(version))
}

fn arg(check: &Check, name: &str) -> String {
    let found = check.args.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}

/// The objects that checks of a code name.
fn named(checks: &[Check], code: Code) -> Vec<String> {
    checks.iter().filter(|check| check.code == code).map(|check| arg(check, "object")).collect()
}

fn hold(house: &House, name: &str) {
    house.edit_outside("Deployment", "bookinfo", name, |object| {
        object["metadata"]["finalizers"] = json!(["example.org/keep"]);
    });
}

fn autoscaler(name: &str, target: &str) -> Value {
    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": "bookinfo"},
        "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}}})
}

fn budget(name: &str, selector: &Value) -> Value {
    json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": "bookinfo"}, "spec": {"minAvailable": 1, "selector": selector}})
}

#[tokio::test]
async fn a_workload_that_a_finalizer_holds_is_said_before_and_after_and_is_not_retired_twice() {
    let house = House::alive(None, Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    hold(&house, "reviews-v3");
    let preview = house.services.preview(&anna(), &reviews, &retire("v3"), &[]).await.unwrap();
    let held = preview.checks.iter().find(|check| check.code == Code::FinalizerHolds).unwrap();
    assert_eq!(arg(held, "finalizers"), "example.org/keep");
    let done = house.change(retire("v3"), &reviews, &[]).await.unwrap();
    assert_eq!(named(&done.notes, Code::FinalizerHolds), ["Deployment reviews-v3"]);

    let object = house.api.get("Deployment", "bookinfo", "reviews-v3").unwrap();
    assert!(!object["metadata"]["deletionTimestamp"].is_null(), "{object}");
    let detail = house
        .until("the page says that it is going", async |house| {
            let detail = house.services.detail(&anna(), &reviews, 60).await.unwrap();
            let found = named(&detail.overview.findings, Code::WorkloadGoing);
            (found == ["Deployment reviews-v3"]).then_some(detail)
        })
        .await;
    let v3 = detail.retire.iter().find(|one| one.version.as_str() == "v3").unwrap();
    assert_eq!(v3.state.clone().unwrap_err().code, Code::WorkloadGoing);
    let rows = house.history(&reviews).await.len();
    let again = house.change(retire("v3"), &reviews, &[]).await.unwrap_err();
    assert_eq!(again.refusal.code, Code::WorkloadGoing);
    assert_eq!(house.history(&reviews).await.len(), rows + 1, "the attempt is a refusal");

    let shift = house.change(weights(&[("v1", 90), ("v3", 10)]), &reviews, &["few_pods"]).await.unwrap_err();
    assert_eq!(
        shift.refusal.code,
        Code::WorkloadGoing,
        "what is going gets requests only when that is accepted"
    );

    house.edit_outside("Deployment", "bookinfo", "reviews-v3", |object| {
        object["metadata"]["finalizers"] = json!([]);
    });
    house.api.delete("Deployment", "bookinfo", "reviews-v3").unwrap();
    house
        .until("the version is gone", async |house| {
            let detail = house.services.detail(&anna(), &reviews, 60).await.unwrap();
            named(&detail.overview.findings, Code::WorkloadGoing).is_empty().then_some(())
        })
        .await;
}

#[tokio::test]
async fn the_last_version_beside_one_that_is_going_stays() {
    let house = House::alive(None, Settings::default()).await;
    let details = at("bookinfo", "details");
    hold(&house, "details-v2");
    house.change(retire("v2"), &details, &[]).await.unwrap();
    let refused = house.change(retire("v1"), &details, &[]).await.unwrap_err();
    assert_eq!(refused.refusal.code, Code::LastVersion);
}

#[tokio::test]
async fn a_release_does_not_retire_what_is_going_already() {
    let house = House::alive(None, Settings::default()).await;
    let id = house.start(wish(|w| w["steps"] = json!([{"kind": "weight", "percent": 100}]))).await.id;
    house.until_final(id, Phase::Succeeded).await;
    hold(&house, "reviews-v1");
    house.api.delete("Deployment", "bookinfo", "reviews-v1").unwrap();
    let refused = house.say(id, Command::Retire { confirm: "reviews v1".into() }).await.unwrap_err();
    assert_eq!(refused.code, Code::WorkloadGoing);
}

#[tokio::test]
async fn what_is_only_about_the_retired_workload_is_named_and_what_is_about_others_is_not() {
    let house = House::alive(None, Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    let only = json!({"matchExpressions": [{"key": "version", "operator": "In", "values": ["v3"]}]});
    for object in [
        autoscaler("scale-v3", "reviews-v3"),
        autoscaler("scale-v2", "reviews-v2"),
        budget("keep-v3", &only),
        budget("keep-all", &json!({"matchLabels": {"app": "reviews"}})),
        budget("keep-v2", &json!({"matchLabels": {"app": "reviews", "version": "v2"}})),
    ] {
        house.api.put_as(object, "kubectl").unwrap();
    }
    let expected = ["HorizontalPodAutoscaler scale-v3", "PodDisruptionBudget keep-v3"];
    let preview = house.services.preview(&anna(), &reviews, &retire("v3"), &[]).await.unwrap();
    assert_eq!(named(&preview.checks, Code::LeftBehind), expected);
    assert_eq!(preview.refusal, None, "nothing to accept");
    let done = house.change(retire("v3"), &reviews, &[]).await.unwrap();
    assert_eq!(named(&done.notes, Code::LeftBehind), expected);
}

#[tokio::test]
async fn a_release_keeps_in_the_history_what_stays_behind() {
    let house = House::alive(None, Settings::default()).await;
    let id = house.start(wish(|w| w["steps"] = json!([{"kind": "weight", "percent": 100}]))).await.id;
    house.until_final(id, Phase::Succeeded).await;
    house.api.put_as(autoscaler("scale-v1", "reviews-v1"), "kubectl").unwrap();
    house.say(id, Command::Retire { confirm: "reviews v1".into() }).await.unwrap();
    let row = house
        .until("the row of the deletion", async |house| {
            let newest = house.history(&at("bookinfo", "reviews")).await;
            let newest = newest.iter().find(|row| row.intent.action == Action::Workload)?.id;
            let row = house.store.entry(newest).await.unwrap()?;
            (row.intent.details.workloads[0].act == "delete" && row.outcome.is_some()).then_some(row)
        })
        .await;
    assert_eq!(named(&row.intent.details.checks, Code::LeftBehind), ["HorizontalPodAutoscaler scale-v1"]);
}

#[tokio::test]
async fn without_the_right_to_look_the_version_is_retired_and_that_is_said() {
    let house = House::alive(None, Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    let list = On::verb(Verb::List).of("horizontalpodautoscalers");
    house.api.trouble(list, Trouble::Forbid, Times::Always);
    let done = house.change(retire("v3"), &reviews, &[]).await.unwrap();
    let note = done.notes.iter().find(|check| check.code == Code::NotLookedAt).unwrap();
    assert_eq!((arg(note, "kind").as_str(), note.severity), ("HorizontalPodAutoscaler", Severity::Info));
    assert!(house.api.get("Deployment", "bookinfo", "reviews-v3").is_none());
}
