//! What stands in a plan's way, what must be acknowledged, what is good to know.

use sluice::domain::command::Command;
use sluice::domain::observed::{Observed, VersionTraffic};
use sluice::domain::refusal::{Refusal, Severity};
use sluice::domain::service::Shape;
use sluice::routing::{Policy, checks};

use super::support::{
    ALL_V1, SUBSETS, World, codes, http, mirror, reviews, route, set, stamp, take_over, three, usual, vs,
};

fn check(world: &World, command: &Command, severity: Severity, expected: &str) {
    let planned = world.plan(command).expect("a plan");
    assert_eq!(codes(&planned, severity), expected, "{command:?}");
}

fn blocks(world: &World, command: &str, expected: &str) {
    check(world, &set(command), Severity::Block, expected);
}

fn asks(world: &World, command: &str, expected: &str) {
    check(world, &set(command), Severity::Acknowledge, expected);
}

fn tells(world: &World, command: &str, expected: &str) {
    check(world, &set(command), Severity::Info, expected);
}

fn with(entries: &str) -> World {
    three().with(SUBSETS).with(&http(entries))
}

/// The arguments of a check, as `name=value`.
fn args(world: &World, command: &Command, code: &str) -> String {
    let planned = world.plan(command).expect("a plan");
    let found = planned.checks.iter().find(|check| check.code.as_str() == code).expect(code);
    found.args.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn nothing_rises_without_pods() {
    blocks(&usual(), "v1=90 v2=10", "");
    blocks(&usual().ready("v2", 0), "v1=90 v2=10", "no_ready_pods");
    blocks(&usual().ready("v2", 0).ready("v3", 0), "v1=80 v2=10 v3=10", "no_ready_pods no_ready_pods");
    // Going down is always allowed, and staying is not rising.
    blocks(&with("v1:50 v2:50").ready("v1", 0), "v1=10 v2=90", "");
    blocks(&with("v1:50 v2:50").ready("v1", 0), "v1=50 v2=40 v3=10", "");
    blocks(&with("v1:50 v2:50").ready("v1", 0), "v1=51 v2=49", "no_ready_pods");
    blocks(&with("-:!").ready("v1", 0), "v1=10 v2=90", "no_ready_pods");
    blocks(&three().with(SUBSETS).ready("v1", 0), "v1=10 v2=90", "no_ready_pods");
    check(&usual().ready("v2", 0), &mirror(Some(("v2", 1.0))), Severity::Block, "no_ready_pods");
    assert_eq!(args(&usual().ready("v2", 0), &set("v2=100"), "no_ready_pods"), "v=v2 n=2 cause=");
    let mut nameless = usual().ready("v2", 0);
    nameless
        .snapshot
        .versions
        .iter_mut()
        .filter(|one| one.name.as_str() == "v2")
        .for_each(|one| one.lacks = Some("web".into()));
    blocks(&nameless, "v1=90 v2=10", "no_target_port");
    assert_eq!(args(&nameless, &set("v2=100"), "no_target_port"), "v=v2 port=web");
    check(&usual(), &set("v1=90 v2=10"), Severity::Ok, "subsets_exist pods_ready");
}

#[test]
fn a_subset_that_is_added_first_is_not_said_to_exist() {
    let said = |world: &World| {
        let planned = world.plan(&set("v1=90 v2=10")).expect("a plan");
        let has = |code: &str| planned.checks.iter().any(|check| check.code.as_str() == code);
        (has("adds_subset"), has("subsets_exist"))
    };
    assert_eq!(said(&usual()), (false, true));
    let one = SUBSETS.replace("  - {name: v2, labels: {version: v2}}\n", "");
    assert_eq!(said(&three().with(&one).with(ALL_V1)), (true, false));
}

#[test]
fn services_that_cannot_be_shifted_block() {
    let with = |shape: Shape| {
        let mut world = usual();
        world.snapshot.service.shape = shape;
        world
    };
    blocks(&with(Shape::Headless), "v2=100", "headless");
    blocks(&with(Shape::ExternalName), "v2=100", "external_name");
    let mut world = usual();
    world.snapshot.mesh.installed = false;
    blocks(&world, "v2=100", "no_istio");
}

#[test]
fn other_hands_on_the_lever() {
    let owned = |meta: &str| {
        three().with(SUBSETS).with(&ALL_V1.replace("{name: reviews}", &format!("{{name: reviews, {meta}}}")))
    };
    let rollout = owned("annotations: {argo-rollouts.argoproj.io/managed-by-rollouts: r}");
    blocks(&rollout, "v1=90 v2=10", "owned_by_controller");
    blocks(&owned("ownerReferences: [{kind: Canary, name: r}]"), "v1=90 v2=10", "owned_by_controller");
    blocks(&owned("deletionTimestamp: x"), "v1=90 v2=10", "object_deleting");
    let argo = owned("annotations: {argocd.argoproj.io/tracking-id: \"shop:x\"}");
    asks(&argo, "v1=90 v2=10", "gitops");
    assert_eq!(
        args(&argo, &set("v1=90 v2=10"), "gitops"),
        "tool=Argo CD name=shop object=VirtualService shop/reviews group=networking.istio.io kind=VirtualService namespace=shop object_name=reviews pointer=/spec/http advice=argo_cd"
    );
    asks(&owned("labels: {kustomize.toolkit.fluxcd.io/name: shop}"), "v1=90 v2=10", "gitops");
    tells(&owned("labels: {app.kubernetes.io/managed-by: Helm}"), "v1=90 v2=10", "helm_managed callers");
    // Only what is written matters.
    let rule = SUBSETS
        .replace("{name: reviews}", "{name: reviews, labels: {kustomize.toolkit.fluxcd.io/name: shop}}");
    asks(&three().with(&rule).with(ALL_V1), "v1=90 v2=10", "");
    let short = rule.replace("  - {name: v2, labels: {version: v2}}\n", "");
    asks(&three().with(&short).with(ALL_V1), "v1=90 v2=10", "gitops");
    check(&argo, &set("v1=100"), Severity::Acknowledge, "");
}

#[test]
fn conflicts_block() {
    let second = ALL_V1.replace("name: reviews", "name: second");
    blocks(&usual().with(&second), "v2=100", "host_conflict");
    assert_eq!(
        args(&usual().with(&second), &set("v2=100"), "host_conflict"),
        "object=VirtualService shop/reviews other=VirtualService shop/second host=reviews.shop.svc.cluster.local"
    );
    let broken = ALL_V1.replace("name: reviews", "name: broken").replace("http:", "http: 7\n  later:");
    blocks(&usual().with(&broken), "v2=100", "malformed_object");
}

#[test]
fn big_steps_are_acknowledged() {
    asks(&usual(), "v1=75 v2=25", "");
    asks(&usual(), "v1=74 v2=26", "big_jump");
    asks(&usual(), "v1=50 v2=25 v3=25", "");
    check(&usual(), &take_over("v2"), Severity::Acknowledge, "big_jump");
    assert_eq!(args(&usual(), &take_over("v2"), "big_jump"), "v=v2 a=0 b=100 n=25");
    // Where pods spread requests, their number is today's share.
    asks(&reviews().version("v1", 3).version("v2", 1), "v1=100", "");
    asks(&reviews().version("v1", 1).version("v2", 1), "v1=100", "big_jump few_pods");
    let policy = Policy { big_jump_points: 100, ..Policy::default() };
    let planned =
        sluice::routing::plan(&take_over("v2"), &usual().snapshot, &policy, &stamp()).expect("a plan");
    assert_eq!(codes(&planned, Severity::Acknowledge), "");
}

#[test]
fn few_pods_for_a_share_are_acknowledged() {
    let pods = |v1: u32, v2: u32| {
        reviews().version("v1", v1).version("v2", v2).with(SUBSETS).with(&http("v1:100 v2:0"))
    };
    asks(&pods(10, 1), "v1=90 v2=10", "");
    asks(&pods(10, 1), "v1=85 v2=15", "");
    asks(&pods(10, 1), "v1=84 v2=16", "few_pods");
    assert_eq!(args(&pods(10, 1), &set("v1=80 v2=20"), "few_pods"), "v=v2 n=1 x=20 w=v1 m=10 y=100");
    asks(&pods(1, 10), "v1=80 v2=20", "");
    asks(&pods(4, 1), "v1=75 v2=25", "");
    // A version is never compared with itself while another one has requests.
    let even = reviews().version("v1", 1).version("v2", 1).with(SUBSETS).with(&http("v1:50 v2:50"));
    assert_eq!(args(&even, &take_over("v2"), "few_pods"), "v=v2 n=1 x=100 w=v1 m=1 y=50");
}

#[test]
fn shared_objects_are_told() {
    let shared = usual().with("kind: DestinationRule\nmetadata: {name: x}\nspec: {host: ratings}");
    asks(&shared, "v1=90 v2=10", "");
    let both = ALL_V1.replace("[reviews]", "[reviews, ratings]");
    asks(&three().with(SUBSETS).with(&both), "v1=90 v2=10", "host_shared");
    let wild = ALL_V1.replace("[reviews]", "[\"*.shop.svc.cluster.local\"]");
    asks(&three().with(SUBSETS).with(&wild), "v1=90 v2=10", "host_shared");
    let outside = ALL_V1.replace("[reviews]", "[reviews, reviews.example.com]");
    asks(&three().with(SUBSETS).with(&outside), "v1=90 v2=10", "");
    let mut world = usual();
    world.snapshot.mesh.meshed_pods = 0;
    asks(&world, "v1=90 v2=10", "no_sidecar");
}

#[test]
fn callers_and_connections_are_told() {
    tells(&usual(), "v1=90 v2=10", "callers");
    assert_eq!(args(&usual(), &set("v1=90 v2=10"), "callers"), "who=mesh");
    let gateway = ALL_V1.replace("http:", "gateways: [mesh, istio-system/gw]\n  http:");
    assert_eq!(
        args(&three().with(SUBSETS).with(&gateway), &set("v1=90 v2=10"), "callers"),
        "who=mesh, istio-system/gw"
    );
    let only = ALL_V1.replace("http:", "gateways: [istio-system/gw]\n  http:");
    let only = three().with(SUBSETS).with(&only);
    assert_eq!(args(&only, &set("v1=90 v2=10"), "callers_gateway"), "who=istio-system/gw");
    let tcp = three()
        .with(SUBSETS)
        .ports(&[(9000, sluice::domain::service::Protocol::Tcp)])
        .with(&vs(&format!("  tcp:\n  - route:\n{}", route("v1:100"))));
    tells(&tcp, "v1=90 v2=10", "per_connection callers");
    let sticky = SUBSETS.replace(
        "host: reviews\n",
        "host: reviews\n  trafficPolicy: {loadBalancer: {consistentHash: {httpCookie: {name: u, ttl: 0s}}}}\n",
    );
    tells(&three().with(&sticky).with(ALL_V1), "v1=90 v2=10", "callers affinity");
}

#[test]
fn objects_that_the_api_server_would_not_take_block() {
    let fat = ALL_V1.replace("http:", &format!("note: {}\n  http:", "x".repeat(1_000_000)));
    blocks(&three().with(SUBSETS).with(&fat), "v2=100", "too_large");
    // What was invalid before is the dry run's to say.
    let odd = vs(&format!(
        "  http:\n  - match: [{{uri: {{prefix: \"\"}}}}]\n    route:\n{}  - route:\n{}",
        route("v1:100"),
        route("v1:100")
    ));
    blocks(&three().with(SUBSETS).with(&odd), "v2=100", "");
}

#[test]
fn blocks_come_first_and_refuse() {
    let world = usual().ready("v2", 0);
    let planned = world.plan(&take_over("v2")).expect("a plan");
    let order: Vec<Severity> = planned.checks.iter().map(|check| check.severity).collect();
    assert!(order.is_sorted_by(|a, b| a >= b), "{order:?}");
    let refusal = Refusal::of_checks(&planned.checks, &["big_jump".to_owned()]).expect("refused");
    assert_eq!(refusal.code.as_str(), "no_ready_pods");
    let planned = usual().plan(&take_over("v2")).expect("a plan");
    assert_eq!(Refusal::of_checks(&planned.checks, &[]).expect("refused").code.as_str(), "big_jump");
    assert_eq!(Refusal::of_checks(&planned.checks, &["big_jump".to_owned()]), None);
}

fn seen(versions: &[(&str, f64, f64)]) -> Observed {
    Observed {
        window_s: 60,
        at_ms: 0,
        versions: versions
            .iter()
            .map(|(name, requests, errors)| VersionTraffic {
                version: (*name).into(),
                requests: *requests,
                errors: *errors,
                p95_ms: None,
            })
            .collect(),
    }
}

/// Checks on metrics when v2 rises from 50 to 60 %.
fn metrics(observed: Option<&Observed>, down: Option<i64>, expected: &str) {
    let world = with("v1:50 v2:50");
    let command = set("v1=40 v2=60");
    let planned = world.plan(&command).expect("a plan");
    let found = checks::observe(&planned, &world.snapshot, observed, down, &command, &Policy::default());
    let told: Vec<String> =
        found.iter().map(|check| format!("{}:{}", check.severity.as_str(), check.code)).collect();
    assert_eq!(told.join(" "), expected);
}

#[test]
fn metrics_are_asked_about_what_rises() {
    metrics(None, None, "");
    metrics(None, Some(5), "acknowledge:no_metrics");
    metrics(Some(&seen(&[("v1", 100.0, 100.0), ("v2", 100.0, 0.0)])), None, "");
    metrics(Some(&seen(&[("v1", 100.0, 0.0), ("v2", 100.0, 2.0)])), None, "acknowledge:unhealthy");
    metrics(Some(&seen(&[("v1", 100.0, 0.0), ("v2", 100.0, 1.0)])), None, "");
    metrics(Some(&seen(&[("v1", 100.0, 0.0), ("v2", 10.0, 10.0)])), None, "");
    metrics(Some(&seen(&[("v1", 100.0, 0.0)])), None, "info:no_baseline");
    metrics(Some(&seen(&[])), None, "info:no_baseline");
    metrics(Some(&seen(&[("v2", 100.0, 0.0)])), Some(5), "");
    let world = with("v1:0 v2:100");
    let back = Command::SwitchBack {
        revision: 1,
        specs: sluice::routing::saved(&with("v1:100 v2:0").snapshot),
        weights: None,
        added: Vec::new(),
    };
    let planned = world.plan(&back).expect("a plan");
    let found = checks::observe(
        &planned,
        &world.snapshot,
        Some(&seen(&[("v1", 100.0, 50.0)])),
        None,
        &back,
        &Policy::default(),
    );
    assert_eq!(found[0].severity, Severity::Info, "the way back is not delayed");
}
