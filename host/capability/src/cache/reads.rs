//! What one call reads of the cache, and what it may fill. A call looks at a key, reads the store, and fills the key, and no
//! value that it stores is older than a commit that was answered: a commit invalidates its keys before it is answered, and a key
//! that was invalidated since the look is not filled.
//!
//! It asks the cache and the pending invalidations. It may not know what the values are.

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::future::join_all;

use crate::cache::{Absence, Cache, Error, Looked, Ttl, may_fill};
use crate::pending_invalidations::PendingInvalidations;

/// The most keys that are remembered. Further ones are not filled.
const MAX_SEEN: usize = 8_000;
/// How many keys are filled at once.
const AT_ONCE: usize = 250;

/// The keys that a call has looked at.
#[derive(Debug)]
pub struct Reads {
    begun: u64,
    /// How each was when the call looked first: what the call has read since may be as old. None: it had a value, or was about to be
    /// invalidated.
    seen: HashMap<String, Option<Absence>>,
}

impl Reads {
    /// Of a call that began at this time; milliseconds since 1970.
    pub fn begun(begun: u64) -> Self {
        Self { begun, seen: HashMap::new() }
    }

    /// The value under `key`; none also while its invalidation is pending.
    ///
    /// # Errors
    /// Those of [`Cache::look`].
    pub async fn get(
        &mut self,
        cache: &dyn Cache,
        pending: &PendingInvalidations,
        key: &str,
    ) -> Result<Option<Bytes>, Error> {
        // Before the look: what is not pending any more by now, the cache has.
        if pending.has_key(key) {
            self.see(key, None);
            return Ok(None);
        }
        let looked = cache.look(key).await?;
        Ok(self.remember(key, looked))
    }

    /// The answer of [`Reads::get`], where it is known without waiting.
    pub fn get_now(
        &mut self,
        cache: &dyn Cache,
        pending: &PendingInvalidations,
        key: &str,
    ) -> Option<Result<Option<Bytes>, Error>> {
        if pending.has_key(key) {
            self.see(key, None);
            return Some(Ok(None));
        }
        Some(cache.look_now(key)?.map(|looked| self.remember(key, looked)))
    }

    /// [`Reads::get`] of each of these keys, in their order.
    ///
    /// # Errors
    /// Those of [`Cache::look_many`].
    pub async fn get_many(
        &mut self,
        cache: &dyn Cache,
        pending: &PendingInvalidations,
        keys: &[String],
    ) -> Result<Vec<Option<Bytes>>, Error> {
        let are_pending: Vec<bool> = keys.iter().map(|key| pending.has_key(key)).collect();
        let looked = cache.look_many(keys).await?;
        let found = keys.iter().zip(looked).zip(are_pending);
        Ok(found
            .map(|((key, looked), is_pending)| {
                if is_pending {
                    self.see(key, None);
                    return None;
                }
                self.remember(key, looked)
            })
            .collect())
    }

    fn remember(&mut self, key: &str, looked: Looked) -> Option<Bytes> {
        match looked {
            Looked::Value(value) => {
                self.see(key, None);
                Some(value)
            }
            Looked::Absent(absence) => {
                self.see(key, Some(absence));
                None
            }
        }
    }

    /// Remembers the first look at a key.
    fn see(&mut self, key: &str, absence: Option<Absence>) {
        if self.seen.len() < MAX_SEEN && !self.seen.contains_key(key) {
            self.seen.insert(key.to_owned(), absence);
        }
    }

