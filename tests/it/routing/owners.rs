//! Who else writes an object: each mark, who it is, how grave that is, and what to do.

use serde_json::{Value, json};
use sluice::domain::owner::{Marks, PRODUCTS, Role, TOOLS, Writers};
use sluice::domain::refusal::{Check, Severity};
use sluice::views::lang::Lang;
use sluice::views::text;

use super::support::{SUBSETS, World, set, three};

/// The service with a VirtualService that carries this metadata.
fn world(meta: &Value) -> World {
    let mut object = json!({"kind": "VirtualService", "metadata": {"name": "reviews"},
        "spec": {"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews", "subset": "v1"}}]}]}});
    for (key, value) in meta.as_object().expect("metadata") {
        object["metadata"][key] = value.clone();
    }
    three().with(SUBSETS).with(&object.to_string())
}

fn about_writers(checks: &[Check]) -> Vec<&Check> {
    let codes = ["owned_by_controller", "gitops", "other_writer", "helm_managed"];
    checks.iter().filter(|check| codes.contains(&check.code.as_str())).collect()
}

/// The mark gives this finding, as `severity code tool/name`, and a change of the object says the same; what to do
/// contains `advice`.
#[track_caller]
fn check(meta: &Value, expected: &str, advice: &str) {
    let world = world(meta);
    let findings = world.read().findings;
    let found = about_writers(&findings);
    let of = |check: &Check, name: &str| {
        check.args.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let told = found.first().map_or_else(String::new, |found| {
        let (severity, code) = (found.severity.as_str(), found.code.as_str());
        format!("{severity} {code} {}/{}", of(found, "tool"), of(found, "name"))
    });
    assert_eq!(told, expected, "{meta}");
    let planned = world.plan(&set("v1=90 v2=10")).expect("a plan");
    let checks = about_writers(&planned.checks);
    assert_eq!(checks.first().map(|check| check.code), found.first().map(|check| check.code), "{meta}");
    for check in checks.into_iter().chain(found) {
        let next = text::check(Lang::En, check).next.map(String::from).unwrap_or_default();
        assert!(next.contains(advice), "{meta}: {next}");
        assert!(!next.contains("%{"), "{meta}: {next}");
        assert_eq!(text::check(Lang::Zh, check).next.is_some(), check.severity > Severity::Info, "{meta}");
    }
}

fn by(manager: &str) -> Value {
    json!({"managedFields": [{"manager": manager, "fieldsV1": {"f:spec": {}}}]})
}

fn owner(api_version: &str, kind: &str) -> Value {
    json!({"ownerReferences": [{"apiVersion": api_version, "kind": kind, "name": "x", "controller": true}]})
}

fn note(key: &str, value: &str) -> Value {
    json!({"annotations": {key: value}})
}

fn label(key: &str, value: &str) -> Value {
    json!({"labels": {key: value}})
}

#[test]
fn controllers_that_move_traffic_block() {
    let blocks = |meta: &Value, who: &str, advice: &str| {
        check(meta, &format!("block owned_by_controller {who}"), advice);
    };
    // Host-level Rollouts leave nothing but their field manager.
    blocks(
        &by("rollouts-controller"),
        "Argo Rollouts/rollouts-controller",
        "kubectl argo rollouts set weight",
    );
    blocks(&owner("argoproj.io/v1alpha1", "Rollout"), "Argo Rollouts/x", "trafficRouting");
    blocks(
        &note("argo-rollouts.argoproj.io/managed-by-rollouts", "shop"),
        "Argo Rollouts/shop",
        "trafficRouting",
    );
    blocks(&owner("flagger.app/v1beta1", "Canary"), "Flagger/x", "spec.suspend: true");
    blocks(&by("flagger"), "Flagger/flagger", "spec.suspend: true");
    blocks(&label("app.kubernetes.io/managed-by", "flagger"), "Flagger/flagger", "spec.suspend: true");
    // Knative's VirtualService has only its owner.
    blocks(&owner("networking.internal.knative.dev/v1alpha1", "Ingress"), "Knative/x", "spec.traffic");
    blocks(&label("serving.knative.dev/route", "hello"), "Knative/hello", "spec.traffic");
    let kruise = "rollouts.kruise.io/original-spec-configuration";
    blocks(&note(kruise, "{}"), &format!("OpenKruise Rollouts/{kruise}"), "Rollout");
    blocks(&owner("rollouts.kruise.io/v1beta1", "Rollout"), "OpenKruise Rollouts/x", "Rollout");
    blocks(&owner("serving.kserve.io/v1beta1", "InferenceService"), "KServe/x", "canaryTrafficPercent");
    blocks(&owner("servicemesh.kubesphere.io/v1alpha2", "Strategy"), "KubeSphere/x", "KubeSphere");
    blocks(
        &note("servicemesh.kubesphere.io/enabled", "true"),
        "KubeSphere/servicemesh.kubesphere.io/enabled",
        "KubeSphere",
    );
}

#[test]
fn what_puts_back_its_own_values_is_acknowledged_with_its_exemption() {
    let asks =
        |meta: &Value, who: &str, advice: &str| check(meta, &format!("acknowledge gitops {who}"), advice);
    let argo = "group networking.istio.io, kind VirtualService, namespace shop, name reviews, jsonPointers /spec/http";
    asks(&note("argocd.argoproj.io/tracking-id", "shop:x/y"), "Argo CD/shop", argo);
    asks(&note("argocd.argoproj.io/instance", "shop"), "Argo CD/shop", "RespectIgnoreDifferences=true");
    asks(&by("argocd-controller"), "Argo CD/argocd-controller", "spec.ignoreDifferences");
    asks(&label("kustomize.toolkit.fluxcd.io/name", "apps"), "Flux/apps", "ssa: IfNotPresent");
    asks(&by("kustomize-controller"), "Flux/kustomize-controller", "ssa: IfNotPresent");
    asks(&by("helm-controller"), "Flux/helm-controller", "driftDetection.ignore");
    asks(&note("objectset.rio.cattle.io/id", "fleet-x"), "Fleet/fleet-x", "diff.comparePatches");
    asks(
        &note("configmanagement.gke.io/managed", "enabled"),
        "Config Sync/enabled",
        "client.lifecycle.config.k8s.io/mutation: ignore",
    );
    asks(&label("crossplane.io/composite", "x"), "Crossplane/x", "crossplane.io/paused");
    asks(&by("crossplane-kubernetes-provider"), "Crossplane/crossplane-kubernetes-provider", "composition");
    asks(&label("app.oam.dev/name", "shop"), "KubeVela/shop", "apply-once");
    asks(&by("helm-operator"), "Helm operator/helm-operator", "custom resource");
}

#[test]
fn a_controller_that_nobody_named_is_a_warning() {
    let asks = |meta: &Value, who: &str| check(meta, &format!("acknowledge other_writer {who}"), "--tools");
    asks(&owner("example.com/v1", "App"), "App.example.com/x");
    asks(&by("edge-operator"), "edge-operator/edge-operator");
    // Only what manages the object, and only who writes the spec.
    let loose = json!({"ownerReferences": [{"apiVersion": "example.com/v1", "kind": "App", "name": "x"}]});
    check(&loose, "", "");
    check(&label("app.kubernetes.io/managed-by", "edge-operator"), "", "");
}

#[test]
fn peoples_tools_are_no_writers_of_their_own() {
    for tool in ["kubectl-edit", "kubectl-client-side-apply", "k9s", "Lens", "OpenLens", "Headlamp", "sluice"]
    {
        check(&by(tool), "", "");
    }
    for tool in TOOLS {
        check(&by(tool.trim_end_matches('*')), "", "");
    }
    check(&by("helm"), "", "");
    let chart = json!({"labels": {"app.kubernetes.io/managed-by": "Helm"},
        "annotations": {"meta.helm.sh/release-name": "shop"}});
    check(&chart, "info helm_managed Helm/shop", "");
    check(&by("Terraform"), "info helm_managed Terraform/Terraform", "");
}

#[test]
fn the_gravest_mark_counts() {
    let mut both = by("rollouts-controller");
    both["annotations"] = json!({"argocd.argoproj.io/tracking-id": "shop:x"});
    check(&both, "block owned_by_controller Argo Rollouts/rollouts-controller", "");
    let mut both = owner("example.com/v1", "App");
    both["annotations"] = json!({"argocd.argoproj.io/tracking-id": "shop:x"});
    check(&both, "acknowledge gitops Argo CD/shop", "");
}

#[test]
fn every_product_is_found_by_each_of_its_field_managers_and_has_advice() {
    for product in PRODUCTS {
        for manager in product.managers {
            let code = match product.role {
                Role::MovesTraffic => "block owned_by_controller",
                Role::Reverts => "acknowledge gitops",
                Role::Installs => "info helm_managed",
                Role::Unknown => unreachable!("no product is unknown"),
            };
            let name = manager.trim_end_matches('*');
            check(&by(name), &format!("{code} {}/{name}", product.tool), "");
        }
        assert!(!product.managers.is_empty() || !product.marks.is_empty(), "{}", product.tool);
        for lang in [Lang::En, Lang::Zh] {
            let code = match product.role {
                Role::MovesTraffic => "owned_by_controller",
                _ => "gitops",
            };
            let key = format!("code.{code}.for_{}", product.advice);
            assert!(product.advice.is_empty() || lang.knows(&key), "{key}");
        }
    }
}

#[test]
fn an_installation_names_its_own_writers() {
    let nothing = std::collections::BTreeMap::new();
    let writers = Writers {
        controllers: vec!["edge-*".to_owned(), "App.example.com".to_owned()],
        tools: vec!["portal".to_owned(), "rollouts-controller".to_owned()],
    };
    let of = |managers: &[&str]| {
        let marks = Marks { labels: &nothing, annotations: &nothing, owners: &[], managers };
        writers.owner_of(&marks).map(|owner| (owner.role, owner.name.to_string()))
    };
    assert_eq!(of(&["edge-operator"]), Some((Role::MovesTraffic, "edge-operator".to_owned())));
    assert_eq!(of(&["portal"]), None);
    // What an installation says of a known name counts.
    assert_eq!(of(&["rollouts-controller"]), None);
    assert_eq!(of(&["portal", "other"]), Some((Role::Unknown, "other".to_owned())));
}
