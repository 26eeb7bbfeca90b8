//! Templates of releases that people make: everything that is wrong is listed, each person has a bound, and who may add,
//! replace and delete one is the right's.

use serde_json::{Value, json};
use sluice::config::{Auth, Web};
use sluice::demo::api::Right;

use crate::support::app::{AUDITOR, RELEASER, TestApp, VIEWER, people};

const API: &str = "/api/v1/releases/templates";

fn template() -> Value {
    json!({"strategy": "canary", "steps": [{"kind": "weight", "percent": 10}, {"kind": "weight", "percent": 100}]})
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_template_is_listed_with_its_field() {
    let app = TestApp::open().await;
    let mut wrong = template();
    wrong["steps"][1]["percent"] = json!(5);
    wrong["analysis"] = json!({"interval_s": 1, "window_s": 7, "min_requests": 20, "failures": 2,
        "metrics": [{"metric": "success_rate", "limit": {}}]});
    wrong["policies"] = json!({"step_deadline_s": 1, "freeze": ["someday"]});
    let answer = app.ask("PUT", &format!("{API}/Weekend")).json(&wrong).send().await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    let errors = answer.json()["errors"].clone();
    let fields: Vec<&str> =
        errors.as_array().unwrap().iter().filter_map(|error| error["field"].as_str()).collect();
    for field in [
        "steps.1.percent",
        "analysis.interval_s",
        "analysis.window_s",
        "analysis.metrics.0.limit",
        "policies.step_deadline_s",
        "policies.freeze.0",
    ] {
        assert!(fields.contains(&field), "{field} in {fields:?}");
    }
    assert_eq!(app.get(API).await.json()["items"], json!([]));
}

#[tokio::test]
async fn a_person_has_at_most_so_many_templates() {
    let app = TestApp::open().await;
    let put = async |n: usize| app.ask("PUT", &format!("{API}/t{n}")).json(&template()).send().await;
    for n in 0..sluice::services::releases::TEMPLATES {
        assert_eq!(put(n).await.status, 200);
    }
    assert_eq!(put(1_000).await.problem(), (422, "too_many_templates".into()));
    assert_eq!(put(0).await.status, 200, "one that is there is replaced");
    let gone = app.ask("DELETE", &format!("{API}/t0")).send().await;
    assert_eq!(gone.status, 200);
    assert_eq!(put(1_000).await.status, 200);
}

#[tokio::test]
async fn who_made_a_template_or_may_delete_all_of_them_deletes_it() {
    let app = TestApp::start(Web { auth: Auth::Token, demo: false, ..Web::open() }, |demo| {
        people(demo);
        for (name, verb) in [("rolf", "create"), ("aude", "delete")] {
            demo.api.grant(Right {
                subject: name.into(),
                namespace: None,
                verbs: vec![verb.into()],
                groups: vec!["sluice.io".into()],
                resources: vec!["releasetemplates".into()],
                names: Vec::new(),
            });
        }
    })
    .await;
    let send = async |token: &str, method: &str, name: &str| {
        let ask = app.ask(method, &format!("{API}/{name}")).token(token);
        if method == "PUT" { ask.json(&template()).send().await } else { ask.send().await }
    };
    for name in ["Weekend", "Weekday"] {
        assert_eq!(send(RELEASER, "PUT", name).await.status, 200);
    }
    for (token, method, name) in [
        (VIEWER, "PUT", "New"),
        (VIEWER, "PUT", "Weekend"),
        (VIEWER, "DELETE", "Weekend"),
        (AUDITOR, "PUT", "New"),
        (AUDITOR, "PUT", "Weekend"),
    ] {
        let answer = send(token, method, name).await;
        assert_eq!(answer.problem(), (403, "template_forbidden".into()), "{token} {method} {name}");
    }
    for (token, deletes) in [(VIEWER, false), (RELEASER, true), (AUDITOR, true)] {
        let cookie = app.sign_in(token).await;
        let page = app.ask("GET", "/releases/new").header("cookie", &cookie).send().await;
        assert_eq!(page.body.contains("forget:Weekend"), deletes, "{token}");
        assert_eq!(page.body.contains("id=\"keep-template\""), token == RELEASER, "{token}");
    }
    assert_eq!(send(RELEASER, "DELETE", "Weekend").await.status, 200, "its maker");
    assert_eq!(send(AUDITOR, "DELETE", "Weekday").await.status, 200, "who may delete all");
    assert_eq!(send(RELEASER, "DELETE", "Weekday").await.problem(), (404, "template_not_found".into()));
}
