//! Plans: from a command and a snapshot to the edits that it needs, with everything that is to be said
//! about them. Called by `services` for previews and for changes alike.

use crate::domain::command::{Command, TrafficChange};
use crate::domain::ids::VersionName;
use crate::domain::plan::{Effect, Planned};
use crate::domain::refusal::{Check, Code, Refusal};
use crate::domain::routing::{Route, Weights};
use crate::domain::snapshot::Snapshot;

use super::read::{Inspected, inspect};
use super::{ChangeStamp, Policy};

pub use drafts::applied;

pub mod checks;
mod create;
mod drafts;
mod subsets;
mod takeover;
mod weights;

/// A plan that is being made.
pub struct Planner<'a> {
    snapshot: &'a Snapshot,
    before: Inspected<'a>,
    drafts: drafts::Drafts,
    added: Vec<subsets::Added>,
    notes: Vec<Check>,
    /// Rules whose targets follow a take over.
    followed: usize,
}

/// The edits that a command needs. Refused when the command makes no sense for this service; what merely
/// stands in its way is among the checks.
pub fn plan(
    command: &Command,
    snapshot: &Snapshot,
    policy: &Policy,
    change: &ChangeStamp,
) -> Result<Planned, Refusal> {
    let mut planner = Planner {
        snapshot,
        before: inspect(snapshot),
        drafts: drafts::Drafts::default(),
        added: Vec::new(),
        notes: Vec::new(),
        followed: 0,
    };
    let target = match command {
        Command::Set(wish) => planner.set(wish)?,
        Command::TakeOver { version } => {
            planner.take_over(version)?;
            planner.before.default
        }
        Command::SwitchBack { .. } => return Err(Refusal::new(Code::UnknownRevision)),
    };
    planner.finish(command, target, policy, change)
}

impl Planner<'_> {
    fn note(&mut self, check: Check) {
        if !self.notes.contains(&check) {
            self.notes.push(check);
        }
    }

    /// New weights, rules or mirror. Returns the route that is meant.
    fn set(&mut self, wish: &TrafficChange) -> Result<Option<usize>, Refusal> {
        if wish.weights.is_none() && wish.rules.is_none() && wish.mirror.is_none() {
            return Err(Refusal::new(Code::NothingAsked));
        }
        if wish.rules.is_some() || wish.mirror.is_some() {
            // Follows in the next commit; refused rather than half done.
            return Err(Refusal::new(Code::Internal));
        }
        let target = match &wish.route {
            Some(id) => Some(
                self.before
                    .routing
                    .routes
                    .iter()
                    .position(|route| route.id == *id)
                    .ok_or_else(|| Refusal::new(Code::UnknownRoute).field("route").arg("route", id))?,
            ),
            None => self.before.default,
        };
        match target {
            Some(route) => {
                if let Some(split) = &wish.weights {
                    self.set_weights(route, split)?;
                }
            }
            None if self.before.claimed_in_mesh => {
                return Err(match self.before.troubles.first() {
                    Some(trouble) => Refusal::new(Code::DelegateMissing)
                        .arg("object", &trouble.root)
                        .arg("delegate", &trouble.delegate),
                    None => Refusal::new(Code::NoDefaultRoute).field("route"),
                });
            }
            None => {
                self.create_virtual_service(wish.weights.as_ref())?;
            }
        }
        Ok(target)
    }

    fn finish(
        self,
        command: &Command,
        target: Option<usize>,
        policy: &Policy,
        change: &ChangeStamp,
    ) -> Result<Planned, Refusal> {
        let applied = self.drafts.applied(self.snapshot);
        let after = inspect(&applied);
        let plan = self.drafts.plan(change);
        let effect = self.effect(&after, target);
        let checks = checks::of(&self, &after, &plan, &effect, command, policy);
        Ok(Planned { plan, checks, effect })
    }

    fn effect(&self, after: &Inspected<'_>, target: Option<usize>) -> Effect {
        let before_route = target.map(|at| self.before.route(at));
        let after_route = match before_route {
            Some(route) => after.routing.route(&route.id).or_else(|| after.routing.default_route()),
            None => after.routing.default_route(),
        };
        Effect {
            route: after_route.map(|route| route.id.clone()),
            before: self.named(before_route),
            after: self.named(after_route),
            rules_before: self.before.routing.rules.clone(),
            rules_after: after.routing.rules.clone(),
            mirror_before: self.before.routing.mirror.clone(),
            mirror_after: after.routing.mirror.clone(),
            rules_followed: self.followed,
        }
    }

    /// Weights of a route with every version of the service named; empty where requests are spread by pods.
    fn named(&self, route: Option<&Route>) -> Weights {
        let Some(weights) = route.and_then(Route::weights) else { return Weights::new() };
        let of = |name: &VersionName| {
            weights.iter().find(|(version, _)| version == name).map_or(0, |(_, weight)| *weight)
        };
        self.snapshot.versions.iter().map(|version| (version.name.clone(), of(&version.name))).collect()
    }
}
