//! A Kubernetes Service and what stands behind it, as far as traffic is concerned.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ids::{ServiceRef, VersionName};
use super::labels::LabelSet;

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
    /// The namespaces whose proxies know it, as its annotation `networking.istio.io/exportTo` lists them; none = all.
    pub export_to: Box<[Box<str>]>,
}

/// The annotation of a Service that says whose proxies know it.
pub const EXPORT_TO: &str = "networking.istio.io/exportTo";

/// Reads the annotation [`EXPORT_TO`] as Istio does.
pub fn exported_to(annotation: &str) -> Box<[Box<str>]> {
    if annotation.is_empty() {
        return Box::default();
    }
    annotation.split(',').map(|to| to.trim().into()).collect()
}

/// True when proxies of the namespace `client` know a Service of the namespace `own` that is exported to these.
pub fn is_known_in(export_to: &[Box<str>], own: &str, client: &str) -> bool {
    let has = |to: &str| export_to.iter().any(|one| **one == *to);
    export_to.is_empty()
        || has("*")
        || !has("~") && (has(".") && client == own || !client.is_empty() && has(client))
}

impl ServiceFacts {
    /// True when proxies of this namespace know the Service.
    pub fn is_known_in(&self, client: &str) -> bool {
        is_known_in(&self.export_to, self.at.namespace.as_str(), client)
    }

    /// The namespaces whose proxies know it; `None` = all.
    pub fn known_in(&self) -> Option<Vec<String>> {
        let own = self.at.namespace.as_str();
        // No namespace has an empty name: it stands for all that are not named.
        if self.is_known_in("") {
            return None;
        }
        let names = self.export_to.iter().map(|to| if &**to == "." { own } else { &**to });
        let mut known: Vec<String> = names.filter(|name| self.is_known_in(name)).map(str::to_owned).collect();
        known.sort_unstable();
        known.dedup();
        Some(known)
    }
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
    /// Its pods by their own labels (by those of the template where they do not exist yet): what subsets select.
    pub pods: Vec<PodGroup>,
    /// Whose pods they are; empty for pods that no known workload made.
    pub workloads: Vec<Workload>,
    /// The image that most of its pods run; that of the template where there is none.
    pub image: Arc<str>,
    /// Pods that take traffic now (ready endpoints of the service).
    pub ready: u32,
    /// Pods that exist, and those that the workloads still want.
    pub total: u32,
    /// The name of a target port of the Service that ports of its pods do not have: they get no requests for it.
    pub lacks: Option<Arc<str>>,
    /// Why a pod is not ready (`ImagePullBackOff`), when the cluster says.
    pub cause: Option<Arc<str>>,
    /// Pods that are not ready, each with its cause: the first [`MOST_WAITING`] by name.
    pub waiting: Vec<WaitingPod>,
    /// Milliseconds since 1970 of the oldest workload: the oldest version comes first.
    pub created_ms: i64,
}

impl Version {
    /// The image as text; empty where nothing is known of it.
    pub fn image(&self) -> &str {
        &self.image
    }

    /// The positions of the pods that a subset can reach: those that are there or wanted. A version without any has
    /// only what its template says.
    pub fn live(&self) -> impl Iterator<Item = usize> {
        let any = self.pods.iter().any(|group| group.total > 0);
        (0..self.pods.len()).filter(move |at| !any || self.pods[*at].total > 0)
    }

    /// True when nothing makes or runs pods of it any more.
    pub fn is_gone(&self) -> bool {
        self.workloads.is_empty() && self.ready == 0
    }

    /// True when each of its workloads is being deleted.
    pub fn is_going(&self) -> bool {
        !self.workloads.is_empty() && self.workloads.iter().all(|workload| workload.going.is_some())
    }

    /// True when a workload of it has pods of another version, too.
    pub fn is_shared(&self) -> bool {
        self.workloads.iter().any(|workload| workload.shared)
    }
}

/// How many pods of a version that are not ready are kept by name.
pub const MOST_WAITING: usize = 5;

/// A pod that is not ready.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WaitingPod {
    pub name: Arc<str>,
    /// `None` where the cluster does not say why.
    pub cause: Option<Arc<PodCause>>,
}

/// Why a pod is not ready, in the words of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodCause {
    /// `ImagePullBackOff`, `CrashLoopBackOff`, `Unschedulable`.
    pub reason: Arc<str>,
    /// The sentence beside it, cut to [`PodCause::LONGEST`] characters; may be empty.
    pub message: Box<str>,
    /// How the container ended before it was started again: reason and exit code.
    pub last_exit: Option<(Box<str>, i32)>,
}

impl PodCause {
    /// Characters of a message that are kept.
    pub const LONGEST: usize = 240;

    /// The pod is ready, but the Service's target port of this name is none of its ports.
    pub fn no_target_port(name: &str) -> Self {
        Self { reason: format!("NoTargetPort({name})").into(), ..Self::default() }
    }

    /// True while nothing is wrong: the pod is being started.
    pub fn is_starting(&self) -> bool {
        matches!(&*self.reason, "ContainerCreating" | "PodInitializing")
    }
}

/// The pods of a version with the same labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodGroup {
    pub labels: LabelSet,
    pub ready: u32,
    pub total: u32,
}

/// A Deployment or StatefulSet behind a service, as far as it is one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    pub kind: WorkloadKind,
    pub name: Arc<str>,
    /// What its pods of this version run.
    pub image: Arc<str>,
    /// How many pods of this version it is to have.
    pub wanted: u32,
    pub template: PodTemplate,
    /// It has pods of another version, too, or its template is of another one: the workload is not this version.
    pub shared: bool,
    /// It is being deleted: the finalizers that it waits for, separated by `, `. Its pods run until the last is gone.
    pub going: Option<Arc<str>>,
}

/// What the pods are that a workload makes from now on, as far as it is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodTemplate {
    /// The images of its containers, in order.
    pub images: Arc<str>,
    /// Of the template's whole `spec`; empty where it could not be read.
    pub fingerprint: Arc<str>,
    /// The field manager that wrote the template last; empty where the cluster does not say.
    pub manager: Arc<str>,
}

/// The kinds of workload that Sluice knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WorkloadKind {
    Deployment,
    StatefulSet,
}

impl WorkloadKind {
    /// The kind as Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
        }
    }
}

/// True when `labels` hold every pair of `selector`. An empty selector selects everything.
pub fn selects(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}
