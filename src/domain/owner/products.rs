//! The products that Sluice knows, by the marks that they leave on objects, and the tools of people that are no
//! writers of their own. Data only: a product is one row, and a test walks them all.

use super::Role;

/// A product that writes routing objects.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    pub tool: &'static str,
    pub role: Role,
    /// The key of its advice in the catalogues (`code.<code>.for_<advice>`).
    pub advice: &'static str,
    /// Kind and API group of its owner references; an empty kind = every kind of the group.
    pub owners: &'static [(&'static str, &'static str)],
    /// Labels and annotations.
    pub marks: &'static [Mark],
    /// Field managers; `*` at the end = any rest.
    pub managers: &'static [&'static str],
}

/// A label or annotation by which a product is known.
#[derive(Clone, Copy, Debug)]
pub enum Mark {
    /// Its value names the application.
    Key(&'static str),
    /// The part of its value before the first colon does.
    Tracking(&'static str),
    /// It is there, whatever its value; `*` at the end = any rest of the key.
    Present(&'static str),
    /// It has this value; another one may name the application.
    Value { key: &'static str, value: &'static str, name_in: &'static str },
}

use Mark::{Key, Present, Tracking, Value};
use Role::{Installs, MovesTraffic, Reverts};

/// Every known product.
pub const PRODUCTS: &[Product] = &[
    Product {
        tool: "Argo Rollouts",
        role: MovesTraffic,
        advice: "argo_rollouts",
        owners: &[("Rollout", "argoproj.io")],
        marks: &[Key("argo-rollouts.argoproj.io/managed-by-rollouts")],
        managers: &["rollouts-controller", "argo-rollouts*"],
    },
    Product {
        tool: "Flagger",
        role: MovesTraffic,
        advice: "flagger",
        owners: &[("Canary", "flagger.app")],
        marks: &[Value { key: "app.kubernetes.io/managed-by", value: "flagger", name_in: "" }],
        managers: &["flagger"],
    },
    Product {
        tool: "OpenKruise Rollouts",
        role: MovesTraffic,
        advice: "kruise",
        owners: &[("", "rollouts.kruise.io")],
        marks: &[Present("rollouts.kruise.io/*")],
        managers: &["kruise-rollout*"],
    },
    Product {
        tool: "Knative",
        role: MovesTraffic,
        advice: "knative",
        owners: &[("", "networking.internal.knative.dev"), ("", "serving.knative.dev")],
        marks: &[Key("serving.knative.dev/route"), Key("networking.internal.knative.dev/ingress")],
        managers: &["net-istio*", "knative*"],
    },
    Product {
        tool: "KServe",
        role: MovesTraffic,
        advice: "kserve",
        owners: &[("", "serving.kserve.io")],
        marks: &[Key("serving.kserve.io/inferenceservice")],
        managers: &["kserve*"],
    },
    Product {
        tool: "KubeSphere",
        role: MovesTraffic,
        advice: "kubesphere",
        owners: &[("", "servicemesh.kubesphere.io")],
        marks: &[Present("servicemesh.kubesphere.io/*")],
        managers: &["ks-controller-manager"],
    },
    Product {
        tool: "Argo CD",
        role: Reverts,
        advice: "argo_cd",
        owners: &[("Application", "argoproj.io")],
        marks: &[Tracking("argocd.argoproj.io/tracking-id"), Key("argocd.argoproj.io/instance")],
        managers: &["argocd-controller", "argocd-application-controller"],
    },
    Product {
        tool: "Flux",
        role: Reverts,
        advice: "flux",
        owners: &[("", "kustomize.toolkit.fluxcd.io"), ("", "helm.toolkit.fluxcd.io")],
        marks: &[Key("kustomize.toolkit.fluxcd.io/name"), Key("helm.toolkit.fluxcd.io/name")],
        managers: &["kustomize-controller", "helm-controller"],
    },
    Product {
        tool: "Fleet",
        role: Reverts,
        advice: "fleet",
        owners: &[("", "fleet.cattle.io")],
        marks: &[Key("objectset.rio.cattle.io/id")],
        managers: &["fleetagent", "fleet-agent"],
    },
    Product {
        tool: "Config Sync",
        role: Reverts,
        advice: "config_sync",
        owners: &[],
        marks: &[Value {
            key: "configmanagement.gke.io/managed",
            value: "enabled",
            name_in: "config.k8s.io/owning-inventory",
        }],
        managers: &["configsync"],
    },
    Product {
        tool: "Crossplane",
        role: Reverts,
        advice: "crossplane",
        owners: &[("", "kubernetes.crossplane.io"), ("", "apiextensions.crossplane.io")],
        marks: &[Key("crossplane.io/composite")],
        managers: &["crossplane*", "apiextensions.crossplane.io*", "provider-kubernetes*"],
    },
    Product {
        tool: "KubeVela",
        role: Reverts,
        advice: "kubevela",
        owners: &[("", "core.oam.dev")],
        marks: &[Key("app.oam.dev/name")],
        managers: &["kubevela", "vela-core"],
    },
    Product {
        tool: "Helm operator",
        role: Reverts,
        advice: "helm_operator",
        owners: &[],
        marks: &[],
        managers: &["helm-operator"],
    },
    Product {
        tool: "Helm",
        role: Installs,
        advice: "",
        owners: &[],
        marks: &[Value {
            key: "app.kubernetes.io/managed-by",
            value: "Helm",
            name_in: "meta.helm.sh/release-name",
        }],
        managers: &[],
    },
    Product {
        tool: "Terraform",
        role: Installs,
        advice: "",
        owners: &[],
        marks: &[],
        managers: &["Terraform", "HashiCorp"],
    },
    Product { tool: "Pulumi", role: Installs, advice: "", owners: &[], marks: &[], managers: &["pulumi*"] },
];

/// Field managers of tools that act when a person asks, and of Kubernetes itself; `*` at the end = any rest. Helm is
/// among them because its releases are known by their marks.
pub const TOOLS: &[&str] = &[
    "kubectl*",
    "oc",
    "oc-*",
    "istioctl*",
    "helm",
    "k9s",
    "lens",
    "lens*",
    "OpenLens*",
    "Headlamp*",
    "kiali",
    "kiali*",
    "dashboard*",
    "kubernetes-dashboard*",
    "rancher",
    // Browsers and consoles that pass their user agent on.
    "Mozilla",
    "curl",
    "node-fetch",
    // Itself.
    "sluice",
    // Kubernetes and Istio, which write status, finalizers and defaults.
    "kube-controller-manager",
    "kube-apiserver",
    "pilot-discovery",
    "istiod",
    "before-first-apply",
    // What the API server writes for a client without a name.
    "unknown",
    "",
];
