//! Releases that are aborted give back what was before them, and say at once when that is not possible.

use serde_json::{Value, json};
use sluice::domain::release::{Command, PauseReason, Phase};
use sluice::services::Settings;

use super::releases::{by_pods, wish};
use crate::support::house::{House, anna, at};

fn details(w: &mut Value) {
    w["service"]["name"] = json!("details");
    w["policies"] = json!({"delete_after_abort": true});
}

#[tokio::test]
async fn an_abort_takes_the_route_away_that_the_release_made() {
    let house = House::alive(None, Settings::default()).await;
    let route = |house: &House| house.api.get("VirtualService", "bookinfo", "details");
    assert!(route(&house).is_none());
    let plan = house.services.plan_release(&anna(), &wish(details)).await.unwrap();
    assert!(plan.deletes.contains(&"VirtualService bookinfo/details".to_owned()), "{:?}", plan.deletes);
    let id = house.start(wish(details)).await.id;
    house.until_paused(id, PauseReason::Gate).await;
    assert!(route(&house).is_some());
    house.say(id, Command::Abort).await.unwrap();
    let ended = house.until_final(id, Phase::RolledBack).await;
    assert_eq!((route(&house), ended.state.needs), (None, None));
    assert!(house.api.get("Deployment", "bookinfo", "details-v9").is_none());
}

#[tokio::test]
async fn a_route_that_spread_by_pods_does_so_again_after_an_abort() {
    let house = House::alive(None, Settings::default()).await;
    let spec = json!({"hosts": ["details"], "http": [{"timeout": "3s", "route": [{"destination": {"host": "details"}}]}]});
    let object = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"namespace": "bookinfo", "name": "details"}, "spec": spec});
    house.api.put_as(object, "kubectl").unwrap();
    house
        .until("the route is known", async |house| {
            let snapshot = house.cache.snapshot(&at("bookinfo", "details"))?;
            (!snapshot.virtual_services.is_empty()).then_some(())
        })
        .await;
    let id = house.start(wish(details)).await.id;
    house.until_paused(id, PauseReason::Gate).await;
    let now = || house.api.get("VirtualService", "bookinfo", "details").unwrap()["spec"].clone();
    assert!(now().to_string().contains("subset"), "{}", now());
    house.say(id, Command::Abort).await.unwrap();
    house.until_final(id, Phase::RolledBack).await;
    assert_eq!(now(), spec);
}

#[tokio::test]
async fn a_workload_of_the_name_that_would_be_made_is_refused_before_anything_is_written() {
    let house = House::alive(None, Settings::default()).await;
    let labels = json!({"app": "another"});
    let other = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": "bookinfo", "name": "reviews-v9"},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "a:1"}]}}}});
    house.api.put_as(other, "kubectl").unwrap();
    let before = house.api.get("VirtualService", "bookinfo", "reviews");
    let refused = house.services.start_release(&anna(), wish(|_| ()), "r", "q").await.unwrap_err();
    let said: Vec<_> = refused.iter().map(|one| (one.code.as_str(), one.field.as_deref())).collect();
    assert_eq!(said, [("workload_taken", Some("candidate.version"))]);
    assert_eq!(house.api.get("VirtualService", "bookinfo", "reviews"), before);
}

#[tokio::test]
async fn a_release_whose_stable_deployment_is_deleted_says_so_and_an_abort_is_answered_at_once() {
    let house = House::alive(None, Settings::default()).await;
    let id = house.start(wish(|_| ())).await.id;
    house.until_paused(id, PauseReason::Gate).await;
    house.api.delete("Deployment", "bookinfo", "reviews-v1").unwrap();
    let said = house.until("it is said", async |house| house.phase(id).await.state.needs).await;
    assert_eq!(said.code.as_str(), "stable_lost");
    let aborted = house.say(id, Command::Abort).await.unwrap();
    assert_eq!(aborted.state.phase, Phase::NeedsAttention);
    assert_eq!(aborted.state.needs.map(|needs| needs.code), Some(said.code));
    assert_eq!(house.weight_of("v9"), 30, "nothing was moved");
    assert_eq!(house.services.release_of(&at("bookinfo", "reviews")), None, "the service is free");
    let refused = house.say(id, Command::Retry).await.unwrap_err();
    assert_eq!(refused.code.as_str(), "stable_gone");
    // The page disables the command with the same reason.
    let denied = house.services.release(&anna(), id).await.unwrap().denied;
    let why = denied.iter().find(|(word, _)| word.as_str() == "retry").map(|(_, why)| why.code.as_str());
    assert_eq!(why, Some("stable_gone"), "{denied:?}");
}

#[tokio::test]
async fn a_release_by_pods_notices_that_somebody_scales_its_workload() {
    let house = House::alive(None, Settings::default()).await;
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
    assert_eq!(house.until_paused(id, PauseReason::Gate).await.share(), 25);
    house.edit_outside("Deployment", "shop", "search-next", |object| object["spec"]["replicas"] = json!(6));
    let paused = house.until_paused(id, PauseReason::Drift).await;
    assert_eq!(paused.share(), 66);
    let detail = paused.state.paused.unwrap().detail.unwrap();
    assert_eq!((detail.code.as_str(), detail.code.status()), ("pods_scaled", 409));
    assert_eq!(house.services.release(&anna(), id).await.unwrap().outside, None, "no route was changed");
    house.say(id, Command::Resume).await.unwrap();
    assert_eq!(house.until_paused(id, PauseReason::Gate).await.share(), 25);
    assert_eq!(house.api.get("Deployment", "shop", "search-next").unwrap()["spec"]["replicas"], json!(1));
}
