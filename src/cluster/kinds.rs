//! The kinds of objects that are watched, and their addresses.

use crate::domain::ids::{Kind, ObjectRef};

/// A kind that the cache holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Watched {
    Namespace,
    Service,
    EndpointSlice,
    Pod,
    Deployment,
    StatefulSet,
    VirtualService,
    DestinationRule,
}

impl Watched {
    pub const ALL: [Self; 8] = [
        Self::Namespace,
        Self::Service,
        Self::EndpointSlice,
        Self::Pod,
        Self::Deployment,
        Self::StatefulSet,
        Self::VirtualService,
        Self::DestinationRule,
    ];

    /// The kind's name as Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "Namespace",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Pod => "Pod",
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::VirtualService => "VirtualService",
            Self::DestinationRule => "DestinationRule",
        }
    }

    fn group_and_plural(self) -> (&'static str, &'static str) {
        match self {
            Self::Namespace => ("/api/v1", "namespaces"),
            Self::Service => ("/api/v1", "services"),
            Self::Pod => ("/api/v1", "pods"),
            Self::EndpointSlice => ("/apis/discovery.k8s.io/v1", "endpointslices"),
            Self::Deployment => ("/apis/apps/v1", "deployments"),
            Self::StatefulSet => ("/apis/apps/v1", "statefulsets"),
            Self::VirtualService => ("/apis/networking.istio.io/v1", "virtualservices"),
            Self::DestinationRule => ("/apis/networking.istio.io/v1", "destinationrules"),
        }
    }

    /// The collection, of one namespace or of all.
    pub fn collection(self, namespace: Option<&str>) -> String {
        let (group, plural) = self.group_and_plural();
        match namespace {
            Some(namespace) => format!("{group}/namespaces/{namespace}/{plural}"),
            None => format!("{group}/{plural}"),
        }
    }

    /// One object.
    pub fn object(self, namespace: &str, name: &str) -> String {
        format!("{}/{name}", self.collection(Some(namespace)))
    }

    /// True for Istio's kinds, which a cluster may lack.
    pub fn is_optional(self) -> bool {
        matches!(self, Self::VirtualService | Self::DestinationRule)
    }
}

impl From<Kind> for Watched {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::VirtualService => Self::VirtualService,
            Kind::DestinationRule => Self::DestinationRule,
        }
    }
}

/// The address of an object that we may write.
pub(super) fn path(object: &ObjectRef) -> String {
    Watched::from(object.kind).object(object.namespace.as_str(), &object.name)
}

/// The address that creates such an object.
pub(super) fn collection_path(object: &ObjectRef) -> String {
    Watched::from(object.kind).collection(Some(object.namespace.as_str()))
}
