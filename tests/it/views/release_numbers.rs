//! The page of a release says with numbers what its analysis waits for, and which measure it failed by.

use serde_json::{Value, json};

use sluice::domain::release::{Judgement, PauseReason, Paused, Phase, Release, ReleaseId, Stage, State};
use sluice::views::lang::Lang;

use super::release_part;

fn release() -> Release {
    let spec = json!({
        "service": {"namespace": "shop", "name": "cart"}, "strategy": "canary", "stable": "v1",
        "candidate": {"from": "adopt", "version": "v2"},
        "steps": [{"kind": "weight", "percent": 20}, {"kind": "hold", "seconds": 60}, {"kind": "weight", "percent": 100}],
        "analysis": {"interval_s": 15, "window_s": 300, "min_requests": 200, "failures": 2, "metrics": [
            {"metric": "success_rate", "limit": {"absolute": 99.0}},
            {"metric": "latency", "quantile": 95, "limit": {"absolute": 500.0}}]},
    });
    let mut state = State::new();
    (state.phase, state.step, state.stage) = (Phase::Running, 1, Stage::Gate);
    Release {
        id: ReleaseId(1),
        spec: serde_json::from_value(spec).unwrap(),
        state,
        seq: 1,
        created_ms: 0,
        changed_ms: 0,
        started_ms: Some(0),
        ended_ms: None,
        by: "demo".to_owned(),
        reason: String::new(),
    }
}

/// A look at step 2: requests of the new version in the window and since the step began, and the verdict on each metric.
fn look(window: f64, since: Option<f64>, step: usize, first: &Value, second: &Value) -> Judgement {
    let counts = |n: f64| json!({"requests": n, "errors": 0.0, "p95_ms": 20.0});
    let mut seen = json!({"candidate": counts(window), "stable": counts(900.0)});
    if let Some(since) = since {
        seen["since"] = json!({"seconds": 400, "candidate": counts(since), "stable": counts(900.0)});
    }
    let verdicts = [&first["verdict"], &second["verdict"]];
    let whole = if verdicts.contains(&&json!("fail")) { "fail" } else { "undecided" };
    serde_json::from_value(
        json!({"at_ms": 4_000, "step": step, "verdict": whole, "metrics": [first, second], "seen": seen}),
    )
    .unwrap()
}

fn metric(at: usize, verdict: &str, why: &str, value: f64, limit: f64) -> Value {
    json!({"metric": at, "verdict": verdict, "value": value, "beside": null, "interval": null, "limit": limit, "why": why})
}

fn part(lang: Lang, release: &Release, judgements: &[Judgement], id: &str) -> String {
    release_part(lang, release, &[], judgements, id)
}

#[test]
fn a_wait_for_the_analysis_says_how_many_requests_there_are_and_how_many_it_needs() {
    let few = |step| {
        let (one, two) =
            (metric(0, "undecided", "too_few", 100.0, 99.0), metric(1, "undecided", "too_few", 20.0, 500.0));
        look(165.0, Some(187.0), step, &one, &two)
    };
    let at = |lang: Lang, looks: &[Judgement]| part(lang, &release(), looks, "rel-now");
    for (lang, first, waits) in [
        (Lang::En, "187 of the 200 requests", "after the analysis passes"),
        (Lang::Zh, "已有 187 个请求，需要 200 个", "分析通过之后"),
    ] {
        let said = at(lang, &[few(1)]);
        assert!(said.contains(first) && said.contains(waits), "{said}");
        // What was counted for another step says nothing about this one.
        assert!(!at(lang, &[few(0)]).contains(first));
    }
    let sure = look(
        260.0,
        None,
        1,
        &metric(0, "undecided", "not_sure", 98.9, 99.0),
        &metric(1, "pass", "within", 20.0, 500.0),
    );
    let said = at(Lang::En, std::slice::from_ref(&sure));
    assert!(
        !said.contains("requests that it needs") && said.contains("waits until the analysis has passed"),
        "{said}"
    );
    assert!(said.contains("1 of 2 measures passes") && !said.contains("1 / 2"), "{said}");
    assert!(at(Lang::Zh, &[sure]).contains("2 项指标中 1 项通过"));
    assert!(at(Lang::En, &[few(1)]).contains("0 of 2 measures pass<"));
}

#[test]
fn a_release_that_paused_on_its_analysis_names_the_measure_with_value_and_limit() {
    let pause =
        |reason| Paused { reason, since_ms: 4_000, left_ms: None, phase: Phase::Running, detail: None };
    let mut paused = release();
    paused.state.phase = Phase::Paused;
    paused.state.paused = Some(pause(PauseReason::Failed));
    let bad = look(
        310.0,
        None,
        1,
        &metric(0, "fail", "beyond_absolute", 93.476, 99.0),
        &metric(1, "pass", "within", 20.0, 500.0),
    );
    for (lang, words) in [(Lang::En, "Success rate 93.47% (limit ≥ 99%)"), (Lang::Zh, "93.47%（限值 ≥ 99%）")]
    {
        let said = part(lang, &paused, std::slice::from_ref(&bad), "rel-banner");
        assert!(said.contains(words) && !said.contains("500"), "{said}");
    }
    // A pause for another reason has no measure to name.
    paused.state.paused = Some(pause(PauseReason::User));
    assert!(!part(Lang::En, &paused, &[bad], "rel-banner").contains("93.47"));
}
