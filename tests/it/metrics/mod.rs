//! The metrics room: against a small server that plays Prometheus, and against sources that are slow.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod mapping;
mod prometheus;
mod shared;
mod support;
