//! The effect of a change on rules and mirror is shown wherever the change is shown:
//! summary, button, note, history, exports.

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
const LINE: &str = "header x-user ends with @gmail.com → v3 (added)";

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
    assert!(chinese.send().await.body.contains("请求头 x-user 后缀匹配 @gmail.com → v3（新增）"));
    let gone = put(&app, 1, "", json!({"rules": []})).await;
    let entry = app.get(&format!("/api/v1/audit/{}", gone.json()["entry"])).await.json();
    assert_eq!(entry["rules"], json!(["header x-user ends with @gmail.com → v3 (removed)"]), "{entry}");
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
    assert!(alone.body.contains("Apply: header end-user equals jason → v2 (added)<"), "{}", alone.body);
    let both = ask(&[("w.v1", "90"), ("w.v2", "10"), ("w.v3", "0")]).send().await;
    assert!(
        both.body.contains("Apply: v1 90% · v2 10% + header end-user equals jason → v2 (added)<"),
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

#[tokio::test]
async fn what_is_in_force_besides_the_split_is_said_in_the_list_and_beside_the_declared_split() {
    let app = TestApp::open().await;
    let change = json!({"rules": gmail(), "mirror": {"version": "v2", "percent": 25}});
    let made = put(&app, 0, "", change).await;
    assert_eq!(made.status, 200, "{}", made.body);
    for (language, words) in
        [("en", "1 match rule · 25% mirrored to v2"), ("zh", "1 条匹配规则 · 25% 镜像到 v2")]
    {
        for path in ["/services?q=reviews", PAGE] {
            let shown = app.ask("GET", path).header("accept-language", language).send().await;
            assert!(shown.body.contains(&format!("+ {words}")), "{path}: {}", shown.body);
        }
    }
    // Nobody gave the rule a name, so none is shown, and editing it keeps the one that the object has.
    let page = app.get(PAGE).await;
    let objects = page.body.find("id=\"h-objects\"").unwrap_or(page.body.len());
    assert!(!page.body[..objects].contains("<b>sluice-"), "{}", page.body);
    let csrf = app.csrf("").await;
    let edit = app.ask("POST", &format!("{PAGE}/rules/edit")).header("sec-fetch-site", "same-origin");
    let open = edit.form(&[("csrf", &csrf), ("do", "edit:0"), ("base_revision", "1")]).send().await;
    assert!(open.body.contains("id=\"rule-name\" name=\"rule.name\" value=\"\""), "{}", open.body);
}

#[tokio::test]
async fn a_link_to_a_change_that_somebody_has_applied_says_so_and_leaves_nothing_to_apply() {
    let app = TestApp::open().await;
    let link = format!("{PAGE}?w.v1=70&w.v2=30&w.v3=0");
    let before = app.get(&link).await;
    assert!(!before.body.contains("id=\"already\""), "{}", before.body);
    let made = put(&app, 0, "", json!({"weights": {"v1": 70, "v2": 30, "v3": 0}})).await;
    assert_eq!(made.status, 200, "{}", made.body);
    for (language, words) in [("en", "This change is already in effect."), ("zh", "此变更已经生效。")]
    {
        let page = app.ask("GET", &link).header("accept-language", language).send().await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains(words), "{}", page.body);
        let apply = page.body.split("id=\"apply-btn\"").nth(1).unwrap().split('>').next().unwrap();
        assert!(apply.contains("disabled") || apply.contains("data-not-yet"), "{apply}");
        let error = if language == "en" {
            "The request changes nothing"
        } else {
            "该请求不会改变任何内容"
        };
        assert!(!page.body.contains(error), "nothing went wrong: {}", page.body);
    }
}

fn four_to_v2() -> serde_json::Value {
    let one = |user: &str| {
        let on = json!({"in": "header", "name": "end-user", "op": "exact", "value": user});
        json!({"when": [[on]], "to": {"v2": 100}})
    };
    json!(["ann", "bob", "eve", "jason"].map(one))
}

/// The text of the way back at the head of the page, in a language.
async fn way_back(app: &TestApp, language: &str) -> String {
    let page = app.ask("GET", PAGE).header("accept-language", language).send().await.body;
    let link = page.split("id=\"back\"").nth(1).expect("a way back").split("</a>").next().unwrap();
    link.rsplit('>').next().unwrap().to_owned()
}

