//! The cache inside the process: bounded by weight, expiring by the host's clock.
//!
//! Values, counters and invalidations have a room each: limits rest on counters, and ended sessions on invalidations, so that
//! no number of values may push one out. A lock per key makes every operation here atomic.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use moka::policy::EvictionPolicy;

use crate::cache::{Absence, Cache, Error, Looked, Ttl, check_entry, check_length};
use crate::clocks::Clock;

/// The most memory that all values take together, in bytes.
const CAPACITY: u64 = 64 << 20;
/// The most memory that all counters take together, and all invalidations, in bytes: about 100,000 of each.
const SMALL_CAPACITY: u64 = 16 << 20;
/// Keys share locks: with more of them fewer operations wait for each other.
const LOCKS: usize = 64;
/// Keys share counts of changes: with more of them fewer fills are refused for a change of another key.
const COUNTS: usize = 1 << 16;
/// What an entry costs besides its key and value, about.
const OVERHEAD: usize = 96;

/// The embedded cache.
pub struct InProcess {
    /// Values and lists. One that was never asked for may be refused in favour of one that often is.
    values: Room,
    /// Counters. A new one is never refused; when they are too many, the one that was used least recently goes.
    counters: Room,
    /// Invalidated keys; as counters.
    invalidated: Room,
    locks: [Mutex<()>; LOCKS],
    hasher: RandomState,
    clock: Arc<dyn Clock>,
    /// How often a key of each share was set, deleted or invalidated. A look without a value remembers it: unlike an entry, it is
    /// never evicted, replaced or over. A fill is no change: it stores what others have read, too.
    changes: Vec<AtomicU64>,
}

type Room = moka::sync::Cache<String, Entry>;

#[derive(Clone)]
struct Entry {
    value: Value,
    /// The expiry, in milliseconds since 1970 by the host's clock.
    until: u64,
}

#[derive(Clone)]
enum Value {
    Bytes(Bytes),
    Counter(i64),
    Recent(Arc<VecDeque<Bytes>>),
    /// The key is invalidated: until this entry expires, only a fill of who looked since stores a value.
    Invalidated,
}

