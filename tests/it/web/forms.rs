//! Forms without JavaScript: check, apply, take over, switch back, rules. What was typed is never lost.

use sluice::demo::api::{On, Times, Trouble, Verb};

use crate::support::app::{Answer, TestApp};

const PATH: &str = "/services/bookinfo/reviews";

struct Browser {
    app: TestApp,
    csrf: String,
}

impl Browser {
    async fn new() -> Self {
        let app = TestApp::open().await;
        let csrf = app.csrf("").await;
        Self { app, csrf }
    }

    async fn post(&self, act: &str, fields: &[(&str, &str)]) -> Answer {
        self.ask(act, fields, &[]).await
    }

    async fn ask(&self, act: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let mut all = vec![("csrf", self.csrf.as_str())];
        all.extend_from_slice(fields);
        let mut ask = self.app.ask("POST", &format!("{PATH}/{act}")).header("sec-fetch-site", "same-origin");
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        ask.form(&all).send().await
    }

    async fn entries(&self) -> Vec<serde_json::Value> {
        let list = self.app.get("/api/v1/audit?service=bookinfo/reviews").await.json();
        list["items"].as_array().unwrap().clone()
    }

    fn weights(&self) -> Vec<i64> {
        let object = self.app.demo.api.get("VirtualService", "bookinfo", "reviews").unwrap();
        let route =
            object["spec"]["http"].as_array().unwrap().last().unwrap()["route"].as_array().unwrap().clone();
        route.iter().map(|destination| destination["weight"].as_i64().unwrap_or_default()).collect()
    }
}

fn weights<'a>(v1: &'a str, v2: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![("w.v1", v1), ("w.v2", v2), ("w.v3", "0"), ("base_revision", "0")]
}

#[tokio::test]
async fn a_wrong_sum_says_what_is_missing_and_keeps_the_numbers() {
    let browser = Browser::new().await;
    let page = browser.post("traffic/preview", &weights("30", "60")).await;
    assert!(page.body.contains("10% is missing"), "{}", page.body);
    assert!(page.body.contains("value=\"60\""), "the number that was typed stands there");
    for (typed, code) in [("-5", "−5"), ("250", "250"), ("12.7", "12.7"), ("abc", "abc"), ("", "")] {
        let page = browser.post("traffic/preview", &weights(typed, "60")).await;
        assert_eq!(page.status, 200, "{typed}");
        assert!(page.body.contains(&format!("value=\"{typed}\"")), "{typed} {code}: {}", page.body);
        assert!(page.body.contains("role=\"alert\"") || page.body.contains("aria-invalid"), "{typed}");
    }
}

#[tokio::test]
async fn check_then_apply_then_the_page_says_so() {
    let browser = Browser::new().await;
    let checked = browser.post("traffic/preview", &weights("30", "70")).await;
    assert!(checked.body.contains("of requests move from"), "{}", checked.body);
    let preview = checked.between("name=\"preview_id\" value=\"", "\"").to_owned();
    let key = checked.between("name=\"request_id\" value=\"", "\"").to_owned();
    assert!(!preview.is_empty() && !key.is_empty());
    let mut fields = weights("30", "70");
    fields.extend([("preview_id", preview.as_str()), ("request_id", key.as_str()), ("reason", "try v2")]);
    fields.extend([("ack", "big_jump"), ("ack", "few_pods")]);
    let done = browser.post("traffic/apply", &fields).await;
    assert_eq!(
        (done.status, done.header("location")),
        (303, "/services/bookinfo/reviews?applied=1"),
        "{}",
        done.body
    );
    assert_eq!(browser.weights(), [30, 70, 0]);
    let page = browser.app.get(done.header("location")).await;
    assert!(page.body.contains("class=\"toast\"") && page.body.contains("id=\"progress\""), "{}", page.body);
    let again = browser.post("traffic/apply", &fields).await;
    assert_eq!(
        (again.status, again.header("location")),
        (303, done.header("location")),
        "a second press is the first"
    );
    assert_eq!(browser.entries().await.len(), 1);
    assert_eq!(browser.entries().await[0]["channel"], "browser");
}

