//! From measurements to a verdict. Pure, so that a past release can be judged again against other limits.
//!
//! Proportions are judged on counts: a failure is only what cannot be chance (the whole 99 % interval of Wilson,
//! or of the difference of two proportions, lies beyond the limit), a pass is an estimate on the good side
//! with the minimum number of requests behind it, and everything between is undecided. Looks repeat, so 99 %
//! rather than 95.

use crate::domain::observed::interval;
use crate::domain::release::analysis::{Counts, Seen, Why};
use crate::domain::release::{Analysis, Direction, Judgement, Metric, MetricJudgement, Verdict};

/// The 99 % quantile of the normal distribution (two-sided).
const Z: f64 = 2.575_829_303_548_9;

/// Judges one look. `comparable` = the stable version has a share of the requests at all.
pub fn judge(analysis: &Analysis, seen: &Seen, comparable: bool, at_ms: i64, step: usize) -> Judgement {
    let metrics: Vec<MetricJudgement> = analysis
        .metrics
        .iter()
        .enumerate()
        .map(|(at, metric)| one(analysis, metric, at, seen, comparable))
        .collect();
    // What cannot be compared gives no verdict, unless nothing else gives one either.
    let said: Vec<&MetricJudgement> = metrics.iter().filter(|one| one.why != Why::NotComparable).collect();
    let verdict = if seen.error.is_some() {
        Verdict::Error
    } else {
        said.iter().map(|one| one.verdict).max().unwrap_or(Verdict::Undecided)
    };
    Judgement { at_ms, step, verdict, metrics, seen: seen.clone() }
}

fn one(analysis: &Analysis, metric: &Metric, at: usize, seen: &Seen, comparable: bool) -> MetricJudgement {
    let blank = MetricJudgement {
        metric: at,
        verdict: Verdict::Undecided,
        value: None,
        beside: None,
        interval: None,
        limit: None,
        why: Why::NoData,
    };
    if seen.error.is_some() {
        return MetricJudgement { verdict: Verdict::Error, why: Why::SourceFailed, ..blank };
    }
    if let Metric::Custom { direction, .. } = metric {
        let (value, beside) = seen.custom.get(at).copied().unwrap_or_default();
        let value = value.filter(|value| value.is_finite());
        let beside = beside.filter(|value| value.is_finite() && comparable);
        return bounded(metric, blank, value, beside, *direction, comparable);
    }
    let (candidate, stable) = seen.basis(analysis.min_requests);
    let Some(candidate) = candidate.filter(sane) else { return blank };
    let least = f64::from(analysis.min_requests);
    let stable = stable.filter(sane).filter(|stable| comparable && stable.requests >= least);
    match metric {
        Metric::SuccessRate { .. } => {
            let value = candidate.success_percent();
            let beside = stable.as_ref().and_then(Counts::success_percent);
            let blank = MetricJudgement { value, beside, ..blank };
            if candidate.requests < least {
                return MetricJudgement { why: Why::TooFew, ..blank };
            }
            success(metric, blank, candidate, stable, comparable)
        }
        Metric::Latency { quantile, .. } => {
            let value = candidate.quantile(*quantile).filter(|value| value.is_finite());
            let beside =
                stable.and_then(|stable| stable.quantile(*quantile)).filter(|value| value.is_finite());
            if candidate.requests < least {
                return MetricJudgement { value, beside, why: Why::TooFew, ..blank };
            }
            bounded(metric, blank, value, beside, Direction::AtMost, comparable)
        }
        Metric::Custom { .. } => blank,
    }
}

fn sane(counts: &Counts) -> bool {
    let Counts { requests, errors, .. } = *counts;
    requests.is_finite() && errors.is_finite() && errors >= 0.0 && requests >= errors
}

fn success(
    metric: &Metric,
    blank: MetricJudgement,
    candidate: Counts,
    stable: Option<Counts>,
    comparable: bool,
) -> MetricJudgement {
    let limit = metric.limit();
    let rate = |counts: Counts| 1.0 - counts.errors / counts.requests.max(1.0);
    let mine = rate(candidate);
    let reach = interval(candidate.requests - candidate.errors, candidate.requests);
    let mut out =
        MetricJudgement { interval: Some(reach), verdict: Verdict::Pass, why: Why::Within, ..blank };
    if let Some(bound) = limit.absolute {
        out.limit = Some(bound);
        if reach.1 < bound {
            return MetricJudgement { verdict: Verdict::Fail, why: Why::BeyondAbsolute, ..out };
        }
        if mine * 100.0 < bound {
            out.verdict = Verdict::Undecided;
            out.why = Why::NotSure;
        }
    }
    let Some(points) = limit.relative else { return out };
    let Some(stable) = stable else {
        return without_other(out, limit.absolute.is_some(), comparable);
    };
    let (worse, error) = difference(candidate, stable);
    if worse - Z * error > points {
        let bound = rate(stable) * 100.0 - points;
        return MetricJudgement {
            verdict: Verdict::Fail,
            why: Why::BeyondRelative,
            limit: Some(bound),
            ..out
        };
    }
    if worse > points {
        out.verdict = Verdict::Undecided;
        out.why = Why::NotSure;
    }
    out
}

/// By how many points the candidate's success rate is below the stable version's, and the standard error of
/// that difference (two proportions, not pooled).
pub fn difference(candidate: Counts, stable: Counts) -> (f64, f64) {
    let share = |counts: Counts| 1.0 - counts.errors / counts.requests.max(1.0);
    let (mine, theirs) = (share(candidate), share(stable));
    let variance = |p: f64, n: f64| p * (1.0 - p) / n.max(1.0);
    let error = (variance(mine, candidate.requests) + variance(theirs, stable.requests)).max(0.0).sqrt();
    ((theirs - mine) * 100.0, error * 100.0)
}

/// There is a relative limit, and nothing to compare with.
fn without_other(out: MetricJudgement, has_absolute: bool, comparable: bool) -> MetricJudgement {
    if has_absolute {
        out
    } else if comparable {
        MetricJudgement { verdict: Verdict::Undecided, why: Why::TooFew, ..out }
    } else {
        MetricJudgement { verdict: Verdict::Undecided, why: Why::NotComparable, ..out }
    }
}

/// A number against its bounds.
fn bounded(
    metric: &Metric,
    blank: MetricJudgement,
    value: Option<f64>,
    beside: Option<f64>,
    direction: Direction,
    comparable: bool,
) -> MetricJudgement {
    let limit = metric.limit();
    let out = MetricJudgement { value, beside, ..blank };
    let Some(value) = value else { return out };
    let beyond = |bound: f64| match direction {
        Direction::AtMost => value > bound,
        Direction::AtLeast => value < bound,
    };
    let fine =
        MetricJudgement { verdict: Verdict::Pass, why: Why::Within, limit: limit.absolute, ..out.clone() };
    if let Some(bound) = limit.absolute
        && beyond(bound)
    {
        return MetricJudgement {
            verdict: Verdict::Fail,
            why: Why::BeyondAbsolute,
            limit: Some(bound),
            ..out
        };
    }
    let Some(times) = limit.relative else { return fine };
    let Some(beside) = beside else {
        return without_other(fine, limit.absolute.is_some(), comparable);
    };
    let bound = match metric {
        Metric::Latency { .. } => limit.latency_bound(beside).unwrap_or(beside * times),
        _ => beside * times,
    };
    if beyond(bound) {
        return MetricJudgement {
            verdict: Verdict::Fail,
            why: Why::BeyondRelative,
            limit: Some(bound),
            ..out
        };
    }
    MetricJudgement { limit: limit.absolute.or(Some(bound)), ..fine }
}
