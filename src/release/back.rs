//! The ends of a release: straight to 100 %, tidying up, and the way back. The way back restores the
//! capacity of the version that it goes back to before it moves traffic, and halts rather than send
//! requests to a version without pods.

use super::Machine;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::state::{ActionKind, Aim, Side};
use crate::domain::release::{Happened, OnFailure, PauseReason, Phase, Stage, Step};

/// All traffic to the candidate, and nothing else.
fn all() -> Aim {
    Aim { percent: 100, when: Vec::new(), mirror: 0 }
}

impl Machine<'_> {
    /// Past the remaining steps.
    pub(super) fn promote(&mut self) {
        if self.busy() || self.barred() {
            return;
        }
        if self.out.state.deadline_ms.is_some_and(|deadline| self.now >= deadline) {
            self.not_ready();
            return;
        }
        if !self.prelude() {
            return;
        }
        if !self.is_mesh() {
            // The last number of pods is the whole of it.
            let last = self.spec.steps.iter().rposition(|step| matches!(step, Step::Replicas { .. }));
            self.out.state.phase = Phase::Running;
            self.begin_step(last.unwrap_or(self.spec.steps.len()));
            return;
        }
        if self.out.state.aim == all() && self.out.state.stage != Stage::Preflight {
            self.out.state.phase = Phase::Finalising;
            self.out.state.step = self.spec.steps.len();
            self.out.state.stage = Stage::Preflight;
            return;
        }
        let ready = self.world.is_some_and(|world| world.candidate.all_ready());
        if ready {
            self.out.state.stage = Stage::Applying;
            self.act(ActionKind::Traffic { aim: all() });
        }
    }

    fn not_ready(&mut self) {
        let refusal = Refusal::new(Code::NoReadyPods).arg("v", self.spec.candidate.version());
        self.fall(OnFailure::Pause, PauseReason::Deadline, Some(refusal));
    }

    /// Rule and copies go, the stable version gets the pods that it shall keep.
    pub(super) fn finalise(&mut self) {
        if self.busy() {
            return;
        }
        let aim = &self.out.state.aim;
        if self.is_mesh() && (*aim != all() || self.out.state.reassert) {
            let ready = self.world.is_some_and(|world| world.candidate.all_ready());
            if ready || !all().raises(aim) {
                self.out.state.stage = Stage::Applying;
                self.act(ActionKind::Traffic { aim: all() });
            } else if self.out.state.deadline_ms.is_none_or(|deadline| self.now >= deadline) {
                self.not_ready();
            }
            return;
        }
        if let Some(wanted) = self.spec.policies.stable_after
            && !self.spec.candidate.is_in_place()
            && self.out.state.stage != Stage::Soaking
        {
            let Some(world) = self.world else { return };
            if world.stable.wanted != wanted {
                self.out.state.stage = Stage::Converging;
                if self.out.state.stable_replicas.is_some_and(|had| wanted < had) {
                    self.out.state.stable_lowered = true;
                }
                self.act(ActionKind::Scale { side: Side::Stable, replicas: wanted });
                return;
            }
        }
        self.finish(Phase::Succeeded);
    }

    /// One stage of the way back after the other.
    pub(super) fn go_back(&mut self) {
        if self.busy() {
            return;
        }
        match self.out.state.stage {
            Stage::Preflight => self.restore_capacity(),
            Stage::Applying => self.move_back(),
            Stage::Converging => self.lower_candidate(),
            Stage::Soaking | Stage::Gate => self.end_back(),
        }
    }

    /// The stable version's workload was deleted: reported as long as it is so, before a rollback is needed.
    pub(super) fn notice_lost(&mut self) {
        let Some(world) = self.world else { return };
        let state = &self.out.state;
        if !state.phase.owns_service() || state.stable_replicas.is_none() {
            return;
        }
        if !world.stable_gone && self.is_lost() {
            self.out.state.needs = None;
        } else if world.stable_gone && !self.is_lost() {
            self.out.state.needs = Some(self.lost());
            self.note(Happened::StableLost);
        }
    }

    /// True while it is reported that there is no stable version to go back to.
    pub(super) fn is_lost(&self) -> bool {
        self.out.state.needs.as_ref().is_some_and(|needs| needs.code == Code::StableLost)
    }

    pub(super) fn lost(&self) -> Refusal {
        let (stable, candidate) = (&self.spec.stable, self.spec.candidate.version());
        Refusal::new(Code::StableLost).arg("v", stable).arg("to", candidate)
    }

    fn restore_capacity(&mut self) {
        if self.is_lost() && self.out.state.back_to.is_none() {
            // It can never succeed: nothing is moved, and the service is free for others.
            self.finish(Phase::NeedsAttention);
            return;
        }
        if self.spec.candidate.is_in_place() && self.out.state.updated > 0 {
            self.act(ActionKind::Batch { updated: 0, number: 0 });
            return;
        }
        if self.out.state.reverting {
            self.await_reverted();
            return;
        }
        let Some(had) = self.out.state.stable_replicas else {
            // It ends before it touched anything.
            self.finish(Phase::RolledBack);
            return;
        };
        let Some(world) = self.world else { return };
        let late = self.out.state.deadline_ms.is_none_or(|deadline| self.now >= deadline);
        let state = &self.out.state;
        let lowered = world.stable.wanted < had;
        // What is switched back to gets its pods again, once only, so that no other controller is fought.
        let touched = state.stable_lowered || !self.is_mesh() || (state.switch_back && lowered);
        if touched && lowered && !state.scaled_back {
            self.act(ActionKind::Scale { side: Side::Stable, replicas: had });
            return;
        }
        let enough = if touched { world.stable.ready >= had } else { world.stable.ready > 0 };
        if (enough || late) && world.stable.ready > 0 {
            self.out.state.stage = Stage::Applying;
        } else if self.out.state.back_to.is_some() && self.is_mesh() {
            // Where a revision leads is checked when it is written.
            self.out.state.stage = Stage::Applying;
        } else if late {
            let stable = &self.spec.stable;
            self.out.state.needs = Some(Refusal::new(Code::StableNotReady).arg("v", stable));
            self.finish(Phase::NeedsAttention);
        }
    }

    /// The StatefulSet's template is as it was. The controller replaces pods one after the other and waits for
    /// each; a pod that never gets ready at the revision that was taken back is waited for until it is deleted.
    fn await_reverted(&mut self) {
        let Some(reverted) = self.world.map(|world| world.reverted) else { return };
        if reverted.whole && reverted.unsettled {
            self.act(ActionKind::Settle);
        } else if reverted.whole {
            self.out.state.stage = Stage::Applying;
        } else if reverted.broken > 0 {
            self.act(ActionKind::Heal);
        } else if self.out.state.deadline_ms.is_none_or(|deadline| self.now >= deadline) {
            let stable = &self.spec.stable;
            self.out.state.needs = Some(Refusal::new(Code::StableNotReady).arg("v", stable));
            self.finish(Phase::NeedsAttention);
        }
    }

    fn move_back(&mut self) {
        if !self.is_mesh() || !self.out.state.declared {
            self.out.state.stage = Stage::Converging;
            return;
        }
        match self.out.state.back_to {
            Some(revision) => self.act(ActionKind::SwitchBack { revision }),
            None if self.out.state.switch_back => self.act(ActionKind::Restore),
            None => self.act(ActionKind::Traffic { aim: Aim::default() }),
        }
    }

    /// Without a mesh it is the pods that bring requests to the candidate.
    fn lower_candidate(&mut self) {
        if self.is_mesh() || self.spec.candidate.is_in_place() || !self.out.state.deployed {
            self.out.state.stage = Stage::Soaking;
            return;
        }
        let Some(world) = self.world else { return };
        let had = self.out.state.candidate_replicas.unwrap_or(0);
        if world.candidate.wanted > had {
            self.act(ActionKind::Scale { side: Side::Candidate, replicas: had });
        } else {
            self.out.state.stage = Stage::Soaking;
        }
    }

    fn end_back(&mut self) {
        let made = self.spec.candidate.is_made() && self.out.state.deployed;
        let gone = self.out.state.removed.contains(&Side::Candidate);
        // A revision may well give the candidate a share.
        if made && !gone && self.spec.policies.delete_after_abort && self.out.state.back_to.is_none() {
            self.act(ActionKind::Remove { side: Side::Candidate });
            return;
        }
        if self.spreads_again() {
            return;
        }
        self.finish(Phase::RolledBack);
    }

    /// Requests were spread by pods before and the candidate has no pods (any more): the routing is given back as it
    /// was. While it has some, the stable version keeps all requests by declaration. True while this is under way.
    fn spreads_again(&mut self) -> bool {
        let state = &self.out.state;
        if !state.by_pods || !state.declared || state.back_to.is_some() || state.switch_back {
            return false;
        }
        let Some(world) = self.world else { return true };
        if world.candidate.wanted > 0 || world.candidate.ready > 0 {
            // Pods of a workload that was deleted need their time to end.
            let ends = state.removed.contains(&Side::Candidate);
            return ends && state.deadline_ms.is_some_and(|deadline| self.now < deadline);
        }
        self.act(ActionKind::Restore);
        true
    }
}
