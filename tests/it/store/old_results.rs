//! The filter by result and entries that an earlier version recorded as applied although their events say that
//! something failed.

use serde_json::{Value, json};
use sluice::domain::audit::{Action, Ending, Filter};
use sluice::domain::refusal::{Code, Refusal};
use sluice::domain::release::state::ActionKind;
use sluice::store::{Count, Revise, Store};

use super::{Home, intent, outcome, tamper};

/// A transition of a release as an earlier version wrote it: applied, whatever happened.
async fn written(store: &Store, number: u32, to: &str, happened: Value) -> i64 {
    let mut intent = intent(number);
    intent.action = Action::Release;
    intent.channel = sluice::domain::actor::Channel::Automatic;
    let mark = json!({"id": 3, "from": "running", "to": to, "step": 0, "happened": happened, "stable": "v1",
        "candidate": "v2"});
    intent.details.release = Some(Box::new(serde_json::from_value(mark).unwrap()));
    store.single(&intent, &outcome(number, Ending::Applied), Revise::Keep).await.unwrap().id
}

fn not_done(code: Code) -> Value {
    json!({"what": "not_done", "action": ActionKind::Measure, "refusal": Refusal::new(code)})
}

#[tokio::test]
async fn a_filter_by_result_finds_what_was_recorded_as_applied_before_failures_were_recorded_as_such() {
    let home = Home::new().await;
    let store = &home.store;
    let plain = written(store, 1, "running", json!([{"what": "step_began", "step": 1}])).await;
    let looked =
        written(store, 2, "running", json!([{"what": "judged", "verdict": "fail", "failures": 1}])).await;
    let paused = written(store, 3, "paused", json!([{"what": "paused", "reason": "failed"}])).await;
    let broke = written(store, 4, "running", json!([not_done(Code::ClusterTimeout)])).await;
    let refused = written(store, 5, "running", json!([not_done(Code::StillServing)])).await;
    let Home { folder, clock, store } = home;
    let path = folder.path().join("sluice.db");
    drop(store);
    // As a database of an earlier version is when it is opened.
    tamper(&path, "DELETE FROM corrected; DELETE FROM corrected_done").await;
    let store = Store::open(&path, clock).await.unwrap();
    let of = |ending: Ending| Filter { ending: Some(ending), ..Filter::default() };
    let failed = [broke, paused, looked];
    for (filter, expected) in [
        (of(Ending::Failed), &failed[..]),
        (Filter { changes_only: true, ..of(Ending::Failed) }, &failed[..]),
        (Filter { text: Some("looks good".into()), ..of(Ending::Failed) }, &failed[..]),
        (
            Filter { actor: Some("ann".into()), action: Some(Action::Release), ..of(Ending::Failed) },
            &failed[..],
        ),
        (Filter { service: intent(1).service, ..of(Ending::Failed) }, &failed[..]),
        (Filter { namespaces: Some(vec!["shop".into()]), ..of(Ending::Failed) }, &failed[..]),
        (Filter { namespaces: Some(vec!["other".into()]), ..of(Ending::Failed) }, &[]),
        (Filter { from_ms: Some(outcome(4, Ending::Applied).at_ms), ..of(Ending::Failed) }, &[broke]),
        (Filter { action: Some(Action::SetTraffic), ..of(Ending::Failed) }, &[]),
        (of(Ending::Refused), &[refused]),
        (Filter { text: Some("ann".into()), ..of(Ending::Refused) }, &[refused]),
        (of(Ending::Applied), &[plain]),
        (Filter { text: Some("ann".into()), ..of(Ending::Applied) }, &[plain]),
        (Filter::default(), &[refused, broke, paused, looked, plain]),
    ] {
        for size in [1, 2, 50] {
            let (mut seen, mut cursor) = (Vec::new(), None);
            loop {
                let page = store.entries(&filter, cursor.as_deref(), size).await.unwrap();
                if let Some(ending) = filter.ending {
                    assert!(page.items.iter().all(|entry| entry.outcome.as_ref().unwrap().ending == ending));
                }
                seen.extend(page.items.into_iter().map(|entry| entry.id));
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(seen, expected, "{filter:?} by {size}");
        }
        assert_eq!(store.count(&filter).await.unwrap(), Count::Exactly(expected.len() as u64), "{filter:?}");
    }
    let report = store.verify_own().await.unwrap();
    assert_eq!(report.first_bad, None);
    tamper(&path, "DELETE FROM corrected WHERE ending = 'refused'").await;
    let report = store.verify_own().await.unwrap();
    let why = report.first_bad.expect("the filter would not find it").why;
    assert!(why.contains("corrected"), "{why}");
}
