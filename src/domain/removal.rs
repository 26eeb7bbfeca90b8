//! Whether a version can be taken away from a service: the rules that a release and a person share. Pure; called by
//! `services` before anything is written, and again for what the page says beforehand.

use super::ids::VersionName;
use super::refusal::{Check, Code, Refusal, Severity};
use super::routing::{Dest, Route, Routing, Target};
use super::service::Version;
use super::snapshot::Snapshot;

/// Percent of the requests that a version has: as declared, by itself or together with other versions; where nothing is
/// declared, about what its ready pods get.
pub fn share_of(snapshot: &Snapshot, routing: &Routing, version: &VersionName) -> u8 {
    let ready = known(snapshot, version).is_some_and(|known| known.ready > 0);
    match routing.declared() {
        Some(weights) => {
            let own = weights.iter().find(|(name, _)| name == version).map_or(0, |(_, weight)| *weight);
            own.max(together(routing, version, ready))
        }
        None => by_pods(snapshot, version),
    }
}

/// Percent of all ready pods that are the version's, rounded; at least 1 while it has one.
fn by_pods(snapshot: &Snapshot, version: &VersionName) -> u8 {
    let own = u64::from(known(snapshot, version).map_or(0, |known| known.ready));
    if own == 0 {
        return 0;
    }
    let all: u64 = snapshot.versions.iter().map(|one| u64::from(one.ready)).sum();
    u8::try_from(((own * 100 + all / 2) / all.max(1)).clamp(1, 100)).unwrap_or(100)
}

/// Why a version that has requests stays: by weight, or, where nothing is declared, by its ready pods.
pub fn serving(routing: &Routing, version: &VersionName, n: impl std::fmt::Display) -> Refusal {
    let code = if routing.declared().is_none() { Code::StillByPods } else { Code::StillServing };
    Refusal::new(code).arg("v", version).arg("n", n)
}

/// Refused while a route sends requests to a subset that means the version and reaches no pod: to one of its name, or to
/// one that a DestinationRule defines with its labels. A share counts none of these requests, because no pod gets them,
/// and nothing that is deleted with the version takes them out of the route.
pub fn named(snapshot: &Snapshot, routing: &Routing, version: &VersionName) -> Option<Refusal> {
    let meant = |to: &Dest| match to {
        Dest::Missing { subset } | Dest::Nobody { subset } => {
            (subset == version.as_str() || has_labels_of(snapshot, subset, version)).then(|| subset.clone())
        }
        _ => None,
    };
    routing.routes.iter().find_map(|route| {
        let gets = |target: &&Target| target.percent > 0 || target.weight > 0;
        let mut found = route.targets.iter().filter(gets).filter_map(|target| {
            // A weight that rounds to nothing is requests all the same.
            meant(&target.to).map(|subset| (subset, target.percent.max(1)))
        });
        let (subset, first) = found.next()?;
        let n = found.fold(first, |sum, (_, percent)| sum.saturating_add(percent)).min(100);
        let refusal = Refusal::new(Code::StillNamed).arg("v", version).arg("n", n);
        Some(refusal.arg("subset", subset).arg("object", &route.object))
    })
}

/// True when a rule defines the subset with at least the labels that distinguish the version.
fn has_labels_of(snapshot: &Snapshot, subset: &str, version: &VersionName) -> bool {
    let Some(own) = known(snapshot, version).map(|known| &known.subset_labels) else { return false };
    let rules = snapshot.destination_rules.iter().flat_map(|rule| &rule.object.spec.subsets);
    let has = |labels: &std::collections::BTreeMap<Box<str>, Box<str>>| {
        own.iter().all(|(key, value)| labels.get(&**key).is_some_and(|held| **held == **value))
    };
    !own.is_empty() && rules.filter(|rule| *rule.name == *subset).any(|rule| has(&rule.labels))
}

/// The largest percent of a route that goes to several versions at once, this one among them: to a subset that selects
/// more than one, or, while it has ready pods, to all pods of the service.
fn together(routing: &Routing, version: &VersionName, ready: bool) -> u8 {
    let among = |to: &Dest| match to {
        Dest::Several { versions, .. } => versions.contains(version),
        Dest::Whole => ready,
        Dest::Version(_) | Dest::Nobody { .. } | Dest::Missing { .. } | Dest::Foreign { .. } => false,
    };
    let of = |route: &Route| {
        let percents = route.targets.iter().filter(|target| among(&target.to)).map(|target| target.percent);
        percents.fold(0, u8::saturating_add)
    };
    routing.routes.iter().map(of).max().unwrap_or(0)
}