#[tokio::test]
async fn a_double_press_applies_once() {
    let browser = Browser::new().await;
    let mut fields = weights("90", "10");
    fields.extend([("request_id", "same"), ("reason", "try v2"), ("ack", "few_pods")]);
    let (one, two) =
        tokio::join!(browser.post("traffic/apply", &fields), browser.post("traffic/apply", &fields));
    assert_eq!((one.status, two.status), (303, 303), "{} {}", one.body, two.body);
    assert_eq!(browser.entries().await.len(), 1);
}

#[tokio::test]
async fn what_is_missing_is_said_at_its_place_and_everything_typed_stays() {
    let browser = Browser::new().await;
    let mut fields = weights("30", "70");
    fields.extend([("reason", " "), ("ack", "big_jump"), ("ack", "few_pods")]);
    let silent = browser.post("traffic/apply", &fields).await;
    assert_eq!(silent.status, 422);
    assert!(
        silent.body.contains("id=\"why-error\"") && silent.body.contains("value=\"70\""),
        "{}",
        silent.body
    );
    let mut fields = weights("30", "70");
    fields.push(("reason", "kept <reason>"));
    let jump = browser.post("traffic/apply", &fields).await;
    assert_eq!(jump.status, 422);
    assert!(
        jump.body.contains("id=\"ack-big_jump\"") && jump.body.contains("kept &#60;reason&#62;"),
        "{}",
        jump.body
    );
    fields.extend([("ack", "big_jump"), ("ack", "few_pods"), ("preview_id", "0000000000000000")]);
    let other = browser.post("traffic/apply", &fields).await;
    assert_eq!(other.status, 409, "what is applied is what was checked");
    assert_eq!(browser.weights(), [100, 0, 0], "nothing was written");
}

#[tokio::test]
async fn somebody_else_was_faster() {
    let browser = Browser::new().await;
    browser.app.set_reviews(0, 90, 10).await;
    let mut fields = weights("30", "70");
    fields.extend([("reason", "late"), ("ack", "big_jump"), ("ack", "few_pods")]);
    for act in ["traffic/preview", "traffic/apply"] {
        let late = browser.post(act, &fields).await;
        assert!(
            late.body.contains("id=\"conflict\" class=\"card\"") || late.body.contains("id=\"conflict\""),
            "{act}"
        );
        assert!(late.body.contains("name=\"rebase\" value=\"1\""), "{act}: {}", late.body);
        assert!(late.body.contains("value=\"70\""), "{act}: the numbers stay");
        assert_eq!(late.status, if act.ends_with("apply") { 412 } else { 200 }, "{act}");
    }
    assert_eq!(browser.weights(), [90, 10, 0]);
    fields.push(("rebase", "1"));
    let kept = browser.post("traffic/preview", &fields).await;
    assert!(kept.body.contains("name=\"base_revision\" value=\"1\""), "{}", kept.body);
    assert!(kept.body.contains("of requests move from"), "{}", kept.body);
}

#[tokio::test]
async fn a_fragment_answers_the_panel_and_what_follows_it() {
    let browser = Browser::new().await;
    let part = browser.ask("traffic/preview", &weights("30", "70"), &[("hx-request", "true")]).await;
    assert!(!part.body.contains("<html") && part.body.contains("id=\"preview\""), "{}", part.body);
    assert!(
        part.body.contains("hx-swap-oob=\"true\"") && part.body.contains("id=\"apply-btn\""),
        "{}",
        part.body
    );
}

#[tokio::test]
async fn take_over_and_switch_back_have_a_page_each() {
    let browser = Browser::new().await;
    let page = browser.app.get(&format!("{PATH}/traffic/takeover?version=v2")).await;
    assert!(page.status == 200 && page.body.contains("id=\"act\""), "{}", page.body);
    let dialog =
        browser.app.ask("GET", &format!("{PATH}/traffic/takeover?version=v2")).header("hx-request", "true");
    assert!(dialog.send().await.body.trim_start().starts_with("<form"));
    let silent = browser
        .post("traffic/takeover", &[("version", "v2"), ("ack", "big_jump"), ("ack", "few_pods")])
        .await;
    assert_eq!(silent.status, 422);
    assert!(silent.body.contains("id=\"act-why-error\""), "{}", silent.body);
    let fields = [("version", "v2"), ("reason", "good"), ("ack", "big_jump"), ("ack", "few_pods")];
    let done = browser.post("traffic/takeover", &fields).await;
    assert_eq!(done.status, 303, "{}", done.body);
    assert_eq!(browser.weights(), [0, 100, 0]);
    let page = browser.app.get(&format!("{PATH}/traffic/switch-back?revision=0")).await;
    assert_eq!(page.status, 200);
    let back = browser.post("traffic/switch-back", &[("revision", "0")]).await;
    assert_eq!(back.status, 303, "{}", back.body);
    assert_eq!(browser.weights(), [100, 0, 0], "without a reason, without an acknowledgement");
    assert_eq!(browser.post("traffic/takeover", &[("version", "v9"), ("reason", "x")]).await.status, 422);
    assert_eq!(browser.post("traffic/switch-back", &[("revision", "99")]).await.status, 422);
}

