//! Going on although the analysis failed: accepted by name, or not at all.

use sluice::domain::refusal::Code;
use sluice::domain::release::analysis::{Counts, Seen};
use sluice::domain::release::state::{Action, ActionKind};
use sluice::domain::release::{
    Command, OnFailure, PauseReason, Paused, Phase, Stage, State, Step, Strategy, Verdict, Word,
};
use sluice::release::{Event, Observation, step};

fn spec() -> sluice::domain::release::Spec {
    let steps =
        vec![Step::Weight { percent: 10 }, Step::Hold { seconds: 600 }, Step::Weight { percent: 100 }];
    let mut spec = super::spec(Strategy::Canary, steps);
    spec.analysis = Some(super::analysis());
    spec
}

/// It holds at 10 %, and this is the result of the analysis.
fn judged(verdict: Option<Verdict>, paused: Option<PauseReason>) -> State {
    let mut state = State::new();
    (state.phase, state.step, state.stage) = (Phase::Running, 1, Stage::Soaking);
    (state.latest, state.due_ms) = (verdict, Some(600_000));
    state.failed = if verdict == Some(Verdict::Fail) { vec!["p95".into()] } else { Vec::new() };
    if let Some(reason) = paused {
        let phase = std::mem::replace(&mut state.phase, Phase::Paused);
        state.paused = Some(Paused { reason, since_ms: 0, left_ms: Some(1), phase, detail: None });
    }
    state
}

#[test]
fn whoever_goes_on_after_a_failed_analysis_accepts_it_by_name() {
    let spec = spec();
    let say = |state: &State, command: Command, ack: &[&str]| {
        let ack = ack.iter().map(|code| (*code).to_owned()).collect();
        let event = Event::Accepting { command, by: "amy".into(), ack };
        step(&spec, state, &Observation { now_ms: 1_000, event })
    };
    let failed = Some(Verdict::Fail);
    for state in [
        judged(failed, None),
        judged(failed, Some(PauseReason::Failed)),
        judged(failed, Some(PauseReason::User)),
        judged(None, Some(PauseReason::Failed)),
    ] {
        for command in [Command::Promote, Command::PromoteAll] {
            let out = say(&state, command.clone(), &["big_jump"]);
            let refusal = out.refusal.expect("refused");
            assert_eq!(refusal.code, Code::AnalysisFailed, "{command:?}");
            let said = refusal.args.iter().find(|(name, _)| name == "metrics").unwrap().1.clone();
            assert_eq!(said, state.failed.join(", "), "it names what failed");
            assert_eq!(out.state, state, "nothing changes");
            let out = say(&state, command.clone(), &["analysis_failed"]);
            assert_eq!(out.refusal, None, "{command:?}");
        }
        // Back, and once more, are free.
        for command in [Command::Abort, Command::Resume, Command::Retry, Command::Pause] {
            if state.may(command.word()) {
                assert_eq!(say(&state, command.clone(), &[]).refusal, None, "{command:?}");
            }
        }
    }
    // Once more is no way past it: the time of the step is over, and it waits for a look that passes.
    for command in [Command::Resume, Command::Retry] {
        let failed = judged(failed, Some(PauseReason::Failed));
        let resumed = say(&failed, command.clone(), &[]).state;
        assert_eq!((resumed.phase, resumed.step), (Phase::Running, 1), "{command:?}");
        let ready = sluice::release::Pods { wanted: 3, ready: 3 };
        let world = sluice::release::World { stable: ready, candidate: ready, ..Default::default() };
        let event = Event::World(world);
        let later = step(&spec, &resumed, &Observation { now_ms: 500_000, event });
        assert_eq!((later.state.phase, later.state.step), (Phase::Running, 1), "{command:?}");
        assert!(later.state.overrules_analysis(Word::Promote), "what failed still has to be accepted");
    }
    for state in
        [judged(Some(Verdict::Pass), None), judged(Some(Verdict::Undecided), None), judged(None, None)]
    {
        assert!(!state.overrules_analysis(Word::Promote));
        assert_eq!(say(&state, Command::Promote, &[]).refusal, None);
    }
}

#[test]
fn what_failed_has_to_be_accepted_until_a_look_passes_whatever_comes_between() {
    let mut spec = spec();
    spec.policies.on_failure = OnFailure::Pause;
    let say = |state: &State, command: Command, ack: &[&str]| {
        let ack = ack.iter().map(|code| (*code).to_owned()).collect();
        let event = Event::Accepting { command, by: "amy".into(), ack };
        step(&spec, state, &Observation { now_ms: 1_000, event }).state
    };
    let look = |state: &State, seen: Seen| {
        let mut state = state.clone();
        state.pending = vec![Action { id: 90, kind: ActionKind::Measure }];
        let event = Event::Measured { action: 90, seen };
        step(&spec, &state, &Observation { now_ms: 2_000, event }).state
    };
    let counted = |requests: f64, errors: f64| Seen {
        candidate: Some(Counts { requests, errors, ..Counts::default() }),
        ..Seen::default()
    };
    let down = || Seen { error: Some("down".into()), ..Seen::default() };
    let asks = |state: &State| {
        let both = [Word::Promote, Word::PromoteAll].map(|word| state.overrules_analysis(word));
        assert_eq!(both[0], both[1]);
        both[0]
    };
    let fails = look(&judged(None, None), counted(1_000.0, 100.0));
    let paused = look(&fails, counted(1_000.0, 100.0));
    assert_eq!(paused.pause_reason(), Some(PauseReason::Failed));
    for command in [Command::Resume, Command::Retry] {
        let resumed = say(&paused, command, &[]);
        assert_eq!(resumed.phase, Phase::Running);
        // Too few requests, no figures at all, a source that is down: none of them is a pass.
        for seen in [counted(5.0, 0.0), Seen::default(), down()] {
            let later = look(&resumed, seen);
            assert!(later.latest != Some(Verdict::Fail) && asks(&later), "{later:?}");
            assert_eq!(later.analysis_failed().args[0].1, "success_rate", "it names what failed");
            assert!(!asks(&look(&later, counted(1_000.0, 0.0))), "a pass takes it back");
        }
        // Accepted once, for this step: the next one waits for a look of its own.
        let mut next = say(&resumed, Command::Promote, &["analysis_failed"]);
        assert_eq!((next.step, next.latest), (2, None));
        assert!(asks(&next));
        next.pending.clear();
        assert!(!asks(&look(&State { stage: Stage::Soaking, ..next }, counted(1_000.0, 0.0))));
    }
    // A new attempt of the same candidate has to be accepted until a look of it passes.
    let over = State { phase: Phase::RolledBack, paused: None, ..paused.clone() };
    let mut again = say(&over, Command::Retry, &[]);
    assert!(again.phase == Phase::Running && again.latest.is_none() && asks(&again), "{again:?}");
    assert_eq!(again.analysis_failed().args[0].1, "success_rate", "it names what failed");
    again.pending.clear();
    (again.step, again.stage) = (1, Stage::Soaking);
    assert!(asks(&look(&again, down())), "no figures are no pass");
    assert!(!asks(&look(&again, counted(1_000.0, 0.0))), "a pass takes it back");
    // What did not fail needs nothing.
    let calm = look(&judged(None, None), counted(1_000.0, 0.0));
    let over = State { phase: Phase::RolledBack, paused: None, ..calm };
    assert!(!asks(&say(&over, Command::Retry, &[])));
}
