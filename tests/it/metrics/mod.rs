//! The metrics room: against a small server that plays Prometheus, and against sources that are slow.

mod mapping;
mod prometheus;
mod shared;
mod support;
