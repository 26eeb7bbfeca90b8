//! Everything that a decision about one service is made on, read at one time.

use std::sync::Arc;

use serde_json::Value;

use super::ids::{ObjectRef, ServiceRef, VersionName};
use super::istio::{DestinationRule, Object, VirtualService};
use super::labels::LabelSet;
use super::service::{ServiceFacts, Shape, Version, selects};

/// A service, its versions and every routing object that may matter to it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub service: ServiceFacts,
    /// Oldest first.
    pub versions: Vec<Version>,
    /// VirtualServices that name the service's host, route to it, delegate to such a one or are
    /// delegated to by one. More than these does no harm.
    pub virtual_services: Vec<Held<VirtualService>>,
    /// DestinationRules whose host is, or as a wildcard covers, the service's host; any namespace.
    pub destination_rules: Vec<Held<DestinationRule>>,
    /// Services that destinations beside the service name, as far as it is known whether they exist. A Service
    /// that is not among them is not known.
    pub others: Vec<OtherService>,
    pub mesh: Mesh,
    /// Objects of the service's namespace that are no concern of this service: a new object must not
    /// take their names. Filled when a snapshot is read for a write, empty otherwise.
    pub taken: Vec<ObjectRef>,
}

/// A Service that a destination names, and what it is; `None` = there is no such Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherService {
    pub at: ServiceRef,
    pub facts: Option<ServiceFacts>,
}

impl Snapshot {
    /// The version that another Service stands for: one of the same namespace that selects all pods of exactly one
    /// version (`frontend-blue` beside `frontend`).
    pub fn version_of(&self, other: &OtherService) -> Option<&VersionName> {
        let own = &self.service;
        let facts = other.facts.as_ref().filter(|facts| {
            other.at.namespace == own.at.namespace
                && facts.shape == Shape::ClusterIp
                && !own.selector.is_empty()
                && selects(&own.selector, &facts.selector)
        })?;
        let selector: LabelSet = facts.selector.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        let mut held = self
            .versions
            .iter()
            .filter(|version| version.live().any(|at| selector.selects(&version.pods[at].labels)));
        let (only, more) = (held.next()?, held.next());
        let whole = only.live().all(|at| selector.selects(&only.pods[at].labels));
        (whole && more.is_none()).then_some(&only.name)
    }

    /// The other Services that stand for a version and that routes name: the mesh counts requests that go there under
    /// their names.
    pub fn siblings(&self) -> impl Iterator<Item = &Arc<str>> {
        self.others.iter().filter(|other| self.version_of(other).is_some()).map(|other| &other.at.name)
    }
}

/// An object as it was read: its view, and, when it was read for a write, the JSON itself.
#[derive(Clone, Debug)]
pub struct Held<T> {
    pub object: Arc<Object<T>>,
    /// The whole object as the API server sent it; absent in snapshots made from the watch cache.
    pub json: Option<Arc<Value>>,
}

/// Facts about the mesh that no object of the service tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mesh {
    /// True when the cluster serves VirtualService and DestinationRule.
    pub installed: bool,
    /// Usually `cluster.local`.
    pub cluster_domain: Arc<str>,
    /// Usually `istio-system`; its DestinationRules apply last.
    pub root_namespace: Arc<str>,
    /// Pods behind the service with a sidecar (or in an ambient namespace), and all of them.
    pub meshed_pods: u32,
    pub pods: u32,
}
