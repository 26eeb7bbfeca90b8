//! What several tests need to stand on. Used by tests only; asserts nothing about Sluice itself.

pub mod app;
pub mod cluster;
pub mod deploy;
pub mod house;
pub mod manager;
pub mod mesh;
pub mod served;
pub mod tmpfs;
mod wait;

pub use wait::wait_for;

/// A number that the environment may set: more of something than CI has time for.
pub fn number(name: &str, usual: usize) -> usize {
    let set = std::env::var_os(name);
    set.map_or(usual, |text| text.to_str().and_then(|text| text.parse().ok()).expect("a number"))
}
