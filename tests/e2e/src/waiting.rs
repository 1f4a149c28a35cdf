//! Waiting for what a test can't be told: asked again and again, up to a bound.

use std::time::{Duration, Instant};

/// Waits until it is so; panics when it is not within the bound.
pub async fn until(what: &str, bound: Duration, mut holds: impl AsyncFnMut() -> bool) {
    until_ok(bound, async || if holds().await { Ok(()) } else { Err(what.to_owned()) }).await;
}

/// Waits until it is so; panics with what is missing when it is not within the bound.
pub async fn until_ok(bound: Duration, mut holds: impl AsyncFnMut() -> Result<(), String>) {
    let begun = Instant::now();
    while let Err(missing) = holds().await {
        assert!(begun.elapsed() < bound, "not within {bound:?}: {missing}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
