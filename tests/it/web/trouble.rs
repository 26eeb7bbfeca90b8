//! A history that cannot be written, as programs and people see it: the probe, the API, the pages.

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::wait_for;

#[tokio::test]
async fn a_file_that_vanishes_is_said_everywhere_and_nothing_is_changed_meanwhile() {
    let app = TestApp::open().await;
    app.set_reviews(0, 90, 10).await;
    let (file, away) = (app.history_file(), app.history_file().with_extension("away"));
    std::fs::rename(&file, &away).unwrap();
    let probe = wait_for("the probe knows it", async || {
        let answer = app.get("/readyz").await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    let probe = probe.json();
    assert_eq!(probe["status"], "cannot_write");
    let mut notices = probe["notices"].as_array().unwrap().iter();
    assert!(notices.any(|notice| notice["code"] == "history_gone"), "{probe}");
    assert_eq!(app.get("/healthz").await.status, 200, "a restart would not mend it");
    for (path, lang, words) in [
        ("/services", "en", "The file of the history is gone since"),
        ("/services/bookinfo/reviews", "zh", "历史文件已不在原处"),
    ] {
        let page = app.ask("GET", path).header("cookie", &format!("lang={lang}")).send().await;
        assert!(page.status == 200 && page.body.contains(words), "{path}: {}", page.body);
    }

    let ask = || {
        let body = json!({"weights": {"v1": 50, "v2": 50, "v3": 0}, "reason": "a test", "ack": ["big_jump", "few_pods"]});
        app.ask("PUT", "/api/v1/services/bookinfo/reviews/traffic").header("if-match", "\"1\"").json(&body)
    };
    let refused = ask().send().await;
    assert_eq!(refused.problem(), (503, "history_gone".to_owned()));
    assert!(refused.json()["next"].is_string(), "what to do next");
    let keyed = ask().header("idempotency-key", "k-1").send().await;
    assert_eq!(keyed.problem(), (503, "history_gone".to_owned()));
    let now = app.get("/api/v1/services/bookinfo/reviews").await.json();
    assert_eq!(now["revision"], 1, "{now}");

    std::fs::rename(&away, &file).unwrap();
    wait_for("it is ready by itself", async || (app.get("/readyz").await.status == 200).then_some(())).await;
    let done = ask().header("idempotency-key", "k-1").send().await;
    assert_eq!(done.status, 200, "{}", done.body);
}
