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

impl Port {
    /// The port as a sentence names it: `5432`, or `5432 (postgres)`.
    pub fn label(&self) -> String {
        self.name.as_ref().map_or_else(|| self.number.to_string(), |name| format!("{} ({name})", self.number))
    }
}

/// What Istio takes a port's traffic for: the lists of a VirtualService (`http`, `tls`, `tcp`) that apply to it.
/// Source: <https://istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection/> and
/// `ConvertProtocol` in pkg/config/kube/conversion.go of Istio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Http,
    Tcp,
    Tls,
    /// UDP and SCTP: proxies let it pass, no route applies.
    Udp,
    /// Nothing says the protocol, so proxies look at the first bytes of each connection: HTTP requests follow
    /// `http` routes, everything else (TLS included) follows `tcp` routes.
    Auto,
}

/// Ports where the server speaks first (SMTP, DNS, MySQL, MongoDB): Istio never looks at their first bytes.
const SERVER_FIRST: [u16; 4] = [25, 53, 3306, 27017];

impl Protocol {
    /// `http`, `tcp`, `tls`, `udp` or `auto`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Udp => "udp",
            Self::Auto => "auto",
        }
    }

    /// The protocol of a port of a Service, from its number, transport (`TCP`, `UDP`, `SCTP`), `appProtocol` and
    /// name. `appProtocol` alone counts where it is set; a name counts by its part before the first hyphen.
    pub fn of_port(
        number: u16,
        transport: Option<&str>,
        app_protocol: Option<&str>,
        name: Option<&str>,
    ) -> Self {
        if matches!(transport, Some("UDP" | "SCTP")) {
            return Self::Udp;
        }
        match app_protocol {
            Some("kubernetes.io/h2c" | "kubernetes.io/ws") => return Self::Http,
            Some("kubernetes.io/wss") => return Self::Tls,
            _ => {}
        }
        let declared = app_protocol.or(name).unwrap_or_default().to_ascii_lowercase();
        // `grpc-web` holds a hyphen itself.
        if declared.starts_with("grpc-web") {
            return Self::Http;
        }
        match declared.split('-').next().unwrap_or_default() {
            "http" | "http2" | "http_proxy" | "grpc" => Self::Http,
            "tcp" | "mongo" | "mysql" | "redis" => Self::Tcp,
            "tls" | "https" => Self::Tls,
            "udp" => Self::Udp,
            _ if SERVER_FIRST.contains(&number) => Self::Tcp,
            _ => Self::Auto,
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
