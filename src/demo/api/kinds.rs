//! The table of resources that the API server in memory knows, and how each behaves on a write.
//!
//! Every other file of this folder is generic over this table; a new resource is one more row.
//! It must stay data: no request, no storage.
//!
//! The behaviours are those of the registry strategies of Kubernetes 1.36 (`pkg/registry/*/strategy.go`) and,
//! for custom resources, of apiextensions-apiserver.

/// One resource of the API.
#[expect(clippy::struct_excessive_bools, reason = "a row of a table: each is a yes or no of its own")]
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version inside the group.
    pub version: &'static str,
    /// The plural word of the URL.
    pub plural: &'static str,
    /// The singular word.
    pub singular: &'static str,
    /// The word of the `kind` field.
    pub kind: &'static str,
    /// Abbreviations, as discovery tells them.
    pub short: &'static [&'static str],
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether it is served by a CRD; if so it can be missing on a cluster.
    pub custom: bool,
    /// When `metadata.generation` moves.
    pub generation: Generation,
    /// Whether the kind has a `status` that only its own path writes.
    pub status: bool,
    /// Whether a PUT to a name that does not exist creates it.
    pub create_on_update: bool,
    /// Whether DELETE answers with the object rather than with a `Status`.
    pub returns_deleted: bool,
    /// Which names are accepted.
    pub name: NameRule,
}

/// When the server moves `metadata.generation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// Never; the field is absent.
    Never,
    /// When `spec` changes.
    Spec,
    /// When `spec` or an annotation changes (Deployment).
    SpecOrAnnotations,
    /// When anything but `metadata` and `status` changes (custom resources), or also labels (EndpointSlice).
    Content,
}

/// Which object names the server accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// RFC 1123 subdomain: dots allowed.
    Subdomain,
    /// RFC 1123 label (namespaces).
    Label,
    /// RFC 1035 label: begins with a letter (services).
    Label1035,
}

const BASE: Kind = Kind {
    group: "",
    version: "v1",
    plural: "",
    singular: "",
    kind: "",
    short: &[],
    namespaced: true,
    custom: false,
    generation: Generation::Never,
    status: true,
    create_on_update: false,
    returns_deleted: false,
    name: NameRule::Subdomain,
};

const APPS: Kind = Kind { group: "apps", generation: Generation::Spec, ..BASE };

const ISTIO: Kind =
    Kind { group: "networking.istio.io", custom: true, generation: Generation::Content, ..BASE };

/// The resources that are installed when a server starts.
pub static KINDS: &[Kind] = &[
    Kind {
        plural: "namespaces",
        singular: "namespace",
        kind: "Namespace",
        short: &["ns"],
        namespaced: false,
        returns_deleted: true,
        name: NameRule::Label,
        ..BASE
    },
    Kind {
        plural: "services",
        singular: "service",
        kind: "Service",
        short: &["svc"],
        create_on_update: true,
        returns_deleted: true,
        name: NameRule::Label1035,
        ..BASE
    },
    Kind {
        plural: "pods",
        singular: "pod",
        kind: "Pod",
        short: &["po"],
        generation: Generation::Spec,
        returns_deleted: true,
        ..BASE
    },
    Kind {
        plural: "serviceaccounts",
        singular: "serviceaccount",
        kind: "ServiceAccount",
        short: &["sa"],
        status: false,
        returns_deleted: true,
        ..BASE
    },
    Kind {
        plural: "events",
        singular: "event",
        kind: "Event",
        short: &["ev"],
        status: false,
        create_on_update: true,
        ..BASE
    },
    Kind {
        group: "autoscaling",
        version: "v2",
        plural: "horizontalpodautoscalers",
        singular: "horizontalpodautoscaler",
        kind: "HorizontalPodAutoscaler",
        short: &["hpa"],
        ..BASE
    },
    Kind {
        group: "policy",
        plural: "poddisruptionbudgets",
        singular: "poddisruptionbudget",
        kind: "PodDisruptionBudget",
        short: &["pdb"],
        generation: Generation::Spec,
        ..BASE
    },
    Kind {
        plural: "deployments",
        singular: "deployment",
        kind: "Deployment",
        short: &["deploy"],
        generation: Generation::SpecOrAnnotations,
        ..APPS
    },
    Kind { plural: "replicasets", singular: "replicaset", kind: "ReplicaSet", short: &["rs"], ..APPS },
    Kind { plural: "statefulsets", singular: "statefulset", kind: "StatefulSet", short: &["sts"], ..APPS },
    Kind {
        group: "coordination.k8s.io",
        plural: "leases",
        singular: "lease",
        kind: "Lease",
        status: false,
        create_on_update: true,
        ..BASE
    },
    Kind {
        group: "discovery.k8s.io",
        plural: "endpointslices",
        singular: "endpointslice",
        kind: "EndpointSlice",
        generation: Generation::Content,
        status: false,
        ..BASE
    },
    Kind {
        plural: "virtualservices",
        singular: "virtualservice",
        kind: "VirtualService",
        short: &["vs"],
        ..ISTIO
    },
    Kind {
        plural: "destinationrules",
        singular: "destinationrule",
        kind: "DestinationRule",
        short: &["dr"],
        ..ISTIO
    },
    Kind { plural: "gateways", singular: "gateway", kind: "Gateway", short: &["gw"], ..ISTIO },
    Kind {
        plural: "serviceentries",
        singular: "serviceentry",
        kind: "ServiceEntry",
        short: &["se"],
        ..ISTIO
    },
    Kind { plural: "sidecars", singular: "sidecar", kind: "Sidecar", ..ISTIO },
];

/// Istio's kinds as older releases (before 1.22) and some managed meshes serve them.
pub static OLDER_ISTIO: [[Kind; 3]; 2] = [istio("v1beta1"), istio("v1alpha3")];

const fn istio(version: &'static str) -> [Kind; 3] {
    [
        Kind {
            version,
            plural: "virtualservices",
            singular: "virtualservice",
            kind: "VirtualService",
            short: &["vs"],
            ..ISTIO
        },
        Kind {
            version,
            plural: "destinationrules",
            singular: "destinationrule",
            kind: "DestinationRule",
            short: &["dr"],
            ..ISTIO
        },
        Kind { version, plural: "gateways", singular: "gateway", kind: "Gateway", short: &["gw"], ..ISTIO },
    ]
}

impl Kind {
    /// `v1` or `group/version`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The resource as error messages name it: `services`, `virtualservices.networking.istio.io`.
    pub fn resource(&self) -> String {
        qualified(self.plural, self.group)
    }

    /// The kind as error messages name it: `Service`, `VirtualService.networking.istio.io`.
    pub fn kind_and_group(&self) -> String {
        qualified(self.kind, self.group)
    }

    /// Where an object of this kind is kept; the order of these keys is the order of lists, as in etcd.
    pub fn key(&self, namespace: &str, name: &str) -> Box<str> {
        if self.namespaced { format!("{namespace}/{name}").into() } else { name.into() }
    }
}

fn qualified(word: &str, group: &str) -> String {
    if group.is_empty() { word.to_owned() } else { format!("{word}.{group}") }
}
