//! Every state meets every event: nothing panics, what is not legal changes nothing, and what is legal keeps
//! the invariants.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use sluice::domain::refusal::{Code, Refusal};
use sluice::domain::release::analysis::{Counts, Seen};
use sluice::domain::release::state::{Action, ActionKind, Aim, Side};
use sluice::domain::release::{
    Candidate, Command, OnDrift, OnFailure, PauseReason, Paused, Phase, Runs, Spec, Stage, State, Step,
    Strategy, Template, Verdict, Word,
};
use sluice::release::{Drift, Event, Observation, Pods, Reverted, Trouble, World, step};

fn specs() -> impl Strategy_<Value = Spec> {
    (0..5_usize, 0..3_usize, any::<[bool; 5]>(), 0..3_usize).prop_map(|(strategy, template, flags, drift)| {
        let strategy = Strategy::ALL[strategy];
        let template = Template::ALL[template];
        let mut spec = super::spec(strategy, template.steps(strategy, 4));
        spec.analysis = flags[0].then(super::analysis);
        spec.policies.on_failure = if flags[1] { OnFailure::Pause } else { OnFailure::Abort };
        spec.policies.delete_after_abort = flags[2];
        spec.policies.stable_after = flags[3].then_some(0);
        spec.policies.second_person = flags[4];
        spec.policies.on_drift = [OnDrift::Pause, OnDrift::Reassert, OnDrift::Adopt][drift];
        if let Candidate::Image { in_place, .. } = &mut spec.candidate {
            *in_place = strategy == Strategy::Replicas && flags[4];
        }
        spec
    })
}

use proptest::strategy::Strategy as Strategy_;

fn kinds() -> impl Strategy_<Value = ActionKind> {
    prop_oneof![
        Just(ActionKind::Deploy { replicas: Some(2) }),
        (0..5_u32).prop_map(|replicas| ActionKind::Scale { side: Side::Stable, replicas }),
        (0..5_u32).prop_map(|replicas| ActionKind::Scale { side: Side::Candidate, replicas }),
        (0..5_u32).prop_map(|updated| ActionKind::Batch { updated, number: 1 }),
        (0..=100_u8).prop_map(|percent| ActionKind::Traffic { aim: Aim { percent, ..Aim::default() } }),
        Just(ActionKind::SwitchBack { revision: 3 }),
        Just(ActionKind::Restore),
        Just(ActionKind::Heal),
        Just(ActionKind::Settle),
        Just(ActionKind::Measure),
        Just(ActionKind::Remove { side: Side::Candidate }),
    ]
}

fn states() -> impl Strategy_<Value = State> {
    let small = (0..14_usize, 0..12_usize, 0..5_usize, proptest::option::of((0..10_usize, 0..14_usize)));
    let times = proptest::array::uniform4(proptest::option::of(0..200_000_i64));
    let more = (any::<[bool; 9]>(), 0..=100_u8, 0..4_u32, proptest::option::of(0..4_usize));
    (small, times, proptest::collection::vec(kinds(), 0..3), more).prop_map(
        |((phase, at, stage, paused), times, pending, (flags, percent, count, latest))| {
            let stages = [Stage::Preflight, Stage::Applying, Stage::Converging, Stage::Soaking, Stage::Gate];
            let verdicts = [Verdict::Pass, Verdict::Undecided, Verdict::Error, Verdict::Fail];
            let pending: Vec<Action> = pending
                .into_iter()
                .enumerate()
                .map(|(id, kind)| Action { id: id as u64 + 1, kind })
                .collect();
            State {
                phase: Phase::ALL[phase],
                step: at,
                stage: stages[stage],
                paused: paused.map(|(reason, phase)| Paused {
                    reason: PauseReason::ALL[reason],
                    since_ms: 0,
                    left_ms: times[3],
                    phase: [Phase::Running, Phase::Promoting, Phase::Finalising][phase % 3],
                    detail: None,
                }),
                due_ms: times[0],
                deadline_ms: times[1],
                measure_ms: times[2],
                next_action: pending.len() as u64 + 1,
                pending,
                aim: Aim { percent, ..Aim::default() },
                stable_replicas: flags[0].then_some(count),
                candidate_replicas: flags[1].then_some(count),
                declared: flags[2],
                reassert: flags[3],
                deployed: flags[4],
                stable_lowered: flags[5],
                switch_back: flags[6],
                scaled_back: flags[7],
                reverting: flags[8],
                runs: if flags[4] { vec![runs(0)] } else { Vec::new() },
                updated: count,
                failures: count,
                latest: latest.map(|at| verdicts[at]),
                tries: count,
                ..State::new()
            }
        },
    )
}

