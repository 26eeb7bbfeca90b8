//! Never a broken moment: random legal changes while requests keep coming, and the same edits in the wrong
//! order, which must be seen.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sluice::demo::random::Random;

use super::{bookinfo, subsets, to};
use crate::support::cluster::RealCluster;
use crate::support::mesh::{Ask, Change, Load, Town};
use crate::support::served::Served;
use crate::support::wait_for;

const CHANGES: usize = 100;

/// What the test has asked for, so that it knows who may answer.
#[derive(Clone, Default)]
struct Asked {
    weights: Vec<(&'static str, u8)>,
    /// Where requests with `x-user: amy` go.
    amy: Option<&'static str>,
}

impl Asked {
    /// Who may answer everybody, and who may answer amy.
    fn legal(&self) -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
        let weighted: BTreeSet<_> = self.weights.iter().filter(|(_, w)| *w > 0).map(|(v, _)| *v).collect();
        let amy = self.amy.map_or_else(|| weighted.clone(), |to| BTreeSet::from([to]));
        (weighted, amy)
    }
}

#[tokio::test]
async fn a_hundred_legal_changes_and_no_request_is_lost_or_goes_astray() {
    let Some(cluster) = RealCluster::with_mesh() else { return };
    // v3 has no subset yet: the first change that names it adds one, and going back may take it away.
    let (town, load) = bookinfo(cluster, "unbroken", &[("v1", 2), ("v2", 1)]).await;
    town.deploy("reviews", "v3", 1, 9080, json!({})).await;
    town.settled().await;
    let sluice = town.sluice().await;
    town.known(&sluice, "reviews", &[("v1", 2), ("v2", 1), ("v3", 1)]).await;
    let everybody = load.requests[0].clone();
    let amy = everybody.clone().header("x-user", "amy");
    let both = Load { requests: vec![everybody, amy], rate: 500.0, ..load.clone() };
    let steady = town.begin(&both).await;

    let mut random = Random::new(231);
    let mut now = Asked { weights: vec![("v1", 100)], amy: None };
    // What each revision asked for; 0 is what was there before Sluice.
    let mut revisions = vec![(0, now.clone())];
    for n in 0..CHANGES {
        let (what, then) = draw(&mut random, &now, &revisions);
        let (answer, _) = town.change(&sluice, "reviews", what).await;
        if answer.status == 422 && answer.code() == "nothing_asked" {
            continue;
        }
        assert_eq!(answer.status, 200, "change {n}: {:?}", answer.body);
        now = then;
        let revision = town.seen(&sluice, "reviews").await.body["revision"].as_u64().unwrap();
        revisions.push((revision, now.clone()));
        stays_legal(&town, &load, &now).await;
    }
    let all = steady.stop().await;
    all.assert_no_failure();
    assert!(all.sent > 2_000, "{}", all.sent);
}

/// The next change, and what holds after it.
fn draw(random: &mut Random, now: &Asked, revisions: &[(u64, Asked)]) -> (Change<'static>, Asked) {
    let versions = ["v1", "v2", "v3"];
    let any = |random: &mut Random| *random.choose(&versions).unwrap();
    match random.below(10) {
        0..=4 => {
            let first = u8::try_from(random.below(101)).unwrap();
            let second = u8::try_from(random.below(u64::from(101 - first))).unwrap();
            let weights = vec![("v1", first), ("v2", second), ("v3", 100 - first - second)];
            let body: serde_json::Map<String, Value> =
                weights.iter().map(|(v, w)| ((*v).to_owned(), json!(w))).collect();
            (Change::Traffic(json!({"weights": body})), Asked { weights, ..now.clone() })
        }
        5 => {
            // Rules that choose among the versions follow.
            let version = any(random);
            let then = Asked { weights: vec![(version, 100)], amy: now.amy.map(|_| version) };
            (Change::TakeOver(version), then)
        }
        6 => {
            let version = any(random);
            let when = json!([[{"in": "header", "name": "x-user", "op": "exact", "value": "amy"}]]);
            let body = json!({"rules": [{"name": "amy", "when": when, "to": {version: 100}}]});
            (Change::Traffic(body), Asked { amy: Some(version), ..now.clone() })
        }
        7 => (Change::Traffic(json!({"rules": []})), Asked { amy: None, ..now.clone() }),
        8 => {
            let percent = 1 + random.below(100);
            let mirror = json!({"version": any(random), "percent": percent});
            let body = if random.percent(30.0) { json!({"mirror": null}) } else { json!({"mirror": mirror}) };
            (Change::Traffic(body), now.clone())
        }
        _ => {
            let (revision, then) = random.choose(revisions).unwrap();
            (Change::SwitchBack(*revision), then.clone())
        }
    }
}

