//! A deletion that the cluster refuses: found by a dry run before anything is written, and said in full when it comes
//! after the routing all the same. A person and a release alike.

use serde_json::json;
use sluice::demo::api::{Cut, On, Times, Trouble, Verb};
use sluice::domain::audit::{Action, Ending, Written};
use sluice::domain::ids::VersionName;
use sluice::domain::refusal::{Code, Severity};
use sluice::domain::release::{Command, Phase, ReleaseId};
use sluice::services::Settings;
use sluice::services::ask::Wish;

use super::releases::wish;
use crate::support::house::{House, anna, at};

fn retire(version: &str) -> Wish {
    Wish::Retire(VersionName::from(version))
}

fn deletions() -> On {
    On::verb(Verb::Delete).of("deployments")
}

fn there(house: &House, name: &str) -> bool {
    house.api.get("Deployment", "bookinfo", name).is_some()
}

/// The routing objects with their versions in the cluster.
fn routing(house: &House) -> String {
    let get = |kind: &str| house.api.get(kind, "bookinfo", "reviews").unwrap();
    format!("{}{}", get("DestinationRule"), get("VirtualService"))
}

fn arg(refusal: &sluice::domain::refusal::Refusal, name: &str) -> String {
    let found = refusal.args.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}

async fn finished(house: &House) -> ReleaseId {
    let id = house.start(wish(|w| w["steps"] = json!([{"kind": "weight", "percent": 100}]))).await.id;
    house.until_final(id, Phase::Succeeded).await;
    id
}

