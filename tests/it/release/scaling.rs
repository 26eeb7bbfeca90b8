//! Releases by pods whose workloads somebody else scales: the share that follows is noticed as an outside change.

use sluice::domain::release::state::{ActionKind, Side};
use sluice::domain::release::{
    Candidate, Command, Happened, OnDrift, PauseReason, Phase, Release, ReleaseId, Stage, State, Step,
    Strategy,
};
use sluice::release::{Event, Observation, Pods, Transition, World, step};

use super::model::{Cluster, Life, turn};

/// A release by pods that waits for its approval with 20 % (copies) or 25 % (in place) of the pods.
fn waits(in_place: bool, on_drift: OnDrift) -> (Life, Cluster) {
    let steps = vec![
        Step::Replicas { candidate: 1, stable: None },
        Step::Approval,
        Step::Replicas { candidate: 4, stable: if in_place { None } else { Some(0) } },
    ];
    let mut spec = super::spec(Strategy::Replicas, steps);
    spec.policies.on_drift = on_drift;
    if let Candidate::Image { in_place: place, .. } = &mut spec.candidate {
        *place = in_place;
    }
    let (mut life, mut cluster) = (Life::new(spec), Cluster::new());
    life.see(Event::Told { command: Command::Start, by: "amy".into() });
    turn(&mut life, &mut cluster, 20);
    assert_eq!(life.state.pause_reason(), Some(PauseReason::Gate), "{:?}", life.state);
    (life, cluster)
}

fn share(life: &Life) -> u8 {
    let release = Release {
        id: ReleaseId(1),
        spec: life.spec.clone(),
        state: life.state.clone(),
        seq: 1,
        created_ms: 0,
        changed_ms: 0,
        started_ms: None,
        ended_ms: None,
        by: String::new(),
        reason: String::new(),
    };
    release.share()
}

#[test]
fn a_new_version_that_somebody_scales_pauses_the_release_and_its_percent_is_that_of_the_pods() {
    let (mut life, mut cluster) = waits(false, OnDrift::Pause);
    assert_eq!(share(&life), 20);
    cluster.candidate.pods.wanted = 6;
    turn(&mut life, &mut cluster, 10);
    assert_eq!((life.state.pause_reason(), share(&life)), (Some(PauseReason::Drift), 60));
    let detail = life.state.paused.as_ref().unwrap().detail.clone().expect("which pods");
    assert_eq!(detail.code.as_str(), "pods_scaled");
    let rows = life.rows;
    turn(&mut life, &mut cluster, 10);
    assert_eq!(life.rows, rows, "each other number is noticed once");
    // The old version's pods change the share as well.
    cluster.stable.pods.wanted = 2;
    turn(&mut life, &mut cluster, 10);
    assert_eq!((life.state.pause_reason(), share(&life)), (Some(PauseReason::Drift), 75));
    assert_eq!((cluster.candidate.pods.wanted, cluster.stable.pods.wanted), (6, 2), "nobody is fought");
    // Who resumes wants the release's numbers, and the approval is still waited for.
    life.see(Event::Told { command: Command::Resume, by: "amy".into() });
    turn(&mut life, &mut cluster, 10);
    assert_eq!((cluster.candidate.pods.wanted, cluster.stable.pods.wanted), (1, 4));
    assert_eq!((life.state.pause_reason(), share(&life)), (Some(PauseReason::Gate), 20));
}

#[test]
fn scaling_both_versions_alike_moves_no_requests_and_pauses_nothing() {
    let (mut life, mut cluster) = waits(false, OnDrift::Pause);
    cluster.candidate.pods.wanted = 2;
    cluster.stable.pods.wanted = 8;
    turn(&mut life, &mut cluster, 10);
    assert_eq!((life.state.pause_reason(), share(&life)), (Some(PauseReason::Gate), 20));
}

#[test]
fn what_the_policy_says_of_drift_holds_for_pods() {
    let (mut life, mut cluster) = waits(false, OnDrift::Adopt);
    cluster.candidate.pods.wanted = 6;
    turn(&mut life, &mut cluster, 10);
    assert_eq!((life.state.pause_reason(), share(&life)), (Some(PauseReason::Gate), 60));
    assert_eq!(cluster.candidate.pods.wanted, 6);

    // Written over when it goes on, and at most twice in a while.
    let (mut life, mut cluster) = waits(false, OnDrift::Reassert);
    life.spec.steps.insert(2, Step::Hold { seconds: 6_000 });
    life.see(Event::Told { command: Command::Promote, by: "amy".into() });
    turn(&mut life, &mut cluster, 5);
    for _ in 0..2 {
        cluster.candidate.pods.wanted = 6;
        turn(&mut life, &mut cluster, 10);
        assert_eq!((life.state.phase, cluster.candidate.pods.wanted), (Phase::Running, 1));
    }
    cluster.candidate.pods.wanted = 6;
    turn(&mut life, &mut cluster, 10);
    assert_eq!((life.state.pause_reason(), cluster.candidate.pods.wanted), (Some(PauseReason::Drift), 6));
}

