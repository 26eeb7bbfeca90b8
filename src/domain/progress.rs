//! How far a change has come: accepted, written, seen, each with its time. `store` keeps the times with the state of
//! the service, `services::progress` looks whether requests follow, pages and the API tell it. Must never call a
//! change seen because it was written.

use serde::{Deserialize, Serialize};

use super::agreement::Beside;
use super::audit::{Ending, Intent, Outcome};
use super::ids::{Revision, VersionName};
use super::plan::deltas;

/// The times of a change that was written, milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steps {
    /// When it was asked for.
    pub begun_ms: i64,
    /// When every object of it had passed a dry run through the API server and its webhooks.
    pub accepted_ms: i64,
    /// When the API server had stored the last object.
    pub written_ms: i64,
    /// When requests were first seen to follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_ms: Option<i64>,
    /// The version whose weight changed most, and its weight since; `None` = no weight changed.
    pub by: Option<(VersionName, u8)>,
}

impl Steps {
    /// The steps of a change that was written in full; `None` for everything else, and for changes that a crash cut
    /// off: when those were written is unknown.
    pub fn of(intent: &Intent, outcome: &Outcome) -> Option<Self> {
        if outcome.ending != Ending::Applied {
            return None;
        }
        let (before, after) = (intent.details.before.as_ref(), intent.details.after.as_ref());
        let after = after.map(Vec::as_slice).unwrap_or_default();
        let moved = deltas(before.map(Vec::as_slice).unwrap_or_default(), after);
        // The version that changed most is the easiest to see.
        let most = moved.into_iter().max_by_key(|(_, delta)| delta.abs());
        let weight = |version: &VersionName| {
            after.iter().find(|(name, _)| name == version).map_or(0, |(_, weight)| *weight)
        };
        Some(Self {
            begun_ms: intent.at_ms,
            accepted_ms: intent.details.accepted_ms?,
            written_ms: outcome.details.written_ms?,
            seen_ms: None,
            by: most.map(|(version, _)| (version.clone(), weight(&version))),
        })
    }
}

/// How far the change has come that made the revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    pub revision: Revision,
    pub steps: Steps,
    /// What is known of requests since; `None` = not looked at yet, or not any more.
    pub so_far: Option<SoFar>,
}

/// What is known about requests since a change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SoFar {
    /// There are no metrics to see it by.
    Blind,
    /// No weight changed: shares say nothing about it.
    Unmoved,
    /// Something else moves requests, too, so that the split cannot be judged from shares.
    NotJudged(Beside),
    /// Fewer requests than a share can be judged by.
    Few { requests: f64 },
    /// The share of the version that changed most is not yet inside its interval.
    NotYet { share: f64, low: f64, high: f64 },
    /// It is.
    Yes { share: f64, low: f64, high: f64 },
}

impl SoFar {
    /// Why it is not seen, the word of the API; `None` when it is.
    pub fn why_not(self) -> Option<&'static str> {
        match self {
            Self::Blind => Some("no_metrics"),
            Self::Unmoved => Some("same_weights"),
            Self::NotJudged(beside) => Some(beside.as_str()),
            Self::Few { .. } => Some("few_requests"),
            Self::NotYet { .. } => Some("not_yet"),
            Self::Yes { .. } => None,
        }
    }
}
