//! Accepted, written, seen: shown with their times by the answer of a change, by the service, by its page, and by the
//! stream of that page.

use serde_json::{Value, json};
use sluice::domain::observed::Sample;

use super::live::{Line, frag};
use crate::support::app::{START_MS, TestApp};
use crate::support::wait_for;

const SERVICE: &str = "/api/v1/services/bookinfo/reviews";

fn counted(of: &[(&str, f64)]) -> Vec<Sample> {
    let sample = |(version, requests): &(&str, f64)| Sample {
        service: "reviews".into(),
        workload: format!("reviews-{version}").into(),
        version: (*version).into(),
        requests: *requests,
        errors: 0.0,
        p95_ms: Some(20.0),
    };
    of.iter().map(sample).collect()
}

async fn set(app: &TestApp, revision: u64, body: Value) -> Value {
    let mut body = body;
    body["reason"] = json!("a test");
    body["ack"] = json!(["big_jump", "few_pods"]);
    let ask = app.ask("PUT", &format!("{SERVICE}/traffic")).header("if-match", &format!("\"{revision}\""));
    let answer = ask.json(&body).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

async fn until(app: &TestApp, what: &str, there: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, async || {
        let progress = app.get(SERVICE).await.json()["progress"].clone();
        there(&progress).then_some(progress)
    })
    .await
}

#[tokio::test]
async fn a_change_is_told_as_accepted_written_and_at_last_seen() {
    let app = TestApp::open().await;
    assert_eq!(app.get(SERVICE).await.json()["progress"], Value::Null, "nothing was changed here yet");
    let done = set(&app, 0, json!({"weights": {"v1": 30, "v2": 70, "v3": 0}})).await;
    let progress = &done["progress"];
    let moment = "2026-01-02T03:04:05.000Z";
    for at in ["begun_at", "accepted_at", "written_at"] {
        assert_eq!(progress[at], moment, "{at}: {progress}");
    }
    assert_eq!((&progress["accepted_ms"], &progress["written_ms"]), (&json!(0), &json!(0)));
    assert_eq!((&progress["state"], &progress["seen_at"]), (&json!("written"), &Value::Null));
    assert_eq!((&progress["revision"], &progress["not_seen"]), (&json!(1), &json!("few_requests")));
    let mut line = Line::open(&app, "service:bookinfo/reviews%3Fapplied%3D1", &[]).await;

    // What was counted before the write, and while proxies may still be behind, does not count.
    *app.figures.0.lock().unwrap() = counted(&[("v1", 300.0), ("v2", 700.0)]);
    app.clock.advance_ms(12_000);
    let early = until(&app, "it waits", |progress| progress["not_seen"] == "few_requests").await;
    assert_eq!(early["state"], "written");

    // Requests that go elsewhere are not it.
    *app.figures.0.lock().unwrap() = counted(&[("v1", 990.0), ("v2", 10.0)]);
    app.clock.advance_ms(6_000);
    let not_yet = until(&app, "the share is judged", |progress| progress["not_seen"] == "not_yet").await;
    assert!(not_yet["high"].as_f64().unwrap() < 70.0, "{not_yet}");

    *app.figures.0.lock().unwrap() = counted(&[("v1", 300.0), ("v2", 700.0)]);
    app.clock.advance_ms(6_000);
    let seen = until(&app, "it is seen", |progress| progress["state"] == "seen").await;
    assert_eq!((&seen["seen_ms"], &seen["seen_at"]), (&json!(24_000), &json!("2026-01-02T03:04:29.000Z")));
    assert_eq!((&seen["version"], &seen["weight"], &seen["share"]), (&json!("v2"), &json!(70), &json!(70.0)));
    assert_eq!(seen["not_seen"], Value::Null);
    let shown = line
        .until(|name, data| frag("progress")(name, data) && data["html"].to_string().contains("24 s"))
        .await;
    assert!(shown["html"].as_str().unwrap().contains("2026-01-02T03:04:29Z"), "{shown}");

    // It was seen then, whatever comes later; and the next change is another one.
    *app.figures.0.lock().unwrap() = counted(&[("v1", 990.0), ("v2", 10.0)]);
    app.clock.advance_ms(60_000);
    assert_eq!(app.get(SERVICE).await.json()["progress"]["seen_ms"], 24_000);
    let list = app.get("/api/v1/services?namespace=bookinfo").await.json();
    let listed = list["items"].as_array().unwrap().iter().find(|one| one["name"] == "reviews").unwrap();
    assert_eq!(listed["progress"]["state"], "seen");
    set(&app, 1, json!({"weights": {"v1": 100, "v2": 0, "v3": 0}})).await;
    let next = app.get(SERVICE).await.json()["progress"].clone();
    assert_eq!((&next["revision"], &next["state"]), (&json!(2), &json!("written")));
}

#[tokio::test]
async fn the_page_tells_the_three_steps_in_both_languages() {
    let app = TestApp::open().await;
    set(&app, 0, json!({"weights": {"v1": 30, "v2": 70, "v3": 0}})).await;
    app.clock.advance_ms(5_000);
    for (lang, words) in [
        ("en", ["accepted after 0 ms", "written after 0 ms"]),
        ("zh", ["已接受（0 毫秒）", "已写入（0 毫秒）"]),
    ] {
        let cookie = format!("lang={lang}");
        let ask = app.ask("GET", "/services/bookinfo/reviews?applied=1").header("cookie", &cookie);
        let page = ask.send().await;
        let shown = page.between("id=\"progress\"", "</section>");
        for word in words {
            assert!(shown.contains(word), "{word}: {shown}");
        }
        assert_eq!(shown.matches("datetime=\"2026-01-02T03:04:05Z\"").count(), 2, "{shown}");
        assert_eq!(shown.matches("class=\"done\"").count(), 3, "seen is not done: {shown}");
    }
    let other = app.get("/services/bookinfo/reviews?applied=7").await;
    assert!(!other.body.contains("id=\"progress\""));
}

#[tokio::test]
async fn what_shares_cannot_show_is_said_to_be_unjudged() {
    let app = TestApp::open().await;
    *app.figures.0.lock().unwrap() = counted(&[("v1", 990.0), ("v2", 10.0)]);
    let rule = json!({"name": "jason", "when": [[{"in": "header", "name": "end-user", "op": "exact", "value": "jason"}]],
        "to": {"v2": 100}});
    let done = set(&app, 0, json!({"rules": [rule]})).await;
    assert_eq!(done["progress"]["not_seen"], "same_weights", "{done}");
    set(&app, 1, json!({"weights": {"v1": 30, "v2": 70, "v3": 0}})).await;
    app.clock.advance_ms(20_000);
    until(&app, "rules are in the way", |progress| progress["not_seen"] == "rules").await;
    let service = app.get(SERVICE).await.json();
    assert_eq!(service["agreement"], json!({"verdict": "not_judged", "why": "rules"}), "{service}");
    for (lang, words) in [("en", "annot be judged from shares"), ("zh", "无法根据占比判断")] {
        let ask =
            app.ask("GET", "/services/bookinfo/reviews?applied=2").header("cookie", &format!("lang={lang}"));
        let page = ask.send().await;
        for part in
            [page.between("id=\"progress\"", "</section>"), page.between("id=\"h-traffic\"", "</header>")]
        {
            assert!(part.contains(words), "{part}");
        }
    }
    assert_eq!(app.clock.now_ms(), START_MS + 20_000);
}
