//! Writing: in order, once, at the version that was read; and the answer when the object moved.

use std::time::Duration;

use serde_json::json;
use sluice::cluster::{ApplyError, Fate};
use sluice::demo::api::{Cut, On, Times, Trouble, Verb};
use sluice::domain::audit::{Ending, Written};
use sluice::domain::ids::{Kind, ObjectRef};
use sluice::domain::plan::{Edit, Plan};
use sluice::domain::refusal::Code;
use sluice::domain::snapshot::Snapshot;
use tokio::time::Instant;

use super::scene::{
    Scene, destination_rule, edit, reviews, shift, split, stages_scene, subsets, three_stages,
    virtual_service,
};

#[tokio::test(start_paused = true)]
async fn a_plan_is_written_once_with_the_change_on_the_object() {
    let scene = Scene::on(reviews).await;
    let snapshot = scene.fresh("reviews").await.unwrap();
    let plan = shift(&snapshot, [30, 70]);
    assert_eq!(scene.cluster.dry_run(&plan).await, Ok(vec![]));
    assert_eq!(scene.weights(), [70, 30]);
    let applied = scene.cluster.apply(&plan, "change-1", &scene.cache).await;
    assert_eq!((applied.ending, &applied.error, applied.refusal()), (Ending::Applied, &None, None));
    assert_eq!(scene.weights(), [30, 70]);
    let object = scene.api.get("VirtualService", "shop", "reviews").unwrap();
    assert_eq!(object["metadata"]["annotations"]["sluice.io/change"], "change-1");
    let record = &applied.records[0];
    assert_eq!(record.written, Written::Yes);
    assert_eq!(record.resource_version_after.as_deref(), object["metadata"]["resourceVersion"].as_str());
    assert_eq!(record.before.as_ref().unwrap(), &split("reviews", [70, 30]));
    assert_eq!(scene.api.count("PUT", "virtualservices"), 2);
    let puts = scene.api.log().into_iter().filter(|line| line.method == "PUT");
    assert!(puts.into_iter().all(|line| {
        line.query.contains("fieldManager=sluice") && line.query.contains("fieldValidation=Strict")
    }));
    assert_eq!(scene.cluster.fate_of("change-1", &applied.records).await[0].1, Fate::Carries);
    assert!(matches!(scene.cluster.fate_of("change-2", &applied.records).await[0].1, Fate::Other { .. }));
}

