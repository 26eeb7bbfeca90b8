//! What the mesh counted: requests, errors and durations per version, from Prometheus (or, in the demo,
//! from the traffic generator). `services` asks [`Metrics`]; only `app` chooses the [`Source`].
//!
//! Nothing here may turn missing, partial or strange data into a number: it is "no data", with the cause.
//! Nothing here may hold up a page for more than [`PATIENCE`].

pub mod source;

mod answer;
mod mapping;
pub mod post;
pub mod prometheus;
pub mod queries;

mod shared;

pub use prometheus::Prometheus;
pub use shared::{Health, Look, Metrics, PATIENCE};
pub use source::{Latency, MetricsError, Notice, Source};
