//! The machine of releases: its table, random lives of it, and its verdicts.

mod approvals;
mod candidate;
mod clocks;
mod freezes;
mod judging;
mod lives;
mod lost;
mod model;
mod overruling;
mod scaling;
mod table;
mod wishes;

use sluice::domain::ids::ServiceRef;
use sluice::domain::release::analysis::{Limit, Metric};
use sluice::domain::release::{Analysis, Candidate, Policies, Spec, Step, Strategy};

/// A release of `shop/reviews` from v1 to v2 by these steps.
pub fn spec(strategy: Strategy, steps: Vec<Step>) -> Spec {
    Spec {
        service: ServiceRef::new("shop", "reviews"),
        strategy,
        stable: "v1".into(),
        candidate: Candidate::Image {
            version: "v2".into(),
            image: "shop/reviews:2".into(),
            replicas: None,
            in_place: false,
        },
        steps,
        analysis: None,
        policies: Policies::default(),
        name: String::new(),
    }
}

pub fn analysis() -> Analysis {
    Analysis {
        interval_s: 10,
        window_s: 60,
        min_requests: 100,
        failures: 2,
        metrics: vec![Metric::SuccessRate { limit: Limit { absolute: Some(99.0), ..Limit::default() } }],
    }
}