/// Once the proxy has the routes that were asked for, no request goes elsewhere any more.
async fn stays_legal(town: &Town<'_>, load: &Load, asked: &Asked) {
    let (everybody, amy) = asked.legal();
    let rule = asked.amy.is_some().then(|| amy.clone());
    let routes: Vec<_> = rule.into_iter().chain([everybody.clone()]).collect();
    town.until_routes_to(&load.from, "reviews.unbroken.svc.cluster.local", &routes).await;
    let amys = Load { requests: vec![load.requests[0].clone().header("x-user", "amy")], ..load.clone() };
    let legal = async |count: u32| {
        let only = async |load: &Load, allowed: &BTreeSet<&str>| {
            let got = town.load(&Load { count, ..load.clone() }).await;
            let good: u32 = allowed.iter().map(|version| got.of(version)).sum();
            (good == got.sent, got.answers)
        };
        let (first, answers) = only(load, &everybody).await;
        let (second, others) = only(&amys, &amy).await;
        (first && second, answers, others)
    };
    // Its threads take a new configuration one after the other.
    wait_for("every thread of the proxy has it", async || legal(50).await.0.then_some(())).await;
    let (good, answers, others) = legal(100).await;
    assert!(good, "may: {everybody:?} {amy:?}; did: {answers:?} {others:?}");
}

/// The edits of one real change, replayed the wrong way round with the same pause between them: the test
/// above would have seen it.
#[tokio::test]
async fn the_same_edits_in_the_wrong_order_lose_requests() {
    let Some(cluster) = RealCluster::with_mesh() else { return };
    let (town, load) = bookinfo(cluster, "reversed", &[("v1", 1), ("v2", 1)]).await;
    town.deploy("reviews", "v3", 1, 9080, json!({})).await;
    town.settled().await;
    let sluice = town.sluice().await;
    town.known(&sluice, "reviews", &[("v1", 1), ("v2", 1), ("v3", 1)]).await;
    let kinds = ["DestinationRule", "VirtualService"];
    let spec = async |kind: &str| town.get(kind, "reviews").await["spec"].clone();
    let before = [spec(kinds[0]).await, spec(kinds[1]).await];
    let body = json!({"weights": {"v1": 0, "v2": 0, "v3": 100}});
    town.changed(&sluice, "reviews", Change::Traffic(body)).await;
    town.until(&load, &["v3"]).await;
    let after = [spec(kinds[0]).await, spec(kinds[1]).await];
    assert!(before[0] != after[0] && before[1] != after[1], "both were written");
    town.merge(kinds[1], "reviews", json!({"spec": before[1]})).await;
    town.until(&load, &["v1"]).await;
    town.merge(kinds[0], "reviews", json!({"spec": before[0]})).await;
    town.until(&load, &["v1"]).await;

    let steady = town.begin(&Load { rate: 200.0, ..load.clone() }).await;
    town.merge(kinds[1], "reviews", json!({"spec": after[1]})).await;
    wait_for("requests are lost", async || {
        (town.load(&Load { count: 20, ..load.clone() }).await.answers.contains_key("503 NC")).then_some(())
    })
    .await;
    town.merge(kinds[0], "reviews", json!({"spec": after[0]})).await;
    town.until(&load, &["v3"]).await;
    let got = steady.stop().await;
    let lost = got.answers.get("503 NC").copied().unwrap_or_default();
    assert!(lost > 0, "the wrong order was not seen: {:?}", got.answers);
}

