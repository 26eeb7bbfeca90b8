//! What the dialogs of a release say of its versions at the end: they keep running, are scaled, or are deleted, as the
//! release asks for.

use serde_json::json;

use super::releases::{API, wish};
use crate::support::app::TestApp;

#[tokio::test]
async fn the_abort_dialog_says_whether_the_new_version_is_deleted() {
    let cases = [
        ("canary", false, "keeps running without traffic", "继续运行但不再接收流量"),
        ("canary", true, "is deleted afterwards", "随后按此任务的设置删除"),
        ("replicas", true, "is deleted afterwards", "随后按此任务的设置删除"),
    ];
    for (strategy, deletes, en, zh) in cases {
        let app = TestApp::open().await;
        let mut spec = wish();
        spec["strategy"] = json!(strategy);
        spec["candidate"] = json!({"from": "image", "version": "v9", "image": "example.org/reviews:9"});
        spec["policies"] = json!({"delete_after_abort": deletes});
        if strategy == "replicas" {
            spec["steps"] = json!([{"kind": "replicas", "candidate": 1}, {"kind": "approval"}]);
        }
        let made = app.ask("POST", API).json(&json!({"spec": spec, "reason": "a test"})).send().await;
        assert_eq!(made.status, 200, "{}", made.body);
        let id = made.json()["id"].as_str().unwrap().to_owned();
        for (lang, words) in [("en", en), ("zh", zh)] {
            let asked =
                app.ask("GET", &format!("/releases/{id}/abort")).header("accept-language", lang).send().await;
            assert_eq!(asked.status, 200, "{}", asked.body);
            assert!(asked.body.contains(words), "{strategy} {deletes} {lang}: {}", asked.body);
            assert_eq!(asked.body.contains("keeps running without traffic"), !deletes && lang == "en");
        }
    }
}

#[tokio::test]
async fn the_promotion_dialog_says_whether_the_old_version_keeps_its_pods() {
    let cases = [
        (json!({}), "<b>v1</b> keeps running", "<b>v1</b> 继续运行"),
        (json!({"stable_after": 0}), "pods of <b>v1</b> is set to 0", "<b>v1</b> 的容器组数量调整为 0"),
    ];
    for (policies, en, zh) in cases {
        let app = TestApp::open().await;
        let mut spec = wish();
        spec["policies"] = policies;
        let made = app.ask("POST", API).json(&json!({"spec": spec, "reason": "a test"})).send().await;
        assert_eq!(made.status, 200, "{}", made.body);
        let id = made.json()["id"].as_str().unwrap().to_owned();
        for (lang, words) in [("en", en), ("zh", zh)] {
            let asked =
                app.ask("GET", &format!("/releases/{id}/promote-all")).header("accept-language", lang);
            let asked = asked.send().await;
            assert!(asked.status == 200 && asked.body.contains(words), "{lang}: {}", asked.body);
        }
    }
}
