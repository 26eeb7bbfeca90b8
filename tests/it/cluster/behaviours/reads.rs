//! GET and LIST: kinds, versions, selectors, pages, what does not exist.

use serde_json::json;

use super::{Harness, ISTIO, SERVICES, Scene, names, version};

pub async fn a_list_tells_its_kind_and_its_version(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let made = scene.service("reviews", json!({"app": "reviews"})).await;
    let list = scene.get(&scene.path(SERVICES, "services")).await.body;
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("ServiceList"), &json!("v1")));
    assert_eq!(names(&list), ["reviews"]);
    assert!(version(&list).parse::<u64>().unwrap() >= version(&made).parse().unwrap());
    // Items of built-in lists carry no type, those of custom resources do.
    assert_eq!(list["items"][0].get("kind"), None);
    scene.virtual_service("reviews", &[100]).await;
    let list = scene.get(&scene.path(ISTIO, "virtualservices")).await.body;
    assert_eq!(list["kind"], "VirtualServiceList");
    assert_eq!(list["items"][0]["kind"], "VirtualService");
    assert_eq!(list["items"][0]["apiVersion"], "networking.istio.io/v1");
}

pub async fn what_does_not_exist_is_a_status_not_found(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let answer = scene.get(&scene.path(ISTIO, "virtualservices/none")).await;
    assert_eq!(
        answer.body,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "virtualservices.networking.istio.io \"none\" not found",
            "reason": "NotFound",
            "details": {"name": "none", "group": "networking.istio.io", "kind": "virtualservices"},
            "code": 404,
        })
    );
    let answer = scene.get(&scene.path(SERVICES, "services/none")).await;
    assert_eq!(answer.body["message"], "services \"none\" not found");
    assert_eq!(answer.body["details"], json!({"name": "none", "kind": "services"}));
}
