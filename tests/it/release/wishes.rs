//! Wishes that cannot be meant: each a refusal with its code and field.

use serde_json::{Value, json};
use sluice::domain::release::validate::{is_image, read, validate};
use sluice::domain::release::{Strategy, Template};

fn wish(change: impl FnOnce(&mut Value)) -> Value {
    let mut wish = json!({
        "service": {"namespace": "shop", "name": "reviews"},
        "strategy": "canary", "stable": "v1",
        "candidate": {"from": "image", "version": "v2", "image": "shop/reviews:2"},
        "steps": [{"kind": "weight", "percent": 10}, {"kind": "hold", "seconds": 60},
                  {"kind": "weight", "percent": 100}],
    });
    change(&mut wish);
    wish
}

#[track_caller]
fn check(change: impl FnOnce(&mut Value), code: &str, field: &str) {
    let refusals = read(&wish(change)).expect_err("refused");
    let found: Vec<(&str, &str)> = refusals
        .iter()
        .map(|refusal| (refusal.code.as_str(), refusal.field.as_deref().unwrap_or_default()))
        .collect();
    assert!(found.contains(&(code, field)), "{found:?}");
    assert!(refusals.iter().all(|refusal| (400..500).contains(&refusal.code.status())));
}

#[test]
fn what_is_wrong_is_named_with_its_field() {
    assert!(read(&wish(|_| ())).is_ok());
    check(|w| w["steps"] = json!([]), "no_steps", "steps");
    check(|w| w["steps"] = json!(vec![json!({"kind": "approval"}); 1_000]), "too_many_steps", "steps");
    check(|w| w["steps"][2]["percent"] = json!(5), "steps_fall", "steps.2.percent");
    check(|w| w["steps"][2]["percent"] = json!(90), "steps_end", "steps.2.percent");
    check(|w| w["steps"][0]["percent"] = json!(-5), "step_range", "steps.0.percent");
    check(|w| w["steps"][0]["percent"] = json!(250), "step_range", "steps.0.percent");
    check(|w| w["steps"][0]["percent"] = json!(12.7), "step_range", "steps.0.percent");
    check(|w| w["steps"][1]["seconds"] = json!(-1), "hold_range", "steps.1.seconds");
    check(|w| w["steps"][1]["seconds"] = json!(315_360_000), "hold_range", "steps.1.seconds");
    check(|w| w["steps"][1]["seconds"] = json!(0), "hold_range", "steps.1.seconds");
    check(|w| w["steps"][1] = json!({"kind": "mirror", "percent": 5}), "strategy_step", "steps.1.kind");
    check(|w| w["steps"][1] = json!({"kind": "analysis", "passes": 1}), "analysis_missing", "steps.1.kind");
    check(|w| w["steps"][1]["seconds"] = json!(10_u64.pow(15)), "hold_range", "steps.1.seconds");
    check(|w| w["steps"][1]["seconds"] = json!(1.5), "hold_range", "steps.1.seconds");
    check(
        |w| w["steps"] = json!(vec![json!({"kind": "weight", "percent": 5}); 1_000]),
        "too_many_steps",
        "steps",
    );
    check(|w| w["candidate"]["version"] = json!("a-name-of-17-char"), "version_label", "candidate.version");
    check(|w| w["candidate"]["version"] = json!("-v2"), "version_label", "candidate.version");
    check(|w| w["candidate"]["version"] = json!(""), "version_label", "candidate.version");
    check(|w| w["candidate"]["image"] = json!(""), "bad_image", "candidate.image");
    check(|w| w["candidate"]["image"] = json!("shop/reviews:a b"), "bad_image", "candidate.image");
    check(|w| w["candidate"]["image"] = json!("Not An Image"), "bad_image", "candidate.image");
    for bad in ["v2.", "_v2", "v 2", "v2/3", "版本"] {
        check(|w| w["candidate"]["version"] = json!(bad), "version_label", "candidate.version");
    }
    // What a label of a cluster may hold can name a version.
    for good in ["7.5", "2026.10.1", "V2_x", "v2", "1"] {
        assert!(read(&wish(|w| w["candidate"]["version"] = json!(good))).is_ok(), "{good}");
    }
    check(|w| w["candidate"]["version"] = json!("v1"), "same_version", "candidate.version");
    check(|w| w["candidate"]["replicas"] = json!(0), "replicas_range", "candidate.replicas");
    check(|w| w["policies"] = json!({"freeze": ["someday"]}), "freeze_range", "policies.freeze.0");
    check(
        |w| w["policies"] = json!({"freeze": vec!["daily 01:00-02:00"; 21]}),
        "freeze_range",
        "policies.freeze",
    );
    check(
        |w| {
            w["strategy"] = json!("blue_green");
        },
        "blue_green_share",
        "steps.0.percent",
    );
    check(|w| w["strategy"] = json!("mirror"), "no_mirror_step", "steps");
    check(|w| w["strategy"] = json!("ab_test"), "no_rules_step", "steps");
    check(|w| w["surprise"] = json!(1), "bad_spec", "");
    check(
        |w| {
            w["analysis"] = json!({"interval_s": 10, "window_s": 60, "min_requests": 100, "failures": 0,
                "metrics": [{"metric": "latency", "quantile": 42, "limit": {}}]});
        },
        "analysis_choice",
        "analysis.metrics.0.quantile",
    );
    check(
        |w| {
            w["analysis"] = json!({"interval_s": 10, "window_s": 90, "min_requests": 100, "failures": 1,
                "metrics": [{"metric": "success_rate", "limit": {"absolute": 99.0}}]});
        },
        "analysis_choice",
        "analysis.window_s",
    );
}

#[test]
fn every_template_of_every_strategy_can_be_meant() {
    for strategy in Strategy::ALL {
        for template in Template::ALL {
            let mut spec = super::spec(strategy, template.steps(strategy, 4));
            spec.analysis = Some(template.analysis());
            spec.policies = template.policies();
            let refusals = validate(&spec);
            // Which requests an A/B test is about nobody can know beforehand.
            let known = strategy == Strategy::AbTest && refusals.len() == 1;
            assert!(refusals.is_empty() || known, "{strategy:?} {template:?} {refusals:?}");
        }
    }
}

#[test]
fn images() {
    for good in [
        "nginx",
        "nginx:1.27",
        "shop/reviews:2",
        "registry.example.com:5000/a/b-c/d_e:v1.2-rc.1",
        "localhost/x",
        "a/b@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "a/b:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ] {
        assert!(is_image(good), "{good}");
    }
    for bad in [
        "",
        " ",
        "Nginx",
        "a//b",
        "a/b:",
        "a:b:c",
        "a@sha256:xyz",
        "a b",
        "/a",
        "a/",
        "-a",
        "a..b",
        "é",
        "a:-tag",
        "registry:99999/a",
    ] {
        assert!(!is_image(bad), "{bad}");
    }
}
