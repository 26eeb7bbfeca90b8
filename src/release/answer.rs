//! Results: actions that succeeded or failed, measurements, and what others changed meanwhile.

use super::{Machine, REASSERT_MS, REASSERTS, TRIES, Trouble, judge};
use crate::domain::refusal::Code;
use crate::domain::release::analysis::Seen;
use crate::domain::release::state::{Action, ActionKind, Aim, Side};
use crate::domain::release::{Happened, OnDrift, PauseReason, Phase, Stage, Step, Verdict};

impl Machine<'_> {
    /// Takes an action out of those that are pending. An answer that comes twice is ignored.
    fn answered(&mut self, id: u64) -> Option<Action> {
        let pending = &mut self.out.state.pending;
        let at = pending.iter().position(|action| action.id == id)?;
        Some(pending.remove(at))
    }

    pub(super) fn done(&mut self, id: u64, result: &Result<(), Trouble>) {
        let Some(action) = self.answered(id) else { return };
        match result {
            Ok(()) => {
                self.out.state.tries = 0;
                self.out.state.not_before_ms = None;
                self.note(Happened::Done { action: action.kind.clone() });
                self.was_done(action.kind);
            }
            Err(trouble) => {
                let refusal = trouble.refusal().clone();
                self.note(Happened::NotDone { action: action.kind.clone(), refusal });
                self.was_not_done(&action.kind, trouble);
            }
        }
    }

    fn was_done(&mut self, kind: ActionKind) {
        let phase = self.out.state.phase;
        let going = phase == Phase::Running || self.paused_from(Phase::Running);
        match kind {
            ActionKind::Deploy { .. } => self.out.state.deployed = true,
            ActionKind::Batch { updated, .. } => {
                self.out.state.aim_ms = Some(self.now);
                self.out.state.updated = updated;
                // The template was written from here.
                self.out.state.runs.clear();
                if std::mem::take(&mut self.out.state.reassert) {
                    self.note(Happened::Reasserted);
                }
                let batch = matches!(self.spec.steps.get(self.out.state.step), Some(Step::Replicas { .. }));
                if phase == Phase::Aborting {
                    self.out.state.stage = Stage::Preflight;
                } else if batch {
                    self.out.state.stage = Stage::Converging;
                }
                if updated > 0 {
                    self.out.state.deployed = true;
                    self.out.state.reverting = false;
                } else if phase == Phase::Aborting {
                    self.out.state.pods = None;
                    self.out.state.pods_now = None;
                    let wait = self.deadline_ms().max(super::BACK_MS);
                    self.out.state.reverting = true;
                    // Counted from here: pods are replaced one after the other.
                    self.out.state.deadline_ms = Some(self.now.saturating_add(wait));
                }
            }
            ActionKind::Scale { side, .. } => {
                if !self.is_mesh() {
                    self.out.state.aim_ms = Some(self.now);
                }
                if side == Side::Stable && phase == Phase::Aborting {
                    self.out.state.scaled_back = true;
                    // Counted from here: pods need their time to start.
                    self.out.state.deadline_ms = Some(self.now.saturating_add(super::BACK_MS));
                }
                if phase == Phase::Finalising {
                    self.out.state.stage = Stage::Soaking;
                }
            }
            ActionKind::Traffic { aim } => {
                let first = !self.out.state.declared || self.out.state.reassert;
                if self.out.state.reassert {
                    self.note(Happened::Reasserted);
                }
                let forward = aim != self.out.state.aim;
                if forward || self.out.state.aim_ms.is_none() {
                    self.out.state.aim_ms = Some(self.now);
                }
                self.out.state.aim = aim;
                self.out.state.declared = true;
                self.out.state.reassert = false;
                match phase {
                    // An action of the way forward may be answered on the way back.
                    Phase::Aborting
                        if self.out.state.aim == Aim::default()
                            && self.out.state.stage == Stage::Applying =>
                    {
                        self.out.state.stage = Stage::Converging;
                    }
                    _ if going && (forward || !first) => self.step_done_or_later(),
                    _ => {}
                }
            }
            ActionKind::SwitchBack { .. } | ActionKind::Restore => {
                if phase == Phase::Aborting {
                    self.out.state.by_pods = false;
                    if !self.is_lost() {
                        self.out.state.needs = None;
                    }
                    self.out.state.stage = Stage::Converging;
                }
            }
            ActionKind::Remove { side } => {
                if !self.out.state.removed.contains(&side) {
                    self.out.state.removed.push(side);
                }
                self.out.state.removing = None;
                self.out.state.needs = None;
                if phase == Phase::Aborting {
                    self.out.state.deadline_ms = Some(self.now.saturating_add(super::BACK_MS));
                }
            }
            ActionKind::Measure | ActionKind::Heal | ActionKind::Settle => {}
        }
    }

    fn paused_from(&self, phase: Phase) -> bool {
        let state = &self.out.state;
        state.phase == Phase::Paused && state.paused.as_ref().is_some_and(|paused| paused.phase == phase)
    }

    /// A write that was under way when it was paused ends its step; the next one begins when it is resumed.
    fn step_done_or_later(&mut self) {
        if self.out.state.stage != Stage::Applying {
            return;
        }
        self.step_done();
        if self.out.state.phase == Phase::Paused {
            let state = self.state();
            state.deadline_ms = None;
            if let Some(paused) = &mut state.paused {
                paused.left_ms = None;
            }
        }
    }

    fn was_not_done(&mut self, kind: &ActionKind, trouble: &Trouble) {
        let refusal = trouble.refusal().clone();
        if let ActionKind::Remove { side } = kind {
            self.out.state.removing = None;
            self.out.state.needs = Some(refusal);
            if self.out.state.phase == Phase::Aborting {
                // Traffic is back; what is left over is reported and kept.
                let _ = side;
                self.finish(Phase::RolledBack);
            }
            return;
        }
        let tries = self.out.state.tries.saturating_add(1);
        self.out.state.tries = tries;
        self.out.state.not_before_ms = Some(self.now.saturating_add(500_i64 << tries.min(5)));
        match self.out.state.phase {
            // Traffic is back, and by declaration: it is reported that it is not spread by pods again.
            Phase::Aborting
                if *kind == ActionKind::Restore && !self.out.state.switch_back && tries >= TRIES =>
            {
                self.out.state.needs = Some(refusal);
                self.finish(Phase::RolledBack);
            }
            Phase::Aborting => {
                // A version that has gone does not come back by itself: what needs it can be refused without end.
                let gone = refusal.code == Code::UnknownVersion
                    && matches!(kind, ActionKind::SwitchBack { .. } | ActionKind::Restore);
                self.out.state.needs = Some(refusal);
                let hopeless = gone || matches!(trouble, Trouble::Refused(_) | Trouble::Forbidden(_));
                if hopeless && self.out.state.tries >= TRIES {
                    self.finish(Phase::NeedsAttention);
                } else if matches!(trouble, Trouble::NotReady(_)) {
                    self.out.state.stage = Stage::Preflight;
                }
            }
            Phase::Running | Phase::Promoting | Phase::Finalising => match trouble {
                Trouble::NotReady(_) => self.out.state.stage = Stage::Preflight,
                Trouble::Forbidden(_) => self.pause(PauseReason::LostPermission, Some(refusal)),
                Trouble::Refused(_) => self.pause(PauseReason::Conflict, Some(refusal)),
                Trouble::Failed(_) | Trouble::Unknown(_) => {
                    self.out.state.stage = Stage::Preflight;
                    if self.out.state.tries >= TRIES {
                        self.pause(PauseReason::Conflict, Some(refusal));
                    }
                }
            },
            Phase::Paused => self.out.state.stage = Stage::Preflight,
            _ => {}
        }
    }

    pub(super) fn measured(&mut self, id: u64, seen: &Seen) {
        if self.answered(id).is_none() {
            return;
        }
        let Some(analysis) = &self.spec.analysis else { return };
        let state = &self.out.state;
        let waiting = state.pause_reason() == Some(PauseReason::Gate);
        if state.phase != Phase::Running && !waiting {
            return;
        }
        let comparable = state.aim.percent < 100;
        let judgement = judge::judge(analysis, seen, comparable, self.now, state.step);
        let verdict = judgement.verdict;
        let failed = judgement.metrics.iter().filter(|one| one.verdict == Verdict::Fail);
        let failed: Vec<String> =
            failed.filter_map(|one| Some(analysis.metrics.get(one.metric)?.word())).collect();
        self.out.judgement = Some(judgement);
        let (now, fresh) = (self.now, self.is_fresh(2));
        let state = self.state();
        if !fresh {
            // After a gap nothing is in a row any more.
            state.passes = 0;
        }
        // Undecided and error take nothing back of what failed.
        state.failing = match verdict {
            Verdict::Fail => true,
            Verdict::Pass => false,
            Verdict::Undecided | Verdict::Error => state.is_failing(),
        };
        if matches!(verdict, Verdict::Fail | Verdict::Pass) {
            state.failed = failed;
        }
        state.latest = Some(verdict);
        state.latest_ms = Some(now);
        match verdict {
            Verdict::Pass => {
                state.passes = state.passes.saturating_add(1);
                state.failures = 0;
            }
            Verdict::Fail => {
                state.passes = 0;
                state.failures = state.failures.saturating_add(1);
            }
            Verdict::Undecided | Verdict::Error => state.passes = 0,
        }
        let failures = state.failures;
        self.note(Happened::Judged { verdict, failures });
        if failures >= analysis.failures {
            self.fall(self.spec.policies.on_failure, PauseReason::Failed, None);
        }
    }

    /// An edit from outside: apply the policy once for each.
    pub(super) fn notice_drift(&mut self) {
        let Some(drift) = self.world.and_then(|world| world.drift.as_ref()) else { return };
        let state = &self.out.state;
        let watching = state.phase.owns_service() && state.phase != Phase::Aborting;
        let ours_under_way =
            state.pending.iter().any(|action| matches!(action.kind, ActionKind::Traffic { .. }));
        if drift.entry <= state.seen_entry || !watching || ours_under_way || !self.is_mesh() {
            return;
        }
        self.out.state.seen_entry = drift.entry;
        if !self.out.state.declared {
            // Nothing of ours is written yet: it is only where we begin.
            return;
        }
        self.note(Happened::Drift { managers: drift.managers.clone(), percent: drift.percent });
        let now = self.now;
        match self.spec.policies.on_drift {
            OnDrift::Adopt if drift.percent.is_some() && !drift.gitops => {
                let percent = drift.percent.unwrap_or(0).min(100);
                self.out.state.aim.percent = percent;
                self.note(Happened::Adopted { percent });
            }
            OnDrift::Reassert if !drift.gitops => {
                let state = self.state();
                state.reasserted_ms.retain(|at| (0..REASSERT_MS).contains(&now.saturating_sub(*at)));
                if state.reasserted_ms.len() >= REASSERTS {
                    self.drifted();
                } else {
                    state.reasserted_ms.push(now);
                    state.reassert = true;
                }
            }
            _ => self.drifted(),
        }
    }

    fn drifted(&mut self) {
        let keeps = self.out.state.phase == Phase::Paused;
        if keeps && self.out.state.pause_reason() == Some(PauseReason::Drift) {
            return;
        }
        self.pause(PauseReason::Drift, None);
    }
}
