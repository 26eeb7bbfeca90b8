//! The REST API: shapes, and every way in which a body, a query or a header can be wrong.

use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp};

const TRAFFIC: &str = "/api/v1/services/bookinfo/reviews/traffic";

async fn put(app: &TestApp, body: &Value) -> Answer {
    app.ask("PUT", TRAFFIC).header("if-match", "\"0\"").json(body).send().await
}

async fn refused(app: &TestApp, body: &Value, code: &str, field: &str) {
    let answer = put(app, body).await;
    let (status, said) = answer.problem();
    assert!((400..500).contains(&status), "{body}: {status}");
    assert_eq!((said.as_str(), answer.json()["field"].as_str()), (code, Some(field)), "{body}");
    assert!(!answer.json()["detail"].as_str().unwrap().is_empty());
}

fn with(key: &str, value: Value) -> Value {
    let mut body = json!({"weights": {"v1": 30, "v2": 70, "v3": 0}, "reason": "test"});
    body[key] = value;
    body
}

#[tokio::test]
async fn weights_are_whole_numbers_that_sum_to_a_hundred() {
    let app = TestApp::open().await;
    for (v1, code) in [
        (json!(-1), "weight_range"),
        (json!(101), "weight_range"),
        (json!(1e9), "weight_range"),
        (json!(12.5), "weight_type"),
        (json!("50"), "weight_type"),
        (json!(null), "weight_type"),
        (json!(true), "weight_type"),
        (json!([50]), "weight_type"),
        (json!(20), "sum"),
        (json!(40), "sum"),
    ] {
        refused(&app, &with("weights", json!({"v1": v1, "v2": 70})), code, "weights").await;
    }
    for weights in [json!([30, 70]), json!(null), json!("v1")] {
        refused(&app, &with("weights", weights), "weight_type", "weights").await;
    }
    refused(&app, &with("weights", json!({})), "sum", "weights").await;
    refused(&app, &with("weights", json!({"v 1": 100})), "unknown_version", "weights").await;
    let body = r#"{"weights": {"v1": 30, "v1": 70}, "reason": "x"}"#;
    let twice =
        app.ask("PUT", TRAFFIC).header("if-match", "\"0\"").bytes("application/json", body).send().await;
    assert_eq!(twice.problem(), (422, "duplicate_version".into()));
    assert!(app.demo.api.log().iter().all(|line| line.method != "PUT"), "nothing was written");
}

#[tokio::test]
async fn what_is_no_json_of_ours_is_refused_with_its_field() {
    let app = TestApp::open().await;
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    for body in ["", "{", "[]", "1", "null", "NaN", "{\"weights\": {\"v1\": NaN}}", "{} x", "\u{0}", &deep] {
        let answer =
            app.ask("PUT", TRAFFIC).header("if-match", "\"0\"").bytes("application/json", body.to_owned());
        assert_eq!(answer.send().await.problem(), (400, "bad_json".into()), "{body:.40}");
    }
    refused(&app, &with("weight", json!({"v1": 100})), "bad_json", "weight").await;
    refused(&app, &with("rules", json!({})), "bad_json", "rules").await;
    refused(&app, &with("route", json!(1)), "bad_json", "route").await;
    refused(&app, &with("reason", json!(1)), "bad_json", "reason").await;
    refused(&app, &with("ack", json!("big_jump")), "bad_json", "ack").await;
    refused(&app, &with("ack", json!([1])), "bad_json", "ack").await;
    refused(&app, &with("mirror", json!("v2")), "bad_json", "mirror").await;
    refused(&app, &with("mirror", json!({"version": "v2"})), "bad_json", "mirror.percent").await;
    refused(
        &app,
        &with("mirror", json!({"version": "v2", "percent": 0})),
        "mirror_percent",
        "mirror.percent",
    )
    .await;
    refused(
        &app,
        &with("mirror", json!({"version": "v2", "percent": 0.00009})),
        "mirror_percent",
        "mirror.percent",
    )
    .await;
    refused(
        &app,
        &with("mirror", json!({"version": "v2", "percent": 101})),
        "mirror_percent",
        "mirror.percent",
    )
    .await;
    refused(&app, &with("mirror", json!({"version": "v2", "percent": 1, "to": 1})), "bad_json", "mirror.to")
        .await;
}

