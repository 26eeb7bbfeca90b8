//! Ten thousand random lives: crashes, lost answers, answers that come twice, clocks that jump, edits by
//! others and commands at any moment. Whatever happens, the promises hold.

use sluice::domain::release::{
    Candidate, Command, OnDrift, OnFailure, PauseReason, Phase, Step, Strategy, Template, Word,
};
use sluice::release::Event;

use super::model::{Cluster, Dice, Life};
use super::table::command;

fn life(dice: &mut Dice) -> Life {
    let strategy = Strategy::ALL[usize::try_from(dice.roll(5)).unwrap()];
    let template = Template::ALL[usize::try_from(dice.roll(3)).unwrap()];
    let mut spec = super::spec(strategy, template.steps(strategy, 4));
    if strategy == Strategy::AbTest {
        let on = sluice::domain::routing::Subject::Header("x-user".into());
        let condition = sluice::domain::routing::Condition {
            on,
            op: sluice::domain::routing::Op::Exact,
            value: "beta".into(),
        };
        spec.steps[0] = Step::Rules { when: vec![vec![condition]] };
    }
    spec.analysis = (dice.roll(2) == 0).then(super::analysis);
    spec.policies.on_failure = if dice.roll(2) == 0 { OnFailure::Pause } else { OnFailure::Abort };
    spec.policies.on_deadline = if dice.roll(2) == 0 { OnFailure::Pause } else { OnFailure::Abort };
    spec.policies.on_drift = match dice.roll(3) {
        0 => OnDrift::Pause,
        1 => OnDrift::Reassert,
        _ => OnDrift::Adopt,
    };
    spec.policies.delete_after_abort = dice.roll(2) == 0;
    spec.policies.second_person = dice.roll(8) == 0;
    if let Candidate::Image { in_place, .. } = &mut spec.candidate {
        *in_place = strategy == Strategy::Replicas && dice.roll(2) == 0;
    }
    Life::new(spec)
}

fn check(life: &Life, cluster: &Cluster, before: &(u32, Option<(u8, u8)>, u32), seed: u64) {
    let (made, weights, ready) = *before;
    if let Some((candidate, stable)) = cluster.weights {
        assert_eq!(u32::from(candidate) + u32::from(stable), 100, "life {seed}");
    }
    let was = weights.map_or(0, |(candidate, _)| candidate);
    let is = cluster.weights.map_or(0, |(candidate, _)| candidate);
    let by_us = cluster.outside.is_none();
    assert!(is <= was || !by_us || ready > 0, "life {seed}: raised from {was} to {is} without a ready pod");
    // A version that was taken away may be made again by a retry; never twice at a time.
    assert!(cluster.made <= made + 1, "life {seed}");
    assert!(life.state.pending.iter().map(|action| action.id).all(|id| id < life.state.next_action));
}

#[test]
fn ten_thousand_lives_keep_every_promise() {
    let mut ends = std::collections::BTreeMap::new();
    for seed in 1..=10_000_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut cluster = Cluster::new();
        cluster.candidate.broken = dice.roll(6) == 0;
        cluster.error_percent = if dice.roll(4) == 0 { 5.0 } else { 0.0 };
        let mut life = life(&mut dice);
        if dice.roll(3) == 0 {
            cluster.weights = Some((0, 100));
        }
        life.see(Event::Told { command: Command::Start, by: "amy".into() });
        for _ in 0..200 {
            if life.is_over() {
                break;
            }
            match dice.roll(40) {
                0 => cluster.edit(u8::try_from(dice.roll(101)).unwrap()),
                1 => life.now_ms += i64::try_from(dice.roll(7_200_000)).unwrap(),
                2 => life.now_ms -= i64::try_from(dice.roll(600_000)).unwrap(),
                3 => {
                    cluster.stable.pods.ready = 0;
                    cluster.stable.broken = dice.roll(8) == 0;
                }
                4..=6 => {
                    let word = Word::ALL[usize::try_from(dice.roll(Word::ALL.len() as u64)).unwrap()];
                    let by = if dice.roll(2) == 0 { "amy" } else { "bob" };
                    let out = life.see(Event::Told { command: command(word), by: by.into() });
                    assert!(out.refusal.is_none() || out.happened.is_empty());
                }
                7 => drop(life.see(Event::Restarted)),
                8 => drop(life.see(Event::Tick)),
                9 => {
                    // Somebody sets the clock while it is driven.
                    let by_ms = i64::try_from(dice.roll(7_200_000)).unwrap() - 3_600_000;
                    life.now_ms += by_ms;
                    life.see(Event::ClockMoved { by_ms });
                }
                _ => {}
            }
            life.now_ms += i64::try_from(dice.roll(30_000)).unwrap();
            cluster.breathe();
            life.see(Event::World(cluster.world()));
            let before = (cluster.made, cluster.weights, cluster.candidate.pods.ready);
            life.drive(&mut cluster, &mut dice, false);
            check(&life, &cluster, &before, seed);
        }
        // From now on nothing goes wrong any more: it ends, or says whom it waits for.
        for _ in 0..4_000 {
            if life.is_over() || life.waits_for_a_person() && life.state.pending.is_empty() {
                break;
            }
            life.now_ms += 20_000;
            cluster.breathe();
            life.see(Event::World(cluster.world()));
            life.drive(&mut cluster, &mut dice, true);
        }
        let phase = life.state.phase;
        assert!(
            life.is_over() || life.waits_for_a_person(),
            "life {seed} hangs in {phase:?}: {:?}",
            life.state
        );
        let mesh = life.spec.strategy != Strategy::Replicas;
        let untouched = cluster.outside.is_none();
        if phase == Phase::RolledBack && mesh && untouched {
            assert_eq!(cluster.weights.map_or(0, |(candidate, _)| candidate), 0, "life {seed}");
        }
        if phase == Phase::Succeeded && mesh && untouched && life.state.removed.is_empty() {
            assert_eq!(cluster.weights, Some((100, 0)), "life {seed}");
        }
        if phase == Phase::NeedsAttention {
            assert!(life.state.needs.is_some(), "life {seed} does not say what it needs");
        }
        *ends.entry(phase).or_insert(0_u32) += 1;
    }
    for phase in [Phase::Succeeded, Phase::RolledBack, Phase::Paused, Phase::NeedsAttention] {
        assert!(ends.get(&phase).is_some_and(|n| *n > 50), "the lives are too much alike: {ends:?}");
    }
}

