//! Rows of a newer version: what this one does not know is left out and kept; what it cannot read at all hinders
//! nothing else.

use std::sync::Arc;

use serde_json::{Value, json};
use sluice::domain::actor::Identity;
use sluice::domain::release::validate::read;
use sluice::domain::release::{Happened, Phase, Release, ReleaseId, State, TimelineEntry};
use sluice::store::{Held, ReleaseFilter, Step, Store, Stored};

use super::{Home, START, intent, outcome, tamper};
use sluice::domain::actor::Channel;
use sluice::domain::audit::Ending;

fn wish() -> Value {
    json!({
        "service": {"namespace": "shop", "name": "reviews"}, "strategy": "canary", "stable": "v1",
        "candidate": {"from": "adopt", "version": "v2"},
        "steps": [{"kind": "weight", "percent": 10}, {"kind": "weight", "percent": 100}],
        "analysis": {"interval_s": 10, "window_s": 60, "min_requests": 1, "failures": 1,
            "metrics": [{"metric": "success_rate", "limit": {"absolute": 99.0}}]},
        "policies": {},
    })
}

fn told(phase: Phase) -> TimelineEntry {
    TimelineEntry {
        seq: 0,
        at_ms: START,
        by: "ann".into(),
        channel: Channel::Api,
        from: phase,
        to: phase,
        step: 0,
        happened: vec![Happened::Created],
        reason: String::new(),
        entry: None,
    }
}

pub(super) async fn made(store: &Store) -> Held {
    let release = Release {
        id: ReleaseId(0),
        spec: read(&wish()).unwrap(),
        state: State::new(),
        seq: 0,
        created_ms: START,
        changed_ms: START,
        started_ms: None,
        ended_ms: None,
        by: "ann".into(),
        reason: String::new(),
    };
    let held = Held { release, version: 0, owner: Identity::local("ann") };
    let row = (intent(1), outcome(1, Ending::Applied));
    store.create_release(held, row.0, row.1, told(Phase::Draft), Arc::from([])).await.unwrap()
}

/// Each object of the stored release gets a field that this version does not know.
const NEWER: &str = "UPDATE release SET
    spec = json_set(spec, '$.later', json('{\"a\":1}'), '$.candidate.later', 1, '$.steps[0].later', 2,
        '$.steps[1].later', 3, '$.analysis.later', 4, '$.analysis.metrics[0].later', 5,
        '$.analysis.metrics[0].limit.later', 6, '$.policies.later', 7),
    state = json_set(state, '$.later', 8), owner = json_set(owner, '$.later', 9)";

#[tokio::test]
async fn a_release_of_a_newer_version_is_read_and_keeps_what_is_not_known() {
    let home = Home::new().await;
    let held = made(&home.store).await;
    let id = held.release.id;
    tamper(&home.path(), NEWER).await;
    let read = home.store.release(id).await.unwrap().expect("it is there");
    assert_eq!(read, held, "as if the fields were not there");
    let mut after = read.clone();
    after.release.state.phase = Phase::Scheduled;
    after.release.changed_ms += 1;
    let step = Step { after, told: None, judgement: None, receivers: Arc::from([]) };
    let Stored::Done(after) = home.store.step_release(step).await.unwrap() else { panic!("stale") };
    assert_eq!(home.store.release(id).await.unwrap().as_ref(), Some(&*after));
    let mut db = home.stranger().await;
    let (spec, state, owner): (String, String, String) =
        sqlx::query_as("SELECT spec, state, owner FROM release").fetch_one(&mut db).await.unwrap();
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let spec = value(&spec);
    let kept = [
        "/later/a",
        "/candidate/later",
        "/steps/0/later",
        "/steps/1/later",
        "/analysis/later",
        "/analysis/metrics/0/later",
        "/analysis/metrics/0/limit/later",
        "/policies/later",
    ];
    for (n, pointer) in kept.iter().enumerate() {
        assert_eq!(spec.pointer(pointer), Some(&json!(n.max(1))), "{pointer}: {spec}");
    }
    assert_eq!((value(&state)["later"].as_i64(), value(&owner)["later"].as_i64()), (Some(8), Some(9)));
    assert_eq!(value(&state)["phase"], "scheduled", "what is known was written");
}

#[tokio::test]
async fn a_release_with_words_of_a_newer_version_is_left_alone_and_the_others_go_on() {
    let home = Home::new().await;
    let (first, second) = (made(&home.store).await, made(&home.store).await);
    let sql = format!(
        "UPDATE release SET spec = json_set(spec, '$.strategy', 'teleport') WHERE id = {}",
        first.release.id.0
    );
    tamper(&home.path(), &sql).await;
    let (all, _) = home.store.releases(&ReleaseFilter::default(), 10).await.unwrap();
    assert_eq!(all.iter().map(|held| held.release.id).collect::<Vec<_>>(), [second.release.id]);
    assert!(home.store.release(first.release.id).await.is_err());
}

/// The API still refuses unknown fields: a field that is spelt wrongly is not ignored.
#[test]
fn a_wish_with_an_unknown_field_is_refused() {
    assert!(read(&wish()).is_ok());
    for pointer in [
        "",
        "/candidate",
        "/steps/0",
        "/analysis",
        "/analysis/metrics/0",
        "/analysis/metrics/0/limit",
        "/policies",
    ] {
        let mut wish = wish();
        wish.pointer_mut(pointer).unwrap()["perscent"] = json!(1);
        let refused = read(&wish).unwrap_err();
        assert!(refused[0].to_string().contains("perscent"), "{pointer}: {refused:?}");
    }
}