#[tokio::test]
async fn rules_are_read_strictly() {
    let app = TestApp::open().await;
    let rule = |when: Value| with("rules", json!([{"when": [[when]], "to": {"v2": 100}}]));
    for (condition, code, field) in [
        (json!({"in": "body", "op": "exact", "value": "x"}), "bad_rule", "rules.0.when.0.0.in"),
        (json!({"in": "header", "op": "exact", "value": "x"}), "bad_rule", "rules.0.when.0.0.name"),
        (
            json!({"in": "path", "name": "x", "op": "exact", "value": "/"}),
            "bad_rule",
            "rules.0.when.0.0.name",
        ),
        (json!({"in": "path", "op": "like", "value": "/"}), "bad_rule", "rules.0.when.0.0.op"),
        (json!({"in": "path", "op": "exact"}), "bad_rule", "rules.0.when.0.0.value"),
        (json!({"in": "path", "op": "exact", "value": "/", "not": true}), "bad_json", "rules.0.when.0.0.not"),
        (json!([]), "bad_json", "rules.0.when.0.0"),
    ] {
        refused(&app, &rule(condition), code, field).await;
    }
    refused(&app, &with("rules", json!([{"when": [], "to": {"v2": 60}}])), "sum", "rules.0.to").await;
    refused(&app, &with("rules", json!([{"when": [{}], "to": {"v2": 100}}])), "bad_json", "rules.0.when.0")
        .await;
    refused(&app, &with("rules", json!([{"to": {"v2": 1.5}}])), "weight_type", "rules.0.to").await;
    refused(&app, &with("rules", json!([{"weight": 1, "to": {"v2": 100}}])), "bad_json", "rules.0.weight")
        .await;
}

#[tokio::test]
async fn take_over_and_switch_back_are_read_strictly() {
    let app = TestApp::open().await;
    let cases = [
        ("takeover", json!({"reason": "x"}), "bad_json", "version"),
        ("takeover", json!({"version": 2, "reason": "x"}), "bad_json", "version"),
        ("takeover", json!({"version": "no such!", "reason": "x"}), "unknown_version", "version"),
        ("takeover", json!({"version": "v2", "reason": " \n\t "}), "reason_required", "reason"),
        ("takeover", json!({"version": "v2"}), "reason_required", "reason"),
        ("takeover", json!({"version": "v2", "reason": "x".repeat(2001)}), "reason_too_long", "reason"),
        ("retire", json!({"confirm": "reviews v3", "reason": "x"}), "bad_json", "version"),
        ("retire", json!({"version": "no such!", "reason": "x"}), "unknown_version", "version"),
        ("retire", json!({"version": "v3", "reason": "x"}), "confirm_mismatch", "confirm"),
        (
            "retire",
            json!({"version": "v3", "confirm": "reviews v1", "reason": "x"}),
            "confirm_mismatch",
            "confirm",
        ),
        ("retire", json!({"version": "v3", "confirm": 3, "reason": "x"}), "bad_json", "confirm"),
        ("retire", json!({"version": "v3", "confirm": "reviews v3"}), "reason_required", "reason"),
        (
            "retire",
            json!({"version": "v9", "confirm": "reviews v9", "reason": "x"}),
            "unknown_version",
            "version",
        ),
        ("switch-back", json!({"reason": "x"}), "bad_json", "revision"),
        ("switch-back", json!({"revision": "1"}), "bad_json", "revision"),
        ("switch-back", json!({"revision": -1}), "unknown_revision", "revision"),
        ("switch-back", json!({"revision": 1.5}), "bad_json", "revision"),
        ("switch-back", json!({"revision": 18_446_744_073_709_551_615_u64}), "unknown_revision", "revision"),
    ];
    for (act, body, code, field) in cases {
        let answer = app.ask("POST", &format!("{TRAFFIC}/{act}")).json(&body).send().await;
        let (status, said) = answer.problem();
        assert!((400..500).contains(&status), "{act} {body}");
        assert_eq!((said.as_str(), answer.json()["field"].as_str()), (code, Some(field)), "{act} {body}");
    }
}

#[tokio::test]
async fn a_write_names_the_revision_that_was_seen() {
    let app = TestApp::open().await;
    let body = with("reason", json!("x"));
    let missing = app.ask("PUT", TRAFFIC).json(&body).send().await;
    assert_eq!(missing.problem(), (428, "precondition_required".into()));
    for bad in ["0", "*", "\"\"", "\"a\"", "\"-1\"", "\"1\", \"2\"", "\"99999999999999999999999\"", "W/"] {
        let answer = app.ask("PUT", TRAFFIC).header("if-match", bad).json(&body).send().await;
        assert_eq!(answer.problem(), (400, "bad_if_match".into()), "{bad}");
    }
    let stale = app.ask("PUT", TRAFFIC).header("if-match", "\"4711\"").json(&body).send().await;
    assert_eq!(stale.problem(), (412, "stale_revision".into()));
    assert_eq!(stale.json()["stale"]["saw"]["revision"], 4711);
    assert_eq!(stale.json()["stale"]["yours"]["v2"], 70);
}