#[tokio::test]
async fn a_deletion_that_would_be_refused_blocks_the_preview_and_nothing_is_written() {
    let house = House::alive(None, Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    let before = routing(&house);
    house.api.trouble(deletions(), Trouble::Forbid, Times::Always);
    let preview = house.services.preview(&anna(), &reviews, &retire("v3"), &[]).await.unwrap();
    let block = preview.checks.iter().find(|check| check.severity == Severity::Block).unwrap();
    assert_eq!(block.code, Code::ClusterForbids);
    assert!(preview.checks.iter().all(|check| check.code != Code::DryRunPassed), "{:?}", preview.checks);
    assert_eq!(preview.refusal.unwrap().code, Code::ClusterForbids);

    let refused = house.change(retire("v3"), &reviews, &[]).await.unwrap_err();
    assert_eq!((refused.refusal.code, refused.ending), (Code::ClusterForbids, Ending::Failed));
    assert!(there(&house, "reviews-v3"));
    assert_eq!(routing(&house), before, "nothing of it was written");
    let history = house.history(&reviews).await;
    assert_eq!(history.len(), 1, "one attempt, one row");
    let row = house.store.entry(history[0].id).await.unwrap().unwrap();
    assert_eq!(row.intent.details.workloads[0].written, Written::No);

    house.api.heal();
    house.change(retire("v3"), &reviews, &[]).await.unwrap();
    let tried = house
        .api
        .log()
        .into_iter()
        .filter(|line| line.method == "DELETE" && line.query.contains("dryRun=All"))
        .count();
    assert_eq!(tried, 3, "the preview, the attempt that was refused, and the one that was made");
    assert!(!there(&house, "reviews-v3"));
}

#[tokio::test]
async fn a_deletion_that_is_refused_after_the_routing_is_said_with_what_was_done_and_what_was_not() {
    let house = House::alive(None, Settings::default()).await;
    let reviews = at("bookinfo", "reviews");
    house.api.trouble(deletions().real_writes(), Trouble::Forbid, Times::Next(1));
    let broke = house.change(retire("v3"), &reviews, &[]).await.unwrap_err();
    assert_eq!((broke.refusal.code, broke.ending), (Code::PartlyRetired, Ending::Partial));
    assert_eq!(broke.refusal.code.as_str(), "partly_applied");
    let done = arg(&broke.refusal, "objects");
    assert!(done.contains("VirtualService") && done.contains("DestinationRule"), "{done}");
    assert_eq!(arg(&broke.refusal, "object"), "Deployment bookinfo/reviews-v3");
    assert_eq!(arg(&broke.refusal, "r"), "1");
    assert!(arg(&broke.refusal, "message").contains("forbidden"), "{:?}", broke.refusal);
    assert!(there(&house, "reviews-v3") && !routing(&house).contains("\"v3\""));

    let row = house.history(&reviews).await.into_iter().next().unwrap();
    assert_eq!((broke.entry, row.intent.action), (Some(row.id), Action::Workload));
    let row = house.store.entry(row.id).await.unwrap().unwrap();
    let outcome = row.outcome.unwrap();
    assert_eq!(outcome.ending, Ending::Partial);
    assert_eq!(outcome.details.refusal.unwrap().code, Code::PartlyRetired);

    let done = house.change(retire("v3"), &reviews, &[]).await.unwrap();
    assert_eq!((done.revision, done.deleted.len()), (1, 1), "the routing is as it was left");
    assert!(!there(&house, "reviews-v3"));
}

#[tokio::test]
async fn a_release_does_not_begin_a_retirement_that_the_cluster_refuses() {
    let house = House::alive(None, Settings::default()).await;
    let id = finished(&house).await;
    let before = routing(&house);
    house.api.trouble(deletions().dry_runs(), Trouble::Forbid, Times::Always);
    let refused = house.say(id, Command::Retire { confirm: "reviews v1".into() }).await.unwrap_err();
    assert_eq!(refused.code, Code::ClusterForbids);
    assert!(there(&house, "reviews-v1"));
    assert_eq!(routing(&house), before);
    house.api.heal();
    house.say(id, Command::Retire { confirm: "reviews v1".into() }).await.unwrap();
    house.until("it is gone", async |house| (!there(house, "reviews-v1")).then_some(())).await;
}

#[tokio::test]
async fn a_release_says_what_of_its_retirement_was_done() {
    let house = House::alive(None, Settings::default()).await;
    let id = finished(&house).await;
    house.api.trouble(deletions().real_writes(), Trouble::Forbid, Times::Always);
    house.say(id, Command::Retire { confirm: "reviews v1".into() }).await.unwrap();
    let needs = house
        .until("it says what is missing", async |house| {
            house.services.release(&anna(), id).await.unwrap().release.state.needs
        })
        .await;
    assert_eq!(needs.code, Code::PartlyRetired);
    assert_eq!(arg(&needs, "object"), "Deployment bookinfo/reviews-v1");
    let history = house.history(&at("bookinfo", "reviews")).await;
    let row = history.iter().find(|row| row.intent.action == Action::Workload).unwrap();
    assert_eq!(row.outcome.as_ref().unwrap().ending, Ending::Partial);
}

#[tokio::test]
async fn a_release_judges_its_retirement_on_what_the_cluster_says_then() {
    let house = House::alive(None, Settings::default()).await;
    let id = finished(&house).await;
    // The watch is behind: somebody gives the old version a share that only a fresh reading shows.
    house.api.trouble(On::verb(Verb::Watch), Trouble::Answer(503), Times::Always);
    house.api.end_watches(Cut::Cleanly);
    house.edit_outside("VirtualService", "bookinfo", "reviews", |object| {
        let route = json!([
            {"destination": {"host": "reviews", "subset": "v1"}, "weight": 40},
            {"destination": {"host": "reviews", "subset": "v9"}, "weight": 60},
        ]);
        object["spec"]["http"][0]["route"] = route;
    });
    let refused = house.say(id, Command::Retire { confirm: "reviews v1".into() }).await.unwrap_err();
    assert_eq!((refused.code, arg(&refused, "n").as_str()), (Code::StillServing, "40"));
    assert!(there(&house, "reviews-v1"));
}

/// A tenth of the requests goes to a subset of this name, defined with these labels, if with any: it reaches no pod.
fn broken(house: &House, subset: &str, version: &str, labels: Option<serde_json::Value>) {
    house.edit_outside("DestinationRule", "bookinfo", "reviews", |object| {
        let subsets = object["spec"]["subsets"].as_array_mut().unwrap();
        subsets.retain(|one| one["name"] != version);
        subsets.extend(labels.map(|labels| json!({"name": subset, "labels": labels})));
    });
    house.edit_outside("VirtualService", "bookinfo", "reviews", |object| {
        object["spec"]["http"][0]["route"] = json!([
            {"destination": {"host": "reviews", "subset": if version == "v1" { "v2" } else { "v1" }}, "weight": 90},
            {"destination": {"host": "reviews", "subset": subset}, "weight": 10},
        ]);
    });
}

#[tokio::test]
async fn a_version_stays_while_a_weight_names_its_broken_subset_until_another_version_takes_over() {
    let cut = json!({"version": "v3", "track": "nowhere"});
    for (subset, labels) in [("v3", None), ("v3", Some(json!({"version": "gone"}))), ("third", Some(cut))] {
        let house = House::alive(None, Settings::default()).await;
        let reviews = at("bookinfo", "reviews");
        broken(&house, subset, "v3", labels);
        let before = routing(&house);
        let refused = house.change(retire("v3"), &reviews, &[]).await.unwrap_err().refusal;
        assert_eq!((refused.code, arg(&refused, "n").as_str()), (Code::StillNamed, "10"), "{subset}");
        assert_eq!(arg(&refused, "subset"), subset);
        assert!(arg(&refused, "object").contains("bookinfo/reviews"), "{refused:?}");
        assert!(there(&house, "reviews-v3"), "{subset}");
        assert_eq!(routing(&house), before, "nothing is written");
        house.change(Wish::TakeOver(VersionName::from("v1")), &reviews, &["big_jump"]).await.unwrap();
        house.change(retire("v3"), &reviews, &[]).await.unwrap();
        assert!(!there(&house, "reviews-v3"), "{subset}");
        let route = house.api.get("VirtualService", "bookinfo", "reviews").unwrap();
        let entries = route["spec"]["http"][0]["route"].as_array().unwrap();
        let lost = entries.iter().filter(|entry| entry["destination"]["subset"] == subset);
        assert!(lost.clone().all(|entry| entry["weight"].as_i64().unwrap_or(0) == 0), "{}", route["spec"]);
        assert!(entries.len() > lost.count(), "{}", route["spec"]);
    }
}

#[tokio::test]
async fn a_release_keeps_a_version_while_a_weight_names_its_broken_subset() {
    let house = House::alive(None, Settings::default()).await;
    let id = finished(&house).await;
    broken(&house, "v1", "v1", None);
    let refused = house.say(id, Command::Retire { confirm: "reviews v1".into() }).await.unwrap_err();
    assert_eq!(refused.code, Code::StillNamed);
    assert!(there(&house, "reviews-v1"));
}
