//! Verdicts: against values that are known from elsewhere, and the promises that no data never passes.

use sluice::domain::observed::interval;
use sluice::domain::release::analysis::{Counts, Limit, Metric, Seen, Since, Why};
use sluice::domain::release::{Analysis, Direction, Verdict};
use sluice::release::judge::{difference, judge};
use sluice::release::replay::{replay, stops_at};

fn counts(requests: f64, errors: f64, p95: Option<f64>) -> Counts {
    Counts { requests, errors, p95_ms: p95, ..Counts::default() }
}

fn analysis(metric: Metric) -> Analysis {
    Analysis { metrics: vec![metric], ..super::analysis() }
}

#[track_caller]
fn check(metric: Metric, candidate: Option<Counts>, stable: Option<Counts>, expected: (Verdict, Why)) {
    let seen = Seen { candidate, stable, ..Seen::default() };
    let judged = judge(&analysis(metric), &seen, true, 0, 0);
    assert_eq!((judged.verdict, judged.metrics[0].why), expected);
}

fn success(absolute: Option<f64>, relative: Option<f64>) -> Metric {
    Metric::SuccessRate { limit: Limit { absolute, relative, floor_ms: None } }
}

fn latency(absolute: Option<f64>, relative: Option<f64>) -> Metric {
    Metric::Latency { quantile: 95, limit: Limit { absolute, relative, floor_ms: Some(0.0) } }
}

#[test]
fn wilson_gives_the_values_of_the_textbooks() {
    // Brown, Cai, DasGupta 2001 and R's binom.confint(method = "wilson", conf.level = 0.99).
    let near = |seen: (f64, f64), low: f64, high: f64| {
        assert!((seen.0 - low).abs() < 0.05 && (seen.1 - high).abs() < 0.05, "{seen:?}");
    };
    near(interval(50.0, 100.0), 37.53, 62.47);
    near(interval(0.0, 100.0), 0.0, 6.22);
    near(interval(990.0, 1000.0), 97.83, 99.54);
}

#[test]
fn two_proportions_give_the_values_of_the_textbooks() {
    // p1 = 0.90, p2 = 0.95, n = 200 each: difference 5 points, error sqrt(.09/200 + .0475/200) = 2.622 points.
    let (worse, error) = difference(counts(200.0, 20.0, None), counts(200.0, 10.0, None));
    assert!((worse - 5.0).abs() < 1e-9, "{worse}");
    assert!((error - 2.622).abs() < 0.001, "{error}");
}

#[test]
fn success_is_judged_on_counts() {
    let limit = success(Some(99.0), None);
    check(limit.clone(), Some(counts(1_000.0, 0.0, None)), None, (Verdict::Pass, Why::Within));
    check(limit.clone(), Some(counts(1_000.0, 50.0, None)), None, (Verdict::Fail, Why::BeyondAbsolute));
    check(limit.clone(), Some(counts(1_000.0, 300.0, None)), None, (Verdict::Fail, Why::BeyondAbsolute));
    // 1.5 % errors in 200: below the limit, but it may be chance.
    check(limit.clone(), Some(counts(200.0, 3.0, None)), None, (Verdict::Undecided, Why::NotSure));
    check(limit.clone(), Some(counts(99.0, 0.0, None)), None, (Verdict::Undecided, Why::TooFew));
    check(limit, None, None, (Verdict::Undecided, Why::NoData));
}

#[test]
fn success_is_compared_with_the_version_beside_it() {
    let limit = success(None, Some(1.0));
    let good = counts(10_000.0, 100.0, None);
    check(limit.clone(), Some(counts(1_000.0, 10.0, None)), Some(good), (Verdict::Pass, Why::Within));
    check(limit.clone(), Some(counts(1_000.0, 60.0, None)), Some(good), (Verdict::Fail, Why::BeyondRelative));
    check(limit.clone(), Some(counts(200.0, 6.0, None)), Some(good), (Verdict::Undecided, Why::NotSure));
    check(limit, Some(counts(1_000.0, 10.0, None)), None, (Verdict::Undecided, Why::TooFew));
}

#[test]
fn durations_are_held_against_a_bound_and_against_the_other() {
    let mine = |p95| Some(counts(1_000.0, 0.0, Some(p95)));
    check(latency(Some(250.0), None), mine(240.0), None, (Verdict::Pass, Why::Within));
    check(latency(Some(250.0), None), mine(260.0), None, (Verdict::Fail, Why::BeyondAbsolute));
    check(latency(None, Some(1.5)), mine(120.0), mine(100.0), (Verdict::Pass, Why::Within));
    check(latency(None, Some(1.5)), mine(300.0), mine(100.0), (Verdict::Fail, Why::BeyondRelative));
    check(latency(None, Some(1.5)), mine(300.0), None, (Verdict::Undecided, Why::TooFew));
    check(
        latency(Some(250.0), None),
        Some(counts(1_000.0, 0.0, None)),
        None,
        (Verdict::Undecided, Why::NoData),
    );
    check(latency(Some(250.0), None), mine(f64::NAN), None, (Verdict::Undecided, Why::NoData));
}

