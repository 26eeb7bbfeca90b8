//! Holds and the clock on the wall: a clock that is set shortens nothing, time in which nobody drove counts for a
//! hold but not for its figures.

use sluice::domain::release::analysis::{Counts, Seen};
use sluice::domain::release::state::ActionKind;
use sluice::domain::release::{Command, Happened, PauseReason, Phase, Step, Strategy};
use sluice::release::Event;

use super::model::{Cluster, Dice, Life};

const HOUR_MS: i64 = 3_600_000;

/// A release that holds at 10 % for ten minutes, with looks every ten seconds.
fn holding(analysis: bool) -> (Life, Cluster, Dice) {
    let steps =
        vec![Step::Weight { percent: 10 }, Step::Hold { seconds: 600 }, Step::Weight { percent: 100 }];
    let mut spec = super::spec(Strategy::Canary, steps);
    spec.analysis = analysis.then(super::analysis);
    let (mut life, mut cluster, mut dice) = (Life::new(spec), Cluster::new(), Dice(17));
    life.see(Event::Told { command: Command::Start, by: "amy".into() });
    while life.state.due_ms.is_none() {
        turn(&mut life, &mut cluster, &mut dice, 1_000);
    }
    assert_eq!((life.state.phase, life.state.step), (Phase::Running, 1));
    (life, cluster, dice)
}

fn turn(life: &mut Life, cluster: &mut Cluster, dice: &mut Dice, ms: i64) {
    life.now_ms += ms;
    cluster.breathe();
    life.see(Event::World(cluster.world()));
    if life.state.pending.iter().all(|action| action.kind != ActionKind::Measure) {
        life.drive(cluster, dice, true);
    }
}

/// Answers the look that is under way, if there is one.
fn look(life: &mut Life, errors: f64) -> bool {
    let Some(action) = life.state.pending.iter().find(|action| action.kind == ActionKind::Measure) else {
        return false;
    };
    let action = action.id;
    let counts = |errors: f64| Some(Counts { requests: 1_000.0, errors, ..Counts::default() });
    let seen = Seen { candidate: counts(errors), stable: counts(0.0), ..Seen::default() };
    life.see(Event::Measured { action, seen });
    true
}

#[test]
fn a_clock_that_is_set_ahead_or_back_moves_the_timers_with_it() {
    for by_ms in [HOUR_MS, -HOUR_MS, 24 * HOUR_MS] {
        let (mut life, mut cluster, mut dice) = holding(false);
        let left = life.state.due_ms.unwrap() - life.now_ms;
        life.now_ms += by_ms;
        let out = life.see(Event::ClockMoved { by_ms });
        assert_eq!(out.happened, [Happened::ClockMoved { by_ms }]);
        assert_eq!(life.state.due_ms, Some(life.now_ms + left));
        turn(&mut life, &mut cluster, &mut dice, left - 1);
        assert_eq!((life.state.phase, life.state.step), (Phase::Running, 1), "{by_ms}");
        turn(&mut life, &mut cluster, &mut dice, 1);
        assert!(life.state.step > 1, "{by_ms}");
    }
}

#[test]
fn what_is_to_begin_at_a_time_of_the_wall_begins_at_that_time() {
    let mut spec = super::spec(Strategy::Canary, vec![Step::Weight { percent: 100 }]);
    spec.policies.start_at_ms = Some(1_000_000 + HOUR_MS);
    let mut life = Life::new(spec);
    life.see(Event::Told { command: Command::Start, by: "amy".into() });
    life.now_ms += HOUR_MS;
    life.see(Event::ClockMoved { by_ms: HOUR_MS });
    assert_eq!(life.state.phase, Phase::Running);
}

#[test]
fn after_a_time_without_a_driver_a_hold_waits_for_a_new_pass() {
    let (mut life, mut cluster, mut dice) = holding(true);
    for _ in 0..30 {
        turn(&mut life, &mut cluster, &mut dice, 1_000);
        look(&mut life, 0.0);
    }
    assert!(life.state.passes >= 2, "{:?}", life.state);
    // Down for longer than the hold, and than its deadline; the last look was a pass.
    life.now_ms += HOUR_MS;
    life.see(Event::Restarted);
    turn(&mut life, &mut cluster, &mut dice, 100);
    assert_eq!((life.state.phase, life.state.step), (Phase::Running, 1), "no sample is younger than an hour");
    let mut asked = 0;
    while asked == 0 {
        turn(&mut life, &mut cluster, &mut dice, 1_000);
        asked += u32::from(look(&mut life, 0.0));
    }
    turn(&mut life, &mut cluster, &mut dice, 100);
    assert!(life.state.step > 1, "its time is over, and a new look passed");
}

#[test]
fn passes_with_an_hour_between_them_are_not_in_a_row() {
    let (mut life, mut cluster, mut dice) = holding(true);
    life.spec.steps[1] = Step::Analysis { passes: 100 };
    for _ in 0..30 {
        turn(&mut life, &mut cluster, &mut dice, 1_000);
        look(&mut life, 0.0);
    }
    assert!(life.state.passes >= 2);
    life.now_ms += HOUR_MS;
    life.see(Event::Restarted);
    while !look(&mut life, 0.0) {
        turn(&mut life, &mut cluster, &mut dice, 1_000);
    }
    assert_eq!(life.state.passes, 1);
}

#[test]
fn figures_that_never_come_back_still_end_in_what_the_policy_says() {
    let (mut life, mut cluster, mut dice) = holding(true);
    life.now_ms += HOUR_MS;
    life.see(Event::Restarted);
    for _ in 0..120 {
        turn(&mut life, &mut cluster, &mut dice, 1_000);
    }
    assert_eq!(life.state.pause_reason(), Some(PauseReason::NoData), "{:?}", life.state);
}
