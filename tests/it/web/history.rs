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

/// What was in force is exact at the moment of a change, before the first one, and for services that are gone.
#[tokio::test]
async fn what_was_in_force_at_a_moment_is_exact_at_its_boundaries() {
    let app = TestApp::open().await;
    let at = async |moment: &str| {
        let path = format!("/api/v1/services/bookinfo/reviews/as-of?at={moment}");
        app.get(&path).await.json()
    };
    let none = at("2026-01-02T03:04:05Z").await;
    assert_eq!(
        (&none["revision"], &none["made_by"], &none["ended_by"]),
        (&json!(0), &json!(null), &json!(null))
    );
    app.clock.advance_ms(10_000);
    let revision = app.set_reviews(0, 30, 70).await;
    app.clock.advance_ms(10_000);
    app.set_reviews(revision, 60, 40).await;
    app.clock.advance_ms(10_000);
    for (moment, number, v1) in [
        ("2026-01-02T03:04:14.999Z", 0, 100),
        ("2026-01-02T03:04:15Z", 1, 30),
        ("2026-01-02T03:04:24.999Z", 1, 30),
        ("2026-01-02T03:04:25Z", 2, 60),
        ("2026-01-02T03:04:35Z", 2, 60),
    ] {
        let found = at(moment).await;
        assert_eq!(
            (&found["revision"], &found["weights"]["v1"]),
            (&json!(number), &json!(v1)),
            "{moment}: {found}"
        );
    }
    let first = at("2026-01-02T03:04:20Z").await;
    assert_eq!(
        (&first["since"], &first["until"]),
        (&json!("2026-01-02T03:04:15.000Z"), &json!("2026-01-02T03:04:25.000Z"))
    );
    assert_eq!(first["made_by"]["reason"], "a test");
    let route =
        first["objects"].as_array().unwrap().iter().find(|at| at["kind"] == "VirtualService").unwrap();
    assert_eq!(route["spec"]["http"][0]["route"][0]["weight"], 30, "{first}");
    for (query, status) in [("at=yesterday", 400), ("at=2030-01-01T00:00:00Z", 400), ("other=1", 400)] {
        let path = format!("/api/v1/services/bookinfo/reviews/as-of?{query}");
        assert_eq!(app.get(&path).await.status, status, "{query}");
    }
    assert_eq!(app.get("/api/v1/services/bookinfo/nothing/as-of").await.problem().1, "service_not_found");
    for (lang, words) in [
        ("en", ["before the first recorded change", "In effect since", "v1 30%"]),
        ("zh", ["首次记录的变更之前", "生效时间", "v1 30%"]),
    ] {
        let page = async |time: &str| {
            let path = format!("/audit/as-of?service=bookinfo/reviews&date=2026-01-02&time={time}");
            app.ask("GET", &path).header("accept-language", lang).send().await
        };
        assert!(page("03:04:14").await.body.contains(words[0]), "{lang}");
        let during = page("03:04:15").await;
        assert!(
            during.status == 200 && words[1..].iter().all(|word| during.body.contains(word)),
            "{}",
            during.body
        );
        assert_eq!(page("25:00:00").await.status, 400, "{lang}");
        let early = page("03:04:59").await;
        let says = if lang == "en" { "is in the future" } else { "尚未到来" };
        assert!(early.status == 400 && early.body.contains(says), "{lang}: {}", early.body);
    }
    let empty = app.get("/audit/as-of").await;
    assert_eq!(empty.status, 200, "the empty form");
    assert!(empty.body.contains("data-topic=\"audit\""), "a topic that exists");
}

/// Routine events of a release are left out by default, can be asked for, and fold into one line.
#[tokio::test]
async fn routine_events_of_a_release_are_left_out_by_default_and_fold() {
    let app = TestApp::open().await;
    super::releases::waiting(&app).await;
    let count = async |path: &str| app.get(path).await.body.matches("<tr id=\"e").count();
    let (some, all) = (count("/audit").await, count("/audit?show=all").await);
    assert!(some > 0 && some < all, "{some} of {all}");
    let page = app.get("/audit?show=all").await.body;
    assert!(page.contains("data-fold=\"1\"") && page.contains("routine events"), "{page}");
    let default = app.get("/audit").await.body;
    assert!(
        default.contains("href=\"/audit?show=all\"") && default.contains("/audit.csv?show=changes"),
        "{default}"
    );
    let rows = async |path: &str| app.get(path).await.json()["items"].as_array().unwrap().len();
    assert_eq!(rows("/api/v1/audit?limit=500").await, all, "the API shows all unless it is asked");
    assert_eq!(rows("/api/v1/audit?limit=500&show=changes").await, some);
    let lines = async |path: &str| app.get(path).await.json().as_array().unwrap().len();
    assert_eq!((lines("/audit.json").await, lines("/audit.json?show=changes").await), (all, some));
    assert_eq!(
        rows("/api/v1/audit?limit=500&show=changes&q=reviews").await,
        rows("/api/v1/audit?limit=500&show=changes&service=bookinfo/reviews").await
    );
    for path in ["/audit?show=some", "/audit.csv?show=some", "/api/v1/audit?show=some"] {
        assert_eq!(app.get(path).await.status, 400, "{path}");
    }
}
