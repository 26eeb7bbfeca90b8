//! Plans: from a command and a snapshot to the edits that it needs, with all checks
//! about them. Called by `services` for previews and for changes alike.

use serde_json::Value;

use crate::domain::command::{Command, TrafficChange};
use crate::domain::ids::{Kind, ObjectRef, VersionName};
use crate::domain::plan::{Effect, Planned, Standing};
use crate::domain::refusal::{Check, Code, Refusal};
use crate::domain::routing::{Route, RouteKind, Routing, Weights};
use crate::domain::rule_changes::RuleChanges;
use crate::domain::service::EXPORT_TO;
use crate::domain::snapshot::Snapshot;

use super::read::{Inspected, Scope, by_port, inspect, listed};
use super::{ChangeStamp, Policy, json};

pub use drafts::{applied, recorded, with_spec, with_specs};

pub mod checks;

mod create;
mod subsets;
mod weights;

mod lane;
mod mirror;
mod rules;

mod give_back;
mod switch_back;
mod takeover;

mod retire;

mod arrange;
mod drafts;

/// A plan that is being made.
pub struct Planner<'a> {
    snapshot: &'a Snapshot,
    before: Inspected<'a>,
    drafts: drafts::Drafts,
    added: Vec<subsets::Added>,
    notes: Vec<Check>,
    /// Rules whose targets follow a take over.
    followed: usize,
    /// The plan writes rules, or a lane.
    wants_rules: bool,
    /// A version that had weight at the revision that is restored, and is not there any more.
    gone: Option<VersionName>,
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
        wants_rules: false,
        gone: None,
    };
    let target = match command {
        Command::Set(wish) => planner.set(wish)?,
        Command::TakeOver { version } => {
            planner.take_over(version)?;
            planner.before.default
        }
        Command::Retire { version } => {
            planner.retire(version)?;
            planner.before.default
        }
        Command::SwitchBack { specs, weights, added, .. } => {
            let then = switch_back::Then { specs, weights: weights.as_deref().unwrap_or_default(), added };
            planner.switch_back(&then, policy.may_delete)?;
            planner.before.default
        }
    };
    Ok(planner.finish(command, target, policy, change))
}

