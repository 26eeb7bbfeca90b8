//! Who sends requests to the pods of a version that a release makes as soon as they are ready, whatever its steps say:
//! wherever requests are spread by pods. Has to be accepted before the release starts. Called by the plan.

use crate::domain::by_pods::{self, Callers};
use crate::domain::refusal::{Check, Code, Severity};
use crate::domain::release::{Spec, Strategy};
use crate::domain::routing::{Dest, Route};
use crate::domain::service::Version;
use crate::services::Services;
use crate::services::change::Look;

use super::acceptance::imagined;

impl Services {
    /// What has to be accepted before a new version has pods. `written` = the checks of every write of the release.
    pub(super) fn reached_early(&self, spec: &Spec, look: &Look, written: &[Check]) -> Vec<Check> {
        // Without a mesh, pods are what the steps set.
        if spec.strategy == Strategy::Replicas {
            return Vec::new();
        }
        let Some(made) = imagined(spec, look) else { return Vec::new() };
        let candidate = spec.candidate.version();
        let Some(version) = made.snapshot.versions.iter().find(|one| one.name == *candidate) else {
            return Vec::new();
        };
        let ready = look.snapshot.versions.iter().map(|one| one.ready).sum();
        let check = |code: Code| Check::new(Severity::Acknowledge, code).arg("v", candidate);
        let about = |code: Code| check(code).arg("n", share(version.total, ready));
        let callers = by_pods::callers(&look.routing).map(|callers| match callers {
            Callers::Elsewhere(only) => about(Code::EarlyElsewhere).arg("list", only.join(", ")),
            Callers::ByHost(hosts) => about(Code::EarlyByHost).arg("list", hosts.join(", ")),
            Callers::InMesh(gateways) => about(Code::EarlyInMesh).arg("list", gateways.join(", ")),
        });
        let mut out: Vec<Check> = callers.into_iter().collect();
        let ports = open_ports(look, written);
        out.extend(
            ports
                .iter()
                .map(|(protocol, port)| about(Code::EarlyByPort).arg("protocol", protocol).arg("port", port)),
        );
        let reaching = made.routing.routes.iter().filter(|route| sends_to(route, version));
        out.extend(
            reaching
                .map(|route| check(Code::EarlyByRoute).arg("object", &route.object).arg("route", &route.id)),
        );
        out.extend(self.early_by_services(look, version).into_iter().map(|(name, ready)| {
            let n = share(version.total, ready);
            check(Code::EarlyByService).arg("n", n).arg("object", format!("Service {name}"))
        }));
        out
    }

    /// The other Services that select the new pods and spread requests over them, each with its ready pods of now. A
    /// Service that has none is there for the new version alone: nobody is surprised. Whoever sees the service may
    /// list those of its namespace.
    fn early_by_services(&self, look: &Look, version: &Version) -> Vec<(String, u32)> {
        let at = &look.snapshot.service.at;
        let mut others = Vec::new();
        for group in &version.pods {
            for other in self.inner.cache.services_matching(at, &group.labels) {
                if !others.contains(&other) {
                    others.push(other);
                }
            }
        }
        others.sort_unstable();
        let counted = others.into_iter().filter_map(|other| {
            let snapshot = self.inner.cache.snapshot(&other)?;
            let ready: u32 = snapshot.versions.iter().map(|one| one.ready).sum();
            (ready > 0 && by_pods::decide_some(&self.inner.routings.of(&snapshot)))
                .then(|| (other.name.to_string(), ready))
        });
        counted.collect()
    }
}

/// Percent of requests that so many new pods get beside the ready ones.
fn share(new: u32, ready: u32) -> u64 {
    let (new, all) = (u64::from(new), u64::from(new) + u64::from(ready));
    (new * 100 + all / 2) / all.max(1)
}

/// Ports whose traffic no route takes, now or once the release has written: protocol and port.
fn open_ports(look: &Look, written: &[Check]) -> Vec<(String, String)> {
    let mut out = by_pods::ports(&look.routing, &look.snapshot.service);
    for check in written.iter().filter(|check| check.code == Code::PortByPods) {
        let arg = |name: &str| check.args.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        if let Some(one) = arg("protocol").zip(arg("port"))
            && !out.contains(&one)
        {
            out.push(one);
        }
    }
    out
}

/// True when a route sends requests to the new pods. The service's own default route is written before they are made:
/// only a subset that selects them beside the stable version's stays.
fn sends_to(route: &Route, version: &Version) -> bool {
    route.targets.iter().filter(|target| target.percent > 0).any(|target| match &target.to {
        Dest::Several { versions, .. } => versions.contains(&version.name),
        Dest::Whole => !route.is_default,
        Dest::Version(name) => !route.is_default && *name == version.name,
        Dest::Nobody { .. } | Dest::Missing { .. } | Dest::Foreign { .. } => false,
    })
}
