//! The state machine of releases: one for every strategy, a pure function from (spec, state, observation) to
//! (state, actions, what happened). `services` drives it; `store` keeps what it says.
//!
//! It must never do anything, read a clock or panic, whatever comes in. Every action is absolute (where things
//! shall be, never by how much they change), so that a driver that died between storing and doing may do it
//! again. What is not legal is refused and changes nothing.

mod answer;
mod back;
mod candidate;
mod freeze;
mod pods;
mod run;
mod told;

pub mod judge;
pub mod replay;
pub mod workload;

use crate::domain::actor::Person;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::analysis::Seen;
use crate::domain::release::state::{Action, ActionKind};
use crate::domain::release::{
    Command, Happened, Judgement, OnFailure, PauseReason, Paused, Phase, Runs, Spec, Stage, State, Step,
    Strategy,
};

/// Actions that fail are tried this often before it pauses (on the way back: without end).
pub const TRIES: u32 = 3;
/// Between two tries at most, milliseconds.
const LONGEST_WAIT_MS: i64 = 16_000;
/// How long an abort waits for the stable version to get its pods back, milliseconds.
pub const BACK_MS: i64 = 60_000;
/// What was written outside is written over at most this often …
pub const REASSERTS: usize = 2;
/// … in this time, milliseconds.
pub const REASSERT_MS: i64 = 600_000;

/// Something that was seen, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Milliseconds since 1970.
    pub now_ms: i64,
    pub event: Event,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, by reference: nothing keeps many of them")]
pub enum Event {
    /// Time went by; nothing is known of the cluster.
    Tick,
    World(World),
    /// A look was taken (the answer to `Measure`).
    Measured {
        action: u64,
        seen: Seen,
    },
    /// Any other action was carried out, or not.
    Done {
        action: u64,
        result: Result<(), Trouble>,
    },
    Told {
        command: Command,
        by: Person,
    },
    /// The same, with the codes that the person accepts.
    Accepting {
        command: Command,
        by: Person,
        ack: Vec<String>,
    },
    /// The process restarted.
    Restarted,
    /// The clock was set, or the machine slept: no such time went by.
    ClockMoved {
        by_ms: i64,
    },
    /// Another release took the service before this one began.
    Superseded,
}

/// The service as it stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    pub stable: Pods,
    pub candidate: Pods,
    /// The stable version has neither a workload nor a ready pod.
    pub stable_gone: bool,
    /// Ready pods of a StatefulSet that run the candidate's image.
    pub updated_ready: u32,
    /// The StatefulSet whose template was taken back; only while that is waited for.
    pub reverted: Reverted,
    /// Percent that the routing declares for the candidate; `None` = spread by pods.
    pub percent: Option<u8>,
    /// What the candidate's workloads run; empty where it has none.
    pub runs: Vec<Runs>,
    /// The candidate has neither a workload nor a ready pod.
    pub candidate_gone: bool,
    /// The latest change that was not made here.
    pub drift: Option<Drift>,
}

/// How far a StatefulSet is whose template was taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reverted {
    /// All its pods are ready and run what they ran before.
    pub whole: bool,
    /// Pods that are not ready at the revision that was taken back.
    pub broken: u32,
    /// Its `partition` is not as it was before.
    pub unsettled: bool,
}

/// Pods of one version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pods {
    pub wanted: u32,
    pub ready: u32,
}

impl Pods {
    /// True when all that are wanted are ready, and there is one.
    pub fn all_ready(self) -> bool {
        self.ready > 0 && self.ready >= self.wanted
    }
}

/// A change of the routing that was not made here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// Its row in the history: each is noticed once.
    pub entry: i64,
    pub managers: Vec<String>,
    /// What it gives the candidate.
    pub percent: Option<u8>,
    /// An object that GitOps owns: never fought over.
    pub gitops: bool,
}

/// Why an action was not carried out.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// A rule says no, and will say it again.
    Refused(Refusal),
    /// The version that would get more has no ready pods: look again.
    NotReady(Refusal),
    /// In whose name it is done may not do it.
    Forbidden(Refusal),
    /// It broke; nothing of it remains.
    Failed(Refusal),
    /// The outcome is unknown. Doing it again does no harm.
    Unknown(Refusal),
}

impl Trouble {
    /// The words of it.
    pub fn refusal(&self) -> &Refusal {
        match self {
            Self::Refused(refusal)
            | Self::NotReady(refusal)
            | Self::Forbidden(refusal)
            | Self::Failed(refusal)
            | Self::Unknown(refusal) => refusal,
        }
    }
}