    /// Stores values under keys that this call found without one, unless they have one by now or were invalidated since; `now` is
    /// in milliseconds since 1970. Answers how many it stored.
    ///
    /// # Errors
    /// Those of [`Cache::fill`]; others of the values may be stored.
    pub async fn fill_many(
        &self,
        cache: &dyn Cache,
        pending: &PendingInvalidations,
        now: u64,
        values: Vec<(String, Bytes)>,
        ttl: Ttl,
    ) -> Result<u32, Error> {
        if !may_fill(self.begun, now) {
            return Ok(0);
        }
        let mut fills: Vec<(&String, &Absence, &Bytes)> = Vec::with_capacity(values.len());
        for (key, value) in &values {
            let seen = self.seen.get(key).and_then(Option::as_ref);
            if let Some(seen) = seen.filter(|_| !pending.has_key(key)) {
                fills.push((key, seen, value));
            }
        }
        let mut stored = 0;
        for some in fills.chunks(AT_ONCE) {
            let mut filling = Vec::with_capacity(some.len());
            for (key, seen, value) in some {
                filling.push(cache.fill(key, seen, (*value).clone(), ttl.jittered()));
            }
            for filled in join_all(filling).await {
                stored += u32::from(filled?);
            }
        }
        Ok(stored)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cache::{HOLD, InProcess};
    use crate::clocks::Manual;

    const NOW: u64 = 1_000_000;

    fn cache() -> InProcess {
        InProcess::new(Arc::new(Manual::at(NOW)))
    }

    fn ttl() -> Ttl {
        Ttl::clamped(60)
    }

    async fn fill(reads: &Reads, cache: &dyn Cache, key: &str, value: &'static [u8]) -> u32 {
        let values = vec![(key.to_owned(), Bytes::from_static(value))];
        reads.fill_many(cache, &PendingInvalidations::default(), NOW, values, ttl()).await.unwrap()
    }

    async fn get(reads: &mut Reads, cache: &dyn Cache, key: &str) -> Option<Bytes> {
        reads.get(cache, &PendingInvalidations::default(), key).await.unwrap()
    }

    #[tokio::test]
    async fn only_what_was_looked_at_is_filled() {
        let cache = cache();
        let mut reads = Reads::begun(NOW);
        assert_eq!(fill(&reads, &cache, "a", b"1").await, 0, "it may have been read at any time");
        assert_eq!(get(&mut reads, &cache, "a").await, None);
        assert_eq!(fill(&reads, &cache, "a", b"1").await, 1);
        assert_eq!(fill(&reads, &cache, "a", b"2").await, 0, "there is one");
        assert_eq!(get(&mut reads, &cache, "a").await.as_deref(), Some(&b"1"[..]));
    }

    #[tokio::test]
    async fn the_first_look_counts() {
        let cache = cache();
        let mut reads = Reads::begun(NOW);
        cache.set("a", Bytes::from_static(b"old"), ttl()).await.unwrap();
        assert!(get(&mut reads, &cache, "a").await.is_some());
        // What it read meanwhile is older than this.
        cache.invalidate("a", ttl()).await.unwrap();
        assert_eq!(get(&mut reads, &cache, "a").await, None);
        assert_eq!(fill(&reads, &cache, "a", b"old").await, 0);
    }

    #[tokio::test]
    async fn who_looked_after_an_invalidation_fills_and_who_looked_before_does_not() {
        let cache = cache();
        let (mut before, mut after) = (Reads::begun(NOW), Reads::begun(NOW));
        for (round, key) in ["never stored", "stored"].into_iter().enumerate() {
            if round == 1 {
                cache.set(key, Bytes::from_static(b"old"), ttl()).await.unwrap();
                cache.invalidate(key, Ttl::clamped(HOLD.into())).await.unwrap();
            }
            assert_eq!(get(&mut before, &cache, key).await, None);
            cache.invalidate(key, Ttl::clamped(HOLD.into())).await.unwrap();
            // It looks again, and what it has read may still be what it read first.
            assert_eq!(get(&mut before, &cache, key).await, None);
            assert_eq!(get(&mut after, &cache, key).await, None);
            assert_eq!(fill(&before, &cache, key, b"old").await, 0, "{key}");
            assert_eq!(fill(&after, &cache, key, b"new").await, 1, "{key}");
            assert_eq!(cache.get(key).await.unwrap().as_deref(), Some(&b"new"[..]));
        }
    }

    #[tokio::test]
    async fn a_call_that_takes_long_fills_nothing() {
        let cache = cache();
        let mut reads = Reads::begun(NOW);
        assert_eq!(get(&mut reads, &cache, "a").await, None);
        let values = vec![("a".to_owned(), Bytes::from_static(b"old"))];
        let late = NOW + u64::from(HOLD) * 1_000;
        assert_eq!(reads.fill_many(&cache, &PendingInvalidations::default(), late, values, ttl()).await, Ok(0));
    }

    #[tokio::test]
    async fn many_are_read_and_filled_as_one_is() {
        let cache = cache();
        let pending = PendingInvalidations::default();
        let keys: Vec<String> = (0..1_000).map(|number| format!("k{number}")).collect();
        let mut reads = Reads::begun(NOW);
        assert!(reads.get_many(&cache, &pending, &keys).await.unwrap().iter().all(Option::is_none));
        cache.invalidate("k7", ttl()).await.unwrap();
        let values = keys.iter().map(|key| (key.clone(), Bytes::from(key.clone()))).collect();
        // Hardly ever another key shares its count of changes.
        let filled = reads.fill_many(&cache, &pending, NOW, values, ttl()).await.unwrap();
        assert!((990..=999).contains(&filled), "{filled}");
        let found = reads.get_many(&cache, &pending, &keys).await.unwrap();
        assert_eq!(found.iter().flatten().count(), filled as usize);
        for (key, found) in keys.iter().zip(found).filter(|(_, found)| found.is_some()) {
            assert_eq!(found, (key != "k7").then(|| Bytes::from(key.clone())));
        }
    }

    /// What a host does, step by step.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Step {
        Look,
        Read,
        Fill,
        Commit,
        Invalidate,
        Lose,
    }

