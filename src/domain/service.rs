//! A Kubernetes Service and what stands behind it, as far as traffic is concerned.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ids::{ServiceRef, VersionName};

/// Labels of a pod, workload or subset.
pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// What Sluice keeps of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFacts {
    pub at: ServiceRef,
    pub uid: Arc<str>,
    pub shape: Shape,
    pub ports: Vec<Port>,
    pub selector: Labels,
    /// It is going: something still holds it back.
    pub deleting: bool,
}

/// How a Service spreads connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Has a cluster IP: a proxy chooses the pod.
    ClusterIp,
    /// `clusterIP: None`: the client chooses the pod, so weights have no effect in the mesh.
    Headless,
    /// Only an alias of another host.
    ExternalName,
}

/// One port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub name: Option<Box<str>>,
    pub number: u16,
    pub protocol: Protocol,
}

/// What Istio takes a port's traffic for, by `appProtocol`, then the port name's prefix.
/// Source: <https://istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection/>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Http,
    Tcp,
    Tls,
    Udp,
}

impl Protocol {
    /// `http`, `tcp`, `tls` or `udp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Udp => "udp",
        }
    }

    /// Reads the protocol of a port: transport (`TCP`, `UDP`), `appProtocol`, name. A TCP port that says
    /// nothing is sniffed by Istio and counts as HTTP here, because HTTP routes apply to it.
    pub fn of_port(transport: Option<&str>, app_protocol: Option<&str>, name: Option<&str>) -> Self {
        if transport == Some("UDP") {
            return Self::Udp;
        }
        let said = app_protocol
            .map(|said| said.rsplit('/').next().unwrap_or(said))
            .or_else(|| name.map(|name| name.split('-').next().unwrap_or(name)))
            .unwrap_or_default()
            .to_ascii_lowercase();
        match said.as_str() {
            "tcp" | "mongo" | "mysql" | "redis" => Self::Tcp,
            "tls" | "https" => Self::Tls,
            "udp" => Self::Udp,
            _ => Self::Http,
        }
    }
}

/// The workloads behind a service that share a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub name: VersionName,
    /// The labels that tell this version's pods from the others': what a new subset selects. Empty when
    /// no label does (versions named by workload).
    pub subset_labels: Labels,
    /// The template labels of each workload (or the labels of bare pods): what existing subsets select by.
    pub pod_labels: Vec<Labels>,
    pub workloads: Vec<Workload>,
    /// Pods that take traffic now (ready endpoints of the service).
    pub ready: u32,
    /// Pods that exist, or that the workloads want, whichever is more.
    pub total: u32,
    /// Why a pod is not ready (`ImagePullBackOff`), when the cluster says.
    pub cause: Option<Arc<str>>,
    /// Milliseconds since 1970 of the oldest workload: the oldest version comes first.
    pub created_ms: i64,
}

impl Version {
    /// The image of the first workload, without registry noise left out; empty for bare pods.
    pub fn image(&self) -> &str {
        self.workloads.first().map_or("", |workload| &*workload.image)
    }
}

/// A Deployment or StatefulSet behind a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    pub kind: WorkloadKind,
    pub name: Arc<str>,
    pub image: Arc<str>,
    pub wanted: u32,
}

/// The kinds of workload that Sluice knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WorkloadKind {
    Deployment,
    StatefulSet,
}

/// True when `labels` hold every pair of `selector`. An empty selector selects everything.
pub fn selects(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}
