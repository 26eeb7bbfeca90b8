//! Services beside one that its routes name: the cache hears of them, and a fresh reading asks for them.

use std::time::Duration;

use serde_json::json;
use sluice::cluster::{Cache, Change};
use sluice::demo::api::{ApiServer, Cut, On, Times, Trouble, Verb};
use sluice::domain::snapshot::Snapshot;

use super::scene::{Scene, at, deployment, pod, service, slice, virtual_service};

/// `shop/reviews` whose route sends to a Service a version, of which the second does not exist yet.
fn town(api: &ApiServer) {
    let put = |object| drop(api.put(object).unwrap());
    put(service("reviews"));
    for version in ["v1", "v2"] {
        put(deployment("reviews", version));
        put(pod("reviews", version));
    }
    put(slice("reviews", "reviews-1", &[("reviews-v1-a", true), ("reviews-v2-a", true)]));
    put(sibling("v1"));
    let to = |host: &str, weight: u8| json!({"destination": {"host": host}, "weight": weight});
    let route = json!([to("reviews-v1", 70), to("reviews-v2", 30)]);
    put(virtual_service("reviews", json!({"hosts": ["reviews"], "http": [{"route": route}]})));
    put(service("ratings"));
}

/// The Service of one version.
fn sibling(version: &str) -> serde_json::Value {
    let mut one = service(&format!("reviews-{version}"));
    one["spec"]["selector"] = json!({"app": "reviews", "version": version});
    one
}

/// Each Service beside it, with the version that it stands for; `gone` = there is no such Service.
fn told(snapshot: &Snapshot) -> Vec<String> {
    let one = |other: &sluice::domain::snapshot::OtherService| {
        let version = snapshot.version_of(other).map_or("-", |version| version.as_str());
        format!("{} {}", other.at.name, if other.facts.is_some() { version } else { "gone" })
    };
    snapshot.others.iter().map(one).collect()
}

async fn until(scene: &Scene, wanted: [&str; 2]) {
    let now = |cache: &Cache| cache.snapshot(&at("reviews")).filter(|one| told(one) == wanted).map(drop);
    scene.until(&wanted.join(", "), now).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_beside_it_that_comes_changes_and_goes_is_another_snapshot() {
    let scene = Scene::on(town).await;
    until(&scene, ["reviews-v1 v1", "reviews-v2 gone"]).await;
    let mut changes = scene.cache.changes();
    let mut heard = async || loop {
        match tokio::time::timeout(Duration::from_secs(30), changes.recv()).await.expect("a change").unwrap()
        {
            Change::Service(service) if service == at("reviews") => return,
            Change::Resync => return,
            Change::Service(service) => assert_ne!(service, at("ratings"), "no route of it names them"),
        }
    };
    scene.api.put(sibling("v2")).unwrap();
    heard().await;
    until(&scene, ["reviews-v1 v1", "reviews-v2 v2"]).await;
    // It selects another version now: two Services stand for one.
    let mut other = sibling("v2");
    other["spec"]["selector"]["version"] = json!("v1");
    scene.api.put(other).unwrap();
    heard().await;
    until(&scene, ["reviews-v1 v1", "reviews-v2 v1"]).await;
    scene.api.delete("Service", "shop", "reviews-v2").unwrap();
    heard().await;
    until(&scene, ["reviews-v1 v1", "reviews-v2 gone"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_fresh_reading_knows_the_services_beside_it_as_they_are_now() {
    let scene = Scene::on(town).await;
    until(&scene, ["reviews-v1 v1", "reviews-v2 gone"]).await;
    scene.api.trouble(On::verb(Verb::Watch), Trouble::Drop, Times::Always);
    scene.api.end_watches(Cut::Broken);
    scene.api.put(sibling("v2")).unwrap();
    scene.api.delete("Service", "shop", "reviews-v1").unwrap();
    assert_eq!(told(&scene.fresh("reviews").await.unwrap()), ["reviews-v1 gone", "reviews-v2 v2"]);
    // The cache has not heard of it.
    assert_eq!(told(&scene.snapshot("reviews").unwrap()), ["reviews-v1 v1", "reviews-v2 gone"]);
    // A route that names another one: the fresh reading follows the route that is there now.
    let to =
        json!([{"destination": {"host": "reviews-v2"}}, {"destination": {"host": "ratings"}, "weight": 1}]);
    scene
        .api
        .put(virtual_service("reviews", json!({"hosts": ["reviews"], "http": [{"route": to}]})))
        .unwrap();
    assert_eq!(told(&scene.fresh("reviews").await.unwrap()), ["ratings -", "reviews-v2 v2"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_claimed_of_a_service_beside_it_that_cannot_be_read() {
    let scene = Scene::on(town).await;
    for version in ["v1", "v2"] {
        let one = On::verb(Verb::Get).of("services").named(&format!("reviews-{version}"));
        scene.api.trouble(one, Trouble::Forbid, Times::Always);
    }
    let fresh = scene.fresh("reviews").await.unwrap();
    assert!(fresh.others.is_empty(), "neither there nor gone: {:?}", fresh.others);
    assert_eq!(fresh.versions.len(), 2, "the rest is read");
}
