//! When a release begins and when it may move, and what is accepted beforehand: what can never come true is refused at
//! its field, the plan says so, and nothing is stored.

use serde_json::{Value, json};

use super::releases::{API, post, wish};
use crate::support::app::TestApp;

/// Policies that cannot be meant, with the field and the code that say so.
fn impossible(now_ms: i64) -> Vec<(Value, &'static str, &'static str)> {
    let year = 366 * 86_400_000_i64;
    vec![
        (json!({"freeze": ["mon-sun 00:00-24:00"]}), "policies.freeze", "freeze_always"),
        (json!({"freeze": ["daily 06:00-18:00", "daily 18:00-06:00"]}), "policies.freeze", "freeze_always"),
        (
            json!({"freeze": ["mon-fri 00:00-24:00", "sat,sun 00:00-12:00", "sat,sun 12:00-24:00"]}),
            "policies.freeze",
            "freeze_always",
        ),
        (json!({"freeze": ["2020-01-01T00:00Z/2999-01-01T00:00Z"]}), "policies.freeze", "freeze_always"),
        (json!({"start_at_ms": i64::MAX}), "policies.start_at_ms", "start_range"),
        (json!({"start_at_ms": i64::MIN}), "policies.start_at_ms", "start_range"),
        (json!({"start_at_ms": now_ms + year + 60_000}), "policies.start_at_ms", "start_range"),
        (json!({"accept": ["still_answers", "nonsense"]}), "policies.accept", "unknown_check"),
        (json!({"accept": [""]}), "policies.accept", "unknown_check"),
    ]
}

#[tokio::test]
async fn what_can_never_begin_or_move_is_refused_at_its_field_and_nothing_is_stored() {
    let app = TestApp::open().await;
    let now_ms = app.clock.now_ms();
    for (policies, field, code) in impossible(now_ms) {
        let mut spec = wish();
        spec["policies"] = policies.clone();
        let plan = app.ask("POST", &format!("{API}/plan")).json(&json!({"spec": spec})).send().await;
        assert_eq!(plan.status, 200, "{policies}: {}", plan.body);
        let plan = plan.json();
        assert_eq!(plan["possible"], false, "{policies}: {plan}");
        let says = |errors: &Value| {
            let all = errors.as_array().into_iter().flatten();
            all.filter(|error| error["field"] == field && error["code"] == code).count()
        };
        assert_eq!(says(&plan["errors"]), 1, "{policies}: {plan}");
        if code != "unknown_check" {
            assert_eq!(plan["shares"], json!([]), "no course is shown for what never moves: {policies}");
        }
        for start in [true, false] {
            let body = json!({"spec": spec, "reason": "r", "start": start});
            let answer = app.ask("POST", API).json(&body).send().await;
            let said = answer.json();
            // One refusal is the problem itself.
            let said = says(&said["errors"]).max(says(&json!([said])));
            assert_eq!((answer.status, said), (422, 1), "{policies}: {}", answer.body);
        }
    }
    let none = app.get(API).await.json();
    assert_eq!(none["items"], json!([]), "nothing is stored");
    // What is near enough, and leaves a minute, can be meant.
    for policies in [
        json!({"freeze": ["daily 00:01-24:00"]}),
        json!({"start_at_ms": now_ms + 365 * 86_400_000_i64}),
        json!({"start_at_ms": now_ms - 60_000}),
        json!({"accept": ["gitops", "still_answers"]}),
    ] {
        let mut spec = wish();
        spec["policies"] = policies.clone();
        let plan = app.ask("POST", &format!("{API}/plan")).json(&json!({"spec": spec})).send().await.json();
        assert_eq!(plan["possible"], true, "{policies}: {plan}");
    }
}

#[tokio::test]
async fn the_wizard_says_at_the_field_that_it_would_never_move_and_keeps_what_was_typed() {
    let app = TestApp::open().await;
    let fields = [
        ("strategy", "canary"),
        ("service", "bookinfo/reviews"),
        ("stable", "v1"),
        ("from", "adopt"),
        ("adopt", "v2"),
        ("s.0.kind", "weight"),
        ("s.0.percent", "100"),
        ("deadline", "10"),
        ("reason", "REV-231"),
    ];
    for (name, typed, slot, says) in [
        ("freeze", "mon-sun 00:00-24:00", "err-policies", "no time in which the release can take a step"),
        ("start_at", "2999-01-01T00:00", "err-policies", "366 days"),
    ] {
        let with: Vec<(&str, &str)> = fields.iter().copied().chain([(name, typed)]).collect();
        let refused = post(&app, "/releases", &with, &[]).await;
        assert_eq!(refused.status, 422, "{name}: {}", refused.body);
        assert!(refused.body.contains(&format!("value=\"{typed}\"")), "{name}: what was typed stays");
        let said = refused.between(&format!("id=\"{slot}\""), "</p>");
        let marked = refused.between(&format!("<input id=\"{name}\""), ">");
        assert!(marked.contains("aria-invalid=\"true\""), "{name}: {marked}");
        assert!(said.contains(says) && !said.starts_with(" hidden"), "{name}: {said}");
    }
    assert_eq!(app.get(API).await.json()["items"], json!([]), "nothing is stored");
}
