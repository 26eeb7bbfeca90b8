//! The use cases on the sample cluster in memory, through the real client and a real history.

mod history_troubles;
mod instances;
mod lists;
mod outside;
mod reached;
mod recovery;
mod releases;
mod releases_accepted;
mod releases_ahead;
mod releases_back;
mod releases_demo;
mod releases_given_back;
mod releases_killed;
mod releases_load;
mod releases_mirror;
mod releases_overruled;
mod releases_plan;
pub mod releases_real;
mod releases_refused;
mod releases_trouble;
mod restoring;
mod retire;
mod retired_back;
mod standstill;
mod traffic;
mod troubles;
mod way_back;
