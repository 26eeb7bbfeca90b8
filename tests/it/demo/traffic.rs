//! What the traffic counts, and that it obeys the objects.

use std::collections::BTreeMap;

use serde_json::json;
use sluice::clock::Clock;
use sluice::demo::Demo;
use sluice::demo::traffic::counters::{Counted, Counters, Who};
use sluice::domain::ids::Namespace;
use sluice::domain::observed::Sample;

use super::router::support::assert_share;

const NOW_S: i64 = 1_800_000_000;

/// A demo that saw `seconds` of traffic.
fn after(seconds: i64, seed: u64) -> (Demo, Clock) {
    let clock = Clock::manual(NOW_S * 1000);
    let (demo, _controller) = Demo::still(clock.clone(), seed);
    let mut generator = demo.generator(seed);
    let world = demo.world();
    for _ in 0..seconds {
        generator.second(&world, clock.now_ms() / 1000);
        clock.advance_ms(1_000);
    }
    clock.advance_ms(-1_000);
    (demo, clock)
}

fn of<'a>(samples: &'a [Sample], service: &str) -> BTreeMap<&'a str, &'a Sample> {
    samples.iter().filter(|s| &*s.service == service).map(|s| (&*s.workload, s)).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole counts")]
fn whole(count: f64) -> u32 {
    assert!(count.fract().abs() < f64::EPSILON && count >= 0.0);
    count as u32
}

#[test]
fn traffic_follows_the_objects_and_is_counted_by_version() {
    let (demo, _clock) = after(60, 1);
    let bookinfo = demo.counters.window(&Namespace::from("bookinfo"), 60);
    let pages: f64 = of(&bookinfo, "productpage").values().map(|s| s.requests).sum();
    assert!((1_000.0..1_500.0).contains(&pages), "about 20 a second: {pages}");
    assert_eq!(of(&bookinfo, "reviews").keys().collect::<Vec<_>>(), [&"reviews-v1"]);
    assert_eq!(of(&bookinfo, "details").keys().collect::<Vec<_>>(), [&"details-v1"], "v2 has no ready pod");
    assert!(of(&bookinfo, "ratings").is_empty(), "reviews v1 asks nobody");

    let shop = demo.counters.window(&Namespace::from("shop"), 60);
    let gift_cards = of(&shop, "gift-cards");
    let broken = gift_cards["unknown"];
    assert_eq!((&*broken.version, whole(broken.errors)), ("unknown", whole(broken.requests)));
    assert!(broken.requests < gift_cards["gift-cards-v1"].requests);
    assert_eq!(of(&shop, "search").len(), 2);
    assert_eq!(&*of(&shop, "search")["search-canary"].version, "latest");
    let checkout = of(&shop, "checkout");
    assert!(checkout["checkout-v2"].requests < checkout["checkout-v1"].requests);
    assert_eq!(of(&shop, "sessions").len(), 1);
    assert_eq!(of(&shop, "accounts").len(), 2, "through the delegate");
}

#[test]
fn a_change_of_weights_shows_within_the_window() {
    let (demo, clock) = after(30, 2);
    let mut object = demo.api.get("VirtualService", "bookinfo", "reviews").unwrap();
    for (at, weight) in [50, 0, 50].into_iter().enumerate() {
        object["spec"]["http"][0]["route"][at]["weight"] = json!(weight);
    }
    demo.api.put(object).unwrap();
    let mut generator = demo.generator(3);
    for _ in 0..60 {
        clock.advance_ms(1_000);
        generator.second(&demo.world(), clock.now_ms() / 1000);
    }
    let samples = demo.counters.window(&Namespace::from("bookinfo"), 60);
    let reviews = of(&samples, "reviews");
    let all = reviews["reviews-v1"].requests + reviews["reviews-v3"].requests;
    assert_share(whole(reviews["reviews-v3"].requests), whole(all), 0.5);
    assert!(!reviews.contains_key("reviews-v2"));
    let p95 = |workload: &str| of(&samples, "ratings")[workload].p95_ms.unwrap();
    assert!(p95("ratings-v2") > 2.0 * p95("ratings-v1"), "v2 is slower");
    assert_eq!(of(&samples, "mongodb").len(), 2, "ratings v2 asks its database");
}

#[test]
fn routes_are_counted_by_what_they_match() {
    let (demo, clock) = after(60, 4);
    let hits = demo.counters.hits(&Namespace::from("shop"), 60);
    let catalog: Vec<_> = hits.iter().filter(|hits| &*hits.object.name == "catalog").collect();
    let rule = catalog.iter().find(|hits| !hits.when.is_empty()).unwrap();
    assert!(rule.when[0].headers.contains_key("x-beta"));
    let rest = catalog.iter().find(|hits| hits.when.is_empty()).unwrap();
    assert!(rule.requests > 0.0 && rule.requests < rest.requests);
    let samples = demo.counters.window(&Namespace::from("shop"), 60);
    let requests: f64 = of(&samples, "catalog").values().map(|s| s.requests).sum();
    assert_eq!(whole(requests), whole(rule.requests + rest.requests));
    clock.advance_ms(61_000);
    let hits = demo.counters.hits(&Namespace::from("shop"), 60);
    assert!(hits.iter().all(|hits| hits.requests < 0.5));
}

#[test]
fn the_same_seed_makes_the_same_traffic() {
    let windows = |seed| after(10, seed).0.counters.window(&Namespace::from("bookinfo"), 60);
    assert_eq!(windows(5), windows(5));
    assert_ne!(windows(5), windows(6));
}

#[test]
fn copies_to_a_mirror_are_not_counted() {
    let clock = Clock::manual(NOW_S * 1000);
    let (demo, _controller) = Demo::still(clock, 1);
    let mut object = demo.api.get("VirtualService", "bookinfo", "reviews").unwrap();
    object["spec"]["http"][0]["mirror"] =
        json!({ "host": "reviews.bookinfo.svc.cluster.local", "subset": "v3" });
    demo.api.put(object).unwrap();
    let page = demo.product_page("");
    let reviews = page.hops.iter().find(|hop| &*hop.service == "reviews").unwrap();
    assert_eq!(reviews.copies.iter().map(|pod| &*pod.version).collect::<Vec<_>>(), ["v3"]);
    let samples = demo.counters.window(&Namespace::from("bookinfo"), 60);
    assert_eq!(of(&samples, "reviews").keys().collect::<Vec<_>>(), [&"reviews-v1"]);
}

fn who(service: &str) -> Who {
    Who { namespace: "ns".into(), service: service.into(), workload: "w".into(), version: "v".into() }
}

#[test]
fn a_window_holds_its_seconds_and_no_other_and_an_hour_is_kept() {
    let clock = Clock::manual(NOW_S * 1000);
    let counters = Counters::new(clock.clone());
    // Out of order, as when a past is added later.
    for ago_s in [0, 59, 60, 299, 300, 3_599, 3_600, 10] {
        counters.record(NOW_S - ago_s, who("a"), Counted { failed: ago_s == 10, ms: 5.0 });
    }
    let count = |window_s| {
        let samples = counters.window(&Namespace::from("ns"), window_s);
        samples.first().map_or((0, 0), |s| (whole(s.requests), whole(s.errors)))
    };
    assert_eq!([count(60), count(300), count(3_600)], [(3, 1), (5, 1), (7, 1)]);
    clock.advance_ms(60_000);
    assert_eq!([count(60), count(300)], [(0, 0), (4, 1)]);
    assert_eq!(counters.window(&Namespace::from("other"), 60), []);
}

#[test]
fn a_quantile_lies_in_its_bucket() {
    let counters = Counters::new(Clock::manual(NOW_S * 1000));
    for ms in 1..=100 {
        counters.record(NOW_S, who("a"), Counted { failed: false, ms: f64::from(ms) });
    }
    counters.record(NOW_S, who("slow"), Counted { failed: false, ms: 1e9 });
    let p95 = |service| {
        let samples = counters.window(&Namespace::from("ns"), 60);
        samples.iter().find(|s| &*s.service == service).unwrap().p95_ms.unwrap()
    };
    assert!((94.0..=96.0).contains(&p95("a")), "{}", p95("a"));
    assert!((p95("slow") - 5_000.0).abs() < 1.0, "beyond the last bucket: its end, as in Prometheus");
}

#[tokio::test(start_paused = true)]
async fn the_running_demo_has_a_past_keeps_going_and_ends() {
    let stop = tokio_util::sync::CancellationToken::new();
    let clock = Clock::manual(NOW_S * 1000);
    let demo = Demo::start(clock.clone(), &stop);
    let pages = || {
        let samples = demo.counters.window(&Namespace::from("bookinfo"), 300);
        of(&samples, "productpage").values().map(|s| s.requests).sum::<f64>()
    };
    let at_start = pages();
    assert!(at_start > 1_000.0, "the first page shows numbers at once");
    for _ in 0..30 {
        clock.advance_ms(1_000);
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    assert!(pages() > 4.0 * at_start, "{} after {at_start}", pages());
    demo.deploy_forecast_v2().unwrap();
    for _ in 0..5 {
        clock.advance_ms(1_000);
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    let status = demo.api.get("Deployment", "weather", "forecast-v2").unwrap()["status"].clone();
    assert_eq!(status["readyReplicas"], 1);
    stop.cancel();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let at_end = pages();
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    assert_eq!(whole(pages()), whole(at_end));
}
