//! What is wrong with routing objects as they are.

use sluice::domain::refusal::Severity;
use sluice::domain::service::Shape;

use super::support::{ALL_V1, SUBSETS, World, codes, http, reviews, route, set, three, usual, vs};

/// Findings as `severity:code`, sorted by severity, gravest first.
fn check(world: &World, expected: &str) {
    let told: Vec<String> = world
        .read()
        .findings
        .iter()
        .map(|finding| format!("{}:{}", finding.severity.as_str(), finding.code.as_str()))
        .collect();
    assert_eq!(told.join(" "), expected);
}

#[test]
fn a_good_service_has_none() {
    check(&usual(), "");
    check(&three().with(SUBSETS).with(&http("v1:30 v2:70")), "");
}

#[test]
fn services_that_cannot_be_shifted_say_why() {
    check(&three(), "info:spread_by_pods");
    check(&reviews().version("v1", 1), "info:one_version info:spread_by_pods");
    check(&reviews(), "info:no_workloads info:spread_by_pods");
    let mut world = usual();
    world.snapshot.service.shape = Shape::Headless;
    check(&world, "block:headless");
    world.snapshot.service.shape = Shape::ExternalName;
    check(&world, "block:external_name");
    let mut world = three();
    world.snapshot.mesh.installed = false;
    check(&world, "block:no_istio info:spread_by_pods");
    let mut world = usual();
    world.snapshot.mesh.meshed_pods = 0;
    check(&world, "acknowledge:no_sidecar");
    world.snapshot.mesh.pods = 0;
    check(&world, "");
}

#[test]
fn what_no_proxy_can_follow_is_told() {
    let negative = http("v1:-5 v2:105");
    check(&three().with(SUBSETS).with(&negative), "block:negative_weight");
    let nowhere = ALL_V1.replace("host: reviews, ", "host: \"\", ");
    assert_ne!(nowhere, ALL_V1);
    check(&three().with(SUBSETS).with(&nowhere), "block:no_host");
}

#[test]
fn subsets_are_looked_at() {
    check(&three().with(SUBSETS).with(&http("v9:!")), "block:subset_missing");
    check(&three().with(SUBSETS).with(&http("v1:100 v9:0")), "info:subset_missing");
    check(&three().with(&http("v1:!")), "block:subset_missing");
    let gone = reviews().version("v1", 1).version("v2", 1).with(SUBSETS);
    check(&gone.clone().with(&http("v3:!")), "block:subset_empty");
    check(&gone.with(&http("v1:100 v3:0")), "");
    check(&usual().ready("v1", 0), "block:weight_without_pods");
    let mut nameless = usual().ready("v1", 0);
    nameless.snapshot.versions[0].lacks = Some("web".into());
    check(&nameless, "block:no_target_port");
    check(&usual().ready("v2", 0), "");
}

#[test]
fn a_destination_with_weight_and_without_a_ready_pod_is_found_whatever_it_names() {
    let whole = |entries: &str| three().with(SUBSETS).with(&http(entries));
    check(&whole("-:!").ready("v1", 0).ready("v2", 0), "");
    let none = whole("-:!").ready("v1", 0).ready("v2", 0).ready("v3", 0);
    check(&none, "block:weight_without_pods");
    let shared = SUBSETS.replace("{name: v3, labels: {version: v3}}", "{name: all, labels: {app: reviews}}");
    let several = |entries: &str| three().with(&shared).with(&http(entries));
    check(&several("all:!").ready("v1", 0).ready("v2", 0), "info:subset_of_several");
    let none = several("all:!").ready("v1", 0).ready("v2", 0).ready("v3", 0);
    check(&none, "block:weight_without_pods info:subset_of_several");
    // Nothing is sent there.
    check(&several("v1:100 all:0").ready("v2", 0).ready("v3", 0), "");
}

#[test]
fn subsets_hidden_from_some_clients_are_found() {
    let narrow = SUBSETS.replace("host: reviews\n", "host: reviews\n  exportTo: [\".\"]\n");
    check(&three().with(&narrow).with(ALL_V1), "block:subset_hidden");
    let private = ALL_V1.replace("hosts: [reviews]", "hosts: [reviews]\n  exportTo: [\".\"]");
    check(&three().with(&narrow).with(&private), "info:split_of_namespaces");
    let shadow = "
kind: DestinationRule
metadata: {name: mine, namespace: client}
spec:
  host: reviews.shop.svc.cluster.local
  subsets: [{name: v2, labels: {version: v2}}]
";
    check(&usual().with(shadow), "block:subset_hidden info:cross_namespace");
    let same = shadow.replace("name: v2, labels: {version: v2}", "name: v1, labels: {version: v1}");
    check(&usual().with(&same), "info:cross_namespace");
    let other = shadow.replace("name: v2,", "name: v1,");
    check(&usual().with(&other), "acknowledge:subset_differs info:cross_namespace");
    let selected = SUBSETS
        .replace("metadata: {name: reviews}", "metadata: {name: some}")
        .replace("host: reviews\n", "host: reviews\n  workloadSelector: {matchLabels: {app: web}}\n")
        .replace("name: v1,", "name: v8,");
    check(&usual().with(&selected), "block:subset_hidden");
}