impl InProcess {
    /// An empty cache whose times run by `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let room = |capacity: u64, policy: EvictionPolicy| -> Room {
            moka::sync::Cache::builder().max_capacity(capacity).eviction_policy(policy).weigher(weight).build()
        };
        Self {
            values: room(CAPACITY, EvictionPolicy::tiny_lfu()),
            counters: room(SMALL_CAPACITY, EvictionPolicy::lru()),
            invalidated: room(SMALL_CAPACITY, EvictionPolicy::lru()),
            locks: [const { Mutex::new(()) }; LOCKS],
            hasher: RandomState::new(),
            clock,
            changes: (0..COUNTS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// In the order in which a key is looked for. What is put where another room has the key counts once it is gone there; one
    /// that is looked for first counts at once.
    fn rooms(&self) -> [&Room; 3] {
        [&self.invalidated, &self.counters, &self.values]
    }

    /// The single value under a key, or how it has none.
    fn looked(&self, key: &str) -> Result<Looked, Error> {
        // Before the look: whatever comes between is a change since.
        let changes = self.changes(key);
        match self.live(key) {
            None | Some(Value::Invalidated) => Ok(Looked::Absent(Absence::behind(bytes_of(changes)))),
            Some(Value::Bytes(bytes)) => Ok(Looked::Value(bytes)),
            Some(Value::Counter(count)) => Ok(Looked::Value(Bytes::from(count.to_string()))),
            Some(Value::Recent(_)) => Err(wrong_kind(key, "a list")),
        }
    }

    fn live(&self, key: &str) -> Option<Value> {
        self.entry(key, self.clock.now()).map(|entry| entry.value)
    }

    fn entry(&self, key: &str, now: u64) -> Option<Entry> {
        // Few keys are in the first two rooms. Asking whether one is there counts as no use of it, and is not put on record in
        // a queue of all threads, as each `get` is.
        let first = [&self.invalidated, &self.counters].into_iter().filter(|room| room.contains_key(key));
        first.chain([&self.values]).find_map(|room| room.get(key).filter(|entry| entry.until > now))
    }

    /// Puts an entry into the room of its kind, and no other room has the key any more. The caller has the key's lock.
    fn put(&self, key: &str, entry: Entry) {
        let home = match &entry.value {
            Value::Bytes(_) | Value::Recent(_) => &self.values,
            Value::Counter(_) => &self.counters,
            Value::Invalidated => &self.invalidated,
        };
        home.insert(key.to_owned(), entry);
        for other in self.rooms().into_iter().filter(|room| !std::ptr::eq(*room, home)) {
            other.invalidate(key);
        }
    }

    fn changes_of(&self, key: &str) -> Option<&AtomicU64> {
        let at = usize::try_from(self.hasher.hash_one(key) % COUNTS as u64).unwrap_or_default();
        self.changes.get(at)
    }

    fn changes(&self, key: &str) -> u64 {
        self.changes_of(key).map_or(0, |count| count.load(Ordering::Acquire))
    }

    /// Records a change of a key. The caller has the key's lock, and changes it after this.
    fn changed(&self, key: &str) {
        if let Some(count) = self.changes_of(key) {
            count.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// As a cache without room does.
    #[cfg(test)]
    pub(super) fn lose(&self, key: &str) {
        self.rooms().into_iter().for_each(|room| room.invalidate(key));
    }

    fn lock(&self, key: &str) -> Option<MutexGuard<'_, ()>> {
        let at = usize::try_from(self.hasher.hash_one(key) % LOCKS as u64).unwrap_or_default();
        self.locks.get(at).map(|lock| lock.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the unexpired value under `key` by the one that `change` returns; `None` leaves it as it is.
    fn change<T>(
        &self,
        key: &str,
        ttl: Ttl,
        change: impl FnOnce(Option<&Value>) -> Result<(Option<Value>, T), Error>,
    ) -> Result<T, Error> {
        let _lock = self.lock(key);
        let now = self.clock.now();
        let old = self.entry(key, now);
        let (value, result) = change(old.as_ref().map(|entry| &entry.value))?;
        if let Some(value) = value {
            let fresh = now.saturating_add(ttl.millis());
            // A counter keeps its expiry; every other value gets a new one.
            let expiry = old.map(|entry| entry.until).filter(|_| matches!(value, Value::Counter(_)));
            self.put(key, Entry { value, until: expiry.unwrap_or(fresh) });
        }
        Ok(result)
    }
}

#[async_trait]
impl Cache for InProcess {
    async fn look(&self, key: &str) -> Result<Looked, Error> {
        self.looked(key)
    }

    fn look_now(&self, key: &str) -> Option<Result<Looked, Error>> {
        Some(self.looked(key))
    }

    async fn fill(&self, key: &str, seen: &Absence, value: Bytes, ttl: Ttl) -> Result<bool, Error> {
        self.change(key, ttl, |old| {
            let is_as_seen = seen.mark().is_some_and(|seen| *seen == bytes_of(self.changes(key)));
            let has_none = matches!(old, None | Some(Value::Invalidated));
            Ok(if is_as_seen && has_none { (Some(Value::Bytes(value)), true) } else { (None, false) })
        })
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Ttl) -> Result<(), Error> {
        let until = self.clock.now().saturating_add(ttl.millis());
        let _lock = self.lock(key);
        self.changed(key);
        self.put(key, Entry { value: Value::Bytes(value), until });
        Ok(())
    }

    async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Ttl) -> Result<bool, Error> {
        self.change(key, ttl, |old| match old {
            Some(_) => Ok((None, false)),
            None => Ok((Some(Value::Bytes(value)), true)),
        })
    }

    async fn compare_and_set(&self, key: &str, expected: Option<Bytes>, value: Bytes, ttl: Ttl) -> Result<bool, Error> {
        self.change(key, ttl, |old| {
            let same = match (old, &expected) {
                (None, None) => true,
                (Some(Value::Bytes(old)), Some(expected)) => old == expected,
                (Some(Value::Counter(old)), Some(expected)) => old.to_string().as_bytes() == expected,
                _ => false,
            };
            Ok(if same { (Some(Value::Bytes(value)), true) } else { (None, false) })
        })
    }

    async fn delete(&self, key: &str) -> Result<bool, Error> {
        let now = self.clock.now();
        let _lock = self.lock(key);
        let there = self.entry(key, now).is_some();
        self.changed(key);
        self.rooms().into_iter().for_each(|room| room.invalidate(key));
        Ok(there)
    }

    async fn invalidate(&self, key: &str, hold: Ttl) -> Result<(), Error> {
        let until = self.clock.now().saturating_add(hold.millis());
        let _lock = self.lock(key);
        self.changed(key);
        self.put(key, Entry { value: Value::Invalidated, until });
        Ok(())
    }

    async fn increment(&self, key: &str, by: i64, ttl: Ttl) -> Result<i64, Error> {
        self.change(key, ttl, |old| {
            let count = match old {
                None => 0,
                Some(Value::Counter(count)) => *count,
                Some(Value::Bytes(bytes)) => std::str::from_utf8(bytes)
                    .ok()
                    .and_then(|text| text.parse().ok())
                    .ok_or_else(|| wrong_kind(key, "a value that is no number"))?,
                Some(Value::Recent(_)) => return Err(wrong_kind(key, "a list")),
                Some(Value::Invalidated) => return Err(wrong_kind(key, "a value that is over")),
            };
            let sum = count
                .checked_add(by)
                .ok_or_else(|| Error::Invalid(format!("the counter {key:?} would leave 64 bits")))?;
            Ok((Some(Value::Counter(sum)), sum))
        })
    }

    async fn push_recent(&self, key: &str, value: Bytes, keep: u32, ttl: Ttl) -> Result<u32, Error> {
        check_length(keep as usize)?;
        check_entry(&value)?;
        self.change(key, ttl, |old| {
            let mut list = match old {
                None => VecDeque::new(),
                Some(Value::Recent(list)) => list.as_ref().clone(),
                Some(_) => return Err(wrong_kind(key, "a single value")),
            };
            list.push_front(value);
            list.truncate(keep as usize);
            let length = list.len() as u32;
            Ok((Some(Value::Recent(Arc::new(list))), length))
        })
    }

    async fn fill_recent(&self, key: &str, values: Vec<Bytes>, ttl: Ttl) -> Result<bool, Error> {
        check_length(values.len())?;
        values.iter().try_for_each(|value| check_entry(value))?;
        self.change(key, ttl, |old| match old {
            Some(_) => Ok((None, false)),
            None => Ok((Some(Value::Recent(Arc::new(values.into()))), true)),
        })
    }

    async fn recent(&self, key: &str, limit: u32) -> Result<Option<Vec<Bytes>>, Error> {
        match self.live(key) {
            None => Ok(None),
            Some(Value::Recent(list)) => Ok(Some(list.iter().take(limit as usize).cloned().collect())),
            Some(_) => Err(wrong_kind(key, "a single value")),
        }
    }
}

fn bytes_of(changes: u64) -> Bytes {
    Bytes::copy_from_slice(&changes.to_le_bytes())
}

fn wrong_kind(key: &str, what: &str) -> Error {
    Error::Invalid(format!("under {key:?} there is {what}"))
}

#[expect(clippy::ptr_arg, reason = "moka's weigher takes the key as it is stored")]
fn weight(key: &String, entry: &Entry) -> u32 {
    let value = match &entry.value {
        Value::Bytes(bytes) => bytes.len(),
        Value::Counter(_) | Value::Invalidated => 8,
        Value::Recent(list) => list.iter().map(|value| value.len() + 32).sum(),
    };
    u32::try_from(key.len() + value + OVERHEAD).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::MAX_VALUE;
    use crate::clocks::Manual;

    fn cache() -> (InProcess, Arc<Manual>) {
        let clock = Arc::new(Manual::at(1_000_000));
        (InProcess::new(clock.clone()), clock)
    }

    fn ttl(seconds: u32) -> Ttl {
        Ttl::seconds(seconds).unwrap()
    }

    #[tokio::test]
    async fn a_value_ends_with_its_time() {
        let (cache, clock) = cache();
        cache.set("a", Bytes::from_static(b"1"), ttl(10)).await.unwrap();
        clock.advance(9_999);
        assert_eq!(cache.get("a").await.unwrap().as_deref(), Some(&b"1"[..]));
        clock.advance(1);
        assert_eq!(cache.get("a").await.unwrap(), None);
        assert!(cache.set_if_absent("a", Bytes::from_static(b"2"), ttl(1)).await.unwrap());
        assert!(!cache.set_if_absent("a", Bytes::from_static(b"3"), ttl(1)).await.unwrap());
        assert!(cache.delete("a").await.unwrap());
        assert!(!cache.delete("a").await.unwrap());
    }

    #[tokio::test]
    async fn a_counter_gets_its_time_only_when_it_is_made() {
        let (cache, clock) = cache();
        assert_eq!(cache.increment("n", 2, ttl(10)).await.unwrap(), 2);
        clock.advance(9_000);
        assert_eq!(cache.increment("n", 3, ttl(10)).await.unwrap(), 5);
        clock.advance(1_000);
        assert_eq!(cache.increment("n", 1, ttl(10)).await.unwrap(), 1);
        assert!(cache.increment("n", i64::MAX, ttl(10)).await.is_err());
    }

    #[tokio::test]
    async fn compare_and_set_wants_exactly_what_is_there() {
        let (cache, _) = cache();
        let (one, two) = (Bytes::from_static(b"1"), Bytes::from_static(b"2"));
        assert!(!cache.compare_and_set("a", Some(one.clone()), two.clone(), ttl(1)).await.unwrap());
        assert!(cache.compare_and_set("a", None, one.clone(), ttl(1)).await.unwrap());
        assert!(!cache.compare_and_set("a", None, two.clone(), ttl(1)).await.unwrap());
        assert!(cache.compare_and_set("a", Some(one), two, ttl(1)).await.unwrap());
    }

    #[tokio::test]
    async fn a_list_keeps_the_newest_first() {
        let (cache, _) = cache();
        assert_eq!(cache.recent("l", 9).await.unwrap(), None);
        for n in 0..5_u8 {
            cache.push_recent("l", Bytes::from(vec![n]), 3, ttl(1)).await.unwrap();
        }
        let list = cache.recent("l", 2).await.unwrap().unwrap();
        assert_eq!(list, [Bytes::from_static(&[4]), Bytes::from_static(&[3])]);
        assert_eq!(cache.recent("l", 9).await.unwrap().unwrap().len(), 3);
        assert!(cache.get("l").await.is_err());
    }

    #[tokio::test]
    async fn a_list_is_filled_only_where_nothing_is() {
        let (cache, clock) = cache();
        let values = |n: u8| vec![Bytes::from(vec![n]), Bytes::from(vec![n - 1])];
        assert!(cache.fill_recent("l", values(2), ttl(10)).await.unwrap());
        assert!(!cache.fill_recent("l", values(9), ttl(10)).await.unwrap());
        assert_eq!(cache.push_recent("l", Bytes::from_static(&[3]), 2, ttl(10)).await.unwrap(), 2);
        assert_eq!(cache.recent("l", 9).await.unwrap().unwrap(), [Bytes::from_static(&[3]), Bytes::from_static(&[2])]);
        clock.advance(10_000);
        assert!(cache.fill_recent("l", values(9), ttl(10)).await.unwrap());
        assert!(cache.fill_recent("m", Vec::new(), ttl(10)).await.is_err());
    }

    /// More values than there is room for, each asked for often.
    async fn flood(cache: &InProcess, round: u64) {
        let large = Bytes::from(vec![0; MAX_VALUE]);
        for n in 0..CAPACITY / MAX_VALUE as u64 + 8 {
            let key = format!("value:{round}:{n}");
            cache.set(&key, large.clone(), ttl(60)).await.unwrap();
            for _ in 0..8 {
                cache.get(&key).await.unwrap();
            }
        }
        cache.rooms().into_iter().for_each(Room::run_pending_tasks);
        assert!(cache.values.weighted_size() <= CAPACITY);
    }

    #[tokio::test]
    async fn a_cache_that_is_full_of_values_loses_no_counter_and_no_invalidation() {
        let (cache, _) = cache();
        flood(&cache, 0).await;
        cache.invalidate("session", ttl(60)).await.unwrap();
        for n in 1..=5 {
            assert_eq!(cache.increment("attempts", 1, ttl(60)).await.unwrap(), n);
            flood(&cache, n.unsigned_abs()).await;
            assert_eq!(cache.get("attempts").await.unwrap(), Some(Bytes::from(n.to_string())));
            let filled = cache.set_if_absent("session", Bytes::from_static(b"living"), ttl(60)).await.unwrap();
            assert!(!filled, "round {n}");
        }
    }

    #[tokio::test]
    async fn a_new_counter_counts_when_there_are_too_many_already() {
        let (cache, _) = cache();
        let room = SMALL_CAPACITY / OVERHEAD as u64;
        for n in 0..room {
            cache.increment(&format!("other:{n}"), 1, ttl(60)).await.unwrap();
        }
        for n in 1..=5 {
            assert_eq!(cache.increment("attempts", 1, ttl(60)).await.unwrap(), n);
            cache.rooms().into_iter().for_each(Room::run_pending_tasks);
        }
        assert!(cache.counters.weighted_size() < 2 * SMALL_CAPACITY);
    }

    #[tokio::test]
    async fn a_key_has_one_value_whatever_kind_it_had_before() {
        let (cache, _) = cache();
        let value = |text: &'static str| Bytes::from_static(text.as_bytes());
        cache.set("k", value("5"), ttl(60)).await.unwrap();
        assert_eq!(cache.increment("k", 1, ttl(60)).await.unwrap(), 6);
        assert_eq!(cache.get("k").await.unwrap(), Some(value("6")));
        cache.set("k", value("v"), ttl(60)).await.unwrap();
        assert_eq!(cache.get("k").await.unwrap(), Some(value("v")));
        cache.invalidate("k", ttl(60)).await.unwrap();
        assert_eq!(cache.get("k").await.unwrap(), None);
        cache.set("k", value("w"), ttl(60)).await.unwrap();
        assert_eq!(cache.get("k").await.unwrap(), Some(value("w")));
        assert!(cache.delete("k").await.unwrap());
        assert!(!cache.delete("k").await.unwrap());
        assert_eq!(cache.push_recent("k", value("a"), 3, ttl(60)).await.unwrap(), 1);
        assert_eq!(cache.recent("k", 9).await.unwrap(), Some(vec![value("a")]));
    }

    #[test]
    fn racing_increments_all_count() {
        let (cache, _) = cache();
        let cache = Arc::new(cache);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let tasks: Vec<_> = (0..8)
                .map(|_| {
                    let cache = cache.clone();
                    tokio::spawn(async move {
                        for _ in 0..500 {
                            cache.increment("n", 1, ttl(60)).await.unwrap();
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(cache.increment("n", 0, ttl(60)).await.unwrap(), 4_000);
        });
    }
}
