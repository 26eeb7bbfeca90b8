//! The releases that the demo begins with, on the demo's own traffic to their ends, by a clock that the test turns.

use sluice::app::{demo_releases, demo_source};
use sluice::clock::Clock;
use sluice::demo::Demo;
use sluice::demo::controller::{Controller, Start};
use sluice::demo::traffic::Generator;
use sluice::domain::release::{Command, PauseReason, Phase, Release, ReleaseId, Stage};

use crate::support::house::House;

/// The demo, second by second.
struct Turned {
    house: House,
    demo: Demo,
    controller: Controller,
    traffic: Generator,
}

impl Turned {
    async fn second(&mut self, ids: &[ReleaseId]) {
        self.house.clock.advance_ms(1_000);
        let now_ms = self.house.clock.now_ms();
        self.traffic.second(&self.demo.world(), now_ms.div_euclid(1_000));
        self.controller.reconcile(Start::Takes);
        // The engine has seen this second when none of its timers is behind it and nothing is under way.
        for id in ids {
            self.house
                .until("the engine has seen this second", async |house| {
                    let state = house.phase(*id).await.state;
                    let holds = state.phase == Phase::Running && state.stage == Stage::Soaking;
                    let later = state.measure_ms.is_none_or(|at| at > now_ms);
                    (state.pending.is_empty() && (!holds || later)).then_some(())
                })
                .await;
        }
    }

    async fn until(&mut self, ids: &[ReleaseId], most_s: i64, there: impl Fn(&[Release]) -> bool) -> i64 {
        let begun_ms = self.house.clock.now_ms();
        loop {
            let mut all = Vec::new();
            for id in ids {
                all.push(self.house.phase(*id).await);
            }
            let took_s = (self.house.clock.now_ms() - begun_ms) / 1_000;
            if there(&all) {
                return took_s;
            }
            let states: Vec<_> = all.iter().map(|release| &release.state).collect();
            assert!(took_s < most_s, "not in {most_s} s: {states:?}");
            self.second(ids).await;
        }
    }
}

#[tokio::test]
async fn both_releases_of_the_demo_come_to_their_ends_on_its_own_traffic() {
    let clock = Clock::manual(1_763_600_000_000);
    let (demo, controller) = Demo::releasing(clock.clone(), 2_026);
    let mut traffic = demo.generator(2_026);
    let now_s = clock.now_ms().div_euclid(1_000);
    for at_s in now_s - 60..now_s {
        traffic.second(&demo.world(), at_s);
    }
    let house = House::of_demo(&demo, clock, demo_source(&demo)).await;
    let mut ids = Vec::new();
    for spec in demo_releases() {
        ids.push(house.start(spec).await.id);
    }
    let mut turned = Turned { house, demo, controller, traffic };
    let gate = |release: &Release| release.state.pause_reason() == Some(PauseReason::Gate);
    // A visitor sees the first reach its approval within about three minutes.
    let took_s = turned.until(&ids, 200, |all| gate(&all[0])).await;
    assert!(took_s >= 120, "each step is measured: {took_s} s");
    let failed = |release: &Release| release.state.pause_reason() == Some(PauseReason::Failed);
    turned.until(&ids, 200, |all| failed(&all[1])).await;
    turned.house.say(ids[0], Command::Promote).await.unwrap();
    turned.house.say(ids[1], Command::Abort).await.unwrap();
    let ended =
        |all: &[Release]| (all[0].state.phase, all[1].state.phase) == (Phase::Succeeded, Phase::RolledBack);
    turned.until(&ids, 60, ended).await;
}
