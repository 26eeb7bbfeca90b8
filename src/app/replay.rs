//! `sluice release replay`: what a past release saw, judged against other limits. Reads only; the verdicts are the
//! same function's as when it ran.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;

use super::say::say;
use crate::domain::release::analysis::{Limit, Why};
use crate::domain::release::{Analysis, Judgement, Metric, ReleaseId};
use crate::release::replay::{replay, stops_at};
use crate::store;

/// What is to be different; metrics that are not named keep their limits.
pub(super) struct Limits {
    pub success: Option<f64>,
    pub latency: Option<f64>,
    pub failures: Option<u32>,
    pub min_requests: Option<u32>,
}

pub(super) async fn run(file: &Path, release: &str, limits: &Limits) -> anyhow::Result<ExitCode> {
    let Ok(id) = ReleaseId::parse(release) else { bail!("`{release}` is no release: R-12 is one") };
    let Some((spec, looks)) = store::past_release(file, id).await? else {
        bail!("there is no release {id} in {}", file.display());
    };
    let Some(mut analysis) = spec.analysis else {
        bail!("{id} measured nothing");
    };
    let bound = |absolute| Limit { absolute: Some(absolute), ..Limit::default() };
    if let Some(percent) = limits.success {
        put(&mut analysis, Metric::SuccessRate { limit: bound(percent) });
    }
    if let Some(ms) = limits.latency {
        put(&mut analysis, Metric::Latency { quantile: 95, limit: bound(ms) });
    }
    analysis.failures = limits.failures.unwrap_or(analysis.failures).max(1);
    analysis.min_requests = limits.min_requests.unwrap_or(analysis.min_requests);
    let again = replay(&analysis, &looks);
    say(format!("{id} {} {} -> {}", spec.service, spec.stable, spec.candidate.version()))?;
    for (at, look) in again.iter().enumerate() {
        let requests = look.now.seen.candidate.map_or(0.0, |counts| counts.requests);
        let success = look.now.seen.candidate.and_then(|counts| counts.success_percent());
        let success = success.map_or_else(|| "-".to_owned(), |percent| format!("{percent:.2}%"));
        say(format!(
            "look {:>3}  step {:>2}  {requests:>8.0} requests  success {success:>8}  then {:<9}  now {:<9}  {}",
            at + 1,
            look.now.step + 1,
            look.then.as_str(),
            look.now.verdict.as_str(),
            why(&analysis, &look.now),
        ))?;
    }
    match stops_at(&analysis, &again) {
        Some(at) => say(format!("With these limits it stops at look {}.", at + 1))?,
        None => say("With these limits it does not stop.")?,
    }
    Ok(ExitCode::SUCCESS)
}

/// In the place of the same metric, else at the end: measurements are matched by position.
fn put(analysis: &mut Analysis, metric: Metric) {
    let same = |known: &&mut Metric| match (&**known, &metric) {
        (Metric::Latency { quantile: a, .. }, Metric::Latency { quantile: b, .. }) => a == b,
        (known, metric) => known.kind() == metric.kind(),
    };
    match analysis.metrics.iter_mut().find(same) {
        Some(known) => *known = metric,
        None => analysis.metrics.push(metric),
    }
}

/// The metrics that decided, with their numbers.
fn why(analysis: &Analysis, look: &Judgement) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
    let decided = look.metrics.iter().filter(|one| one.verdict == look.verdict && one.why != Why::Within);
    let told = decided.filter_map(|one| {
        let kind = analysis.metrics.get(one.metric)?.kind();
        let (value, limit) = (number(one.value), number(one.limit));
        Some(format!("{kind} {value}, limit {limit}: {}", one.why.as_str()))
    });
    told.collect::<Vec<_>>().join("; ")
}