/// What an observation leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    pub state: State,
    /// New in `state.pending`.
    pub actions: Vec<Action>,
    /// In order; empty = nothing to report.
    pub happened: Vec<Happened>,
    /// A command that is not legal: the state is as it was.
    pub refusal: Option<Refusal>,
    pub judgement: Option<Judgement>,
    /// The steps, where they were changed.
    pub steps: Option<Vec<Step>>,
}

/// One step of the machine. Total: every observation has an answer in every state.
pub fn step(spec: &Spec, state: &State, seen: &Observation) -> Transition {
    let mut machine = Machine {
        spec,
        now: seen.now_ms,
        world: None,
        out: Transition {
            state: state.clone(),
            actions: Vec::new(),
            happened: Vec::new(),
            refusal: None,
            judgement: None,
            steps: None,
        },
    };
    match &seen.event {
        Event::Tick => {}
        Event::World(world) => machine.world = Some(world),
        Event::Measured { action, seen } => machine.measured(*action, seen),
        Event::Done { action, result } => machine.done(*action, result),
        Event::Told { command, by } | Event::Accepting { command, by, .. } => {
            let ack = match &seen.event {
                Event::Accepting { ack, .. } => ack.as_slice(),
                _ => &[],
            };
            if let Err(refusal) = machine.told(command, by, ack) {
                let mut out = machine.out;
                out.state = state.clone();
                out.actions.clear();
                out.happened.clear();
                out.steps = None;
                out.refusal = Some(refusal);
                return out;
            }
        }
        Event::Restarted => machine.restarted(),
        Event::ClockMoved { by_ms } => machine.clock_moved(*by_ms),
        Event::Superseded => machine.superseded(),
    }
    if let Some(steps) = machine.out.steps.clone() {
        // The rest of this observation is judged by the new steps.
        let changed = Spec { steps, ..spec.clone() };
        let mut again = Machine { spec: &changed, ..machine };
        again.advance();
        return again.out;
    }
    machine.advance();
    machine.out
}

/// A transition that is being made.
struct Machine<'a> {
    spec: &'a Spec,
    now: i64,
    world: Option<&'a World>,
    out: Transition,
}

