//! The cases of a cache. Each works under keys of its own, so that any number of them may share a server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use capability::cache::{Cache, Error, InProcess, Looked, MAX_ENTRY, Ttl};
use capability::clocks::Manual;
use store_redis::RedisCache;
use store_redis::{Options, Redis};

/// A cache under test, and how time passes for it.
pub struct Subject {
    cache: Arc<dyn Cache>,
    /// None: time passes by itself.
    clock: Option<Arc<Manual>>,
    keys: String,
}

impl Subject {
    /// The embedded engine, whose time the cases set.
    pub fn embedded() -> Self {
        let clock = Arc::new(Manual::at(1_000_000));
        Self { cache: Arc::new(InProcess::new(clock.clone())), clock: Some(clock), keys: String::new() }
    }

    /// A Redis server.
    pub fn redis(url: &str) -> Self {
        let random = capability::random::bytes::<8>();
        let keys = random.map(|byte| format!("{byte:02x}")).concat();
        let options = Options { url: url.to_owned(), prefix: "conformance:".into(), near: vec![keys.clone()] };
        let (redis, _) = Redis::open(options).unwrap_or_else(|error| panic!("{error}"));
        Self { cache: Arc::new(RedisCache::new(redis)), clock: None, keys }
    }

    fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.keys)
    }

    /// Lets time pass until there is nothing under `key`; panics when there still is after five seconds. Answers how
    /// long it took.
    async fn until_gone(&self, key: &str) -> Duration {
        let step = Duration::from_millis(50);
        let mut passed = Duration::ZERO;
        while self.cache.get(key).await.unwrap().is_some() {
            assert!(passed < Duration::from_secs(5), "{key} does not end");
            self.pass(step).await;
            passed += step;
        }
        passed
    }

    async fn pass(&self, step: Duration) {
        match &self.clock {
            Some(clock) => clock.advance(u64::try_from(step.as_millis()).unwrap()),
            None => tokio::time::sleep(step).await,
        }
    }
}

