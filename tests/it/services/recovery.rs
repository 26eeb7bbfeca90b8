//! A process that dies in the middle of a change: the next start says what became of it, once.

use std::time::Duration;

use serde_json::{Value, json};
use sluice::demo::api::{On, Times, Trouble, Verb};
use sluice::domain::actor::Channel;
use sluice::domain::audit::{Action, Details, EditRecord, Ending, Filter, Intent, Written};
use sluice::domain::ids::{Kind, ObjectRef, ServiceRef};
use sluice::services::ask::ChangeAsk;
use sluice::store::Store;

use crate::support::house::{House, anna, at, weights};

/// The intent that a process wrote before it died: v1 90, v2 10.
async fn cut_off(house: &House, at: &ServiceRef, written: bool) -> String {
    cut_off_ago(house, at, written, 60_000).await
}

async fn cut_off_ago(house: &House, at: &ServiceRef, written: bool, ago_ms: i64) -> String {
    let change = "0193a0b0-0000-7000-8000-000000000001".to_owned();
    let before = house.api.get("VirtualService", "bookinfo", "reviews").unwrap();
    let mut after = before.clone();
    after["spec"]["http"][0]["route"][0]["weight"] = json!(90);
    after["spec"]["http"][0]["route"][1]["weight"] = json!(10);
    after["metadata"]["annotations"] = json!({ sluice::domain::plan::CHANGE_ANNOTATION: change });
    let record = EditRecord {
        object: ObjectRef::new(Kind::VirtualService, "bookinfo", "reviews"),
        before: before.get("spec").cloned(),
        after: after.get("spec").cloned(),
        resource_version_before: before
            .pointer("/metadata/resourceVersion")
            .and_then(Value::as_str)
            .map(str::to_owned),
        resource_version_after: None,
        written: Written::No,
    };
    let intent = Intent {
        change: change.clone(),
        at_ms: house.clock.now_ms() - ago_ms,
        service: Some(at.clone()),
        actor: "lin".into(),
        groups: vec![],
        channel: Channel::Browser,
        address: None,
        action: Action::SetTraffic,
        reason: "cut off".into(),
        request_id: "r".into(),
        details: Details { edits: vec![record], ..Details::default() },
    };
    house.store.intent(&intent).await.unwrap();
    if written {
        house.api.put_as(after, "sluice").unwrap();
    }
    change
}

async fn told(written: bool) -> (Ending, Option<u64>, usize) {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    cut_off(&house, &reviews, written).await;
    let house = house.crash_and_restart().await;
    let outcome = house
        .until("the intent is cleared up", async |house| {
            let open = house.store.open_intents().await.unwrap();
            let entry = house.history(&reviews).await.into_iter().find(|e| e.intent.actor == "lin")?;
            open.is_empty().then_some(())?;
            entry.outcome
        })
        .await;
    let puts = house.api.log().iter().filter(|line| line.method == "PUT").count();
    assert_eq!(puts, 0, "clearing up writes nothing to the cluster");
    let entries = house.history(&reviews).await.len();
    (outcome.ending, outcome.revision, entries)
}

#[tokio::test]
async fn a_change_that_arrived_is_told_as_applied() {
    let (ending, revision, _) = told(true).await;
    assert_eq!((ending, revision), (Ending::Applied, Some(1)));
}

#[tokio::test]
async fn a_change_that_never_arrived_is_told_as_failed() {
    assert_eq!(told(false).await, (Ending::Failed, None, 1));
}

#[tokio::test]
async fn what_is_at_work_since_is_not_taken_for_cut_off() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    // So young that it may still arrive: it is looked at again and again.
    cut_off_ago(&house, &reviews, false, 0).await;
    let house = house.crash_and_restart().await;
    let working = Intent {
        change: "0193a0b0-0000-7000-8000-000000000002".into(),
        at_ms: house.clock.now_ms(),
        service: Some(at("bookinfo", "ratings")),
        actor: "anna".into(),
        groups: vec![],
        channel: Channel::Automatic,
        address: None,
        action: Action::Workload,
        reason: "R-1".into(),
        request_id: "R-1-1".into(),
        details: Details::default(),
    };
    let (working, _) = {
        house.store.intent(&working).await.unwrap();
        let open = house.store.open_intents().await.unwrap();
        open.into_iter().find(|(_, intent)| intent.action == Action::Workload).unwrap()
    };
    house.clock.advance_ms(60_000);
    house
        .until("what was cut off is cleared up", async |house| {
            let entry = house.history(&reviews).await.into_iter().find(|e| e.intent.actor == "lin")?;
            entry.outcome.map(drop)
        })
        .await;
    house.change(weights(&[("v1", 90), ("v2", 10)]), &reviews, &[]).await.unwrap();
    let open: Vec<i64> = house.store.open_intents().await.unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!(open, [working], "the process that has it is alive");
}

#[tokio::test]
async fn an_end_in_the_middle_lets_a_change_end_and_leaves_the_history_in_one_file() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    let slow = Trouble::Delay(Duration::from_secs(1));
    house.api.trouble(On::verb(Verb::Update).real_writes(), slow, Times::Always);
    let services = house.services.clone();
    let ask = ChangeAsk {
        service: reviews.clone(),
        wish: weights(&[("v1", 90), ("v2", 10), ("v3", 0)]),
        expected: None,
        reason: "REV-231".into(),
        ack: vec!["big_jump".into(), "few_pods".into()],
        request_id: "req-1".into(),
        preview_id: None,
    };
    let asking = tokio::spawn(async move { services.apply(&anna(), ask).await });
    let begun = async |house: &House| (!house.store.open_intents().await.unwrap().is_empty()).then_some(());
    house.until("the change has begun", begun).await;
    // Whoever asked is gone, and Sluice ends.
    asking.abort();
    house.services.finish().await;
    assert!(house.store.open_intents().await.is_err(), "given back");
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("copy.db");
    std::fs::copy(house.history_file(), &copy).unwrap();
    assert!(!house.history_file().with_extension("db-wal").exists());
    let copy = Store::open(&copy, house.clock.clone()).await.unwrap();
    assert!(copy.open_intents().await.unwrap().is_empty());
    let filter = Filter { service: Some(reviews), ..Filter::default() };
    let rows = copy.entries(&filter, None, 10).await.unwrap();
    let told = rows.items[0].outcome.as_ref().unwrap();
    assert_eq!((told.ending, told.revision), (Ending::Applied, Some(1)));
    assert_eq!(house.written("bookinfo", "reviews", 0)[0].1, 90);
}
