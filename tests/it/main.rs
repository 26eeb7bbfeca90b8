//! Tests.

mod metrics;
