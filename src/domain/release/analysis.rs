//! What is measured of a release, against which limits, and how a measurement was judged.

use serde::{Deserialize, Serialize};

/// What is measured, how often, and how many failures are borne.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// Seconds between two looks (10..=3,600).
    pub interval_s: u32,
    /// The window of each look: 60, 300 or 3,600 seconds.
    pub window_s: u32,
    /// Requests that the candidate must have had before there is a verdict: in the window, or, where too few come,
    /// since the split of the step was seen.
    pub min_requests: u32,
    /// Failures in a row after which the policy acts (1..=100).
    pub failures: u32,
    pub metrics: Vec<Metric>,
}

/// One thing that is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "metric", rename_all = "snake_case")]
pub enum Metric {
    /// Percent of answers that are not errors. `absolute`: at least this many percent. `relative`: at most
    /// this many points worse than the stable version beside it.
    SuccessRate { limit: Limit },
    /// A quantile of the duration in milliseconds (50, 90, 95 or 99). `absolute`: at most this many
    /// milliseconds. `relative`: at most this many times the stable version's, or at most `floor_ms` more.
    Latency { quantile: u8, limit: Limit },
    /// A query of PromQL that gives one number, for administrators. `{{service}}`, `{{namespace}}`,
    /// `{{version}}` and `{{window}}` are filled in. `absolute`: the bound. `relative`: at most (least) this
    /// many times what the query says of the stable version.
    Custom { name: String, query: String, direction: Direction, limit: Limit },
}

impl Metric {
    /// The word of the API.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SuccessRate { .. } => "success_rate",
            Self::Latency { .. } => "latency",
            Self::Custom { .. } => "custom",
        }
    }

    /// Which one it is among several: `success_rate`, `p95`, the name of a query.
    pub fn word(&self) -> String {
        match self {
            Self::SuccessRate { .. } => self.kind().to_owned(),
            Self::Latency { quantile, .. } => format!("p{quantile}"),
            Self::Custom { name, .. } => name.clone(),
        }
    }

    /// The limits.
    pub fn limit(&self) -> &Limit {
        match self {
            Self::SuccessRate { limit } | Self::Latency { limit, .. } | Self::Custom { limit, .. } => limit,
        }
    }
}

/// Where good ends. At least one of the two is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limit {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absolute: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative: Option<f64>,
    /// Latency only: a difference of at most so many milliseconds is never too much, whatever `relative` says;
    /// `None` = [`LATENCY_FLOOR_MS`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor_ms: Option<f64>,
}

/// Differences below this do not matter: 9 ms beside 5 ms are 1.8 times as long, and fine.
pub const LATENCY_FLOOR_MS: f64 = 100.0;

impl Limit {
    /// What a latency may be beside the stable version's: both must be exceeded for a failure.
    pub fn latency_bound(&self, beside: f64) -> Option<f64> {
        let floor = self.floor_ms.unwrap_or(LATENCY_FLOOR_MS);
        self.relative.map(|times| (beside * times).max(beside + floor))
    }
}

/// Which side of the limit is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    AtMost,
    AtLeast,
}

/// What a look says. Undecided and error never advance a release and never pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Pass,
    /// Too few requests, or the interval holds the limit.
    Undecided,
    /// The source gave no answer.
    Error,
    Fail,
}

impl Verdict {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Undecided => "undecided",
            Self::Error => "error",
            Self::Fail => "fail",
        }
    }
}

/// What the source reported for one version in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    pub requests: f64,
    pub errors: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90_ms: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
}

impl Counts {
    /// Share of answers that are not errors, percent; `None` without requests.
    pub fn success_percent(&self) -> Option<f64> {
        (self.requests > 0.0).then(|| (1.0 - self.errors / self.requests) * 100.0)
    }

