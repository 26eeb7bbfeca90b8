//! The history through pages and API: filters, one entry, files, who may read what.

use serde_json::json;

use crate::support::app::{AUDITOR, RELEASER, TestApp, VIEWER};

#[tokio::test]
async fn filters_combine_and_pages_follow_each_other() {
    let app = TestApp::open().await;
    let mut revision = app.set_reviews(0, 90, 10).await;
    for v2 in [20, 30, 40] {
        revision = app.set_reviews(revision, 100 - v2, v2).await;
    }
    let first = app.get("/api/v1/audit?service=bookinfo/reviews&result=applied&limit=3").await.json();
    assert_eq!(first["items"].as_array().unwrap().len(), 3);
    let next = first["next"].as_str().unwrap();
    let path = format!("/api/v1/audit?service=bookinfo/reviews&result=applied&limit=3&cursor={next}");
    let second = app.get(&path).await.json();
    assert_eq!((second["items"].as_array().unwrap().len(), &second["next"]), (1, &json!(null)));
    for (query, count) in [
        ("actor=demo&action=set_traffic", 4),
        ("actor=nobody", 0),
        ("action=take_over", 0),
        ("result=refused", 0),
        ("service=bookinfo/ratings", 0),
        ("from=2026-01-02&to=2026-01-02", 4),
        ("from=2026-01-03", 0),
        ("to=2026-01-01", 0),
        ("from=2026-01-02T03:04:05Z&to=2026-01-02T03:04:06Z", 4),
        ("q=a%20test", 4),
    ] {
        let found = app.get(&format!("/api/v1/audit?{query}")).await.json();
        assert_eq!(found["items"].as_array().unwrap().len(), count, "{query}: {found}");
        let page = app.get(&format!("/audit?{query}")).await;
        let rows = page.body.matches("<tr id=\"e").count();
        if !query.contains('T') {
            assert_eq!(rows, count, "/audit?{query}");
        }
    }
}

/// A filter that cannot be read does not show everything.
#[tokio::test]
async fn a_filter_that_cannot_be_read_is_refused_on_the_page_too() {
    let app = TestApp::open().await;
    app.set_reviews(0, 90, 10).await;
    for query in
        ["service=nonsense", "service=a/b/c", "action=fly", "result=fine", "from=yesterday", "to=2026-13-01"]
    {
        for path in ["/audit", "/audit.csv", "/audit.json"] {
            let page = app.get(&format!("{path}?{query}")).await;
            assert_eq!(page.status, 400, "{path}?{query}");
            assert!(!page.body.contains("bookinfo/reviews"), "{path}?{query}");
        }
    }
    let empty = app.get("/audit?service=&action=&result=&from=&to=&q=").await;
    assert!(empty.status == 200 && empty.body.contains("<tr id=\"e"), "a form without any choice");
}

#[tokio::test]
async fn an_entry_opens_in_place_and_as_a_page() {
    let app = TestApp::open().await;
    app.set_reviews(0, 30, 70).await;
    let id = app.get("/api/v1/audit").await.json()["items"][0]["id"].as_i64().unwrap();
    let page = app.get(&format!("/audit/{id}?actor=demo")).await;
    assert!(page.body.contains("<html") && page.body.contains("class=\"detail\""), "{}", page.body);
    let row = app.ask("GET", &format!("/audit/{id}")).header("hx-request", "true").send().await;
    assert!(row.body.starts_with("<tr class=\"detail\">"), "{}", row.body);
    let list = app.ask("GET", "/audit?actor=demo").header("hx-request", "true").send().await;
    assert!(list.body.trim_start().starts_with("<div id=\"results\""), "{}", list.body);
    assert_eq!(app.get("/audit/999").await.status, 404);
}

