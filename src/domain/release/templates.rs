//! The three templates that everybody has: lists of steps and an analysis to start from.

use serde::{Deserialize, Serialize};

use super::analysis::{Analysis, LATENCY_FLOOR_MS, Limit, Metric};
use super::spec::{OnFailure, Policies, Step, Strategy};

/// Fewer requests than this say nothing about an error rate.
pub const FEWEST: u32 = 20;

/// A template by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    /// Small steps, long holds, a person's approval in the middle.
    Careful,
    /// Three steps of minutes.
    Quick,
    /// Unattended: hours between steps, and it goes back by itself.
    ByNight,
}

impl Template {
    pub const ALL: [Self; 3] = [Self::Careful, Self::Quick, Self::ByNight];

    /// The word of the API and of the catalogues.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Careful => "careful",
            Self::Quick => "quick",
            Self::ByNight => "by_night",
        }
    }

    /// Reads the word of the API.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|template| template.as_str() == word)
    }

    /// The steps of a strategy. `replicas` = pods of the stable version (only the strategy `replicas` asks).
    pub fn steps(self, strategy: Strategy, replicas: u32) -> Vec<Step> {
        let hold = |seconds| Step::Hold { seconds };
        let pause = match self {
            Self::Careful => 600,
            Self::Quick => 60,
            Self::ByNight => 3_600,
        };
        let shares: &[u8] = match self {
            Self::Careful => &[1, 5, 10, 25, 50],
            Self::Quick => &[10, 50],
            Self::ByNight => &[5, 20, 50],
        };
        let mut steps = Vec::new();
        match strategy {
            Strategy::Canary => {
                for percent in shares {
                    steps.push(Step::Weight { percent: *percent });
                    steps.push(hold(pause));
                }
                if self == Self::Careful {
                    steps.push(Step::Approval);
                }
                steps.push(Step::Weight { percent: 100 });
            }
            Strategy::Replicas => {
                let mut last = 0;
                for percent in shares {
                    let count = (replicas * u32::from(*percent)).div_ceil(100);
                    if count > last && count < replicas {
                        steps.push(Step::Replicas { candidate: count, stable: Some(replicas - count) });
                        steps.push(hold(pause));
                        last = count;
                    }
                }
                if steps.is_empty() {
                    // Too few pods for a part of them: both run side by side while the analysis looks.
                    steps.push(Step::Replicas { candidate: replicas, stable: Some(replicas) });
                    steps.push(hold(pause));
                }
                if self == Self::Careful {
                    steps.push(Step::Approval);
                }
                steps.push(Step::Replicas { candidate: replicas, stable: Some(0) });
            }
            Strategy::BlueGreen => {
                if self == Self::Careful {
                    steps.push(Step::Approval);
                }
                steps.push(Step::Weight { percent: 100 });
                steps.push(hold(pause));
            }
            Strategy::Mirror => {
                steps.push(Step::Mirror { percent: if self == Self::Careful { 10 } else { 100 } });
                steps.push(hold(pause));
                if self != Self::ByNight {
                    steps.push(Step::Approval);
                }
                steps.push(Step::Mirror { percent: 0 });
                steps.push(Step::Weight { percent: 10 });
                steps.push(hold(pause));
                steps.push(Step::Weight { percent: 100 });
            }
            Strategy::AbTest => {
                steps.push(Step::Rules { when: Vec::new() });
                steps.push(hold(pause));
                if self != Self::ByNight {
                    steps.push(Step::Approval);
                }
                steps.push(Step::Weight { percent: 50 });
                steps.push(hold(pause));
                steps.push(Step::Weight { percent: 100 });
            }
        }
        steps
    }

    /// What is measured.
    pub fn analysis(self) -> Analysis {
        let success = Metric::SuccessRate {
            limit: Limit { absolute: Some(99.0), relative: Some(1.0), floor_ms: None },
        };
        let beside = Limit { absolute: None, relative: Some(1.5), floor_ms: Some(LATENCY_FLOOR_MS) };
        let latency = Metric::Latency { quantile: 95, limit: beside };
        let (interval_s, window_s, min_requests, failures) = match self {
            Self::Careful => (60, 300, 200, 3),
            Self::Quick => (15, 60, 100, 2),
            Self::ByNight => (60, 300, 200, 2),
        };
        Analysis { interval_s, window_s, min_requests, failures, metrics: vec![success, latency] }
    }

    /// The same for a service that gets `rate` requests a second and whose stable version has `pods` pods: as many
    /// requests as the smallest share brings in one window of its hold, so that each step can be judged in its time.
    /// Never fewer than [`FEWEST`].
    pub fn analysis_at(self, strategy: Strategy, pods: u32, rate: Option<f64>) -> Analysis {
        let mut out = self.analysis();
        let Some(rate) = rate.filter(|rate| *rate > 0.0) else { return out };
        let window = u64::from(out.window_s);
        let mut share = 0.0;
        let mut least = f64::INFINITY;
        for step in self.steps(strategy, pods.max(1)) {
            match step {
                Step::Weight { percent } | Step::Mirror { percent } => share = f64::from(percent) / 100.0,
                Step::Replicas { candidate, stable } => {
                    share = f64::from(candidate) / f64::from((candidate + stable.unwrap_or(pods)).max(1));
                }
                Step::Hold { seconds } if share > 0.0 => {
                    let seconds = u32::try_from(seconds.min(window)).unwrap_or(u32::MAX);
                    least = least.min(rate * share * f64::from(seconds));
                }
                _ => {}
            }
        }
        // Traffic comes unevenly: a fifth less than expected is still enough.
        let expected = least * 0.8;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between two small numbers"
        )]
        let fits = expected.clamp(f64::from(FEWEST), f64::from(out.min_requests)) as u32;
        out.min_requests = fits;
        out
    }

    /// What happens when it goes wrong.
    pub fn policies(self) -> Policies {
        let on_failure = if self == Self::Careful { OnFailure::Pause } else { OnFailure::Abort };
        let on_deadline = if self == Self::ByNight { OnFailure::Abort } else { OnFailure::Pause };
        Policies { on_failure, on_deadline, ..Policies::default() }
    }
}
