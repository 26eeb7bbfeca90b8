//! The metrics of an analysis as fields of the form.

use super::fields::{MetricField, plain};
use crate::domain::release::{Direction, Metric};

fn some(number: Option<f64>) -> String {
    number.map(plain).unwrap_or_default()
}

impl MetricField {
    pub(super) fn of(metric: &Metric) -> Self {
        let limit = metric.limit();
        let mut out = Self {
            on: true,
            kind: metric.kind().to_owned(),
            absolute: some(limit.absolute),
            relative: some(limit.relative),
            floor: some(limit.floor_ms),
            direction: "at_most".to_owned(),
            ..Self::default()
        };
        match metric {
            Metric::SuccessRate { .. } => {}
            Metric::Latency { quantile, .. } => out.quantile = quantile.to_string(),
            Metric::Custom { name, query, direction, .. } => {
                out.name.clone_from(name);
                out.query.clone_from(query);
                if *direction == Direction::AtLeast {
                    "at_least".clone_into(&mut out.direction);
                }
            }
        }
        out
    }

    /// Metrics that can be switched on, after those that are.
    pub(super) fn offered(mut given: Vec<Self>) -> Vec<Self> {
        let off = |kind: &str, quantile: &str| Self {
            kind: kind.to_owned(),
            quantile: quantile.to_owned(),
            direction: "at_most".to_owned(),
            ..Self::default()
        };
        for (kind, quantile) in [("success_rate", ""), ("latency", "95"), ("latency", "99"), ("custom", "")] {
            if !given.iter().any(|one| one.kind == kind && (kind != "latency" || one.quantile == quantile)) {
                given.push(off(kind, quantile));
            }
        }
        given
    }
}
