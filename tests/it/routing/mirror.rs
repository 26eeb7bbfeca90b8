//! The mirror of the default route.

use serde_json::{Value, json};
use sluice::domain::ids::Kind;
use sluice::domain::refusal::Severity;

use super::support::{SUBSETS, World, codes, mirror, outcome, route, three, usual, vs};

fn with(fields: &str) -> World {
    three()
        .with(SUBSETS)
        .with(&vs(&format!("  http:\n  - timeout: 3s\n{fields}    route:\n{}", route("v1:100"))))
}

/// The mirror as it is read: `v2 10`.
fn shown(world: &World) -> String {
    world.read().mirror.map_or("-".to_owned(), |mirror| {
        format!("{} {}", mirror.version().map_or("?".to_owned(), ToString::to_string), mirror.percent)
    })
}

#[test]
fn every_form_is_read() {
    for (fields, expected) in [
        ("", "-"),
        ("    mirror: {host: reviews, subset: v2}\n", "v2 100"),
        ("    mirror: {host: reviews, subset: v2}\n    mirrorPercentage: {value: 12.5}\n", "v2 12.5"),
        ("    mirror: {host: reviews, subset: v2}\n    mirrorPercentage: {}\n", "-"),
        ("    mirror: {host: reviews, subset: v2}\n    mirrorPercentage: {value: 0}\n", "-"),
        ("    mirror: {host: reviews, subset: v2}\n    mirrorPercent: 30\n", "v2 30"),
        ("    mirror: {host: reviews, subset: v2}\n    mirror_percent: 31\n", "v2 31"),
        (
            "    mirror: {host: reviews, subset: v2}\n    mirrorPercent: 30\n    mirrorPercentage: {value: 5}\n",
            "v2 5",
        ),
        ("    mirror: {host: reviews}\n", "? 100"),
        ("    mirror: {host: ratings, subset: v2}\n", "? 100"),
        ("    mirrors: [{destination: {host: reviews, subset: v3}, percentage: {value: 7}}]\n", "v3 7"),
        ("    mirrors: [{destination: {host: reviews, subset: v3}}]\n", "v3 100"),
        (
            "    mirrors: [{destination: {host: ratings}}, {destination: {host: reviews, subset: v3}, percentage: {value: 7}}]\n",
            "v3 7",
        ),
        ("    mirrors: []\n", "-"),
        // Istio cuts off what is less than a millionth.
        ("    mirror: {host: reviews, subset: v2}\n    mirrorPercentage: {value: 0.0001}\n", "v2 0.0001"),
        ("    mirror: {host: reviews, subset: v2}\n    mirrorPercentage: {value: 0.00009}\n", "-"),
        ("    mirror: {host: reviews, subset: v2}\n    mirrorPercentage: {value: 0.00019}\n", "v2 0.0001"),
        ("    mirrors: [{destination: {host: reviews, subset: v3}, percentage: {value: 0.00001}}]\n", "-"),
        ("    mirrors: [{destination: {host: reviews, subset: v3}, percentage: {value: 0}}]\n", "-"),
    ] {
        assert_eq!(shown(&with(fields)), expected, "{fields}");
    }
}

/// What a wish makes of a route: its mirror fields after it.
fn check(fields: &str, wish: Option<(&str, f64)>, expected: &Value) {
    let world = with(fields);
    let planned = world.plan(&mirror(wish)).expect("a plan");
    let after = world.after(&planned);
    assert!(after.plan(&mirror(wish)).expect("a plan").plan.is_empty(), "{fields} is not idempotent");
    let mut route = after.spec(Kind::VirtualService, "reviews")["http"][0].clone();
    let map = route.as_object_mut().expect("a route");
    assert_eq!(map.remove("timeout"), Some(json!("3s")));
    assert_eq!(map.remove("route").map(|route| route[0]["weight"].clone()), Some(json!(100)));
    assert_eq!(route, *expected, "{fields}");
    let expected = wish.map_or("-".to_owned(), |(version, percent)| format!("{version} {percent}"));
    assert_eq!(shown(&after), expected);
}

#[test]
fn it_is_set_in_the_form_that_is_there() {
    let single = |subset: &str| json!({"host": "reviews", "subset": subset});
    check("", Some(("v2", 10.0)), &json!({"mirror": single("v2"), "mirrorPercentage": {"value": 10}}));
    check("", Some(("v2", 100.0)), &json!({"mirror": single("v2"), "mirrorPercentage": {"value": 100}}));
    check("", Some(("v2", 0.5)), &json!({"mirror": single("v2"), "mirrorPercentage": {"value": 0.5}}));
    let v3 = "    mirror: {host: reviews, subset: v3, later: 1}\n";
    check(v3, Some(("v2", 100.0)), &json!({"mirror": {"host": "reviews", "subset": "v2", "later": 1}}));
    check(
        v3,
        Some(("v3", 20.0)),
        &json!({"mirror": {"host": "reviews", "subset": "v3", "later": 1}, "mirrorPercentage": {"value": 20}}),
    );
    let old = format!("{v3}    mirrorPercent: 30\n");
    check(
        &old,
        Some(("v3", 30.0)),
        &json!({"mirror": {"host": "reviews", "subset": "v3", "later": 1}, "mirrorPercent": 30}),
    );
    check(
        &old,
        Some(("v3", 20.0)),
        &json!({"mirror": {"host": "reviews", "subset": "v3", "later": 1}, "mirrorPercentage": {"value": 20}}),
    );
    let alias = format!("{v3}    mirror_percent: 30\n");
    check(
        &alias,
        Some(("v3", 20.0)),
        &json!({"mirror": {"host": "reviews", "subset": "v3", "later": 1}, "mirrorPercentage": {"value": 20}}),
    );
    let list = "    mirrors: [{destination: {host: ratings}}, {destination: {host: reviews, subset: v3}, percentage: {value: 7}, k: 1}]\n";
    check(
        list,
        Some(("v2", 9.0)),
        &json!({"mirrors": [
            {"destination": {"host": "ratings"}},
            {"destination": {"host": "reviews", "subset": "v2"}, "percentage": {"value": 9}, "k": 1},
        ]}),
    );
    let foreign = "    mirrors: [{destination: {host: ratings}}]\n";
    check(
        foreign,
        Some(("v2", 9.0)),
        &json!({"mirrors": [
            {"destination": {"host": "ratings"}},
            {"destination": {"host": "reviews", "subset": "v2"}, "percentage": {"value": 9}},
        ]}),
    );
}

