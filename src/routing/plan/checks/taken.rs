//! Checks on rules that leave nothing, or perhaps nothing, for the routes below them.

use crate::domain::refusal::{Check, Code};
use crate::domain::routing::RouteKind;

use super::{Judge, acknowledge, info};

impl Judge<'_, '_> {
    /// A rule of the plan that becomes the default route, and rules that may take every request.
    pub fn taken(&self, out: &mut Vec<Check>) {
        let said = |code: Check, at: usize| {
            let route = self.after.route(at);
            let name = route.name.clone().unwrap_or_else(|| (route.index + 1).to_string());
            code.arg("n", name).arg("object", &route.object)
        };
        if let Some(now) = self.closing() {
            // What is below is the former default route, which the check names already.
            out.retain(|check| check.code != Code::RuleNeverMatches);
            out.push(said(acknowledge(Code::RuleTakesAll), now));
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
            out.push(said(code, at));
        }
    }

    /// The rule that takes everything which the default route took before the plan.
    fn closing(&self) -> Option<usize> {
        let now = self.after.default.filter(|at| self.after.spots[*at].kind == RouteKind::Http)?;
        let route = self.after.route(now);
        let before = self.before.default.map(|at| self.before.route(at));
        let stays = before.is_none_or(|before| {
            before.id != route.id && self.after.routing.route(&before.id).is_some()
        });
        let rules = self.planner.wants_rules && self.earlier(route).is_none();
        (rules && stays).then_some(now)
    }
}
