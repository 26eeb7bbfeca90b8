//! The sample applications: who calls whom, and what comes of it. Written against `traffic::mesh`, so each call
//! is routed for real. Used by the traffic generator and by the demo's pages; knows no routing object.

pub mod bookinfo;
pub mod shop;
pub mod weather;
