//! Preview, apply, take over, switch back: what reaches the cluster, and what the history says of it.

use serde_json::json;
use sluice::demo::api::{On, Times, Trouble, Verb};
use sluice::domain::audit::{Action, Ending};
use sluice::domain::ids::VersionName;
use sluice::domain::overview::Sign;
use sluice::domain::refusal::{Code, Severity};
use sluice::services::ask::Wish;

use crate::support::house::{House, anna, at, weights};

fn pairs(of: &[(&str, i64)]) -> Vec<(String, i64)> {
    of.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect()
}

#[tokio::test]
async fn a_split_is_written_recorded_and_counted() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    let wish = weights(&[("v1", 30), ("v2", 70)]);
    let applied = house.change_on(wish, &reviews, &["big_jump"], Some(0)).await.unwrap();
    assert_eq!(applied.revision, 1);
    assert_eq!(house.written("bookinfo", "reviews", 0), pairs(&[("v1", 30), ("v2", 70), ("v3", 0)]));
    let history = house.history(&reviews).await;
    assert_eq!(history.len(), 1, "one entry an attempt");
    let entry = &history[0];
    let outcome = entry.outcome.as_ref().unwrap();
    assert_eq!((outcome.ending, outcome.revision), (Ending::Applied, Some(1)));
    assert_eq!((entry.intent.action, entry.intent.reason.as_str()), (Action::SetTraffic, "REV-231"));
    assert_eq!(entry.intent.actor, "anna");
    assert_eq!(house.services.overview(&anna(), &reviews, 60).await.unwrap().revision, 1);
}

#[tokio::test]
async fn a_big_jump_wants_to_be_acknowledged_and_the_refusal_is_recorded() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    let refused = house.change(weights(&[("v1", 30), ("v2", 70)]), &reviews, &[]).await.unwrap_err();
    assert_eq!(refused.refusal.code, Code::BigJump);
    assert_eq!(house.written("bookinfo", "reviews", 0), pairs(&[("v1", 100), ("v2", 0), ("v3", 0)]));
    let history = house.history(&reviews).await;
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].outcome.as_ref().unwrap().ending, Ending::Refused);
    assert_eq!(refused.entry, Some(history[0].id));
}

#[tokio::test]
async fn nobody_sends_traffic_to_pods_that_are_not_ready() {
    let house = House::new().await;
    let details = at("bookinfo", "details");
    for wish in [weights(&[("v1", 90), ("v2", 10)]), Wish::TakeOver(VersionName::from("v2"))] {
        let refused = house.change(wish, &details, &["big_jump"]).await.unwrap_err();
        assert_eq!(refused.refusal.code, Code::NoReadyPods);
    }
    assert_eq!(house.api.count("POST", "virtualservices"), 0, "nothing was sent");
}

#[tokio::test]
async fn take_over_and_switch_back_lead_where_they_say() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    house.change(weights(&[("v1", 80), ("v2", 20)]), &reviews, &[]).await.unwrap();
    let taken = house.change(Wish::TakeOver(VersionName::from("v3")), &reviews, &["big_jump"]).await.unwrap();
    assert_eq!(house.written("bookinfo", "reviews", 0), pairs(&[("v1", 0), ("v2", 0), ("v3", 100)]));
    assert_eq!(taken.back, Some(1));
    let back = house.change(Wish::SwitchBack(1), &reviews, &[]).await.unwrap();
    assert_eq!(back.revision, 3, "going back is a new revision");
    assert_eq!(house.written("bookinfo", "reviews", 0), pairs(&[("v1", 80), ("v2", 20), ("v3", 0)]));
    house.change(Wish::SwitchBack(0), &reviews, &[]).await.unwrap();
    assert_eq!(house.written("bookinfo", "reviews", 0), pairs(&[("v1", 100), ("v2", 0), ("v3", 0)]));
    let unknown = house.change(Wish::SwitchBack(99), &reviews, &[]).await.unwrap_err();
    assert_eq!(unknown.refusal.code, Code::UnknownRevision);
}