fn ttl(seconds: u32) -> Ttl {
    Ttl::seconds(seconds).unwrap()
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn is_invalid<T: std::fmt::Debug>(answer: Result<T, Error>) -> bool {
    matches!(answer, Err(Error::Invalid(_)))
}

/// What a cache says, which is what it knows without waiting, if it knows anything.
async fn got(cache: &Arc<dyn Cache>, key: &str) -> Result<Option<Bytes>, Error> {
    let said = cache.look(key).await;
    if let Some(known) = cache.look_now(key) {
        assert_eq!(known, said, "{key}");
    }
    said.map(Looked::value)
}

/// What was stored is there until it is replaced or forgotten.
pub async fn a_value_is_there_until_it_is_forgotten(subject: &Subject) {
    let (cache, key) = (&subject.cache, subject.key("a"));
    assert_eq!(got(cache, &key).await, Ok(None));
    assert_eq!(cache.delete(&key).await, Ok(false));
    cache.set(&key, bytes("1"), ttl(60)).await.unwrap();
    cache.set(&key, bytes("2"), ttl(60)).await.unwrap();
    assert_eq!(got(cache, &key).await, Ok(Some(bytes("2"))));
    assert_eq!(cache.delete(&key).await, Ok(true));
    assert_eq!(got(cache, &key).await, Ok(None));
}

/// Bytes come back as they went in: all of them, none of them, and as many as are allowed.
pub async fn bytes_stay_bytes(subject: &Subject) {
    let (cache, key) = (&subject.cache, subject.key("a"));
    let all: Vec<u8> = (0..=255).collect();
    for value in [Bytes::from(all), Bytes::new(), Bytes::from(vec![0xff; 1 << 20])] {
        cache.set(&key, value.clone(), ttl(60)).await.unwrap();
        assert_eq!(got(cache, &key).await, Ok(Some(value.clone())));
        assert_eq!(cache.compare_and_set(&key, Some(value.clone()), value, ttl(60)).await, Ok(true));
    }
}

/// A value is there for its time and not much longer.
pub async fn a_value_ends_with_its_time(subject: &Subject) {
    let (cache, key) = (&subject.cache, subject.key("a"));
    cache.set(&key, bytes("1"), ttl(1)).await.unwrap();
    assert_eq!(got(cache, &key).await, Ok(Some(bytes("1"))));
    assert!(subject.until_gone(&key).await <= Duration::from_secs(2));
    cache.set(&key, bytes("2"), ttl(1)).await.unwrap();
    cache.set(&key, bytes("3"), ttl(60)).await.unwrap();
    cache.set(&subject.key("b"), bytes("x"), ttl(1)).await.unwrap();
    subject.until_gone(&subject.key("b")).await;
    assert_eq!(got(cache, &key).await, Ok(Some(bytes("3"))), "the last time to live counts");
}

/// Who looked at a key after it was invalidated fills it, and nobody who looked before: not when it was never there, and not when
/// it was invalidated twice.
pub async fn who_looked_behind_an_end_fills(subject: &Subject) {
    let (cache, key) = (&subject.cache, subject.key("a"));
    let look = async || match cache.look(&key).await.unwrap() {
        Looked::Absent(seen) => seen,
        Looked::Value(value) => panic!("there is {value:?}"),
    };
    let never = look().await;
    cache.invalidate(&key, ttl(60)).await.unwrap();
    assert_eq!(cache.fill(&key, &never, bytes("old"), ttl(60)).await, Ok(false));
    let first = look().await;
    cache.invalidate(&key, ttl(60)).await.unwrap();
    let second = look().await;
    assert_ne!(first, second, "each has a mark of its own");
    for before in [&never, &first] {
        assert_eq!(cache.fill(&key, before, bytes("old"), ttl(60)).await, Ok(false));
    }
    assert_eq!(cache.get(&key).await, Ok(None));
    assert_eq!(cache.fill(&key, &second, bytes("new"), ttl(1)).await, Ok(true));
    assert_eq!(cache.fill(&key, &second, bytes("newer"), ttl(60)).await, Ok(false), "there is one");
    assert_eq!(cache.look(&key).await, Ok(Looked::Value(bytes("new"))));
    subject.until_gone(&key).await;
    if cache.is_shared() {
        // The mark went with the value. The embedded cache counts changes, and knows that there was none.
        assert_eq!(
            cache.fill(&key, &second, bytes("old"), ttl(60)).await,
            Ok(false),
            "nobody knows what was meanwhile"
        );
    }
    // Where a look left no mark, the fill leaves one, and the next is behind it.
    let mut filled = false;
    for _ in 0..2 {
        filled = filled || cache.fill(&key, &look().await, bytes("again"), ttl(60)).await.unwrap();
    }
    assert!(filled);
    assert_eq!(cache.look(&key).await, Ok(Looked::Value(bytes("again"))));
}

/// Many keys are looked at in one go, in their order, whatever is under each.
pub async fn many_are_looked_at_in_their_order(subject: &Subject) {
    let cache = &subject.cache;
    let keys: Vec<String> = (0..600).map(|number| subject.key(&format!("m{number}"))).collect();
    for (number, key) in keys.iter().enumerate() {
        match number % 3 {
            0 => cache.set(key, Bytes::from(number.to_string()), ttl(60)).await.unwrap(),
            1 => cache.invalidate(key, ttl(60)).await.unwrap(),
            _ => {}
        }
    }
    for _ in 0..3 {
        let looked = cache.look_many(&keys).await.unwrap();
        assert_eq!(looked.len(), keys.len());
        for (number, looked) in looked.into_iter().enumerate() {
            match looked {
                Looked::Value(value) => assert_eq!((number % 3, value), (0, Bytes::from(number.to_string()))),
                Looked::Absent(seen) => assert!(number % 3 == 2 || seen.mark().is_some(), "{number}"),
            }
        }
    }
    assert_eq!(cache.look_many(&[]).await, Ok(Vec::new()));
}

/// Only the first of several gets in, and after its time the next one.
pub async fn absent_is_taken_once(subject: &Subject) {
    let (cache, key) = (&subject.cache, subject.key("a"));
    assert_eq!(cache.set_if_absent(&key, bytes("1"), ttl(1)).await, Ok(true));
    assert_eq!(cache.set_if_absent(&key, bytes("2"), ttl(60)).await, Ok(false));
    assert_eq!(got(cache, &key).await, Ok(Some(bytes("1"))));
    subject.until_gone(&key).await;
    assert_eq!(cache.set_if_absent(&key, bytes("3"), ttl(60)).await, Ok(true));
}

/// What is over is not there, and only a fill is kept from bringing it back, for a while.
pub async fn what_is_over_does_not_come_back(subject: &Subject) {
    let (cache, key) = (&subject.cache, subject.key("a"));
    cache.set(&key, bytes("old"), ttl(60)).await.unwrap();
    assert_eq!(got(cache, &key).await, Ok(Some(bytes("old"))));
    cache.invalidate(&key, ttl(1)).await.unwrap();
    assert_eq!(got(cache, &key).await, Ok(None));
    assert_eq!(cache.set_if_absent(&key, bytes("old"), ttl(60)).await, Ok(false));
    assert_eq!(cache.compare_and_set(&key, None, bytes("old"), ttl(60)).await, Ok(false));
    assert!(is_invalid(cache.increment(&key, 1, ttl(60)).await));
    assert!(is_invalid(cache.push_recent(&key, bytes("x"), 9, ttl(60)).await));
    assert_eq!(got(cache, &key).await, Ok(None));
    let begun = std::time::Instant::now();
    while !cache.set_if_absent(&key, bytes("new"), ttl(60)).await.unwrap() {
        assert!(begun.elapsed() < Duration::from_secs(5), "it is held for too long");
        subject.pass(Duration::from_millis(50)).await;
    }
    assert_eq!(got(cache, &key).await, Ok(Some(bytes("new"))));
    cache.invalidate(&key, ttl(60)).await.unwrap();
    cache.set(&key, bytes("newer"), ttl(60)).await.unwrap();
    assert_eq!(got(cache, &key).await, Ok(Some(bytes("newer"))), "a value that is known to be good is stored");
}

/// A value is replaced only where exactly the expected one is.
pub async fn compare_and_set_wants_exactly_what_is_there(subject: &Subject) {
    let (cache, key) = (&subject.cache, subject.key("a"));
    assert_eq!(cache.compare_and_set(&key, Some(bytes("1")), bytes("2"), ttl(60)).await, Ok(false));
    assert_eq!(got(cache, &key).await, Ok(None));
    assert_eq!(cache.compare_and_set(&key, None, bytes("1"), ttl(60)).await, Ok(true));
    assert_eq!(cache.compare_and_set(&key, None, bytes("2"), ttl(60)).await, Ok(false));
    assert_eq!(cache.compare_and_set(&key, Some(bytes("")), bytes("2"), ttl(60)).await, Ok(false));
    assert_eq!(cache.compare_and_set(&key, Some(bytes("1")), bytes("2"), ttl(1)).await, Ok(true));
    assert_eq!(got(cache, &key).await, Ok(Some(bytes("2"))));
    subject.until_gone(&key).await;
}

/// A counter begins at nothing, and gets its time to live only when it is made.
pub async fn a_busy_counter_ends_too(subject: &Subject) {
    let (cache, key) = (&subject.cache, subject.key("n"));
    assert_eq!(cache.increment(&key, 2, ttl(1)).await, Ok(2));
    assert_eq!(cache.increment(&key, -5, ttl(60)).await, Ok(-3));
    assert_eq!(got(cache, &key).await, Ok(Some(bytes("-3"))));
    subject.until_gone(&key).await;
    assert_eq!(cache.increment(&key, 1, ttl(60)).await, Ok(1));
}

/// A number that was stored can be counted on, and keeps the end that it has; what is no number can not.
pub async fn only_numbers_are_counted_on(subject: &Subject) {
    let (cache, key) = (&subject.cache, subject.key("n"));
    cache.set(&key, bytes("41"), ttl(1)).await.unwrap();
    assert_eq!(cache.increment(&key, 1, ttl(60)).await, Ok(42));
    assert_eq!(cache.compare_and_set(&key, Some(bytes("42")), bytes("43"), ttl(1)).await, Ok(true));
    assert_eq!(cache.increment(&key, 1, ttl(60)).await, Ok(44));
    subject.until_gone(&key).await;
    cache.set(&key, bytes("many"), ttl(60)).await.unwrap();
    assert!(is_invalid(cache.increment(&key, 1, ttl(60)).await));
    assert_eq!(got(cache, &key).await, Ok(Some(bytes("many"))));
    cache.set(&key, bytes("9223372036854775807"), ttl(60)).await.unwrap();
    assert!(is_invalid(cache.increment(&key, 1, ttl(60)).await));
}

/// A list has the newest first, no more than are kept, and no end while it is added to.
pub async fn a_list_keeps_the_newest_first(subject: &Subject) {
    let (cache, key) = (&subject.cache, subject.key("l"));
    assert_eq!(cache.recent(&key, 9).await, Ok(None));
    for n in 0..5_u8 {
        let length = cache.push_recent(&key, Bytes::from(vec![n]), 3, ttl(60)).await.unwrap();
        assert_eq!(length, u32::from(n + 1).min(3));
    }
    let list = |values: &[u8]| Ok(Some(values.iter().map(|n| Bytes::from(vec![*n])).collect::<Vec<_>>()));
    assert_eq!(cache.recent(&key, 9).await, list(&[4, 3, 2]));
    assert_eq!(cache.recent(&key, 2).await, list(&[4, 3]));
    assert_eq!(cache.recent(&key, 0).await, list(&[]));
    assert_eq!(cache.push_recent(&key, Bytes::from(vec![9]), 1, ttl(60)).await, Ok(1));
    assert_eq!(cache.recent(&key, 9).await, list(&[9]));
    for keep in [0, 1_001] {
        assert!(is_invalid(cache.push_recent(&key, bytes("x"), keep, ttl(60)).await));
    }
    assert_eq!(cache.delete(&key).await, Ok(true));
    assert_eq!(cache.recent(&key, 9).await, Ok(None));
}

/// A list is made at once only where nothing is.
pub async fn a_list_is_filled_only_where_nothing_is(subject: &Subject) {
    let (cache, key) = (&subject.cache, subject.key("l"));
    let values = |count: usize| (0..count).map(|n| Bytes::from(n.to_string())).collect::<Vec<_>>();
    for count in [0, 1_001] {
        assert!(is_invalid(cache.fill_recent(&key, values(count), ttl(60)).await));
    }
    assert_eq!(cache.fill_recent(&key, values(1_000), ttl(60)).await, Ok(true));
    assert_eq!(cache.recent(&key, 1_000).await, Ok(Some(values(1_000))));
    assert_eq!(cache.fill_recent(&key, values(2), ttl(60)).await, Ok(false));
    let other = subject.key("v");
    cache.set(&other, bytes("1"), ttl(60)).await.unwrap();
    assert_eq!(cache.fill_recent(&other, values(2), ttl(60)).await, Ok(false));
    assert_eq!(got(cache, &other).await, Ok(Some(bytes("1"))));
}

/// A value of a list is small, so that a whole list is no larger than an answer may be.
pub async fn values_of_lists_are_bounded(subject: &Subject) {
    let (cache, pushed, filled) = (&subject.cache, subject.key("l"), subject.key("m"));
    let of = |length: usize| Bytes::from(vec![b'x'; length]);
    assert_eq!(cache.push_recent(&pushed, of(MAX_ENTRY), 9, ttl(60)).await, Ok(1));
    assert!(is_invalid(cache.push_recent(&pushed, of(MAX_ENTRY + 1), 9, ttl(60)).await));
    assert_eq!(cache.recent(&pushed, 9).await, Ok(Some(vec![of(MAX_ENTRY)])));
    assert!(is_invalid(cache.fill_recent(&filled, vec![of(1), of(MAX_ENTRY + 1)], ttl(60)).await));
    assert_eq!(cache.recent(&filled, 9).await, Ok(None));
    assert_eq!(cache.fill_recent(&filled, vec![of(1), of(MAX_ENTRY)], ttl(60)).await, Ok(true));
}

/// A list is no value and a value no list; what does not fit is refused and harms nothing.
pub async fn kinds_are_not_mixed_up(subject: &Subject) {
    let (cache, list, value) = (&subject.cache, subject.key("l"), subject.key("v"));
    cache.push_recent(&list, bytes("1"), 9, ttl(60)).await.unwrap();
    cache.set(&value, bytes("1"), ttl(60)).await.unwrap();
    assert!(is_invalid(got(cache, &list).await));
    assert!(is_invalid(cache.increment(&list, 1, ttl(60)).await));
    assert!(is_invalid(cache.push_recent(&value, bytes("2"), 9, ttl(60)).await));
    assert!(is_invalid(cache.recent(&value, 9).await));
    assert_eq!(cache.set_if_absent(&list, bytes("2"), ttl(60)).await, Ok(false));
    assert_eq!(cache.compare_and_set(&list, None, bytes("2"), ttl(60)).await, Ok(false));
    assert_eq!(cache.compare_and_set(&list, Some(bytes("1")), bytes("2"), ttl(60)).await, Ok(false));
    assert_eq!(cache.recent(&list, 9).await, Ok(Some(vec![bytes("1")])));
    assert_eq!(got(cache, &value).await, Ok(Some(bytes("1"))));
    cache.set(&list, bytes("2"), ttl(60)).await.unwrap();
    assert_eq!(got(cache, &list).await, Ok(Some(bytes("2"))), "a value is stored whatever was there");
}

/// Whatever races, every step happens once.
pub async fn racing_steps_all_count(subject: &Subject) {
    let tasks = (0..20).map(|_| {
        let (cache, counter, cell, first) =
            (subject.cache.clone(), subject.key("counter"), subject.key("cell"), subject.key("first"));
        tokio::spawn(async move {
            for _ in 0..20 {
                cache.increment(&counter, 1, ttl(60)).await.unwrap();
            }
            loop {
                let old = cache.get(&cell).await.unwrap();
                let number: u32 = old.as_deref().map_or(0, |old| std::str::from_utf8(old).unwrap().parse().unwrap());
                let new = Bytes::from((number + 1).to_string());
                if cache.compare_and_set(&cell, old, new, ttl(60)).await.unwrap() {
                    break;
                }
            }
            cache.set_if_absent(&first, Bytes::from_static(b"me"), ttl(60)).await.unwrap()
        })
    });
    let mut winners = 0;
    for task in tasks.collect::<Vec<_>>() {
        winners += u32::from(task.await.unwrap());
    }
    assert_eq!(winners, 1);
    assert_eq!(subject.cache.increment(&subject.key("counter"), 0, ttl(60)).await, Ok(400));
    assert_eq!(subject.cache.get(&subject.key("cell")).await, Ok(Some(bytes("20"))));
}
