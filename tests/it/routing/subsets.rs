//! Which subset stands for a version, and where a missing one is added.

use serde_json::json;
use sluice::domain::ids::Kind;
use sluice::domain::refusal::Severity;

use sluice::domain::service::PodGroup;

use super::support::{ALL_V1, SUBSETS, World, codes, http, labels, outcome, reviews, set, three};

fn check(world: &World, command: &str, expected: &str) {
    assert_eq!(outcome(world, &set(command)), expected);
}

fn rule(subsets: &str) -> String {
    format!(
        "kind: DestinationRule\nmetadata: {{name: reviews}}\nspec:\n  host: reviews\n  subsets: [{subsets}]\n"
    )
}

#[test]
fn existing_names_are_used_whatever_they_are() {
    let named = rule("{name: stable, labels: {version: v1}}, {name: canary, labels: {version: v2}}");
    check(
        &three().with(&named).with(&http("stable:!")),
        "v1=90 v2=10",
        "http → reviews/stable:90 reviews/canary:10",
    );
    // The name that a route uses already comes first, then the version's own.
    let twice = rule(
        "{name: a, labels: {version: v2}}, {name: v2, labels: {version: v2}}, {name: v1, labels: {version: v1}}",
    );
    check(&three().with(&twice).with(&http("v1:!")), "v1=90 v2=10", "http → reviews/v1:90 reviews/v2:10");
    check(
        &three().with(&twice).with(&http("v1:100 a:0")),
        "v1=90 v2=10",
        "http → reviews/v1:90 reviews/a:10",
    );
    // A name that means another version is not trusted.
    let crossed = rule("{name: v1, labels: {version: v2}}, {name: v2, labels: {version: v1}}");
    check(&three().with(&crossed).with(&http("v2:!")), "v1=90 v2=10", "http → reviews/v2:90 reviews/v1:10");
}

#[test]
fn a_missing_subset_is_added_first() {
    let world = three().with(&rule("{name: v1, labels: {version: v1}, later: 1}")).with(ALL_V1);
    let planned = world.plan(&set("v1=90 v2=10")).expect("a plan");
    let kinds: Vec<Kind> = planned.plan.edits().map(|edit| edit.object.kind).collect();
    assert_eq!(kinds, [Kind::DestinationRule, Kind::VirtualService]);
    assert!(codes(&planned, Severity::Info).contains("adds_subset"));
    assert_eq!(
        world.after(&planned).spec(Kind::DestinationRule, "reviews")["subsets"],
        json!([
            {"name": "v1", "labels": {"version": "v1"}, "later": 1},
            {"name": "v2", "labels": {"version": "v2"}},
        ])
    );
    // A DestinationRule without subsets, or with `subsets: null`.
    for subsets in ["", "  subsets: null\n", "  subsets: []\n"] {
        let bare =
            format!("kind: DestinationRule\nmetadata: {{name: reviews}}\nspec:\n  host: reviews\n{subsets}");
        check(&three().with(&bare).with(&http("-:!")), "v1=100", "http → reviews/v1:100");
    }
}

#[test]
fn a_new_subset_takes_over_the_traffic_policy_of_the_version_that_serves() {
    let subsets = "{name: v1, labels: {version: v1}, trafficPolicy: {tls: {mode: DISABLE}, connectionPool: {http: {maxRetries: 1}}}}, \
        {name: v3, labels: {version: v3}, trafficPolicy: {tls: {mode: SIMPLE}}}";
    let added = |world: &World| {
        let planned = world.plan(&set("v1=90 v2=10")).expect("a plan");
        let copies = planned.checks.iter().find(|check| check.code.as_str() == "copies_policy").cloned();
        let spec = world.after(&planned).spec(Kind::DestinationRule, "reviews").clone();
        let list = spec["subsets"].as_array().unwrap().clone();
        (list.into_iter().find(|subset| subset["name"] == "v2").unwrap(), copies)
    };
    let (subset, copies) = added(&three().with(&rule(subsets)).with(ALL_V1));
    let policy = json!({"tls": {"mode": "DISABLE"}, "connectionPool": {"http": {"maxRetries": 1}}});
    assert_eq!(subset, json!({"name": "v2", "labels": {"version": "v2"}, "trafficPolicy": policy}));
    let copies = copies.expect("the plan names it");
    let said = |name: &str| copies.args.iter().find(|(known, _)| *known == name).unwrap().1.clone();
    assert_eq!((copies.severity, said("subset"), said("from")), (Severity::Info, "v2".into(), "v1".into()));
    assert!(said("list").contains("tls") && said("list").contains("connectionPool"), "{copies:?}");
    // What serves has none: neither has the new one, whatever a version without requests has.
    let bare = "{name: v1, labels: {version: v1}}, {name: v3, labels: {version: v3}, trafficPolicy: {tls: {mode: SIMPLE}}}";
    let (subset, copies) = added(&three().with(&rule(bare)).with(ALL_V1));
    assert_eq!((subset.get("trafficPolicy"), copies), (None, None));
}

