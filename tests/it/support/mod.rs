//! What several tests need to stand on. Used by tests only; asserts nothing about Sluice itself.

pub mod app;
pub mod cluster;
pub mod deploy;
pub mod house;
pub mod manager;
pub mod mesh;
pub mod served;

use std::time::Duration;

/// Asks until there is an answer; fails with `what` after 60 s. For real parts only, which have
/// no clock that a test could turn.
pub async fn wait_for<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), asking)
        .await
        .unwrap_or_else(|_| panic!("not in 60 s: {what}"))
}

/// A number that the environment may set: more of something than CI has time for.
pub fn number(name: &str, usual: usize) -> usize {
    let set = std::env::var_os(name);
    set.map_or(usual, |text| text.to_str().and_then(|text| text.parse().ok()).expect("a number"))
}
