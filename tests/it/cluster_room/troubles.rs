//! An API server that misbehaves in the middle of a write: never a hang, never a lie about what was applied, never
//! a second sending, and nothing left that can be put back.

use std::time::Duration;

use serde_json::json;
use sluice::cluster::{Applied, Fate, until};
use sluice::demo::api::{On, Times, Trouble, Verb};
use sluice::domain::audit::{Ending, Written};
use sluice::domain::refusal::Code;
use tokio::time::Instant;

use super::scene::{Scene, reviews, shift, split, stages_scene, subsets, three_stages, virtual_service};

/// Applies a shift of `reviews` from 70/30 to 30/70 under a trouble; never longer than 20 s.
async fn shifted_under(trouble: Trouble, times: Times) -> (Scene, Applied) {
    let scene = Scene::on(reviews).await;
    let plan = shift(&scene.fresh("reviews").await.unwrap(), [30, 70]);
    scene.api.trouble(On::verb(Verb::Update), trouble.clone(), times);
    let start = Instant::now();
    let applied = scene.cluster.apply(&plan, "change-1", &scene.cache).await;
    assert!(start.elapsed() <= Duration::from_secs(20), "{trouble:?}: {:?}", start.elapsed());
    assert_eq!(scene.api.count("PUT", "virtualservices"), 1, "{trouble:?}: a write was sent again");
    (scene, applied)
}

