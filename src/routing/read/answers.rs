//! Findings on what does not reach a version: destinations that are not there, what the proxy answers by itself,
//! and callers for whom the declared split does not hold. Called by the findings and by the checks of a plan.

use crate::domain::ids::{Namespace, ObjectRef};
use crate::domain::refusal::{Code, Finding, Severity};
use crate::domain::routing::{Dest, Lost, Outcome, Part, Route, Target};
use crate::domain::service::EXPORT_TO;

use super::super::hosts;
use super::findings::found;
use super::{Inspected, Place, destination_rule};

/// A destination that names what is not there.
pub fn lost_finding(
    inspected: &Inspected<'_>,
    severity: Severity,
    route: &Route,
    target: &Target,
) -> Option<Finding> {
    let (code, port) = match target.lost.as_ref()? {
        Lost::Host => (Code::HostMissing, None),
        Lost::Port(port) => (Code::PortMissing, Some(port)),
    };
    let host = match &target.to {
        Dest::Foreign { host, .. } => host.as_str(),
        _ => target.via.as_deref().unwrap_or_default(),
    };
    let check = found(severity, code).arg("object", &route.object).arg("host", host);
    let check = match port {
        Some(port) => check.arg("port", port),
        None => check,
    };
    let namespace = inspected.namespace_of(host, &route.object);
    Some(check.arg("n", target.percent).arg("namespace", namespace))
}

/// What the proxy answers by itself because the object says so, and what it holds back.
pub fn answers(inspected: &Inspected<'_>, out: &mut Vec<Finding>) {
    let answering = inspected.answering().map(|route| &route.id);
    for route in &inspected.routing.routes {
        let whole = route.is_default || answering == Some(&route.id);
        let severity = if whole { Severity::Acknowledge } else { Severity::Info };
        out.extend(answered(route, severity));
        if let Some(delay) = &route.delay {
            let check = found(Severity::Info, Code::Delayed).arg("object", &route.object);
            out.push(check.arg("route", &route.id).arg("x", delay.percent).arg("by", &delay.by));
        }
    }
}

/// What a route answers by itself, wanted as it is; `None` when it answers nothing.
pub fn answered(route: &Route, severity: Severity) -> Option<Finding> {
    let wanted = |part: &&Part| matches!(&part.to, Outcome::Answer(answer) if answer.is_wanted());
    let part = route.parts.iter().filter(wanted).max_by_key(|part| part.percent)?;
    let Outcome::Answer(answer) = &part.to else { return None };
    Some(
        found(severity, Code::AnsweredByProxy)
            .arg("object", &route.object)
            .arg("route", &route.id)
            .arg("n", part.percent)
            .arg("status", answer.status)
            .arg("why", answer.why.as_str()),
    )
}

/// For whom the declared split does not hold.
pub fn scope(inspected: &Inspected<'_>, out: &mut Vec<Finding>) {
    let known = inspected.snapshot.service.known_in();
    match known.as_deref() {
        Some([]) => out.push(found(Severity::Block, Code::ServiceNotExported).arg("annotation", EXPORT_TO)),
        Some(known) => {
            let check = found(Severity::Info, Code::ServiceExported).arg("list", known.join(", "));
            out.push(check.arg("annotation", EXPORT_TO));
        }
        None => {}
    }
    let Some((scope, at)) = inspected.routing.scope.as_ref().zip(inspected.default) else { return };
    let object = &inspected.route(at).object;
    // Plain names: an argument is text, and marks in it would be shown as they are.
    let named = |names: &[String]| names.join(", ");
    let gateways: Vec<String> = scope.gateways.iter().filter(|gateway| *gateway != "mesh").cloned().collect();
    if inspected.spots[at].place == Place::Gateway {
        let check = found(Severity::Info, Code::SplitOfGateway).arg("list", named(&gateways));
        out.push(check.arg("object", object));
    } else if let Some(only) = scope.namespaces.as_ref().filter(|only| known.as_ref() != Some(*only)) {
        let check = found(Severity::Info, Code::SplitOfNamespaces).arg("list", named(only));
        out.push(check.arg("object", object));
    } else if scope.namespaces.is_none() {
        let differ: Vec<&str> =
            inspected.differing(at).into_iter().map(|(client, _)| inspected.clients[client]).collect();
        let others: Vec<String> =
            scope.except.iter().filter(|name| !differ.contains(&name.as_str())).cloned().collect();
        if !others.is_empty() {
            let check = found(Severity::Info, Code::SplitWithout).arg("list", named(&others));
            out.push(check.arg("object", object));
        }
    }
    out.extend(inspected.differing_finding(at));
    if let Some(port) = scope.port.filter(|_| inspected.snapshot.service.ports.len() > 1) {
        let check = found(Severity::Info, Code::SplitOfPort).arg("port", port);
        out.push(check.arg("object", object));
    }
}

impl Inspected<'_> {
    /// The namespace of the Service that a host means in an object; the service's own where it means none.
    pub fn namespace_of(&self, host: &str, object: &ObjectRef) -> Namespace {
        let other = hosts::service(host, object.namespace.as_str(), &self.snapshot.mesh.cluster_domain);
        other.filter(|_| !host.is_empty()).unwrap_or_else(|| self.snapshot.service.at.clone()).namespace
    }

    /// Namespaces other than the service's in which something is missing that a route names.
    pub fn beyond(&self) -> Vec<Namespace> {
        let own = &self.snapshot.service.at.namespace;
        let mut out: Vec<Namespace> = Vec::new();
        for route in &self.routing.routes {
            for target in route.targets.iter().filter(|target| target.lost.is_some()) {
                let Dest::Foreign { host, .. } = &target.to else { continue };
                let namespace = self.namespace_of(host, &route.object);
                if namespace != *own && !out.contains(&namespace) {
                    out.push(namespace);
                }
            }
        }
        out
    }

    /// The DestinationRule for some workloads only that defines a subset which no rule for all defines.
    pub fn selector_rule(&self, subset: &str) -> Option<ObjectRef> {
        let at = self.rules.all().iter().copied().find(|at| {
            let spec = &self.snapshot.destination_rules[*at].object.spec;
            spec.workload_selector.is_some() && spec.subsets.iter().any(|own| &*own.name == subset)
        })?;
        Some(destination_rule(self.snapshot, at))
    }

    /// The DestinationRule for some workloads only because of which clients do not know a subset: the one that they
    /// use (`rule`), or, where they use none (`-`), the one that defines it for others.
    pub fn selective(&self, subset: &str, rule: &str) -> Option<ObjectRef> {
        if rule == "-" {
            return self.selector_rule(subset);
        }
        let at = self.rules.all().iter().copied().find(|at| {
            let selective = self.snapshot.destination_rules[*at].object.spec.workload_selector.is_some();
            selective && destination_rule(self.snapshot, *at).to_string() == rule
        })?;
        Some(destination_rule(self.snapshot, at))
    }
}
