//! Requests of the pages and the API to the use cases.

use crate::domain::command::TrafficChange;
use crate::domain::ids::{Revision, ServiceRef, VersionName};

/// A change that is requested.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeAsk {
    pub service: ServiceRef,
    pub wish: Wish,
    /// The revision that the person saw. Take over and switch back may leave it out.
    pub expected: Option<Revision>,
    pub reason: String,
    /// Codes of checks that the person accepts.
    pub ack: Vec<String>,
    /// Names this request in history and logs.
    pub request_id: String,
    /// From the preview, when the page showed one; must name the same command on the same revision.
    pub preview_id: Option<String>,
}

/// The things that can be asked of a service's traffic.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    Set(TrafficChange),
    TakeOver(VersionName),
    SwitchBack(Revision),
    /// Take a version without traffic out of the routing. Its workloads go with it when a person asks; a release
    /// deletes them by an action of its own.
    Retire(VersionName),
}
