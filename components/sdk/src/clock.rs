//! The time as the host has it; in the harness, as the test set it.
//! A unit test on the machine gets the machine's time.

use crate::bson::DateTime;

/// The present moment, in whole milliseconds.
pub fn now() -> DateTime {
    DateTime::from_millis(i64::try_from(millis()).unwrap_or(i64::MAX))
}

#[cfg(target_arch = "wasm32")]
fn millis() -> u64 {
    crate::bindings::imports::clocks::now()
}

#[cfg(not(target_arch = "wasm32"))]
fn millis() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Nanoseconds since some moment of the past, to measure how long something takes; never goes back.
#[cfg(target_arch = "wasm32")]
pub fn monotonic() -> u64 {
    crate::bindings::imports::clocks::monotonic()
}

/// Nanoseconds since some moment of the past, to measure how long something takes; never goes back.
#[cfg(not(target_arch = "wasm32"))]
pub fn monotonic() -> u64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    u64::try_from(START.get_or_init(std::time::Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}
