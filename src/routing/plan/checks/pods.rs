//! Checks on pods: is there somebody to answer what a version gets more, and are they enough?

use std::collections::BTreeSet;

use crate::domain::ids::VersionName;
use crate::domain::refusal::{Check, Code, Severity};
use crate::domain::routing::{Dest, Route, Weights};
use crate::domain::service::Version;

use super::super::super::read::shares;
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

    /// Versions that get more than now, each in some route or as mirror.
    fn rising(&self) -> Vec<&Version> {
        let mut names: BTreeSet<&VersionName> = BTreeSet::new();
        for route in &self.after.routing.routes {
            let earlier = self.earlier(route);
            for target in route.targets.iter().filter(|target| target.percent > 0) {
                let Some(version) = version_of(target) else { continue };
                let now = percent(&route.weights().unwrap_or_default(), version);
                let was = earlier.map_or(0, |at| self.share(Some(at), version));
                if now > was {
                    names.insert(version);
                }
            }
        }
        let mirror = self.effect.mirror_after.as_ref();
        if mirror != self.effect.mirror_before.as_ref() {
            names.extend(mirror.and_then(|mirror| mirror.version()));
        }
        self.snapshot().versions.iter().filter(|version| names.contains(&version.name)).collect()
    }

    /// Pods behind what rises.
    pub fn pods(&self, out: &mut Vec<Check>) {
        let rising = self.rising();
        let mut ready: Vec<&str> = Vec::new();
        for version in &rising {
            if version.ready == 0 {
                let cause = version.cause.as_deref().unwrap_or_default();
                out.push(
                    block(Code::NoReadyPods)
                        .arg("v", &version.name)
                        .arg("n", version.total)
                        .arg("cause", cause),
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
    let busiest =
        versions
            .iter()
            .filter(|version| version.ready > 0 && percent(before, &version.name) > 0)
            .max_by(|a, b| load(a, percent(before, &a.name)).total_cmp(&load(b, percent(before, &b.name))))?;
    let today = load(busiest, percent(before, &busiest.name));
    let version =
        versions.iter().find(|version| version.name == *name).filter(|version| version.ready > 0)?;
    (load(version, share) > CROWDED * today).then(|| {
        acknowledge(Code::FewPods)
            .arg("v", name)
            .arg("n", version.ready)
            .arg("x", share)
            .arg("w", &busiest.name)
            .arg("m", format!("{:.0}", (f64::from(share) / today).ceil()))
    })
}