fn runs(template: u32) -> Runs {
    Runs { workload: "Deployment reviews-v2".into(), template: template.to_string(), ..Runs::default() }
}

fn events() -> impl Strategy_<Value = Event> {
    let pods = (0..5_u32, 0..5_u32).prop_map(|(wanted, ready)| Pods { wanted, ready });
    let drift = (0..4_i64, proptest::option::of(0..=100_u8), any::<bool>())
        .prop_map(|(entry, percent, gitops)| Drift { entry, managers: vec!["x".into()], percent, gitops });
    let reverted = (any::<bool>(), 0..3_u32, any::<bool>()).prop_map(|(whole, broken, unsettled)| Reverted {
        whole,
        broken,
        unsettled,
    });
    let percent = proptest::option::of(0..=100_u8);
    let world = (pods.clone(), pods, 0..5_u32, percent, proptest::option::of(drift), reverted).prop_map(
        |(stable, candidate, updated_ready, percent, drift, reverted)| {
            let stable_gone = stable == Pods::default();
            let candidate_gone = candidate == Pods::default();
            // One of two templates, or no workload.
            let runs = if candidate_gone { Vec::new() } else { vec![runs(candidate.wanted % 2)] };
            Event::World(World {
                stable,
                candidate,
                stable_gone,
                candidate_gone,
                runs,
                updated_ready,
                percent,
                drift,
                reverted,
            })
        },
    );
    let seen = (0.0..500.0_f64, 0.0..1.0_f64).prop_map(|(requests, share)| Seen {
        candidate: Some(Counts { requests, errors: requests * share, ..Counts::default() }),
        ..Seen::default()
    });
    let result = (0..6_usize).prop_map(|at| {
        let refusal = Refusal::new(Code::ClusterRefused);
        match at {
            0 => Err(Trouble::Refused(refusal)),
            1 => Err(Trouble::NotReady(refusal)),
            2 => Err(Trouble::Forbidden(refusal)),
            3 => Err(Trouble::Failed(refusal)),
            4 => Err(Trouble::Unknown(refusal)),
            _ => Ok(()),
        }
    });
    prop_oneof![
        Just(Event::Tick),
        Just(Event::Restarted),
        Just(Event::Superseded),
        (-9_000_000..9_000_000_i64).prop_map(|by_ms| Event::ClockMoved { by_ms }),
        world,
        (0..5_u64, seen).prop_map(|(action, seen)| Event::Measured { action, seen }),
        (0..5_u64, result).prop_map(|(action, result)| Event::Done { action, result }),
        (0..Word::ALL.len(), any::<bool>()).prop_map(|(at, me)| Event::Told {
            command: command(Word::ALL[at]),
            by: if me { "amy" } else { "bob" }.into(),
        }),
    ]
}

