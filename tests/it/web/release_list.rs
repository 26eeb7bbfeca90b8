//! The list of releases: one order on the page and in the API, page by page.

use serde_json::json;

use super::releases::{API, waiting, wish};
use crate::support::app::TestApp;

#[tokio::test]
async fn the_list_has_a_release_that_waits_before_newer_ones_that_ended_on_the_page_and_in_the_api() {
    let app = TestApp::open().await;
    let waits = waiting(&app).await;
    let mut wish = wish();
    wish["service"]["name"] = json!("ratings");
    wish["steps"] = json!([{"kind": "weight", "percent": 100}]);
    let mut ended = Vec::new();
    for (stable, candidate) in [("v1", "v2"), ("v2", "v1")] {
        wish["stable"] = json!(stable);
        wish["candidate"]["version"] = json!(candidate);
        let made = app.ask("POST", API).json(&json!({"spec": wish, "reason": "REV-232"})).send().await;
        assert_eq!(made.status, 200, "{}", made.body);
        let id = made.json()["id"].as_str().unwrap().to_owned();
        let done = app.get(&format!("{API}/{id}?wait=20")).await.json();
        assert_eq!(done["phase"], "succeeded", "{done}");
        ended.insert(0, id);
    }
    let expected = [waits.clone(), ended[0].clone(), ended[1].clone()];
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.get(&format!("{API}?limit=1{cursor}")).await.json();
        seen.extend(
            page["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, expected);
    let page = app.get("/releases").await.body;
    let rows: Vec<&str> =
        page.split("id=\"rel-").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(rows, expected);
}
