//! Watches that break, lie or fall silent: the cache finds back to what is there, and says how it is.

use std::time::Duration;

use serde_json::json;
use sluice::cluster::{Cache, Change, Health};
use sluice::demo::api::{ApiServer, Cut, KINDS, On, Person, Right, Times, Trouble, Verb};
use sluice::domain::ids::Namespace;
use tokio::time::{Instant, sleep};

use super::scene::{Scene, at, deployment, pod, reviews, service, split, virtual_service};

fn health(cache: &Cache, kind: &str) -> Health {
    cache.health().into_iter().find(|health| health.kind == kind).unwrap().state
}

/// Waits until the cache shows `reviews` with these many versions.
async fn versions(scene: &Scene, n: usize) {
    let shown =
        |cache: &Cache| cache.snapshot(&at("reviews")).filter(|found| found.versions.len() == n).map(drop);
    scene.until(&format!("{n} versions"), shown).await;
}

fn remove_v2(api: &ApiServer) {
    api.delete("Deployment", "shop", "reviews-v2").unwrap();
    api.delete("Pod", "shop", "reviews-v2-a").unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_comes_and_goes_is_seen_and_announced() {
    let scene = Scene::on(reviews).await;
    let mut changes = scene.cache.changes();
    let generation = scene.cache.generation();
    scene.api.put(deployment("reviews", "v3")).unwrap();
    versions(&scene, 3).await;
    assert_eq!(changes.recv().await.unwrap(), Change::Service(at("reviews")));
    assert!(scene.cache.generation() > generation);
    scene.api.put(service("ratings")).unwrap();
    scene.until("ratings", |cache| cache.snapshot(&at("ratings"))).await;
    let names: Vec<String> = scene.cache.services().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["shop/ratings", "shop/reviews"]);
    scene.api.delete("Service", "shop", "ratings").unwrap();
    scene.until("ratings is gone", |cache| cache.snapshot(&at("ratings")).is_none().then_some(())).await;
    assert_eq!(scene.cache.services().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_changes_nothing_shown_wakes_nobody() {
    let scene = Scene::on(reviews).await;
    let before = scene.snapshot("reviews").unwrap();
    let mut changes = scene.cache.changes();
    let mut same = pod("reviews", "v1");
    same["metadata"]["annotations"] = json!({"touched": "again"});
    scene.api.put(same).unwrap();
    sleep(Duration::from_secs(1)).await;
    assert!(changes.try_recv().is_err());
    assert!(std::sync::Arc::ptr_eq(&before, &scene.snapshot("reviews").unwrap()));
}

#[tokio::test(start_paused = true)]
async fn what_was_deleted_while_a_watch_was_cut_vanishes() {
    for cut in [Cut::Cleanly, Cut::Broken] {
        let scene = Scene::on(reviews).await;
        versions(&scene, 2).await;
        scene.api.trouble(On::verb(Verb::Watch), Trouble::Answer(503), Times::Next(12));
        scene.api.end_watches(cut);
        remove_v2(&scene.api);
        versions(&scene, 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn forgotten_history_leads_to_a_new_list() {
    let scene = Scene::on(reviews).await;
    scene.api.trouble(On::verb(Verb::Watch), Trouble::Answer(503), Times::Next(8));
    scene.api.end_watches(Cut::Broken);
    remove_v2(&scene.api);
    scene.api.compact();
    versions(&scene, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_refused_with_410_leads_to_a_new_list() {
    let scene = Scene::on(reviews).await;
    scene.api.trouble(On::verb(Verb::Watch), Trouble::Gone, Times::Always);
    scene.api.end_watches(Cut::Cleanly);
    remove_v2(&scene.api);
    let start = Instant::now();
    versions(&scene, 1).await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    scene.api.clear_log();
    sleep(Duration::from_mins(2)).await;
    // It goes on listing, but not in a hot loop: 8 kinds, each every 30 s at the end.
    let lists = scene.api.log().iter().filter(|line| !line.query.contains("watch=true")).count();
    assert!((8..400).contains(&lists), "{lists} lists in two minutes");
}

#[tokio::test(start_paused = true)]
async fn a_frozen_server_is_noticed_and_caught_up_with() {
    let scene = Scene::on(reviews).await;
    scene.api.freeze();
    sleep(Duration::from_mins(3)).await;
    assert!(matches!(health(&scene.cache, "Pod"), Health::Failing { .. }), "{:?}", scene.cache.health());
    // What was known is still shown.
    assert_eq!(scene.snapshot("reviews").unwrap().versions.len(), 2);
    assert!(scene.cache.is_ready());
    remove_v2(&scene.api);
    scene.api.thaw();
    let start = Instant::now();
    versions(&scene, 1).await;
    assert!(start.elapsed() < Duration::from_mins(1), "{:?}", start.elapsed());
    scene.until("live again", |cache| (health(cache, "Pod") == Health::Live).then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn silence_leads_to_a_new_list() {
    let scene = Scene::on(reviews).await;
    scene.api.set_bookmark_every(Duration::from_hours(1));
    // Bookmarks before the end are sent too, so the server must lose them: watches that only ever close.
    scene.api.trouble(On::verb(Verb::Watch), Trouble::Delay(Duration::from_secs(14)), Times::Always);
    scene.api.end_watches(Cut::Cleanly);
    scene.api.clear_log();
    for _ in 0..12 {
        sleep(Duration::from_secs(13)).await;
        scene.api.end_watches(Cut::Cleanly);
    }
    let lists = scene
        .api
        .log()
        .into_iter()
        .filter(|line| line.path.ends_with("/pods") && !line.query.contains("watch"));
    assert!(lists.count() >= 1, "nothing was listed in 156 s of silence");
}

#[tokio::test(start_paused = true)]
async fn istio_may_be_missing_and_may_come_later() {
    let scene = Scene::on(|api| {
        api.uninstall("VirtualService");
        api.uninstall("DestinationRule");
        api.put(service("reviews")).unwrap();
    })
    .await;
    assert_eq!(health(&scene.cache, "VirtualService"), Health::Missing);
    assert!(!scene.snapshot("reviews").unwrap().mesh.installed);
    assert!(!scene.fresh("reviews").await.unwrap().mesh.installed);
    for kind in KINDS.iter().filter(|kind| ["VirtualService", "DestinationRule"].contains(&kind.kind)) {
        scene.api.install(kind);
    }
    scene.api.put(virtual_service("reviews", split("reviews", [100, 0]))).unwrap();
    let start = Instant::now();
    let shown = |cache: &Cache| {
        let snapshot = cache.snapshot(&at("reviews"))?;
        (snapshot.mesh.installed && snapshot.virtual_services.len() == 1).then_some(())
    };
    scene.until("Istio is there", shown).await;
    assert!(start.elapsed() < Duration::from_secs(40), "{:?}", start.elapsed());
    // And it may go again.
    scene.api.uninstall("VirtualService");
    scene.api.end_watches(Cut::Cleanly);
    let gone = |cache: &Cache| {
        let snapshot = cache.snapshot(&at("reviews"))?;
        (!snapshot.mesh.installed && snapshot.virtual_services.is_empty()).then_some(())
    };
    scene.until("Istio is gone", gone).await;
}

#[tokio::test(start_paused = true)]
async fn a_forbidden_kind_is_told_in_the_servers_words_and_tried_again() {
    let scene = Scene::unready(
        |_| {},
        |api| {
            reviews(api);
            // From the first person on, rights count; nobody gave us any but these.
            api.add_person(Person { token: "t".into(), name: "amy".into(), ..Person::default() });
            api.grant(right(&["services", "namespaces"]));
        },
    )
    .await;
    scene.until("ready", |cache| cache.is_ready().then_some(())).await;
    let Health::Forbidden { message } = health(&scene.cache, "Pod") else {
        panic!("{:?}", scene.cache.health());
    };
    assert!(message.contains("cannot list resource \"pods\""), "{message}");
    assert_eq!(scene.snapshot("reviews").unwrap().versions.len(), 0);
    scene.api.grant(right(&["*"]));
    scene.until("pods are known", |cache| (health(cache, "Pod") == Health::Live).then_some(())).await;
    versions(&scene, 2).await;
}

fn right(resources: &[&str]) -> Right {
    let all = || vec!["*".to_owned()];
    Right {
        subject: "system:anonymous".into(),
        verbs: all(),
        groups: all(),
        resources: resources.iter().map(|resource| (*resource).to_owned()).collect(),
        ..Right::default()
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_ready_only_after_every_first_list() {
    let scene = Scene::unready(
        |_| {},
        |api| {
            reviews(api);
            let late = Trouble::Delay(Duration::from_secs(3));
            api.trouble(On::verb(Verb::List).of("pods"), late, Times::Next(1));
        },
    )
    .await;
    sleep(Duration::from_secs(2)).await;
    assert!(!scene.cache.is_ready());
    assert_eq!(health(&scene.cache, "Pod"), Health::Listing);
    assert_eq!(health(&scene.cache, "Service"), Health::Live);
    sleep(Duration::from_secs(2)).await;
    assert!(scene.cache.is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_few_namespaces_can_be_all_that_is_watched() {
    let elsewhere = |mut object: serde_json::Value| {
        object["metadata"]["namespace"] = json!("bank");
        object
    };
    let only_shop =
        |options: &mut sluice::cluster::Options| options.namespaces = Some(vec![Namespace::from("shop")]);
    let scene = Scene::with(only_shop, |api| {
        reviews(api);
        api.put(elsewhere(service("reviews"))).unwrap();
    })
    .await;
    assert_eq!(scene.cache.services().len(), 1);
    assert_eq!(scene.cache.namespaces().len(), 1);
    assert!(scene.api.log().iter().all(|line| line.path.contains("/namespaces/shop/")));
    assert_eq!(scene.fresh("reviews").await.unwrap().versions.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_long_list_comes_in_pages() {
    let small_pages = |options: &mut sluice::cluster::Options| options.limits.page = 7;
    let scene = Scene::with(small_pages, |api| {
        for n in 0..50 {
            api.put(service(&format!("service-{n:02}"))).unwrap();
        }
    })
    .await;
    assert_eq!(scene.cache.services().len(), 50);
    assert!(scene.api.log().iter().filter(|line| line.query.contains("continue=")).count() >= 7);
}
