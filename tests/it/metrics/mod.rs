//! The metrics module: against a small server that plays Prometheus, and against sources that are slow.

mod mapping;
mod prometheus;
mod real;
mod shared;
mod support;
