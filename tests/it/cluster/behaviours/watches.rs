//! WATCH: where it begins, what it tells, how it ends.

use super::{Harness, ISTIO, Scene, version};

pub async fn a_watch_goes_on_from_the_version_of_a_list(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices");
    scene.virtual_service("before", &[100]).await;
    let list = scene.get(&path).await.body;
    let mut made = scene.virtual_service("after", &[100]).await;
    let mut watch = scene.watch(&format!("{path}?watch=true&resourceVersion={}", version(&list))).await;
    assert_eq!(watch.change().await, ("ADDED".into(), "after".into()));
    made["spec"]["hosts"] = serde_json::json!(["after", "later"]);
    scene.put(&format!("{path}/after"), made).await;
    assert_eq!(watch.change().await, ("MODIFIED".into(), "after".into()));
    scene.delete(&format!("{path}/before"), None).await;
    assert_eq!(watch.change().await, ("DELETED".into(), "before".into()));
}
