//! `sluice release replay`: what a past release saw, judged against other limits. Reads only; the verdicts are the
//! same function's as when it ran.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::domain::release::analysis::Limit;
use crate::domain::release::{Metric, ReleaseId};
use crate::release::replay::{replay, stops_at};
use crate::store;

/// What is to be different.
pub(super) struct Limits {
    pub success: Option<f64>,
    pub latency: Option<f64>,
    pub failures: Option<u32>,
    pub min_requests: Option<u32>,
}

#[expect(clippy::print_stdout, reason = "the report is what the command is for")]
pub(super) async fn run(file: &Path, release: &str, limits: &Limits) -> anyhow::Result<ExitCode> {
    let id = ReleaseId::parse(release).context("the release")?;
    let Some((spec, looks)) = store::past_release(file, id).await? else {
        bail!("there is no release {id} in {}", file.display());
    };
    let Some(mut analysis) = spec.analysis else {
        bail!("{id} measured nothing");
    };
    if limits.success.is_some() || limits.latency.is_some() {
        let bound = |absolute| Limit { absolute: Some(absolute), relative: None };
        analysis.metrics = limits
            .success
            .map(|percent| Metric::SuccessRate { limit: bound(percent) })
            .into_iter()
            .chain(limits.latency.map(|ms| Metric::Latency { quantile: 95, limit: bound(ms) }))
            .collect();
    }
    analysis.failures = limits.failures.unwrap_or(analysis.failures).max(1);
    analysis.min_requests = limits.min_requests.unwrap_or(analysis.min_requests);
    let again = replay(&analysis, &looks);
    println!("{id} {} {} -> {}", spec.service, spec.stable, spec.candidate.version());
    for (at, look) in again.iter().enumerate() {
        let requests = look.now.seen.candidate.map_or(0.0, |counts| counts.requests);
        let success = look.now.seen.candidate.and_then(|counts| counts.success_percent());
        let success = success.map_or_else(|| "-".to_owned(), |percent| format!("{percent:.2}%"));
        println!(
            "look {:>3}  step {:>2}  {requests:>8.0} requests  success {success:>8}  then {:<9}  now {:<9}",
            at + 1,
            look.now.step + 1,
            look.then.as_str(),
            look.now.verdict.as_str(),
        );
    }
    match stops_at(&analysis, &again) {
        Some(at) => println!("With these limits it stops at look {}.", at + 1),
        None => println!("With these limits it does not stop."),
    }
    Ok(ExitCode::SUCCESS)
}