#[tokio::test]
async fn a_preview_writes_nothing_and_says_what_would_change() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    let wish = weights(&[("v1", 90), ("v2", 10)]);
    let preview = house.services.preview(&anna(), &reviews, &wish, &[]).await.unwrap();
    assert_eq!(preview.planned.effect.moved(), 10);
    assert!(preview.refusal.is_none(), "{:?}", preview.refusal);
    assert!(preview.checks.iter().any(|check| check.code == Code::DryRunPassed));
    let lines: Vec<_> = preview.diffs[0].1.iter().filter(|line| line.sign != Sign::Same).collect();
    assert!(lines.iter().any(|line| line.text.trim() == "weight: 90"), "{lines:?}");
    assert_eq!(house.written("bookinfo", "reviews", 0), pairs(&[("v1", 100), ("v2", 0), ("v3", 0)]));
    assert!(house.history(&reviews).await.is_empty());
    // What was previewed is what is applied, or nothing is.
    assert_eq!(preview.preview_id, wish.preview_id(&reviews, 0));
    assert_ne!(preview.preview_id, weights(&[("v1", 91), ("v2", 9)]).preview_id(&reviews, 0));
}

#[tokio::test]
async fn an_older_revision_is_refused_with_both_states() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    house.change(weights(&[("v1", 90), ("v2", 10)]), &reviews, &[]).await.unwrap();
    let late = house.change_on(weights(&[("v1", 80), ("v2", 20)]), &reviews, &[], Some(0)).await.unwrap_err();
    assert_eq!(late.refusal.code, Code::StaleRevision);
    let stale = late.stale.unwrap();
    let of = |weights: &Option<Vec<(VersionName, u8)>>, version: &str| {
        weights.as_ref().unwrap().iter().find(|(name, _)| name.as_str() == version).unwrap().1
    };
    assert_eq!((stale.saw.0, of(&stale.saw.1, "v1")), (0, 100));
    assert_eq!((stale.now.0, of(&stale.now.1, "v1")), (1, 90));
    assert_eq!(of(&stale.yours, "v1"), 80);
    assert_eq!(stale.by.unwrap().by, "anna");
    assert_eq!(house.written("bookinfo", "reviews", 0)[0].1, 90);
}

/// Writes to routing objects so far, with and without storing: (dry runs, real ones).
fn routing_writes(house: &House) -> (usize, usize) {
    let log = house.api.log();
    let writes = log.iter().filter(|line| line.path.contains("networking.istio.io") && line.method != "GET");
    let (tried, real): (Vec<_>, Vec<_>) = writes.partition(|line| line.query.contains("dryRun"));
    (tried.len(), real.len())
}

#[tokio::test]
async fn one_object_is_written_at_once_and_several_are_tried_first() {
    let house = House::new().await;
    house.change(weights(&[("v1", 90), ("v2", 10)]), &at("bookinfo", "reviews"), &[]).await.unwrap();
    assert_eq!(routing_writes(&house), (0, 1), "its write is refused as its dry run would be");
    house.change(weights(&[("v1", 100)]), &at("weather", "recommendation"), &["big_jump"]).await.unwrap();
    assert_eq!(routing_writes(&house), (2, 3));
}

#[tokio::test]
async fn one_object_that_the_cluster_refuses_is_a_refusal_with_nothing_written() {
    let house = House::new().await;
    let write = On::verb(Verb::Update).of("virtualservices").real_writes();
    house.api.trouble(write, Trouble::Answer(422), Times::Next(1));
    let reviews = at("bookinfo", "reviews");
    let no = house.change(weights(&[("v1", 90), ("v2", 10)]), &reviews, &[]).await.unwrap_err();
    assert_eq!((no.refusal.code, no.ending), (Code::ClusterRefused, Ending::Refused));
    assert_eq!(house.written("bookinfo", "reviews", 0)[0].1, 100);
    let history = house.history(&reviews).await;
    assert_eq!(history.len(), 1);
    let outcome = history[0].outcome.as_ref().unwrap();
    assert_eq!((outcome.ending, outcome.revision), (Ending::Refused, None));
}