pub fn command(word: Word) -> Command {
    match word {
        Word::Start => Command::Start,
        Word::Pause => Command::Pause,
        Word::Resume => Command::Resume,
        Word::Promote => Command::Promote,
        Word::PromoteAll => Command::PromoteAll,
        Word::Abort => Command::Abort,
        Word::Rollback => Command::Rollback { revision: 1 },
        Word::SwitchBack => Command::SwitchBack,
        Word::Retry => Command::Retry,
        Word::ChangeSteps => Command::ChangeSteps { steps: vec![Step::Weight { percent: 100 }] },
        Word::Retire => Command::Retire { confirm: "reviews v1".into() },
        Word::DeleteVersion => Command::DeleteVersion { confirm: "reviews v2".into() },
    }
}

#[test]
fn every_state_answers_every_event() {
    let mut runner = TestRunner::new(Config { cases: 40_000, ..Config::default() });
    let all = (specs(), states(), events(), -10_000..300_000_i64);
    runner
        .run(&all, |(spec, state, event, now_ms)| {
            let out = step(&spec, &state, &Observation { now_ms, event: event.clone() });
            if let Event::Told { command, .. } = &event {
                let legal = state.may(command.word());
                prop_assert!(
                    legal || out.refusal.is_some(),
                    "{:?} is not legal in {:?}",
                    command,
                    state.phase
                );
            }
            if out.refusal.is_some() {
                prop_assert_eq!(&out.state, &state, "a refusal changes nothing");
                prop_assert!(out.actions.is_empty() && out.happened.is_empty());
            }
            for action in &out.actions {
                prop_assert!(action.id >= state.next_action, "an id is never used twice");
                prop_assert!(out.state.next_action > action.id);
                if let ActionKind::Traffic { aim } = &action.kind {
                    prop_assert!(aim.percent <= 100 && aim.mirror <= 100);
                    let ready = matches!(&event, Event::World(world) if world.candidate.ready > 0);
                    let repeats = *aim == out.state.aim;
                    prop_assert!(
                        !aim.raises(&out.state.aim) || ready || repeats,
                        "raised without pods: {:?}",
                        aim
                    );
                }
            }
            let waits = out.state.pending.iter().filter(|action| action.kind != ActionKind::Measure).count();
            let waited = state.pending.iter().filter(|action| action.kind != ActionKind::Measure).count();
            prop_assert!(waits <= waited.max(1), "one act at a time");
            if out.state.phase.is_final() && !state.phase.is_final() {
                prop_assert!(out.state.paused.is_none() && out.state.due_ms.is_none());
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn abort_is_legal_wherever_traffic_is_moved_and_needs_nothing() {
    for phase in Phase::ALL {
        let state = State { phase, ..State::new() };
        let owns = phase.owns_service();
        assert!(!owns || state.may(Word::Abort), "{phase:?}");
        if phase.is_final() && phase != Phase::NeedsAttention {
            assert!(!state.may(Word::Abort), "{phase:?}");
        }
    }
    assert!(Word::Abort.goes_back() && !Word::Abort.needs_reason());
}

#[test]
fn what_may_be_said_in_each_phase() {
    let said = |phase: Phase, reason: Option<PauseReason>| -> Vec<&str> {
        let paused = reason.map(|reason| Paused {
            reason,
            since_ms: 0,
            left_ms: None,
            phase: Phase::Running,
            detail: None,
        });
        State { phase, paused, ..State::new() }.words().into_iter().map(Word::as_str).collect()
    };
    assert_eq!(said(Phase::Validated, None), ["start", "abort", "change_steps"]);
    assert_eq!(
        said(Phase::Running, None),
        ["pause", "promote", "promote_all", "abort", "rollback", "change_steps"]
    );
    assert_eq!(
        said(Phase::Paused, Some(PauseReason::Drift)),
        ["resume", "promote", "promote_all", "abort", "rollback", "retry", "change_steps"]
    );
    assert_eq!(said(Phase::Aborting, None), ["abort", "retry"]);
    assert_eq!(said(Phase::Succeeded, None), ["rollback", "switch_back", "retire"]);
    assert_eq!(said(Phase::RolledBack, None), ["rollback", "retry", "delete_version"]);
    assert!(said(Phase::Cancelled, None).is_empty());
}
