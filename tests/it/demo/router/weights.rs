//! The draw among destinations.

use serde_json::{Value, json};

use super::support::{ask, assert_share, counts, only, shop, to, vs, web};

#[test]
fn the_share_is_the_weight_among_all_weights() {
    let tables: &[(Value, &[(&str, f64)])] = &[
        (json!([to("v1", 30), to("v2", 70)]), &[("v1", 0.3), ("v2", 0.7)]),
        (json!([to("v1", 1), to("v2", 1), to("v3", 2)]), &[("v1", 0.25), ("v2", 0.25), ("v3", 0.5)]),
        (json!([to("v1", 0), to("v2", 100)]), &[("v2", 1.0)]),
        // Absent = 0 beside others.
        (json!([{ "destination": { "host": "web", "subset": "v1" } }, to("v2", 1)]), &[("v2", 1.0)]),
        // One alone gets everything, whatever is written.
        (json!([to("v1", 0)]), &[("v1", 1.0)]),
        (only("v3"), &[("v3", 1.0)]),
        (json!([to("v1", -5), to("v2", 5)]), &[("v2", 1.0)]),
        (json!([to("v1", 0), to("v2", 0)]), &[("503 NC", 1.0)]),
        (json!([]), &[("503 NC", 1.0)]),
    ];
    for (route, shares) in tables {
        let world = web(json!([{ "route": route }]));
        let counts = counts(&world, &ask(), 10_000);
        assert_eq!(counts.len(), shares.len(), "{route}: {counts:?}");
        for (end, share) in *shares {
            assert_share(counts[*end], 10_000, *share);
        }
    }
}

#[test]
fn without_an_object_or_a_subset_all_pods_get_the_same() {
    let whole = vs(
        "shop",
        "web",
        json!({ "hosts": ["web"], "http": [{
        "route": [{ "destination": { "host": "web" } }] }] }),
    );
    for world in [shop(vec![]), shop(vec![whole])] {
        let counts = counts(&world, &ask(), 9_000);
        for version in ["v1", "v2", "v3"] {
            assert_share(counts[version], 9_000, 1.0 / 3.0);
        }
    }
}

#[test]
fn a_caller_without_a_sidecar_is_not_routed() {
    let mut outsider = ask();
    outsider.from.proxy = sluice::demo::router::Proxy::Absent;
    let world = web(json!([{ "route": only("v1") }]));
    assert_eq!(counts(&world, &outsider, 3_000).len(), 3);
    assert_eq!(counts(&world, &ask(), 100).len(), 1);
}

#[test]
fn copies_go_out_by_their_percentage_and_absent_means_all() {
    let mirror = json!({ "host": "web", "subset": "v2" });
    for (extra, share) in [
        (json!({ "mirror": mirror }), 1.0),
        (json!({ "mirror": mirror, "mirrorPercentage": { "value": 25.0 } }), 0.25),
        (json!({ "mirror": mirror, "mirrorPercent": 40 }), 0.4),
        (json!({ "mirror": mirror, "mirrorPercentage": { "value": 0 } }), 0.0),
        (json!({ "mirrors": [{ "destination": mirror, "percentage": { "value": 10.0 } }] }), 0.1),
        (json!({ "mirror": { "host": "web", "subset": "none" } }), 0.0),
    ] {
        let mut http = extra.clone();
        http["route"] = only("v1");
        let world = web(json!([http]));
        let mut random = sluice::demo::random::Random::new(3);
        let mut copies = 0;
        for _ in 0..4_000 {
            let routed = ask().routed(&world, &mut random);
            assert_eq!(super::support::said(&routed), "v1");
            copies += u32::try_from(routed.mirrors.iter().filter(|to| &*to.version == "v2").count()).unwrap();
        }
        assert_share(copies, 4_000, share);
    }
}

#[test]
fn the_same_seed_gives_the_same_requests() {
    let world = web(json!([{ "route": [to("v1", 30), to("v2", 70)] }]));
    assert_eq!(counts(&world, &ask(), 1_000), counts(&world, &ask(), 1_000));
}
