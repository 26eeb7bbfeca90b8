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
    // Field managers are distinguished by whole seconds.
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
    // A client that saw revision 0 gets a conflict.
    let late = house.change_on(weights(&[("v1", 90), ("v2", 10)]), &reviews, &[], Some(0)).await;
    assert_eq!(late.unwrap_err().refusal.code, Code::StaleRevision);
}

#[tokio::test]
async fn an_edit_that_nobody_noticed_yet_stops_a_change_in_time() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    // In the same instant: the watch cannot have seen it yet.
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

/// A rule of every service of bookinfo.
fn wide(subsets: serde_json::Value) -> serde_json::Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "metadata": { "name": "wide", "namespace": "bookinfo" },
        "spec": { "host": "*.bookinfo.svc.cluster.local", "subsets": subsets },
    })
}

async fn rows(house: &House) -> Vec<(String, usize)> {
    let mut rows = Vec::new();
    for name in ["details", "mongodb", "productpage", "ratings", "reviews"] {
        rows.push((name.to_owned(), house.history(&at("bookinfo", name)).await.len()));
    }
    rows
}

#[tokio::test]
async fn a_shared_rule_is_no_edit_of_services_that_it_decides_nothing_about() {
    let house = House::new().await;
    let v1 = json!({ "name": "v1", "labels": { "version": "v1" } });
    house.api.put_as(wide(json!([v1.clone()])), "kubectl-create").unwrap();
    house.api.delete("DestinationRule", "bookinfo", "reviews").unwrap();
    let reviews = at("bookinfo", "reviews");
    // Reviews has lost its own rule: that is an edit, of reviews alone.
    house
        .until("the edit is in the history", async |house| house.history(&reviews).await.into_iter().next())
        .await;
    let before = rows(&house).await;
    assert!(before.iter().all(|(name, rows)| (*rows > 0) == (name == "reviews")), "{before:?}");
    // Somebody gives the shared rule a subset that no route names.
    house.edit_outside("DestinationRule", "bookinfo", "wide", |rule| {
        rule["spec"]["subsets"] = json!([v1, { "name": "beta", "labels": { "version": "V1.0_b" } }]);
    });
    // Sluice needs a subset that the shared rule lacks: it makes a rule for this service.
    let seen = house.until("the watch has it", async |house| {
        let preview =
            house.services.preview(&anna(), &reviews, &weights(&[("v1", 90), ("v2", 10)]), &[]).await;
        preview.ok().filter(|preview| preview.refusal.is_none())
    });
    seen.await;
    house.change(weights(&[("v1", 90), ("v2", 10)]), &reviews, &[]).await.unwrap();
    let shared = house.api.get("DestinationRule", "bookinfo", "wide").unwrap();
    assert_eq!(shared["spec"]["subsets"].as_array().unwrap().len(), 2, "{shared}");
    let own = house.api.get("DestinationRule", "bookinfo", "reviews").unwrap();
    assert_eq!(own["spec"]["host"], "reviews.bookinfo.svc.cluster.local");
    // A change of another service ends the wait: its events come after those of the shared rule.
    house.change(weights(&[("v1", 80), ("v2", 20)]), &at("bookinfo", "ratings"), &[]).await.unwrap();
    let mut expected = before;
    for (name, rows) in &mut expected {
        *rows += usize::from(name == "reviews" || name == "ratings");
    }
    assert_eq!(rows(&house).await, expected);
}

