//! Take over: every route that chooses among the service's versions sends everything to one of them.
//! Mirrors stay, other services' routes stay, redirects stay. A route of which other hosts have a share cannot be
//! taken over without taking their share, too: it stays, is named, and has to be acknowledged.

use crate::domain::ids::VersionName;
use crate::domain::refusal::{Check, Code, Refusal, Severity};
use crate::domain::split::Split;

use super::Planner;

impl Planner<'_> {
    /// Gives everything to `version`.
    pub fn take_over(&mut self, version: &VersionName) -> Result<(), Refusal> {
        if self.version(version).is_none() {
            return Err(Refusal::new(Code::UnknownVersion).field("version").arg("v", version));
        }
        let split = Split::all_to(version.clone());
        let mut stay: Vec<(usize, Refusal)> = Vec::new();
        let mut moved = 0;
        for route in 0..self.before.spots.len() {
            if self.before.route(route).fixed.is_some() || !self.before.reaches_service(route) {
                continue;
            }
            match self.set_weights(route, &split) {
                Ok(()) => {}
                Err(refusal) if shares_with_others(refusal.code) => {
                    stay.push((route, refusal));
                    continue;
                }
                Err(refusal) => return Err(refusal),
            }
            moved += 1;
            if self.before.rule_spots.contains(&route) {
                self.followed += 1;
            }
        }
        if let Some((route, refusal)) = stay.first() {
            // Nothing else is left to take over: that is a refusal, and it names the route.
            if moved == 0 {
                let route = self.before.route(*route);
                return Err(refusal.clone().arg("object", &route.object).arg("route", &route.id));
            }
            let list: Vec<String> = stay.iter().map(|(at, refusal)| self.staying(*at, refusal)).collect();
            let check = Check::new(Severity::Acknowledge, Code::RoutesStay);
            self.note(check.arg("n", stay.len()).arg("list", list.join("; ")));
        }
        // What calls the service without a VirtualService is spread by pods, and "all" means all.
        if !self.before.claimed_in_mesh {
            self.create_virtual_service(Some(&split))?;
        }
        if self.followed > 0 {
            self.note(
                Check::new(Severity::Info, Code::RulesFollow).arg("n", self.followed).arg("v", version),
            );
        }
        Ok(())
    }

    /// A route that stays as it is, with whom it shares.
    fn staying(&self, at: usize, refusal: &Refusal) -> String {
        let route = self.before.route(at);
        let with = refusal.args.iter().find(|(name, _)| matches!(name.as_ref(), "host" | "subset"));
        let with = with.map_or("", |(_, with)| with.as_str());
        format!("{} `{}` → `{with}`", route.object, route.id)
    }
}

/// True for refusals that concern one route and no other.
fn shares_with_others(code: Code) -> bool {
    matches!(code, Code::ForeignDestination | Code::HostMissing | Code::SubsetShared)
}
