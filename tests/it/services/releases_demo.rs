//! Releases on the demo's own traffic to their ends, by a clock that the test turns second by second.

use sluice::app::{demo_releases, demo_source};
use sluice::clock::Clock;
use sluice::demo::Demo;
use sluice::demo::controller::{Controller, Start};
use sluice::demo::traffic::Generator;
use sluice::domain::release::{
    Candidate, Command, PauseReason, Phase, Release, ReleaseId, Spec, Stage, Strategy, Template, Verdict,
};

use crate::support::house::{House, at};

/// The demo, second by second.
struct Turned {
    house: House,
    demo: Demo,
    controller: Controller,
    traffic: Generator,
}

impl Turned {
    async fn new() -> Self {
        let clock = Clock::manual(1_763_600_000_000);
        let (demo, controller) = Demo::releasing(clock.clone(), 2_026);
        let mut traffic = demo.generator(2_026);
        let now_s = clock.now_ms().div_euclid(1_000);
        for at_s in now_s - 60..now_s {
            traffic.second(&demo.world(), at_s);
        }
        let house = House::of_demo(&demo, clock, demo_source(&demo)).await;
        Self { house, demo, controller, traffic }
    }

    async fn second(&mut self, ids: &[ReleaseId]) {
        self.house.clock.advance_ms(1_000);
        let now_ms = self.house.clock.now_ms();
        self.traffic.second(&self.demo.world(), now_ms.div_euclid(1_000));
        self.controller.reconcile(Start::Takes);
        for id in ids {
            self.house
                .until("the engine waits for time, pods or a person", async |house| {
                    let release = house.phase(*id).await;
                    waits(house, &release, now_ms).then_some(())
                })
                .await;
        }
    }

    /// Seconds of the demo's time until it is so.
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

/// True when nothing more comes of this second: what is to come needs time, a pod or a person.
fn waits(house: &House, release: &Release, now_ms: i64) -> bool {
    let state = &release.state;
    if !state.pending.is_empty() {
        return false;
    }
    let later = state.measure_ms.is_none_or(|at| at > now_ms);
    match (state.phase, state.stage) {
        (Phase::Running, Stage::Soaking) => {
            let over = state.due_ms.is_none_or(|due| due <= now_ms);
            later && !(over && state.latest == Some(Verdict::Pass))
        }
        (Phase::Running, Stage::Preflight) => {
            let snapshot = house.cache.snapshot(release.at());
            let pods = snapshot.and_then(|snapshot| {
                let found = snapshot.versions.iter().find(|version| version.name == *release.candidate());
                found.map(|version| (version.ready, version.workloads.iter().map(|one| one.wanted).sum()))
            });
            state.deployed && pods.is_some_and(|(ready, wanted): (u32, u32)| ready < wanted)
        }
        (phase, _) => phase == Phase::Paused || phase.is_final(),
    }
}

fn paused(release: &Release, reason: PauseReason) -> bool {
    release.state.phase == Phase::Paused && release.state.pause_reason() == Some(reason)
}

#[tokio::test]
async fn both_releases_of_the_demo_come_to_their_ends_on_its_own_traffic() {
    let mut turned = Turned::new().await;
    let mut ids = Vec::new();
    for spec in demo_releases() {
        ids.push(turned.house.start(spec).await.id);
    }
    // A visitor sees the first reach its approval after about two minutes: two of holds, and what the analysis needs.
    let took_s = turned.until(&ids, 200, |all| paused(&all[0], PauseReason::Gate)).await;
    assert!(took_s >= 120, "each step is held and measured: {took_s} s");
    // The other pauses itself within the four minutes that the demo speaks of when it begins.
    let later_s = turned.until(&ids, 200, |all| paused(&all[1], PauseReason::Failed)).await;
    assert!(took_s + later_s <= 240, "{took_s} s, then {later_s} s");
    turned.house.say(ids[0], Command::Promote).await.unwrap();
    turned.house.say(ids[1], Command::Abort).await.unwrap();
    let good = turned.house.until_final(ids[0], Phase::Succeeded).await;
    let bad = turned.house.until_final(ids[1], Phase::RolledBack).await;
    assert_eq!((good.share(), bad.share()), (100, 0));
}

#[tokio::test]
async fn a_release_by_the_default_template_on_a_quiet_service_gets_past_its_smallest_share() {
    let mut turned = Turned::new().await;
    let details = at("bookinfo", "details");
    let rate = {
        let snapshot = turned.house.cache.snapshot(&details).unwrap();
        let (namespace, window_s) = (&snapshot.service.at.namespace, 60);
        let samples = turned.demo.counters.window(namespace, window_s);
        let of = samples.iter().filter(|sample| *sample.service == *"details");
        of.map(|sample| sample.requests).sum::<f64>() / 60.0
    };
    assert!(rate > 1.0, "{rate}");
    let template = Template::Careful;
    let spec = Spec {
        service: details,
        strategy: Strategy::Canary,
        stable: "v1".into(),
        candidate: Candidate::Image {
            version: "v9".into(),
            image: "istio/examples-bookinfo-details-v9:1.20.3".into(),
            replicas: None,
            in_place: false,
        },
        steps: template.steps(Strategy::Canary, 1),
        analysis: Some(template.analysis_at(Strategy::Canary, 1, Some(rate))),
        policies: template.policies(),
        name: String::new(),
    };
    let id = turned.house.start(spec).await.id;
    // The smallest share brings the fewest requests; each later one is judged sooner.
    let took_s =
        turned.until(&[id], 900, |all| all[0].state.step >= 2 || all[0].state.paused.is_some()).await;
    let release = turned.house.phase(id).await;
    assert_eq!(release.state.paused, None, "it pauses itself after {took_s} s");
    assert!(took_s >= 600, "the step is held: {took_s} s");
    assert!(turned.house.api.get("Deployment", "bookinfo", "details-v9").is_some());
}
