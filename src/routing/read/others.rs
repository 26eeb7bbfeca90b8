//! Destinations that name another Service: whether it is there, whether it has the port, and which version of the
//! service it stands for. Called by the namer of destinations.
//!
//! A sibling Service that selects the pods of exactly one version is that version: applications that are routed by
//! a Service a version (`frontend-blue`) split between versions. Only what the snapshot knows of other Services
//! counts: of a Service that could not be read nothing is claimed.

use crate::domain::ids::VersionName;
use crate::domain::istio::Destination;
use crate::domain::routing::Lost;
use crate::domain::service::{ServiceFacts, Shape};
use crate::domain::snapshot::OtherService;

use super::super::hosts;
use super::targets::Namer;

impl Namer<'_> {
    /// What is known of the Service that a destination names, when it is another one.
    fn other(&self, destination: &Destination, namespace: &str) -> Option<&OtherService> {
        let domain = &*self.snapshot.mesh.cluster_domain;
        let at = hosts::service(&destination.host, namespace, domain)?;
        self.snapshot.others.iter().find(|other| other.at == at)
    }

    /// The version whose pods, and all of them, another Service of the same namespace selects.
    pub fn sibling(&self, destination: &Destination, namespace: &str) -> Option<&VersionName> {
        if destination.subset.as_deref().is_some_and(|subset| !subset.is_empty()) {
            return None;
        }
        self.snapshot.version_of(self.other(destination, namespace)?)
    }

    /// What a destination names and is not there. A Service with several ports and a destination without one takes
    /// the port that the request came to, so nothing is reported about it.
    pub fn lost(&self, destination: &Destination, namespace: &str) -> Option<Lost> {
        let facts: &ServiceFacts = if self.is_own(destination, namespace) {
            &self.snapshot.service
        } else {
            // `reviews.shop` looks like the service and is no Service to Istio.
            if hosts::is_unexpanded(&destination.host, self.host) {
                return Some(Lost::Host);
            }
            match &self.other(destination, namespace)?.facts {
                Some(facts) => facts,
                None => return Some(Lost::Host),
            }
        };
        let port = destination.port.as_ref().and_then(|port| port.number)?;
        let known = facts.ports.iter().any(|own| u32::from(own.number) == port);
        (!known && facts.shape != Shape::ExternalName && !facts.ports.is_empty()).then_some(Lost::Port(port))
    }

    /// A destination's host in full.
    pub fn full(&self, destination: &Destination, namespace: &str) -> String {
        hosts::resolve(&destination.host, namespace, &self.snapshot.mesh.cluster_domain).into_owned()
    }
}
