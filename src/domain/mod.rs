//! The types of the domain: services, splits, routing, plans, refusals, releases. Every module uses them; they use
//! no other module.
//!
//! Pure: no I/O, no clock, no randomness, and no input makes them panic. Wire shapes belong to
//! `web/api`, rows to `store`; what stands here is what both of them talk about.

pub mod host_config;
pub mod ids;
pub mod split;

pub mod istio;
pub mod labels;
pub mod owner;
pub mod service;
pub mod version_slots;
pub mod versions;

pub mod affix;
pub mod observed;
pub mod routing;
pub mod rule_changes;
pub mod snapshot;

pub mod check;
pub mod command;
pub mod plan;
pub mod refusal;
pub mod removal;

pub mod class;
pub mod code;

pub mod actor;
pub mod as_of;
pub mod audit;
pub mod by_pods;
pub mod progress;
pub mod session;

pub mod agreement;
pub mod live_object;
pub mod overview;

pub mod release;
pub mod release_entries;
