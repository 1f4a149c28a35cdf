//! The client cache: values of Redis in this process, so that a hit costs no round trip.
//!
//! It is valid for [`VALID_FOR`] after the last answer on the connection that carries the invalidations. An invalidation, or
//! a write of this process, increments the version of its key; a reply to a read that started at an older version is not
//! cached, so that no reply in flight brings back an invalidated value.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use moka::sync::Cache;

/// How long the values are valid after an answer of Redis.
const VALID_FOR: Duration = Duration::from_millis(250);
/// The most bytes of all values and keys.
const CAPACITY: u64 = 64 << 20;
/// The longest time to live here; a value with a longer one is read again after this.
const MAX_TTL: Duration = Duration::from_secs(300);
/// Keys share version counters: with more of them fewer replies are discarded needlessly.
const VERSIONS: usize = 256;

/// Cached values of Redis.
pub(crate) struct ClientCache {
    prefixes: Vec<String>,
    values: Cache<String, Entry>,
    versions: Vec<Mutex<u64>>,
    /// Incremented when everything is invalidated.
    generation: AtomicU64,
    begun: Instant,
    /// Until when the values are valid, in milliseconds since `begun`.
    until: AtomicU64,
}

#[derive(Clone)]
struct Entry {
    value: Bytes,
    generation: u64,
    until: Instant,
}

/// The version of a key when a read of it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ReadVersion {
    generation: u64,
    version: u64,
}

#[cfg(test)]
impl ReadVersion {
    /// After the key has changed.
    pub(crate) fn later() -> Self {
        Self { generation: 0, version: 1 }
    }
}

impl ClientCache {
    /// For keys with one of these prefixes.
    pub(super) fn new(prefixes: Vec<String>) -> Self {
        let weight =
            |key: &String, entry: &Entry| u32::try_from(key.len() + entry.value.len() + 64).unwrap_or(u32::MAX);
        Self {
            prefixes,
            values: Cache::builder().max_capacity(CAPACITY).weigher(weight).build(),
            versions: (0..VERSIONS).map(|_| Mutex::new(0)).collect(),
            generation: AtomicU64::new(0),
            begun: Instant::now(),
            until: AtomicU64::new(0),
        }
    }

    /// The prefixes of its keys.
    pub(super) fn prefixes(&self) -> &[String] {
        &self.prefixes
    }

    /// The value of a key, if it is cached and valid.
    pub(crate) fn get(&self, key: &str) -> Option<Bytes> {
        let now = Instant::now();
        if !self.is_valid(now) || !self.covers(key) {
            return None;
        }
        let entry = self.values.get(key)?;
        (entry.generation == self.generation.load(Ordering::Acquire) && entry.until > now).then_some(entry.value)
    }

    /// The version of a key, to be taken before a read of Redis; none when its value can't be cached.
    pub(crate) fn version(&self, key: &str) -> Option<ReadVersion> {
        if !self.covers(key) || !self.is_valid(Instant::now()) {
            return None;
        }
        let generation = self.generation.load(Ordering::Acquire);
        Some(ReadVersion { generation, version: *self.lock(key) })
    }

    /// Caches a value that Redis returned, unless the key has changed since the read started.
    pub(crate) fn fill(&self, key: &str, read: ReadVersion, value: Bytes, ttl: Duration) {
        let version = self.lock(key);
        if *version == read.version {
            let entry = Entry { value, generation: read.generation, until: Instant::now() + ttl.min(MAX_TTL) };
            self.values.insert(key.to_owned(), entry);
        }
    }

    /// The key changes, or has changed.
    pub(crate) fn invalidate(&self, key: &str) {
        if self.covers(key) {
            let mut version = self.lock(key);
            *version += 1;
            self.values.invalidate(key);
        }
    }

    /// Any key may have changed.
    pub(super) fn invalidate_all(&self) {
        self.until.store(0, Ordering::Release);
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.values.invalidate_all();
    }

    /// Redis answered a request of this time, and all invalidations before the answer were applied.
    pub(super) fn answered(&self, sent: Instant) {
        let until = sent.saturating_duration_since(self.begun) + VALID_FOR;
        self.until.store(millis(until), Ordering::Release);
    }

    fn is_valid(&self, now: Instant) -> bool {
        millis(now.saturating_duration_since(self.begun)) < self.until.load(Ordering::Acquire)
    }

    fn covers(&self, key: &str) -> bool {
        self.prefixes.iter().any(|prefix| key.starts_with(prefix.as_str()))
    }

    fn lock(&self, key: &str) -> MutexGuard<'_, u64> {
        // FNV-1a: short, and good enough to spread keys over the counters.
        let hash = key
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let at = usize::try_from(hash % VERSIONS as u64).unwrap_or_default();
        #[expect(clippy::indexing_slicing, reason = "the remainder of a division by the number of counters")]
        self.versions[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn cache() -> ClientCache {
        let cache = ClientCache::new(vec!["user:".into()]);
        cache.answered(Instant::now() + HOUR);
        cache
    }

    fn value() -> Bytes {
        Bytes::from_static(b"v")
    }

    #[test]
    fn a_value_is_kept_until_its_key_changes() {
        let cache = cache();
        let version = cache.version("user:1").unwrap();
        cache.fill("user:1", version, value(), HOUR);
        assert_eq!(cache.get("user:1"), Some(value()));
        cache.invalidate("user:1");
        assert_eq!(cache.get("user:1"), None);
        assert_eq!(cache.version("session:1"), None, "not a key of its");
    }

    #[test]
    fn an_answer_that_was_on_the_way_is_not_kept() {
        let cache = cache();
        let version = cache.version("user:1").unwrap();
        cache.invalidate("user:1");
        cache.fill("user:1", version, value(), HOUR);
        assert_eq!(cache.get("user:1"), None);
        let version = cache.version("user:1").unwrap();
        cache.invalidate_all();
        cache.answered(Instant::now() + HOUR);
        cache.fill("user:1", version, value(), HOUR);
        assert_eq!(cache.get("user:1"), None);
    }

    #[test]
    fn nothing_is_believed_of_a_redis_that_is_silent() {
        let cache = cache();
        let version = cache.version("user:1").unwrap();
        cache.fill("user:1", version, value(), HOUR);
        let long_ago = cache.begun;
        while cache.begun.elapsed() < Duration::from_millis(2) {
            std::hint::spin_loop();
        }
        cache.until.store(1, Ordering::Release);
        assert_eq!((cache.get("user:1"), cache.version("user:1")), (None, None));
        cache.answered(long_ago + HOUR);
        assert_eq!(cache.get("user:1"), Some(value()), "it was not cut off: nothing was missed");
    }

    #[test]
    fn a_value_ends_with_its_time() {
        let cache = cache();
        let version = cache.version("user:1").unwrap();
        cache.fill("user:1", version, value(), Duration::ZERO);
        assert_eq!(cache.get("user:1"), None);
    }
}
