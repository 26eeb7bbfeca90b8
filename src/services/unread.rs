//! The routing of a service without what stands in objects that a person may not get: names of routes, hosts,
//! gateways and other destinations. What requests of the service come to stays, and so do the objects' own names.
//!
//! Called by `shown` for everything that leaves with a service. Pure but for the question who may get what.

use crate::cluster::Ask;
use crate::domain::actor::Identity;
use crate::domain::ids::{ObjectRef, RouteId};
use crate::domain::refusal::Check;
use crate::domain::routing::{Dest, HIDDEN, Outcome, Part, Routing};
use crate::domain::service::Version;

use super::Services;

/// Values of a finding that no object holds: numbers, objects' own names, what Envoy answers.
const OPEN: [&str; 10] = ["object", "n", "x", "w", "m", "status", "why", "port", "protocol", "number"];

impl Services {
    /// Those of a service's objects that the person may not get. A right on all objects of a namespace is asked for
    /// first: usual people have it, and a page of services then asks once a namespace.
    pub(super) async fn unreadable(&self, who: &Identity, objects: &[ObjectRef]) -> Vec<ObjectRef> {
        let mut out = Vec::new();
        if who.unrestricted {
            return out;
        }
        for object in objects {
            let all = Ask::write("get", object.kind, object.namespace.clone());
            if !self.inner.cluster.allowed(who, all).await.unwrap_or(false)
                && !self.may_get(who, object).await
            {
                out.push(object.clone());
            }
        }
        out
    }
}

/// Takes out of a routing what these objects hold.
pub(super) fn without(routing: &mut Routing, unread: &[ObjectRef]) {
    let mut words: Vec<(RouteId, RouteId)> = Vec::new();
    let mut whole = false;
    for route in routing.routes.iter_mut().filter(|route| unread.contains(&route.object)) {
        let id = RouteId::trusted(format!("{HIDDEN}-{}", words.len() + 1));
        words.push((std::mem::replace(&mut route.id, id.clone()), id));
        route.name = None;
        route.hosts = vec![HIDDEN.to_owned()];
        hide_all(&mut route.gateways);
        for target in &mut route.targets {
            if let Dest::Foreign { host, subset } = &mut target.to {
                HIDDEN.clone_into(host);
                *subset = None;
            }
            if target.via.is_some() {
                target.via = Some(HIDDEN.to_owned());
            }
        }
        hide_parts(&mut route.parts);
        whole |= route.is_default;
    }
    for rule in &mut routing.rules {
        let Some((_, id)) = words.iter().find(|(real, _)| rule.id.as_ref() == Some(real)) else { continue };
        rule.id = Some(id.clone());
        rule.hide();
    }
    if whole {
        hide_parts(&mut routing.split);
        if let Some(scope) = &mut routing.scope {
            scope.hosts = vec![HIDDEN.to_owned()];
            hide_all(&mut scope.gateways);
        }
        if let Some(mirror) = &mut routing.mirror {
            mirror.hide();
        }
    }
}

/// The same for findings, which are about objects and may name what they hold. `routing` as it was read.
pub(super) fn findings_without(
    findings: &mut [Check],
    routing: &Routing,
    versions: &[Version],
    unread: &[ObjectRef],
) {
    let objects: Vec<String> = unread.iter().map(ToString::to_string).collect();
    let mut held: Vec<&str> = Vec::new();
    for route in routing.routes.iter().filter(|route| unread.contains(&route.object)) {
        held.push(route.id.as_str());
        held.extend(route.name.as_deref());
        held.extend(route.gateways.iter().map(String::as_str).filter(|gateway| *gateway != "mesh"));
        held.extend(route.targets.iter().filter_map(|target| match &target.to {
            Dest::Foreign { host, .. } => Some(host.as_str()),
            _ => target.via.as_deref(),
        }));
    }
    held.retain(|word| !word.is_empty());
    for check in findings {
        let about = check.args.iter().any(|(_, value)| objects.contains(value));
        for (name, value) in &mut check.args {
            let open = OPEN.contains(&&**name) || objects.contains(value);
            let version = versions.iter().any(|version| version.name.as_str() == value);
            let names = held.iter().any(|word| value.contains(word));
            if (about && !open && !version) || (names && !open) {
                HIDDEN.clone_into(value);
            }
        }
    }
}

/// `mesh` is no name.
fn hide_all(gateways: &mut Vec<String>) {
    for gateway in gateways.iter_mut().filter(|gateway| *gateway != "mesh") {
        HIDDEN.clone_into(gateway);
    }
    gateways.dedup();
}

fn hide_parts(parts: &mut [Part]) {
    for part in parts {
        match &mut part.to {
            Outcome::Host(host) => HIDDEN.clone_into(host),
            Outcome::Answer(answer) if !answer.name.is_empty() => HIDDEN.clone_into(&mut answer.name),
            _ => {}
        }
    }
}