#[test]
fn it_is_switched_off() {
    check("", None, &json!({}));
    check("    mirror: {host: reviews, subset: v3}\n    mirrorPercentage: {value: 3}\n", None, &json!({}));
    check("    mirror: {host: reviews, subset: v3}\n    mirror_percent: 3\n", None, &json!({}));
    check("    mirrors: [{destination: {host: reviews, subset: v3}}]\n", None, &json!({}));
    check("    mirror: {host: ratings}\n", None, &json!({}));
}

#[test]
fn bad_wishes_are_refused() {
    for (wish, code) in [
        (("v2", 0.0), "mirror_percent"),
        (("v2", -1.0), "mirror_percent"),
        (("v2", 100.5), "mirror_percent"),
        // Envoy has no such share.
        (("v2", 0.000_099), "mirror_percent"),
        (("v2", 0.000_15), "mirror_percent"),
        (("v2", f64::MIN_POSITIVE), "mirror_percent"),
        (("v2", 33.333_33), "mirror_percent"),
        (("v2", f64::NAN), "mirror_percent"),
        (("v2", f64::INFINITY), "mirror_percent"),
        (("v9", 10.0), "unknown_version"),
    ] {
        let refusal = usual().plan(&mirror(Some(wish))).expect_err("refused");
        assert_eq!(refusal.code.as_str(), code);
    }
    let tcp = three()
        .with(SUBSETS)
        .ports(&[(9000, sluice::domain::service::Protocol::Tcp)])
        .with(&vs(&format!("  tcp:\n  - route:\n{}", route("v1:100"))));
    assert_eq!(outcome(&tcp, &mirror(Some(("v2", 10.0)))), "refused no_http");
}

#[test]
fn copies_are_real_writes_and_need_pods() {
    let planned = usual().plan(&mirror(Some(("v2", 10.0)))).expect("a plan");
    assert_eq!(codes(&planned, Severity::Info), "callers mirror_writes");
    assert!(planned.effect.deltas().is_empty());
    let planned = usual().ready("v2", 0).plan(&mirror(Some(("v2", 10.0)))).expect("a plan");
    assert_eq!(codes(&planned, Severity::Block), "no_ready_pods");
    let planned = with("    mirror: {host: reviews, subset: v2}\n").plan(&mirror(None)).expect("a plan");
    assert_eq!(codes(&planned, Severity::Block), "");
}

#[test]
fn a_missing_subset_is_added_for_copies_too() {
    let world = three()
        .with(&SUBSETS.replace("  - {name: v3, labels: {version: v3}}\n", ""))
        .with(&vs(&format!("  http:\n  - route:\n{}", route("v1:100"))));
    let planned = world.plan(&mirror(Some(("v3", 10.0)))).expect("a plan");
    assert_eq!(planned.plan.stages().count(), 2);
    assert_eq!(shown(&world.after(&planned)), "v3 10");
    // Where nothing exists, a route is made for it.
    assert_eq!(shown(&three().after(&three().plan(&mirror(Some(("v3", 10.0)))).expect("a plan"))), "v3 10");
}

/// Istio's own arithmetic: `uint32(value * 10000)` of a million.
#[test]
fn every_share_that_envoy_can_have_is_written_so_that_envoy_has_it() {
    let written = |percent: f64| {
        let planned = usual().plan(&mirror(Some(("v2", percent)))).expect("a plan");
        let edit = planned.plan.edits().next().expect("an edit");
        let after = edit.after.clone().expect("an object");
        after.pointer("/spec/http/0/mirrorPercentage/value").and_then(serde_json::Value::as_f64).unwrap()
    };
    for millionths in (1..=40_u32).chain([2_999, 5_700, 8_200, 11_000, 290_001, 333_333, 999_999, 1_000_000])
    {
        let value = written(f64::from(millionths) / 10_000.0);
        #[expect(clippy::cast_possible_truncation, reason = "as Istio does")]
        #[expect(clippy::cast_sign_loss, reason = "above 0")]
        let envoy = (value * 10_000.0) as u32;
        assert_eq!(envoy, millionths, "{value}");
    }
}
