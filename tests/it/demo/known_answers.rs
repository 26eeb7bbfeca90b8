//! Known answers of the product, in the demo: objects are written to the API, requests are counted.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sluice::clock::Clock;
use sluice::demo::Demo;
use sluice::demo::controller::{Controller, STARTUP_MS, Start};
use sluice::demo::pages::{Stars, Tally};

use super::router::support::assert_share;

const N: u32 = 10_000;

struct Scene {
    demo: Demo,
    controller: Controller,
    clock: Clock,
}

fn scene() -> Scene {
    let clock = Clock::manual(1_800_000_000_000);
    let (demo, controller) = Demo::still(clock.clone(), 20);
    Scene { demo, controller, clock }
}

impl Scene {
    fn edit(&self, kind: &str, namespace: &str, name: &str, edit: impl FnOnce(&mut Value)) {
        let mut object = self.demo.api.get(kind, namespace, name).unwrap();
        edit(&mut object);
        self.demo.api.put(object).unwrap();
    }

    /// The http routes of a VirtualService.
    fn http(&self, namespace: &str, name: &str, http: Value) {
        self.edit("VirtualService", namespace, name, |object| object["spec"]["http"] = http);
    }

    /// Lets deployments come up.
    fn settle(&mut self) {
        self.controller.reconcile(Start::Takes);
        self.clock.advance_ms(STARTUP_MS);
        self.controller.reconcile(Start::Takes);
    }

    /// Versions of `reviews` by share of `n` views of the page.
    fn reviews(&self, user: &str, n: u32) -> BTreeMap<String, u32> {
        let mut seen = BTreeMap::new();
        for _ in 0..n {
            let page = self.demo.product_page(user);
            let hop = page.hops.iter().find(|hop| &*hop.service == "reviews");
            if let Some(version) = hop.and_then(|hop| hop.version()) {
                *seen.entry(version.to_owned()).or_default() += 1;
            }
        }
        seen
    }
}

fn to(host: &str, subset: &str, weight: u8) -> Value {
    json!({ "destination": { "host": host, "subset": subset }, "weight": weight })
}

fn all(seen: &BTreeMap<String, u32>) -> u32 {
    seen.values().sum()
}

#[test]
fn thirty_seventy_is_three_to_seven_and_v3_never_and_four_replicas_change_nothing() {
    let mut scene = scene();
    let route = json!([to("reviews", "v1", 30), to("reviews", "v2", 70), to("reviews", "v3", 0)]);
    scene.http("bookinfo", "reviews", json!([{ "route": route }]));
    for replicas in [1, 4] {
        scene.edit("Deployment", "bookinfo", "reviews-v1", |d| d["spec"]["replicas"] = replicas.into());
        scene.settle();
        let seen = scene.reviews("", N);
        assert!(all(&seen) > N - 50, "{seen:?}");
        assert_share(seen["v1"], all(&seen), 0.3);
        assert_share(seen["v2"], all(&seen), 0.7);
        assert_eq!(seen.get("v3"), None);
    }
}

#[test]
fn users_of_gmail_get_v3_always_and_everybody_else_is_split() {
    let scene = scene();
    let gmail = json!([{ "headers": { "end-user": { "regex": ".*@gmail\\.com" } } }]);
    scene.http(
        "bookinfo",
        "reviews",
        json!([
            { "name": "gmail", "match": gmail, "route": [to("reviews", "v3", 100)] },
            { "route": [to("reviews", "v1", 10), to("reviews", "v2", 90)] },
        ]),
    );
    let seen = scene.reviews("amy@gmail.com", 500);
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["v3"]);
    for user in ["", "jason", "amy@gmail.com.cn"] {
        let seen = scene.reviews(user, N / 2);
        assert_share(seen["v1"], all(&seen), 0.1);
        assert_eq!(seen.get("v3"), None);
    }
}

