//! Changes through the API: what is written, what is answered, and how often.

use serde_json::json;
use sluice::config::Web;

use crate::support::app::{Answer, TestApp};

const TRAFFIC: &str = "/api/v1/services/bookinfo/reviews/traffic";

async fn put(app: &TestApp, revision: u64, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut ask = app.ask("PUT", path).header("if-match", &format!("\"{revision}\""));
    for (name, value) in headers {
        ask = ask.header(name, value);
    }
    let weights = json!({"v1": 30, "v2": 70, "v3": 0});
    ask.json(&json!({"weights": weights, "reason": "a test", "ack": ["big_jump", "few_pods"]})).send().await
}

async fn entries(app: &TestApp) -> usize {
    let list = app.get("/api/v1/audit?service=bookinfo/reviews").await.json();
    list["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_change_is_written_once_and_told_with_its_revision() {
    let app = TestApp::open().await;
    let before = app.get("/api/v1/services/bookinfo/reviews").await;
    let revision = before.json()["revision"].as_u64().unwrap();
    let answer = put(&app, revision, TRAFFIC, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let said = answer.json();
    assert_eq!(answer.header("etag"), format!("\"{}\"", said["revision"]));
    assert_eq!(said["after"], json!({"v1": 30, "v2": 70, "v3": 0}));
    let entry = app.get(&format!("/api/v1/audit/{}", said["entry"])).await.json();
    assert_eq!((entry["channel"].as_str(), entry["result"].as_str()), (Some("api"), Some("applied")));
    assert_eq!(entry["request_id"], answer.header("x-request-id"));
    assert_eq!(entry["edits"][0]["kind"], "VirtualService");
    let again = put(&app, revision, TRAFFIC, &[]).await;
    assert_eq!(again.problem(), (412, "stale_revision".into()), "what was seen is no longer there");
}

#[tokio::test]
async fn a_keyed_change_gets_the_same_answer_again_and_is_made_once() {
    let app = TestApp::open().await;
    let key = [("idempotency-key", "0d8f4c0e")];
    let first = put(&app, 0, TRAFFIC, &key).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let count = entries(&app).await;
    let second = put(&app, 0, TRAFFIC, &key).await;
    assert_eq!((second.status, &second.body), (200, &first.body));
    assert_eq!(
        (second.header("idempotency-replayed"), second.header("etag")),
        ("true", first.header("etag"))
    );
    assert_eq!(entries(&app).await, count, "nothing happened the second time");
    let other = put(&app, 1, TRAFFIC, &key).await;
    assert_eq!(other.problem(), (422, "idempotency_mismatch".into()));
    for bad in ["", "a b", "ä", &"x".repeat(129)] {
        let answer = put(&app, 1, TRAFFIC, &[("idempotency-key", bad)]).await;
        assert_eq!(answer.problem(), (400, "bad_idempotency_key".into()), "{bad}");
    }
    let refused = [("idempotency-key", "refused")];
    let first = put(&app, 0, TRAFFIC, &refused).await;
    assert_eq!(first.problem(), (412, "stale_revision".into()));
    let second = put(&app, 0, TRAFFIC, &refused).await;
    assert_eq!((second.status, &second.body), (412, &first.body), "a refusal is an answer, too");
}

#[tokio::test]
async fn two_at_the_same_time_with_one_key_are_one() {
    let app = TestApp::open().await;
    let key = [("idempotency-key", "twice")];
    let (one, two) = tokio::join!(put(&app, 0, TRAFFIC, &key), put(&app, 0, TRAFFIC, &key));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert!(statuses == [200, 409] || statuses == [200, 200], "{statuses:?}");
    let list = app.get("/api/v1/audit?service=bookinfo/reviews&action=set_traffic").await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_dry_run_answers_what_apply_would_and_writes_nothing() {
    let app = TestApp::open().await;
    let path = format!("{TRAFFIC}?dry_run=true");
    let fine = put(&app, 0, &path, &[]).await;
    assert_eq!((fine.status, fine.json()["refused_by"].is_null()), (200, true), "{}", fine.body);
    assert_eq!(fine.json()["edits"][0]["kind"], "VirtualService");
    let stale = put(&app, 7, &path, &[]).await;
    assert_eq!(stale.problem(), (412, "stale_revision".into()));
    assert_eq!(stale.json()["preview"]["revision"], 0);
    let ask = app.ask("PUT", &path).header("if-match", "\"0\"");
    let jump = ask.json(&json!({"weights": {"v1": 30, "v2": 70}, "reason": "x"})).send().await;
    assert_eq!(jump.problem(), (422, "big_jump".into()));
    assert!(jump.json()["preview"]["summary"].as_str().unwrap().contains("70%"));
    let ask = app.ask("POST", &format!("{TRAFFIC}/takeover?dry_run=true"));
    let silent = ask.json(&json!({"version": "v2", "ack": ["big_jump", "few_pods"]})).send().await;
    assert_eq!(silent.problem(), (422, "reason_required".into()));
    let bad = put(&app, 0, &format!("{TRAFFIC}?dry_run=yes"), &[]).await;
    assert_eq!(bad.problem(), (400, "bad_query".into()));
    assert_eq!(entries(&app).await, 0);
    assert!(app.demo.api.log().iter().all(|line| line.method != "PUT" || line.query.contains("dryRun=All")));
}

#[tokio::test]
async fn take_over_and_switch_back_are_there_and_back_again() {
    let app = TestApp::open().await;
    let ask = app.ask("POST", &format!("{TRAFFIC}/takeover"));
    let body = json!({"version": "v2", "reason": "v2 is good", "ack": ["big_jump", "few_pods"]});
    let taken = ask.json(&body).send().await;
    assert_eq!((taken.status, &taken.json()["after"]["v2"]), (200, &json!(100)), "{}", taken.body);
    let back = app.ask("POST", &format!("{TRAFFIC}/switch-back")).json(&json!({"revision": 0})).send().await;
    assert_eq!((back.status, &back.json()["after"]["v1"]), (200, &json!(100)), "{}", back.body);
    assert!(back.json()["revision"].as_u64() > taken.json()["revision"].as_u64(), "back is a new revision");
}

#[tokio::test]
async fn a_version_is_retired_once_by_the_revision_that_was_seen() {
    let app = TestApp::open().await;
    let path = format!("{TRAFFIC}/retire");
    let body = json!({"version": "v3", "confirm": "reviews v3", "reason": "never used"});
    let there = || app.demo.api.get("Deployment", "bookinfo", "reviews-v3").is_some();
    let would = app.ask("POST", &format!("{path}?dry_run=true")).json(&body).send().await;
    assert_eq!(
        (would.status, &would.json()["deletes"][0]["name"]),
        (200, &json!("reviews-v3")),
        "{}",
        would.body
    );
    let stale = app.ask("POST", &path).header("if-match", "\"7\"").json(&body).send().await;
    assert_eq!(stale.problem(), (412, "stale_revision".into()));
    assert!(there(), "a dry run and a stale request delete nothing");
    let ask = || app.ask("POST", &path).header("if-match", "\"0\"").header("idempotency-key", "once");
    let done = ask().json(&body).send().await;
    assert_eq!(
        (done.status, &done.json()["deleted"][0]["kind"]),
        (200, &json!("Deployment")),
        "{}",
        done.body
    );
    assert_eq!(done.json()["back"], json!(null));
    assert!(!there());
    let again = ask().json(&body).send().await;
    assert_eq!((again.status, again.header("idempotency-replayed"), &again.body), (200, "true", &done.body));
    let serving = json!({"version": "v1", "confirm": "reviews v1", "reason": "x", "ack": ["still_answers"]});
    let serving = app.ask("POST", &path).json(&serving).send().await;
    assert_eq!(serving.problem(), (409, "still_serving".into()));
}

#[tokio::test]
async fn changes_are_counted_per_person_but_going_back_never_waits() {
    let settings = Web { max_changes_per_minute: std::num::NonZeroU32::new(1), ..Web::open() };
    let app = TestApp::start(settings, |_| {}).await;
    assert_eq!(put(&app, 0, TRAFFIC, &[]).await.status, 200);
    let second = put(&app, 1, TRAFFIC, &[]).await;
    assert_eq!(second.problem(), (429, "rate_limited".into()));
    assert_eq!(second.header("retry-after"), "60");
    let back = app.ask("POST", &format!("{TRAFFIC}/switch-back")).json(&json!({"revision": 0})).send().await;
    assert_eq!(back.status, 200, "{}", back.body);
    app.clock.advance_ms(60_000);
    let later = put(&app, back.json()["revision"].as_u64().unwrap(), TRAFFIC, &[]).await;
    assert_eq!(later.status, 200, "{}", later.body);
}

#[tokio::test]
async fn rules_come_back_as_they_were_sent() {
    let app = TestApp::open().await;
    let rule = json!({
        "name": "jason", "to": {"v3": 100},
        "when": [[{"in": "header", "name": "end-user", "op": "exact", "value": "jason"}]],
    });
    let ask = app.ask("PUT", TRAFFIC).header("if-match", "\"0\"");
    let body = json!({"rules": [rule], "reason": "a test", "ack": ["big_jump", "few_pods", "no_metrics"]});
    let answer = ask.json(&body).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let service = app.get("/api/v1/services/bookinfo/reviews").await.json();
    let kept = &service["rules"][0];
    assert_eq!((&kept["when"], &kept["to"]["v3"]), (&rule["when"], &json!(100)), "{kept}");
    assert_eq!(service["declared"]["v1"], 100, "the weights stay");
    // What was read can be sent back as it is.
    let ask = app.ask("POST", &format!("{TRAFFIC}/preview"));
    let same = ask.json(&json!({"rules": service["rules"], "mirror": null})).send().await;
    assert_eq!(
        (same.status, same.json()["refused_by"].as_str()),
        (200, Some("nothing_asked")),
        "{}",
        same.body
    );
}
