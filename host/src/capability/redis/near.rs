//! The near cache: values of Redis in this process, so that a hit costs no round trip.
//!
//! It is believed only as long as Redis has answered on the connection that invalidations come over a moment ago. An
//! invalidation, or a write of this process, moves the step of its key on; a value that was asked for before that step
//! is not kept, so that no answer that was on the way brings back what is over.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use moka::sync::Cache;

/// How long Redis may have been silent.
const BELIEVED: Duration = Duration::from_millis(250);
/// The bytes of all values and keys, at most.
const ROOM: u64 = 64 << 20;
/// A value that ends later is asked for again after this all the same.
const LONGEST: Duration = Duration::from_secs(300);
/// Keys share steps: more of them only means that fewer values are forgotten in vain.
const STEPS: usize = 256;

/// Values of Redis, near.
pub(crate) struct Near {
    prefixes: Vec<String>,
    values: Cache<String, Kept>,
    steps: Vec<Mutex<u64>>,
    /// Moves on when everything is forgotten.
    era: AtomicU64,
    begun: Instant,
    /// Milliseconds since `begun` until which the values are believed.
    until: AtomicU64,
}

#[derive(Clone)]
struct Kept {
    value: Bytes,
    era: u64,
    until: Instant,
}

/// Says when a value was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Asked {
    era: u64,
    step: u64,
}

#[cfg(test)]
impl Asked {
    /// After the key has changed.
    pub(crate) fn later() -> Self {
        Self { era: 0, step: 1 }
    }
}

impl Near {
    /// For keys that begin like one of these.
    pub(super) fn new(prefixes: Vec<String>) -> Self {
        let weight = |key: &String, kept: &Kept| u32::try_from(key.len() + kept.value.len() + 64).unwrap_or(u32::MAX);
        Self {
            prefixes,
            values: Cache::builder().max_capacity(ROOM).weigher(weight).build(),
            steps: (0..STEPS).map(|_| Mutex::new(0)).collect(),
            era: AtomicU64::new(0),
            begun: Instant::now(),
            until: AtomicU64::new(0),
        }
    }

    /// The beginnings of its keys.
    pub(super) fn prefixes(&self) -> &[String] {
        &self.prefixes
    }

    /// The value of a key, if it is here and believed.
    pub(crate) fn get(&self, key: &str) -> Option<Bytes> {
        let now = Instant::now();
        if !self.is_believed(now) || !self.covers(key) {
            return None;
        }
        let kept = self.values.get(key)?;
        (kept.era == self.era.load(Ordering::Acquire) && kept.until > now).then_some(kept.value)
    }

    /// Before Redis is asked for a value that may be kept; none when it may not.
    pub(crate) fn asked(&self, key: &str) -> Option<Asked> {
        if !self.covers(key) || !self.is_believed(Instant::now()) {
            return None;
        }
        let era = self.era.load(Ordering::Acquire);
        Some(Asked { era, step: *self.step(key) })
    }

    /// Keeps what Redis answered, unless the key has changed since it was asked for.
    pub(crate) fn keep(&self, key: &str, asked: Asked, value: Bytes, ttl: Duration) {
        let step = self.step(key);
        if *step == asked.step {
            let kept = Kept { value, era: asked.era, until: Instant::now() + ttl.min(LONGEST) };
            self.values.insert(key.to_owned(), kept);
        }
    }

    /// The key changes, or has changed.
    pub(crate) fn forget(&self, key: &str) {
        if self.covers(key) {
            let mut step = self.step(key);
            *step += 1;
            self.values.invalidate(key);
        }
    }

    /// Anything may have changed.
    pub(super) fn forget_all(&self) {
        self.until.store(0, Ordering::Release);
        self.era.fetch_add(1, Ordering::AcqRel);
        self.values.invalidate_all();
    }

    /// Redis answered something that was asked at this moment, and everything it said before has been heeded.
    pub(super) fn answered(&self, asked: Instant) {
        let until = asked.saturating_duration_since(self.begun) + BELIEVED;
        self.until.store(millis(until), Ordering::Release);
    }

    fn is_believed(&self, now: Instant) -> bool {
        millis(now.saturating_duration_since(self.begun)) < self.until.load(Ordering::Acquire)
    }

    fn covers(&self, key: &str) -> bool {
        self.prefixes.iter().any(|prefix| key.starts_with(prefix.as_str()))
    }

    fn step(&self, key: &str) -> MutexGuard<'_, u64> {
        // FNV-1a: short, and good enough to spread keys over steps.
        let hash = key
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let at = usize::try_from(hash % STEPS as u64).unwrap_or_default();
        #[expect(clippy::indexing_slicing, reason = "the rest of a division by the number of steps")]
        self.steps[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn near() -> Near {
        let near = Near::new(vec!["user:".into()]);
        near.answered(Instant::now() + HOUR);
        near
    }

    fn value() -> Bytes {
        Bytes::from_static(b"v")
    }

    #[test]
    fn a_value_is_kept_until_its_key_changes() {
        let near = near();
        let asked = near.asked("user:1").unwrap();
        near.keep("user:1", asked, value(), HOUR);
        assert_eq!(near.get("user:1"), Some(value()));
        near.forget("user:1");
        assert_eq!(near.get("user:1"), None);
        assert_eq!(near.asked("session:1"), None, "not a key of its");
    }

    #[test]
    fn an_answer_that_was_on_the_way_is_not_kept() {
        let near = near();
        let asked = near.asked("user:1").unwrap();
        near.forget("user:1");
        near.keep("user:1", asked, value(), HOUR);
        assert_eq!(near.get("user:1"), None);
        let asked = near.asked("user:1").unwrap();
        near.forget_all();
        near.answered(Instant::now() + HOUR);
        near.keep("user:1", asked, value(), HOUR);
        assert_eq!(near.get("user:1"), None);
    }

    #[test]
    fn nothing_is_believed_of_a_redis_that_is_silent() {
        let near = near();
        let asked = near.asked("user:1").unwrap();
        near.keep("user:1", asked, value(), HOUR);
        let long_ago = near.begun;
        while near.begun.elapsed() < Duration::from_millis(2) {
            std::hint::spin_loop();
        }
        near.until.store(1, Ordering::Release);
        assert_eq!((near.get("user:1"), near.asked("user:1")), (None, None));
        near.answered(long_ago + HOUR);
        assert_eq!(near.get("user:1"), Some(value()), "it was not cut off: nothing was missed");
    }

    #[test]
    fn a_value_ends_with_its_time() {
        let near = near();
        let asked = near.asked("user:1").unwrap();
        near.keep("user:1", asked, value(), Duration::ZERO);
        assert_eq!(near.get("user:1"), None);
    }
}
