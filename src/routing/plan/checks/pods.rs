//! Checks on pods: does a version that gets more requests have ready pods, and enough of them?

use std::collections::BTreeMap;

use crate::domain::ids::VersionName;
use crate::domain::refusal::{Check, Code, Severity};
use crate::domain::removal;
use crate::domain::routing::{Dest, Route, Weights};
use crate::domain::service::Version;

use super::super::super::read::{Selection, shares};
use super::{Judge, acknowledge, block, version_of};

/// Load per pod above which a version must be acknowledged, in parts of today's busiest.
const CROWDED: f64 = 1.5;

impl Judge<'_, '_> {
    /// The share of a version in a route; by pods where the route spreads by pods.
    fn share(&self, route: Option<usize>, version: &VersionName) -> u8 {
        let weights = match route.map(|at| self.before.route(at)) {
            Some(route) if !spreads(route) => route.weights().unwrap_or_default(),
            _ => by_pods(&self.snapshot().versions),
        };
        weights.iter().find(|(name, _)| name == version).map_or(0, |(_, percent)| *percent)
    }

    /// Versions that get more than now, each in some route or as mirror, with the pods that would answer: of several
    /// places those where fewest are ready.
    fn rising(&self) -> Vec<Rising<'_>> {
        let mut found: BTreeMap<VersionName, (u32, u32)> = BTreeMap::new();
        let mut add = |chosen: Option<Selection<'_>>, version: &VersionName| {
            let Some(pods) = chosen.map(|pods| (pods.ready(), pods.total())) else { return };
            let least = found.entry(version.clone()).or_insert(pods);
            *least = pods.min(*least);
        };
        for (at, route) in self.after.routing.routes.iter().enumerate() {
            let earlier = self.earlier(route);
            for (entry, target) in route.targets.iter().enumerate().filter(|(_, target)| target.percent > 0) {
                let Some(version) = version_of(target) else { continue };
                let now = percent(&route.weights().unwrap_or_default(), version);
                let was = earlier.map_or(0, |at| self.share(Some(at), version));
                if now > was {
                    add(self.after.selection(at, entry), version);
                }
            }
        }
        let mirror = self.effect.mirror_after.as_ref();
        if mirror != self.effect.mirror_before.as_ref()
            && let (Some(at), Some(version)) =
                (self.after.default, mirror.and_then(|mirror| mirror.version()))
        {
            let namer = self.after.namer(self.after.home(at));
            let chosen = self.after.mirror_subset(at).map(|name| namer.selected(name)).unwrap_or_default();
            add(chosen.into_iter().find(|selection| selection.version.name == *version), version);
        }
        let versions = self.snapshot().versions.iter();
        versions
            .filter_map(|version| {
                let (ready, total) = *found.get(&version.name)?;
                Some(Rising { version, ready, total })
            })
            .collect()
    }

    /// Pods behind what rises.
    pub fn pods(&self, out: &mut Vec<Check>) {
        let rising = self.rising();
        let mut ready: Vec<&str> = Vec::new();
        for Rising { version, ready: pods, total } in &rising {
            if version.is_going() {
                out.extend(removal::going(version, Severity::Acknowledge));
            }
            if let Some(port) = version.lacks.as_deref().filter(|_| *pods == 0) {
                out.push(block(Code::NoTargetPort).arg("v", &version.name).arg("port", port));
            } else if *pods == 0 {
                let cause = version.cause.as_deref().unwrap_or_default();
                out.push(
                    block(Code::NoReadyPods).arg("v", &version.name).arg("n", total).arg("cause", cause),
                );
            } else {
                ready.push(version.name.as_str());
            }
        }
        if !ready.is_empty() && ready.len() == rising.len() {
            out.push(Check::new(Severity::Ok, Code::PodsReady).arg("list", ready.join(", ")));
        }
        let versions = &self.snapshot().versions;
        let before =
            if self.effect.before.is_empty() { by_pods(versions) } else { self.effect.before.clone() };
        for (name, share) in &self.effect.after {
            let was = percent(&before, name);
            if share.saturating_sub(was) > self.policy.big_jump_points {
                out.push(
                    acknowledge(Code::BigJump)
                        .arg("v", name)
                        .arg("a", was)
                        .arg("b", share)
                        .arg("n", self.policy.big_jump_points),
                );
            }
            if *share > was {
                out.extend(crowded(versions, &before, name, *share));
            }
        }
    }
}

/// A version that gets more than now.
struct Rising<'v> {
    version: &'v Version,
    ready: u32,
    total: u32,
}

fn spreads(route: &Route) -> bool {
    route.targets.iter().any(|target| target.to == Dest::Whole && target.percent > 0)
}

fn percent(weights: &Weights, version: &VersionName) -> u8 {
    weights.iter().find(|(name, _)| name == version).map_or(0, |(_, weight)| *weight)
}

/// The shares that pods give by their number.
pub fn by_pods(versions: &[Version]) -> Weights {
    let ready: Vec<i64> = versions.iter().map(|version| i64::from(version.ready)).collect();
    let percents = if ready.iter().sum::<i64>() == 0 { vec![0; ready.len()] } else { shares(&ready) };
    versions.iter().map(|version| version.name.clone()).zip(percents).collect()
}

/// Would each pod of a version carry much more than the busiest does today?
fn crowded(versions: &[Version], before: &Weights, name: &VersionName, share: u8) -> Option<Check> {
    let load = |version: &Version, share: u8| f64::from(share) / f64::from(version.ready);
    let today = |version: &Version| load(version, percent(before, &version.name));
    let busy = || {
        let served =
            versions.iter().filter(|version| version.ready > 0 && percent(before, &version.name) > 0);
        served.map(|version| (version, today(version)))
    };
    let busiest = busy().map(|(_, load)| load).max_by(f64::total_cmp)?;
    let version =
        versions.iter().find(|version| version.name == *name).filter(|version| version.ready > 0)?;
    (load(version, share) > CROWDED * busiest).then(|| {
        // What is compared with is another version; one that has all of the traffic is compared with itself today.
        let other = busy().filter(|(version, _)| version.name != *name).max_by(|a, b| a.1.total_cmp(&b.1));
        let check = acknowledge(Code::FewPods).arg("v", name).arg("n", version.ready).arg("x", share);
        match other {
            // Its pods and its share as they are: what it would need for another share is a guess.
            Some((other, _)) => {
                check.arg("w", &other.name).arg("m", other.ready).arg("y", percent(before, &other.name))
            }
            // A whole number of pods may come out of the division a little above itself.
            None => check.arg("m", format!("{:.0}", (f64::from(share) / busiest - 1e-6).ceil())),
        }
    })
}
