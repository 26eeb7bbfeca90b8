//! Weights of one route: only the numbers of its own destinations change; a version that has none yet is
//! appended. Called for commands on weights, for take over and for rules with new targets.

use serde_json::{Value, json};

use crate::domain::ids::VersionName;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::routing::{Dest, Fixed, Lost, Route, Target};
use crate::domain::service::Labels;
use crate::domain::split::Split;

use super::super::json;
use super::super::read::Inspected;
use super::Planner;

impl Planner<'_> {
    /// Gives the route at this position the shares of `split`.
    pub fn set_weights(&mut self, route: usize, split: &Split) -> Result<(), Refusal> {
        let object = self.before.route(route).object.clone();
        let (kind, index) = (self.before.spots[route].kind, self.before.spots[route].index);
        let mut entries = {
            let held = self.drafts.open(self.snapshot, &object)?;
            let list = json::routes(held, kind).get(index).map(json::destinations);
            list.map(<[Value]>::to_vec).ok_or_else(|| Refusal::new(Code::Malformed).arg("object", &object))?
        };
        self.weigh(route, &mut entries, split)?;
        let held = self.drafts.open(self.snapshot, &object)?;
        let slot = json::routes_mut(held, kind).and_then(|list| list.get_mut(index));
        if let Some(slot) = slot.and_then(|route| route.get_mut("route")) {
            *slot = Value::Array(entries);
        }
        Ok(())
    }

    /// The same on a list of destinations that was taken out of the object.
    pub fn weigh(&mut self, route: usize, entries: &mut Vec<Value>, split: &Split) -> Result<(), Refusal> {
        let read = self.before.route(route).clone();
        for (version, _) in split.iter() {
            if self.version(version).is_none() {
                return Err(Refusal::new(Code::UnknownVersion).field("weights").arg("v", version));
            }
        }
        match read.fixed {
            Some(Fixed::Delegate) => {
                let trouble = self.before.troubles.iter().find(|trouble| trouble.root == read.object);
                let delegate = trouble.map(|trouble| trouble.delegate.clone()).unwrap_or_default();
                return Err(Refusal::new(Code::DelegateMissing)
                    .arg("object", &read.object)
                    .arg("delegate", delegate));
            }
            Some(Fixed::Redirect | Fixed::DirectResponse | Fixed::Empty) => {
                return Err(Refusal::new(Code::NotShiftable)
                    .arg("object", &read.object)
                    .arg("route", &read.id));
            }
            None => {}
        }
        let targets = &read.targets;
        shareable(&self.before, &read)?;
        if already(targets, split) {
            return Ok(());
        }
        let client = self.before.home(route);
        // Requests that are spread by pods become one entry a version, in the place of the old one.
        if let [Target { to: Dest::Whole, .. }] = targets[..] {
            return self.unfold(entries, split, client);
        }
        let mut given: Vec<VersionName> = Vec::new();
        let fits: Vec<bool> = (0..targets.len()).map(|at| self.fits(route, at)).collect();
        for (at, target) in targets.iter().enumerate() {
            let Some(entry) = entries.get_mut(at) else { continue };
            match &target.to {
                Dest::Version(version) if holder(targets, &fits, version) == Some(at) => {
                    json::set_weight(entry, split.of(version));
                    given.push(version.clone());
                }
                Dest::Foreign { .. } => {}
                // Twins of a version, pods without a version, subsets without pods: all of it is in the split.
                _ => json::set_weight(entry, 0),
            }
        }
        let model = targets
            .iter()
            .position(|target| !matches!(target.to, Dest::Foreign { .. }) && target.via.is_none())
            .and_then(|at| entries.get(at))
            .cloned();
        let by_sibling =
            || targets.iter().any(|target| target.via.is_some()).then(|| self.entry_of_service(&read));
        let Some(model) = model.or_else(by_sibling) else {
            return Err(Refusal::new(Code::NotShiftable).arg("object", &read.object).arg("route", &read.id));
        };
        for (version, weight) in split.iter() {
            if weight > 0 && !given.contains(version) {
                let scope = self.scope_of(route)?;
                let subset = self.subset_within(version, &scope, client)?;
                entries.push(json::sibling(&model, &subset, weight));
            }
        }
        Ok(())
    }

    /// An entry for the service itself, where a route has none: siblings stand for its versions.
    fn entry_of_service(&self, route: &Route) -> Value {
        let ports = &self.snapshot.service.ports;
        let mut destination = json!({ "host": self.before.host });
        if let [first, _, ..] = &ports[..] {
            destination["port"] = json!({ "number": route.port.unwrap_or_else(|| u32::from(first.number)) });
        }
        json!({ "destination": destination })
    }

    /// One entry a version instead of one for the whole service; whatever else the entry says is kept.
    fn unfold(&mut self, entries: &mut Vec<Value>, split: &Split, client: usize) -> Result<(), Refusal> {
        let Some(model) = entries.first().cloned() else { return Ok(()) };
        let mut unfolded = Vec::new();
        for (version, weight) in split.iter() {
            let told = self.version(version).is_some_and(|version| self.can_be_told(version));
            if weight == 0 && !told && self.existing_subset(version, &Labels::new(), client).is_none() {
                continue;
            }
            let subset = self.subset(version, client)?;
            let mut entry = model.clone();
            json::set_subset(&mut entry, Some(&subset));
            json::set_weight(&mut entry, weight);
            unfolded.push(entry);
        }
        *entries = unfolded;
        Ok(())
    }
}