/// What the button of its dialog says.
async fn dialog_button(app: &TestApp, revision: u64) -> String {
    let page = app.get(&format!("{PAGE}/traffic/switch-back?revision={revision}")).await.body;
    let at = page.rfind("Back to ").unwrap_or_else(|| panic!("no button: {page}"));
    page[at..].split('<').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_way_back_says_the_state_that_one_gets_and_not_what_differs() {
    let app = TestApp::open().await;
    assert_eq!(put(&app, 0, "", json!({"rules": four_to_v2()})).await.status, 200);
    assert_eq!(way_back(&app, "en").await, "Back to v1 100%, without the 4 rules (revision 0)");
    assert_eq!(way_back(&app, "zh").await, "切回 v1 100%，不含这 4 条规则（修订 0）");
    assert_eq!(dialog_button(&app, 0).await, "Back to v1 100%, without the 4 rules");
    assert_eq!(put(&app, 1, "", json!({"rules": []})).await.status, 200);
    assert_eq!(way_back(&app, "en").await, "Back to v1 100% with 4 rules (revision 1)");
    assert_eq!(way_back(&app, "zh").await, "切回 v1 100%，含 4 条规则（修订 1）");
    assert_eq!(dialog_button(&app, 1).await, "Back to v1 100% with 4 rules");
    let mirror = json!({"mirror": {"version": "v2", "percent": 50}});
    assert_eq!(put(&app, 2, "", mirror).await.status, 200);
    assert_eq!(way_back(&app, "en").await, "Back to v1 100%, mirror off (revision 2)");
    assert_eq!(way_back(&app, "zh").await, "切回 v1 100%，镜像关闭（修订 2）");
    assert_eq!(put(&app, 3, "", json!({"mirror": null})).await.status, 200);
    assert_eq!(way_back(&app, "en").await, "Back to v1 100%, mirror 50% → v2 (revision 3)");
}

#[tokio::test]
async fn several_rules_are_counted_as_added_or_removed_in_the_words_of_the_table() {
    let app = TestApp::open().await;
    let csrf = app.csrf("").await;
    let on = r#"{"on":{"in":"header","name":"end-user"},"op":"exact","value":"NAME"}"#;
    let rule =
        format!(r#"{{"id":null,"name":null,"when":[[{on}]],"opaque":[],"to":[["v2",100]],"action":null}}"#);
    let rules = format!("[{},{}]", rule.replace("NAME", "ann"), rule.replace("NAME", "bob"));
    let preview =
        |base: &'static str, rules: String, csrf: String| {
            app.ask("POST", &format!("{PAGE}/traffic/preview"))
                .header("sec-fetch-site", "same-origin")
                .form(&[("csrf", &csrf), ("base_revision", base), ("rules", &rules)])
        };
    let added = preview("0", rules, csrf.clone()).send().await;
    assert!(added.body.contains("Apply: 2 rules added<"), "{}", added.body);
    assert_eq!(put(&app, 0, "", json!({"rules": four_to_v2()})).await.status, 200);
    let removed = preview("1", "[]".to_owned(), csrf).send().await;
    assert!(removed.body.contains("Apply: 4 rules removed<"), "{}", removed.body);
    // A rule that nobody named is chosen by its conditions, and the summary has the words of the table.
    let page = app.get(PAGE).await.body;
    let route =
        page.split("data-route").nth(1).expect("a choice of routes").split("</select>").next().unwrap();
    assert!(route.contains("header end-user equals jason"), "{route}");
    let shown: Vec<&str> = route.split('>').map(|part| part.split('<').next().unwrap()).collect();
    assert!(shown.iter().all(|label| !label.contains("sluice-")), "{shown:?}");
}

#[tokio::test]
async fn a_version_can_take_over_while_rules_send_requests_to_another() {
    let app = TestApp::open().await;
    let lever =
        |page: &str| page.split("id=\"take-v1\"").nth(1).unwrap().split("</span>").next().unwrap().to_owned();
    let before = lever(&app.get(PAGE).await.body);
    assert!(before.contains("v1 already has all traffic"), "{before}");
    assert_eq!(put(&app, 0, "", json!({"rules": four_to_v2()})).await.status, 200);
    let free = lever(&app.get(PAGE).await.body);
    assert!(free.contains("traffic/takeover?version=v1") && !free.contains("aria-disabled"), "{free}");
    let dialog = app.get(&format!("{PAGE}/traffic/takeover?version=v1")).await.body;
    assert!(dialog.contains("4 match rules will send their requests there too."), "{dialog}");
    assert!(!dialog.contains("(now 100%)"), "{dialog}");
    let ask = app.ask("POST", &format!("{TRAFFIC}/takeover")).header("if-match", "\"1\"");
    let done = ask.json(&json!({"version": "v1", "reason": "a test", "ack": ACK})).send().await;
    assert_eq!(done.status, 200, "{}", done.body);
    let all = lever(&app.get(PAGE).await.body);
    assert!(all.contains("v1 already has all traffic"), "{all}");
}
