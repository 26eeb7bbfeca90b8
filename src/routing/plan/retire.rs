//! Retire: what the routing says of a version that has no traffic goes: rules that send to it alone, its entries of
//! weight 0, its mirror, and last its subsets. Called for releases; the workload is not routing's.

use serde_json::Value;

use crate::domain::ids::{Kind, VersionName};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::routing::{Dest, Rule};

use super::super::json;
use super::super::read::destination_rule;
use super::Planner;

impl Planner<'_> {
    /// Takes a version out. Refused while it still gets requests by weight.
    pub fn retire(&mut self, version: &VersionName) -> Result<(), Refusal> {
        let is = |to: &Dest| *to == Dest::Version(version.clone());
        let alone = |rule: &Rule| {
            let mut served = rule.to.iter().filter(|(_, weight)| *weight > 0).peekable();
            served.peek().is_some() && served.all(|(name, _)| name == version)
        };
        for at in 0..self.before.spots.len() {
            let route = self.before.route(at).clone();
            let gone: Vec<usize> =
                (0..route.targets.len()).filter(|entry| is(&route.targets[*entry].to)).collect();
            let rule = self.before.routing.rules.iter().find(|rule| rule.id.as_ref() == Some(&route.id));
            if gone.is_empty() || rule.is_some_and(alone) {
                continue;
            }
            let share: u32 = gone.iter().map(|entry| u32::from(route.targets[*entry].percent)).sum();
            if share > 0 {
                return Err(Refusal::new(Code::StillServing).arg("v", version).arg("n", share));
            }
            let (kind, index) = (self.before.spots[at].kind, self.before.spots[at].index);
            let held = self.drafts.open(self.snapshot, &route.object)?;
            let entries = json::routes_mut(held, kind)
                .and_then(|list| list.get_mut(index))
                .and_then(|route| route.get_mut("route"))
                .and_then(Value::as_array_mut);
            if let Some(entries) = entries {
                let mut place = 0;
                entries.retain(|_| {
                    place += 1;
                    !gone.contains(&(place - 1))
                });
            }
        }
        let mirrored = self.before.routing.mirror.as_ref().is_some_and(|mirror| is(&mirror.to));
        let rules: Vec<Rule> =
            self.before.routing.rules.iter().filter(|rule| !alone(rule)).cloned().collect();
        if mirrored || rules.len() != self.before.routing.rules.len() {
            let place = self.place()?;
            if let (true, Some(index)) = (mirrored, place.default) {
                self.set_mirror(&place.object, index, None)?;
            }
            // Last, because it moves the other routes of the list.
            if rules.len() != self.before.routing.rules.len() {
                self.set_rules(&place, &rules)?;
            }
        }
        self.drop_subsets(version)
    }

    /// Subsets that hold this version and no other, in the service's own rules of its own namespace. Routes of other
    /// services may name those of a rule with a wildcard as host.
    fn drop_subsets(&mut self, version: &VersionName) -> Result<(), Refusal> {
        let home = &self.snapshot.service.at.namespace;
        for at in 0..self.snapshot.destination_rules.len() {
            let object = destination_rule(self.snapshot, at);
            if object.kind != Kind::DestinationRule
                || object.namespace != *home
                || !self.before.is_own_rule(at)
            {
                continue;
            }
            let namer = self.before.namer(0);
            let gone: Vec<String> = self.snapshot.destination_rules[at]
                .object
                .spec
                .subsets
                .iter()
                .map(|subset| subset.name.to_string())
                .filter(|name| namer.subset(name) == Dest::Version(version.clone()))
                .collect();
            if gone.is_empty() {
                continue;
            }
            let held = self.drafts.open(self.snapshot, &object)?;
            if let Some(subsets) = json::subsets_mut(held) {
                subsets.retain(|subset| {
                    subset["name"].as_str().is_none_or(|name| !gone.iter().any(|other| other == name))
                });
            }
        }
        Ok(())
    }
}