/// Refused where a workload has pods of another version, too: what is done to it is done to those.
pub fn shared(version: Option<&Version>) -> Option<Refusal> {
    let version = version?;
    let workload = version.workloads.iter().find(|workload| workload.shared)?;
    Some(Refusal::new(Code::WorkloadShared).arg("v", &version.name).arg("object", &workload.name))
}

/// A check for each workload of a version that is being deleted: it stays, with its pods, while a finalizer holds it.
pub fn going(version: &Version, severity: Severity) -> impl Iterator<Item = Check> {
    version.workloads.iter().filter_map(move |workload| {
        let finalizers = workload.going.as_ref()?;
        let object = format!("{} {}", workload.kind.as_str(), workload.name);
        let check = Check::new(severity, Code::WorkloadGoing).arg("object", object).arg("v", &version.name);
        Some(check.arg("finalizers", finalizers))
    })
}

/// Refused where all that a version has is being deleted already.
pub fn gone_already(version: Option<&Version>) -> Option<Refusal> {
    let version = version.filter(|version| version.is_going())?;
    let Check { code, args, .. } = going(version, Severity::Block).next()?;
    Some(Refusal { args, ..Refusal::new(code) })
}

/// Why a person cannot take a version away now: it has requests by weight, by a match rule or by the mirror, it is the
/// only one, or nothing of it can be deleted by itself. `None` = it can go.
pub fn why_kept(snapshot: &Snapshot, routing: &Routing, version: &VersionName) -> Option<Refusal> {
    let Some(there) = known(snapshot, version) else {
        return Some(Refusal::new(Code::UnknownVersion).field("version").arg("v", version));
    };
    let no = |code: Code| Some(Refusal::new(code).arg("v", version));
    if let Some(refusal) = gone_already(Some(there)) {
        return Some(refusal);
    }
    // What is left of a version whose workload was deleted serves no request, nor will one that is being deleted.
    let stays = |other: &&Version| match other.workloads[..] {
        [] => other.ready > 0,
        _ => !other.is_going(),
    };
    if !snapshot.versions.iter().filter(|other| other.name != *version).any(|other| stays(&other)) {
        return no(Code::LastVersion);
    }
    let share = share_of(snapshot, routing, version);
    if share > 0 {
        return Some(serving(routing, version, share));
    }
    if let Some(refusal) = named(snapshot, routing, version) {
        return Some(refusal);
    }
    if routing.rules.iter().any(|rule| rule.to.iter().any(|(to, weight)| to == version && *weight > 0)) {
        return no(Code::StillMatched);
    }
    if routing.mirror.as_ref().is_some_and(|mirror| mirror.version() == Some(version)) {
        return no(Code::StillMirrored);
    }
    let own = Dest::Version(version.clone());
    let elsewhere = routing.routes.iter().map(|route| {
        let own = route.targets.iter().filter(|target| target.to == own);
        own.map(|target| u32::from(target.percent)).sum::<u32>()
    });
    if let Some(n) = elsewhere.max().filter(|n| *n > 0) {
        return Some(serving(routing, version, n));
    }
    if there.workloads.is_empty() {
        return no(Code::NothingToDelete);
    }
    shared(Some(there))
}

/// The text that has to be typed before a version is deleted: `reviews v1`.
pub fn confirmation(service: &str, version: &VersionName) -> String {
    format!("{service} {version}")
}

/// Refused unless exactly that was typed.
pub fn confirmed(service: &str, version: &VersionName, typed: &str) -> Result<(), Refusal> {
    let expected = confirmation(service, version);
    if typed.trim() == expected {
        return Ok(());
    }
    Err(Refusal::new(Code::ConfirmMismatch).field("confirm").arg("expected", expected))
}

fn known<'a>(snapshot: &'a Snapshot, version: &VersionName) -> Option<&'a Version> {
    snapshot.versions.iter().find(|known| known.name == *version)
}
