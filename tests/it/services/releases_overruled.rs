//! Commands that need a person's acceptance: promoting after a failed analysis, deleting what still answers.

use serde_json::json;
use sluice::domain::actor::Channel;
use sluice::domain::audit::{Action, Ending};
use sluice::domain::refusal::Refusal;
use sluice::domain::release::{Command, PauseReason, Phase, ReleaseId};
use sluice::services::Settings;
use sluice::services::releases::CommandAsk;

use super::releases::wish;
use super::releases_trouble::{analysis, said};
use crate::support::house::{House, anna, at};

async fn say(
    house: &House,
    id: ReleaseId,
    command: Command,
    ack: &[&str],
    reason: &str,
) -> Result<(), Refusal> {
    let ack = ack.iter().map(|code| (*code).to_owned()).collect();
    let ask = CommandAsk { command, ack, expected: None, reason, request_id: "req" };
    house.services.give_command(&anna(), id, ask).await.map(|_| ())
}

#[tokio::test]
async fn promoting_after_a_failed_analysis_needs_a_reason_and_acceptance_and_both_are_in_the_history() {
    let house = House::alive(Some(said(5)), Settings::default()).await;
    let spec = wish(|w| {
        w["analysis"] = analysis();
        w["policies"] = json!({"on_failure": "pause"});
        w["steps"] = json!([{"kind": "weight", "percent": 30}, {"kind": "hold", "seconds": 600},
            {"kind": "weight", "percent": 100}]);
    });
    let id = house.start(spec).await.id;
    let paused = house.until_paused(id, PauseReason::Failed).await;
    assert_eq!(paused.state.failed, ["success_rate"]);
    // The analysis that failed is a failed row, of nobody's doing, and the steps before it do not crowd the history out.
    let page = house.services.detail(&anna(), &at("bookinfo", "reviews"), 60).await.unwrap();
    let failed: Vec<_> = page
        .history
        .iter()
        .filter(|row| row.outcome.as_ref().is_some_and(|done| done.ending == Ending::Failed))
        .collect();
    assert!(!failed.is_empty(), "{:?}", page.history);
    assert!(failed.iter().all(|row| row.intent.channel == Channel::Automatic));
    assert!(page.history.iter().all(|row| !row.is_routine()), "{:?}", page.history);
    let code = async |ack: &[&str], reason: &str| {
        say(&house, id, Command::Promote, ack, reason).await.unwrap_err().code.as_str()
    };
    assert_eq!(code(&["analysis_failed"], "").await, "reason_required");
    assert_eq!(code(&[], "it is known").await, "analysis_failed");
    assert_eq!(house.weight_of("v9"), 30);
    say(&house, id, Command::Promote, &["analysis_failed"], "it is known").await.unwrap();
    house.until_final(id, Phase::Succeeded).await;
    let history = house.history(&at("bookinfo", "reviews")).await;
    let told = |ending: Ending| {
        let mut rows = history.iter().filter(|row| row.intent.action == Action::Release);
        rows.find(|row| {
            row.intent.reason == "it is known"
                && row.outcome.as_ref().is_some_and(|done| done.ending == ending)
        })
    };
    assert!(told(Ending::Refused).is_some(), "the attempt is a row");
    let whole =
        house.store.entry(told(Ending::Applied).expect("the command is a row").id).await.unwrap().unwrap();
    assert_eq!(whole.intent.details.acknowledged, ["analysis_failed"]);
}

#[tokio::test]
async fn a_resumption_does_not_forget_what_failed_and_a_new_attempt_has_a_time_and_looks_of_its_own() {
    let house = House::alive(Some(said(5)), Settings::default()).await;
    let spec = wish(|w| {
        w["analysis"] = analysis();
        w["policies"] = json!({"on_failure": "pause"});
        w["steps"] = json!([{"kind": "weight", "percent": 30}, {"kind": "hold", "seconds": 600},
            {"kind": "weight", "percent": 100}]);
    });
    let id = house.start(spec).await.id;
    house.until_paused(id, PauseReason::Failed).await;
    let started_ms = house.phase(id).await.started_ms.expect("it was started");
    say(&house, id, Command::Resume, &[], "").await.unwrap();
    for command in [Command::Promote, Command::PromoteAll] {
        let refused = say(&house, id, command, &[], "it is known").await.unwrap_err();
        assert_eq!(refused.code.as_str(), "analysis_failed");
    }
    assert_eq!(house.weight_of("v9"), 30);
    say(&house, id, Command::Abort, &[], "").await.unwrap();
    let over = house.until_final(id, Phase::RolledBack).await;
    assert_eq!(over.started_ms, Some(started_ms), "the way back is no new attempt");
    let again = house.say(id, Command::Retry).await.unwrap();
    let since_ms = again.started_ms.expect("it was started again");
    assert!(since_ms >= over.ended_ms.unwrap() && again.ended_ms.is_none(), "{again:?}");
    let detail = house.services.release(&anna(), id).await.unwrap();
    assert!(detail.judgements.iter().all(|look| look.at_ms >= since_ms), "{:?}", detail.judgements);
    assert!(
        house.services.judgements(&anna(), id, 50).await.unwrap().iter().any(|look| look.at_ms < since_ms)
    );
}

#[tokio::test]
async fn a_version_that_answered_within_the_last_minute_is_deleted_only_when_that_is_accepted() {
    let house = House::alive(Some(said(0)), Settings::default()).await;
    let spec = wish(|w| w["steps"] = json!([{"kind": "weight", "percent": 100}]));
    let id = house.start(spec).await.id;
    house.until_final(id, Phase::Succeeded).await;
    let retire = || Command::Retire { confirm: "reviews v1".into() };
    let refused = say(&house, id, retire(), &[], "old").await.unwrap_err();
    assert_eq!(refused.code.as_str(), "still_answers");
    let percent = refused.args.iter().find(|(name, _)| name == "n").unwrap();
    assert_eq!(percent.1, "50");
    assert!(house.api.get("Deployment", "bookinfo", "reviews-v1").is_some());
    say(&house, id, retire(), &["still_answers"], "old").await.unwrap();
    house
        .until("it is gone", async |house| {
            house.api.get("Deployment", "bookinfo", "reviews-v1").is_none().then_some(())
        })
        .await;
}

#[tokio::test]
async fn steps_are_counted_one_way_in_the_release_its_events_and_the_reasons_of_its_changes() {
    let house = House::alive(None, Settings::default()).await;
    let spec = wish(|w| {
        w["steps"] = json!([{"kind": "weight", "percent": 30}, {"kind": "hold", "seconds": 1},
            {"kind": "weight", "percent": 60}, {"kind": "approval"}, {"kind": "weight", "percent": 100}]);
    });
    let id = house.start(spec).await.id;
    let paused = house.until_paused(id, PauseReason::Gate).await;
    let (step, of) = sluice::domain::release::stages::position(&paused.spec.steps, paused.state.step);
    assert_eq!((step, of), (2, 3));
    let history = house.history(&at("bookinfo", "reviews")).await;
    let reasons: Vec<&str> = history
        .iter()
        .filter(|row| row.intent.action == Action::SetTraffic)
        .map(|row| row.intent.reason.as_str())
        .collect();
    assert_eq!(reasons[0], format!("{id} 2/3"), "{reasons:?}");
    // The events and the history say the numbers that the mark keeps, whatever becomes of the release.
    let row = history
        .iter()
        .find_map(|row| row.intent.details.release.clone().filter(|mark| mark.steps.contains_key(&3)));
    let mark = row.expect("a row about the approval");
    assert_eq!(sluice::domain::release::Wording::number_of(&*mark, 3), 2);
}
