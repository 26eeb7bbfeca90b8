//! The wizard's list of templates: to pick one is no change, only to use it. An image of another repository is remarked on.

use crate::support::app::{Answer, TestApp};

async fn post(app: &TestApp, fields: &[(&str, &str)]) -> Answer {
    let csrf = app.csrf("").await;
    let mut all = vec![("csrf", csrf.as_str())];
    all.extend_from_slice(fields);
    app.ask("POST", "/releases/drafts").header("sec-fetch-site", "same-origin").form(&all).send().await
}

#[tokio::test]
async fn to_pick_a_template_changes_nothing_until_it_is_used() {
    let app = TestApp::open().await;
    let press = async |press: &str| {
        let fields = [
            ("strategy", "canary"),
            ("service", "bookinfo/reviews"),
            ("stable", "v1"),
            ("from", "image"),
            ("version", "v9"),
            ("image", "elsewhere/reviews:2"),
            ("template", "careful"),
            ("pick", "quick"),
            ("s.0.kind", "weight"),
            ("s.0.percent", "30"),
            ("deadline", "10"),
            ("reason", "R"),
            ("do", press),
        ];
        let kept = post(&app, &fields).await;
        app.get(kept.header("location")).await
    };
    let shares = |page: &str| page.matches("-percent\" value=").count();
    let saved = press("save").await;
    assert!(!saved.body.contains("template-said") && saved.body.contains(r#"value="careful" selected"#));
    assert_eq!(shares(&saved.body), 1, "{}", saved.body);
    let used = press("template").await;
    assert!(
        used.body.contains("undo-template") && used.body.contains(r#"value="quick" selected"#),
        "{}",
        used.body
    );
    assert!(shares(&used.body) > 1);
    // An image of another repository is remarked on at its field.
    let said = used.between("id=\"said-image\"", "</div></div>");
    assert!(said.contains("elsewhere/reviews") && said.contains("Another repository"), "{said}");
}