#[tokio::test(start_paused = true)]
async fn stages_are_written_in_order_and_only_after_the_one_before_was_heard_of() {
    let scene = stages_scene().await;
    let plan = three_stages(&scene.fresh("reviews").await.unwrap());
    let start = Instant::now();
    let applied = scene.cluster.apply(&plan, "change-1", &scene.cache).await;
    assert_eq!(applied.ending, Ending::Applied);
    // Two barriers, each with its grace.
    assert!((600..2_000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    let written: Vec<String> = scene
        .api
        .log()
        .into_iter()
        .filter(|line| line.method == "PUT")
        .map(|line| line.path.rsplit('/').take(2).collect::<Vec<_>>().join(" of "))
        .collect();
    assert_eq!(
        written,
        ["reviews of destinationrules", "reviews of virtualservices", "reviews-old of destinationrules"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_barrier_waits_for_our_own_watch_but_not_for_ever() {
    let scene = stages_scene().await;
    let plan = three_stages(&scene.fresh("reviews").await.unwrap());
    scene.api.trouble(On::verb(Verb::Watch), Trouble::Drop, Times::Always);
    scene.api.trouble(On::verb(Verb::List), Trouble::Drop, Times::Always);
    scene.api.end_watches(Cut::Broken);
    let start = Instant::now();
    let applied = scene.cluster.apply(&plan, "change-1", &scene.cache).await;
    assert_eq!(applied.ending, Ending::Applied);
    assert!((6_000..12_000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn one_stage_needs_no_barrier() {
    let scene = Scene::on(reviews).await;
    let plan = shift(&scene.fresh("reviews").await.unwrap(), [30, 70]);
    let start = Instant::now();
    scene.cluster.apply(&plan, "change-1", &scene.cache).await;
    assert!(start.elapsed() < Duration::from_millis(50), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn objects_are_created_where_there_were_none() {
    let scene = Scene::on(|api| {
        reviews(api);
        api.delete("VirtualService", "shop", "reviews").unwrap();
        api.delete("DestinationRule", "shop", "reviews").unwrap();
    })
    .await;
    let create = |kind, after| Edit {
        object: ObjectRef::new(kind, "shop", "reviews"),
        before: None,
        after: Some(after),
    };
    let plan = Plan::new(
        vec![create(Kind::DestinationRule, destination_rule("reviews", subsets("reviews", &["v1", "v2"])))],
        vec![create(Kind::VirtualService, virtual_service("reviews", split("reviews", [90, 10])))],
        vec![],
    );
    assert_eq!(scene.cluster.dry_run(&plan).await, Ok(vec![]));
    let applied = scene.cluster.apply(&plan, "change-1", &scene.cache).await;
    assert_eq!((applied.ending, scene.weights()), (Ending::Applied, vec![90, 10]));
    assert_eq!(applied.records[0].before, None);
    // Again: somebody (we) was faster.
    let again = scene.cluster.apply(&plan, "change-2", &scene.cache).await;
    assert_eq!((again.ending, again.refusal().unwrap().code), (Ending::Failed, Code::Conflict));
}

/// The edit that deletes an object that a fresh snapshot holds.
fn deletion(snapshot: &Snapshot, kind: Kind) -> Edit {
    let mut edit = edit(snapshot, kind, "reviews", |_| {});
    edit.after = None;
    edit
}

#[tokio::test(start_paused = true)]
async fn objects_are_deleted_as_they_were_read_and_the_watch_has_told_of_it() {
    let scene = Scene::on(reviews).await;
    let snapshot = scene.fresh("reviews").await.unwrap();
    let (route, rule) =
        (deletion(&snapshot, Kind::VirtualService), deletion(&snapshot, Kind::DestinationRule));
    let plan = Plan::new(vec![rule], vec![route], vec![]);
    assert!(scene.cluster.may_delete(&plan).await);
    assert_eq!(scene.cluster.dry_run(&plan).await, Ok(vec![]));
    assert!(scene.api.get("VirtualService", "shop", "reviews").is_some(), "a dry run stores nothing");
    let applied = scene.cluster.apply(&plan, "change-1", &scene.cache).await;
    assert_eq!(applied.ending, Ending::Applied, "{:?}", applied.error);
    let order: Vec<String> = applied.records.iter().map(|record| record.object.to_string()).collect();
    assert_eq!(order, ["VirtualService shop/reviews", "DestinationRule shop/reviews"]);
    assert!(applied.records.iter().all(|record| record.after.is_none() && record.before.is_some()));
    let now = scene.snapshot("reviews").unwrap();
    assert!(now.virtual_services.is_empty() && now.destination_rules.is_empty());
    let fates = scene.cluster.fate_of("change-1", &applied.records).await;
    assert!(fates.iter().all(|(_, fate)| *fate == Fate::Carries), "{fates:?}");
    // Gone already: nothing is left to do.
    assert_eq!(scene.cluster.apply(&plan, "change-2", &scene.cache).await.ending, Ending::Applied);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_somebody_edited_meanwhile_is_not_deleted() {
    let scene = Scene::on(reviews).await;
    let route = deletion(&scene.fresh("reviews").await.unwrap(), Kind::VirtualService);
    let plan = Plan::new(vec![], vec![route], vec![]);
    // A status is nobody's edit.
    let mut object = scene.api.get("VirtualService", "shop", "reviews").unwrap();
    object["status"] = json!({"observedGeneration": 1});
    scene.api.put_as(object, "pilot-discovery").unwrap();
    assert_eq!(scene.cluster.dry_run(&plan).await, Ok(vec![]));
    scene.api.put_as(virtual_service("reviews", split("reviews", [50, 50])), "kubectl-edit").unwrap();
    let applied = scene.cluster.apply(&plan, "change-1", &scene.cache).await;
    assert_eq!((applied.ending, scene.weights()), (Ending::Failed, vec![50, 50]));
    assert!(matches!(applied.error, Some(ApplyError::Conflict { .. })), "{:?}", applied.error);
}

#[tokio::test(start_paused = true)]
async fn what_was_deleted_comes_back_when_a_later_edit_fails() {
    let scene = Scene::on(reviews).await;
    let snapshot = scene.fresh("reviews").await.unwrap();
    let (route, rule) =
        (deletion(&snapshot, Kind::VirtualService), deletion(&snapshot, Kind::DestinationRule));
    let plan = Plan::new(vec![rule], vec![route], vec![]);
    scene.api.put_as(destination_rule("reviews", subsets("reviews", &["v1"])), "kubectl-edit").unwrap();
    let applied = scene.cluster.apply(&plan, "change-1", &scene.cache).await;
    assert_eq!((applied.ending, scene.weights()), (Ending::Failed, vec![70, 30]));
    assert_eq!(applied.records[0].written, Written::Undone);
    let back = scene.api.get("VirtualService", "shop", "reviews").unwrap();
    assert_eq!(back["spec"]["http"][0]["timeout"], "3s");
}

#[tokio::test(start_paused = true)]
async fn what_was_made_is_known_before_the_write_is_over() {
    let scene = Scene::on(|api| {
        reviews(api);
        api.delete("VirtualService", "shop", "reviews").unwrap();
    })
    .await;
    let after = virtual_service("reviews", split("reviews", [90, 10]));
    let object = ObjectRef::new(Kind::VirtualService, "shop", "reviews");
    let plan = Plan::new(vec![], vec![Edit { object, before: None, after: Some(after) }], vec![]);
    // The watch is away for a while, and lists with it: what is read then is no newer than what the watch has seen.
    scene.api.trouble(On::verb(Verb::Watch), Trouble::Drop, Times::Always);
    scene.api.trouble(On::verb(Verb::List), Trouble::Drop, Times::Always);
    scene.api.end_watches(Cut::Broken);
    let back = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(scene.snapshot("reviews").unwrap().virtual_services.is_empty());
        scene.api.heal();
    };
    let start = Instant::now();
    let (applied, ()) = tokio::join!(scene.cluster.apply(&plan, "change-1", &scene.cache), back);
    assert_eq!(applied.ending, Ending::Applied);
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(scene.snapshot("reviews").unwrap().virtual_services.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_status_or_a_label_that_moved_is_no_conflict_and_stays() {
    let scene = Scene::on(reviews).await;
    let plan = shift(&scene.fresh("reviews").await.unwrap(), [30, 70]);
    let mut object = scene.api.get("VirtualService", "shop", "reviews").unwrap();
    object["metadata"]["labels"] = json!({"team": "shop"});
    object["status"] = json!({"observedGeneration": 1});
    scene.api.put_as(object, "pilot-discovery").unwrap();
    let applied = scene.cluster.apply(&plan, "change-1", &scene.cache).await;
    assert_eq!((applied.ending, scene.weights()), (Ending::Applied, vec![30, 70]));
    let object = scene.api.get("VirtualService", "shop", "reviews").unwrap();
    assert_eq!(object["metadata"]["labels"]["team"], "shop");
    assert_eq!(object["metadata"]["annotations"]["sluice.io/change"], "change-1");
}

#[tokio::test(start_paused = true)]
async fn a_spec_that_moved_is_a_conflict_that_names_who_did_it() {
    let scene = Scene::on(reviews).await;
    let plan = shift(&scene.fresh("reviews").await.unwrap(), [30, 70]);
    scene.clock.advance_ms(60_000);
    scene.api.put_as(virtual_service("reviews", split("reviews", [50, 50])), "kubectl-edit").unwrap();
    let tried = scene.cluster.dry_run(&plan).await.unwrap_err();
    assert!(
        matches!(&tried, ApplyError::Conflict { manager: Some(by), .. } if &**by == "kubectl-edit"),
        "{tried}"
    );
    let applied = scene.cluster.apply(&plan, "change-1", &scene.cache).await;
    assert_eq!((applied.ending, applied.error.unwrap()), (Ending::Failed, tried));
    assert_eq!((scene.weights(), applied.records[0].written), (vec![50, 50], Written::No));
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_gone_or_made_anew_is_a_conflict() {
    let scene = Scene::on(reviews).await;
    let plan = shift(&scene.fresh("reviews").await.unwrap(), [30, 70]);
    scene.api.delete("VirtualService", "shop", "reviews").unwrap();
    let gone = scene.cluster.apply(&plan, "change-1", &scene.cache).await;
    assert_eq!((gone.ending, gone.refusal().unwrap().code), (Ending::Failed, Code::Conflict));
    scene.api.put(virtual_service("reviews", split("reviews", [70, 30]))).unwrap();
    let anew = scene.cluster.apply(&plan, "change-1", &scene.cache).await;
    assert_eq!((anew.ending, anew.refusal().unwrap().code), (Ending::Failed, Code::Conflict));
    assert_eq!(scene.weights(), [70, 30]);
}

#[tokio::test(start_paused = true)]
async fn a_webhooks_words_and_an_unknown_field_come_back_as_they_are() {
    let scene = Scene::on(reviews).await;
    let snapshot = scene.fresh("reviews").await.unwrap();
    let refused = scene.cluster.dry_run(&shift(&snapshot, [-5, 105])).await.unwrap_err();
    let ApplyError::Refused { message, .. } = &refused else { panic!("{refused}") };
    assert!(message.contains("denied the request") && message.contains("weight -5 < 0"), "{message}");
    assert_eq!(refused.refusal().code, Code::ClusterRefused);
    let odd = edit(&snapshot, Kind::VirtualService, "reviews", |spec| spec["htpp"] = json!([]));
    let refused = scene.cluster.dry_run(&Plan::new(vec![], vec![odd], vec![])).await.unwrap_err();
    let ApplyError::Refused { message, .. } = &refused else { panic!("{refused}") };
    assert!(message.contains("unknown field \"spec.htpp\""), "{message}");
    assert_eq!(scene.weights(), [70, 30]);
}
