//! Cache: small values with a time to live, which may vanish at any moment.
//!
//! The trait, its limits, its grant and the cache inside the process. A cache never has the only copy of anything.

mod grant;
mod in_process;
mod reads;
mod template;

use async_trait::async_trait;
use bytes::Bytes;

pub use grant::{Grant, KeyAccess};
pub use in_process::InProcess;
pub use reads::Reads;
pub use template::KeyTemplate;

/// The longest key, in bytes.
pub const MAX_KEY: usize = 512;
/// The largest value, in bytes.
pub const MAX_VALUE: usize = 1 << 20;
/// The longest time to live, in seconds: 30 days.
pub const MAX_TTL: u32 = 30 * 24 * 3600;
/// The longest list under one key.
pub const MAX_RECENT: u32 = 1_000;
/// The largest value of a list, in bytes: all values of the longest list have 16 MiB, as the largest answer of documents.
pub const MAX_ENTRY: usize = 16 << 10;

/// The most keys that are read or filled at once.
pub const MAX_MANY: usize = 1_000;

/// For how long after an invalidation no fill stores a value that was read before it, in seconds: longer than [`FILLS`].
pub const HOLD: u32 = 60;
/// For how long from its begin a call may fill the cache with what it has read, in milliseconds. A call may take longer; what it
/// read may then be older than an invalidation that is not held any more.
const FILLS: u64 = 45_000;

/// Why a cache did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The key, value or time to live is outside its range, or there is a value of another kind.
    #[error("{0}")]
    Invalid(String),
    /// The store did not answer; whether a write happened is not known.
    #[error("the cache is not available: {0}")]
    Unavailable(String),
}

/// What a look at a key finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// A value.
    Value(Bytes),
    /// None.
    Absent(Absence),
}

impl Looked {
    /// The value, if there is one.
    pub fn value(self) -> Option<Bytes> {
        match self {
            Looked::Value(value) => Some(value),
            Looked::Absent(_) => None,
        }
    }
}

/// How a key had no value. A mark shows the store, when the key is filled, whether it was changed since the look. Without one
/// nobody can know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Absence(Option<Bytes>);

impl Absence {
    /// With the store's mark.
    pub fn behind(mark: Bytes) -> Self {
        Self(Some(mark))
    }

    /// The store's mark.
    pub fn mark(&self) -> Option<&Bytes> {
        self.0.as_ref()
    }
}

/// A store of small values. All operations on one key are atomic and in some order.
#[async_trait]
pub trait Cache: Send + Sync + 'static {
    /// Whether other hosts share it and it outlives this process. Then an invalidation that fails while it is not available
    /// has to be repeated later.
    fn is_shared(&self) -> bool {
        false
    }
    /// The value under `key`, or how it has none.
    async fn look(&self, key: &str) -> Result<Looked, Error>;
    /// What [`Cache::look`] finds, where it is known without waiting: that costs no future.
    fn look_now(&self, _key: &str) -> Option<Result<Looked, Error>> {
        None
    }
    /// [`Cache::look`] at each of these keys, in their order.
    async fn look_many(&self, keys: &[String]) -> Result<Vec<Looked>, Error> {
        let mut looked = Vec::with_capacity(keys.len());
        for key in keys {
            looked.push(self.look(key).await?);
        }
        Ok(looked)
    }
    /// The value under `key`.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, Error> {
        Ok(self.look(key).await?.value())
    }
    /// Stores a value if the key still has none in the way that was seen, which it has not when it was invalidated since. So what
    /// was read from the store after the look is not older than what invalidated the key. True when it stored. Where a look found
    /// no mark nothing is stored, and the next look finds one.
    async fn fill(&self, key: &str, seen: &Absence, value: Bytes, ttl: Ttl) -> Result<bool, Error>;
    /// Stores a value; one that is there is replaced.
    async fn set(&self, key: &str, value: Bytes, ttl: Ttl) -> Result<(), Error>;
    /// Stores a value unless there is one; true when it stored.
    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Ttl) -> Result<bool, Error>;
    /// Stores a value if the one there is exactly `expected`; true when it stored.
    async fn compare_and_set(&self, key: &str, expected: Option<Bytes>, value: Bytes, ttl: Ttl) -> Result<bool, Error>;
    /// Removes the value; true when there was one.
    async fn delete(&self, key: &str) -> Result<bool, Error>;
    /// Removes the value under `key`, and lets no [`Cache::set_if_absent`] store one for the time of `hold`, nor a
    /// [`Cache::fill`] of who looked before, so that a caller that read the store before the change does not bring the old value
    /// back.
    async fn invalidate(&self, key: &str, hold: Ttl) -> Result<(), Error>;
    /// Adds to a counter; it gets its time to live only from the call that creates it.
    async fn increment(&self, key: &str, by: i64, ttl: Ttl) -> Result<i64, Error>;
    /// Puts a value of at most [`MAX_ENTRY`] at the head of a list and keeps the first `keep`; returns the new length.
    async fn push_recent(&self, key: &str, value: Bytes, keep: u32, ttl: Ttl) -> Result<u32, Error>;
    /// Stores a list of values of at most [`MAX_ENTRY`] each, newest first, unless there is a value; true when it stored.
    async fn fill_recent(&self, key: &str, values: Vec<Bytes>, ttl: Ttl) -> Result<bool, Error>;
    /// The newest values of a list, newest first; none when there is no list.
    async fn recent(&self, key: &str, limit: u32) -> Result<Option<Vec<Bytes>>, Error>;
}