#[tokio::test]
async fn a_version_is_retired_after_its_name_was_typed() {
    let browser = Browser::new().await;
    let service = browser.app.get(PATH).await;
    assert!(service.body.contains("traffic/retire?version=v3"), "offered for a version without traffic");
    assert!(!service.body.contains("traffic/retire?version=v1"), "not for the one that has it");
    let page = browser.app.get(&format!("{PATH}/traffic/retire?version=v3")).await;
    assert!(page.status == 200 && page.body.contains("Deployment reviews-v3"), "{}", page.body);
    let wrong = [("version", "v3"), ("confirm", "reviews v2"), ("reason", "never used")];
    let wrong = browser.post("traffic/retire", &wrong).await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.body.contains("id=\"act-name-error\"") && wrong.body.contains("never used"),
        "{}",
        wrong.body
    );
    let done = [("version", "v3"), ("confirm", "reviews v3"), ("reason", "never used")];
    let done = browser.post("traffic/retire", &done).await;
    assert_eq!(
        (done.status, done.header("location")),
        (303, "/services/bookinfo/reviews?retired=v3"),
        "{}",
        done.body
    );
    assert!(browser.app.demo.api.get("Deployment", "bookinfo", "reviews-v3").is_none());
}

#[tokio::test]
async fn restore_shows_an_earlier_split_as_a_pending_change() {
    let browser = Browser::new().await;
    let revision = browser.app.set_reviews(0, 30, 70).await;
    browser.app.set_reviews(revision, 100, 0).await;
    let page = browser.app.get(&format!("{PATH}?restore=1")).await;
    assert!(
        page.body.contains("value=\"70\"") && page.body.contains("of requests move from"),
        "{}",
        page.body
    );
    assert_eq!(browser.weights(), [100, 0, 0], "nothing is applied before Apply");
    let unknown = browser.app.get(&format!("{PATH}?restore=99")).await;
    assert!(unknown.status == 200 && unknown.body.contains("99"), "{}", unknown.body);
}

#[tokio::test]
async fn an_address_opens_the_page_with_a_pending_change_and_writes_nothing() {
    let browser = Browser::new().await;
    let rules = r#"[{"id":null,"name":null,"when":[[{"on":{"in":"header","name":"end-user"},"op":"exact","value":"jason"}]],"opaque":[],"to":[["v3",100]],"action":null}]"#;
    let mut fields = weights("30", "70");
    fields.extend([("rules", rules), ("mirror", "v2"), ("mirror_pct", "10")]);
    let checked = browser.post("traffic/preview", &fields).await;
    let link = checked.between("data-copy=\"", "\"").replace("&#38;", "&");
    assert!(link.starts_with(&format!("{PATH}?w.v1=30&w.v2=70")), "{link}");
    let opened = browser.app.get(&link).await;
    assert_eq!(opened.status, 200, "{}", opened.body);
    for shown in [
        "value=\"70\"",
        "of requests move from",
        "header end-user equals jason → v3 (added)",
        "are mirrored to",
    ] {
        assert!(opened.body.contains(shown), "{shown}: {}", opened.body);
    }
    assert_eq!(opened.between("data-copy=\"", "\"").replace("&#38;", "&"), link, "it leads to itself");
    let wrong = browser.app.get(&format!("{PATH}?w.v1=30&w.v2=60")).await;
    assert!(wrong.status == 200 && wrong.body.contains("10% is missing"), "{}", wrong.body);
    let odd = browser.app.get(&format!("{PATH}?w.v9=abc&rules=%7B")).await;
    assert!(odd.status == 200 && odd.body.contains("role=\"alert\""), "{}", odd.body);
    assert_eq!(
        (browser.weights(), browser.entries().await.len()),
        (vec![100, 0, 0], 0),
        "nothing is written"
    );
}

