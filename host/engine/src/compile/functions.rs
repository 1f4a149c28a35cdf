//! Compiled functions of past compilations, in memory: a component that changed a little compiles what changed.
//!
//! wasmtime names a function by the hash of everything that its machine code is made from. The bytes are bounded, and the
//! functions that were not used for longest go first. Touches nothing else.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::compile::exchange::Key;

/// The most bytes that are kept, with what keeping them costs.
const MOST: usize = 64 << 20;
/// The most bytes that are lent to a component that was not compiled before: copying costs time, too.
const LENT: usize = 4 << 20;
/// What a function costs beside its bytes: its key in two maps.
const COST: usize = 128;
/// For how many components it is known which functions they use.
const COMPONENTS: usize = 64;

/// Compiled functions.
pub(super) struct FunctionCache {
    most: usize,
    kept: Mutex<Kept>,
}

/// What the function cache has and has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FunctionFigures {
    /// The bytes that it takes.
    pub bytes: usize,
    /// How many functions it has.
    pub functions: usize,
    /// Functions of components that were not compiled again.
    pub reused: u64,
    /// Functions of components that were compiled.
    pub compiled: u64,
}

#[derive(Default)]
struct Kept {
    functions: HashMap<Key, Function>,
    /// The keys by their last use, the oldest first.
    by_use: BTreeMap<u64, Key>,
    /// The functions of each component's last compilation.
    components: BTreeMap<String, Component>,
    /// Counts uses.
    clock: u64,
    bytes: usize,
    reused: u64,
    compiled: u64,
}

struct Function {
    code: Arc<[u8]>,
    used: u64,
}

struct Component {
    keys: Vec<Key>,
    used: u64,
}

impl Default for FunctionCache {
    fn default() -> Self {
        Self::new(MOST)
    }
}

impl FunctionCache {
    /// Keeps at most so many bytes.
    fn new(most: usize) -> Self {
        Self { most, kept: Mutex::default() }
    }

    /// The functions that are likely to be in a component: those of its last compilation or, without one, those that were used
    /// last by any.
    pub(super) fn lend(&self, component: &str) -> Vec<(Key, Arc<[u8]>)> {
        let kept = self.kept();
        let found = |key: &Key| Some((*key, kept.functions.get(key)?.code.clone()));
        if let Some(known) = kept.components.get(component) {
            return known.keys.iter().filter_map(found).collect();
        }
        let mut left = LENT;
        let recent = kept.by_use.values().rev().filter_map(found);
        recent
            .map_while(|(key, code)| {
                left = left.checked_sub(code.len())?;
                Some((key, code))
            })
            .collect()
    }

    /// Takes what a compilation of a component used of the lent functions, and the functions that it compiled.
    pub(super) fn learn(&self, component: &str, used: &[Key], compiled: Vec<(Key, Vec<u8>)>) {
        let mut kept = self.kept();
        kept.reused += used.len() as u64;
        kept.compiled += compiled.len() as u64;
        let keys = used.iter().copied().chain(compiled.iter().map(|(key, _)| *key)).collect();
        used.iter().for_each(|key| kept.touch(key));
        for (key, code) in compiled {
            kept.insert(key, code, self.most);
        }
        kept.set_component(component, keys);
        kept.drop_oldest(self.most);
    }

