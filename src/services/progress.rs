//! Whether requests follow what was written. One task looks at each service that was changed lately, as often as
//! figures come, and keeps when a change was first seen; all others read what it found, so that the metrics
//! are asked once, however many pages are open. Called by `traffic` after a write and by `catalog` for every service.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::domain::agreement::Beside;
use crate::domain::audit::Entry;
use crate::domain::ids::{Revision, ServiceRef};
use crate::domain::observed::{Observed, interval as wilson};
use crate::domain::overview::Happening;
use crate::domain::progress::{Progress, SoFar, Steps};
use crate::metrics::Health;
use crate::store::ServiceState;

use super::Services;

/// How often the task looks; the figures themselves are read less often.
const LOOK: Duration = Duration::from_secs(1);
/// How long proxies may take until they follow what was written.
const SPREADING_MS: i64 = 3_000;
/// After this time it is looked at no longer.
const GIVEN_UP_MS: i64 = 900_000;
/// Services that are remembered; those that are done go first.
const REMEMBERED: usize = 4_096;

/// What was found of changes that were made lately.
#[derive(Default)]
pub(super) struct Followed(Mutex<HashMap<ServiceRef, One>>);

#[derive(Clone)]
struct One {
    revision: Revision,
    steps: Steps,
    so_far: SoFar,
    /// Nothing more will be found.
    done: bool,
}

impl Followed {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<ServiceRef, One>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, at: &ServiceRef, one: One) {
        self.with(|all| {
            if all.len() >= REMEMBERED {
                all.retain(|_, one| !one.done);
            }
            // What is taken up late must not replace what was made since.
            if all.get(at).is_none_or(|known| known.revision < one.revision) {
                all.insert(at.clone(), one);
            }
        });
    }

    fn found(&self, at: &ServiceRef, revision: Revision) -> Option<SoFar> {
        self.with(|all| all.get(at).filter(|one| one.revision == revision).map(|one| one.so_far))
    }

    /// Those that are still to be looked at.
    fn open(&self) -> Vec<(ServiceRef, One)> {
        self.with(|all| {
            all.iter().filter(|(_, one)| !one.done).map(|(at, one)| (at.clone(), one.clone())).collect()
        })
    }

    /// Keeps what was found, unless another change was made meanwhile; true when it is new.
    fn keep(&self, at: &ServiceRef, revision: Revision, so_far: SoFar, done: bool) -> bool {
        self.with(|all| {
            let Some(one) = all.get_mut(at).filter(|one| one.revision == revision) else { return false };
            one.done = done;
            std::mem::replace(&mut one.so_far, so_far) != so_far
        })
    }
}

impl Services {
    /// Follows a change that was written from now on; how far it has come.
    pub(super) fn follow(&self, at: &ServiceRef, entry: &Entry) -> Option<Progress> {
        let outcome = entry.outcome.as_ref()?;
        let steps = Steps::of(&entry.intent, outcome)?;
        let revision = outcome.revision?;
        let so_far = self.at_first(&steps);
        let done = !matches!(so_far, SoFar::Few { .. });
        self.inner.followed.add(at, One { revision, steps: steps.clone(), so_far, done });
        Some(Progress { revision, steps, so_far: Some(so_far) })
    }

    /// How far the change has come that made a service's revision; `None` when it was not made here.
    pub(super) fn progress_of(&self, at: &ServiceRef, state: &ServiceState) -> Option<Progress> {
        let steps = state.steps.clone()?;
        let so_far = self.inner.followed.found(at, state.revision);
        Some(Progress { revision: state.revision, steps, so_far })
    }

    fn at_first(&self, steps: &Steps) -> SoFar {
        if steps.by.is_none() {
            SoFar::Unmoved
        } else if self.inner.metrics.health() == Health::Absent {
            SoFar::Blind
        } else {
            SoFar::Few { requests: 0.0 }
        }
    }

    /// What requests since the write show, and when those figures were read.
    async fn since_written(&self, at: &ServiceRef, steps: &Steps) -> Option<(SoFar, i64)> {
        let (version, weight) = steps.by.as_ref()?;
        let snapshot = self.inner.cache.snapshot(at)?;
        let now_ms = self.inner.clock.now_ms();
        let Ok(seen) = self.inner.metrics.since(&snapshot, steps.written_ms + SPREADING_MS).await else {
            return Some((SoFar::Blind, now_ms));
        };
        let Some(seen) = seen else { return Some((SoFar::Few { requests: 0.0 }, now_ms)) };
        if seen.too_few() {
            return Some((SoFar::Few { requests: seen.requests() }, seen.at_ms));
        }
        let share = judged(&seen, version.as_str(), *weight);
        Some(match (share, Beside::of(&self.inner.routings.of(&snapshot))) {
            (SoFar::NotYet { .. }, Some(beside)) => (SoFar::NotJudged(beside), seen.at_ms),
            (share, _) => (share, seen.at_ms),
        })
    }

    async fn look_for_requests(&self, at: &ServiceRef, one: &One) {
        match self.inner.store.revision(at).await {
            Ok(Some(state)) if state.revision == one.revision => {}
            // Changed once more since, by whomever: what requests show now says nothing about this one.
            Ok(_) => {
                self.inner.followed.keep(at, one.revision, one.so_far, true);
                return;
            }
            Err(error) => return tracing::debug!(service = %at, %error, "not looked at"),
        }
        let now_ms = self.inner.clock.now_ms();
        let Some((so_far, read_ms)) = self.since_written(at, &one.steps).await else { return };
        let seen = matches!(so_far, SoFar::Yes { .. });
        if seen {
            if let Err(error) = self.inner.store.seen(at, one.revision, read_ms).await {
                tracing::warn!(service = %at, %error, "that a change was seen is not kept yet");
                return;
            }
            tracing::info!(service = %at, revision = one.revision, ms = read_ms - one.steps.begun_ms, "seen");
        }
        let done = seen || now_ms - one.steps.written_ms > GIVEN_UP_MS;
        if self.inner.followed.keep(at, one.revision, so_far, done) {
            self.announce(Happening::Service(at.clone()));
        }
    }

    /// Takes up the changes that are not yet seen when Sluice starts.
    async fn follow_again(&self) {
        let states = match self.inner.store.states().await {
            Ok(states) => states,
            Err(error) => return tracing::warn!(%error, "earlier changes are not followed"),
        };
        let now_ms = self.inner.clock.now_ms();
        for (at, state) in states {
            let young = |steps: &Steps| steps.seen_ms.is_none() && now_ms - steps.written_ms < GIVEN_UP_MS;
            if let Some(steps) = state.steps.filter(young) {
                let so_far = self.at_first(&steps);
                let done = !matches!(so_far, SoFar::Few { .. });
                self.inner.followed.add(&at, One { revision: state.revision, steps, so_far, done });
            }
        }
    }
}

fn judged(seen: &Observed, version: &str, weight: u8) -> SoFar {
    let all = seen.requests();
    let hits = seen.of(version).map_or(0.0, |traffic| traffic.requests);
    let share = hits * 100.0 / all;
    let (low, high) = wilson(hits, all);
    if (low..=high).contains(&f64::from(weight)) {
        SoFar::Yes { share, low, high }
    } else {
        SoFar::NotYet { share, low, high }
    }
}

/// Looks at every change that was not seen yet, until `stop`.
pub(super) async fn look(services: Services, stop: CancellationToken) {
    services.follow_again().await;
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        for (at, one) in services.inner.followed.open() {
            if stop.is_cancelled() {
                return;
            }
            services.look_for_requests(&at, &one).await;
        }
    }
}