#[tokio::test]
async fn bodies_come_as_json_only() {
    let app = TestApp::open().await;
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp"]
    {
        let answer = app.ask("POST", &format!("{TRAFFIC}/preview")).bytes(kind, "{}").send().await;
        assert_eq!(answer.problem(), (415, "unsupported_media_type".into()), "{kind}");
    }
    let none = app.ask("POST", &format!("{TRAFFIC}/preview")).send().await;
    assert_eq!(none.problem(), (415, "unsupported_media_type".into()));
}

#[tokio::test]
async fn queries_are_read_strictly() {
    let app = TestApp::open().await;
    for (path, field) in [
        ("/api/v1/services?limit=0", "limit"),
        ("/api/v1/services?limit=501", "limit"),
        ("/api/v1/services?limit=-1", "limit"),
        ("/api/v1/services?limit=%2B5", "limit"),
        ("/api/v1/services?limit=1&limit=2", "limit"),
        ("/api/v1/services?show=some", "show"),
        ("/api/v1/services?sort=best", "sort"),
        ("/api/v1/services?window=61", "window"),
        ("/api/v1/services?namspace=shop", "namspace"),
        ("/api/v1/audit?service=reviews", "service"),
        ("/api/v1/audit?action=delete", "action"),
        ("/api/v1/audit?result=ok", "result"),
        ("/api/v1/audit?from=yesterday", "from"),
        ("/api/v1/audit?to=2026-13-01", "to"),
        ("/api/v1/audit/export?format=xml", "format"),
        ("/api/v1/me?x=1", "x"),
        ("/events?topic=everything", "topic"),
        ("/events", "topic"),
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.problem(), (400, "bad_query".into()), "{path}");
        assert_eq!(answer.json()["field"], field, "{path}");
    }
    for path in ["/api/v1/services?cursor=x", "/api/v1/audit?cursor=%F0%9F%92%A9"] {
        assert_eq!(app.get(path).await.problem(), (400, "bad_cursor".into()), "{path}");
    }
    assert_eq!(
        app.get("/api/v1/services?namespace=&q=&limit=5&cursor=").await.status,
        200,
        "empty = left out"
    );
}

#[tokio::test]
async fn names_that_cannot_be_are_refused_and_names_that_are_not_are_not_found() {
    let app = TestApp::open().await;
    for bad in
        ["Bookinfo/reviews", "bookinfo/..", "bookinfo/%00", "bookinfo/%ff", "-a/b", "bookinfo/a.b", "a%2fb/c"]
    {
        let answer = app.get(&format!("/api/v1/services/{bad}")).await;
        assert_eq!(answer.problem(), (400, "bad_name".into()), "{bad}");
        let page = app.get(&format!("/services/{bad}")).await;
        assert!((400..500).contains(&page.status), "{bad}: {}", page.status);
    }
    let unknown = app.get("/api/v1/services/bookinfo/nobody").await;
    assert_eq!(unknown.problem(), (404, "service_not_found".into()));
    for id in ["0", "-1", "x", "99999999999999999999", "999999"] {
        let answer = app.get(&format!("/api/v1/audit/{id}")).await;
        assert_eq!(answer.problem(), (404, "entry_not_found".into()), "{id}");
    }
}

#[tokio::test]
async fn a_service_is_answered_in_the_agreed_shape() {
    let app = TestApp::open().await;
    let answer = app.get("/api/v1/services/bookinfo/reviews").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let service = answer.json();
    assert_eq!(answer.header("etag"), format!("\"{}\"", service["revision"]));
    let keys: Vec<&str> = service.as_object().unwrap().keys().map(String::as_str).collect();
    for key in [
        "namespace",
        "name",
        "state",
        "revision",
        "findings",
        "versions",
        "routes",
        "declared",
        "observed",
        "rules",
        "mirror",
    ] {
        assert!(keys.contains(&key), "{key} is missing in {keys:?}");
    }
    let versions = service["versions"].as_array().unwrap();
    let names: Vec<&str> = versions.iter().map(|version| version["version"].as_str().unwrap()).collect();
    assert_eq!(names, ["v1", "v2", "v3"]);
    assert!(versions[0]["ready"].as_u64().unwrap() > 0, "{versions:?}");
    let list = app.get("/api/v1/services?limit=2&sort=name").await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    let next = list["next"].as_str().expect("there are more");
    let more = app.get(&format!("/api/v1/services?limit=2&sort=name&cursor={next}")).await.json();
    assert_ne!(list["items"][0]["name"], more["items"][0]["name"]);
}
