//! Checks on rules that leave nothing, or perhaps nothing, for the routes below them.

use crate::domain::refusal::{Check, Code};
use crate::domain::routing::{Route, RouteKind};

use super::{Judge, acknowledge, info};

impl Judge<'_, '_> {
    /// A rule of the plan that becomes the default route, and rules that may take every request.
    pub fn taken(&self, out: &mut Vec<Check>) {
        let name = |at: usize| {
            let route = self.after.route(at);
            route.name.clone().unwrap_or_else(|| (route.index + 1).to_string())
        };
        if let Some(now) = self.closing() {
            // What is below is the former default route, which the check names already.
            out.retain(|check| check.code != Code::RuleNeverMatches);
            let object = &self.after.route(now).object;
            out.push(acknowledge(Code::RuleTakesAll).arg("n", name(now)).arg("object", object));
        }
        if self.plan.is_empty() {
            return;
        }
        for at in (0..self.after.spots.len()).filter(|at| self.after.may_take_all(*at)) {
            let route = self.after.route(at);
            let same = |earlier: usize| {
                self.before.may_take_all(earlier) && self.before.route(earlier).targets == route.targets
            };
            let known = self.earlier(route).is_some_and(same);
            let code = if known { info(Code::RuleMayTakeAll) } else { acknowledge(Code::RuleMayTakeAll) };
            out.push(code.arg("n", name(at)).arg("object", &route.object));
        }
    }

    /// The rule that takes everything which the default route took before the plan.
    fn closing(&self) -> Option<usize> {
        let now = self.after.default.filter(|at| self.after.spots[*at].kind == RouteKind::Http)?;
        let route = self.after.route(now);
        // Where there was none, what the plan made beside its rules is the default route: it stands below them.
        let is_last = || {
            let below = |other: &Route| {
                other.object == route.object && other.kind == route.kind && other.index > route.index
            };
            !self.after.routing.routes.iter().any(below)
        };
        let stays = match self.before.default.map(|at| self.before.route(at)) {
            Some(before) => before.id != route.id && self.after.routing.route(&before.id).is_some(),
            None => !is_last(),
        };
        let rules = self.planner.wants_rules && self.earlier(route).is_none();
        (rules && stays).then_some(now)
    }
}
