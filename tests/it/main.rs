//! All tests that cross a room: one binary, its folders mirror `src`.

mod support;

mod cluster;
mod metrics;

mod deploy;
mod real_cluster;