#[tokio::test]
async fn rules_are_edited_in_the_form_and_applied_with_it() {
    let browser = Browser::new().await;
    let editor = browser.ask("rules/edit", &[("do", "new")], &[("hx-request", "true")]).await;
    assert!(
        editor.body.contains("id=\"rules-card\"") && editor.body.contains("when.0.in"),
        "{}",
        editor.body
    );
    let mut fields = weights("100", "0");
    fields.extend([("do", "save"), ("rule.at", "new"), ("rule.name", "jason"), ("rule.w.v3", "100")]);
    fields.extend([("when.0.in", "header"), ("when.0.name", "end-user"), ("when.0.op", "exact")]);
    fields.push(("when.0.value", "jason"));
    let saved = browser.post("rules/edit", &fields).await;
    assert_eq!(saved.status, 200);
    let json = saved.between("name=\"rules\" value=\"", "\"").replace("&#34;", "\"").replace("&quot;", "\"");
    assert!(json.contains("end-user"), "{json}");
    let mut fields = weights("100", "0");
    fields.extend([("rules", json.as_str()), ("reason", "jason first"), ("ack", "no_metrics")]);
    let done = browser.post("traffic/apply", &fields).await;
    assert_eq!(done.status, 303, "{}", done.body);
    assert_eq!(browser.weights(), [100, 0, 0], "the weights stay");
    let service = browser.app.get("/api/v1/services/bookinfo/reviews").await.json();
    assert_eq!(service["rules"].as_array().unwrap().len(), 1);
    for bad in ["nonsense", "edit:99", "up:99", ""] {
        assert_eq!(browser.post("rules/edit", &[("do", bad)]).await.status, 200, "{bad}");
    }
    let broken = browser.post("traffic/preview", &[("rules", "[{"), ("w.v1", "100")]).await;
    assert!(broken.status == 200 && broken.body.contains("role=\"alert\""), "{}", broken.body);
}

#[tokio::test]
async fn when_the_cluster_is_down_nothing_typed_is_lost() {
    let browser = Browser::new().await;
    browser.app.demo.api.trouble(On::verb(Verb::Update), Trouble::Answer(500), Times::Always);
    let mut fields = weights("90", "10");
    fields.extend([("reason", "kept reason"), ("ack", "few_pods")]);
    let answer = browser.post("traffic/apply", &fields).await;
    assert!(answer.status >= 400, "{}", answer.status);
    assert!(answer.body.contains("kept reason") && answer.body.contains("value=\"10\""), "{}", answer.body);
    assert!(answer.body.contains("role=\"alert\""), "{}", answer.body);
    assert_eq!(browser.weights(), [100, 0, 0]);
}

#[tokio::test]
async fn a_review_link_carries_its_revision_and_shows_what_a_colleague_changed_since() {
    let browser = Browser::new().await;
    let checked = browser.post("traffic/preview", &weights("70", "30")).await;
    let link = checked.between("data-copy=\"", "\"").replace("&#38;", "&");
    assert!(link.ends_with("&base=0"), "{link}");
    let fresh = browser.app.get(&link).await;
    assert!(!fresh.body.contains("name=\"rebase\""), "{}", fresh.body);
    let revision = browser.app.set_reviews(0, 85, 15).await;
    let opened = browser.app.get(&link).await;
    // The panel of a conflict, as in the tab of the author: you saw, now, yours; nothing is ready to be applied.
    assert!(opened.body.contains(&format!("it is at revision {revision} now")), "{}", opened.body);
    assert!(!opened.body.contains("No other change of this service"), "{}", opened.body);
    assert!(opened.body.contains("name=\"base_revision\" value=\"0\""), "{}", opened.body);
    assert!(opened.body.contains("name=\"rebase\""), "{}", opened.body);
    // Where the colleague did the very same, nothing is pending.
    let same = browser.app.get(&format!("{PATH}?w.v1=85&w.v2=15&base=0")).await;
    assert!(!same.body.contains("now. Nothing was written"), "{}", same.body);
    assert_eq!(browser.weights(), [85, 15, 0], "nothing is written");
}
