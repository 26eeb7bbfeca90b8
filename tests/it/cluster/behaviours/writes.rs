//! POST, PUT, PATCH, DELETE: conflicts, dry runs, generations, what is refused and in which words.

use serde_json::json;

use super::{Harness, ISTIO, Scene};

pub async fn a_stale_put_is_a_conflict(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices/reviews");
    let stale = scene.virtual_service("reviews", &[50, 50]).await;
    let mut fresh = stale.clone();
    fresh["spec"]["http"][0]["route"][0]["weight"] = 60.into();
    fresh["spec"]["http"][0]["route"][1]["weight"] = 40.into();
    assert_eq!(scene.put(&path, fresh).await.code, 200);
    let answer = scene.put(&path, stale).await;
    assert_eq!((answer.code, &answer.body["reason"]), (409, &json!("Conflict")));
    assert_eq!(
        answer.body["message"],
        "Operation cannot be fulfilled on virtualservices.networking.istio.io \"reviews\": the object has been \
         modified; please apply your changes to the latest version and try again"
    );
    let now = scene.get(&path).await.body;
    assert_eq!(now["spec"]["http"][0]["route"][0]["weight"], 60);
}
