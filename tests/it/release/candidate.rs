//! The new version of a release is changed or deleted by somebody else: the release stands still, and goes on only with
//! what a person has accepted.

use sluice::domain::refusal::Code;
use sluice::domain::release::{Command, Happened, OnDrift, PauseReason, Phase, Word};
use sluice::release::{Event, Pods, Transition};

use super::model::{Cluster, Life, turn, waits};

fn say(life: &mut Life, command: Command, ack: &[&str]) -> Transition {
    let ack = ack.iter().map(|code| (*code).to_owned()).collect();
    life.see(Event::Accepting { command, by: "amy".into(), ack })
}

fn code(out: &Transition) -> Option<Code> {
    out.refusal.as_ref().map(|no| no.code)
}

const FORWARD: [Command; 4] = [Command::Promote, Command::PromoteAll, Command::Resume, Command::Retry];

#[test]
fn another_image_pauses_whatever_the_policy_and_is_accepted_as_it_was_shown() {
    for on_drift in [OnDrift::Pause, OnDrift::Adopt, OnDrift::Reassert] {
        let mut cluster = Cluster::new();
        let mut life = waits(&mut cluster, |policies| policies.on_drift = on_drift);
        cluster.image = 1;
        let seen = life.see(Event::World(cluster.world()));
        assert!(seen.happened.iter().any(|one| matches!(one, Happened::CandidateChanged { .. })));
        assert_eq!(life.state.pause_reason(), Some(PauseReason::Drift));
        let rows = life.rows;
        life.see(Event::World(cluster.world()));
        assert_eq!(life.rows, rows, "once");
        for command in FORWARD {
            assert_eq!(
                code(&say(&mut life, command.clone(), &[])),
                Some(Code::CandidateChanged),
                "{command:?}"
            );
            assert_eq!(life.state.asked(command.word()).len(), 1);
        }
        let why = life.state.changed.as_ref().unwrap().why.clone();
        let arg = |name: &str| why.args.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let said = (arg("object"), arg("image"), arg("was"), arg("who"));
        let expected = ("Deployment reviews-v2", "shop/reviews:3", "shop/reviews:2", "kubectl-set");
        assert_eq!(said, (Some(expected.0), Some(expected.1), Some(expected.2), Some(expected.3)));
        // Another change is another thing to accept.
        cluster.image = 5;
        life.see(Event::World(cluster.world()));
        assert_eq!(life.state.changed.as_ref().unwrap().now[0].images, "shop/reviews:7");
        let out = say(&mut life, Command::Promote, &["candidate_changed"]);
        let accepted = out.happened.iter().find_map(|one| match one {
            Happened::CandidateAccepted { change } => Some(change.args.clone()),
            _ => None,
        });
        assert!(accepted.unwrap().iter().any(|(_, value)| value == "shop/reviews:7"));
        turn(&mut life, &mut cluster, 20);
        assert_eq!((life.state.phase, cluster.weights), (Phase::Succeeded, Some((100, 0))), "{on_drift:?}");
    }
}

#[test]
fn a_change_that_is_taken_back_has_to_be_accepted_no_more_and_the_release_still_waits() {
    let mut cluster = Cluster::new();
    let mut life = waits(&mut cluster, |policies| policies.on_drift = OnDrift::Pause);
    cluster.image = 1;
    life.see(Event::World(cluster.world()));
    cluster.image = 0;
    life.see(Event::World(cluster.world()));
    let detail = life.state.paused.as_ref().and_then(|paused| paused.detail.as_ref()).map(|no| no.code);
    assert_eq!((detail, life.state.changed.is_none()), (Some(Code::CandidateRestored), true));
    assert_eq!(code(&say(&mut life, Command::Resume, &[])), None);
    turn(&mut life, &mut cluster, 5);
    assert_eq!(life.state.pause_reason(), Some(PauseReason::Gate), "the approval is still waited for");
}

#[test]
fn a_new_version_that_is_deleted_stops_the_release_and_only_the_way_back_is_open() {
    let mut cluster = Cluster::new();
    let mut life = waits(&mut cluster, |policies| policies.on_drift = OnDrift::Pause);
    let there = cluster.candidate.clone();
    (cluster.candidate.there, cluster.candidate.pods) = (false, Pods { wanted: 0, ready: 1 });
    life.see(Event::World(cluster.world()));
    assert_eq!(life.state.pause_reason(), Some(PauseReason::Gate), "its last pod is ending");
    cluster.candidate.pods.ready = 0;
    life.see(Event::World(cluster.world()));
    assert_eq!(life.state.pause_reason(), Some(PauseReason::Drift));
    assert!(life.state.pause_reason().is_some_and(PauseReason::is_trouble), "it is listed as trouble");
    for command in FORWARD {
        assert_eq!(code(&say(&mut life, command, &["candidate_changed"])), Some(Code::CandidateGone));
    }
    assert!(life.state.missing(Word::Abort).is_none());
    // Deployed again as it was.
    let again = life.state.clone();
    cluster.candidate = there;
    life.see(Event::World(cluster.world()));
    assert!(life.state.changed.is_none());
    // Or given up.
    life.state = again;
    cluster.candidate = Cluster::new().candidate;
    assert_eq!(code(&say(&mut life, Command::Abort, &[])), None);
    turn(&mut life, &mut cluster, 20);
    assert_eq!((life.state.phase, cluster.weights), (Phase::RolledBack, Some((0, 100))));
}

#[test]
fn a_version_without_ready_pods_that_gets_requests_is_said_as_long_as_it_is_so() {
    let mut cluster = Cluster::new();
    let mut life = waits(&mut cluster, |policies| policies.on_drift = OnDrift::Pause);
    cluster.candidate.pods.ready = 0;
    let seen = life.see(Event::World(cluster.world()));
    assert!(seen.happened.contains(&Happened::CandidateDown));
    assert_eq!(life.state.needs.as_ref().map(|needs| needs.code), Some(Code::CandidateDown));
    turn(&mut life, &mut cluster, 5);
    assert_eq!((life.state.needs.clone(), life.state.pause_reason()), (None, Some(PauseReason::Gate)));
}
