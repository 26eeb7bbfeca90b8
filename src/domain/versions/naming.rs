//! How versions are named: by a label where one tells them apart.
//!
//! 1. The version label (`version`, then `app.kubernetes.io/version`; configurable).
//! 2. Pods without one: by the label in which their workload differs from all others (`track: canary`), else by the
//!    workload's name.
//!    Where that label is on every workload, with a value of its own, it names all of them (`stable`, `canary`): names
//!    that stand beside each other come from one label.
//! 3. Before both: where the service's subsets tell apart pods that have the same version by that, the labels in which
//!    those subsets differ (`role: primary`, `statefulset.kubernetes.io/pod-name: kv-0`). Entries of one route that
//!    select different pods must never have the same name. A label that is the same beside each other in every route
//!    (`role: admin` on both entries) is no name: it says for which part of the versions the route is.
//! 4. A hash that a controller computed is no name while a subset selects by it: the subset's name is (`stable`),
//!    before, during and after a rollout.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::ids::VersionName;
use super::super::labels::{LabelSet, is_generated, is_hash};
use super::super::service::Labels;
use super::units::Unit;
use super::{Pools, VersionKeys};

/// How many labels may come before the version label.
const MOST: usize = 4;

/// The keys that name a pod's version.
pub struct Naming {
    /// Each by itself, or several together; the first of which a pod has all.
    before: Vec<Vec<Arc<str>>>,
    keys: Vec<Arc<str>>,
    apart: Option<Arc<str>>,
    /// Subsets that select by a hash, with their names.
    hashed: Vec<(LabelSet, Arc<str>)>,
}

