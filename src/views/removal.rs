//! What goes with a version: its workloads with their pods, the subset, rules and the mirror. Shown before a release
//! deletes a version and before a person retires one.

use crate::domain::ids::VersionName;
use crate::domain::overview::Overview;

use super::bars::short;
use super::lang::Lang;

/// What must be typed exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirm {
    pub expected: String,
    pub typed: String,
    pub error: Option<String>,
}

/// The list, in words. `subset` = a DestinationRule loses the version's subset.
pub fn deletes(lang: Lang, item: &Overview, version: &VersionName, subset: bool) -> Vec<String> {
    let mut out = Vec::new();
    let found = item.snapshot.versions.iter().find(|one| one.name == *version);
    for workload in found.iter().flat_map(|one| &one.workloads) {
        let what = format!("{} {}", workload.kind.as_str(), workload.name);
        out.push(lang.count("release.after.workload", workload.wanted).with("what", what).into());
    }
    if subset {
        out.push(lang.t("release.after.subset").with("v", short(version.as_str())).into());
    }
    let rules = item
        .routing
        .rules
        .iter()
        .filter(|rule| rule.to.iter().any(|(to, n)| to == version && *n > 0))
        .count();
    if rules > 0 {
        out.push(lang.count("release.after.rules", rules).into());
    }
    if item.routing.mirror.as_ref().is_some_and(|mirror| mirror.version() == Some(version)) {
        out.push(lang.t("release.after.mirror").into());
    }
    out
}
