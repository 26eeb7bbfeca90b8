//! Which pods a subset selects: of which versions, and whether all of each. Called for every destination, and by
//! plans that look for the subset that stands for a version beside others.

use crate::domain::istio::Subset;
use crate::domain::labels::{LabelSet, is_place};
use crate::domain::service::{Labels, Version};

/// The pods of one version that a subset selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection<'a> {
    pub version: &'a Version,
    /// Positions among the version's pods, in order.
    pub groups: Vec<usize>,
}

impl Selection<'_> {
    /// Pods that take traffic.
    pub fn ready(&self) -> u32 {
        self.groups.iter().map(|at| self.version.pods[*at].ready).sum()
    }

    /// Pods that exist or are wanted.
    pub fn total(&self) -> u32 {
        self.groups.iter().map(|at| self.version.pods[*at].total).sum()
    }

    /// True when these are all pods of the version.
    pub fn is_whole(&self) -> bool {
        self.version.live().eq(self.groups.iter().copied())
    }
}

/// What a subset selects, by version; no labels = all pods. Labels of places are not of pods: a subset that names them
/// holds a part of what it selects otherwise.
pub fn selected<'a>(subset: &Subset, versions: &'a [Version]) -> Vec<Selection<'a>> {
    let wanted: Vec<(&str, &str)> = subset
        .labels
        .iter()
        .filter(|(key, _)| !is_place(key))
        .map(|(key, value)| (&**key, &**value))
        .collect();
    choose(versions, |labels| wanted.iter().all(|(key, value)| labels.has(key, value)))
}

/// The pods of one version that carry further labels.
pub fn within<'a>(version: &'a Version, scope: &Labels) -> Selection<'a> {
    let has = |labels: &LabelSet| scope.iter().all(|(key, value)| labels.has(key, value));
    let groups = version.live().filter(|at| has(&version.pods[*at].labels)).collect();
    Selection { version, groups }
}

fn choose(versions: &[Version], chosen: impl Fn(&LabelSet) -> bool) -> Vec<Selection<'_>> {
    let of = |version| Selection {
        version,
        groups: Version::live(version).filter(|at| chosen(&version.pods[*at].labels)).collect(),
    };
    versions.iter().map(of).filter(|selection| !selection.groups.is_empty()).collect()
}

/// For which part of a version a subset is: its labels without those that name the version, and without those that
/// every pod of the service has.
pub fn scope(subset: &Subset, version: &Version, versions: &[Version]) -> Labels {
    let everywhere = |key: &str, value: &str| {
        versions.iter().all(|version| version.live().all(|at| version.pods[at].labels.has(key, value)))
    };
    subset
        .labels
        .iter()
        .filter(|(key, value)| {
            !is_place(key) && !version.subset_labels.contains_key(&***key) && !everywhere(key, value)
        })
        .map(|(key, value)| ((**key).into(), (**value).into()))
        .collect()
}

/// True when a subset selects by exactly these labels.
pub fn is_by(subset: &Subset, labels: &Labels) -> bool {
    let held: Labels = subset.labels.iter().map(|(key, value)| ((**key).into(), (**value).into())).collect();
    held == *labels
}
