//! What Sluice says and writes, against what the demo's proxies do with it: two readings of the same objects
//! that share no line of code.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sluice::demo::api::ApiServer;
use sluice::demo::random::Random;
use sluice::demo::router::{Caller, End, Proxy, Request, Routed, connect, route};
use sluice::demo::world::World;
use sluice::domain::command::{MirrorWish, TrafficChange};
use sluice::domain::ids::ServiceRef;
use sluice::domain::overview::Overview;
use sluice::domain::routing::{Condition, Op, RouteKind, Rule, Subject, Weights};
use sluice::domain::service::Labels;
use sluice::domain::split::Split;
use sluice::services::ask::Wish;

use super::router::support::assert_share;
use crate::support::house::{House, anna, at, weights};

const N: u32 = 4_000;

/// Sends one request as its users do: in the mesh, or by the gateway that its object names.
fn send(world: &World, service: &ServiceRef, tcp: bool, user: &str, random: &mut Random) -> Routed {
    let client = Caller {
        namespace: service.namespace.as_str().into(),
        labels: Labels::from([("app".into(), "somebody".into())]),
        proxy: Proxy::Sidecar,
    };
    let port = world.services[service].ports[0].number;
    if tcp {
        return connect(world, &client, &service.name, port, random);
    }
    let headers = BTreeMap::from([("end-user".to_owned(), user.to_owned())]);
    let by_gateway = &*service.name == "accounts";
    let (from, authority, port, path) = if by_gateway {
        (Caller::outside("shop/shop-gateway"), "shop.example.com", 80, "/account/orders")
    } else {
        (client, &*service.name, port, "/")
    };
    let request = Request { authority, port, method: "GET", path, query: &[], headers: &headers };
    route(world, &from, &request, random)
}

/// Of `N` requests, how many reach each version (as Sluice names versions); the rest got no pod.
fn measure(api: &ApiServer, overview: &Overview, user: &str) -> BTreeMap<String, u32> {
    let world = World::read(api);
    let tcp = overview.routing.default_route().is_some_and(|route| route.kind == RouteKind::Tcp);
    let mut random = Random::new(11);
    let mut counts = BTreeMap::new();
    for _ in 0..N {
        let routed = send(&world, overview.at(), tcp, user, &mut random);
        let End::Pod(pod) = routed.end else { continue };
        let version = overview
            .snapshot
            .versions
            .iter()
            .find(|version| version.workloads.iter().any(|workload| workload.name == pod.workload));
        *counts.entry(version.unwrap().name.to_string()).or_default() += 1;
    }
    counts
}

fn assert_like(what: &str, counts: &BTreeMap<String, u32>, declared: &Weights) {
    for (version, percent) in declared {
        assert!(!counts.is_empty(), "{what}: nobody answered");
        assert_share(counts.get(version.as_str()).copied().unwrap_or(0), N, f64::from(*percent) / 100.0);
    }
}

async fn overview(house: &House, service: &ServiceRef) -> Overview {
    house.services.overview(&anna(), service, 60).await.unwrap()
}

#[tokio::test]
async fn what_sluice_declares_is_what_the_proxies_do() {
    let house = House::new().await;
    let mut compared = 0;
    for service in house.cache.services().iter() {
        let overview = overview(&house, service).await;
        let declared = match overview.routing.declared() {
            Some(declared) => declared,
            // Behind a gateway only, to no version: nothing to compare.
            None if overview.routing.default_route().is_some() => continue,
            None => {
                let ready: u32 = overview.snapshot.versions.iter().map(|version| version.ready).sum();
                let counts = measure(&house.api, &overview, "");
                for version in &overview.snapshot.versions {
                    let share = f64::from(version.ready) / f64::from(ready);
                    assert_share(counts.get(version.name.as_str()).copied().unwrap_or(0), N, share);
                }
                compared += 1;
                continue;
            }
        };
        assert_like(&service.to_string(), &measure(&house.api, &overview, ""), &declared);
        compared += 1;
    }
    assert!(compared >= 15, "{compared}");
}

