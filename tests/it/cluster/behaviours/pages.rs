//! LIST in pages: one moment over all pages, and what happens when that moment is forgotten.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Harness, ISTIO, Scene, names, service, version};

fn token(list: &Value) -> String {
    list["metadata"]["continue"].as_str().unwrap_or_default().to_owned()
}

pub async fn pages_show_the_moment_of_the_first(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    for name in ["a", "b", "c", "d", "e"] {
        scene.virtual_service(name, &[100]).await;
    }
    let path = scene.path(ISTIO, "virtualservices?limit=2");
    let first = scene.get(&path).await.body;
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    // Between the pages: one goes, one comes, one changes.
    scene.delete(&scene.path(ISTIO, "virtualservices/d"), None).await;
    scene.virtual_service("cc", &[100]).await;
    let second = scene.get(&format!("{path}&continue={}", token(&first))).await.body;
    assert_eq!((names(&second), version(&second)), (vec!["c", "d"], version(&first)));
    let third = scene.get(&format!("{path}&continue={}", token(&second))).await.body;
    assert_eq!(names(&third), ["e"]);
    assert_eq!((token(&third), third["metadata"].get("remainingItemCount")), (String::new(), None));
    let now = scene.get(&scene.path(ISTIO, "virtualservices")).await.body;
    assert_eq!(names(&now), ["a", "b", "c", "cc", "e"]);
}

pub async fn a_limit_counts_what_the_selector_lets_through(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    for (name, odd) in [("a", "yes"), ("b", "no"), ("c", "yes"), ("d", "no"), ("e", "yes")] {
        scene.service(name, json!({"odd": odd})).await;
    }
    let path = scene.path("api/v1", "services?limit=2&labelSelector=odd%3Dyes");
    let first = scene.get(&path).await.body;
    assert_eq!((names(&first), first["metadata"].get("remainingItemCount")), (vec!["a", "c"], None));
    let second = scene.get(&format!("{path}&continue={}", token(&first))).await.body;
    assert_eq!((names(&second), token(&second)), (vec!["e"], String::new()));
    // "Any version" is answered from a cache, which has no pages.
    let cached = scene.get(&scene.path("api/v1", "services?limit=2&resourceVersion=0")).await.body;
    assert_eq!((names(&cached).len(), token(&cached)), (5, String::new()));
}

pub async fn an_expired_page_is_gone_and_offers_to_go_on_at_the_present(harness: &impl Harness) {
    let scene = Scene::new(harness).await;
    for name in ["a", "b", "c"] {
        scene.virtual_service(name, &[100]).await;
    }
    let path = scene.path(ISTIO, "virtualservices?limit=1");
    let first = scene.get(&path).await.body;
    scene.delete(&scene.path(ISTIO, "virtualservices/b"), None).await;
    harness.compact().await;
    let answer = scene.get(&format!("{path}&continue={}", token(&first))).await;
    assert_eq!((answer.code, &answer.body["reason"]), (410, &json!("Expired")), "{answer:?}");
    let message = answer.body["message"].as_str().unwrap();
    assert!(
        message
            .starts_with("The provided continue parameter is too old to display a consistent list result."),
        "{message}"
    );
    let onward = token(&answer.body);
    let rest = scene.get(&format!("{path}&continue={onward}")).await.body;
    assert_eq!(names(&rest), ["c"]);
    let answer = scene.get(&format!("{path}&continue=nonsense")).await;
    assert_eq!(answer.code, 400, "{answer:?}");
}

pub async fn a_large_list_arrives_whole_in_one_piece_and_in_pages(harness: &impl Harness) {
    const MANY: usize = 600;
    let scene = Scene::new(harness).await;
    let padding = "x".repeat(2000);
    let path = scene.path("api/v1", "services");
    let client = &scene.client;
    let posts = (0..MANY).map(|n| {
        let mut body = service(&format!("many-{n:04}"), json!({"n": (n % 7).to_string()}));
        // Without an address of its own: the range of a cluster is not that large.
        body["spec"]["clusterIP"] = "None".into();
        body["metadata"]["annotations"] = json!({"padding": padding});
        super::send(client, "POST", &path, Some(body))
    });
    let mut posts = std::pin::pin!(futures::StreamExt::buffer_unordered(futures::stream::iter(posts), 32));
    while let Some(answer) = futures::StreamExt::next(&mut posts).await {
        assert_eq!(answer.code, 201, "{answer:?}");
    }
    let whole = scene.get(&path).await;
    assert!(whole.text.len() > MANY * 2000);
    assert_eq!(names(&whole.body).len(), MANY);
    let mut found = BTreeSet::new();
    let mut next = String::new();
    loop {
        let page = scene.get(&format!("{path}?limit=250&continue={next}")).await.body;
        found.extend(names(&page).into_iter().map(str::to_owned));
        next = token(&page);
        if next.is_empty() {
            break;
        }
    }
    assert_eq!(found.len(), MANY);
}
