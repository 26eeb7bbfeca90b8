//! HTTP: the doors of the house. Pages for people, an API for programs, live streams for both.
//!
//! `app` builds the router and the listener; requests end in the functions of `services`. Nothing here
//! decides what is allowed or right: a handler reads the request, asks a use case, shows the answer.

pub mod listen;
pub mod stall;
