//! All tests that cross a room: one binary, its folders mirror `src`.

mod cluster;
mod metrics;
