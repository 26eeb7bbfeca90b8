//! Freeze windows: within one no step forward begins. What holds goes on holding, what was written comes true, and
//! the way back is always open. When the window ends it goes on by itself; before, when a person says so.

use super::Machine;
use crate::domain::release::freeze;
use crate::domain::release::{PauseReason, Phase, Stage, Step};

impl Machine<'_> {
    fn frozen_until(&self) -> Option<i64> {
        let until = freeze::until(&self.spec.policies.freeze, self.now)?;
        let let_on = self.out.state.unfrozen_ms.is_some_and(|let_on| let_on >= until);
        (!let_on).then_some(until)
    }

    /// True when the next thing to do leads forward and must not be done now: it waits.
    pub(super) fn barred(&mut self) -> bool {
        let state = &self.out.state;
        let acts = matches!(
            self.spec.steps.get(state.step),
            Some(Step::Weight { .. } | Step::Rules { .. } | Step::Mirror { .. } | Step::Replicas { .. })
        );
        let begins = (self.is_mesh() && !state.declared) || !state.deployed;
        let forward = state.phase == Phase::Promoting || acts || begins;
        if state.stage != Stage::Preflight || !forward {
            return false;
        }
        let Some(until) = self.frozen_until() else { return false };
        self.pause(PauseReason::FreezeWindow, None);
        self.out.state.due_ms = Some(until);
        true
    }

    /// Goes on when the window has ended.
    pub(super) fn thaw(&mut self) {
        let waits = self.out.state.phase == Phase::Paused
            && self.out.state.pause_reason() == Some(PauseReason::FreezeWindow);
        if waits && self.frozen_until().is_none() {
            self.resume();
        }
    }

    /// A person says that it shall go on in spite of the window.
    pub(super) fn let_on(&mut self) {
        self.out.state.unfrozen_ms = freeze::until(&self.spec.policies.freeze, self.now);
    }
}