#[test]
fn odd_sums_are_told() {
    check(&three().with(SUBSETS).with(&http("v1:3 v2:7")), "info:not_summing");
    check(&three().with(SUBSETS).with(&http("v1:0 v2:0")), "info:not_summing");
    check(&three().with(SUBSETS).with(&http("v1:7")), "");
}

#[test]
fn two_objects_for_one_host_are_a_conflict_for_the_same_clients_only() {
    let second = ALL_V1.replace("name: reviews", "name: second");
    check(&usual().with(&second), "block:host_conflict");
    let named = second.replace("hosts: [reviews]", "hosts: [reviews]\n  exportTo: [client]");
    check(&usual().with(&named), "info:split_without");
    let elsewhere = second
        .replace("{name: second}", "{name: second, namespace: client}")
        .replace("[reviews]", "[reviews.shop.svc.cluster.local]")
        .replace("host: reviews", "host: reviews.shop.svc.cluster.local");
    check(&usual().with(&elsewhere), "block:host_conflict info:cross_namespace");
    let private = elsewhere.replace("http:", "exportTo: [\".\"]\n  http:");
    check(&usual().with(&private), "info:cross_namespace info:split_without");
    let gateway = second.replace("http:", "gateways: [gw]\n  http:");
    check(&usual().with(&gateway), "");
    let wild = second.replace("[reviews]", "[\"*.shop.svc.cluster.local\"]");
    check(&usual().with(&wild), "");
}

#[test]
fn rules_that_never_match_are_told() {
    let list = |body: &str| three().with(SUBSETS).with(&vs(&format!("  http:\n{body}")));
    let rule = |value: &str| {
        format!("  - match: [{{headers: {{a: {{exact: {value}}}}}}}]\n    route:\n{}", route("v2:100"))
    };
    let all = format!("  - route:\n{}", route("v1:100"));
    check(&list(&format!("{}{}{all}", rule("x1"), rule("x2"))), "");
    check(&list(&format!("{}{}{all}", rule("x1"), rule("x1"))), "info:rule_shadowed");
    check(&list(&format!("{all}{}", rule("x1"))), "info:rule_never_matches");
    check(&list(&format!("{}{all}{all}", rule("x1"))), "info:rule_never_matches");
    check(&list(&rule("x1")), "acknowledge:no_default_route");
}

#[test]
fn other_writers_are_named() {
    let owned = |labels: &str| {
        three()
            .with(SUBSETS)
            .with(&ALL_V1.replace("{name: reviews}", &format!("{{name: reviews, {labels}}}")))
    };
    check(&owned("annotations: {argocd.argoproj.io/tracking-id: \"shop:x\"}"), "acknowledge:gitops");
    check(&owned("labels: {kustomize.toolkit.fluxcd.io/name: shop}"), "acknowledge:gitops");
    check(&owned("labels: {app.kubernetes.io/managed-by: Helm}"), "info:helm_managed");
    check(&owned("ownerReferences: [{kind: Canary, name: reviews}]"), "block:owned_by_controller");
    check(
        &owned("annotations: {argo-rollouts.argoproj.io/managed-by-rollouts: r}"),
        "block:owned_by_controller",
    );
    check(&owned("deletionTimestamp: \"2026-01-01T00:00:00Z\""), "block:object_deleting");
    check(&owned("labels: {app.kubernetes.io/managed-by: somebody}"), "");
}

#[test]
fn delegates_that_do_not_work_are_told() {
    let root = vs("  http:\n  - delegate: {name: rest}\n");
    check(&three().with(SUBSETS).with(&root), "block:delegate_missing acknowledge:no_default_route");
    let hosted = "kind: VirtualService\nmetadata: {name: rest}\nspec:\n  hosts: [x.example.com]\n  http: [{route: [{destination: {host: ratings}}]}]\n";
    check(
        &three().with(SUBSETS).with(&root).with(hosted),
        "block:delegate_invalid acknowledge:no_default_route",
    );
}

#[test]
fn shapes_that_cannot_be_read_are_told() {
    let broken = ALL_V1.replace("hosts: [reviews]", "hosts: 7");
    check(&three().with(SUBSETS).with(&broken), "block:malformed_object info:spread_by_pods");
    let broken = SUBSETS.replace("host: reviews", "host: [a]");
    check(&three().with(&broken), "block:malformed_object info:spread_by_pods");
}

#[test]
fn a_change_says_for_whom_the_subsets_hold_other_pods() {
    let turned = "
kind: DestinationRule
metadata: {name: mine, namespace: client}
spec:
  host: reviews.shop.svc.cluster.local
  subsets: [{name: v1, labels: {version: v2}}, {name: v2, labels: {version: v1}}]
";
    let planned = usual().with(turned).plan(&set("v1=90 v2=10")).unwrap();
    assert_eq!(codes(&planned, Severity::Acknowledge), "subset_differs");
}
