//! The demo's content: its cluster, its routing, its traffic.

mod cluster;
mod router;