#[tokio::test]
async fn our_own_write_of_a_shared_object_is_not_an_outside_edit_of_the_others() {
    let house = House::new().await;
    let (reviews, details) = (at("bookinfo", "reviews"), at("bookinfo", "details"));
    house.edit_outside("VirtualService", "bookinfo", "reviews", |object| {
        object["spec"]["hosts"] =
            json!(["reviews.bookinfo.svc.cluster.local", "details.bookinfo.svc.cluster.local"]);
    });
    house
        .until("the edit is in the history of both", async |house| {
            let both = (house.history(&details).await.len(), house.history(&reviews).await.len());
            (both == (1, 1)).then_some(())
        })
        .await;
    let ours = house.change(weights(&[("v1", 90), ("v2", 10)]), &reviews, &["host_shared"]).await.unwrap();
    let entry = house
        .until("the other service has the change", async |house| {
            let newest = house.history(&details).await.into_iter().next()?;
            (newest.intent.action != Action::OutsideEdit).then_some(newest)
        })
        .await;
    let outcome = entry.outcome.unwrap();
    assert_eq!((entry.intent.action, outcome.ending), (Action::SetTraffic, Ending::Applied));
    assert_eq!((entry.intent.actor.as_str(), entry.intent.channel), ("anna", Channel::Api));
    assert_eq!(entry.intent.change, ours.entry.intent.change, "rows of one change have its id");
    assert_eq!((outcome.revision, entry.intent.reason.as_str()), (Some(2), "REV-231"));
    let overview = house.services.overview(&anna(), &details, 60).await.unwrap();
    assert_ne!(overview.state, State::ChangedOutside);
    // Going back there goes back to what was before.
    let specs = house.store.specs_at(&details, 1).await.unwrap().unwrap();
    assert_eq!(specs[0].1["http"][0]["route"][0]["weight"], 100);
    // An edit of the same object by somebody else is one, whatever the object says of us.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    house.edit_outside("VirtualService", "bookinfo", "reviews", |object| {
        object["spec"]["http"][0]["route"][0]["weight"] = json!(70);
        object["spec"]["http"][0]["route"][1]["weight"] = json!(30);
    });
    let entry = house
        .until("the edit is in the history", async |house| {
            house.history(&details).await.into_iter().next().filter(|entry| {
                entry.intent.action == Action::OutsideEdit
                    && entry.outcome.as_ref().is_some_and(|outcome| outcome.revision == Some(3))
            })
        })
        .await;
    assert_eq!(entry.intent.actor, "kubectl-edit");
}

#[tokio::test]
async fn an_edit_of_what_chooses_no_version_is_named_with_the_next_change() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    let named = |checks: &[sluice::domain::refusal::Check]| {
        let found = checks.iter().find(|check| check.code == Code::EditedBesides)?;
        Some(found.args.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>().join(" "))
    };
    let edit = |field: &str, value: serde_json::Value| {
        house.edit_outside("VirtualService", "bookinfo", "reviews", |object| {
            object["spec"]["http"][0][field] = value;
        });
    };
    let wish = || weights(&[("v1", 90), ("v2", 10)]);
    let preview = house.services.preview(&anna(), &reviews, &wish(), &[]).await.unwrap();
    assert_eq!(named(&preview.checks), None);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    edit("timeout", json!("7s"));
    let made = house.change_on(wish(), &reviews, &[], Some(0)).await.unwrap();
    let expected = "VirtualService bookinfo/reviews kubectl-edit /spec";
    assert_eq!(named(&made.entry.intent.details.checks).as_deref(), Some(expected));
    // Once a change is recorded, the fields are known.
    let wish = || weights(&[("v1", 80), ("v2", 20)]);
    assert_eq!(named(&house.services.preview(&anna(), &reviews, &wish(), &[]).await.unwrap().checks), None);
    edit("retries", json!({"attempts": 3}));
    let preview = house.services.preview(&anna(), &reviews, &wish(), &[]).await.unwrap();
    assert!(named(&preview.checks).unwrap().ends_with("/spec/http/0/retries"), "{:?}", preview.checks);
    house.change(wish(), &reviews, &[]).await.unwrap();
    assert_eq!(named(&house.services.preview(&anna(), &reviews, &wish(), &[]).await.unwrap().checks), None);
    let written = house.api.get("VirtualService", "bookinfo", "reviews").unwrap();
    assert_eq!(written["spec"]["http"][0]["retries"]["attempts"], json!(3), "theirs survives ours");
    assert_eq!(house.history(&reviews).await.len(), 2, "no row of its own");
}