/// A service that was never declared is declared, shifted and mirrored while requests keep coming: creating
/// the objects loses none either.
#[tokio::test]
async fn objects_are_created_without_a_broken_moment() {
    let Some(cluster) = RealCluster::with_mesh() else { return };
    let town = Town::new(cluster, "created").await;
    town.app("client", 8080, &[("v1", 1)]).await;
    town.app("shop", 8080, &[("v1", 1), ("v2", 1)]).await;
    town.settled().await;
    let from = town.sidecar("client").await;
    let sluice = town.sluice().await;
    town.known(&sluice, "shop", &[("v1", 1), ("v2", 1)]).await;
    let ask = Ask::to("shop.created.svc.cluster.local:8080");
    let load = Load { from, port: 8080, requests: vec![ask], streams: 4, ..Load::default() };
    town.until(&load, &["v1", "v2"]).await;
    let steady = town.begin(&Load { rate: 300.0, ..load.clone() }).await;
    town.changed(&sluice, "shop", Change::Traffic(json!({"weights": {"v1": 100, "v2": 0}}))).await;
    town.until(&load, &["v1"]).await;
    let mirror = json!({"mirror": {"version": "v2", "percent": 50}});
    town.changed(&sluice, "shop", Change::Traffic(mirror)).await;
    copies(&town, &sluice, &load).await;
    steady.stop().await.assert_no_failure();
}

async fn copies(town: &Town<'_>, sluice: &Served, load: &Load) {
    let copied = async || {
        let tallies = town.tallies().await;
        let second = tallies.into_iter().find(|tally| tally.app == "shop" && tally.version == "v2").unwrap();
        second.requests
    };
    let start = copied().await;
    wait_for("copies arrive", async || (copied().await > start).then_some(())).await;
    let before = copied().await;
    let got = town.load(&Load { count: 2_000, ..load.clone() }).await;
    got.assert_no_failure();
    assert_eq!(got.of("v1"), 2_000);
    // v2 answered nobody and got half of them all the same.
    wait_for("copies of half of them are there", async || (copied().await - before > 900).then_some(()))
        .await;
    let seen = town.seen(sluice, "shop").await.body;
    assert_eq!(seen["mirror"]["percent"], json!(50.0), "{seen}");
}

/// Subsets that are not Sluice's survive whatever it does.
#[tokio::test]
async fn a_route_of_somebody_else_keeps_working() {
    let Some(cluster) = RealCluster::with_mesh() else { return };
    let (town, load) = bookinfo(cluster, "others", &[("v1", 1), ("v2", 1)]).await;
    town.app("ratings", 9080, &[("v1", 1), ("v2", 1)]).await;
    subsets(&town, "ratings", &["v1", "v2"]).await;
    let theirs = json!({"match": [{"uri": {"prefix": "/ratings"}}], "route": [to("ratings", "v2", 100)]});
    let mut http = town.get("VirtualService", "reviews").await["spec"]["http"].clone();
    http.as_array_mut().unwrap().insert(0, theirs);
    town.merge("VirtualService", "reviews", json!({"spec": {"http": http}})).await;
    town.settled().await;
    let sluice = town.sluice().await;
    town.known(&sluice, "reviews", &[("v1", 1), ("v2", 1)]).await;
    let ratings = Ask { path: "/ratings/1".to_owned(), ..load.requests[0].clone() };
    let other = Load { requests: vec![ratings], ..load.clone() };
    town.until(&other, &["v2"]).await;
    let steady = town.begin(&Load { rate: 100.0, ..other }).await;
    for weight in [30_u8, 0, 100] {
        let body = json!({"weights": {"v1": weight, "v2": 100 - weight}});
        town.changed(&sluice, "reviews", Change::Traffic(body)).await;
    }
    town.until(&load, &["v1"]).await;
    let got = steady.stop().await;
    assert_eq!(got.answers.get("200 ratings v2"), Some(&got.sent), "{:?}", got.answers);
}