impl Naming {
    pub fn of(units: &[Unit<'_>], keys: &VersionKeys, pools: &Pools) -> Self {
        let subsets = pools.selectors.iter().zip(&pools.names);
        let hashed = subsets.filter(|(selector, _)| selector.iter().any(|(key, _)| is_hash(key)));
        let hashed = hashed.map(|(selector, name)| (selector.clone(), name.clone())).collect();
        let mut naming = Self { before: Vec::new(), keys: keys.0.clone(), apart: None, hashed };
        naming.apart = naming.differing_key(units);
        if let Some(key) = naming.apart.clone().filter(|key| names_all(units, key)) {
            naming.before.push(vec![key]);
        }
        if pools.selectors.is_empty() {
            return naming;
        }
        let pods = Pods::of(units, pools);
        for _ in 0..MOST {
            let Some(keys) = naming.missing(&pods, pools) else { break };
            if naming.before.contains(&keys) {
                break;
            }
            naming.before.insert(0, keys);
        }
        naming
    }

    /// The version that these labels name, and the labels that do; `None` when no label does.
    pub fn of_labels(&self, labels: &LabelSet) -> Option<(VersionName, Labels)> {
        let one = |key: &Arc<str>| {
            let value = labels.get(key).filter(|value| !value.is_empty())?;
            Some((key.clone(), value.clone()))
        };
        let together = self.before.iter().find_map(|keys| keys.iter().map(one).collect::<Option<Labels>>());
        let found = together.or_else(|| {
            self.keys.iter().chain(&self.apart).find_map(|key| one(key).map(|pair| Labels::from([pair])))
        });
        if found.as_ref().is_none_or(|found| found.keys().all(|key| is_hash(key)))
            && let Some((selector, name)) = self.hashed.iter().find(|(selector, _)| selector.selects(labels))
        {
            return Some((VersionName::trusted(name.clone()), selector.to_labels()));
        }
        let found = found?;
        let values: Vec<&str> = found.values().map(|value| &**value).collect();
        let name = match values[..] {
            [only] => VersionName::from(only),
            _ => VersionName::trusted(values.join("-")),
        };
        Some((name, found))
    }

    /// The first key with a value of its own for each unit that has no version label.
    fn differing_key(&self, units: &[Unit<'_>]) -> Option<Arc<str>> {
        let named = |unit: &&Unit<'_>| unit.labels().all(|labels| self.of_labels(labels).is_some());
        let unnamed: Vec<&Unit<'_>> = units.iter().filter(|unit| !named(unit)).collect();
        let first = unnamed.first()?.labels().next()?;
        if units.len() < 2 {
            return None;
        }
        let differs = |key: &&Arc<str>| {
            let values: Option<BTreeSet<&Arc<str>>> = unnamed.iter().map(|unit| unit.value(key)).collect();
            let Some(values) = values.filter(|values| values.len() == unnamed.len()) else { return false };
            let mut others = units.iter().filter(|unit| named(unit));
            // One alone is distinguished from the others only by a key that those have, too.
            let least = unnamed.len() == 1;
            others.all(|unit| match unit.value(key) {
                Some(value) => !values.contains(value),
                None => !least && unit.labels().all(|labels| labels.get(key).is_none()),
            })
        };
        first.iter().map(|(key, _)| key).filter(|key| !is_generated(key)).find(differs).cloned()
    }

    /// The keys by which subsets tell apart what has one name so far.
    fn missing(&self, pods: &Pods<'_>, pools: &Pools) -> Option<Vec<Arc<str>>> {
        let names: Vec<Option<VersionName>> =
            pods.labels.iter().map(|labels| self.of_labels(labels).map(|(name, _)| name)).collect();
        let name_of = |subset: usize| -> Option<(usize, &Option<VersionName>)> {
            let mut chosen = pods.chosen[subset].iter();
            let first = chosen.next()?;
            let name = &names[*first];
            // Without a label it is the unit that names.
            let same =
                |at: &usize| names[*at] == *name && (name.is_some() || pods.unit[*at] == pods.unit[*first]);
            chosen.all(same).then_some((if name.is_some() { usize::MAX } else { pods.unit[*first] }, name))
        };
        for route in &pools.routes {
            for (at, one) in route.iter().enumerate() {
                let Some(name) = name_of(*one) else { continue };
                let mut alike: Vec<usize> = vec![*one];
                for other in &route[at + 1..] {
                    if name_of(*other) == Some(name) && pods.chosen[*other] != pods.chosen[*one] {
                        alike.push(*other);
                    }
                }
                if alike.len() > 1 {
                    return apart(&alike, pools);
                }
            }
        }
        self.parts(pods, pools, &name_of)
    }

    /// Outside of routes: all subsets hold parts of one and the same version, and none the whole of it.
    fn parts<'n>(
        &self,
        pods: &Pods<'_>,
        pools: &Pools,
        name_of: &impl Fn(usize) -> Option<(usize, &'n Option<VersionName>)>,
    ) -> Option<Vec<Arc<str>>> {
        // Subsets of versions that are not there now still say that the version label tells apart.
        let by_version = |key: &Arc<str>| {
            let values: BTreeSet<_> =
                pools.selectors.iter().filter_map(|selector| selector.get(key)).collect();
            values.len() > 1
        };
        if self.keys.iter().any(by_version) {
            return None;
        }
        let chosen: Vec<usize> =
            (0..pools.selectors.len()).filter(|subset| !pods.chosen[*subset].is_empty()).collect();
        let name = name_of(*chosen.first()?)?;
        if !chosen.iter().all(|subset| name_of(*subset) == Some(name)) {
            return None;
        }
        let of_name = |at: &usize| match name {
            (usize::MAX, name) => self.of_labels(pods.labels[*at]).map(|(name, _)| name) == *name,
            (unit, _) => pods.unit[*at] == unit && self.of_labels(pods.labels[*at]).is_none(),
        };
        let all: Vec<usize> = (0..pods.labels.len()).filter(of_name).collect();
        if chosen.iter().any(|subset| pods.chosen[*subset].len() == all.len()) {
            return None;
        }
        if chosen.len() > 1 {
            return apart(&chosen, pools);
        }
        // One part and the rest: by the first label of it that the rest has otherwise.
        let selector = &pools.selectors[*chosen.first()?];
        let differs = |key: &&Arc<str>| all.iter().any(|at| pods.labels[*at].get(key) != selector.get(key));
        selector.iter().map(|(key, _)| key).find(differs).map(|key| vec![key.clone()])
    }
}

/// True when each unit has a value of its own for a key.
fn names_all(units: &[Unit<'_>], key: &str) -> bool {
    let values: Option<BTreeSet<&Arc<str>>> = units.iter().map(|unit| unit.value(key)).collect();
    values.is_some_and(|values| values.len() == units.len())
}

/// The one key that tells all of these subsets apart, else all keys in which two of them differ.
fn apart(subsets: &[usize], pools: &Pools) -> Option<Vec<Arc<str>>> {
    let selectors: Vec<&LabelSet> = subsets.iter().map(|at| &pools.selectors[*at]).collect();
    let keys: BTreeSet<&Arc<str>> =
        selectors.iter().flat_map(|selector| selector.iter().map(|(key, _)| key)).collect();
    let values = |key: &Arc<str>| -> BTreeSet<Option<&Arc<str>>> {
        selectors.iter().map(|selector| selector.get(key)).collect()
    };
    let all = |key: &&&Arc<str>| {
        let values = values(key);
        values.len() == selectors.len() && !values.contains(&None)
    };
    if let Some(key) = keys.iter().find(all) {
        return Some(vec![(*key).clone()]);
    }
    let some: Vec<Arc<str>> = keys.into_iter().filter(|key| values(key).len() > 1).cloned().collect();
    (!some.is_empty()).then_some(some)
}

/// The pods by unit and labels, and which of them each subset chooses.
struct Pods<'a> {
    labels: Vec<&'a LabelSet>,
    unit: Vec<usize>,
    chosen: Vec<Vec<usize>>,
}

impl<'a> Pods<'a> {
    fn of(units: &'a [Unit<'_>], pools: &Pools) -> Self {
        let mut pods = Self { labels: Vec::new(), unit: Vec::new(), chosen: Vec::new() };
        for (at, unit) in units.iter().enumerate() {
            for labels in unit.labels() {
                pods.labels.push(labels);
                pods.unit.push(at);
            }
        }
        pods.chosen = pools
            .selectors
            .iter()
            .map(|selector| (0..pods.labels.len()).filter(|at| selector.selects(pods.labels[*at])).collect())
            .collect();
        pods
    }
}
