//! All tests that cross a module, in one binary. `cluster` compares the API server of the demo with a real one;
//! `cluster_room` tests `src/cluster`; most other folders have the name of their module.

#![expect(clippy::unwrap_used, reason = "a panic in a helper fails the test that called it")]

mod audit_cli;
mod cluster;
mod cluster_room;
mod demo;
mod deploy;
mod docs;
mod end_to_end;
mod metrics;
mod real_cluster;
mod release;
mod routing;
mod services;
mod shapes;
mod store;
mod support;
mod tidy;
mod traffic;
mod views;
mod web;
