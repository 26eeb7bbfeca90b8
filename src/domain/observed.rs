//! What the metrics show of a service: counts per version in a window, and how sure one can be.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ids::{ObjectRef, VersionName};
use super::istio::HttpMatch;

/// Counts of one version's requests in a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VersionTraffic {
    pub version: VersionName,
    /// Requests in the window (an increase, so it may be fractional).
    pub requests: f64,
    /// Of them, those answered 5xx or not at all.
    pub errors: f64,
    /// 95th percentile of the duration, milliseconds.
    pub p95_ms: Option<f64>,
}

/// What was seen of one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Length of the window in seconds.
    pub window_s: u32,
    /// When it was read, milliseconds since 1970.
    pub at_ms: i64,
    pub versions: Vec<VersionTraffic>,
}

/// Below this many requests a share is not judged.
pub const ENOUGH: f64 = 100.0;

impl Observed {
    /// All requests in the window.
    pub fn requests(&self) -> f64 {
        self.versions.iter().map(|version| version.requests).sum()
    }

    /// Requests a second.
    pub fn rate(&self) -> f64 {
        self.requests() / f64::from(self.window_s.max(1))
    }

    /// Share of answers that are not errors, 0..=1; `None` without requests.
    pub fn success(&self) -> Option<f64> {
        let all = self.requests();
        (all > 0.0).then(|| 1.0 - self.versions.iter().map(|v| v.errors).sum::<f64>() / all)
    }

    /// The slowest version's 95th percentile, milliseconds.
    pub fn p95_ms(&self) -> Option<f64> {
        self.versions.iter().filter_map(|v| v.p95_ms).reduce(f64::max)
    }

    /// The version's counts, if it had any.
    pub fn of(&self, version: &str) -> Option<&VersionTraffic> {
        self.versions.iter().find(|v| v.version.as_str() == version)
    }

    /// The version's share in percent, 0..=100; `None` without any requests.
    pub fn share(&self, version: &str) -> Option<f64> {
        let all = self.requests();
        (all > 0.0).then(|| self.of(version).map_or(0.0, |v| v.requests) * 100.0 / all)
    }

    /// The version's share in whole percent as people say it; `None` when it answered nothing.
    pub fn answered_percent(&self, version: &str) -> Option<String> {
        let share = self.share(version).filter(|share| *share > 0.0)?;
        Some(if share < 1.0 { "<1".to_owned() } else { format!("{share:.0}") })
    }

    /// True when there are too few requests to speak of shares.
    pub fn too_few(&self) -> bool {
        self.requests() < ENOUGH
    }
}

/// Below this many requests of a version its success rate says nothing.
pub const ENOUGH_TO_JUDGE: f64 = 20.0;

impl VersionTraffic {
    /// The success rate in percent where there are enough requests to judge it and it is below the limit.
    pub fn poor_percent(&self, min_success_percent: f64) -> Option<f64> {
        let percent = self.success()? * 100.0;
        (self.requests >= ENOUGH_TO_JUDGE && percent < min_success_percent).then_some(percent)
    }

    /// Share of answers that are not errors, 0..=1; `None` without requests.
    pub fn success(&self) -> Option<f64> {
        (self.requests > 0.0).then(|| 1.0 - self.errors / self.requests)
    }
}

/// The Wilson score interval of `hits` in `n` trials at 99 % confidence, in percent (low, high).
/// Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
pub fn interval(hits: f64, n: f64) -> (f64, f64) {
    const Z: f64 = 2.575_829_303_548_9;
    if n <= 0.0 {
        return (0.0, 100.0);
    }
    let p = (hits / n).clamp(0.0, 1.0);
    let z2 = Z * Z;
    let middle = p + z2 / (2.0 * n);
    let reach = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    // Exactly, where rounding would leave 99.999… and so exclude what was seen.
    let low = if hits <= 0.0 { 0.0 } else { ((middle - reach) / scale).max(0.0) * 100.0 };
    let high = if hits >= n { 100.0 } else { ((middle + reach) / scale).min(1.0) * 100.0 };
    (low, high)
}

/// What a source of metrics counted for one workload behind one service, before versions are distinguished.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub service: Arc<str>,
    /// The Deployment or StatefulSet that answered; `unknown` when none did.
    pub workload: Arc<str>,
    /// The version label as the mesh saw it; `unknown` or empty where there is none.
    pub version: Arc<str>,
    /// Requests (or, for TCP, connections) in the window.
    pub requests: f64,
    /// Of them, those answered 5xx or not at all.
    pub errors: f64,
    /// 95th percentile of the duration, milliseconds.
    pub p95_ms: Option<f64>,
}

/// How often one route of a VirtualService was taken. Named by what it matches, not by its place, so
/// that a reordered rule keeps its count and never gets another's.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteHits {
    /// The object that holds the route.
    pub object: ObjectRef,
    /// The `match` of the route; empty = the route without a match.
    pub when: Vec<HttpMatch>,
    pub requests: f64,
}

/// How often the rules of one service were taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hits {
    /// Requests for each rule, in the order of the rules.
    pub rules: Vec<f64>,
    /// Requests that no rule took: those of the default route.
    pub rest: f64,
}
