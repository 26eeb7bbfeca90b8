//! The driver: takes up what is stored, looks at each release when a timer ends or something about its service
//! changes, stores what the machine says, and carries out what is pending. A crash between storing and doing
//! repeats an absolute act; nothing else.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::domain::actor::{Actor, Channel, Identity};
use crate::domain::audit::{Action as Act, Details, Intent, Outcome, ReleaseMark};
use crate::domain::overview::Happening;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::state::{Action, ActionKind};
use crate::domain::release::{Happened, Phase, Release, ReleaseId, TimelineEntry, Word};
use crate::domain::release_entries::ending_of;
use crate::release::{Event, Observation, Transition, step};
use crate::services::Services;
use crate::services::once::unavailable;
use crate::store::{Held, ReleaseFilter, Step, Stored};

use super::Slot;
use super::stateful::asks;

/// How often the timers are looked at: a step comes within a second of its time.
const TURN: Duration = Duration::from_millis(100);
/// After so many turns each release is looked at, though nothing was heard of its service.
const TURNS: i64 = 50;
/// How often a batch of pods is asked for, milliseconds.
const BATCH_MS: i64 = 500;
/// A clock that moves by more than this at once was set, milliseconds.
const LEAP_MS: u64 = 2_000;

/// Who says something to a release.
#[derive(Clone, Debug)]
pub(super) struct By {
    pub who: Option<Actor>,
    pub reason: String,
    pub request_id: String,
    /// The `seq` that the person saw.
    pub expected: Option<u64>,
    /// Codes that the person accepts.
    pub ack: Vec<String>,
}

impl By {
    /// The release itself.
    pub fn itself() -> Self {
        Self { who: None, reason: String::new(), request_id: String::new(), expected: None, ack: Vec::new() }
    }
}

/// Runs until `stop`; what is pending then is begun at the next start.
pub async fn drive(services: Services, stop: CancellationToken) {
    follow(&services, &stop).await;
    services.inner.under_way.close();
}

