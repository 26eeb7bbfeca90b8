//! WATCH: where it begins, what it tells, how it ends.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Harness, ISTIO, SERVICES, Scene, Watch, version};

async fn from_now(scene: &Scene, path: &str) -> Watch {
    let list = scene.get(path).await.body;
    scene.watch(&format!("{path}?watch=true&resourceVersion={}", version(&list))).await
}

fn event(change: &str, name: &str) -> (String, String) {
    (change.to_owned(), name.to_owned())
}

pub async fn a_watch_goes_on_from_the_version_of_a_list(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices");
    scene.virtual_service("before", &[100]).await;
    let list = scene.get(&path).await.body;
    let mut made = scene.virtual_service("after", &[100]).await;
    let mut watch = scene.watch(&format!("{path}?watch=true&resourceVersion={}", version(&list))).await;
    assert_eq!(watch.change().await, event("ADDED", "after"));
    made["spec"]["hosts"] = json!(["after", "later"]);
    let stored = scene.put(&format!("{path}/after"), made).await.body;
    let told = watch.next().await.unwrap();
    assert_eq!((&told["type"], &told["object"]), (&json!("MODIFIED"), &stored));
    scene.delete(&format!("{path}/before"), None).await;
    assert_eq!(watch.change().await, event("DELETED", "before"));
}

pub async fn a_watch_resumes_without_gap_and_without_repetition(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices");
    let mut watch = from_now(&scene, &path).await;
    for name in ["a", "b"] {
        scene.virtual_service(name, &[100]).await;
    }
    assert_eq!(watch.change().await, event("ADDED", "a"));
    let second = watch.next().await.unwrap();
    drop(watch);
    for name in ["c", "d"] {
        scene.virtual_service(name, &[100]).await;
    }
    scene.delete(&format!("{path}/a"), None).await;
    let from = version(&second["object"]);
    let mut watch = scene.watch(&format!("{path}?watch=true&resourceVersion={from}")).await;
    for wanted in [event("ADDED", "c"), event("ADDED", "d"), event("DELETED", "a")] {
        assert_eq!(watch.change().await, wanted);
    }
}

pub async fn a_watch_without_a_version_begins_with_what_there_is(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(SERVICES, "services");
    scene.service("a", json!({})).await;
    scene.service("b", json!({})).await;
    for query in ["watch=true", "watch=1&resourceVersion=0"] {
        let mut watch = scene.watch(&format!("{path}?{query}")).await;
        let mut told = vec![watch.change().await, watch.change().await];
        told.sort();
        assert_eq!(told, [event("ADDED", "a"), event("ADDED", "b")], "{query}");
    }
}

pub async fn a_version_that_is_forgotten_ends_in_an_error_event(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices");
    scene.virtual_service("a", &[100]).await;
    let old = version(&scene.get(&path).await.body);
    scene.virtual_service("b", &[100]).await;
    harness.compact().await;
    // HTTP 200, then one event that says 410.
    let mut watch = scene.watch(&format!("{path}?watch=true&resourceVersion={old}")).await;
    let told = watch.next().await.unwrap();
    assert_eq!(told["type"], "ERROR");
    let status = &told["object"];
    assert_eq!(
        (&status["kind"], &status["code"], &status["reason"]),
        (&json!("Status"), &json!(410), &json!("Expired"))
    );
    let message = status["message"].as_str().unwrap();
    assert!(message.starts_with(&format!("too old resource version: {old} (")), "{message}");
    assert_eq!(watch.next().await, None);
    // A new list is a new beginning.
    let mut watch = from_now(&scene, &path).await;
    scene.virtual_service("c", &[100]).await;
    assert_eq!(watch.change().await, event("ADDED", "c"));
}

pub async fn a_deletion_is_told_with_the_last_state_at_a_version_of_its_own(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices");
    let made = scene.virtual_service("reviews", &[30, 70]).await;
    let mut watch = from_now(&scene, &path).await;
    scene.delete(&format!("{path}/reviews"), None).await;
    let told = watch.next().await.unwrap();
    assert_eq!((&told["type"], &told["object"]["spec"]), (&json!("DELETED"), &made["spec"]));
    let number = |v: String| v.parse::<u64>().unwrap();
    assert!(number(version(&told["object"])) > number(version(&made)));
    // The same name again is another object.
    let again = scene.virtual_service("reviews", &[30, 70]).await;
    assert_ne!(again["metadata"]["uid"], made["metadata"]["uid"]);
    assert_eq!(watch.change().await, event("ADDED", "reviews"));
}

pub async fn an_object_that_leaves_a_selector_is_told_as_deleted(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(SERVICES, "services");
    let list = scene.get(&path).await.body;
    let query = format!("watch=true&labelSelector=team%3Dred&resourceVersion={}", version(&list));
    let mut watch = scene.watch(&format!("{path}?{query}")).await;
    let mut object = scene.service("a", json!({"team": "blue"})).await;
    for (team, change) in [("red", "ADDED"), ("green", "DELETED"), ("red", "ADDED")] {
        object["metadata"]["labels"]["team"] = team.into();
        object = scene.put(&format!("{path}/a"), object).await.body;
        let told = watch.next().await.unwrap();
        assert_eq!(told["type"], change, "{team}");
        // A deletion shows the last state inside the selector, at the version of the change.
        assert_eq!(version(&told["object"]), version(&object));
        assert_eq!(told["object"]["metadata"]["labels"]["team"], "red");
    }
}