#[test]
fn new_names_are_dns_labels_that_nobody_has() {
    let world = |version: &str| {
        reviews()
            .version("v1", 1)
            .version(version, 1)
            .with(&rule("{name: v1, labels: {version: v1}}"))
            .with(ALL_V1)
    };
    for (version, subset) in
        [("v1.16", "v1-16"), ("V2", "v2"), ("2026_01", "2026-01"), ("1.2.3-rc.1", "1-2-3-rc-1"), ("v1", "v1")]
    {
        if version != "v1" {
            check(
                &world(version),
                &format!("{version}=100"),
                &format!("http → reviews/v1:0 reviews/{subset}:100"),
            );
        }
    }
    // The name stands already, for pods that are gone.
    let stale = reviews()
        .version("v1", 1)
        .version("v2", 1)
        .with(&rule("{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2, zone: a}}"))
        .with(ALL_V1);
    check(&stale, "v2=100", "http → reviews/v1:0 reviews/v2-2:100");
    let long = "a".repeat(62) + ".b";
    let trimmed = "a".repeat(62);
    check(&world(&long), &format!("{long}=100"), &format!("http → reviews/v1:0 reviews/{trimmed}:100"));
}

#[test]
fn labels_of_a_subset_are_never_touched() {
    let world = three()
        .with(&rule("{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v9}}"))
        .with(ALL_V1);
    let planned = world.plan(&set("v2=100")).expect("a plan");
    let spec = world.after(&planned).spec(Kind::DestinationRule, "reviews");
    assert_eq!(spec["subsets"][1], json!({"name": "v2", "labels": {"version": "v9"}}));
    assert_eq!(spec["subsets"][2], json!({"name": "v2-2", "labels": {"version": "v2"}}));
}

/// A rule of every service in the namespace.
const WIDE: &str = "
kind: DestinationRule
metadata: {name: wide}
spec:
  host: '*.shop.svc.cluster.local'
  exportTo: ['*']
  trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}
  subsets:
  - {name: v1, labels: {version: v1}, later: 1}
  - {name: v2, labels: {version: v9}}
";

#[test]
fn a_rule_of_several_services_is_copied_and_never_written() {
    let world = three().with(WIDE).with(ALL_V1);
    let planned = world.plan(&set("v1=40 v3=60")).expect("a plan");
    let told: Vec<String> = planned.plan.edits().map(|edit| edit.object.to_string()).collect();
    assert_eq!(told, ["DestinationRule shop/reviews", "VirtualService shop/reviews"]);
    let info = codes(&planned, Severity::Info);
    assert!(info.contains("copies_rule") && info.contains("creates_objects"), "{info}");
    // Istio merges nothing of rules for two hosts: what callers had from the wide one, they keep.
    assert_eq!(
        world.after(&planned).spec(Kind::DestinationRule, "reviews"),
        json!({
            "host": "reviews.shop.svc.cluster.local",
            "exportTo": ["*"],
            "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}},
            "subsets": [
                {"name": "v1", "labels": {"version": "v1"}, "later": 1},
                {"name": "v2", "labels": {"version": "v9"}},
                {"name": "v2-2", "labels": {"version": "v2"}},
                {"name": "v3", "labels": {"version": "v3"}},
            ]
        })
    );
    check(&world, "v1=40 v3=60", "http → reviews/v1:40 reviews/v3:60");
    // Where the wide rule has what is needed, nothing is made.
    let planned = three().with(WIDE).with(ALL_V1).plan(&set("v1=100")).expect("a plan");
    assert!(planned.plan.edits().all(|edit| edit.object.kind == Kind::VirtualService));
}

