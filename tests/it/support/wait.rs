//! Waiting for real parts. Used by tests and by the benches that start real parts; asserts nothing else.

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
