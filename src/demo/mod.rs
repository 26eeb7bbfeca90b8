//! The demo: a Kubernetes API in memory, the sample applications in it, and traffic that obeys its objects.
//!
//! Started by `app` for `sluice demo`; the API server is also the cluster of the tests. Uses `domain` and `clock`
//! only: whatever Sluice does to this cluster, it does over the wire, as to any other.

pub mod api;

pub mod seed;

pub mod controller;
pub mod pods;
mod slices;

pub mod random;
pub mod router;
pub mod world;

pub mod apps;
pub mod traffic;

pub mod pages;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use self::api::{ApiServer, Failure};
use self::controller::{Controller, Start};
use self::random::Random;
use self::seed::Seeded;
use self::traffic::Generator;
use self::traffic::counters::Counters;
use self::world::World;
use crate::clock::Clock;

/// How many seconds of traffic are there when the demo starts.
const PAST_S: i64 = 60;
/// How many more are added behind the scenes, so that the window of five minutes is full soon.
const FURTHER_PAST_S: i64 = 300;
const SEED: u64 = 2_026;

/// The running demo. Clones share everything.
#[derive(Clone)]
pub struct Demo {
    /// The cluster.
    pub api: ApiServer,
    /// What the mesh counted.
    pub counters: Arc<Counters>,
    clock: Clock,
    shared: Arc<Shared>,
}

struct Shared {
    /// The latest reading of the cluster, and the revision at which it was read.
    world: Mutex<(u64, Arc<World>)>,
    random: Mutex<Random>,
}

impl Demo {
    /// Fills a cluster with the sample applications, gives it a past, and keeps pods and traffic going until
    /// `stop`. Must be called inside a tokio runtime.
    pub fn start(clock: Clock, stop: &CancellationToken) -> Self {
        let (demo, controller) = Self::filled(clock, SEED, seed::being_released());
        let now_s = demo.now_s();
        let mut generator = demo.generator(SEED);
        demo.backfill(&mut generator, now_s - PAST_S..now_s);
        tokio::spawn(controller.run(stop.clone()));
        tokio::spawn(demo.clone().keep_going(generator, stop.clone()));
        demo
    }

    /// The same without any task, and without the services that releases are about: nothing moves unless it
    /// is called. For tests.
    pub fn still(clock: Clock, seed: u64) -> (Self, Controller) {
        Self::filled(clock, seed, Vec::new())
    }

    /// The same with the services that releases are about.
    pub fn releasing(clock: Clock, seed: u64) -> (Self, Controller) {
        Self::filled(clock, seed, seed::being_released())
    }

    fn filled(clock: Clock, seed: u64, more: Vec<Seeded>) -> (Self, Controller) {
        let api = ApiServer::new(clock.clone());
        let mut failures = populate(&api);
        failures.extend(more.into_iter().filter_map(|one| api.put_as(one.object, one.manager).err()));
        for failure in failures {
            // A test shows that there is none.
            tracing::error!(?failure, "the demo could not store an object");
        }
        let mut controller = Controller::new(api.clone(), clock.clone());
        controller.reconcile(Start::AlreadyUp);
        let shared = Shared {
            world: Mutex::new((api.revision(), Arc::new(World::read(&api)))),
            random: Mutex::new(Random::new(seed)),
        };
        let counters = Arc::new(Counters::new(clock.clone()));
        (Self { api, counters, clock, shared: Arc::new(shared) }, controller)
    }

    /// A source of traffic in this cluster.
    pub fn generator(&self, seed: u64) -> Generator {
        Generator::new(self.counters.clone(), seed)
    }

    /// The cluster as its proxies know it now.
    pub fn world(&self) -> Arc<World> {
        // Before reading: what changes meanwhile is read the next time.
        let revision = self.api.revision();
        let mut latest = self.shared.world.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.0 != revision {
            *latest = (revision, Arc::new(World::read(&self.api)));
        }
        latest.1.clone()
    }

    async fn keep_going(self, mut generator: Generator, stop: CancellationToken) {
        let mut every_second = tokio::time::interval(Duration::from_secs(1));
        every_second.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut past_s = self.now_s() - PAST_S;
        let oldest_s = past_s - FURTHER_PAST_S;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = every_second.tick() => {}
            }
            generator.second(&self.world(), self.now_s());
            // A little of the past with every second, newest first, so that no page has to wait for it.
            let from_s = (past_s - 10).max(oldest_s);
            self.backfill(&mut generator, from_s..past_s);
            past_s = from_s;
        }
    }

    fn backfill(&self, generator: &mut Generator, seconds: std::ops::Range<i64>) {
        let world = self.world();
        for at_s in seconds.rev() {
            generator.second(&world, at_s);
        }
    }

    fn now_s(&self) -> i64 {
        self.clock.now_ms().div_euclid(1000)
    }

    fn random(&self) -> MutexGuard<'_, Random> {
        self.shared.random.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stores the sample applications, without their pods; returns what could not be stored.
pub fn populate(api: &ApiServer) -> Vec<Failure> {
    let all = seed::objects().into_iter();
    all.filter_map(|seeded| api.put_as(seeded.object, seeded.manager).err()).collect()
}
