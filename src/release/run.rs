//! The steps, one after the other: look whether it may be done, do it, wait until it is true, hold and
//! measure, go on.

use super::Machine;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::state::{ActionKind, Aim, Side};
use crate::domain::release::{
    Candidate, Happened, PauseReason, Phase, PodNumbers, Stage, Step, Strategy, Verdict,
};

/// How long a look itself may take, milliseconds.
const LOOK_MS: i64 = 10_000;

impl Machine<'_> {
    /// Puts the state at the beginning of a step.
    pub(super) fn begin_step(&mut self, at: usize) {
        let now = self.now;
        let deadline = now.saturating_add(self.deadline_ms());
        let steps = &self.spec.steps;
        let state = &mut self.out.state;
        state.step = at;
        state.stage = Stage::Preflight;
        state.due_ms = None;
        state.deadline_ms = Some(deadline);
        state.passes = 0;
        state.said_ready = false;
        // A step that begins is no pass of what failed in the one before.
        state.failing = state.is_failing();
        state.latest = None;
        state.latest_ms = None;
        if at < steps.len() {
            self.note(Happened::StepBegan { step: at });
        }
    }

    pub(super) fn step_done(&mut self) {
        let at = self.out.state.step;
        self.note(Happened::StepDone { step: at });
        self.begin_step(at + 1);
    }

    pub(super) fn run(&mut self) {
        if self.busy() || self.barred() || self.late() || !self.prelude() {
            return;
        }
        let at = self.out.state.step;
        let Some(step) = self.spec.steps.get(at).cloned() else {
            let state = self.state();
            state.phase = Phase::Finalising;
            state.stage = Stage::Preflight;
            return;
        };
        if let Some(aim) = self.out.state.aim.after(&step) {
            self.bring(aim);
            return;
        }
        match step {
            Step::Weight { .. } | Step::Rules { .. } | Step::Mirror { .. } => {}
            Step::Replicas { candidate, stable } => self.replicas(candidate, stable),
            Step::Hold { seconds } => self.hold(seconds),
            Step::Approval => {
                self.out.state.stage = Stage::Gate;
                self.pause(PauseReason::Gate, None);
            }
            Step::Analysis { passes } => {
                self.out.state.stage = Stage::Gate;
                if self.out.state.passes >= passes {
                    self.step_done();
                }
            }
        }
    }

    /// What has to be there before the first step: the stable version has all traffic by declaration (else a
    /// new version gets requests as soon as it has pods), and the candidate's workload.
    pub(super) fn prelude(&mut self) -> bool {
        if self.out.state.stable_replicas.is_none() {
            let Some(world) = self.world else { return false };
            self.out.state.stable_replicas = Some(world.stable.wanted);
            self.out.state.candidate_replicas = Some(world.candidate.wanted);
            self.out.state.aim.percent = Aim::begin(world.percent).percent;
            self.out.state.by_pods = self.is_mesh() && world.percent.is_none();
        }
        if !self.is_mesh() && self.out.state.reassert && !self.restore_pods() {
            return false;
        }
        if (self.is_mesh() && !self.out.state.declared) || self.out.state.reassert {
            let aim = self.out.state.aim.clone();
            self.act(ActionKind::Traffic { aim });
            return false;
        }
        if !self.out.state.deployed {
            if !self.spec.candidate.is_made() {
                self.out.state.deployed = true;
                return true;
            }
            let replicas = self.first_replicas();
            self.act(ActionKind::Deploy { replicas });
            return false;
        }
        true
    }

    /// How many pods the candidate's workload begins with. Where pods spread requests each of them takes a share at
    /// once, so there are none before a step gives it some: an approval or an analysis that comes first is one.
    fn first_replicas(&self) -> Option<u32> {
        if self.spec.strategy == Strategy::Replicas {
            return match self.spec.steps.first() {
                Some(Step::Replicas { candidate, .. }) => Some(*candidate),
                _ => Some(0),
            };
        }
        let by_steps = self.spec.steps.iter().find_map(|step| match step {
            Step::Replicas { candidate, .. } => Some(*candidate),
            _ => None,
        });
        match &self.spec.candidate {
            Candidate::Image { replicas, .. } => replicas.or(by_steps),
            Candidate::Adopt { .. } => by_steps,
        }
    }

    /// Traffic as the step wants it.
    fn bring(&mut self, aim: Aim) {
        if aim == self.out.state.aim {
            self.step_done();
            return;
        }
        if aim.raises(&self.out.state.aim) {
            let Some(world) = self.world else { return };
            if !world.candidate.all_ready() {
                return;
            }
            self.note(Happened::Ready);
        }
        self.out.state.stage = Stage::Applying;
        self.act(ActionKind::Traffic { aim });
    }

    fn replicas(&mut self, candidate: u32, stable: Option<u32>) {
        let Some(world) = self.world else { return };
        if self.spec.candidate.is_in_place() {
            // What was all of them when it began is all of them now.
            let every = self.out.state.stable_replicas.is_some_and(|had| candidate >= had);
            let candidate = if every { candidate.max(world.stable.wanted) } else { candidate };
            if self.out.state.updated != candidate {
                let number = self.batch_number();
                self.out.state.stage = Stage::Applying;
                self.left_in_place(candidate, world.stable.wanted);
                self.act(ActionKind::Batch { updated: candidate, number });
            } else if world.updated_ready >= candidate {
                self.note(Happened::Ready);
                self.step_done();
            } else {
                self.out.state.stage = Stage::Converging;
            }
            return;
        }
        if world.candidate.wanted != candidate {
            self.out.state.stage = Stage::Applying;
            self.act(ActionKind::Scale { side: Side::Candidate, replicas: candidate });
            return;
        }
        self.out.state.stage = Stage::Converging;
        if world.candidate.ready < candidate {
            return;
        }
        // Only now: what the stable version gives up is there already.
        match stable {
            Some(stable) if world.stable.wanted != stable => {
                if self.out.state.stable_replicas.is_some_and(|had| stable < had) {
                    self.out.state.stable_lowered = true;
                }
                if !std::mem::replace(&mut self.out.state.said_ready, true) {
                    self.note(Happened::Ready);
                }
                self.act(ActionKind::Scale { side: Side::Stable, replicas: stable });
            }
            _ => {
                let (candidate, stable) = (world.candidate.wanted, world.stable.wanted);
                self.out.state.pods = Some(PodNumbers { candidate, stable });
                self.out.state.pods_now = None;
                if !std::mem::take(&mut self.out.state.said_ready) {
                    self.note(Happened::Ready);
                }
                self.step_done();
            }
        }
    }

    /// The number of the batch that the step under way is, from 1.
    pub(super) fn batch_number(&self) -> u32 {
        let until = self.out.state.step.saturating_add(1).min(self.spec.steps.len());
        let count =
            self.spec.steps[..until].iter().filter(|step| matches!(step, Step::Replicas { .. })).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn hold(&mut self, seconds: u64) {
        if self.out.state.stage != Stage::Soaking {
            let hold = i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX / 4);
            let due = self.now.saturating_add(hold);
            let deadline = due.saturating_add(self.deadline_ms());
            let state = &mut self.out.state;
            state.stage = Stage::Soaking;
            state.due_ms = Some(due);
            state.deadline_ms = Some(deadline);
        }
        let due = self.out.state.due_ms.is_none_or(|due| self.now >= due);
        // Undecided and error never advance and never pass.
        let passed = self.out.state.latest == Some(Verdict::Pass) && self.is_fresh(1);
        if due && (passed || !self.measures()) {
            self.step_done();
        }
    }

    /// True when the latest look is of now: at most so many looks were missed since. What was good an hour ago,
    /// before nobody looked, says nothing.
    pub(super) fn is_fresh(&self, missed: i64) -> bool {
        let interval =
            self.spec.analysis.as_ref().map_or(0, |analysis| i64::from(analysis.interval_s) * 1000);
        let most = interval.saturating_mul(missed + 1).saturating_add(LOOK_MS);
        self.out.state.latest_ms.is_some_and(|at| self.now.saturating_sub(at) <= most)
    }

    /// The step took too long: what the policy says. True when it did.
    fn late(&mut self) -> bool {
        let state = &self.out.state;
        if state.deadline_ms.is_none_or(|deadline| self.now < deadline) {
            return false;
        }
        if matches!(self.spec.steps.get(state.step), Some(Step::Hold { .. })) && !self.measures() {
            // Its own time ends it.
            return false;
        }
        let waits_for_verdict =
            matches!(self.spec.steps.get(state.step), Some(Step::Hold { .. } | Step::Analysis { .. }));
        let reason = match state.latest {
            _ if !waits_for_verdict => PauseReason::Deadline,
            Some(Verdict::Fail) => PauseReason::Failed,
            // A pass would have gone on; a gate that wants more of them did not get them in time.
            Some(Verdict::Undecided | Verdict::Pass) => PauseReason::Inconclusive,
            Some(Verdict::Error) | None => PauseReason::NoData,
        };
        let detail = (reason == PauseReason::Deadline).then(|| {
            let world = self.world.copied_candidate();
            Refusal::new(Code::NotReadyInTime)
                .arg("v", self.spec.candidate.version())
                .arg("ready", world.ready)
                .arg("wanted", world.wanted)
        });
        self.fall(self.spec.policies.on_deadline, reason, detail);
        true
    }

    /// True when there is something to measure: an analysis, and requests that reach the candidate.
    pub(super) fn measures(&self) -> bool {
        let state = &self.out.state;
        let reached =
            state.aim.touches_candidate() || (!self.is_mesh() && (state.deployed || state.updated > 0));
        self.spec.analysis.is_some() && reached
    }

    /// Asks for a look when one is due: while a step holds, waits for a verdict or for a person.
    pub(super) fn measure(&mut self) {
        let Some(analysis) = &self.spec.analysis else { return };
        let state = &self.out.state;
        let gate = state.phase == Phase::Paused && state.pause_reason() == Some(PauseReason::Gate);
        let soaking = state.phase == Phase::Running && matches!(state.stage, Stage::Soaking | Stage::Gate);
        if !(gate || soaking) || !self.measures() {
            return;
        }
        let interval = i64::from(analysis.interval_s).max(1) * 1000;
        // At whole intervals of the clock, so that all releases of a namespace share one question.
        let next = |after: i64| after.div_euclid(interval).saturating_add(1).saturating_mul(interval);
        match state.measure_ms {
            // A clock that went back must not silence the looks.
            Some(at) if self.now < at && at.saturating_sub(self.now) <= 2 * interval => return,
            Some(_) => {}
            None => {
                // Not before something of this step can have been counted.
                self.out.state.measure_ms = Some(next(self.now.saturating_add(interval / 2)));
                return;
            }
        }
        self.out.state.measure_ms = Some(next(self.now));
        if !self.out.state.pending.iter().any(|action| action.kind == ActionKind::Measure) {
            self.act(ActionKind::Measure);
        }
    }
}

trait CandidatePods {
    fn copied_candidate(&self) -> super::Pods;
}

impl CandidatePods for Option<&super::World> {
    fn copied_candidate(&self) -> super::Pods {
        self.map_or_else(super::Pods::default, |world| world.candidate)
    }
}