fn told(applied: &Applied) -> Code {
    applied.refusal().unwrap().code
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_not_stored_is_told_so() {
    for (trouble, code) in [
        (Trouble::Answer(429), Code::ClusterBusy),
        (Trouble::Answer(500), Code::ClusterRefused),
        (Trouble::Answer(503), Code::ClusterUnreachable),
        (Trouble::Answer(504), Code::ClusterTimeout),
        (Trouble::Drop, Code::ClusterUnreachable),
        (Trouble::Forbid, Code::ClusterForbids),
    ] {
        let (scene, applied) = shifted_under(trouble.clone(), Times::Always).await;
        assert_eq!((applied.ending, told(&applied)), (Ending::Failed, code), "{trouble:?}");
        assert_eq!((scene.weights(), applied.records[0].written), (vec![70, 30], Written::No), "{trouble:?}");
        assert_eq!(scene.cluster.fate_of("change-1", &applied.records).await[0].1, Fate::Before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_stored_although_the_answer_was_lost_is_told_so() {
    for trouble in [
        Trouble::AnswerAfterApplying(500),
        Trouble::AnswerAfterApplying(502),
        Trouble::AnswerAfterApplying(503),
        Trouble::AnswerAfterApplying(504),
        Trouble::DropAfterApplying,
        Trouble::DelayAnswer(Duration::from_mins(5)),
    ] {
        let (scene, applied) = shifted_under(trouble.clone(), Times::Next(1)).await;
        assert_eq!((applied.ending, &applied.error), (Ending::Applied, &None), "{trouble:?}");
        assert_eq!(
            (scene.weights(), applied.records[0].written),
            (vec![30, 70], Written::Yes),
            "{trouble:?}"
        );
        let version =
            &scene.api.get("VirtualService", "shop", "reviews").unwrap()["metadata"]["resourceVersion"];
        assert_eq!(applied.records[0].resource_version_after.as_deref(), version.as_str());
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_hangs_is_not_waited_for_longer_than_the_server_may_work_on_it() {
    let (scene, applied) = shifted_under(Trouble::Delay(Duration::from_mins(5)), Times::Next(1)).await;
    assert_eq!((applied.ending, told(&applied)), (Ending::Failed, Code::ClusterTimeout));
    assert_eq!(scene.weights(), [70, 30]);
    let line = scene.api.log().into_iter().find(|line| line.method == "PUT").unwrap();
    let patience = line.query.split('&').find_map(|pair| pair.strip_prefix("timeout=")).unwrap().to_owned();
    assert!(["11s", "12s", "13s"].contains(&patience.as_str()), "{patience}");
}

#[tokio::test(start_paused = true)]
async fn nobody_knows_when_the_object_cannot_be_read_either() {
    let scene = Scene::on(reviews).await;
    let plan = shift(&scene.fresh("reviews").await.unwrap(), [30, 70]);
    scene.api.trouble(On::verb(Verb::Update), Trouble::DropAfterApplying, Times::Next(1));
    scene.api.trouble(On::verb(Verb::Get), Trouble::Answer(503), Times::Always);
    let start = Instant::now();
    let applied = scene.cluster.apply(&plan, "change-1", &scene.cache).await;
    assert!(start.elapsed() <= Duration::from_secs(20), "{:?}", start.elapsed());
    assert_eq!((applied.ending, told(&applied)), (Ending::Unknown, Code::OutcomeUnknown));
    assert_eq!(applied.records[0].written, Written::Unknown);
    assert!(matches!(scene.cluster.fate_of("change-1", &applied.records).await[0].1, Fate::Unread(_)));
    // Later, when the server is well again, the object tells.
    scene.api.heal();
    assert_eq!(scene.cluster.fate_of("change-1", &applied.records).await[0].1, Fate::Carries);
}

#[tokio::test(start_paused = true)]
async fn a_frozen_server_is_given_up_in_time() {
    let scene = Scene::on(reviews).await;
    let plan = shift(&scene.fresh("reviews").await.unwrap(), [30, 70]);
    scene.api.freeze();
    let start = Instant::now();
    assert_eq!(scene.cluster.dry_run(&plan).await.unwrap_err().refusal().code, Code::ClusterTimeout);
    assert!(start.elapsed() <= Duration::from_secs(20));
    let start = Instant::now();
    let applied = scene.cluster.apply(&plan, "change-1", &scene.cache).await;
    assert!(start.elapsed() <= Duration::from_secs(20), "{:?}", start.elapsed());
    assert_eq!(applied.ending, Ending::Unknown);
    let start = Instant::now();
    until(start + Duration::from_secs(6), scene.cluster.apply(&plan, "change-2", &scene.cache)).await;
    assert!(start.elapsed() <= Duration::from_secs(6), "{:?}", start.elapsed());
    // Too little time is left to begin.
    scene.api.thaw();
    let late = scene.cluster.apply(&plan, "change-3", &scene.cache);
    let late = until(Instant::now() + Duration::from_millis(1_500), late).await;
    assert_eq!(
        (late.ending, told(&late), scene.weights()),
        (Ending::Failed, Code::ClusterTimeout, vec![70, 30])
    );
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_write_in_the_meantime_is_not_taken_for_ours() {
    let scene = Scene::on(reviews).await;
    let plan = shift(&scene.fresh("reviews").await.unwrap(), [30, 70]);
    scene.api.trouble(On::verb(Verb::Update), Trouble::Delay(Duration::from_mins(5)), Times::Next(1));
    let (api, other) = (scene.api.clone(), split("reviews", [30, 70]));
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(3)).await;
        // The same weights even, but not our change.
        api.put_as(virtual_service("reviews", other), "kubectl-edit").unwrap();
    });
    let applied = scene.cluster.apply(&plan, "change-1", &scene.cache).await;
    assert_eq!((applied.ending, told(&applied)), (Ending::Failed, Code::Conflict));
    assert_eq!(applied.records[0].written, Written::No);
}

/// The subsets of the DestinationRule `reviews` as the API server holds it.
fn subset_names(scene: &Scene) -> serde_json::Value {
    scene.api.get("DestinationRule", "shop", "reviews").unwrap()["spec"].clone()
}

#[tokio::test(start_paused = true)]
async fn what_was_written_before_a_failure_is_put_back() {
    for (plural, name) in [("virtualservices", "reviews"), ("destinationrules", "reviews-old")] {
        let scene = stages_scene().await;
        let plan = three_stages(&scene.fresh("reviews").await.unwrap());
        let on = On::verb(Verb::Update).of(plural).named(name);
        scene.api.trouble(on, Trouble::Answer(500), Times::Next(1));
        let start = Instant::now();
        let applied = scene.cluster.apply(&plan, "change-1", &scene.cache).await;
        assert!(start.elapsed() <= Duration::from_secs(20));
        assert_eq!(applied.ending, Ending::Failed, "{name}: {:?}", applied.error);
        assert_eq!(
            (scene.weights(), subset_names(&scene)),
            (vec![70, 30], subsets("reviews", &["v1", "v2"]))
        );
        let written: Vec<Written> = applied.records.iter().map(|record| record.written).collect();
        let expected = match name {
            "reviews" => [Written::Undone, Written::No, Written::No],
            _ => [Written::Undone, Written::Undone, Written::No],
        };
        assert_eq!(written, expected);
        assert!(
            scene
                .cluster
                .fate_of("change-1", &applied.records)
                .await
                .iter()
                .all(|(_, fate)| *fate == Fate::Before)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_put_back_is_told_and_what_it_needs_is_left() {
    let scene = stages_scene().await;
    let plan = three_stages(&scene.fresh("reviews").await.unwrap());
    scene.api.trouble(
        On::verb(Verb::Update).of("destinationrules").named("reviews-old"),
        Trouble::Answer(500),
        Times::Next(1),
    );
    // Somebody changes the route just after us: it is theirs now.
    let api = scene.api.clone();
    let mut events = scene.api.subscribe();
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if event.object.value()["metadata"]["annotations"]["sluice.io/change"] == json!("change-1")
                && event.kind.kind == "VirtualService"
            {
                api.put_as(virtual_service("reviews", split("reviews", [10, 90])), "kubectl-edit").unwrap();
                return;
            }
        }
    });
    let applied = scene.cluster.apply(&plan, "change-1", &scene.cache).await;
    assert_eq!((applied.ending, told(&applied)), (Ending::Partial, Code::PartlyApplied));
    assert_eq!(scene.weights(), [10, 90]);
    // The route may name the subset that was added for it.
    assert_eq!(subset_names(&scene), subsets("reviews", &["v1", "v2", "v3"]));
    let written: Vec<Written> = applied.records.iter().map(|record| record.written).collect();
    assert_eq!(written, [Written::Yes, Written::Yes, Written::No]);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_switch_keeps_the_subsets_that_it_may_need() {
    let scene = stages_scene().await;
    let plan = three_stages(&scene.fresh("reviews").await.unwrap());
    scene.api.trouble(
        On::verb(Verb::Update).of("virtualservices"),
        Trouble::DropAfterApplying,
        Times::Next(1),
    );
    scene.api.trouble(On::verb(Verb::Get).of("virtualservices"), Trouble::Answer(503), Times::Always);
    let start = Instant::now();
    let applied = scene.cluster.apply(&plan, "change-1", &scene.cache).await;
    assert!(start.elapsed() <= Duration::from_secs(20));
    assert_eq!(applied.ending, Ending::Unknown);
    assert_eq!(subset_names(&scene), subsets("reviews", &["v1", "v2", "v3"]));
    let written: Vec<Written> = applied.records.iter().map(|record| record.written).collect();
    assert_eq!(written, [Written::Yes, Written::Unknown, Written::No]);
}

#[tokio::test(start_paused = true)]
async fn an_undo_whose_answer_is_lost_is_found_out_about() {
    let scene = stages_scene().await;
    let plan = three_stages(&scene.fresh("reviews").await.unwrap());
    let on = On::verb(Verb::Update).of("virtualservices");
    scene.api.trouble(on, Trouble::Answer(503), Times::Next(1));
    let rules = || On::verb(Verb::Update).of("destinationrules").named("reviews");
    // The first write of the rule goes well, its undoing loses the answer.
    scene.api.trouble(rules(), Trouble::Delay(Duration::ZERO), Times::Next(1));
    let api = scene.api.clone();
    let mut events = scene.api.subscribe();
    tokio::spawn(async move {
        if events.recv().await.is_some() {
            api.trouble(rules(), Trouble::DropAfterApplying, Times::Next(1));
        }
    });
    let applied = scene.cluster.apply(&plan, "change-1", &scene.cache).await;
    assert_eq!(applied.ending, Ending::Failed, "{:?}", applied.error);
    assert_eq!(applied.records[0].written, Written::Undone);
    assert_eq!(subset_names(&scene), subsets("reviews", &["v1", "v2"]));
}
