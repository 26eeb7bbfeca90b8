//! Who still sends requests to the pods of a version whose share is 0: what has to be accepted before the version is
//! deleted. A person and a release have it from here, before and at the deletion.

use crate::cluster::{Chooser, Departing};
use crate::domain::actor::Identity;
use crate::domain::by_pods::{self, Callers};
use crate::domain::ids::{ServiceRef, VersionName};
use crate::domain::observed::Observed;
use crate::domain::refusal::{Check, Code, Severity};
use crate::domain::routing::{Dest, Route, Routing};
use crate::domain::service::{Version, WorkloadKind};
use crate::domain::snapshot::Snapshot;

use super::Services;

impl Services {
    /// What has to be accepted before the pods of a version go, worst first. `observed` = the figures of the last
    /// minute, where there are any.
    pub(super) async fn reached(
        &self,
        who: &Identity,
        snapshot: &Snapshot,
        routing: &Routing,
        version: &VersionName,
        observed: Option<&Observed>,
    ) -> Vec<Check> {
        let Some(there) = snapshot.versions.iter().find(|known| known.name == *version) else {
            return Vec::new();
        };
        let mut out = self.by_other_services(who, snapshot, there).await;
        out.extend(spread(snapshot, routing, there));
        out.extend(still_answers(observed, version));
        out
    }

    /// The other Services that send requests to the pods: those without any pod besides come first. Who may not see the
    /// namespace's Services does not learn their names.
    pub(super) async fn by_other_services(
        &self,
        who: &Identity,
        snapshot: &Snapshot,
        version: &Version,
    ) -> Vec<Check> {
        let at = &snapshot.service.at;
        let departing = Departing {
            labels: version.pods.iter().map(|group| &group.labels).collect(),
            workloads: version.workloads.iter().map(|one| (one.kind, &*one.name)).collect(),
        };
        let mut found = self.inner.cache.services_selecting(at, &departing);
        if found.is_empty() {
            return Vec::new();
        }
        found.sort_by(|a, b| (a.stay > 0, &a.name).cmp(&(b.stay > 0, &b.name)));
        let named = self.visible(who).await.is_ok_and(|visible| visible.contains(&at.namespace));
        let check = |code: Code, name: &str| {
            let object = if named { format!("Service {name}") } else { "Service".to_owned() };
            Check::new(Severity::Acknowledge, code).arg("object", object).arg("v", &version.name)
        };
        let of = |one: &Chooser| {
            if one.stay == 0 {
                return Some(check(Code::OtherServiceEmptied, &one.name));
            }
            let other = self.inner.cache.snapshot(&ServiceRef::new(at.namespace.as_str(), &one.name));
            let sent = other.map_or(Sent::ByPods, |other| {
                sent(&other, &self.inner.routings.of(&other), &departing.workloads)
            });
            match sent {
                Sent::Percent(n) => Some(check(Code::OtherServiceSends, &one.name).arg("n", n)),
                Sent::ByPods => Some(check(Code::OtherServiceUses, &one.name).arg("n", one.stay)),
                Sent::Nothing => None,
            }
        };
        found.iter().filter_map(of).collect()
    }
}

/// What another Service sends to workloads that go.
enum Sent {
    /// Its routing sends so many percent of the requests on one of its routes to versions that go as a whole.
    Percent(u32),
    /// Pods decide, so that those which stay take over.
    ByPods,
    Nothing,
}

/// By the routing of that Service, which may divide its pods into other versions.
fn sent(other: &Snapshot, routing: &Routing, workloads: &[(WorkloadKind, &str)]) -> Sent {
    let goes = |name: &VersionName| {
        let known = other.versions.iter().find(|known| known.name == *name);
        known.is_some_and(|known| {
            let mut own = known.workloads.iter();
            !known.workloads.is_empty() && own.all(|one| workloads.contains(&(one.kind, &*one.name)))
        })
    };
    let most = |lost: &dyn Fn(&Dest) -> bool| {
        let of = |route: &Route| {
            let own = route.targets.iter().filter(|target| lost(&target.to));
            own.map(|target| u32::from(target.percent)).sum::<u32>()
        };
        routing.routes.iter().map(of).max().unwrap_or(0)
    };
    let lost = most(&|to| match to {
        Dest::Version(name) => goes(name),
        Dest::Several { versions, .. } => versions.iter().all(goes),
        _ => false,
    });
    if lost > 0 {
        return Sent::Percent(lost);
    }
    // A version that keeps some of its pods, or a destination of several versions.
    let gone = |name: &VersionName| {
        let known = other.versions.iter().find(|known| known.name == *name);
        known.is_some_and(|known| {
            known.workloads.iter().any(|one| workloads.contains(&(one.kind, &*one.name)))
        })
    };
    let among = most(&|to| match to {
        Dest::Version(name) => gone(name),
        Dest::Several { versions, .. } => versions.iter().any(gone),
        Dest::Whole => true,
        _ => false,
    });
    if among > 0 || by_pods::decide_some(routing) { Sent::ByPods } else { Sent::Nothing }
}

/// Requests that come to the version's ready pods by pods, past the declared share: of callers for whom the split does
/// not hold, and of ports without a route.
fn spread(snapshot: &Snapshot, routing: &Routing, version: &Version) -> Vec<Check> {
    if version.ready == 0 {
        return Vec::new();
    }
    let check = |code: Code| Check::new(Severity::Acknowledge, code).arg("v", &version.name);
    let callers = by_pods::callers(routing).map(|callers| match callers {
        Callers::Elsewhere(only) => check(Code::ReachedElsewhere).arg("list", only.join(", ")),
        Callers::ByHost(hosts) => check(Code::ReachedByHost).arg("list", hosts.join(", ")),
        Callers::InMesh(_) => check(Code::ReachedInMesh),
    });
    let ports = by_pods::ports(routing, &snapshot.service).into_iter();
    let ports =
        ports.map(|(protocol, port)| check(Code::ReachedByPort).arg("protocol", protocol).arg("port", port));
    callers.into_iter().chain(ports).collect()
}

/// A version that answered requests within the last minute.
fn still_answers(observed: Option<&Observed>, version: &VersionName) -> Option<Check> {
    let percent = observed?.answered_percent(version.as_str())?;
    Some(Check::new(Severity::Acknowledge, Code::StillAnswers).arg("v", version).arg("n", percent))
}
