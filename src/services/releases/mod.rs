//! Releases: the use cases of people (list, plan, start, command) and the driver that moves them. The machine
//! is pure (`crate::release`); here its observations are made and its actions carried out, each through the
//! same change path as a person's.
//!
//! Nothing here decides about traffic: it observes, asks the machine, stores the answer (state, pending
//! actions and the history's row in one transaction), and only then acts.

mod acceptance;
mod ahead;
mod ask;
mod back;
mod commands;
mod difference;
mod drafts;
mod driver;
mod early;
mod forecast;
mod mirror;
mod objects;
mod observe;
mod owner;
mod plan;
mod plan_objects;
mod rights;
mod stateful;
mod templates;
mod traffic;
mod webhooks;
mod workloads;

pub use ask::{ReleaseAsk, ReleaseDetail, ReleasePage, ReleaseShow, Until};
pub use back::{REVISIONS, WayBack};
pub use commands::CommandAsk;
pub use plan::ReleasePlan;
pub use templates::TEMPLATES;
pub use webhooks::{Webhook, signature};

pub(super) use driver::drive;
pub(super) use traffic::of_refusal;
pub(super) use webhooks::deliver;
pub(super) use workloads::of_cluster;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::cluster::Visible;
use crate::domain::actor::Identity;
use crate::domain::ids::ServiceRef;
use crate::domain::overview::Moving;
use crate::domain::release::{PauseReason, Phase, Release, ReleaseId};
use crate::release::Drift;
use crate::store::Held;

/// Phases that wait for a person.
const WAITING: [Phase; 3] = [Phase::Paused, Phase::PendingApproval, Phase::NeedsAttention];

/// What the driver holds in memory: a copy of what is stored, never ahead of it.
#[derive(Default)]
pub(super) struct Room {
    live: Mutex<HashMap<ReleaseId, Arc<Slot>>>,
    owners: Mutex<HashMap<ServiceRef, Moving>>,
    /// Those that wait for a person.
    waiting: Mutex<BTreeMap<ReleaseId, Arc<Release>>>,
    outside: Mutex<HashMap<ServiceRef, Drift>>,
    /// What was last seen of StatefulSets whose pods are replaced, by release.
    batches: Mutex<HashMap<ReleaseId, stateful::BatchSeen>>,
    /// To be looked at now, not at the next turn.
    woken: Mutex<HashSet<ReleaseId>>,
    wake: Notify,
}

/// One release that something may still happen to.
pub(super) struct Slot {
    held: tokio::sync::Mutex<Held>,
    /// Actions that are being carried out.
    in_flight: Mutex<HashSet<u64>>,
    /// A look is under way.
    looking: AtomicBool,
    /// The release's own time is the time that went by plus this: it does not jump when the clock is set,
    /// and the timers are moved before it is set again.
    ahead_ms: AtomicI64,
    /// The first of its timers, by its own time; 0 = look at once.
    next_ms: AtomicI64,
}

impl Slot {
    fn new(held: Held, ahead_ms: i64) -> Self {
        Self {
            held: tokio::sync::Mutex::new(held),
            in_flight: Mutex::default(),
            looking: AtomicBool::new(false),
            ahead_ms: AtomicI64::new(ahead_ms),
            next_ms: AtomicI64::new(0),
        }
    }
}

