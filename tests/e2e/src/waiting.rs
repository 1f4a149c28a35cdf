//! Waiting for what a test can't be told: asked again and again, up to a bound.

use std::time::{Duration, Instant};

/// Waits until it is so; panics when it is not within the bound.
pub async fn until(what: &str, bound: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < bound, "not within {bound:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
