//! What a change does to rules and mirror is said wherever the change is said: summary, button, note, history, exports.

use serde_json::json;

use crate::support::app::{Answer, TestApp};

const PAGE: &str = "/services/bookinfo/reviews";
const TRAFFIC: &str = "/api/v1/services/bookinfo/reviews/traffic";
const ACK: [&str; 4] = ["big_jump", "few_pods", "no_metrics", "mirror_writes"];

async fn put(app: &TestApp, revision: u64, query: &str, change: serde_json::Value) -> Answer {
    let mut body = json!({"reason": "a test", "ack": ACK});
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    let ask = app.ask("PUT", &format!("{TRAFFIC}{query}")).header("if-match", &format!("\"{revision}\""));
    ask.json(&body).send().await
}

fn gmail() -> serde_json::Value {
    let on = json!({"in": "header", "name": "x-user", "op": "regex", "value": ".*@gmail\\.com"});
    json!([{"when": [[on]], "to": {"v3": 100}}])
}

/// No character of it is written otherwise by a page or by JSON.
const LINE: &str = "header x-user ending with @gmail.com → v3 (new)";

#[tokio::test]
async fn a_rule_without_a_weight_is_named_before_and_after_it_is_written() {
    let app = TestApp::open().await;
    let dry = put(&app, 0, "?dry_run=true", json!({"rules": gmail()})).await;
    assert!(dry.json()["summary"].as_str().unwrap().contains(LINE), "{}", dry.body);
    let made = put(&app, 0, "", json!({"rules": gmail()})).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let entry = app.get(&format!("/api/v1/audit/{}", made.json()["entry"])).await.json();
    assert_eq!(entry["rules"], json!([LINE]), "{entry}");
    for path in ["/audit.csv", "/audit.json", "/audit", "/services/bookinfo/reviews?applied=1"] {
        let shown = app.get(path).await;
        assert!(shown.body.contains(LINE), "{path}: {}", shown.body);
    }
    let page = app.get(&format!("{PAGE}?applied=1")).await;
    assert!(page.body.contains(&format!("{LINE} written (revision 1).")), "{}", page.body);
    let chinese = app.ask("GET", &format!("/audit/{}", entry["id"])).header("accept-language", "zh");
    assert!(chinese.send().await.body.contains("请求头 x-user 以 @gmail.com 结尾 → v3（新增）"));
    let gone = put(&app, 1, "", json!({"rules": []})).await;
    let entry = app.get(&format!("/api/v1/audit/{}", gone.json()["entry"])).await.json();
    assert_eq!(entry["rules"], json!(["header x-user ending with @gmail.com → v3 (removed)"]), "{entry}");
}

#[tokio::test]
async fn the_button_names_the_rule_beside_the_weights() {
    let app = TestApp::open().await;
    let csrf = app.csrf("").await;
    let on = r#"{"on":{"in":"header","name":"end-user"},"op":"exact","value":"jason"}"#;
    let rule = |to: &str| {
        format!(
            r#"[{{"id":null,"name":null,"when":[[{on}]],"opaque":[],"to":[["{to}",100]],"action":null}}]"#
        )
    };
    let rules = rule("v2");
    let fields = [("csrf", csrf.as_str()), ("base_revision", "0"), ("rules", &rules)];
    let ask = |more: &[(&'static str, &'static str)]| {
        let mut all = fields.to_vec();
        all.extend_from_slice(more);
        app.ask("POST", &format!("{PAGE}/traffic/preview")).header("sec-fetch-site", "same-origin").form(&all)
    };
    let alone = ask(&[]).send().await;
    assert!(alone.body.contains("Apply: header end-user = jason → v2 (new)<"), "{}", alone.body);
    let both = ask(&[("w.v1", "90"), ("w.v2", "10"), ("w.v3", "0")]).send().await;
    assert!(
        both.body.contains("Apply: v1 90% · v2 10% + header end-user = jason → v2 (new)<"),
        "{}",
        both.body
    );
}

#[tokio::test]
async fn a_mirror_is_named_when_it_is_set_and_when_it_is_taken_away() {
    let app = TestApp::open().await;
    let made = put(&app, 0, "", json!({"mirror": {"version": "v2", "percent": 10}})).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let entry = app.get(&format!("/api/v1/audit/{}", made.json()["entry"])).await.json();
    assert_eq!(entry["rules"], json!(["mirror 10% → v2"]), "{entry}");
    let page = app.get(&format!("{PAGE}?applied=1")).await;
    assert!(page.body.contains("mirror 10% → v2 written (revision 1)."), "{}", page.body);
    let gone = put(&app, 1, "", json!({"mirror": null})).await;
    assert_eq!(gone.status, 200, "{}", gone.body);
    let file = app.get("/audit.csv").await;
    assert!(file.body.contains("mirror off (was 10% → v2)"), "{}", file.body);
}
