//! A damaged row of the history, as people and programs see it.

use serde_json::{Value, json};

use crate::store::tamper;
use crate::support::app::{Answer, TestApp};
use crate::support::wait_for;

#[tokio::test]
async fn a_damaged_row_is_said_everywhere_and_hinders_nobody() {
    let app = TestApp::open().await;
    let mut revision = 0;
    for v2 in [10, 20, 30] {
        revision = app.set_reviews(revision, 100 - v2, v2).await;
    }
    assert!(notice(&app.get("/readyz").await).is_none());
    let list = app.get("/api/v1/audit").await.json();
    let id = list["items"][1]["id"].as_i64().unwrap();
    tamper(&app.history_file(), &format!("UPDATE audit SET body = 'x' WHERE seq = {id}")).await;

    let export = app.get("/api/v1/audit/export").await;
    let rows: Vec<Value> = serde_json::from_str(&export.body).expect("the file is whole");
    assert_eq!(rows[1]["id"], id, "{export:?}");
    assert!(rows[1]["damaged"].as_str().is_some_and(|why| !why.is_empty()), "{}", rows[1]);
    assert!(rows.len() >= 3 && rows.iter().filter(|row| row.get("damaged").is_some()).count() == 1);
    let csv = app.get("/audit.csv").await;
    assert!(csv.body.lines().any(|line| line.starts_with(&format!("{id},,")) && line.contains(",damaged,")));
    let list = app.get("/api/v1/audit").await.json();
    assert_eq!(list["damaged"], json!([id]), "{list}");
    assert_eq!(app.get(&format!("/api/v1/audit/{id}")).await.problem(), (503, "history_damaged".into()));

    let probe = app.get("/readyz").await;
    assert_eq!(probe.status, 200, "nobody is kept from working");
    assert!(notice(&probe).is_some(), "{}", probe.body);
    for (lang, words) in [("en", "differs from what was written"), ("zh", "与写入时不同")] {
        let page = app.ask("GET", "/audit").header("cookie", &format!("lang={lang}")).send().await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains(words), "{}", page.body);
    }
    let back = app
        .ask("POST", "/api/v1/services/bookinfo/reviews/traffic/switch-back")
        .json(&json!({"revision": 1, "reason": "at night", "ack": ["big_jump", "few_pods"]}))
        .send()
        .await;
    assert_eq!(back.status, 200, "{}", back.body);
}

/// What nobody has read yet is found by the look at the whole history that each start takes.
#[tokio::test]
async fn a_start_on_a_damaged_history_says_so() {
    let app = TestApp::open().await;
    app.set_reviews(0, 90, 10).await;
    tamper(&app.history_file(), "UPDATE audit SET hash = zeroblob(32) WHERE seq = 1").await;
    let again = app.restart().await;
    wait_for("it is known", async || {
        let probe = again.get("/readyz").await;
        let notices = probe.json()["notices"].clone();
        let known =
            notices[0]["code"] == "history_damaged" && notices[0]["text"].as_str()?.contains("Row 1 ");
        (probe.status == 200 && known).then_some(())
    })
    .await;
    again.set_reviews(1, 80, 20).await;
}

/// What the probe says of a damaged history.
fn notice(probe: &Answer) -> Option<String> {
    let notices = probe.json()["notices"].as_array().cloned().unwrap_or_default();
    let found = notices.into_iter().find(|notice| notice["code"] == "history_damaged")?;
    Some(found["text"].as_str().unwrap_or_default().to_owned())
}
