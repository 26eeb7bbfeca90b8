//! Two instances on one cluster: each shows the other on its pages, in its API and in its readiness.

use std::time::Duration;

use serde_json::json;
use sluice::clock::Clock;
use sluice::domain::audit::Action;
use sluice::domain::ids::Namespace;
use sluice::services::Settings;
use sluice::services::instances::Instance;

use crate::support::app::START_MS;
use crate::support::house::{House, at, weights};
use crate::support::wait_for;

fn named(holder: &str) -> Settings {
    let instance = Instance {
        namespace: Namespace::parse("sluice").unwrap(),
        holder: holder.to_owned(),
        every: Duration::from_millis(25),
    };
    Settings { instance: Some(instance), ..Settings::default() }
}

fn others(house: &House) -> Vec<String> {
    let notices = house.services.notices();
    let others = notices.into_iter().filter(|notice| notice.code.as_str() == "another_sluice");
    others.map(|notice| notice.args[0].1.clone()).collect()
}

#[tokio::test]
async fn two_sluices_on_one_cluster_are_told_of_each_other() {
    let first = House::alive(None, named("sluice-a_1")).await;
    first.api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sluice"}})).unwrap();
    wait_for("its Lease is there", async || {
        first.lease().filter(|lease| lease["spec"]["renewTime"].is_string())
    })
    .await;
    assert_eq!(others(&first), Vec::<String>::new(), "its own Lease is nobody else");
    let second = first.beside(named("sluice-b_1")).await;
    wait_for("the first is told", async || (others(&first) == ["sluice-b_1"]).then_some(())).await;
    wait_for("the second is told", async || (others(&second) == ["sluice-a_1"]).then_some(())).await;
    assert!(second.services.ready().is_ok(), "told, not refused");
}

#[tokio::test]
async fn a_restart_is_the_same_sluice_and_one_that_does_not_tell_looks_for_none() {
    let first = House::alive(None, named("sluice-a_1")).await;
    first.api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sluice"}})).unwrap();
    wait_for("its Lease is there", async || first.lease()).await;
    let quiet = first.beside(Settings::default()).await;
    let name = first.lease().unwrap()["metadata"]["name"].clone();
    let first = first.crash_and_restart().await;
    let renewed = first.lease().unwrap()["spec"]["renewTime"].clone();
    wait_for("it is renewed", async || {
        (first.lease().unwrap()["spec"]["renewTime"] != renewed).then_some(())
    })
    .await;
    assert_eq!(first.lease().unwrap()["metadata"]["name"], name);
    assert_eq!((others(&first), others(&quiet)), (vec![], vec![]));
}

#[tokio::test]
async fn a_sluice_that_renews_no_lease_is_known_by_what_it_writes() {
    let clock = Clock::manual(START_MS);
    let first = House::by_clock(clock.clone(), None).await;
    let second = first.beside(Settings::default()).await;
    // Field managers are distinguished by whole seconds.
    clock.advance_ms(2_000);
    let reviews = at("bookinfo", "reviews");
    second
        .change(weights(&[("v1", 30), ("v2", 70), ("v3", 0)]), &reviews, &["big_jump", "few_pods"])
        .await
        .unwrap();
    let told = |house: &House| {
        let notices = house.services.notices();
        let wrote = notices.iter().find(|notice| notice.code.as_str() == "another_sluice_wrote")?;
        Some(wrote.args[0].1.clone())
    };
    let object = wait_for("the first is told", async || told(&first)).await;
    assert!(object.contains("bookinfo") && object.contains("reviews"), "{object}");
    assert_eq!(told(&second), None, "its own write is nobody else's");
    clock.advance_ms(2_000);
    first.edit_outside("VirtualService", "bookinfo", "reviews", |object| {
        object["spec"]["http"][0]["route"][0]["weight"] = json!(60);
        object["spec"]["http"][0]["route"][1]["weight"] = json!(40);
    });
    let edits = async |house: &House| {
        let history = house.history(&reviews).await;
        history.into_iter().find(|entry| entry.intent.details.managers == ["kubectl-edit"])
    };
    wait_for("the second sees the edit", async || edits(&second).await).await;
    assert_eq!(told(&second), None, "a person with kubectl is no Sluice");
}

#[tokio::test]
async fn somebody_who_only_takes_a_field_away_after_us_is_no_other_sluice() {
    let clock = Clock::manual(START_MS);
    let house = House::by_clock(clock.clone(), None).await;
    let reviews = at("bookinfo", "reviews");
    let edit = async |revision: u64| {
        wait_for("the edit is in the history", async || {
            let history = house.history(&reviews).await;
            history.into_iter().find(|entry| {
                let outcome = entry.outcome.as_ref().and_then(|outcome| outcome.revision);
                entry.intent.action == Action::OutsideEdit && outcome == Some(revision)
            })
        })
        .await
    };
    clock.advance_ms(2_000);
    house.edit_outside("VirtualService", "bookinfo", "reviews", |object| {
        object["spec"]["exportTo"] = json!(["bookinfo"]);
    });
    assert_eq!(edit(1).await.intent.actor, "kubectl-edit");
    clock.advance_ms(2_000);
    let acks = ["big_jump", "few_pods"];
    house.change(weights(&[("v1", 30), ("v2", 70), ("v3", 0)]), &reviews, &acks).await.unwrap();
    clock.advance_ms(2_000);
    // What is only taken away moves no time in managedFields: the last manager there is Sluice.
    house.edit_outside("VirtualService", "bookinfo", "reviews", |object| {
        object["spec"].as_object_mut().unwrap().remove("exportTo");
    });
    let entry = edit(3).await;
    let managers = &entry.intent.details.managers;
    assert!(!managers.iter().any(|name| name == "sluice"), "{managers:?}");
    assert_ne!(entry.intent.actor, "sluice");
    assert_eq!(wrote(&house), None);
}

#[tokio::test]
async fn our_own_write_of_a_shared_rule_is_ours_after_a_kill() {
    let clock = Clock::manual(START_MS);
    let house = House::by_clock(clock.clone(), None).await;
    house.edit_outside("VirtualService", "bookinfo", "reviews", |object| {
        object["spec"]["hosts"] =
            json!(["reviews.bookinfo.svc.cluster.local", "details.bookinfo.svc.cluster.local"]);
    });
    let (reviews, details) = (at("bookinfo", "reviews"), at("bookinfo", "details"));
    wait_for("both know the edit", async || {
        let both = (house.history(&details).await.len(), house.history(&reviews).await.len());
        (both == (1, 1)).then_some(())
    })
    .await;
    clock.advance_ms(2_000);
    let ours = house.change(weights(&[("v1", 90), ("v2", 10)]), &reviews, &["host_shared"]).await.unwrap();
    let house = house.crash_and_restart().await;
    let entry = wait_for("the other service has the change", async || {
        house
            .history(&details)
            .await
            .into_iter()
            .find(|entry| entry.intent.change == ours.entry.intent.change)
    })
    .await;
    assert_eq!(entry.intent.action, Action::SetTraffic);
    assert_eq!(wrote(&house), None);
}

/// The object that another instance is recorded to have written.
fn wrote(house: &House) -> Option<String> {
    let notices = house.services.notices();
    let wrote = notices.iter().find(|notice| notice.code.as_str() == "another_sluice_wrote")?;
    Some(wrote.args[0].1.clone())
}