/// Sends requests all the time while something is done; returns how many a proxy had to answer itself.
async fn meanwhile<T>(api: &ApiServer, service: &ServiceRef, act: impl Future<Output = T>) -> (T, u32, u32) {
    let (stop, api, service) = (Arc::new(AtomicBool::new(false)), api.clone(), service.clone());
    let ended = stop.clone();
    let sender = std::thread::spawn(move || {
        let (mut sent, mut failed) = (0, 0);
        let mut random = Random::new(1);
        while !ended.load(Ordering::Relaxed) {
            let world = World::read(&api);
            for _ in 0..20 {
                sent += 1;
                let routed = send(&world, &service, false, "", &mut random);
                failed += u32::from(!matches!(routed.end, End::Pod(_)));
            }
        }
        (sent, failed)
    });
    let done = act.await;
    stop.store(true, Ordering::Relaxed);
    let (sent, failed) = sender.join().unwrap();
    (done, sent, failed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_sluice_writes_is_what_the_proxies_do_and_no_request_fails_meanwhile() {
    let house = House::new().await;
    for (namespace, name, split) in [
        ("bookinfo", "reviews", vec![("v1", 30), ("v2", 70)]),
        ("bookinfo", "reviews", vec![("v3", 100)]),
        ("bookinfo", "ratings", vec![("v1", 50), ("v2", 50)]),
        ("shop", "catalog", vec![("v1", 60), ("v2", 40)]),
        ("shop", "cart", vec![("v1", 1), ("v2", 99)]),
        ("shop", "accounts", vec![("v1", 25), ("v2", 75)]),
        // Nothing exists yet: subset first, then the route.
        ("shop", "search", vec![("stable", 90), ("canary", 10)]),
        ("weather", "recommendation", vec![("v1", 100)]),
    ] {
        let service = at(namespace, name);
        let ack = [
            "big_jump",
            "gitops",
            "helm_managed",
            "few_pods",
            "no_metrics",
            "shared_delegate",
            "host_shared",
        ];
        let (changed, sent, failed) =
            Box::pin(meanwhile(&house.api, &service, house.change(weights(&split), &service, &ack))).await;
        changed.unwrap_or_else(|refused| panic!("{service}: {:?}", refused.refusal));
        assert_eq!(failed, 0, "{service}: {failed} of {sent} requests got no pod meanwhile");
        let overview = overview(&house, &service).await;
        let wanted: Weights = split.iter().map(|(v, w)| ((*v).into(), *w)).collect();
        assert_like(&service.to_string(), &measure(&house.api, &overview, ""), &wanted);
        assert_like(
            &service.to_string(),
            &measure(&house.api, &overview, ""),
            &overview.routing.declared().unwrap(),
        );
    }
}

#[tokio::test]
async fn a_rule_by_sluice_sends_gmail_to_v3_and_splits_everybody_else() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    let rule = Rule {
        id: None,
        name: None,
        when: vec![vec![Condition {
            on: Subject::Header("end-user".into()),
            op: Op::Regex,
            value: ".*@gmail\\.com".into(),
        }]],
        opaque: Vec::new(),
        to: vec![("v3".into(), 100)],
        action: None,
    };
    let change = TrafficChange {
        weights: Some(Split::new(vec![("v1".into(), 10), ("v2".into(), 90), ("v3".into(), 0)]).unwrap()),
        rules: Some(vec![rule]),
        mirror: Some(Some(MirrorWish { version: "v1".into(), percent: 50.0 })),
        ..TrafficChange::default()
    };
    house.change(Wish::Set(change), &reviews, &["big_jump", "few_pods", "no_metrics"]).await.unwrap();
    let overview = overview(&house, &reviews).await;
    let gmail = measure(&house.api, &overview, "amy@gmail.com");
    assert_eq!(gmail, BTreeMap::from([("v3".to_owned(), N)]));
    let others = measure(&house.api, &overview, "jason");
    assert_like("others", &others, &vec![("v1".into(), 10), ("v2".into(), 90), ("v3".into(), 0)]);
    let world = World::read(&house.api);
    let mut random = Random::new(2);
    let mut copies = 0;
    for _ in 0..N {
        copies += u32::try_from(send(&world, &reviews, false, "", &mut random).mirrors.len()).unwrap();
    }
    assert_share(copies, N, 0.5);
}
