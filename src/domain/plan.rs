//! A plan: the ordered list of object edits that a command needs, computed without touching anything.
//!
//! Order is make-before-break: what is added (subsets) before what switches (routes), and what is
//! removed last. A plan cannot be built otherwise.

use std::sync::Arc;

use serde_json::Value;

use super::ids::{Kind, ObjectRef, RouteId};
use super::refusal::Check;
use super::routing::{Mirror, Route, Rule, Weights};
use super::rule_changes::{MirrorChange, RuleChanges};

/// One object that will be created, or replaced or deleted at the resourceVersion that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    pub object: ObjectRef,
    /// The whole object as read; `None` = it will be created.
    pub before: Option<Arc<Value>>,
    /// The whole object as it shall be; `None` = it will be deleted.
    pub after: Option<Value>,
}

impl Edit {
    /// True when the object goes.
    pub fn deletes(&self) -> bool {
        self.after.is_none()
    }

    /// The resourceVersion that the edit stands on; `None` for a creation.
    pub fn resource_version(&self) -> Option<&str> {
        self.before.as_ref()?.pointer("/metadata/resourceVersion")?.as_str()
    }
}

/// Edits in three stages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    adds: Vec<Edit>,
    switch: Vec<Edit>,
    removes: Vec<Edit>,
}

impl Plan {
    /// Builds a plan. `adds` and `removes` touch DestinationRules, `switch` touches VirtualServices;
    /// edits that would change nothing are left out. A DestinationRule goes last, after the routes that named
    /// its subsets.
    pub fn new(adds: Vec<Edit>, switch: Vec<Edit>, removes: Vec<Edit>) -> Self {
        let real = |edits: Vec<Edit>, kind: Kind| -> Vec<Edit> {
            edits
                .into_iter()
                .filter(|edit| edit.object.kind == kind && edit.before.as_deref() != edit.after.as_ref())
                .collect()
        };
        let (going, adds): (Vec<Edit>, Vec<Edit>) = adds.into_iter().partition(Edit::deletes);
        Self {
            adds: real(adds, Kind::DestinationRule),
            switch: real(switch, Kind::VirtualService),
            removes: real(removes.into_iter().chain(going).collect(), Kind::DestinationRule),
        }
    }

    /// The edits in the order in which they must be written.
    pub fn edits(&self) -> impl Iterator<Item = &Edit> {
        self.adds.iter().chain(&self.switch).chain(&self.removes)
    }

    /// The stages in order, empty ones left out. Between two stages proxies must have heard the first.
    pub fn stages(&self) -> impl Iterator<Item = &[Edit]> {
        [&self.adds[..], &self.switch[..], &self.removes[..]].into_iter().filter(|stage| !stage.is_empty())
    }

    /// The edits that only tidy up: deletions, and DestinationRules that lose subsets.
    pub fn tidying(&self) -> impl Iterator<Item = &Edit> {
        self.switch.iter().filter(|edit| edit.deletes()).chain(&self.removes)
    }

    /// True when nothing would change.
    pub fn is_empty(&self) -> bool {
        self.edits().next().is_none()
    }
}

/// A plan with its checks and its effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    pub plan: Plan,
    /// Blocks first, then acknowledgements, notes, and what was found in order.
    pub checks: Vec<Check>,
    pub effect: Effect,
    pub after: Standing,
}

/// What stands once all of a plan is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// The objects that say something about the service.
    pub objects: Vec<ObjectRef>,
    pub fingerprint: String,
}

/// What a change does, in the words of the problem.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effect {
    /// The route whose weights change.
    pub route: Option<RouteId>,
    /// The port that this route is for, when it is for one of several.
    pub port: Option<u32>,
    /// Other routes that split the service's requests and stay as they are.
    pub kept: Vec<Route>,
    /// Percents now and after; every version of the service is named in both. `before` is empty where
    /// requests are spread by pods.
    pub before: Weights,
    pub after: Weights,
    pub rules_before: Vec<Rule>,
    pub rules_after: Vec<Rule>,
    /// What happens to match rules; `None` = nothing.
    pub rule_changes: Option<RuleChanges>,
    pub mirror_before: Option<Mirror>,
    pub mirror_after: Option<Mirror>,
    /// Rules whose target changes because all traffic is taken over.
    pub rules_followed: usize,
}

impl Effect {
    /// Percent of requests that move (half the sum of the differences), 0..=100.
    pub fn moved(&self) -> u8 {
        let gains: i32 = self.deltas().iter().map(|(_, delta)| (*delta).max(0)).sum();
        u8::try_from(gains.clamp(0, 100)).unwrap_or(100)
    }

    /// What happens to the mirror; `None` = nothing.
    pub fn mirror_change(&self) -> Option<MirrorChange> {
        let (before, after) = (self.mirror_before.clone(), self.mirror_after.clone());
        (before != after).then_some(MirrorChange { before, after })
    }

    /// True when nothing would change.
    pub fn is_nothing(&self) -> bool {
        let declares = self.before.is_empty() && !self.after.is_empty();
        !declares
            && self.deltas().is_empty()
            && self.rule_changes.is_none()
            && self.mirror_before == self.mirror_after
    }

    /// Change in points per version, those that stay left out, in order.
    pub fn deltas(&self) -> Vec<(super::ids::VersionName, i32)> {
        deltas(&self.before, &self.after)
    }
}

/// Change in points per version, those that stay left out, in order.
pub fn deltas(
    before: &[(super::ids::VersionName, u8)],
    after: &[(super::ids::VersionName, u8)],
) -> Vec<(super::ids::VersionName, i32)> {
    let of = |weights: &[(super::ids::VersionName, u8)], version: &super::ids::VersionName| {
        weights.iter().find(|(name, _)| name == version).map_or(0, |(_, weight)| i32::from(*weight))
    };
    let gone = before.iter().filter(|(name, _)| !after.iter().any(|(other, _)| other == name));
    after
        .iter()
        .chain(gone)
        .map(|(version, _)| (version.clone(), of(after, version) - of(before, version)))
        .filter(|(_, delta)| *delta != 0)
        .collect()
}

/// The annotation that names the latest change from here on each object that we write: how an answer
/// that was lost is found out later.
pub const CHANGE_ANNOTATION: &str = "sluice.io/change";

/// The field manager of everything that Sluice writes.
pub const FIELD_MANAGER: &str = "sluice";
