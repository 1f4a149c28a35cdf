//! Clocks: the host's time, and one that a test sets.
//!
//! Everything in the host that compares with "now" asks a [`Clock`], so that a test can move it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> u64;
    /// Nanoseconds since some moment of the past; never goes back.
    fn monotonic(&self) -> u64;
}

/// The machine's clock.
pub struct System {
    start: Instant,
}

impl Default for System {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for System {
    fn now(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A clock that moves only by [`Manual::advance`] and [`Manual::set`].
pub struct Manual {
    millis: AtomicU64,
}

impl Manual {
    /// Standing at `millis` since 1970.
    pub fn at(millis: u64) -> Self {
        Self { millis: AtomicU64::new(millis) }
    }

    /// Moves on.
    pub fn advance(&self, millis: u64) {
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }

    /// Moves to a time, earlier or later.
    pub fn set(&self, millis: u64) {
        self.millis.store(millis, Ordering::SeqCst);
    }
}

impl Clock for Manual {
    fn now(&self) -> u64 {
        self.millis.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> u64 {
        self.now().saturating_mul(1_000_000)
    }
}