    /// What it has and has done.
    pub(super) fn figures(&self) -> FunctionFigures {
        let kept = self.kept();
        let Kept { functions, bytes, reused, compiled, .. } = &*kept;
        FunctionFigures { bytes: *bytes, functions: functions.len(), reused: *reused, compiled: *compiled }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn touch(&mut self, key: &Key) {
        let now = self.tick();
        if let Some(function) = self.functions.get_mut(key) {
            self.by_use.remove(&function.used);
            function.used = now;
            self.by_use.insert(now, *key);
        }
    }

    /// Unless it would displace much of the rest.
    fn insert(&mut self, key: Key, code: Vec<u8>, most: usize) {
        if code.len() > most / 4 {
            return;
        }
        // Two compilations at once may have compiled it.
        if self.functions.contains_key(&key) {
            return self.touch(&key);
        }
        let used = self.tick();
        self.bytes += code.len() + COST;
        self.functions.insert(key, Function { code: code.into(), used });
        self.by_use.insert(used, key);
    }

    fn set_component(&mut self, name: &str, keys: Vec<Key>) {
        let used = self.tick();
        self.forget_component(name);
        if self.components.len() >= COMPONENTS
            && let Some(oldest) = self.components.iter().min_by_key(|(_, component)| component.used)
        {
            let oldest = oldest.0.clone();
            self.forget_component(&oldest);
        }
        self.bytes += size_of_val(keys.as_slice());
        self.components.insert(name.to_owned(), Component { keys, used });
    }

    fn forget_component(&mut self, name: &str) {
        if let Some(known) = self.components.remove(name) {
            self.bytes -= size_of_val(known.keys.as_slice());
        }
    }

    fn drop_oldest(&mut self, most: usize) {
        while self.bytes > most {
            let oldest = self.by_use.pop_first().and_then(|(_, key)| self.functions.remove(&key));
            match oldest {
                Some(function) => self.bytes -= function.code.len() + COST,
                None => {
                    // Only lists of keys are left.
                    self.components.clear();
                    self.bytes = 0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on should fail right here")]

    use super::*;

    fn key(number: usize) -> Key {
        let mut key = Key::default();
        key.get_mut(..8).unwrap().copy_from_slice(&number.to_le_bytes());
        key
    }

    fn functions(numbers: std::ops::Range<usize>, length: usize) -> Vec<(Key, Vec<u8>)> {
        numbers.map(|number| (key(number), vec![number as u8; length])).collect()
    }

    fn lent(cache: &FunctionCache, component: &str) -> Vec<Key> {
        let mut keys: Vec<Key> = cache.lend(component).into_iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys
    }

    fn keys(numbers: std::ops::Range<usize>) -> Vec<Key> {
        let mut keys: Vec<Key> = numbers.map(key).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn a_component_gets_the_functions_of_its_last_compilation() {
        let cache = FunctionCache::default();
        cache.learn("a", &[], functions(0..10, 100));
        cache.learn("b", &[key(3)], functions(10..12, 100));
        assert_eq!(lent(&cache, "a"), keys(0..10), "also the one that another component used after it");
        cache.learn("a", &[key(0), key(1)], functions(12..13, 100));
        assert_eq!(lent(&cache, "a").len(), 3);
        assert_eq!(lent(&cache, "new"), keys(0..13), "a new one may use what any has");
        let code = cache.lend("b").into_iter().find(|(of, _)| *of == key(11)).unwrap().1;
        assert_eq!(*code, [11; 100]);
        let figures = cache.figures();
        assert_eq!((figures.functions, figures.reused, figures.compiled), (13, 3, 13));
    }

    #[test]
    fn a_new_component_gets_the_functions_that_were_used_last_and_no_more_than_can_be_copied() {
        let cache = FunctionCache::default();
        cache.learn("a", &[], functions(0..100, LENT / 10));
        cache.learn("b", &[key(5)], Vec::new());
        let lent = lent(&cache, "new");
        assert!(lent.contains(&key(5)) && lent.contains(&key(99)) && !lent.contains(&key(0)), "{}", lent.len());
        assert_eq!(lent.len(), 10);
    }

    #[test]
    fn the_bytes_are_bounded_and_the_oldest_go_first() {
        let most = 100 * 1_000;
        let cache = FunctionCache::new(most);
        for round in 0..50 {
            cache.learn(&round.to_string(), &[key(0)], functions(round * 10..round * 10 + 10, 1_000));
            let figures = cache.figures();
            assert!(figures.bytes <= most && figures.functions <= 100, "{figures:?}");
        }
        let all = lent(&cache, "new");
        assert!(all.contains(&key(0)), "it was used each time");
        assert!(all.contains(&key(499)) && !all.contains(&key(1)) && all.len() > 50, "{}", all.len());
        // One that would displace much of the rest is not kept.
        cache.learn("large", &[], functions(1_000..1_001, most / 2));
        assert!(lent(&cache, "large").is_empty() && lent(&cache, "new").len() > 50);
        // Lists of keys count as well.
        cache.learn("many", &vec![key(0); most], Vec::new());
        assert!(cache.figures().bytes <= most);
    }

    #[test]
    fn only_so_many_components_are_known() {
        let cache = FunctionCache::default();
        for number in 0..3 * COMPONENTS {
            cache.learn(&number.to_string(), &[], functions(number..number + 1, 10));
        }
        assert_eq!(cache.kept().components.len(), COMPONENTS);
        assert_eq!(lent(&cache, &(3 * COMPONENTS - 1).to_string()).len(), 1);
    }

    #[test]
    fn what_is_counted_is_what_is_kept_also_when_many_compile_at_once() {
        let most = 50_000;
        let cache = FunctionCache::new(most);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let cache = &cache;
                scope.spawn(move || {
                    for round in 0..100 {
                        let from = (thread * 7 + round * 13) % 200;
                        let used: Vec<Key> = cache.lend("a").into_iter().map(|(key, _)| key).take(5).collect();
                        cache.learn(["a", "b"][round % 2], &used, functions(from..from + 9, 100 + from));
                        assert!(cache.figures().bytes <= most);
                    }
                });
            }
        });
        let kept = cache.kept();
        let code: usize = kept.functions.values().map(|function| function.code.len() + COST).sum();
        let lists: usize = kept.components.values().map(|known| size_of_val(known.keys.as_slice())).sum();
        assert_eq!(kept.bytes, code + lists);
        assert_eq!(kept.by_use.len(), kept.functions.len());
        assert!(kept.by_use.iter().all(|(used, key)| kept.functions.get(key).is_some_and(|known| known.used == *used)));
        assert_eq!(kept.compiled, 4 * 100 * 9);
    }
}