#[test]
fn an_undisturbed_release_of_each_strategy_succeeds() {
    for strategy in Strategy::ALL {
        for template in Template::ALL {
            let mut dice = Dice(7);
            let mut cluster = Cluster::new();
            let mut life = Life::new(super::spec(strategy, template.steps(strategy, 4)));
            life.see(Event::Told { command: Command::Start, by: "amy".into() });
            for _ in 0..3_000 {
                if life.is_over() {
                    break;
                }
                if life.state.pause_reason() == Some(PauseReason::Gate) {
                    life.see(Event::Told { command: Command::Promote, by: "amy".into() });
                }
                life.now_ms += 20_000;
                cluster.breathe();
                life.see(Event::World(cluster.world()));
                life.drive(&mut cluster, &mut dice, true);
            }
            assert_eq!(life.state.phase, Phase::Succeeded, "{strategy:?} {template:?}: {:?}", life.state);
            assert_eq!(cluster.made, 1);
        }
    }
}

#[test]
fn a_bad_version_is_stopped_by_its_second_failure_and_traffic_goes_back() {
    let mut dice = Dice(11);
    let mut cluster = Cluster::new();
    cluster.error_percent = 5.0;
    let steps =
        vec![Step::Weight { percent: 10 }, Step::Hold { seconds: 600 }, Step::Weight { percent: 100 }];
    let mut spec = super::spec(Strategy::Canary, steps);
    spec.analysis = Some(super::analysis());
    let mut life = Life::new(spec);
    life.see(Event::Told { command: Command::Start, by: "amy".into() });
    let mut highest = 0;
    for _ in 0..200 {
        life.now_ms += 1_000;
        cluster.breathe();
        life.see(Event::World(cluster.world()));
        life.drive(&mut cluster, &mut dice, true);
        highest = highest.max(cluster.weights.map_or(0, |(candidate, _)| candidate));
        if life.is_over() {
            break;
        }
    }
    assert_eq!((life.state.phase, highest), (Phase::RolledBack, 10));
    assert_eq!(cluster.weights, Some((0, 100)));
    assert!(life.now_ms < 1_000_000 + 120_000, "within a few looks, not at the end of the hold");
}

#[test]
fn an_abort_gives_the_stable_version_its_pods_back_before_it_gets_requests() {
    let mut dice = Dice(3);
    let mut cluster = Cluster::new();
    let steps = vec![
        Step::Weight { percent: 50 },
        Step::Replicas { candidate: 4, stable: Some(1) },
        Step::Hold { seconds: 600 },
        Step::Weight { percent: 100 },
    ];
    let mut life = Life::new(super::spec(Strategy::Canary, steps));
    life.see(Event::Told { command: Command::Start, by: "amy".into() });
    for _ in 0..30 {
        life.now_ms += 1_000;
        cluster.breathe();
        life.see(Event::World(cluster.world()));
        life.drive(&mut cluster, &mut dice, true);
    }
    assert_eq!((cluster.stable.pods.wanted, cluster.weights), (1, Some((50, 50))));
    life.see(Event::Told { command: Command::Abort, by: "amy".into() });
    for _ in 0..60 {
        life.now_ms += 1_000;
        let had = cluster.weights;
        life.see(Event::World(cluster.world()));
        life.drive(&mut cluster, &mut dice, true);
        if had != cluster.weights {
            assert_eq!(cluster.stable.pods.ready, 4, "requests went back before the pods were there");
        }
        cluster.breathe();
    }
    assert_eq!(life.state.phase, Phase::RolledBack);
    assert_eq!(cluster.weights, Some((0, 100)));
}

#[test]
fn a_pause_stops_the_timer_and_resuming_gives_the_rest_back() {
    let mut dice = Dice(5);
    let mut cluster = Cluster::new();
    let steps =
        vec![Step::Weight { percent: 10 }, Step::Hold { seconds: 600 }, Step::Weight { percent: 100 }];
    let mut life = Life::new(super::spec(Strategy::Canary, steps));
    life.see(Event::Told { command: Command::Start, by: "amy".into() });
    let mut turn = |life: &mut Life, ms: i64| {
        life.now_ms += ms;
        cluster.breathe();
        life.see(Event::World(cluster.world()));
        life.drive(&mut cluster, &mut dice, true);
    };
    for _ in 0..12 {
        turn(&mut life, 1_000);
    }
    let left = life.state.due_ms.expect("it holds") - life.now_ms;
    life.see(Event::Told { command: Command::Pause, by: "amy".into() });
    for _ in 0..10 {
        turn(&mut life, 3_600_000);
    }
    assert_eq!((life.state.phase, life.state.step), (Phase::Paused, 1));
    life.see(Event::Told { command: Command::Resume, by: "amy".into() });
    assert_eq!(life.state.due_ms, Some(life.now_ms + left));
}
