//! The new version as the release was started with it: whoever changes its pod template, or deletes it, changes what is
//! released. Noticed while the release moves or waits, whatever its policy about the routing is: it pauses, and goes on
//! only with an acceptance of what is there now.

use super::Machine;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::release::state::{ActionKind, Side};
use crate::domain::release::{Candidate, Changed, Happened, PauseReason, Phase, Runs};

impl Machine<'_> {
    pub(super) fn notice_candidate(&mut self) {
        let Some(world) = self.world else { return };
        let state = &self.out.state;
        let writes = state.pending.iter().any(|action| {
            matches!(
                action.kind,
                ActionKind::Deploy { .. } | ActionKind::Batch { .. } | ActionKind::Remove { .. }
            )
        });
        let there = match &self.spec.candidate {
            Candidate::Image { in_place: true, .. } => state.updated > 0,
            Candidate::Image { .. } => state.deployed,
            Candidate::Adopt { .. } => true,
        };
        let watched = state.phase.owns_service() && state.phase != Phase::Aborting;
        if !watched || writes || !there || state.removed.contains(&Side::Candidate) {
            return;
        }
        self.notice_down();
        let now = if world.candidate_gone { Vec::new() } else { world.runs.clone() };
        if self.out.state.runs.is_empty() {
            if self.is_own(&now) {
                self.out.state.runs = now;
            }
            return;
        }
        if now.is_empty() && !world.candidate_gone {
            // Its last pods are ending.
            return;
        }
        if now == self.out.state.runs {
            if self.out.state.changed.take().is_some() {
                let refusal = Refusal::new(Code::CandidateRestored).arg("v", self.spec.candidate.version());
                self.explain(refusal);
            }
            return;
        }
        if self.out.state.changed.as_ref().is_some_and(|known| known.now == now) {
            return;
        }
        let why = self.difference(&now);
        self.out.state.changed = Some(Box::new(Changed { now, why: why.clone() }));
        self.explain(why);
    }

    /// Stands still because of the new version, with this in words.
    fn explain(&mut self, why: Refusal) {
        self.note(Happened::CandidateChanged { change: why.clone() });
        self.pause(PauseReason::Drift, Some(why));
    }

    /// True for what can have been written from here: a StatefulSet that was not seen since its batch still shows the
    /// template of before.
    fn is_own(&self, now: &[Runs]) -> bool {
        match &self.spec.candidate {
            Candidate::Image { image, in_place: true, .. } => {
                now.iter().all(|one| one.images.split(", ").any(|runs| runs == image))
            }
            _ => true,
        }
    }

    /// What is there now beside what the release was started with.
    fn difference(&self, now: &[Runs]) -> Refusal {
        let candidate = self.spec.candidate.version();
        let known = &self.out.state.runs;
        if now.is_empty() {
            let object = known.first().map(|one| one.workload.as_str()).unwrap_or_default();
            return Refusal::new(Code::CandidateGone)
                .arg("v", candidate)
                .arg("object", object)
                .arg("percent", self.out.state.aim.percent);
        }
        let was = |one: &Runs| known.iter().find(|other| other.workload == one.workload);
        let other = now.iter().find(|one| was(one) != Some(*one));
        // Where none is another, one of several was deleted.
        let object = other.or_else(|| known.iter().find(|one| !now.contains(one)));
        let object = object.map(|one| one.workload.as_str()).unwrap_or_default();
        let refusal = Refusal::new(Code::CandidateChanged).arg("v", candidate).arg("object", object);
        let before = |one: &Runs| was(one).or(known.first()).map_or("", |one| one.images.as_str()).to_owned();
        match other {
            Some(one) if was(one).is_none_or(|before| before.images != one.images) => {
                let who = if one.by.is_empty() { "?" } else { one.by.as_str() };
                refusal.arg("image", &one.images).arg("was", before(one)).arg("who", who)
            }
            _ => refusal,
        }
    }

    /// Requests go to a version without a ready pod: said as long as it is so.
    fn notice_down(&mut self) {
        let Some(world) = self.world else { return };
        let state = &self.out.state;
        let reached = state.aim.percent > 0 || !state.aim.when.is_empty();
        let down = self.is_mesh() && state.declared && reached && world.candidate.ready == 0;
        let is_said = state.needs.as_ref().is_some_and(|needs| needs.code == Code::CandidateDown);
        if !down && is_said {
            self.out.state.needs = None;
        } else if down && state.needs.is_none() {
            let refusal = Refusal::new(Code::CandidateDown).arg("v", self.spec.candidate.version());
            let percent = state.aim.percent;
            let refusal = if percent > 0 { refusal.arg("percent", percent) } else { refusal };
            self.out.state.needs = Some(refusal);
            self.note(Happened::CandidateDown);
        }
    }
}