impl Planner<'_> {
    fn note(&mut self, check: Check) {
        if !self.notes.contains(&check) {
            self.notes.push(check);
        }
    }

    /// New weights, rules or mirror. Returns the route that is meant.
    fn set(&mut self, wish: &TrafficChange) -> Result<Option<usize>, Refusal> {
        if wish.is_empty() {
            return Err(Refusal::new(Code::NothingAsked));
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
        // Asking for no rule and no mirror where neither could be is asking for what is so already.
        let some_mirror = wish.mirror.as_ref().is_some_and(Option::is_some);
        let some_lane = wish.lane.as_ref().is_some_and(|lane| !lane.when.is_empty());
        let adds = some_mirror || some_lane || wish.rules.as_ref().is_some_and(|rules| !rules.is_empty());
        let created = match target {
            Some(route) => {
                if let Some(split) = &wish.weights {
                    self.set_weights(route, split)?;
                    if let Some(other) = self.before.counterpart(route) {
                        self.set_weights(other, split)?;
                    }
                }
                None
            }
            // Rules can do without a default route, shares and mirrors cannot.
            None if self.before.claimed_in_mesh && (wish.weights.is_some() || some_mirror) => {
                return Err(self.no_default());
            }
            None if self.before.claimed_in_mesh => None,
            None if wish.weights.is_none() && !adds => return Ok(None),
            // A VirtualService for the mesh would leave what these routes do as it is.
            None if !self.before.choices().is_empty() => return Err(self.choose()),
            None => Some(self.create_virtual_service(wish.weights.as_ref())?),
        };
        if wish.mirror.is_none() && wish.rules.is_none() && wish.lane.is_none() {
            return Ok(target);
        }
        let is_new = created.is_some();
        let place = match created {
            Some(object) => self.place_in(object),
            None => self.place(),
        };
        let place = match place {
            Err(_) if !adds => return Ok(target),
            place => place?,
        };
        if let Some(mirror) = &wish.mirror {
            match place.default {
                Some(index) => self.set_mirror(&place.object, index, mirror.as_ref())?,
                None if mirror.is_none() => {}
                None => return Err(self.no_default()),
            }
        }
        self.wants_rules = wish.rules.is_some() || wish.lane.is_some();
        // Last, because it moves the other routes of the list.
        if let Some(rules) = &wish.rules {
            self.set_rules(&place, rules)?;
        } else if let Some(lane) = &wish.lane {
            self.set_lane(&place, is_new, lane)?;
        }
        Ok(target)
    }

    /// Why there is no default route.
    fn no_default(&self) -> Refusal {
        if let Some(trouble) = self.before.troubles.first() {
            let code = if trouble.invalid { Code::DelegateInvalid } else { Code::DelegateMissing };
            return Refusal::new(code).arg("object", &trouble.root).arg("delegate", &trouble.delegate);
        }
        // The routes that are there are for another protocol than that of the port.
        if let Some(open) = self.before.uncovered().iter().find(|open| !open.half) {
            let Check { code, args, .. } = by_port(&self.before, open);
            return Refusal { args, ..Refusal::new(code) };
        }
        let object = self.before.routing.routes.first().map(|route| route.object.to_string());
        Refusal::new(Code::NoDefaultRoute).field("route").arg("object", object.unwrap_or_default())
    }

    /// Which of several routes is meant, when none of them stands for all.
    fn choose(&self) -> Refusal {
        if self.snapshot.service.known_in().is_some_and(|known| known.is_empty()) {
            return Refusal::new(Code::ServiceNotExported).arg("annotation", EXPORT_TO);
        }
        let choices = self.before.choices();
        if self.before.claimed_in_mesh || choices.is_empty() {
            return self.no_default();
        }
        Refusal::new(Code::ChooseRoute).field("route").arg("list", listed(&choices))
    }

    /// Where rules and mirror are written: beside the default route, else beside the other rules.
    fn place(&self) -> Result<rules::Place, Refusal> {
        let http = |spot: &usize| self.before.spots[*spot].kind == RouteKind::Http;
        if let Some(default) = self.before.default {
            if !http(&default) {
                return Err(Refusal::new(Code::NoHttp));
            }
            let spot = &self.before.spots[default];
            return Ok(rules::Place {
                object: self.before.route(default).object.clone(),
                default: Some(spot.index),
                scope: self.before.scope(),
                open: spot.everything || self.before.is_free(default),
            });
        }
        let rule = self.before.rule_spots.first().ok_or_else(|| self.no_default())?;
        Ok(rules::Place {
            object: self.before.route(*rule).object.clone(),
            default: None,
            scope: Scope::default(),
            open: true,
        })
    }

    /// The same in an object that this plan creates.
    fn place_in(&self, object: ObjectRef) -> Result<rules::Place, Refusal> {
        let json = self.drafts.peek(self.snapshot, &object);
        let list = json.map_or(&[][..], |json| json::routes(json, RouteKind::Http));
        let first = list.first().ok_or_else(|| Refusal::new(Code::NoHttp))?;
        let port = first.pointer("/match/0/port").and_then(Value::as_u64);
        let scope = Scope { port: port.and_then(|port| u32::try_from(port).ok()), gateways: Vec::new() };
        Ok(rules::Place { object, default: Some(0), scope, open: true })
    }

    fn finish(
        self,
        command: &Command,
        target: Option<usize>,
        policy: &Policy,
        change: &ChangeStamp,
    ) -> Planned {
        let removes = matches!(command, Command::Retire { .. });
        // Between the two stages: new subsets and old routes; or, when something goes, new routes and old subsets.
        let first = if removes { Kind::VirtualService } else { Kind::DestinationRule };
        let of_first = |at: &ObjectRef, draft: &drafts::Draft| {
            at.kind == first && draft.after.is_some() && !self.drafts.is_last(at)
        };
        // Objects may be large: nothing is read a second time where the first stage changes nothing.
        let changes = self.drafts.changed().any(|(at, draft)| of_first(at, draft));
        let added = changes.then(|| self.drafts.applied(self.snapshot, of_first));
        let between = added.as_ref().map(inspect);
        let applied = self.drafts.applied(self.snapshot, |_, _| true);
        let after = inspect(&applied);
        let plan = self.drafts.plan(change, removes);
        let effect = self.effect(&after, target);
        let between = between.as_ref().unwrap_or(&self.before);
        let states = checks::States { before: &self.before, between, after: &after };
        let checks = checks::of(&self, states, &plan, &effect, command, policy);
        let Routing { objects, fingerprint, .. } = after.routing;
        Planned { plan, checks, effect, after: Standing { objects, fingerprint } }
    }

    fn effect(&self, after: &Inspected<'_>, target: Option<usize>) -> Effect {
        let before_route = target.map(|at| self.before.route(at));
        // A rule that takes every request is the default route from then on, whatever stands below it.
        let is_default = target.is_some() && target == self.before.default;
        let after_route = match before_route {
            Some(_) if is_default && after.default.is_some() => after.routing.default_route(),
            Some(route) => after.routing.route(&route.id).or_else(|| after.routing.default_route()),
            None => after.routing.default_route(),
        };
        let ports = self.snapshot.service.ports.len() > 1;
        Effect {
            port: after_route.and_then(|route| route.port).filter(|_| ports),
            kept: self.kept(after, after_route, before_route),
            route: after_route.map(|route| route.id.clone()),
            before: self.named(before_route),
            after: self.named(after_route),
            rules_before: self.before.routing.rules.clone(),
            rules_after: after.routing.rules.clone(),
            rule_changes: RuleChanges::between(&self.before.routing.rules, &after.routing.rules),
            mirror_before: self.before.routing.mirror.clone(),
            mirror_after: after.routing.mirror.clone(),
            rules_followed: self.followed,
        }
    }

    /// Routes besides `of` that split requests of the service and do after the plan what they did before; rules
    /// are listed by themselves, and `former` is `of` before the plan.
    fn kept(&self, after: &Inspected<'_>, of: Option<&Route>, former: Option<&Route>) -> Vec<Route> {
        let Some(of) = of else { return Vec::new() };
        let same = |route: &Route| {
            let earlier = self.before.routing.route(&route.id);
            earlier.is_some_and(|earlier| earlier.targets == route.targets)
        };
        (0..after.spots.len())
            .filter(|at| !after.rule_spots.contains(at))
            .map(|at| after.route(at))
            .filter(|route| route.id != of.id && former.is_none_or(|former| former.id != route.id))
            .filter(|route| route.fixed.is_none() && route.reaches() && same(route))
            .cloned()
            .collect()
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