/// A time to live between a second and [`MAX_TTL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl(u32);

impl Ttl {
    /// From seconds; outside the range is refused.
    pub fn seconds(seconds: u32) -> Result<Self, Error> {
        if (1..=MAX_TTL).contains(&seconds) {
            return Ok(Self(seconds));
        }
        Err(Error::Invalid(format!("a time to live takes 1 to {MAX_TTL} seconds, not {seconds}")))
    }

    /// The nearest one in the range.
    pub fn clamped(seconds: u64) -> Self {
        Self(u32::try_from(seconds).unwrap_or(MAX_TTL).clamp(1, MAX_TTL))
    }

    /// Up to a tenth shorter, at random, so that values that were filled together do not expire together.
    #[must_use]
    pub fn jittered(self) -> Self {
        let byte = u32::from(super::random::bytes::<1>()[0]);
        Self((self.0 - self.0 / 10 * byte / 255).max(1))
    }

    /// In milliseconds.
    pub fn millis(self) -> u64 {
        u64::from(self.0) * 1_000
    }
}

/// Whether a call that began at `begun` may fill the cache at `now` with what it has read; milliseconds since 1970.
pub fn may_fill(begun: u64, now: u64) -> bool {
    now.saturating_sub(begun) < FILLS
}

/// Checks a key that comes from a component.
pub fn check_key(key: &str) -> Result<(), Error> {
    if key.is_empty() || key.len() > MAX_KEY || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::Invalid(format!("a key takes 1 to {MAX_KEY} printable ASCII characters without spaces")));
    }
    Ok(())
}

/// Checks how many values a list is to keep.
pub fn check_length(values: usize) -> Result<(), Error> {
    if (1..=MAX_RECENT as usize).contains(&values) {
        return Ok(());
    }
    Err(Error::Invalid(format!("a list keeps 1 to {MAX_RECENT} values, not {values}")))
}

/// Checks the size of a list's value.
pub fn check_entry(value: &[u8]) -> Result<(), Error> {
    if value.len() > MAX_ENTRY {
        return Err(Error::Invalid(format!("a value of a list takes at most {MAX_ENTRY} bytes, not {}", value.len())));
    }
    Ok(())
}

/// Checks a value that comes from a component.
pub fn check_value(value: &[u8]) -> Result<(), Error> {
    if value.len() > MAX_VALUE {
        return Err(Error::Invalid(format!("a value takes at most {MAX_VALUE} bytes, not {}", value.len())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call may take 300 s: whatever it fills after that long was read before an invalidation that is not held any more.
    #[test]
    fn no_fill_is_older_than_an_invalidation_is_held() {
        let hold = u64::from(HOLD) * 1_000;
        assert!(may_fill(1_000, 1_000) && may_fill(1_000, 11_000));
        // A clock that was set back does not make a call old.
        assert!(may_fill(1_000, 0));
        for took in [hold - 10_000, hold, 300_000, u64::MAX - 1_000] {
            assert!(!may_fill(1_000, 1_000 + took), "{took}");
        }
    }
}
