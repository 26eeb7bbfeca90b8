//! The demo's content: its cluster, its routing, its traffic.

mod cluster;
mod known_answers;
mod router;
mod traffic;
mod two_opinions;