#[test]
fn at_100_percent_there_is_nobody_to_compare_with() {
    let seen = Seen { candidate: Some(counts(1_000.0, 0.0, Some(50.0))), ..Seen::default() };
    let both = Analysis {
        metrics: vec![success(Some(99.0), Some(1.0)), latency(None, Some(1.5))],
        ..super::analysis()
    };
    assert_eq!(judge(&both, &seen, false, 0, 0).verdict, Verdict::Pass);
    let only = analysis(latency(None, Some(1.5)));
    assert_eq!(judge(&only, &seen, false, 0, 0).verdict, Verdict::Undecided, "nothing said is not a pass");
}

#[test]
fn a_source_that_fails_is_an_error_and_a_number_that_is_none_is_no_data() {
    let down = Seen { error: Some("down".into()), ..Seen::default() };
    assert_eq!(judge(&super::analysis(), &down, true, 0, 0).verdict, Verdict::Error);
    let custom = Metric::Custom {
        name: "queue".into(),
        query: "x".into(),
        direction: Direction::AtMost,
        limit: Limit { absolute: Some(10.0), ..Limit::default() },
    };
    for (value, expected) in [
        (Some(9.0), Verdict::Pass),
        (Some(11.0), Verdict::Fail),
        (Some(f64::NAN), Verdict::Undecided),
        (Some(f64::INFINITY), Verdict::Undecided),
        (None, Verdict::Undecided),
    ] {
        let seen = Seen { custom: vec![(value, None)], ..Seen::default() };
        assert_eq!(judge(&analysis(custom.clone()), &seen, true, 0, 0).verdict, expected, "{value:?}");
    }
}

#[test]
fn the_worst_metric_decides() {
    let seen = Seen { candidate: Some(counts(1_000.0, 0.0, Some(400.0))), ..Seen::default() };
    let both = Analysis {
        metrics: vec![success(Some(99.0), None), latency(Some(250.0), None)],
        ..super::analysis()
    };
    assert_eq!(judge(&both, &seen, true, 0, 0).verdict, Verdict::Fail);
}

#[test]
fn a_past_release_is_judged_again_by_other_limits() {
    let strict = super::analysis();
    let looks: Vec<_> = [1.0, 1.0, 30.0]
        .into_iter()
        .enumerate()
        .map(|(at, errors)| {
            let seen = Seen {
                candidate: Some(counts(1_000.0, errors, None)),
                stable: Some(counts(1_000.0, 0.0, None)),
                ..Seen::default()
            };
            judge(&strict, &seen, true, i64::try_from(at).unwrap(), 1)
        })
        .collect();
    assert_eq!(stops_at(&strict, &replay(&strict, &looks)), None);
    let stricter = Analysis { failures: 1, metrics: vec![success(Some(99.9), None)], ..super::analysis() };
    let again = replay(&stricter, &looks);
    assert_eq!(stops_at(&stricter, &again), Some(2));
    assert_eq!(again[2].then, Verdict::Fail);
}

#[test]
fn few_milliseconds_are_no_failure_and_many_are() {
    let judged = |beside: f64, value: f64, floor_ms: Option<f64>| {
        let limit = Limit { absolute: None, relative: Some(1.5), floor_ms };
        let held = Analysis { metrics: vec![Metric::Latency { quantile: 95, limit }], ..super::analysis() };
        let of = |ms: f64| Some(Counts { requests: 500.0, p95_ms: Some(ms), ..Counts::default() });
        judge(&held, &Seen { candidate: of(value), stable: of(beside), ..Seen::default() }, true, 0, 0)
            .verdict
    };
    // Both must be exceeded: the factor and the floor (100 ms where none is given).
    assert_eq!(judged(22.0, 49.0, None), Verdict::Pass);
    assert_eq!(judged(22.0, 123.0, None), Verdict::Fail);
    assert_eq!(judged(400.0, 550.0, None), Verdict::Pass);
    assert_eq!(judged(400.0, 601.0, None), Verdict::Fail);
    assert_eq!(judged(22.0, 49.0, Some(10.0)), Verdict::Fail);
}

#[test]
fn a_low_rate_is_judged_later_and_not_never() {
    let counts = |requests: f64, errors: f64| Some(Counts { requests, errors, ..Counts::default() });
    let since = |requests: f64, errors: f64| Since {
        seconds: 300,
        candidate: counts(requests, errors),
        stable: counts(2_000.0, 0.0),
    };
    let judged = |since: Option<Since>, window: f64| {
        let seen =
            Seen { candidate: counts(window, 0.0), stable: counts(300.0, 0.0), since, ..Seen::default() };
        judge(&super::analysis(), &seen, true, 0, 0).verdict
    };
    assert_eq!(judged(None, 30.0), Verdict::Undecided);
    assert_eq!(judged(Some(since(60.0, 0.0)), 30.0), Verdict::Undecided);
    assert_eq!(judged(Some(since(150.0, 0.0)), 30.0), Verdict::Pass);
    assert_eq!(judged(Some(since(150.0, 30.0)), 30.0), Verdict::Fail);
    // Where the window holds enough, it alone says how it is now.
    assert_eq!(judged(Some(since(150.0, 30.0)), 120.0), Verdict::Pass);
}
