//! Commands of a person or portal that change traffic.

use serde_json::Value;

use super::ids::{ObjectRef, Revision, RouteId, VersionName};
use super::routing::{Condition, Rule, Weights};
use super::split::Split;

/// One request to change a service's traffic.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Set(TrafficChange),
    /// Every route that chooses among the service's versions sends 100 % to this one.
    TakeOver {
        version: VersionName,
    },
    /// What the routing says of a version without traffic goes: rules, entries, mirror, then its subsets.
    Retire {
        version: VersionName,
    },
    /// Split, rules and mirror as they stood at a revision; everything else stays as it is now.
    SwitchBack {
        revision: Revision,
        /// The `spec` of each routing object at that revision. An object that is missing here did not
        /// exist then.
        specs: Vec<(ObjectRef, Value)>,
        /// The declared weights at that revision, where the history knows them.
        weights: Option<Weights>,
        /// Subsets that Sluice added to DestinationRules since that revision, as it wrote them.
        added: Vec<(ObjectRef, Value)>,
    },
}

/// New weights, rules or mirror; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrafficChange {
    /// The route that is meant; `None` = the default route.
    pub route: Option<RouteId>,
    /// Versions that are not named get 0.
    pub weights: Option<Split>,
    /// The whole list in its new order.
    pub rules: Option<Vec<Rule>>,
    /// `Some(None)` = switch it off.
    pub mirror: Option<Option<MirrorWish>>,
    /// Requests that go to one version on every route; not together with `rules`, which names the whole list.
    pub lane: Option<Lane>,
}

impl TrafficChange {
    /// True when nothing is asked for; a route alone asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.weights.is_none() && self.rules.is_none() && self.mirror.is_none() && self.lane.is_none()
    }
}

/// Requests that one version gets whatever the weights say: one rule before each route that chooses among the
/// service's versions, which keeps that route's own match, rewrite, time-out and retries.
#[derive(Clone, Debug, PartialEq)]
pub struct Lane {
    /// The name of its first route; the others are `NAME-2`, `NAME-3` and so on.
    pub name: String,
    /// Alternatives; within one, all conditions must hold. Empty = the lane is taken away.
    pub when: Vec<Vec<Condition>>,
    pub to: VersionName,
}

impl Lane {
    /// True for the name of a route that belongs to this lane.
    pub fn owns(&self, route: Option<&str>) -> bool {
        let rest = route.and_then(|route| route.strip_prefix(self.name.as_str()));
        rest.is_some_and(|rest| {
            let number = rest.strip_prefix('-');
            rest.is_empty()
                || number
                    .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
        })
    }
}

/// Where copies shall go.
#[derive(Clone, Debug, PartialEq)]
pub struct MirrorWish {
    pub version: VersionName,
    /// In steps of 0.0001, above 0, at most 100.
    pub percent: f64,
}

impl Command {
    /// True for commands that lead back to what was good before: never delayed by an acknowledgement.
    pub fn goes_back(&self) -> bool {
        matches!(self, Self::SwitchBack { .. })
    }
}