    /// Keeps a quantile that was measured; only 50, 90, 95 and 99 have a place.
    pub fn measured(&mut self, quantile: u8, ms: Option<f64>) {
        match quantile {
            50 => self.p50_ms = ms,
            90 => self.p90_ms = ms,
            95 => self.p95_ms = ms,
            99 => self.p99_ms = ms,
            _ => {}
        }
    }

    /// The quantile in milliseconds, where it was measured.
    pub fn quantile(&self, quantile: u8) -> Option<f64> {
        match quantile {
            50 => self.p50_ms,
            90 => self.p90_ms,
            95 => self.p95_ms,
            99 => self.p99_ms,
            _ => None,
        }
    }
}

/// Everything that one look saw: enough to judge it again against other limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seen {
    /// `None` = the source had nothing about the version.
    pub candidate: Option<Counts>,
    pub stable: Option<Counts>,
    /// Answers to custom queries, one for each metric (candidate, stable); `None` = no (single) number.
    pub custom: Vec<(Option<f64>, Option<f64>)>,
    /// Why there is nothing, when the source failed as a whole.
    pub error: Option<String>,
    /// What was counted since the step's split was seen; asked for only where the window held too few requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
}

/// Counts of the time since a split was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Since {
    /// How long that is, seconds.
    pub seconds: u32,
    pub candidate: Option<Counts>,
    pub stable: Option<Counts>,
}

impl Seen {
    /// What a verdict rests on, candidate first: the window; where it holds too few requests of the candidate and the
    /// time since the split was seen holds enough, that.
    pub fn basis(&self, least: u32) -> (Option<Counts>, Option<Counts>) {
        let enough = |counts: &Option<Counts>| counts.is_some_and(|held| held.requests >= f64::from(least));
        match &self.since {
            Some(since) if !enough(&self.candidate) && enough(&since.candidate) => {
                (since.candidate, since.stable)
            }
            _ => (self.candidate, self.stable),
        }
    }

    /// How many requests of the candidate there are to judge by: as many as the verdict rests on; while both the window
    /// and the time since the split was seen hold too few, the greater of them.
    pub fn counted(&self, least: u32) -> f64 {
        let of = |counts: Option<Counts>| counts.map_or(0.0, |counts| counts.requests);
        let rests_on = of(self.basis(least).0);
        if rests_on >= f64::from(least) {
            return rests_on;
        }
        rests_on.max(of(self.since.as_ref().and_then(|since| since.candidate)))
    }
}

/// How one look was judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    pub at_ms: i64,
    /// The step that was under way (from 0).
    pub step: usize,
    pub verdict: Verdict,
    pub metrics: Vec<MetricJudgement>,
    pub seen: Seen,
}

/// How one metric was judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricJudgement {
    /// Its place in the list of the analysis.
    pub metric: usize,
    pub verdict: Verdict,
    /// The candidate's value: percent, milliseconds, or the query's number.
    pub value: Option<f64>,
    /// The stable version's.
    pub beside: Option<f64>,
    /// The interval in which the candidate's true value lies, where there is one (low, high).
    pub interval: Option<(f64, f64)>,
    /// Which bound decided.
    pub limit: Option<f64>,
    pub why: Why,
}

/// Why a metric was judged so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    Within,
    BeyondAbsolute,
    BeyondRelative,
    /// Fewer requests than the minimum.
    TooFew,
    /// The interval holds the limit.
    NotSure,
    /// The stable version has no share of the requests any more.
    NotComparable,
    /// The source has no number for it.
    NoData,
    /// The source failed.
    SourceFailed,
}

impl Why {
    /// The word of the API and of the catalogues (`why.<word>`).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Within => "within",
            Self::BeyondAbsolute => "beyond_absolute",
            Self::BeyondRelative => "beyond_relative",
            Self::TooFew => "too_few",
            Self::NotSure => "not_sure",
            Self::NotComparable => "not_comparable",
            Self::NoData => "no_data",
            Self::SourceFailed => "source_failed",
        }
    }
}
