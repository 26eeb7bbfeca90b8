//! The shape of how far a change has come: accepted, written, seen, each with its time.

use serde::Serialize;
use utoipa::ToSchema;

use super::values::{moment, rounded};
use crate::domain::progress::{self, SoFar};

/// How far a change has come. Each step has its moment (UTC) and the milliseconds since it was asked for.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Progress {
    /// The revision that the change made.
    pub revision: u64,
    /// `written`, then `seen`.
    #[schema(value_type = String, example = "seen")]
    pub state: &'static str,
    /// When the change was asked for.
    #[schema(format = "date-time")]
    pub begun_at: String,
    /// When every object had passed a dry run through the API server and its webhooks.
    #[schema(format = "date-time")]
    pub accepted_at: String,
    pub accepted_ms: i64,
    /// When the API server had stored the last object.
    #[schema(format = "date-time")]
    pub written_at: String,
    pub written_ms: i64,
    /// When requests were first seen to follow: the share of `version`, counted after the write only, was as the
    /// declared weight within its interval. Null until then.
    #[schema(required = true, format = "date-time")]
    pub seen_at: Option<String>,
    #[schema(required = true)]
    pub seen_ms: Option<i64>,
    /// Why it is not seen: `no_metrics`, `same_weights`, `few_requests`, `not_yet`; or that it cannot be judged
    /// from shares, because of `rules`, `other_routes`, `other_destinations`, `sibling_services` or `service_entries`.
    /// Null when it is seen, or when it is no longer followed.
    #[schema(required = true, value_type = Option<String>, example = "few_requests")]
    pub not_seen: Option<&'static str>,
    /// The version whose weight changed most: by its share the change is seen.
    #[schema(required = true)]
    pub version: Option<String>,
    /// Percent that it should have.
    #[schema(required = true)]
    pub weight: Option<u8>,
    /// Percent of the requests after the write that it has, where there are enough of them.
    #[schema(required = true)]
    pub share: Option<f64>,
    /// The 99 % interval of that share.
    #[schema(required = true)]
    pub low: Option<f64>,
    #[schema(required = true)]
    pub high: Option<f64>,
}

impl Progress {
    pub fn of(progress: &progress::Progress) -> Self {
        let steps = &progress.steps;
        let figures = match progress.so_far {
            Some(SoFar::NotYet { share, low, high } | SoFar::Yes { share, low, high }) => {
                Some((share, low, high))
            }
            _ => None,
        };
        let percent = |pick: fn((f64, f64, f64)) -> f64| figures.map(|all| rounded(pick(all), 1));
        let since = |at_ms: i64| at_ms - steps.begun_ms;
        Self {
            revision: progress.revision,
            state: if steps.seen_ms.is_some() { "seen" } else { "written" },
            begun_at: moment(steps.begun_ms),
            accepted_at: moment(steps.accepted_ms),
            accepted_ms: since(steps.accepted_ms),
            written_at: moment(steps.written_ms),
            written_ms: since(steps.written_ms),
            seen_at: steps.seen_ms.map(moment),
            seen_ms: steps.seen_ms.map(since),
            not_seen: match steps.seen_ms {
                Some(_) => None,
                None => progress.so_far.and_then(SoFar::why_not),
            },
            version: steps.by.as_ref().map(|(version, _)| version.to_string()),
            weight: steps.by.as_ref().map(|(_, weight)| *weight),
            share: percent(|(share, _, _)| share),
            low: percent(|(_, low, _)| low),
            high: percent(|(_, _, high)| high),
        }
    }
}