/// A policy or a webhook that changes what is stored: an answer, a history or a release that says what was sent lies.
#[tokio::test]
async fn what_admission_changes_while_it_is_stored_is_not_called_applied() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    let to = |subset, weight| json!({"destination": {"host": "reviews", "subset": subset}, "weight": weight});
    let spec = json!({"spec": {"http": [{"route": [to("v1", 50), to("v2", 50)]}]}});
    let write = || On::verb(Verb::Update).of("virtualservices").real_writes();
    house.api.trouble(write(), Trouble::Rewrite(spec), Times::Next(1));
    let no = house.change(weights(&[("v1", 90), ("v2", 10)]), &reviews, &[]).await.unwrap_err();
    assert_eq!((no.refusal.code, no.ending), (Code::StoredOtherwise, Ending::Partial));
    assert_eq!(house.written("bookinfo", "reviews", 0)[0].1, 50);
    let history = house.history(&reviews).await;
    let outcome = history[0].outcome.as_ref().unwrap();
    assert_eq!((history.len(), outcome.ending, outcome.revision), (1, Ending::Partial, Some(1)));

    // What decides nothing about traffic may be added.
    let spec = json!({"spec": {"http": [{"timeout": "5s", "route": [to("v1", 90), to("v2", 10)]}]}});
    house.api.trouble(write(), Trouble::Rewrite(spec), Times::Next(1));
    let ack = ["big_jump", "few_pods"];
    house.change(weights(&[("v1", 90), ("v2", 10)]), &reviews, &ack).await.unwrap();
}

#[tokio::test]
async fn what_does_not_exist_is_created_subsets_first() {
    let house = House::new().await;
    let recommendation = at("weather", "recommendation");
    house.change(weights(&[("v1", 100)]), &recommendation, &["big_jump"]).await.unwrap();
    let writes: Vec<String> = house
        .api
        .log()
        .into_iter()
        .filter(|line| line.method == "POST" && !line.query.contains("dryRun"))
        .filter(|line| line.path.contains("networking.istio.io"))
        .map(|line| line.path)
        .collect();
    assert_eq!(writes.len(), 2, "{writes:?}");
    assert!(writes[0].ends_with("destinationrules") && writes[1].ends_with("virtualservices"), "{writes:?}");
    // Back to the time before: spread by pods again, and nothing is left that names a missing subset.
    house.change(Wish::SwitchBack(0), &recommendation, &[]).await.unwrap();
    let overview = house.services.overview(&anna(), &recommendation, 60).await.unwrap();
    assert!(overview.routing.declared().is_none());
}

#[tokio::test]
async fn gitops_wants_to_be_acknowledged_and_rollouts_is_refused() {
    let house = House::new().await;
    let cart = at("shop", "cart");
    let refused = house.change(weights(&[("v1", 90), ("v2", 10)]), &cart, &[]).await.unwrap_err();
    assert_eq!(refused.refusal.code, Code::GitOps);
    house.change(weights(&[("v1", 90), ("v2", 10)]), &cart, &["gitops"]).await.unwrap();
    let checkout = at("shop", "checkout");
    let preview = house.services.preview(&anna(), &checkout, &Wish::TakeOver("v1".into()), &[]).await;
    let checks = preview.map_or_else(|refused| refused.refusal.checks, |preview| preview.checks);
    let owned = checks.iter().find(|check| check.code == Code::OwnedByController);
    assert_eq!(owned.map(|check| check.severity), Some(Severity::Block));
}

#[tokio::test]
async fn changing_nothing_is_refused_without_a_trace() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    let refused = house.change(weights(&[("v1", 100)]), &reviews, &[]).await.unwrap_err();
    assert_eq!(refused.refusal.code, Code::NothingAsked);
    assert!(house.history(&reviews).await.is_empty());
}

#[tokio::test]
async fn fifty_changes_at_once_leave_a_gapless_history() {
    let house = House::new().await;
    let reviews = at("bookinfo", "reviews");
    let tries = (0..50u8).map(|n| {
        let wish = weights(&[("v1", 99 - n % 20), ("v2", 1 + n % 20)]);
        house.change(wish, &reviews, &[])
    });
    let done = futures::future::join_all(tries).await;
    let applied = done.iter().filter(|result| result.is_ok()).count() as u64;
    assert!(applied > 0);
    let revisions: Vec<u64> =
        house.history(&reviews).await.iter().filter_map(|e| e.outcome.as_ref()?.revision).collect();
    assert_eq!(revisions, (1..=applied).rev().collect::<Vec<_>>());
}