/// Refuses a route whose shares are not the service's versions' alone.
fn shareable(inspected: &Inspected<'_>, route: &Route) -> Result<(), Refusal> {
    let targets = &route.targets;
    // A weight that rounds to 0 % still takes requests, and would spoil the sum.
    let heavy = |target: &&Target| target.percent > 0 || (targets.len() > 1 && target.weight > 0);
    for target in targets.iter().filter(heavy) {
        match &target.to {
            Dest::Foreign { host, .. } => {
                let code = match target.lost {
                    Some(Lost::Host) => Code::HostMissing,
                    _ => Code::ForeignDestination,
                };
                return Err(Refusal::new(code)
                    .field("weights")
                    .arg("host", host)
                    .arg("object", &route.object)
                    .arg("route", &route.id)
                    .arg("n", target.percent)
                    .arg("namespace", inspected.namespace_of(host, &route.object)));
            }
            Dest::Several { subset, versions } => {
                let names: Vec<&str> = versions.iter().map(VersionName::as_str).collect();
                return Err(Refusal::new(Code::SubsetShared)
                    .field("weights")
                    .arg("subset", subset)
                    .arg("versions", names.join(", ")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The entry that carries a version's number: the first with a weight, else the first for the same pods as the others.
fn holder(targets: &[Target], fits: &[bool], version: &VersionName) -> Option<usize> {
    let mine = || {
        targets.iter().enumerate().filter(|(at, target)| {
            fits.get(*at) == Some(&true) && matches!(&target.to, Dest::Version(v) if v == version)
        })
    };
    mine().find(|(_, target)| target.weight > 0).or_else(|| mine().next()).map(|(at, _)| at)
}

/// True when the route does exactly this already, in whole numbers that sum to 100.
fn already(targets: &[Target], split: &Split) -> bool {
    let whole = targets.len() == 1
        || targets.iter().map(|target| i128::from(target.weight)).sum::<i128>() == 100
            && targets.iter().all(|target| target.weight >= 0);
    let own = |version: &VersionName| -> u32 {
        targets
            .iter()
            .filter(|target| matches!(&target.to, Dest::Version(v) if v == version))
            .map(|target| u32::from(target.percent))
            .sum()
    };
    whole && split.iter().all(|(version, weight)| own(version) == u32::from(weight))
}