#[test]
fn a_stateful_set_that_somebody_scales_pauses_the_release_and_resuming_moves_its_partition() {
    let (mut life, mut cluster) = waits(true, OnDrift::Pause);
    assert_eq!(share(&life), 25);
    // The partition stays where it was: every new pod is of the new version.
    cluster.stable.pods.wanted = 8;
    turn(&mut life, &mut cluster, 10);
    assert_eq!((life.state.pause_reason(), share(&life)), (Some(PauseReason::Drift), 62));
    let left = life.state.clone();
    life.see(Event::Told { command: Command::Resume, by: "amy".into() });
    let seen = life.see(Event::World(cluster.world()));
    let batch = ActionKind::Batch { updated: 1, number: 1 };
    assert_eq!(seen.actions.iter().map(|action| &action.kind).collect::<Vec<_>>(), [&batch]);
    turn(&mut life, &mut cluster, 10);
    assert_eq!((life.state.pause_reason(), share(&life)), (Some(PauseReason::Gate), 12));
    // What was all of them when it began is all of them now.
    life.see(Event::Told { command: Command::Promote, by: "amy".into() });
    turn(&mut life, &mut cluster, 20);
    assert_eq!((life.state.phase, cluster.updated), (Phase::Succeeded, 8));

    // An abort takes all of them back.
    life.state = left;
    life.see(Event::Told { command: Command::Abort, by: "amy".into() });
    turn(&mut life, &mut cluster, 20);
    assert_eq!((life.state.phase, cluster.updated), (Phase::RolledBack, 0));
    assert!(
        !life
            .state
            .pending
            .iter()
            .any(|one| matches!(one.kind, ActionKind::Scale { side: Side::Stable, .. }))
    );
}

#[test]
fn a_new_version_has_no_pods_before_the_approval_that_comes_first() {
    let steps = vec![Step::Approval, Step::Replicas { candidate: 1, stable: Some(0) }];
    let (mut life, mut cluster) = (Life::new(super::spec(Strategy::Replicas, steps)), Cluster::new());
    life.see(Event::Told { command: Command::Start, by: "amy".into() });
    turn(&mut life, &mut cluster, 20);
    assert_eq!(life.state.pause_reason(), Some(PauseReason::Gate), "{:?}", life.state);
    assert_eq!(
        (cluster.candidate.pods.wanted, share(&life)),
        (0, 0),
        "each pod takes a share of the requests at once"
    );
    life.see(Event::Told { command: Command::Promote, by: "amy".into() });
    turn(&mut life, &mut cluster, 60);
    assert_eq!((life.state.phase, cluster.candidate.pods.wanted), (Phase::Succeeded, 1), "{:?}", life.state);
}

#[test]
fn that_the_new_version_is_ready_is_said_once_and_before_the_old_one_gives_its_pods_up() {
    let spec = super::spec(Strategy::Replicas, vec![Step::Replicas { candidate: 3, stable: Some(0) }]);
    let mut state = State::new();
    (state.phase, state.deployed, state.stable_replicas) = (Phase::Running, true, Some(3));
    (state.stage, state.deadline_ms) = (Stage::Converging, Some(60_000));
    let look = |state: &State, left: u32| {
        let (candidate, stable) = (Pods { wanted: 3, ready: 3 }, Pods { wanted: left, ready: left });
        let event = Event::World(World { candidate, stable, ..World::default() });
        step(&spec, state, &Observation { now_ms: 1_000, event })
    };
    let first = look(&state, 3);
    let ready = |out: &Transition| out.happened.iter().position(|one| *one == Happened::Ready);
    let gives_up = ActionKind::Scale { side: Side::Stable, replicas: 0 };
    let decided =
        first.happened.iter().position(|one| *one == Happened::Decided { action: gives_up.clone() });
    assert!(ready(&first).is_some() && ready(&first) < decided, "{:?}", first.happened);
    let mut scaled = first.state;
    scaled.pending.clear();
    let second = look(&scaled, 0);
    assert!(second.happened.contains(&Happened::StepDone { step: 0 }), "{:?}", second.happened);
    assert_eq!(ready(&second), None, "it was said");
}