async fn follow(services: &Services, stop: &CancellationToken) {
    let begin = async {
        while !services.inner.settled.load(std::sync::atomic::Ordering::Acquire) {
            sleep(Duration::from_millis(20)).await;
        }
        while let Err(refusal) = services.take_up().await {
            tracing::warn!(%refusal, "the releases cannot be read yet");
            sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        () = begin => {}
        () = stop.cancelled() => return,
    }
    let mut tick = interval(TURN);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let room = &services.inner.releases;
    let mut turn = 0_i64;
    loop {
        tokio::select! {
            _ = tick.tick() => turn += 1,
            () = room.wake.notified() => {
                for (id, slot) in room.take_woken() {
                    services.visit(id, &slot);
                }
                continue;
            }
            () = stop.cancelled() => return,
        }
        let ahead_ms = services.inner.clock.ahead_ms();
        let steady_ms = services.inner.clock.now_ms().saturating_sub(ahead_ms);
        for (id, slot) in room.slots() {
            let own_ms = slot.ahead_ms.load(Relaxed);
            let due = steady_ms.saturating_add(own_ms) >= slot.next_ms.load(Relaxed);
            // Now and then each, whatever its timers say, and not all in the same turn.
            if due || is_leap(own_ms, ahead_ms) || (turn + id.0) % TURNS == 0 {
                services.visit(id, &slot);
            }
        }
    }
}

/// True when the clock was set; gradual correction of the clock does not count.
fn is_leap(own_ms: i64, ahead_ms: i64) -> bool {
    own_ms.abs_diff(ahead_ms) > LEAP_MS
}

/// When a release is to be looked at though nothing happens, by its own time.
fn next_of(held: &Held, now_ms: i64) -> i64 {
    let state = &held.release.state;
    if asks(&held.release) {
        // Its pods are asked for.
        return now_ms.saturating_add(BATCH_MS);
    }
    [state.due_ms, state.deadline_ms, state.measure_ms, state.not_before_ms]
        .into_iter()
        .flatten()
        .filter(|at| *at > now_ms)
        .min()
        .unwrap_or(i64::MAX)
}

impl Services {
    /// Takes up every release in which something may still happen.
    async fn take_up(&self) -> Result<(), Refusal> {
        let filter = ReleaseFilter {
            phases: super::WAITING.iter().map(|phase| phase.as_str()).collect(),
            ..ReleaseFilter::default()
        };
        for held in self.inner.store.releases(&filter, 200).await.map_err(unavailable)?.0 {
            self.inner.releases.wait(&held.release);
        }
        for held in self.inner.store.live_releases().await.map_err(unavailable)? {
            let (id, at) = (held.release.id, held.release.at().clone());
            if let Some(state) = self.inner.store.revision(&at).await.map_err(unavailable)?
                && state.action == Act::OutsideEdit
            {
                self.inner.releases.note_outside(&at, state.entry, &[state.by]);
            }
            self.inner.releases.keep(held, self.inner.clock.ahead_ms());
            self.observe(id, Event::Restarted, By::itself()).await?;
        }
        Ok(())
    }

    /// Looks at a release: what its timers and the cluster lead to is stored, what is pending is begun.
    fn visit(&self, id: ReleaseId, slot: &Arc<Slot>) {
        let Ok(held) = slot.held.try_lock() else {
            // It is being moved just now: at the next turn.
            slot.next_ms.store(0, Relaxed);
            return;
        };
        let ahead_ms = self.inner.clock.ahead_ms();
        let now_ms = self.own_time(slot);
        let event = self.world_of(&held.release);
        let seen = Observation { now_ms, event };
        let out = step(&held.release.spec, &held.release.state, &seen);
        let asks = asks(&held.release);
        let same = out.state == held.release.state && out.happened.is_empty();
        let leap = is_leap(slot.ahead_ms.load(Relaxed), ahead_ms);
        slot.next_ms.store(next_of(&held, now_ms), Relaxed);
        if same && !asks && !leap {
            slot.ahead_ms.store(ahead_ms, Relaxed);
            let pending = held.release.state.pending.clone();
            drop(held);
            self.carry_out(id, slot, pending);
            return;
        }
        let batch = asks.then(|| held.clone());
        drop(held);
        if slot.looking.swap(true, Relaxed) {
            slot.next_ms.store(0, Relaxed);
            return;
        }
        let (this, slot) = (self.clone(), slot.clone());
        tokio::spawn(async move {
            let mut event = seen.event;
            if let Some(held) = batch {
                if let Err(trouble) = this.watch_batch(&held).await {
                    tracing::debug!(release = %id, refusal = %trouble.refusal(), "the batch cannot be seen yet");
                }
                event = this.world_of(&held.release);
            }
            if let Err(refusal) = this.observe(id, event, By::itself()).await {
                tracing::warn!(release = %id, %refusal, "a release could not be moved");
            }
            slot.looking.store(false, Relaxed);
        });
    }

    /// The present as a release has it.
    fn own_time(&self, slot: &Slot) -> i64 {
        let clock = &self.inner.clock;
        let own_ms = slot.ahead_ms.load(Relaxed);
        clock.now_ms().saturating_sub(clock.ahead_ms()).saturating_add(own_ms)
    }

    /// Shows an observation to the machine and stores what it says. The answer is the release afterwards.
    pub(super) async fn observe(&self, id: ReleaseId, event: Event, by: By) -> Result<Release, Refusal> {
        let slot = self.slot_of(id).await?;
        let mut expected = by.expected;
        for _ in 0..6 {
            let mut held = slot.held.lock().await;
            if expected.is_some_and(|expected| expected != held.release.seq) {
                return Err(Refusal::new(Code::ReleaseStale));
            }
            // The timers first: until they are moved, the release's time is the one that they were made by.
            let (own_ms, ahead_ms) = (slot.ahead_ms.load(Relaxed), self.inner.clock.ahead_ms());
            let leap = is_leap(own_ms, ahead_ms);
            let now_ms = self.inner.clock.now_ms();
            let event = if leap {
                Event::ClockMoved { by_ms: ahead_ms.saturating_sub(own_ms) }
            } else {
                slot.ahead_ms.store(ahead_ms, Relaxed);
                event.clone()
            };
            let itself = By::itself();
            let by = if leap { &itself } else { &by };
            let seen = Observation { now_ms, event };
            let out = step(&held.release.spec, &held.release.state, &seen);
            if let Some(refusal) = out.refusal {
                self.forget_if_done(&held);
                return Err(refusal);
            }
            if out.state == held.release.state && out.happened.is_empty() {
                if leap {
                    slot.ahead_ms.store(ahead_ms, Relaxed);
                    continue;
                }
                let release = held.release.clone();
                let pending = release.state.pending.clone();
                self.forget_if_done(&held);
                drop(held);
                self.carry_out(id, &slot, pending);
                return Ok(release);
            }
            let wish = self.step_of(&held, out, now_ms, by);
            match self.inner.store.step_release(wish).await.map_err(unavailable)? {
                Stored::Done(after) => {
                    *held = *after;
                    self.inner.releases.own(&held);
                    let release = held.release.clone();
                    self.forget_if_done(&held);
                    drop(held);
                    let (service, phase) = (release.at().clone(), release.state.phase);
                    self.announce(Happening::Release { id, service: service.clone(), phase });
                    self.announce(Happening::Service(service));
                    self.carry_out(id, &slot, release.state.pending.clone());
                    if leap {
                        slot.ahead_ms.store(ahead_ms, Relaxed);
                        // Moved timers are nothing that a person would have had to see.
                        expected = expected.map(|_| release.seq);
                        continue;
                    }
                    // What this led to may lead on at once.
                    self.inner.releases.wake(id);
                    return Ok(release);
                }
                Stored::Owned(other) => {
                    self.forget_if_done(&held);
                    return Err(Refusal::new(Code::ReleaseOwnsService).arg("id", other));
                }
                Stored::Stale => {
                    let stored = self.inner.store.release(id).await.map_err(unavailable)?;
                    *held = stored.ok_or_else(|| Refusal::new(Code::ReleaseNotFound).arg("id", id))?;
                }
            }
        }
        Err(Refusal::new(Code::ReleaseStale))
    }

    async fn slot_of(&self, id: ReleaseId) -> Result<Arc<Slot>, Refusal> {
        if let Some(slot) = self.inner.releases.slot(id) {
            return Ok(slot);
        }
        let held = self.inner.store.release(id).await.map_err(unavailable)?;
        let held = held.ok_or_else(|| Refusal::new(Code::ReleaseNotFound).arg("id", id))?;
        Ok(self.inner.releases.keep(held, self.inner.clock.ahead_ms()))
    }

    fn forget_if_done(&self, held: &Held) {
        let state = &held.release.state;
        let waits = state.phase == Phase::Scheduled;
        if !state.phase.owns_service() && !waits && state.pending.is_empty() {
            self.inner.releases.drop_slot(held.release.id);
        }
    }

    /// A transition as the store wants it, with its row of the history.
    fn step_of(&self, held: &Held, out: Transition, now_ms: i64, by: &By) -> Step {
        let before = &held.release;
        let mut after = held.clone();
        after.release.state = out.state;
        if let Some(steps) = out.steps {
            after.release.spec.steps = steps;
        }
        after.release.changed_ms = now_ms;
        let phase = after.release.state.phase;
        let command = out.happened.iter().find_map(|one| match one {
            Happened::Told { word } => Some(*word),
            _ => None,
        });
        if command == Some(Word::Retry) && before.state.phase == Phase::RolledBack {
            // A new attempt has its own time, and nothing of the one before counts for it.
            after.release.started_ms = None;
            after.release.ended_ms = None;
            after.release.state.ended_split.clear();
            after.release.state.ended_by_pods = false;
        }
        if phase.owns_service() && !before.state.phase.owns_service() {
            after.release.started_ms = after.release.started_ms.or(Some(now_ms));
            after.release.ended_ms = None;
            after.release.state.ended_split.clear();
            after.release.state.ended_by_pods = false;
        }
        if phase.is_final() && !before.state.phase.is_final() {
            after.release.ended_ms = Some(now_ms);
            let (split, by_pods) = self.split_now(&after.release);
            (after.release.state.ended_split, after.release.state.ended_by_pods) = (split, by_pods);
        }
        if let (Some(word), Some(who)) = (command, &by.who)
            && word != Word::Pause
        {
            // What is written from here on is written in the commander's name, and by the commander's rights.
            after.release.state.acting = Some(Box::new(Identity::clone(&who.identity)));
        }
        // Looks have a table of their own; a pass or an undecided one is no transition.
        let told = out.happened.iter().any(|one| !matches!(one, Happened::Judged { .. }));
        let told = told.then(|| Self::told(before, &after, out.happened, now_ms, by));
        Step { after, told, judgement: out.judgement, receivers: self.receivers() }
    }

    pub(super) fn told(
        before: &Release,
        after: &Held,
        happened: Vec<Happened>,
        now_ms: i64,
        by: &By,
    ) -> (Intent, Outcome, TimelineEntry) {
        let release = &after.release;
        let (from, to, at) = (before.state.phase, release.state.phase, release.state.step);
        let channel = by.who.as_ref().map_or(Channel::Automatic, |who| who.channel);
        let actor = by.who.as_ref().map_or(after.acting(), |who| &who.identity).clone();
        let mark = ReleaseMark::of(release, from, happened.clone());
        let intent = Intent {
            change: uuid::Uuid::now_v7().to_string(),
            at_ms: now_ms,
            service: Some(release.at().clone()),
            actor: actor.user.clone(),
            groups: actor.groups.clone(),
            channel,
            address: by.who.as_ref().and_then(|who| who.address.clone()),
            action: Act::Release,
            reason: by.reason.clone(),
            request_id: by.request_id.clone(),
            details: Details {
                release: Some(Box::new(mark)),
                acknowledged: by.ack.clone(),
                ..Details::default()
            },
        };
        // What was tried in vain is no success, whatever else this transition says.
        let (ending, failed) = ending_of(&happened);
        let details = Details { refusal: failed, ..Details::default() };
        let outcome = Outcome { at_ms: now_ms, ending, revision: None, details };
        let entry = TimelineEntry {
            seq: release.seq,
            at_ms: now_ms,
            by: if by.who.is_some() { actor.user } else { "release".to_owned() },
            channel,
            from,
            to,
            step: at,
            happened,
            reason: by.reason.clone(),
            entry: None,
        };
        (intent, outcome, entry)
    }

    /// Begins what is pending and not under way.
    fn carry_out(&self, id: ReleaseId, slot: &Arc<Slot>, pending: Vec<Action>) {
        for action in pending {
            if self.inner.under_way.is_closed() {
                return;
            }
            if !super::locked(&slot.in_flight).insert(action.id) {
                continue;
            }
            let (this, slot) = (self.clone(), slot.clone());
            self.inner.under_way.spawn(async move {
                let event = this.perform(id, &slot, &action).await;
                let told = match event {
                    Some(event) => this.observe(id, event, By::itself()).await.map(|_| ()),
                    None => Ok(()),
                };
                // After the answer is stored: until then it must not be begun again.
                super::locked(&slot.in_flight).remove(&action.id);
                if let Err(refusal) = told {
                    tracing::warn!(release = %id, %refusal, "what an action led to could not be stored");
                }
            });
        }
    }

    /// Carries out one action. `None` = it is not wanted any more.
    async fn perform(&self, id: ReleaseId, slot: &Slot, action: &Action) -> Option<Event> {
        let held = slot.held.lock().await.clone();
        if !held.release.state.pending.iter().any(|pending| pending.id == action.id) {
            return None;
        }
        if action.kind == ActionKind::Measure {
            let seen = self.look_at(&held.release).await;
            return Some(Event::Measured { action: action.id, seen });
        }
        let result = match (self.with_present_owner(held, action).await, &action.kind) {
            (Err(trouble), _) => Err(trouble),
            (Ok(held), ActionKind::Traffic { .. } | ActionKind::SwitchBack { .. } | ActionKind::Restore) => {
                self.move_traffic(&held, action).await
            }
            (Ok(held), _) => self.move_workload(&held, action).await,
        };
        if let Err(trouble) = &result {
            tracing::warn!(release = %id, action = action.id, refusal = %trouble.refusal(), "not done");
            if trouble.refusal().code.is_history() {
                // It says nothing about the version. The action stays pending, and counts as no failed attempt.
                return None;
            }
        }
        Some(Event::Done { action: action.id, result })
    }
}
