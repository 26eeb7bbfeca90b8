//! Back to revision 0, as it was: strange objects, and rules that Sluice only added to.

use serde_json::json;
use sluice::domain::refusal::{Code, Severity};
use sluice::services::ask::Wish;

use crate::support::house::{House, anna, at, weights};

const FULL: &str = "reviews.bookinfo.svc.cluster.local";

/// Waits until the history has the edits that a test made with kubectl.
async fn noticed(house: &House, revision: u64) {
    let reviews = at("bookinfo", "reviews");
    house
        .until("the edits are noticed", async |house| {
            let overview = house.services.overview(&anna(), &reviews, 60).await.ok()?;
            (overview.revision >= revision).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_subset_without_pods_comes_back_once_it_is_accepted() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    house.edit_outside("VirtualService", "bookinfo", "reviews", |object| {
        let to = |subset: &str, weight: u8| json!({"destination": {"host": FULL, "subset": subset}, "weight": weight});
        object["spec"]["http"][0]["route"] = json!([to("v1", 80), to("v9", 20)]);
    });
    noticed(&house, 1).await;
    let then = house.api.get("VirtualService", "bookinfo", "reviews").unwrap()["spec"].clone();
    house.change(weights(&[("v1", 45), ("v2", 55)]), &reviews, &["big_jump", "few_pods"]).await.unwrap();
    let refused = house.change(Wish::SwitchBack(1), &reviews, &[]).await.unwrap_err();
    assert_eq!(refused.refusal.code, Code::RestoresFailing);
    let preview = house.services.preview(&anna(), &reviews, &Wish::SwitchBack(1), &[]).await.unwrap();
    let asked: Vec<&str> = preview
        .checks
        .iter()
        .filter(|check| check.severity >= Severity::Acknowledge)
        .map(|check| check.code.as_str())
        .collect();
    assert_eq!(asked, ["restores_failing"]);
    house.change(Wish::SwitchBack(1), &reviews, &["restores_failing"]).await.unwrap();
    assert_eq!(house.api.get("VirtualService", "bookinfo", "reviews").unwrap()["spec"], then);
}

#[tokio::test]
async fn a_rule_that_was_there_loses_the_subsets_that_sluice_added() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    let spec = json!({"host": "reviews", "trafficPolicy": {"connectionPool": {"http": {"maxRetries": 1}}}});
    house.api.delete("VirtualService", "bookinfo", "reviews").unwrap();
    house.edit_outside("DestinationRule", "bookinfo", "reviews", |object| object["spec"] = spec.clone());
    noticed(&house, 1).await;
    let start = house.services.overview(&anna(), &reviews, 60).await.unwrap().revision;
    house.change(weights(&[("v1", 45), ("v2", 55)]), &reviews, &["big_jump", "few_pods"]).await.unwrap();
    house.change(weights(&[("v1", 45), ("v3", 55)]), &reviews, &["big_jump", "few_pods"]).await.unwrap();
    let rule = || house.api.get("DestinationRule", "bookinfo", "reviews").unwrap()["spec"].clone();
    assert_eq!(rule()["subsets"].as_array().unwrap().len(), 3);
    house.change(Wish::SwitchBack(start), &reviews, &[]).await.unwrap();
    assert_eq!(house.api.get("VirtualService", "bookinfo", "reviews"), None);
    assert_eq!(rule(), spec);
}

#[tokio::test]
async fn an_object_that_sluice_never_wrote_comes_back_after_somebody_deleted_it() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    let then = house.api.get("VirtualService", "bookinfo", "reviews").unwrap()["spec"].clone();
    house.api.delete("VirtualService", "bookinfo", "reviews").unwrap();
    noticed(&house, 1).await;
    let entry = house.history(&reviews).await.into_iter().next().unwrap();
    let full = house.services.entry(&anna(), entry.id).await.unwrap();
    let gone = full.intent.details.edits.iter().find(|edit| &*edit.object.name == "reviews").unwrap();
    assert_eq!((gone.before.as_ref(), gone.after.as_ref()), (Some(&then), None));
    house.change(Wish::SwitchBack(0), &reviews, &[]).await.unwrap();
    assert_eq!(house.api.get("VirtualService", "bookinfo", "reviews").unwrap()["spec"], then);
}
