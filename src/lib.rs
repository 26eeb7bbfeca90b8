//! Sluice: move traffic between versions of a service, and prove afterwards what happened.
//!
//! # The map
//!
//! ```text
//!                browser ─┐                         ┌─ Kubernetes API
//!                portal ──┤  web ──► services ──► cluster
//!                         │   │         ├──────► store ─── SQLite
//!                         │   ▼         ├──────► metrics ─ Prometheus
//!                         │  views      ▼
//!                         └────────  routing, release (pure) ── domain (pure)
//! ```
//!
//! Read it in the order of the modules below: the words first, then the decisions, then the
//! modules that do I/O, then the use cases, then the interfaces.
//!
//! # What must stay true
//!
//! 1. `domain`, `routing`, `release` and `views` do no I/O, read no clock and cannot panic on input.
//! 2. A [`domain::split::Split`] sums to 100; a [`domain::plan::Plan`] cannot be built in a breaking order.
//! 3. Nothing is written to the cluster except through `cluster::apply`: a plan of routing objects, or one workload or
//!    pod of a release.
//! 4. Every cluster write, pods' labels included, has a durable audit row before it and exactly one outcome row after.
//! 5. We PUT objects that we read, changed in place, with the `resourceVersion` that we read.
//! 6. HTML and JSON call the same `services` function; neither holds a rule that the other lacks.
//! 7. A decision to write is made on a fresh GET, never on the watch cache.
//!
//! 8. A release's next state, its pending actions and its row of the history are one transaction.
//!
//! Which module may use which is a table in `tests/it/tidy.rs`, and a failing test when broken. How the modules work
//! together: `docs/architecture.md`; the words: `docs/glossary.md`.

rust_i18n::i18n!("templates/locales", fallback = "en");

pub mod domain;
pub mod release;
pub mod routing;
pub mod views;

pub mod clock;
pub mod cluster;
pub mod metrics;
pub mod store;

pub mod services;
pub mod web;

pub mod demo;

pub mod app;
pub mod config;
pub mod telemetry;