#[tokio::test]
async fn a_file_holds_exactly_the_filtered_entries() {
    let app = TestApp::open().await;
    let reasons = ["=1+1", "say \"hi\", and\ngo", "金丝雀发布", "-2+3"];
    let mut revision = 0;
    for (n, reason) in reasons.iter().enumerate() {
        let v2 = 10 * (n + 1);
        let ask = app.ask("PUT", "/api/v1/services/bookinfo/reviews/traffic");
        let body = json!({"weights": {"v1": 100 - v2, "v2": v2}, "reason": reason, "ack": ["few_pods"]});
        let answer = ask.header("if-match", &format!("\"{revision}\"")).json(&body).send().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        revision = answer.json()["revision"].as_u64().unwrap();
    }
    for path in ["/audit.csv?actor=demo", "/api/v1/audit/export?format=csv&actor=demo"] {
        let csv = app.get(path).await;
        assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
        assert_eq!(
            csv.header("content-disposition"),
            "attachment; filename=\"sluice-history-2026-01-02.csv\""
        );
        assert!(csv.body.starts_with("\u{feff}id,at,service,actor,"), "{}", csv.body);
        for safe in ["\"'=1+1\"", "\"say \"\"hi\"\", and\ngo\"", "金丝雀发布", "\"'-2+3\""] {
            assert!(csv.body.contains(safe), "{safe} in {}", csv.body);
        }
        assert!(csv.body.contains("2026-01-02T03:04:05.000Z"), "times are UTC");
    }
    let none = app.get("/audit.csv?actor=nobody").await;
    assert_eq!(none.body.matches("\r\n").count(), 1, "the header only");
    for path in ["/audit.json", "/api/v1/audit/export"] {
        let all = app.get(path).await.json();
        let found: Vec<&str> =
            all.as_array().unwrap().iter().rev().map(|entry| entry["reason"].as_str().unwrap()).collect();
        assert_eq!(found, reasons, "{path}");
        assert_eq!(all[0]["edits"][0]["before"]["http"][0]["route"][0]["weight"], 70, "{path}");
    }
    assert_eq!(app.get("/audit.json?result=failed").await.json(), json!([]));
}

#[tokio::test]
async fn a_person_reads_what_happened_where_they_may_see() {
    let app = TestApp::with_people().await;
    let change = async |token: &str, service: &str| {
        let ask = app.ask("POST", &format!("/api/v1/services/{service}/traffic/takeover")).token(token);
        let body = json!({"version": "v1", "reason": "a test", "ack": ["big_jump", "few_pods"]});
        ask.json(&body).send().await
    };
    change(RELEASER, "bookinfo/ratings").await;
    change(AUDITOR, "weather/forecast").await;
    app.sign_in(RELEASER).await;
    let services = async |token: &str| {
        let list = app.ask("GET", "/api/v1/audit").token(token).send().await.json();
        let mut seen: Vec<String> =
            list["items"].as_array().unwrap().iter().map(|entry| entry["service"].to_string()).collect();
        seen.sort();
        seen.dedup();
        seen
    };
    assert_eq!(services(VIEWER).await, ["\"bookinfo/ratings\""]);
    assert_eq!(services(RELEASER).await, ["\"bookinfo/ratings\"", "null"], "and their own sign-in");
    assert_eq!(services(AUDITOR).await, ["\"bookinfo/ratings\"", "\"weather/forecast\"", "null"]);
    let all = app.ask("GET", "/api/v1/audit?service=weather/forecast").token(AUDITOR).send().await.json();
    let hidden = all["items"][0]["id"].as_i64().unwrap();
    let answer = app.ask("GET", &format!("/api/v1/audit/{hidden}")).token(VIEWER).send().await;
    assert_eq!(answer.problem(), (404, "entry_not_found".into()));
    let file = app.ask("GET", "/api/v1/audit/export").token(VIEWER).send().await;
    assert!(!file.body.contains("weather") && file.body.contains("bookinfo/ratings"), "{}", file.body);
}

#[tokio::test]
async fn a_reason_can_be_added_but_no_entry_changed() {
    let app = TestApp::open().await;
    app.set_reviews(0, 90, 10).await;
    let id = app.get("/api/v1/audit").await.json()["items"][0]["id"].as_i64().unwrap();
    let path = format!("/api/v1/audit/{id}/reasons");
    let added = app.ask("POST", &path).json(&json!({"reason": "ticket 4711"})).send().await;
    assert_eq!((added.status, &added.json()["about"]), (200, &json!(id)), "{}", added.body);
    let empty = app.ask("POST", &path).json(&json!({"reason": " "})).send().await;
    assert_eq!(empty.problem(), (422, "reason_required".into()));
    for method in ["PUT", "PATCH", "DELETE", "POST"] {
        for path in ["/api/v1/audit", "/api/v1/audit/1", "/audit/1", "/audit"] {
            assert_eq!(app.ask(method, path).json(&json!({})).send().await.status, 405, "{method} {path}");
        }
    }
}