#[test]
fn names_that_a_closer_rule_hides_are_free() {
    let own = "{name: v1, labels: {version: v1}}";
    let world = three().with(WIDE).with(&rule(own)).with(ALL_V1);
    check(&world, "v1=50 v2=50", "http → reviews/v1:50 reviews/v2:50");
}

#[test]
fn retiring_leaves_the_rules_of_several_services_alone() {
    let wide = WIDE.replace("version: v9", "version: v2");
    let world = three().with(&wide).with(&http("v1:100 v2:0"));
    let planned =
        world.plan(&sluice::domain::command::Command::Retire { version: "v2".into() }).expect("a plan");
    let told: Vec<String> = planned.plan.edits().map(|edit| edit.object.to_string()).collect();
    assert_eq!(told, ["VirtualService shop/reviews"]);
}

#[test]
fn a_rule_of_another_namespace_is_never_written() {
    // Its callers would have to be asked for the subset.
    let shadow = "
kind: DestinationRule
metadata: {name: mine, namespace: client}
spec:
  host: reviews.shop.svc.cluster.local
  subsets: [{name: v1, labels: {version: v1}}]
";
    let world = three().with(SUBSETS).with(shadow).with(ALL_V1);
    assert_eq!(
        outcome(&world, &set("v1=50 v2=50")),
        "blocked subset_hidden: http → reviews/v1:50 reviews/v2:50"
    );
    let planned = world.plan(&set("v1=50 v2=50")).expect("a plan");
    let hidden = planned.checks.iter().find(|check| check.code.as_str() == "subset_hidden").expect("a check");
    let args: Vec<String> = hidden.args.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(args, ["subset=v2", "v=v2", "namespace=client", "object=DestinationRule client/mine"]);
}

#[test]
fn a_rule_that_others_cannot_see_blocks_routes_that_they_can() {
    let narrow = SUBSETS.replace("host: reviews\n", "host: reviews\n  exportTo: [\".\"]\n");
    let world = three().with(&narrow).with(ALL_V1);
    assert_eq!(
        outcome(&world, &set("v1=50 v2=50")),
        "blocked subset_hidden: http → reviews/v1:50 reviews/v2:50"
    );
    // The way back to what is there already is open: v1 does not rise.
    let split = three().with(&narrow).with(&http("v1:50 v2:50"));
    assert_eq!(outcome(&split, &set("v1=50 v2=50")), "http → reviews/v1:50 reviews/v2:50");
    let gateway = ALL_V1.replace("http:", "gateways: [istio-system/gw]\n  http:");
    let world = three().with(&narrow).with(&gateway);
    assert_eq!(
        outcome(&world, &set("v1=50 v2=50")),
        "blocked subset_hidden: http → reviews/v1:50 reviews/v2:50"
    );
}

/// Versions of which each has admin pods and public pods.
fn by_role(names: &[&str]) -> World {
    let of = |name: &str, role: &str| format!("app=reviews,role={role},version={name}");
    names.iter().fold(reviews(), |world, name| {
        let mut world = world.pods(name, 1, 1, &of(name, "admin"), &format!("version={name}"));
        let version = world.snapshot.versions.last_mut().expect("a version");
        let public = labels(&of(name, "public")).into_iter().collect();
        version.pods.push(PodGroup { labels: public, ready: 1, total: 1 });
        (version.ready, version.total) = (2, 2);
        world
    })
}

#[test]
fn entries_for_different_parts_of_the_versions_do_not_say_which_part_a_further_version_is() {
    let subsets = rule(
        "{name: admin, labels: {role: admin, version: v1}}, {name: admin-2, labels: {role: admin, version: v2}}, \
         {name: public-2, labels: {role: public, version: v2}}, {name: public-3, labels: {role: public, version: v3}}",
    );
    let world = |entries: &str| by_role(&["v1", "v2", "v3"]).with(&subsets).with(&http(entries));
    check(&world("admin:50 public-2:50"), "v1=40 v2=30 v3=30", "refused mixed_subsets");
    // Of one part, a further version is the same part of it.
    let planned = world("admin:50 admin-2:50").plan(&set("v1=40 v2=30 v3=30")).expect("a plan");
    let after = world("admin:50 admin-2:50").after(&planned).spec(Kind::DestinationRule, "reviews");
    let made = after["subsets"].as_array().unwrap().last().unwrap();
    assert_eq!(made["labels"], json!({"role": "admin", "version": "v3"}), "{made}");
}