#[test]
fn the_weather_moves_to_v2_and_v1_is_retired_without_one_failed_request() {
    let mut scene = scene();
    let tally = |scene: &Scene, n| scene.demo.weather_tally("", n);
    let only = |version: &str, tally: &Tally| tally.answered.iter().all(|(v, _)| &**v == version);
    assert!(only("v1", &tally(&scene, 1_000)));

    scene.demo.deploy_forecast_v2().unwrap();
    scene.settle();
    assert!(scene.demo.has_forecast_v2());
    assert!(only("v1", &tally(&scene, 1_000)), "no request reaches v2");

    scene.edit("DestinationRule", "weather", "forecast-dest", |rule| {
        rule["spec"]["subsets"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "name": "v2", "labels": { "version": "v2" } }));
    });
    let split = |v1, v2| json!([{ "route": [to("forecast", "v1", v1), to("forecast", "v2", v2)] }]);
    scene.http("weather", "forecast-route", split(50, 50));
    let half = tally(&scene, N);
    let answered: u32 = half.answered.iter().map(|(_, n)| n).sum();
    assert_share(half.answered[1].1, answered, 0.5);

    scene.http("weather", "forecast-route", split(0, 100));
    assert!(only("v2", &tally(&scene, 1_000)));

    // Retiring: route first, then the subset, then the workload; nobody is sent into the void meanwhile.
    let steps: [&dyn Fn(&Scene); 3] = [
        &|scene| scene.http("weather", "forecast-route", json!([{ "route": [to("forecast", "v2", 100)] }])),
        &|scene| {
            scene.edit("DestinationRule", "weather", "forecast-dest", |rule| {
                rule["spec"]["subsets"].as_array_mut().unwrap().remove(0);
            });
        },
        &|scene| scene.demo.api.delete("Deployment", "weather", "forecast-v1").unwrap(),
    ];
    for step in steps {
        step(&scene);
        scene.settle();
        let pages: Vec<_> = (0..1_000).map(|_| scene.demo.weather("")).collect();
        let by_proxy = pages.iter().flat_map(|page| &page.hops).filter(|hop| hop.by.is_none()).count();
        assert_eq!(by_proxy, 0, "no proxy had to answer itself");
        let recommended = pages.iter().filter_map(|page| page.body.as_ref()?.forecast.as_ref());
        assert!(recommended.filter(|forecast| forecast.recommendation).count() > 980);
    }
}

#[test]
fn each_version_of_reviews_shows_its_stars() {
    let scene = scene();
    for (version, stars) in [("v1", Stars::None), ("v2", Stars::Black), ("v3", Stars::Red)] {
        scene.http("bookinfo", "reviews", json!([{ "route": [to("reviews", version, 100)] }]));
        let seen: Vec<Stars> =
            (0..200).filter_map(|_| Some(scene.demo.product_page("").body?.reviews?.stars)).collect();
        assert!(seen.iter().filter(|seen| **seen == stars).count() > 190, "{version}: {seen:?}");
    }
    scene.http("bookinfo", "ratings", json!([{ "route": [to("ratings", "nothing", 100)] }]));
    let page = scene.demo.product_page("").body.unwrap();
    assert_eq!(page.reviews.unwrap().stars, Stars::Missing);
    scene.http("bookinfo", "reviews", json!([{ "route": [to("reviews", "nothing", 100)] }]));
    assert_eq!(scene.demo.product_page("").body.unwrap().reviews, None);
    scene.demo.api.delete("VirtualService", "bookinfo", "bookinfo").unwrap();
    let page = scene.demo.product_page("");
    assert_eq!((page.body, page.hops[0].status), (None, 404));
}

#[test]
fn a_visitor_signs_in_by_name_and_odd_names_are_guests() {
    let scene = scene();
    let jason = json!([{ "headers": { "cookie": { "regex": "^(.*?;)?\\s*user=jason(;.*)?$" } } }]);
    scene.http(
        "bookinfo",
        "reviews",
        json!([
            { "match": jason, "route": [to("reviews", "v2", 100)] },
            { "match": [{ "headers": { "end-user": {} } }], "route": [to("reviews", "v3", 100)] },
            { "route": [to("reviews", "v1", 100)] },
        ]),
    );
    let long = "x".repeat(101);
    for (user, version) in [
        ("jason", "v2"),
        ("amy@gmail.com", "v3"),
        ("", "v1"),
        ("a b", "v1"),
        ("x\r\nend-user: jason", "v1"),
        ("x;user=jason", "v1"),
        (long.as_str(), "v1"),
    ] {
        assert_eq!(scene.demo.product_page_tally(user, 50).answered[0].0.as_ref(), version, "{user:?}");
    }
}