    const READER: &[Step] = &[Step::Look, Step::Read, Step::Fill];
    const WRITER: &[Step] = &[Step::Commit, Step::Invalidate];
    /// The cache itself, which has no room for what it had.
    const LOSER: &[Step] = &[Step::Lose];

    /// Everything that two readers and two writers, wherever they are, can do in any order: nobody ever finds a value that is
    /// older than a commit that was answered before the look.
    #[tokio::test]
    async fn no_order_of_steps_makes_a_value_stale() {
        for (plans, count) in [([READER, READER, WRITER, WRITER], 25_200), ([READER, READER, WRITER, LOSER], 5_040)] {
            let (cache, mut orders, mut hits) = (cache(), Vec::new(), 0_u32);
            interleave(&mut [0; 4], &plans, &mut Vec::new(), &mut orders);
            assert_eq!(orders.len(), count);
            for (number, order) in orders.iter().enumerate() {
                hits += play(&cache, &format!("k{number}"), &plans, order).await;
            }
            assert!(hits > 0, "the cache is used");
        }
    }

    fn interleave(done: &mut [usize; 4], plans: &[&[Step]; 4], order: &mut Vec<usize>, all: &mut Vec<Vec<usize>>) {
        if done.iter().zip(plans).all(|(done, plan)| *done == plan.len()) {
            all.push(order.clone());
            return;
        }
        for who in 0..plans.len() {
            if done[who] < plans[who].len() {
                done[who] += 1;
                order.push(who);
                interleave(done, plans, order, all);
                order.pop();
                done[who] -= 1;
            }
        }
    }

    /// Plays one order of steps; answers how often a value was found.
    async fn play(cache: &InProcess, key: &str, plans: &[&[Step]; 4], order: &[usize]) -> u32 {
        let (mut store, mut answered, mut hits) = (0_u64, 0_u64, 0_u32);
        let mut done = [0; 4];
        let mut committed = [0_u64; 4];
        let mut readers: [(Reads, u64); 2] = std::array::from_fn(|_| (Reads::begun(NOW), 0));
        for who in order {
            let step = plans[*who][done[*who]];
            done[*who] += 1;
            match step {
                Step::Look => {
                    let value = get(&mut readers[*who].0, cache, key).await;
                    hits += checked(value, answered, order);
                }
                Step::Read => readers[*who].1 = store,
                Step::Fill => {
                    let (reads, read) = &readers[*who];
                    let values = vec![(key.to_owned(), Bytes::copy_from_slice(&read.to_le_bytes()))];
                    reads.fill_many(cache, &PendingInvalidations::default(), NOW, values, ttl()).await.unwrap();
                }
                Step::Commit => {
                    store += 1;
                    committed[*who] = store;
                }
                Step::Invalidate => {
                    cache.invalidate(key, ttl()).await.unwrap();
                    answered = answered.max(committed[*who]);
                }
                Step::Lose => cache.lose(key),
            }
        }
        let value = get(&mut Reads::begun(NOW), cache, key).await;
        hits + checked(value, answered, order)
    }

    /// 1 for a value that is found. It is not older than what was answered before.
    fn checked(value: Option<Bytes>, answered: u64, order: &[usize]) -> u32 {
        let Some(value) = value else { return 0 };
        let value = u64::from_le_bytes(value.as_ref().try_into().unwrap());
        assert!(value >= answered, "{value} after {answered} was answered: {order:?}");
        1
    }
}
