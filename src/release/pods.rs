//! Without a mesh it is the pods that spread requests: a client that scales a workload meanwhile (a person, an
//! autoscaler) moves requests, as an edit of a route does. It is noticed once for each other share, by the same
//! policy.

use super::{Machine, REASSERT_MS, REASSERTS};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::state::{ActionKind, Side};
use crate::domain::release::{Happened, OnDrift, PauseReason, Phase, PodNumbers};

impl Machine<'_> {
    /// Scaled from outside: apply the policy for edits from outside.
    pub(super) fn notice_scaling(&mut self) {
        let state = &self.out.state;
        let writes = state.reassert || state.pending.iter().any(|action| action.kind != ActionKind::Measure);
        if self.is_mesh() || writes || !state.phase.owns_service() {
            return;
        }
        let (Some(left), Some(now)) = (state.pods, self.pods_seen()) else { return };
        if now.spreads_as(left) {
            self.out.state.pods_now = None;
            return;
        }
        if state.pods_now == Some(now) {
            return;
        }
        let phase = state.phase;
        self.out.state.pods_now = Some(now);
        if phase == Phase::Aborting {
            return;
        }
        self.note(Happened::Scaled { percent: now.share() });
        match self.spec.policies.on_drift {
            OnDrift::Adopt => {
                if self.spec.candidate.is_in_place() {
                    self.out.state.updated = now.candidate;
                }
                self.out.state.pods = Some(now);
                self.out.state.pods_now = None;
                self.note(Happened::Adopted { percent: now.share() });
            }
            OnDrift::Reassert => {
                let at = self.now;
                let state = self.state();
                state.reasserted_ms.retain(|then| (0..REASSERT_MS).contains(&at.saturating_sub(*then)));
                if state.reasserted_ms.len() >= REASSERTS {
                    self.scaled(left, now);
                } else {
                    state.reasserted_ms.push(at);
                    state.reassert = true;
                }
            }
            OnDrift::Pause => self.scaled(left, now),
        }
    }

    fn scaled(&mut self, left: PodNumbers, now: PodNumbers) {
        let paused = self.out.state.phase == Phase::Paused;
        let detail = Refusal::new(Code::PodsScaled)
            .arg("v", self.spec.candidate.version())
            .arg("n", now.candidate)
            .arg("all", now.all())
            .arg("percent", now.share())
            .arg("left", left.candidate)
            .arg("of", left.all());
        if paused && self.out.state.pause_reason() == Some(PauseReason::Drift) {
            if let Some(paused) = &mut self.out.state.paused {
                paused.detail = Some(detail);
            }
            return;
        }
        self.pause(PauseReason::Drift, Some(detail));
    }

    /// The pods as they are: the workloads' numbers, or, in place, what the partition makes of the StatefulSet's.
    fn pods_seen(&self) -> Option<PodNumbers> {
        let world = self.world?;
        if !self.spec.candidate.is_in_place() {
            return Some(PodNumbers { candidate: world.candidate.wanted, stable: world.stable.wanted });
        }
        let before = self.out.state.pods?.stable;
        let total = world.stable.wanted;
        Some(PodNumbers { candidate: total.saturating_sub(before), stable: total.min(before) })
    }

    /// What a batch leaves of a StatefulSet with so many pods.
    pub(super) fn left_in_place(&mut self, updated: u32, total: u32) {
        let candidate = updated.min(total);
        self.out.state.pods = Some(PodNumbers { candidate, stable: total - candidate });
        self.out.state.pods_now = None;
    }

    /// Gives the versions the pods again that the latest step left; in place, moves the partition to where it leaves as
    /// many new pods of those that are there now. True when nothing is left to do.
    pub(super) fn restore_pods(&mut self) -> bool {
        let Some(world) = self.world else { return false };
        let Some(left) = self.out.state.pods else {
            self.out.state.reassert = false;
            return true;
        };
        if self.spec.candidate.is_in_place() {
            let (updated, total) = (self.out.state.updated, world.stable.wanted);
            let number = self.batch_number();
            self.left_in_place(updated, total);
            self.act(ActionKind::Batch { updated, number });
            return false;
        }
        let sides = [
            (Side::Candidate, world.candidate.wanted, left.candidate),
            (Side::Stable, world.stable.wanted, left.stable),
        ];
        // The version that gets more comes first.
        let mut off: Vec<_> = sides.into_iter().filter(|(_, now, left)| now != left).collect();
        off.sort_by_key(|(_, now, left)| now > left);
        if let Some((side, _, replicas)) = off.first() {
            self.act(ActionKind::Scale { side: *side, replicas: *replicas });
            false
        } else {
            self.out.state.reassert = false;
            self.out.state.pods_now = None;
            self.note(Happened::Reasserted);
            true
        }
    }
}
