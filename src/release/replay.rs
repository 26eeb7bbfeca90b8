//! A past release judged again: the same looks, other limits. Called by `sluice release replay`.

use super::judge::judge;
use crate::domain::release::{Analysis, Judgement, Verdict};

/// How a look would have been judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed {
    pub then: Verdict,
    pub now: Judgement,
    /// Failures in a row after it, by the new limits.
    pub failures: u32,
}

/// Judges each look again, oldest first.
pub fn replay(analysis: &Analysis, looks: &[Judgement]) -> Vec<Replayed> {
    let mut failures = 0_u32;
    let mut out = Vec::with_capacity(looks.len());
    for look in looks {
        let comparable =
            !look.metrics.iter().any(|one| one.why == crate::domain::release::analysis::Why::NotComparable)
                && look.seen.stable.is_some();
        let now = judge(analysis, &look.seen, comparable, look.at_ms, look.step);
        match now.verdict {
            Verdict::Fail => failures = failures.saturating_add(1),
            Verdict::Pass => failures = 0,
            Verdict::Undecided | Verdict::Error => {}
        }
        out.push(Replayed { then: look.verdict, now, failures });
    }
    out
}

/// The look at which the failure budget would have been used up.
pub fn stops_at(analysis: &Analysis, replayed: &[Replayed]) -> Option<usize> {
    replayed.iter().position(|look| look.failures >= analysis.failures)
}