/// True for a release that stopped by itself and that a person should look at.
fn is_in_trouble(release: &Release) -> bool {
    release.state.phase == Phase::NeedsAttention
        || release.state.pause_reason().is_some_and(PauseReason::is_trouble)
        || release.state.needs.is_some()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Room {
    /// Remembers a change that was not made here, for the release that moves the service.
    pub fn note_outside(&self, at: &ServiceRef, entry: i64, managers: &[String]) {
        let drift = Drift { entry, managers: managers.to_vec(), percent: None, gitops: false };
        locked(&self.outside).insert(at.clone(), drift);
        self.wake_service(at);
    }

    /// Has the release that moves a service looked at, because something about the service changed.
    pub fn wake_service(&self, at: &ServiceRef) {
        let owner = locked(&self.owners).get(at).copied();
        if let Some(owner) = owner {
            self.wake(owner.id);
        }
    }

    /// Has every release looked at now.
    pub(super) fn wake_all(&self) {
        for (id, _) in self.slots() {
            self.wake(id);
        }
    }

    fn wake(&self, id: ReleaseId) {
        locked(&self.woken).insert(id);
        self.wake.notify_one();
    }

    fn take_woken(&self) -> Vec<(ReleaseId, Arc<Slot>)> {
        let woken = std::mem::take(&mut *locked(&self.woken));
        let live = locked(&self.live);
        woken.into_iter().filter_map(|id| Some((id, live.get(&id)?.clone()))).collect()
    }

    fn slots(&self) -> Vec<(ReleaseId, Arc<Slot>)> {
        locked(&self.live).iter().map(|(id, slot)| (*id, slot.clone())).collect()
    }

    fn slot(&self, id: ReleaseId) -> Option<Arc<Slot>> {
        locked(&self.live).get(&id).cloned()
    }

    /// Takes a release up that was not live.
    fn keep(&self, held: Held, ahead_ms: i64) -> Arc<Slot> {
        let id = held.release.id;
        self.own(&held);
        locked(&self.live).entry(id).or_insert_with(|| Arc::new(Slot::new(held, ahead_ms))).clone()
    }

    /// Who owns the service after a transition, and whether it waits for a person.
    fn own(&self, held: &Held) {
        self.wait(&held.release);
        let (id, at, phase) = (held.release.id, held.release.at(), held.release.state.phase);
        let mut owners = locked(&self.owners);
        if phase.owns_service() {
            owners.insert(at.clone(), Moving::of(&held.release));
        } else if owners.get(at).is_some_and(|owner| owner.id == id) {
            owners.remove(at);
        }
    }

    fn wait(&self, release: &Release) {
        let mut waiting = locked(&self.waiting);
        if WAITING.contains(&release.state.phase) {
            waiting.insert(release.id, Arc::new(release.clone()));
        } else {
            waiting.remove(&release.id);
        }
    }

    fn drop_slot(&self, id: ReleaseId) {
        locked(&self.live).remove(&id);
    }
}

impl super::Services {
    /// The release that alone moves this service's traffic now.
    pub fn release_of(&self, at: &ServiceRef) -> Option<Moving> {
        locked(&self.inner.releases.owners).get(at).copied()
    }

    /// Releases that wait until a person does something: those in trouble first, then the newest. One that
    /// could not finish is left out once another release moves its service.
    pub(super) fn waiting_releases(&self, visible: &Visible, most: usize) -> Vec<Arc<Release>> {
        let waiting = locked(&self.inner.releases.waiting);
        let mine = waiting.values().rev().filter(|release| visible.contains(&release.at().namespace));
        let meant = |release: &&Arc<Release>| {
            release.state.phase != Phase::NeedsAttention || self.release_of(release.at()).is_none()
        };
        let mut out: Vec<Arc<Release>> = mine.filter(meant).cloned().collect();
        drop(waiting);
        out.sort_by_key(|release| !is_in_trouble(release));
        out.truncate(most);
        out
    }

    /// The services that the person may see whose releases wait for somebody, and whether because of trouble: those
    /// of [`Self::waiting_releases`].
    pub(super) fn waiting_by_service(&self, visible: &Visible) -> HashMap<ServiceRef, bool> {
        let mut out = HashMap::new();
        for release in self.waiting_releases(visible, usize::MAX) {
            *out.entry(release.at().clone()).or_default() |= is_in_trouble(&release);
        }
        out
    }

    /// The services whose traffic releases move now.
    pub(super) fn releasing(&self) -> HashSet<ServiceRef> {
        locked(&self.inner.releases.owners).keys().cloned().collect()
    }

    /// How many releases move traffic now, of those that the person is known to be allowed to see: nobody is
    /// asked for a number in the navigation.
    pub fn under_way(&self, who: &Identity) -> usize {
        let known = |at: &&ServiceRef| self.inner.cluster.is_known_to_see(who, &at.namespace);
        locked(&self.inner.releases.owners).keys().filter(known).count()
    }
}
