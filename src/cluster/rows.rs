//! What the cache keeps of an object: only what decides something or is shown. A typed Pod is 16 times its row.

use std::sync::Arc;

use crate::domain::ids::{Kind, ObjectRef};
use crate::domain::istio::{DestinationRule, Meta, Object, VirtualService};
use crate::domain::service::{PodCause, PodTemplate, Port, Shape, WorkloadKind};
use crate::domain::versions::PodOwner;

use super::words::{LabelSet, Word};

/// One object, as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Row {
    Namespace(NamespaceRow),
    Service(Arc<ServiceRow>),
    Slice(Arc<SliceRow>),
    Pod(Arc<PodRow>),
    Workload(Arc<WorkloadRow>),
    VirtualService(Arc<Object<VirtualService>>),
    DestinationRule(Arc<Object<DestinationRule>>),
}

impl Row {
    /// Namespace (of a Namespace: its own name) and name.
    pub fn key(&self) -> (&Word, &Word) {
        match self {
            Self::Namespace(row) => (&row.name, &row.name),
            Self::Service(row) => (&row.namespace, &row.name),
            Self::Slice(row) => (&row.namespace, &row.name),
            Self::Pod(row) => (&row.namespace, &row.name),
            Self::Workload(row) => (&row.namespace, &row.name),
            Self::VirtualService(object) => (&object.meta.namespace, &object.meta.name),
            Self::DestinationRule(object) => (&object.meta.namespace, &object.meta.name),
        }
    }

    /// The metadata of a routing object.
    pub fn routing_meta(&self) -> Option<&Meta> {
        match self {
            Self::VirtualService(object) => Some(&object.meta),
            Self::DestinationRule(object) => Some(&object.meta),
            _ => None,
        }
    }

    /// Where a routing object is.
    pub fn routing_object(&self) -> Option<ObjectRef> {
        match self {
            Self::VirtualService(object) => Some(object.at(Kind::VirtualService)),
            Self::DestinationRule(object) => Some(object.at(Kind::DestinationRule)),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamespaceRow {
    pub name: Word,
    /// `istio.io/dataplane-mode: ambient`.
    pub ambient: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServiceRow {
    pub namespace: Word,
    pub name: Word,
    pub uid: Arc<str>,
    pub shape: Shape,
    pub ports: Box<[Port]>,
    /// Target ports by name: the port of the Service (empty where it has no name), and the name that a container's
    /// port must have. Of all ports to which HTTP routes apply; of all but UDP where there is none.
    pub targets: Box<[(Word, Word)]>,
    pub selector: LabelSet,
    pub deleting: bool,
    pub export_to: Box<[Box<str>]>,
}

impl ServiceRow {
    /// The labels of the pods behind it; `None` when pods are not chosen by labels.
    pub fn chooses(&self) -> Option<&LabelSet> {
        (self.shape != Shape::ExternalName && !self.selector.is_empty()).then_some(&self.selector)
    }
}

impl ServiceRow {
    /// The name that no port of the pods of a slice has, although a port of the Service needs it: they are ready, but
    /// nothing listens for these requests. Of the names of ports that the Service does not have nothing is concluded:
    /// such a slice is older than the Service, or made by something else.
    pub fn lacks(&self, slice: &SliceRow) -> Option<&Word> {
        let own =
            |name: &Word| self.ports.iter().any(|port| port.name.as_deref().unwrap_or_default() == &**name);
        let missing = self.targets.iter().find(|(port, _)| !slice.ports.contains(port));
        missing.filter(|_| slice.ports.iter().all(own)).map(|(_, target)| target)
    }
}

/// An EndpointSlice: which pods of a Service take traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SliceRow {
    pub namespace: Word,
    pub name: Word,
    pub service: Word,
    /// Names of pods that are ready and not terminating, sorted.
    pub ready: Box<[Word]>,
    /// The names of the Service's ports that these pods have (empty: one without a name). The API server keeps pods
    /// whose containers lack a named target port in a slice of their own, without that port.
    pub ports: Box<[Word]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodRow {
    pub namespace: Word,
    pub name: Word,
    pub labels: LabelSet,
    pub image: Word,
    /// Why it is not ready; one pointer, because most pods have none.
    pub cause: Option<Arc<PodCause>>,
    pub owner: Option<PodOwner>,
    pub terminating: bool,
    /// Ended for good (`Succeeded`, `Failed`): stays listed, is no pod of anything any more.
    pub ended: bool,
    pub mesh: PodMesh,
}

/// What a pod says about the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PodMesh {
    /// It has a sidecar, or is labelled as ambient.
    In,
    /// Labelled as out of an ambient namespace.
    Out,
    /// As its namespace is.
    Unsaid,
}

/// A Deployment or StatefulSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WorkloadRow {
    pub namespace: Word,
    pub name: Word,
    pub kind: WorkloadKind,
    pub created_ms: i64,
    pub image: Word,
    pub wanted: u32,
    pub selector: LabelSet,
    pub pod_labels: LabelSet,
    /// It is being deleted: the finalizers that it waits for, separated by `, `.
    pub going: Option<Word>,
    pub template: PodTemplate,
}
