//! Commands of people to a release. [`State::may`] has the table of what is allowed; this file carries them out.
//!
//! [`State::may`]: crate::domain::release::State::may

use super::Machine;
use crate::domain::actor::Person;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::state::{ActionKind, Side};
use crate::domain::release::{
    Changed, Command, Happened, PauseReason, Phase, Stage, State, Step, Word, validate,
};
use crate::domain::removal;

impl Machine<'_> {
    pub(super) fn told(&mut self, command: &Command, by: &Person, ack: &[String]) -> Result<(), Refusal> {
        let word = command.word();
        if !self.out.state.may(word) {
            let phase = self.out.state.phase;
            return Err(Refusal::new(Code::ReleaseIllegal)
                .arg("command", word.as_str())
                .arg("phase", phase.as_str()));
        }
        self.needs_other_eyes(command, by)?;
        if let Some(refusal) = self.out.state.missing(word) {
            return Err(refusal.clone());
        }
        let asked = self.out.state.asked(word);
        let open = |no: &Refusal| !ack.iter().any(|code| code == no.code.as_str());
        if let Some(refusal) = asked.iter().find(|no| open(no)) {
            return Err(refusal.clone());
        }
        self.note(Happened::Told { word });
        if asked.iter().any(|no| no.code == Code::CandidateChanged)
            && let Some(changed) = self.out.state.changed.take()
        {
            let Changed { now, why } = *changed;
            self.out.state.runs = now;
            self.note(Happened::CandidateAccepted { change: why });
        }
        if word == Word::Promote && self.out.state.awaits_approval() {
            self.note(Happened::Approved);
        }
        let frozen = self.out.state.pause_reason() == Some(PauseReason::FreezeWindow);
        match command {
            // The approval of changed steps, and nothing else: what they wait for is still waited for.
            Command::Resume | Command::Promote | Command::Retry if self.awaits_steps() => {
                self.out.state.unapproved = false;
                self.resume();
            }
            Command::Resume | Command::Promote if frozen => {
                self.let_on();
                self.resume();
            }
            Command::Start => self.start(by),
            Command::Pause => self.pause(PauseReason::User, None),
            Command::Resume => self.resume(),
            Command::Promote => self.next(),
            Command::PromoteAll => {
                self.let_on();
                let deadline = self.now.saturating_add(self.deadline_ms());
                let state = self.state();
                state.phase = Phase::Promoting;
                state.unapproved = false;
                state.stage = Stage::Preflight;
                state.paused = None;
                state.due_ms = None;
                state.measure_ms = None;
                state.deadline_ms = Some(deadline);
            }
            Command::Abort => self.abort(),
            Command::Rollback { revision } => {
                self.out.state.back_to = Some(*revision);
                self.out.state.switch_back = false;
                self.out.state.needs = None;
                self.turn_back();
            }
            Command::SwitchBack => {
                self.out.state.back_to = None;
                self.out.state.switch_back = true;
                self.out.state.needs = None;
                self.turn_back();
            }
            Command::Retry => self.retry(by),
            Command::ChangeSteps { steps } => return self.change_steps(steps, by),
            Command::Retire { confirm } => return self.remove(Side::Stable, confirm),
            Command::DeleteVersion { confirm } => return self.remove(Side::Candidate, confirm),
        }
        Ok(())
    }

    fn awaits_steps(&self) -> bool {
        self.out.state.phase == Phase::Paused && self.out.state.unapproved
    }

    /// An approval is for what was approved, and somebody else's than theirs who asked for it. With a second person,
    /// whatever leaves the approved course (passing a step of approval, ending a wait, going past the steps, a start
    /// before its time or in a freeze window) is not for those who set the course.
    fn needs_other_eyes(&self, command: &Command, by: &Person) -> Result<(), Refusal> {
        if !self.spec.policies.second_person {
            return Ok(());
        }
        let state = &self.out.state;
        let is = |who: Option<Person>| who.is_some_and(|who| who.is(by));
        let started = is(state.started_as());
        let changed = is(state.changer.clone());
        // Whose course is in force.
        let own = if state.changer.is_some() { changed } else { started };
        let reason = state.pause_reason();
        let barred = match command {
            Command::Resume | Command::Promote | Command::Retry if self.awaits_steps() => own,
            Command::Resume | Command::Promote if reason == Some(PauseReason::Gate) => own,
            Command::Resume if reason == Some(PauseReason::FreezeWindow) => started || changed,
            Command::Start => state.phase == Phase::Scheduled && (started || changed),
            Command::Promote | Command::PromoteAll => started || changed,
            _ => false,
        };
        if barred { Err(Refusal::new(Code::SecondPerson)) } else { Ok(()) }
    }

    fn start(&mut self, by: &Person) {
        let scheduled = self.out.state.phase == Phase::Scheduled;
        let second = self.spec.policies.second_person;
        let state = self.state();
        if state.started_by.is_none() {
            state.started_by = Some(by.user.clone());
            state.starter = Some(by.clone());
        }
        if scheduled {
            self.begin();
        } else if second {
            self.out.state.phase = Phase::PendingApproval;
        } else {
            self.begin_or_schedule();
        }
    }

    fn begin_or_schedule(&mut self) {
        match self.spec.policies.start_at_ms {
            Some(at) if at > self.now => {
                self.out.state.phase = Phase::Scheduled;
                self.out.state.due_ms = Some(at);
            }
            _ => self.begin(),
        }
    }

    fn next(&mut self) {
        match self.out.state.phase {
            Phase::PendingApproval => {
                self.begin_or_schedule();
            }
            Phase::Scheduled => self.begin(),
            Phase::Paused if self.out.state.pause_reason() == Some(PauseReason::Gate) => self.resume(),
            Phase::Paused => {
                self.resume();
                self.end_wait();
            }
            _ => self.end_wait(),
        }
    }

    /// A person takes the decision that a hold or a gate waits for. Readiness of pods is not theirs to skip.
    fn end_wait(&mut self) {
        let waits = matches!(
            self.spec.steps.get(self.out.state.step),
            Some(Step::Hold { .. } | Step::Analysis { .. } | Step::Approval)
        );
        if waits && self.out.state.phase == Phase::Running && !self.busy() {
            self.step_done();
        }
    }

    pub(super) fn resume(&mut self) {
        self.out.state.failing = self.out.state.is_failing();
        let Some(paused) = self.out.state.paused.take() else { return };
        let (now, deadline) = (self.now, self.deadline_ms());
        let state = self.state();
        state.phase = paused.phase;
        state.tries = 0;
        state.not_before_ms = None;
        state.failures = 0;
        state.measure_ms = None;
        state.due_ms = paused.left_ms.map(|left| now.saturating_add(left));
        state.deadline_ms = Some(state.due_ms.unwrap_or(now).saturating_add(deadline));
        self.note(Happened::Resumed);
        match paused.reason {
            PauseReason::Gate => self.step_done(),
            // Who resumes has seen the difference, and wants the release's numbers.
            PauseReason::Drift => self.out.state.reassert = true,
            _ => {}
        }
    }

    fn abort(&mut self) {
        match self.out.state.phase {
            Phase::Validated | Phase::PendingApproval | Phase::Scheduled => self.finish(Phase::Cancelled),
            Phase::Aborting => {}
            phase => {
                // Known while it owns the service; later it is looked at again.
                let lost = phase.owns_service() && self.is_lost();
                self.out.state.back_to = None;
                self.out.state.switch_back = false;
                self.out.state.needs = lost.then(|| self.lost());
                self.turn_back();
                if lost {
                    self.finish(Phase::NeedsAttention);
                }
            }
        }
    }

    fn retry(&mut self, by: &Person) {
        match self.out.state.phase {
            Phase::Paused => self.resume(),
            Phase::Aborting => {
                let until = self.now.saturating_add(super::BACK_MS);
                self.out.state.tries = 0;
                self.out.state.not_before_ms = None;
                self.out.state.deadline_ms = Some(until);
            }
            // A way back that could not be completed: the same way back again, never forward.
            Phase::NeedsAttention => {
                self.out.state.needs = None;
                self.turn_back();
            }
            _ => {
                let gone = self.out.state.removed.contains(&Side::Candidate);
                let old = &self.out.state;
                self.out.state = State {
                    next_action: old.next_action,
                    started_by: old.started_by.clone(),
                    starter: old.starter.clone(),
                    changer: old.changer.clone(),
                    acting: old.acting.clone(),
                    seen_entry: old.seen_entry,
                    workload: old.workload.clone(),
                    deployed: old.deployed && !gone,
                    pending: old.pending.clone(),
                    // The same candidate: what failed before counts until a look passes.
                    failing: old.is_failing(),
                    failed: old.failed.clone(),
                    ..State::new()
                };
                if self.spec.policies.second_person {
                    // What was approved is over.
                    self.out.state.started_by = Some(by.user.clone());
                    self.out.state.starter = Some(by.clone());
                    self.out.state.phase = Phase::PendingApproval;
                } else {
                    self.begin();
                }
            }
        }
    }

    fn change_steps(&mut self, steps: &[Step], by: &Person) -> Result<(), Refusal> {
        let state = &self.out.state;
        // The step under way stays; before the start there is none.
        let kept = if state.phase.is_before() { 0 } else { (state.step + 1).min(self.spec.steps.len()) };
        let mut all = self.spec.steps[..kept].to_vec();
        all.extend_from_slice(steps);
        let refusals = validate::steps(&all, self.spec.strategy, self.spec.analysis.as_ref());
        if let Some(refusal) = refusals.into_iter().next() {
            return Err(refusal);
        }
        let count = all.len();
        self.out.steps = Some(all);
        self.note(Happened::StepsChanged { from: kept, count });
        self.out.state.changer = Some(by.clone());
        if self.spec.policies.second_person {
            self.void_approval();
        }
        Ok(())
    }

    /// What was approved is not what is there any more.
    fn void_approval(&mut self) {
        match self.out.state.phase {
            Phase::Scheduled => {
                self.out.state.due_ms = None;
                self.out.state.phase = Phase::PendingApproval;
            }
            Phase::Running | Phase::Paused => {
                self.out.state.unapproved = true;
                // Trouble stays what it is: it is looked into first.
                if !self.out.state.pause_reason().is_some_and(PauseReason::is_trouble) {
                    self.pause(PauseReason::StepsChanged, None);
                }
            }
            _ => {}
        }
    }

    fn remove(&mut self, side: Side, confirm: &str) -> Result<(), Refusal> {
        let version = match side {
            Side::Stable => &self.spec.stable,
            Side::Candidate => self.spec.candidate.version(),
        };
        removal::confirmed(&self.spec.service.name, version, confirm)?;
        if self.spec.candidate.is_in_place() {
            // One workload is both versions: there is nothing that could go alone.
            return Err(Refusal::new(Code::NoWorkload).arg("v", version));
        }
        self.out.state.removing = Some(side);
        self.out.state.needs = None;
        self.act(ActionKind::Remove { side });
        Ok(())
    }
}