impl Machine<'_> {
    fn state(&mut self) -> &mut State {
        &mut self.out.state
    }

    fn note(&mut self, happened: Happened) {
        self.out.happened.push(happened);
    }

    /// Stores an action.
    fn act(&mut self, kind: ActionKind) {
        let id = self.out.state.next_action;
        self.out.state.next_action += 1;
        if matches!(kind, ActionKind::Scale { .. }) && !self.out.state.reassert {
            // Until the step is done nothing is known of what it leaves.
            self.out.state.pods = None;
            self.out.state.pods_now = None;
        }
        if kind != ActionKind::Measure {
            self.note(Happened::Decided { action: kind.clone() });
        }
        let action = Action { id, kind };
        self.out.state.pending.push(action.clone());
        self.out.actions.push(action);
    }

    /// True while an action other than a look is not answered, or while it is too early to try again.
    fn busy(&self) -> bool {
        let state = &self.out.state;
        let early = state.not_before_ms.is_some_and(|at| {
            // A clock that went back must not make this longer.
            self.now < at && at.saturating_sub(self.now) <= LONGEST_WAIT_MS
        });
        early || state.pending.iter().any(|action| action.kind != ActionKind::Measure)
    }

    fn is_mesh(&self) -> bool {
        self.spec.strategy != Strategy::Replicas
    }

    fn deadline_ms(&self) -> i64 {
        i64::from(self.spec.policies.step_deadline_s).saturating_mul(1000)
    }

    /// Goes on as far as this observation carries. Bounded: each turn ends a step or waits.
    fn advance(&mut self) {
        self.notice_drift();
        self.notice_scaling();
        self.notice_candidate();
        self.notice_lost();
        for _ in 0..=2 * self.spec.steps.len() + 16 {
            let before = (self.out.state.phase, self.out.state.step, self.out.state.stage);
            match self.out.state.phase {
                Phase::Scheduled => self.wait_for_time(),
                Phase::Paused => self.thaw(),
                Phase::Running => self.run(),
                Phase::Promoting => self.promote(),
                Phase::Finalising => self.finalise(),
                Phase::Aborting => self.go_back(),
                _ => {}
            }
            if before == (self.out.state.phase, self.out.state.step, self.out.state.stage) {
                break;
            }
        }
        self.measure();
    }

    fn wait_for_time(&mut self) {
        if self.out.state.due_ms.is_none_or(|due| self.now >= due) {
            self.begin();
        }
    }

    /// The first thing after start, approval or its time.
    fn begin(&mut self) {
        self.note(Happened::Began);
        let state = self.state();
        state.phase = Phase::Running;
        state.due_ms = None;
        self.begin_step(0);
    }

    /// Stands still, and gives the rest of the timer back later.
    fn pause(&mut self, reason: PauseReason, detail: Option<Refusal>) {
        let now = self.now;
        let state = self.state();
        let before = match &state.paused {
            Some(paused) if state.phase == Phase::Paused => paused.clone(),
            _ => Paused {
                reason,
                since_ms: now,
                left_ms: state.due_ms.map(|due| (due - now).max(0)),
                phase: state.phase,
                detail: None,
            },
        };
        state.paused = Some(Paused { reason, since_ms: now, detail, ..before });
        state.phase = Phase::Paused;
        state.due_ms = None;
        state.deadline_ms = None;
        self.note(Happened::Paused { reason });
    }

    /// What the policy says about trouble of this kind.
    fn fall(&mut self, policy: OnFailure, reason: PauseReason, detail: Option<Refusal>) {
        match policy {
            OnFailure::Pause => self.pause(reason, detail),
            OnFailure::Abort => {
                self.note(Happened::AbortedItself { reason });
                self.out.state.needs = detail;
                self.turn_back();
            }
        }
    }

    /// Begins the way back.
    fn turn_back(&mut self) {
        let wait = if self.out.state.reverting { self.deadline_ms().max(BACK_MS) } else { BACK_MS };
        let until = self.now.saturating_add(wait);
        let state = self.state();
        // What was on its way forward is not wanted any more. It may have been done: it is counted as done.
        for action in std::mem::take(&mut state.pending) {
            match action.kind {
                ActionKind::Deploy { .. } => state.deployed = true,
                ActionKind::Batch { updated, .. } => state.updated = state.updated.max(updated),
                ActionKind::Traffic { .. } => state.declared = true,
                _ => {}
            }
        }
        state.not_before_ms = None;
        state.reassert = false;
        state.changed = None;
        if state.needs.as_ref().is_some_and(|needs| needs.code == Code::CandidateDown) {
            state.needs = None;
        }
        state.scaled_back = false;
        state.phase = Phase::Aborting;
        state.stage = Stage::Preflight;
        state.paused = None;
        state.due_ms = None;
        state.measure_ms = None;
        state.deadline_ms = Some(until);
        state.tries = 0;
    }

    fn finish(&mut self, phase: Phase) {
        if phase != Phase::NeedsAttention && self.is_lost() {
            self.out.state.needs = None;
        }
        let state = self.state();
        if state.needs.as_ref().is_some_and(|needs| needs.code == Code::CandidateDown) {
            // Nobody looks any more whether it is still so.
            state.needs = None;
        }
        state.phase = phase;
        state.paused = None;
        state.due_ms = None;
        state.deadline_ms = None;
        state.measure_ms = None;
        state.tries = 0;
        state.not_before_ms = None;
        // The result of a measurement that is still under way is ignored.
        state.pending.retain(|action| action.kind != ActionKind::Measure);
        let revision = self.out.state.back_to.filter(|_| phase == Phase::RolledBack);
        self.note(Happened::Finished { phase, revision });
    }

    /// Timers are absolute and count while no process runs. What is to be waited for was not looked at meanwhile,
    /// and gets a little time more before the policy acts.
    fn restarted(&mut self) {
        if !self.out.state.phase.owns_service() {
            return;
        }
        let looks =
            self.spec.analysis.as_ref().map_or(0, |analysis| 3 * i64::from(analysis.interval_s) * 1000);
        let least = self.now.saturating_add(looks.max(BACK_MS).min(self.deadline_ms()));
        let state = self.state();
        state.deadline_ms = state.deadline_ms.map(|deadline| deadline.max(least));
        self.note(Happened::ResumedAfterRestart);
    }

    /// A clock that is set neither shortens nor prolongs anything. Only what was asked for by the clock on the
    /// wall (the start, the end of a freeze window) stays.
    fn clock_moved(&mut self, by_ms: i64) {
        let state = self.state();
        let moved = |at: &mut Option<i64>| *at = at.map(|at| at.saturating_add(by_ms));
        let frozen = state.pause_reason() == Some(PauseReason::FreezeWindow);
        if state.phase != Phase::Scheduled && !frozen {
            moved(&mut state.due_ms);
        }
        moved(&mut state.deadline_ms);
        moved(&mut state.measure_ms);
        moved(&mut state.not_before_ms);
        moved(&mut state.latest_ms);
        moved(&mut state.aim_ms);
        for at in &mut state.reasserted_ms {
            *at = at.saturating_add(by_ms);
        }
        if state.phase.owns_service() {
            self.note(Happened::ClockMoved { by_ms });
        }
    }

    fn superseded(&mut self) {
        if self.out.state.phase.is_before() {
            self.finish(Phase::Superseded);
        }
    }
}
