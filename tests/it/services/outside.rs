//! Changes that were not made here: noticed, named, never fought, never taken for our own.

use serde_json::json;
use sluice::domain::actor::Channel;
use sluice::domain::audit::{Action, Ending};
use sluice::domain::overview::State;
use sluice::domain::refusal::Code;

use crate::support::house::{House, anna, at, weights};

#[tokio::test]
async fn an_outside_edit_becomes_an_entry_and_a_revision() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    // Field managers are told apart by whole seconds.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    house.edit_outside("VirtualService", "bookinfo", "reviews", |object| {
        object["spec"]["http"][0]["route"][0]["weight"] = json!(95);
        object["spec"]["http"][0]["route"][1]["weight"] = json!(5);
    });
    let entry = house
        .until("the edit is in the history", async |house| house.history(&reviews).await.into_iter().next())
        .await;
    assert_eq!(entry.intent.action, Action::OutsideEdit);
    assert_eq!((entry.intent.channel, entry.intent.actor.as_str()), (Channel::Outside, "kubectl-edit"));
    let outcome = entry.outcome.unwrap();
    assert_eq!((outcome.ending, outcome.revision), (Ending::Outside, Some(1)));
    let overview = house.services.overview(&anna(), &reviews, 60).await.unwrap();
    assert_eq!((overview.state, overview.revision), (State::ChangedOutside, 1));
    // Whoever saw revision 0 is told.
    let late = house.change_on(weights(&[("v1", 90), ("v2", 10)]), &reviews, &[], Some(0)).await;
    assert_eq!(late.unwrap_err().refusal.code, Code::StaleRevision);
}

#[tokio::test]
async fn an_edit_that_nobody_noticed_yet_stops_a_change_in_time() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    // In the same instant: the watch cannot have told yet.
    house.edit_outside("VirtualService", "bookinfo", "reviews", |object| {
        object["spec"]["http"][0]["route"][0]["weight"] = json!(50);
        object["spec"]["http"][0]["route"][1]["weight"] = json!(50);
    });
    let late = house.change_on(weights(&[("v1", 90), ("v2", 10)]), &reviews, &[], Some(0)).await;
    let refused = late.unwrap_err();
    assert_eq!(refused.refusal.code, Code::StaleRevision);
    assert_eq!(refused.stale.unwrap().now.1.unwrap()[0].1, 50);
    assert_eq!(house.written("bookinfo", "reviews", 0)[0].1, 50, "not written over");
}

#[tokio::test]
async fn our_own_writes_are_never_taken_for_somebody_elses() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    for n in 1..=10 {
        house.change(weights(&[("v1", 100 - n), ("v2", n)]), &reviews, &[]).await.unwrap();
    }
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    let outside = house.history(&reviews).await;
    assert!(outside.iter().all(|entry| entry.intent.action == Action::SetTraffic), "{outside:#?}");
}

#[tokio::test]
async fn status_and_labels_are_no_edits() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    house.edit_outside("VirtualService", "bookinfo", "reviews", |object| {
        object["metadata"]["labels"] = json!({"team": "stars"});
        object["spec"]["http"][0]["timeout"] = json!("7s");
    });
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    assert!(house.history(&reviews).await.is_empty());
    house.change_on(weights(&[("v1", 90), ("v2", 10)]), &reviews, &[], Some(0)).await.unwrap();
    let written = house.api.get("VirtualService", "bookinfo", "reviews").unwrap();
    assert_eq!(written["spec"]["http"][0]["timeout"], json!("7s"), "theirs survives ours");
    assert_eq!(written["metadata"]["labels"]["team"], json!("stars"));
}

#[tokio::test]
async fn what_changed_while_sluice_was_away_is_told_at_the_next_start() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    house.change(weights(&[("v1", 90), ("v2", 10)]), &reviews, &[]).await.unwrap();
    let api = house.api.clone();
    let mut object = api.get("VirtualService", "bookinfo", "reviews").unwrap();
    let house = {
        object["spec"]["http"][0]["route"][0]["weight"] = json!(60);
        object["spec"]["http"][0]["route"][1]["weight"] = json!(40);
        let restarted = house.crash_and_restart();
        api.put_as(object, "kubectl-patch").unwrap();
        restarted.await
    };
    let newest = house
        .until("the edit is told", async |house| {
            house.history(&reviews).await.into_iter().find(|e| e.intent.action == Action::OutsideEdit)
        })
        .await;
    assert_eq!(newest.outcome.unwrap().revision, Some(2));
    assert_eq!(newest.intent.actor, "kubectl-patch");
}
