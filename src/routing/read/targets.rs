//! Destinations: whom they reach, and which share of the requests each gets. Called for every route.

use crate::domain::istio::{Destination, HttpRoute, PercentValue, Subset, WeightedDestination};
use crate::domain::routing::{Dest, Mirror, Target};
use crate::domain::snapshot::Snapshot;

use super::super::hosts;
use super::super::lookup::Merged;
use super::selection::{Selection, selected};

/// Names what destinations mean, seen by the clients of one namespace.
pub struct Namer<'a> {
    pub snapshot: &'a Snapshot,
    pub host: &'a str,
    pub plain: Option<&'a Merged<'a>>,
    /// What the service's own namespace uses: a subset that only it sees is there all the same, and a
    /// finding says who cannot see it.
    pub at_home: Option<&'a Merged<'a>>,
}

impl<'a> Namer<'a> {
    /// True when a destination that an object of `namespace` names is the service.
    pub fn is_own(&self, destination: &Destination, namespace: &str) -> bool {
        hosts::is(&destination.host, namespace, &self.snapshot.mesh.cluster_domain, self.host)
    }

    /// Whom a destination reaches.
    pub fn dest(&self, destination: &Destination, namespace: &str) -> Dest {
        let subset = destination.subset.as_deref().filter(|subset| !subset.is_empty());
        if !self.is_own(destination, namespace) {
            if let Some(version) = self.sibling(destination, namespace) {
                return Dest::Version(version.clone());
            }
            return Dest::Foreign { host: destination.host.to_string(), subset: subset.map(str::to_owned) };
        }
        subset.map_or(Dest::Whole, |subset| self.subset(subset))
    }

    /// Whom a subset of the service holds.
    pub fn subset(&self, name: &str) -> Dest {
        let Some(subset) = self.defined(name) else { return Dest::Missing { subset: name.to_owned() } };
        let held = selected(subset, &self.snapshot.versions);
        match &held[..] {
            [] => Dest::Nobody { subset: name.to_owned() },
            [only] => Dest::Version(only.version.name.clone()),
            _ => Dest::Several {
                subset: name.to_owned(),
                versions: held.iter().map(|selection| selection.version.name.clone()).collect(),
            },
        }
    }

    /// The subset of this name as the clients use it.
    pub fn defined(&self, name: &str) -> Option<&Subset> {
        let seen = self.plain.and_then(|rule| rule.subset(name));
        seen.or_else(|| self.at_home.and_then(|rule| rule.subset(name)))
    }

    /// The pods that a subset selects, by version.
    pub fn selected(&self, name: &str) -> Vec<Selection<'a>> {
        self.defined(name).map(|subset| selected(subset, &self.snapshot.versions)).unwrap_or_default()
    }

    /// The destinations of a route with their shares.
    pub fn targets(&self, route: &[WeightedDestination], namespace: &str) -> Vec<Target> {
        let weights: Vec<i64> = route.iter().map(|entry| entry.weight).collect();
        route
            .iter()
            .zip(shares(&weights))
            .map(|(entry, percent)| Target {
                to: self.dest(&entry.destination, namespace),
                weight: entry.weight,
                percent,
                via: self
                    .sibling(&entry.destination, namespace)
                    .filter(|_| !self.is_own(&entry.destination, namespace))
                    .map(|_| self.full(&entry.destination, namespace)),
                lost: self.lost(&entry.destination, namespace),
            })
            .collect()
    }

    /// The mirror that is shown for a route, and its position in `mirrors` (`None` = the single form):
    /// the first that copies to the service, else the first.
    pub fn mirror(&self, route: &HttpRoute, namespace: &str) -> Option<(Option<usize>, Mirror)> {
        let on = |percent: f64| percent > 0.0;
        if let Some(to) = &route.mirror {
            let percent = percent_of(route);
            return on(percent).then(|| (None, Mirror { to: self.dest(to, namespace), percent }));
        }
        let mut copies: Vec<(usize, &Destination, f64)> = route
            .mirrors
            .iter()
            .enumerate()
            .map(|(at, to)| (at, &to.destination, value(to.percentage.as_ref())))
            .filter(|(.., percent)| on(*percent))
            .collect();
        copies.sort_by_key(|(_, to, _)| !self.is_own(to, namespace));
        let (at, to, percent) = copies.into_iter().next()?;
        Some((Some(at), Mirror { to: self.dest(to, namespace), percent }))
    }
}

/// The percentage of a single `mirror`: absent = 100.
fn percent_of(route: &HttpRoute) -> f64 {
    match (&route.mirror_percentage, route.mirror_percent.or(route.mirror_percent_snake)) {
        (Some(percentage), _) => Mirror::made_of(percentage.value),
        (None, Some(percent)) => Mirror::made_of(percent),
        (None, None) => 100.0,
    }
}

fn value(percentage: Option<&PercentValue>) -> f64 {
    percentage.map_or(100.0, |percentage| Mirror::made_of(percentage.value))
}

/// What Istio makes of weights: w/Σw in whole percents by largest remainder; a single destination gets everything
/// whatever its weight; nothing at all when all of several are 0. A version that gets something is shown with 1 % at
/// least, taken from the largest: 0 % means that nothing is sent.
pub fn shares(weights: &[i64]) -> Vec<u8> {
    if let [_] = weights {
        return vec![100];
    }
    let part = |weight: i64| u128::try_from(weight).unwrap_or(0);
    let total: u128 = weights.iter().map(|weight| part(*weight)).sum();
    if total == 0 {
        return vec![0; weights.len()];
    }
    let mut whole: Vec<u8> =
        weights.iter().map(|weight| u8::try_from(part(*weight) * 100 / total).unwrap_or(100)).collect();
    let mut left = 100_u32.saturating_sub(whole.iter().map(|share| u32::from(*share)).sum());
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(part(weights[*at]) * 100 % total));
    for at in order {
        if left == 0 {
            break;
        }
        whole[at] += 1;
        left -= 1;
    }
    for at in 0..whole.len() {
        let largest = (0..whole.len()).max_by_key(|at| whole[*at]).filter(|large| whole[*large] > 1);
        if let Some(large) = largest.filter(|_| whole[at] == 0 && part(weights[at]) > 0) {
            whole[large] -= 1;
            whole[at] = 1;
        }
    }
    whole
}
