//! HTTP: pages for people, an API for programs, live streams for both.
//!
//! `app` builds the router and the listener; requests end in the functions of `services`. Nothing here
//! decides what is allowed or right: a handler reads the request, asks a use case, shows the answer.
//!
//! A request passes, from the outside in: [`frame`] (id, log, headers, rendering of errors),
//! compression, [`guard`] (host, length), [`auth`] (who asks), [`gate`] (the whole body, capacity, time limit),
//! and then its handler.

mod forwarded;
mod lines;
pub mod listen;
mod stall;

pub mod demand;
mod routes;
pub mod site;

mod assets;
mod caller;
mod error;
pub mod frame;
mod gate;
mod guard;
mod guesses;
mod health;
mod incoming;
mod local;
mod respond;
mod shares;
mod squeeze;
mod throttle;

mod auth;
mod chrome;

pub mod api;
mod export;

mod answers;
mod events;
mod live;
mod rows;

pub mod demo_pages;
mod pages;

pub use demo_pages::DemoVisits;
pub use routes::{Access, RouteInfo, demand_of, router, routes};
pub use site::App;
