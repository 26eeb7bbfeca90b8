//! The fingerprint changes when what is declared about the service changes, and only then.

use sluice::domain::command::Command;

use super::support::{ALL_V1, SUBSETS, World, mirror, set, take_over, three, usual};

fn same(a: &World, b: &World) -> bool {
    a.read().fingerprint == b.read().fingerprint
}

const EDGE: &str = "
kind: VirtualService
metadata: {name: edge}
spec:
  hosts: [shop.example.com]
  gateways: [gw]
  http:
  - match: [{uri: {prefix: /reviews}}]
    route:
    - {destination: {host: reviews, subset: v1}}
  - match: [{uri: {prefix: /ratings}}]
    route:
    - {destination: {host: ratings, subset: v1}}
";

#[test]
fn it_sees_what_decides_about_traffic() {
    let base = || usual().with(EDGE);
    let differs = |world: &World, what: &str| assert!(!same(&base(), world), "{what}");
    assert!(same(&base(), &base()));
    let own = |from: &str, to: &str| three().with(SUBSETS).with(&ALL_V1.replace(from, to)).with(EDGE);
    differs(&own("subset: v1", "subset: v2"), "subset");
    differs(&own("hosts: [reviews]", "hosts: [reviews, other]"), "hosts");
    differs(&own("http:", "exportTo: [\".\"]\n  http:"), "exportTo");
    differs(&own("http:", "gateways: [mesh, gw]\n  http:"), "gateways");
    differs(&own("- route", "- match: [{uri: {prefix: /}}]\n    route"), "match");
    differs(&own("- route", "- mirror: {host: reviews, subset: v2}\n    route"), "mirror");
    differs(&three().with(&SUBSETS.replace("version: v3", "version: v4")).with(ALL_V1).with(EDGE), "labels");
    differs(&three().with(&SUBSETS.replace("host:", "exportTo: [a]\n  host:")).with(ALL_V1).with(EDGE), "DR");
    differs(&usual().with(&EDGE.replace("host: reviews, subset: v1", "host: reviews, subset: v2")), "edge");
    differs(&usual(), "an object less");
}

#[test]
fn it_does_not_see_what_does_not() {
    let base = || usual().with(EDGE);
    let alike = |world: &World, what: &str| assert!(same(&base(), world), "{what}");
    alike(&base().ready("v1", 0), "pods");
    let own = |from: &str, to: &str| three().with(SUBSETS).with(&ALL_V1.replace(from, to)).with(EDGE);
    alike(
        &own("{name: reviews}", "{name: reviews, annotations: {a: b}, resourceVersion: \"9\"}"),
        "metadata",
    );
    alike(&own("spec:", "status: {validationMessages: []}\nspec:"), "status");
    alike(&own("- route", "- timeout: 3s\n    route"), "a field that does not route");
    alike(&own("http:", "later: {a: 1}\n  http:"), "unknown fields");
    alike(
        &usual().with(&EDGE.replace("host: ratings, subset: v1", "host: ratings, subset: v2")),
        "others' routes",
    );
    alike(&three().with(EDGE).with(ALL_V1).with(SUBSETS), "order");
    let other = "kind: DestinationRule\nmetadata: {name: o}\nspec: {host: ratings}";
    alike(&base().with(other), "objects of others");
}

#[test]
fn it_needs_no_json() {
    let mut cached = usual().with(EDGE);
    for held in &mut cached.snapshot.virtual_services {
        held.json = None;
    }
    for held in &mut cached.snapshot.destination_rules {
        held.json = None;
    }
    assert!(same(&cached, &usual().with(EDGE)));
    assert_eq!(three().read().fingerprint, "");
}

/// A rule of every service in the namespace.
fn wide(spec: &str) -> String {
    format!(
        "kind: DestinationRule\nmetadata: {{name: wide}}\nspec:\n  host: '*.shop.svc.cluster.local'\n{spec}"
    )
}

#[test]
fn a_rule_of_several_services_counts_where_it_decides() {
    let of = |labels: &str, more: &str| {
        wide(&format!(
            "  subsets: [{{name: v1, labels: {{{labels}}}}}, {{name: v2, labels: {{version: v2}}}}{more}]\n"
        ))
    };
    let now = of("version: v1", "");
    let another = of("version: v1", ", {name: v1-0-b, labels: {version: V1.0_b}}");
    let moved = of("version: v3", "");
    // A closer rule wins: nothing of the wide one counts, not even that it is there.
    let base = usual().with(&now);
    for (other, what) in [(&another, "a subset more"), (&moved, "other labels")] {
        assert!(same(&base, &usual().with(other)), "{what}");
    }
    assert!(same(&base, &usual()), "no wide rule");
    // Without one, what the routes name counts.
    let base = three().with(&now).with(ALL_V1);
    assert!(same(&base, &three().with(&another).with(ALL_V1)), "a subset of another service");
    assert!(!same(&base, &three().with(&moved).with(ALL_V1)), "the labels of a subset in use");
    assert!(!same(&base, &three().with(ALL_V1)), "the rule is gone");
    let private = now.replace("  subsets", "  exportTo: [\".\"]\n  subsets");
    assert!(!same(&base, &three().with(&private).with(ALL_V1)), "others do not see it");
    // Where no route names a subset, no rule decides anything.
    assert_eq!(three().with(&now).read().fingerprint, "");
    assert_eq!(three().with(&wide("  trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}\n")).read().fingerprint, "");
}

#[test]
fn a_rule_of_callers_elsewhere_counts_for_them() {
    let elsewhere = |labels: &str| {
        format!(
            "kind: DestinationRule\nmetadata: {{name: mine, namespace: client}}\nspec:\n  \
             host: reviews.shop.svc.cluster.local\n  subsets: [{{name: v1, labels: {{{labels}}}}}]\n"
        )
    };
    let base = usual().with(&elsewhere("version: v1"));
    assert!(!same(&base, &usual()));
    assert!(!same(&base, &usual().with(&elsewhere("version: v2"))));
}

/// What a plan says of the time after it is what a reading of the objects as written says.
#[test]
fn a_plan_knows_what_stands_after_it() {
    use sluice::routing::{applied, read, saved, saved_after};
    let ruled = usual().with(EDGE);
    let before = three();
    let made = before.after(&before.plan(&set("v1=90 v2=10")).expect("a plan"));
    let back =
        Command::SwitchBack { revision: 1, specs: saved(&before.snapshot), weights: None, added: Vec::new() };
    for (world, command) in [
        (&ruled, set("v1=30 v2=70")),
        (&ruled, take_over("v3")),
        (&ruled, mirror(Some(("v2", 10.0)))),
        (&ruled, Command::Retire { version: "v3".into() }),
        (&before, set("v1=90 v2=10")),
        (&made, back),
    ] {
        let planned = world.plan(&command).expect("a plan");
        assert!(!planned.plan.is_empty(), "{command:?}");
        let after = applied(&world.snapshot, &planned.plan);
        let seen = read(&after);
        assert_eq!(planned.after.fingerprint, seen.fingerprint, "{command:?}");
        assert_eq!(planned.after.objects, seen.objects, "{command:?}");
        let specs = saved_after(&world.snapshot, &planned.plan, &planned.after.objects);
        assert_eq!(specs, saved(&after), "{command:?}");
    }
}
