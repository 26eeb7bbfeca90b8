//! The cluster as our clients meet it: one list of behaviours for every API server that tests use, and the
//! troubles that only the one in memory can be ordered to have.

mod behaviours;
mod in_memory;
mod real;
mod troubles;
mod webhook;
