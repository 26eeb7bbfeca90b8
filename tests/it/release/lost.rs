//! A release whose stable version is deleted under it, and one whose service had no routes: the messages, and what an
//! abort does.

use sluice::domain::release::state::{ActionKind, Side};
use sluice::domain::release::{Command, Happened, Phase};
use sluice::release::{Event, Pods, Transition, World};

use super::model::{Cluster, Dice, Life, turn, waits};

fn gone(cluster: &Cluster) -> Event {
    Event::World(World { stable: Pods::default(), stable_gone: true, ..cluster.world() })
}

fn abort(life: &mut Life) -> Transition {
    life.see(Event::Told { command: Command::Abort, by: "amy".into() })
}

fn needs(life: &Life) -> Option<&str> {
    life.state.needs.as_ref().map(|needs| needs.code.as_str())
}

#[test]
fn a_stable_version_that_is_deleted_is_said_at_once_and_an_abort_ends_without_waiting() {
    let mut cluster = Cluster::new();
    let mut life = waits(&mut cluster, |_| ());
    let seen = life.see(gone(&cluster));
    assert!(seen.happened.contains(&Happened::StableLost), "{:?}", seen.happened);
    assert_eq!((life.state.phase, needs(&life)), (Phase::Paused, Some("stable_lost")));
    let rows = life.rows;
    life.see(gone(&cluster));
    assert_eq!(life.rows, rows, "said once");
    // The answer to the command says it already: nothing is moved, and the service is free.
    let answer = abort(&mut life);
    assert_eq!((answer.state.phase, answer.actions.len()), (Phase::NeedsAttention, 0));
    assert_eq!((needs(&life), cluster.weights), (Some("stable_lost"), Some((50, 50))));
    // Still gone: the same. There again: it goes back.
    abort(&mut life);
    life.see(gone(&cluster));
    assert_eq!((life.state.phase, needs(&life)), (Phase::NeedsAttention, Some("stable_lost")));
    abort(&mut life);
    turn(&mut life, &mut cluster, 10);
    assert_eq!((life.state.phase, cluster.weights), (Phase::RolledBack, Some((0, 100))));
    assert_eq!(needs(&life), None);
}

#[test]
fn a_stable_version_that_comes_back_is_not_missed_any_more_and_going_on_to_all_is_possible_without_it() {
    let mut cluster = Cluster::new();
    let mut life = waits(&mut cluster, |_| ());
    life.see(gone(&cluster));
    life.see(Event::World(cluster.world()));
    assert_eq!(needs(&life), None);
    life.see(gone(&cluster));
    life.see(Event::Told { command: Command::PromoteAll, by: "amy".into() });
    let mut dice = Dice(7);
    for _ in 0..10 {
        life.now_ms += 1_000;
        life.see(gone(&cluster));
        life.drive(&mut cluster, &mut dice, true);
    }
    assert_eq!((life.state.phase, cluster.weights), (Phase::Succeeded, Some((100, 0))));
    assert_eq!(needs(&life), None, "nothing of it is needed any more");
}

#[test]
fn what_was_spread_by_pods_is_given_back_only_when_the_new_version_has_none() {
    for delete in [true, false] {
        let mut cluster = Cluster::new();
        assert_eq!(cluster.weights, None, "spread by pods");
        let mut life = waits(&mut cluster, |policies| policies.delete_after_abort = delete);
        abort(&mut life);
        let (mut did, mut dice) = (Vec::new(), Dice(7));
        for _ in 0..20 {
            life.now_ms += 1_000;
            life.see(Event::World(cluster.world()));
            did.extend(life.state.pending.iter().map(|action| action.kind.clone()));
            life.drive(&mut cluster, &mut dice, true);
        }
        assert_eq!(life.state.phase, Phase::RolledBack);
        let at = |kind: &ActionKind| did.iter().position(|one| one == kind);
        let removed = at(&ActionKind::Remove { side: Side::Candidate });
        let restored = at(&ActionKind::Restore);
        assert_eq!((removed.is_some(), restored.is_some()), (delete, delete), "{did:?}");
        assert!(removed <= restored, "no request may reach the version that is given up: {did:?}");
    }
    // Declared before: it stays declared.
    let mut cluster = Cluster::new();
    cluster.weights = Some((0, 100));
    let mut life = waits(&mut cluster, |policies| policies.delete_after_abort = true);
    abort(&mut life);
    turn(&mut life, &mut cluster, 20);
    assert_eq!((life.state.phase, life.state.by_pods), (Phase::RolledBack, false));
}

#[test]
fn a_revision_whose_version_vanishes_on_the_way_back_ends_the_way_and_frees_the_service() {
    use sluice::domain::refusal::{Code, Refusal};
    use sluice::release::Trouble;
    let mut cluster = Cluster::new();
    let mut life = waits(&mut cluster, |_| ());
    life.see(Event::Told { command: Command::Rollback { revision: 0 }, by: "amy".into() });
    for _ in 0..200 {
        life.now_ms += 10_000;
        life.see(gone(&cluster));
        let pending = life.state.pending.clone();
        for action in pending.iter().filter(|action| matches!(action.kind, ActionKind::SwitchBack { .. })) {
            let refusal = Refusal::new(Code::UnknownVersion).arg("v", "v1");
            life.see(Event::Done { action: action.id, result: Err(Trouble::NotReady(refusal)) });
        }
        if life.state.phase.is_final() {
            break;
        }
    }
    assert_eq!(life.state.phase, Phase::NeedsAttention, "{:?}", life.state);
    assert!(!life.state.phase.owns_service());
    assert_eq!(needs(&life), Some("unknown_version"));
}

#[test]
fn a_way_back_that_the_cluster_refused_is_tried_again_by_a_retry_and_never_goes_forward() {
    use sluice::domain::refusal::{Code, Refusal};
    use sluice::release::Trouble;
    for command in [Command::Abort, Command::Rollback { revision: 1 }, Command::SwitchBack] {
        let mut cluster = Cluster::new();
        cluster.weights = Some((0, 100));
        let mut life = waits(&mut cluster, |_| ());
        if command == Command::SwitchBack {
            life.see(Event::Told { command: Command::PromoteAll, by: "amy".into() });
            turn(&mut life, &mut cluster, 20);
        }
        life.see(Event::Told { command: command.clone(), by: "amy".into() });
        let back = (life.state.back_to, life.state.switch_back);
        for _ in 0..100 {
            life.now_ms += 40_000;
            life.see(Event::World(cluster.world()));
            for action in life.state.pending.clone() {
                let refusal = Refusal::new(Code::ClusterRefused);
                life.see(Event::Done { action: action.id, result: Err(Trouble::Refused(refusal)) });
            }
        }
        assert_eq!((life.state.phase, needs(&life)), (Phase::NeedsAttention, Some("cluster_refused")));
        let again = life.see(Event::Told { command: Command::Retry, by: "amy".into() });
        assert_eq!((again.refusal, again.state.phase), (None, Phase::Aborting), "{command:?}");
        assert_eq!(
            (life.state.back_to, life.state.switch_back),
            back,
            "{command:?}: it leads to the same place"
        );
        assert_eq!(needs(&life), None);
        turn(&mut life, &mut cluster, 20);
        assert_eq!(life.state.phase, Phase::RolledBack, "{command:?}");
        if command == Command::Abort {
            assert_eq!(cluster.weights, Some((0, 100)));
        }
    }
}
