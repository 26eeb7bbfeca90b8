//! Sluice's own credentials are refused: the probe, the pages and the API say that, and not that rights, services or
//! the whole cluster are missing.

use serde_json::Value;
use sluice::demo::api::{Cut, On, Times, Trouble};

use crate::support::app::TestApp;
use crate::support::wait_for;

#[tokio::test]
async fn refused_credentials_are_said_by_the_probe_the_pages_and_the_api() {
    let app = TestApp::open().await;
    wait_for("it is ready", async || (app.get("/readyz").await.status == 200).then_some(())).await;
    app.demo.api.trouble(On::any(), Trouble::Page(401), Times::Always);
    app.demo.api.end_watches(Cut::Cleanly);
    wait_for("the probe names the credentials", async || {
        let answer = app.get("/readyz").await;
        let notices = answer.json()["notices"].clone();
        let codes = notices.as_array().into_iter().flatten().map(|notice| notice["code"].clone());
        // It goes on with what it knows, so it stays ready.
        (answer.status == 200 && codes.into_iter().any(|code| code == "cluster_unauthenticated"))
            .then_some(())
    })
    .await;
    let unknown = app.get("/api/v1/services/bookinfo/new").await;
    assert_eq!(unknown.problem(), (503, "cluster_unauthenticated".to_owned()));
    assert_eq!(app.get("/api/v1/services/bookinfo/reviews").await.status, 200);
    let page = app.get("/services/bookinfo/new").await;
    assert_ne!(page.status, 404, "{}", page.body);
    let list = app.get("/services").await;
    assert!(list.body.contains("does not accept Sluice"), "{}", list.body);
    let preview = app.ask("POST", "/api/v1/services/bookinfo/reviews/traffic/preview");
    let preview = preview.json(&serde_json::json!({"weights": {"v1": 100}, "reason": "a test"})).send().await;
    assert_eq!(preview.problem(), (503, "cluster_unauthenticated".to_owned()));
    assert!(matches!(preview.json()["next"], Value::String(_)), "{:?}", preview.json());
}