pub async fn a_watch_of_a_namespace_hears_of_no_other(harness: &impl Harness) {
    let (one, two) = (Scene::new(harness).await, Scene::new(harness).await);
    let mut watch = from_now(&one, &one.path(ISTIO, "virtualservices")).await;
    let mut by_name =
        one.watch(&one.path(ISTIO, "virtualservices?watch=true&fieldSelector=metadata.name%3Dmine")).await;
    two.virtual_service("theirs", &[100]).await;
    one.virtual_service("other", &[100]).await;
    one.virtual_service("mine", &[100]).await;
    assert_eq!(watch.change().await, event("ADDED", "other"));
    assert_eq!(by_name.change().await, event("ADDED", "mine"));
}

pub async fn a_write_that_changes_nothing_is_no_event(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices");
    let made = scene.virtual_service("reviews", &[100]).await;
    let mut watch = from_now(&scene, &path).await;
    let same = scene.put(&format!("{path}/reviews"), made.clone()).await;
    assert_eq!((same.code, version(&same.body)), (200, version(&made)));
    let dry = scene.delete(&format!("{path}/reviews?dryRun=All"), None).await;
    assert_eq!(dry.code, 200);
    scene.virtual_service("next", &[100]).await;
    assert_eq!(watch.change().await, event("ADDED", "next"));
}

pub async fn a_watch_ends_cleanly_after_its_timeout_and_bookmarks_come_before(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices");
    let list = scene.get(&path).await.body;
    let begun = Instant::now();
    let query =
        format!("watch=true&timeoutSeconds=4&allowWatchBookmarks=true&resourceVersion={}", version(&list));
    let mut watch = scene.watch(&format!("{path}?{query}")).await;
    let made = scene.virtual_service("a", &[100]).await;
    let (mut bookmark, mut changes) = (None, 0);
    while let Some(told) = watch.next().await {
        if told["type"] == "BOOKMARK" {
            bookmark = Some(told["object"].clone());
        } else {
            changes += 1;
        }
    }
    assert_eq!(changes, 1);
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(3) && took < Duration::from_secs(9), "{took:?}");
    // Two seconds before the end the watch says how far it has come, to be resumed from there.
    let bookmark = bookmark.expect("a bookmark before the end");
    assert_eq!(
        (&bookmark["kind"], &bookmark["apiVersion"]),
        (&json!("VirtualService"), &json!("networking.istio.io/v1"))
    );
    let number = |v: String| v.parse::<u64>().unwrap();
    assert!(number(version(&bookmark)) >= number(version(&made)));
    let mut watch = scene.watch(&format!("{path}?watch=true&resourceVersion={}", version(&bookmark))).await;
    scene.virtual_service("b", &[100]).await;
    assert_eq!(watch.change().await, event("ADDED", "b"));
}

pub async fn no_bookmark_comes_unasked(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices");
    let list = scene.get(&path).await.body;
    let query = format!("watch=true&timeoutSeconds=3&resourceVersion={}", version(&list));
    let mut watch = scene.watch(&format!("{path}?{query}")).await;
    assert_eq!(watch.next().await, None);
}

pub async fn a_streaming_list_closes_its_first_objects_with_a_bookmark(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices");
    scene.virtual_service("a", &[100]).await;
    scene.virtual_service("b", &[100]).await;
    let query =
        "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = scene.watch(&format!("{path}?{query}")).await;
    let mut told = Vec::new();
    let end = loop {
        let next = watch.next().await.unwrap();
        if next["type"] == "BOOKMARK" {
            break next["object"].clone();
        }
        assert_eq!(next["type"], "ADDED");
        told.push(next["object"]["metadata"]["name"].as_str().unwrap().to_owned());
    };
    told.sort();
    assert_eq!(told, ["a", "b"]);
    assert_eq!(end["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert!(!version(&end).is_empty());
    scene.virtual_service("c", &[100]).await;
    assert_eq!(watch.change().await, event("ADDED", "c"));
}

pub async fn a_watch_that_contradicts_itself_is_refused(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    for query in ["sendInitialEvents=true", "resourceVersionMatch=NotOlderThan&resourceVersion=1"] {
        let answer = scene.get(&scene.path(ISTIO, &format!("virtualservices?watch=true&{query}"))).await;
        assert_eq!(
            (answer.code, &answer.body["details"]["kind"]),
            (422, &json!("ListOptions")),
            "{query}: {answer:?}"
        );
        assert_eq!(answer.body["details"]["causes"][0]["field"], "resourceVersionMatch", "{query}");
    }
    let answer = scene.get(&scene.path(ISTIO, "virtualservices?watch=true&resourceVersion=abc")).await;
    assert_eq!(answer.code, 500, "{answer:?}");
    assert_eq!(
        answer.body["message"],
        "resourceVersion: Invalid value: \"abc\": strconv.ParseUint: parsing \"abc\": invalid syntax"
    );
    let answer = scene.get(&scene.path(ISTIO, "virtualservices?resourceVersion=abc")).await;
    assert_eq!(answer.code, 400, "{answer:?}");
}

pub async fn a_burst_of_writes_arrives_whole_and_in_order(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    let path = scene.path(ISTIO, "virtualservices");
    let mut watch = from_now(&scene, &path).await;
    let posts = (0..60).map(|n| {
        let scene = &scene;
        async move { scene.virtual_service(&format!("vs-{n}"), &[100]).await }
    });
    let mut wanted: Vec<u64> = futures::future::join_all(posts)
        .await
        .iter()
        .map(|object| version(object).parse().unwrap())
        .collect();
    wanted.sort_unstable();
    let mut told = Vec::new();
    while told.len() < wanted.len() {
        let event = watch.next().await.unwrap();
        assert_eq!(event["type"], "ADDED");
        told.push(version(&event["object"]).parse::<u64>().unwrap());
    }
    assert_eq!(told, wanted);
}
