//! Weights to percents: as Istio shares, in whole numbers.

use proptest::prelude::*;
use sluice::domain::ids::VersionName;
use sluice::domain::split::Split;

use super::support::{SUBSETS, http, shown, three};

fn check(entries: &str, expected: &str) {
    let world = three().with(SUBSETS).with(&http(entries));
    assert_eq!(shown(world.read().declared()), expected, "{entries}");
}

#[test]
fn the_share_is_the_part_of_the_sum() {
    check("v1:!", "v1=100");
    check("v1:0", "v1=100");
    check("v1:-5", "v1=100");
    check("v1:30 v2:70", "v1=30 v2=70");
    check("v1:3 v2:7", "v1=30 v2=70");
    check("v1:1 v2:1", "v1=50 v2=50");
    check("v1:1 v2:1 v3:1", "v1=34 v2=33 v3=33");
    check("v1:1 v2:2 v3:3", "v1=17 v2=33 v3=50");
    check("v1:100 v2:!", "v1=100 v2=0");
    check("v1:! v2:!", "v1=0 v2=0");
    check("v1:0 v2:0", "v1=0 v2=0");
    // What gets something is never shown as 0 %.
    check("v1:999 v2:1", "v1=99 v2=1");
    check("v1:995 v2:5", "v1=99 v2=1");
    check("v1:9998 v2:1 v3:1", "v1=98 v2=1 v3=1");
    check("v1:994 v2:6", "v1=99 v2=1");
    check("v1:2147483647 v2:2147483647", "v1=50 v2=50");
    check("v1:-10 v2:10", "v1=0 v2=100");
    check("v1:20 v1:20 v2:60", "v1=40 v2=60");
    check("v1:90 ratings.shop.svc.cluster.local/-:10", "v1=90");
    check("-:!", "-");
    check("-:50 v2:50", "v2=50");
    check("nowhere:50 v2:50", "v2=50");
    check("ratings/v1:!", "-");
}

fn parts() -> impl Strategy<Value = Vec<(VersionName, u64)>> {
    prop::collection::vec(prop_oneof![0..5_u64, 0..1000_u64, any::<u64>()], 0..8).prop_map(|parts| {
        parts
            .into_iter()
            .enumerate()
            .map(|(at, part)| (VersionName::trusted(format!("v{at}")), part))
            .collect()
    })
}

proptest! {
    #[test]
    fn rounded_splits_sum_to_100_and_stay_within_one_point(parts in parts()) {
        let total: u128 = parts.iter().map(|(_, part)| u128::from(*part)).sum();
        let Some(split) = Split::rounded(&parts) else {
            prop_assert_eq!(total, 0);
            return Ok(());
        };
        prop_assert_eq!(split.iter().map(|(_, weight)| u32::from(weight)).sum::<u32>(), 100);
        for ((_, part), (_, weight)) in parts.iter().zip(split.iter()) {
            let floor = u128::from(*part) * 100 / total;
            prop_assert!(u128::from(weight) == floor || u128::from(weight) == floor + 1);
            prop_assert!(*part > 0 || weight == 0);
        }
    }

    #[test]
    fn a_split_is_what_sums_to_100(weights in prop::collection::vec(0..=130_u8, 0..6)) {
        let named: Vec<(VersionName, u8)> =
            weights.iter().enumerate().map(|(at, weight)| (VersionName::trusted(format!("v{at}")), *weight)).collect();
        let good = weights.iter().all(|w| *w <= 100) && weights.iter().map(|w| u32::from(*w)).sum::<u32>() == 100;
        prop_assert_eq!(Split::new(named).is_ok(), good);
    }
}

#[test]
fn splits_refuse_what_they_are_not() {
    for (text, code) in [
        ("v1=30 v2=60", "sum"),
        ("v1=30 v2=80", "sum"),
        ("v1=101", "weight_range"),
        ("v1=50 v1=50", "duplicate_version"),
        ("", "sum"),
        ("v1=0", "sum"),
    ] {
        let refusal = Split::new(super::support::weights(text)).expect_err(text);
        assert_eq!(refusal.code.as_str(), code, "{text}");
        assert_eq!(refusal.field.as_deref(), Some("weights"));
    }
}
