//! Take over: every route that chooses among the service's versions sends everything to one of them.
//! Mirrors stay, other services' routes stay, redirects stay.

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
        for route in 0..self.before.spots.len() {
            if self.before.route(route).fixed.is_some() || !self.before.reaches_service(route) {
                continue;
            }
            self.set_weights(route, &split)?;
            if self.before.rule_spots.contains(&route) {
                self.followed += 1;
            }
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
}
