//! Uncached reads: current although the cache is not, whole, and never longer than it may take.

use std::time::Duration;

use serde_json::json;
use sluice::cluster::{ClusterError, until};
use sluice::demo::api::{Cut, Logged, On, Times, Trouble, Verb};
use sluice::domain::refusal::Code;
use tokio::time::Instant;

use super::scene::{Scene, at, deployment, pod, reviews, service, slice, split, virtual_service};

#[tokio::test(start_paused = true)]
async fn it_sees_what_the_cache_has_not_heard_of() {
    let scene = Scene::on(reviews).await;
    scene.api.trouble(On::verb(Verb::Watch), Trouble::Drop, Times::Always);
    scene.api.end_watches(Cut::Broken);
    scene.api.put(virtual_service("reviews", split("reviews", [1, 99]))).unwrap();
    scene.api.put(slice("reviews", "reviews-1", &[("reviews-v1-a", false), ("reviews-v2-a", true)])).unwrap();
    scene.api.put(pod("reviews", "v3")).unwrap();
    let fresh = scene.fresh("reviews").await.unwrap();
    let json = fresh.virtual_services[0].json.as_ref().unwrap();
    assert_eq!(json["spec"]["http"][0]["route"][1]["weight"], 99);
    let ready: Vec<_> = fresh.versions.iter().map(|version| (version.name.as_str(), version.ready)).collect();
    assert_eq!(ready, [("v1", 0), ("v2", 1), ("v3", 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_the_cache_does_not_know_and_one_that_is_not_there() {
    let scene = Scene::on(|_| {}).await;
    scene.api.trouble(On::verb(Verb::Watch), Trouble::Drop, Times::Always);
    scene.api.end_watches(Cut::Broken);
    reviews(&scene.api);
    assert_eq!(scene.fresh("reviews").await.unwrap().versions.len(), 2);
    assert!(scene.fresh("nothing").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_selector_that_changed_is_followed() {
    let scene = Scene::on(reviews).await;
    scene.api.trouble(On::verb(Verb::Watch), Trouble::Drop, Times::Always);
    scene.api.end_watches(Cut::Broken);
    let mut narrowed = service("reviews");
    narrowed["spec"]["selector"] = json!({"app": "reviews", "version": "v2"});
    scene.api.put(narrowed).unwrap();
    scene.api.put(deployment("reviews", "v3")).unwrap();
    let fresh = scene.fresh("reviews").await.unwrap();
    let names: Vec<_> = fresh.versions.iter().map(|version| version.name.as_str()).collect();
    assert_eq!(names, ["v2"]);
}

#[tokio::test(start_paused = true)]
async fn a_delegate_that_the_cache_does_not_know_is_fetched() {
    let scene = Scene::on(reviews).await;
    scene.api.trouble(On::verb(Verb::Watch), Trouble::Drop, Times::Always);
    scene.api.end_watches(Cut::Broken);
    let root = json!({"hosts": ["reviews"], "http": [{"delegate": {"name": "part", "namespace": "team"}}]});
    scene.api.put(virtual_service("reviews", root)).unwrap();
    let mut part =
        virtual_service("part", json!({"http": [{"route": [{"destination": {"host": "elsewhere"}}]}]}));
    part["metadata"]["namespace"] = json!("team");
    scene.api.put(part).unwrap();
    let fresh = scene.fresh("reviews").await.unwrap();
    let names: Vec<_> = fresh.virtual_services.iter().map(|held| &*held.object.meta.name).collect();
    assert_eq!(names, ["reviews", "part"]);
}

#[tokio::test(start_paused = true)]
async fn unknown_fields_are_there_as_they_were() {
    let scene = Scene::on(|api| {
        reviews(api);
        let mut object = virtual_service("reviews", split("reviews", [70, 30]));
        object["spec"]["http"][0]["retries"] = json!({"attempts": 3, "retryOn": "5xx"});
        object["metadata"]["annotations"] = json!({"team": "shop"});
        api.put(object).unwrap();
    })
    .await;
    let fresh = scene.fresh("reviews").await.unwrap();
    assert_eq!(
        Some(&**fresh.virtual_services[0].json.as_ref().unwrap()),
        scene.api.get("VirtualService", "shop", "reviews").as_ref()
    );
}

#[tokio::test(start_paused = true)]
async fn troubles_that_pass_are_read_through() {
    for trouble in [
        Trouble::Answer(503),
        Trouble::Answer(429),
        Trouble::Answer(500),
        Trouble::Answer(504),
        Trouble::Drop,
    ] {
        let scene = Scene::on(reviews).await;
        scene.api.trouble(On::verb(Verb::List), trouble.clone(), Times::Next(3));
        scene.api.trouble(On::verb(Verb::Get), trouble, Times::Next(2));
        assert_eq!(scene.fresh("reviews").await.unwrap().versions.len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn troubles_that_last_are_told_within_the_limit() {
    let check = async |trouble: Trouble, code: Code| {
        let scene = Scene::on(reviews).await;
        scene.api.trouble(On::verb(Verb::Get), trouble.clone(), Times::Always);
        let start = Instant::now();
        let error = scene.cluster.read_fresh(&at("reviews"), &scene.cache).await.unwrap_err();
        assert_eq!(error.refusal().code, code, "{trouble:?}: {error}");
        assert!(start.elapsed() <= Duration::from_secs(15), "{trouble:?}: {:?}", start.elapsed());
        // Bounded: neither 15 repetitions nor one.
        let sent = scene.api.log().iter().filter(|line| line.path.ends_with("/services/reviews")).count();
        assert!((1..=4).contains(&sent), "{trouble:?}: sent {sent} times");
    };
    check(Trouble::Answer(503), Code::ClusterUnreachable).await;
    check(Trouble::Answer(429), Code::ClusterBusy).await;
    check(Trouble::Answer(504), Code::ClusterTimeout).await;
    check(Trouble::Drop, Code::ClusterUnreachable).await;
    check(Trouble::Delay(Duration::from_mins(2)), Code::ClusterTimeout).await;
    check(Trouble::Forbid, Code::ClusterForbids).await;
}

#[tokio::test(start_paused = true)]
async fn a_frozen_server_is_given_up_and_a_deadline_is_kept() {
    let scene = Scene::on(reviews).await;
    scene.api.freeze();
    let start = Instant::now();
    let error = scene.cluster.read_fresh(&at("reviews"), &scene.cache).await.unwrap_err();
    assert!(matches!(error, ClusterError::Timeout(_)), "{error}");
    assert!(start.elapsed() <= Duration::from_secs(15));
    let start = Instant::now();
    let reviews = at("reviews");
    let reading = Box::pin(scene.cluster.read_fresh(&reviews, &scene.cache));
    until(start + Duration::from_secs(4), reading).await.unwrap_err();
    assert!(start.elapsed() <= Duration::from_secs(4));
}

/// Reads of routing objects by name since the log was that long, and lists of whole ones.
fn fetched(scene: &Scene, since: usize) -> Vec<String> {
    let log = scene.api.log();
    let routing = |line: &&Logged| line.method == "GET" && line.path.contains("networking.istio.io");
    let sent = log.iter().skip(since).filter(routing).filter(|line| !line.query.contains("watch"));
    let whole = |line: &&Logged| !line.path.ends_with("services") && !line.path.ends_with("rules");
    sent.filter(whole).map(|line| line.path.rsplit('/').next().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_stands_as_it_was_is_not_sent_again() {
    let scene = Scene::on(|api| {
        reviews(api);
        for other in ["details", "ratings"] {
            api.put(virtual_service(other, split(other, [50, 50]))).unwrap();
        }
    })
    .await;
    let read = async |expected: &[&str]| {
        let since = scene.api.log().len();
        let snapshot = scene.fresh("reviews").await.unwrap();
        let mut names = fetched(&scene, since);
        names.sort_unstable();
        assert_eq!(names, expected);
        for held in &snapshot.virtual_services {
            let now = scene.api.get("VirtualService", "shop", &held.object.meta.name);
            assert_eq!(held.json.as_deref(), now.as_ref());
            let version = &now.unwrap()["metadata"]["resourceVersion"];
            assert_eq!(version, &held.object.meta.resource_version);
        }
        snapshot
    };
    // Only what matters to the service is fetched, each object once.
    let first = read(&["reviews", "reviews"]).await;
    let taken: Vec<_> = first.taken.iter().map(|object| &*object.name).collect();
    assert_eq!(taken, ["details", "ratings"]);
    read(&[]).await;
    // Edited outside: whether or not the watch has seen it.
    scene.api.put(virtual_service("reviews", split("reviews", [10, 90]))).unwrap();
    read(&["reviews"]).await;
    read(&[]).await;
    scene.api.trouble(On::verb(Verb::Watch), Trouble::Drop, Times::Always);
    scene.api.end_watches(Cut::Broken);
    scene.api.put(virtual_service("reviews", split("reviews", [20, 80]))).unwrap();
    read(&["reviews"]).await;
    // Another object begins to be about the service: not known as it is now, so it is fetched.
    let mut second = split("details", [50, 50]);
    second["hosts"] = json!(["details", "reviews"]);
    scene.api.put(virtual_service("details", second)).unwrap();
    let both = read(&["details"]).await;
    assert_eq!(both.virtual_services.len(), 2);
    // Deleted, and created again under the same name.
    scene.api.delete("VirtualService", "shop", "reviews").unwrap();
    assert_eq!(read(&["reviews"]).await.virtual_services.len(), 1);
    scene.api.put(virtual_service("reviews", split("reviews", [20, 80]))).unwrap();
    assert_eq!(read(&["reviews"]).await.virtual_services.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn many_unknown_objects_are_listed_not_read_one_by_one() {
    let scene = Scene::on(reviews).await;
    scene.api.trouble(On::verb(Verb::Watch), Trouble::Drop, Times::Always);
    scene.api.end_watches(Cut::Broken);
    for n in 0..40 {
        let host = if n == 7 { "reviews".to_owned() } else { format!("other-{n}") };
        scene.api.put(virtual_service(&format!("new-{n:02}"), split(&host, [50, 50]))).unwrap();
    }
    let since = scene.api.log().len();
    let snapshot = scene.fresh("reviews").await.unwrap();
    assert_eq!(snapshot.virtual_services.len(), 2);
    assert!(snapshot.virtual_services.iter().all(|held| held.json.is_some()));
    assert_eq!(snapshot.taken.len(), 39);
    assert_eq!(fetched(&scene, since).len(), 2, "the two objects that were known");
}
