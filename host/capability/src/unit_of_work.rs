//! The unit of work: what a call does together or not at all. Its writes, events and stale keys are one commit; its emits
//! to sockets follow when that is durable.
//!
//! A request's call commits one per commit call. An event's call gathers one, which is committed when it returns. After a
//! crash between the commit and its effects other hosts apply the stored invalidation; emits are lost then.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::value::RawValue;

use crate::Capabilities;
use crate::budget::MAX_UNIT;
#[cfg(doc)]
use crate::documents::Documents;
use crate::documents::{Commit, Effect, Error, KeyLock, Late, Write};
use crate::events::Event;
use crate::invalidations::{Invalidation, Invalidations};
use crate::pending_invalidations::Stale;
use crate::sessions::Ending;
use crate::sockets::{Sockets, Target};

/// The most items of each kind that one unit takes.
const MAX_ITEMS: usize = 1_000;
/// What each item takes besides its text, about, in bytes.
const ITEM: usize = 64;

/// What is done together.
#[derive(Debug, Default)]
pub struct UnitOfWork {
    /// In order; each sees the effects of those before it.
    pub writes: Vec<Write>,
    /// In order.
    pub events: Vec<Event>,
    /// Keys of the cache that the commit makes stale.
    pub stale: BTreeSet<String>,
    /// Sessions that end, by their user. The writes that end them are among the writes.
    pub ended: Vec<(String, Ending)>,
    /// Emits after the commit, in order.
    pub emits: Vec<Emit>,
}

/// An emit to sockets.
#[derive(Debug)]
pub struct Emit {
    /// Its receivers.
    pub targets: Vec<Target>,
    /// Its name.
    pub event: String,
    /// Its payload.
    pub payload: Box<RawValue>,
}

impl UnitOfWork {
    /// About how many bytes it takes in memory.
    pub fn weight(&self) -> usize {
        let ending = |ending: &Ending| match ending {
            Ending::One(id) | Ending::Others(id) => id.len(),
            Ending::All => 0,
        };
        let writes = self.writes.iter().map(Write::weight);
        let events = self.events.iter().map(Event::weight);
        let stale = self.stale.iter().map(String::len);
        let ended = self.ended.iter().map(|(subject, which)| subject.len() + ending(which));
        let emits = self.emits.iter().map(Emit::weight);
        writes.chain(events).chain(stale).chain(ended).chain(emits).map(|item| item + ITEM).sum()
    }

    /// Refuses one that takes more than [`MAX_UNIT`].
    ///
    /// # Errors
    /// [`Error::Invalid`] with what to do about it.
    pub fn check_weight(&self) -> Result<(), Error> {
        within(self.weight(), "one commit")
    }

    /// Appends `more`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it would be too much; then nothing of `more` is added.
    pub fn add(&mut self, more: UnitOfWork) -> Result<(), Error> {
        // Several commits of one call often make the same key stale.
        let new_keys = more.stale.iter().filter(|key| !self.stale.contains(*key)).count();
        for (name, there, more) in [
            ("writes", self.writes.len(), more.writes.len()),
            ("events", self.events.len(), more.events.len()),
            ("stale keys", self.stale.len(), new_keys),
            ("emits", self.emits.len(), more.emits.len()),
        ] {
            if there + more > MAX_ITEMS {
                return Err(Error::Invalid(format!("one call for an event gathers at most {MAX_ITEMS} {name}")));
            }
        }
        within(self.weight() + more.weight(), "what one call for an event gathers")?;
        self.writes.extend(more.writes);
        self.events.extend(more.events);
        self.stale.extend(more.stale);
        self.ended.extend(more.ended);
        self.emits.extend(more.emits);
        Ok(())
    }

    /// Whether there is nothing to commit.
    pub fn writes_nothing(&self) -> bool {
        self.writes.is_empty() && self.events.is_empty() && self.stale.is_empty()
    }

    /// Commits it. One effect for each of its writes; the lock is the one of [`Documents::commit_in_key_order`].
    pub async fn commit(
        self,
        capabilities: &Capabilities,
        held: Option<KeyLock>,
    ) -> (Result<Vec<Effect>, Error>, Option<KeyLock>) {
        if let Err(error) = self.check_weight() {
            return (Err(error), held);
        }
        let count = self.writes.len();
        let (commit, after) = match self.split(capabilities) {
            Ok(split) => split,
            Err(error) => return (Err(error), held),
        };
        let documents = capabilities.documents.clone();
        // A task of its own: what follows the commit follows also when the caller's time is over, or the caller is gone.
        let task = tokio::spawn(async move {
            let after = Arc::new(Mutex::new(Some(after)));
            // And when the store commits after it has stopped waiting.
            let followed = after.clone();
            let late: Late = Box::new(move |committed| {
                if committed && let Some(after) = locked(&followed).take() {
                    tokio::spawn(after.follow());
                }
            });
            crate::abort::here("commit");
            let (done, lock) = documents.commit_with_late_outcome(commit, held, late).await;
            crate::abort::here("committed");
            match &done {
                Ok(_) => {
                    let after = locked(&after).take();
                    if let Some(after) = after {
                        after.follow().await;
                    }
                }
                Err(Error::Unavailable(_)) => {
                    // None: the outcome came meanwhile.
                    let doubt = locked(&after).as_ref().map(After::doubt);
                    if let Some(doubt) = doubt {
                        doubt.await;
                    }
                }
                // Nothing was done.
                Err(_) => {}
            }
            (done, lock)
        });
        match task.await {
            Ok((done, lock)) => {
                let effects = done.map(|mut effects| {
                    effects.truncate(count);
                    effects
                });
                (effects, lock)
            }
            Err(error) => (Err(Error::Unavailable(format!("a commit broke off: {error}"))), None),
        }
    }

    /// The commit, and what follows it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the stale keys are too large for a document.
    pub fn split(self, capabilities: &Capabilities) -> Result<(Commit, After), Error> {
        let UnitOfWork { mut writes, events, stale, ended, emits } = self;
        let keys = stale.into_iter().collect();
        let stale = Stale { keys, subjects: ended.iter().map(|(subject, _)| subject.clone()).collect() };
        let mut invalidation = None;
        if !stale.is_empty() {
            // Last, so that the call's own writes keep their positions.
            let (stored, write) = capabilities.invalidations.prepare(stale)?;
            writes.extend(write);
            invalidation = Some(stored);
        }
        let (invalidations, sockets) = (capabilities.invalidations.clone(), capabilities.sockets.clone());
        Ok((Commit { writes, events }, After { invalidations, sockets, invalidation, ended, emits }))
    }
}

impl Emit {
    /// About how many bytes it takes in memory.
    fn weight(&self) -> usize {
        let names = self.targets.iter().map(|target| match target {
            Target::User(name) | Target::Room(name) | Target::Socket(name) => name.len() + size_of::<Target>(),
        });
        names.sum::<usize>() + self.event.len() + self.payload.get().len()
    }
}

fn locked(after: &Mutex<Option<After>>) -> MutexGuard<'_, Option<After>> {
    after.lock().unwrap_or_else(PoisonError::into_inner)
}

fn within(bytes: usize, what: &str) -> Result<(), Error> {
    if bytes > MAX_UNIT {
        return Err(Error::Invalid(format!(
            "{what} takes at most {MAX_UNIT} bytes in memory, not {bytes}; commit less at once"
        )));
    }
    Ok(())
}

/// What follows a durable commit. It may run twice: clients recognise an emit by its payload.
#[must_use = "nothing follows before `follow`"]
pub struct After {
    invalidations: Arc<Invalidations>,
    sockets: Arc<dyn Sockets>,
    invalidation: Option<Invalidation>,
    ended: Vec<(String, Ending)>,
    emits: Vec<Emit>,
}

impl After {
    /// After a commit with an unknown outcome: cached values that it makes stale are not used, and sockets whose session it may
    /// have ended are closed. Clients whose session has not ended connect again.
    pub fn doubt(&self) -> impl Future<Output = ()> + Send + use<> {
        let (invalidations, sockets) = (self.invalidations.clone(), self.sockets.clone());
        let (invalidation, ended) = (self.invalidation.clone(), self.ended.clone());
        async move {
            if let Some(invalidation) = invalidation {
                invalidations.doubt(invalidation).await;
            }
            for (subject, ending) in &ended {
                sockets.end(subject, ending).await;
            }
        }
    }

    /// Invalidates the cache, ends sockets, and emits.
    pub async fn follow(self) {
        if let Some(invalidation) = self.invalidation {
            self.invalidations.settle(invalidation).await;
        }
        for (subject, ending) in &self.ended {
            self.sockets.end(subject, ending).await;
        }
        for Emit { targets, event, payload } in self.emits {
            if let Err(why) = self.sockets.emit(&targets, &event, &payload).await {
                tracing::debug!(%why, event, "an emit does not reach every socket");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use bson::{RawDocumentBuf, doc};

    use super::*;
    use crate::documents::{Change, Filter};

    fn insert(bytes: usize) -> Write {
        let document = RawDocumentBuf::try_from(&doc! { "_id": 1, "text": "x".repeat(bytes) }).unwrap();
        Write::Insert { collection: "c".to_owned(), document }
    }

    fn change(change: &bson::Document) -> Write {
        Write::Update {
            collection: "c".to_owned(),
            filter: Filter::all(),
            change: Change::from_document(change).unwrap(),
            upsert: true,
            many: false,
            must_match: false,
        }
    }

    fn event(bytes: usize) -> Event {
        Event {
            id: "1".to_owned(),
            topic: "t".to_owned(),
            key: "k".to_owned(),
            kind: "kind".to_owned(),
            value: vec![0; bytes],
            headers: Vec::new(),
            at: 0,
        }
    }

    fn emit(targets: usize, payload: usize) -> Emit {
        Emit {
            targets: vec![Target::User("x".repeat(200)); targets],
            event: "e".to_owned(),
            payload: serde_json::value::to_raw_value(&"x".repeat(payload)).unwrap(),
        }
    }

    /// Gathers the same until it is refused; the bytes that it has then.
    fn gather(what: impl Fn() -> UnitOfWork) -> usize {
        let mut unit = UnitOfWork::default();
        while unit.add(what()).is_ok() {
            assert!(unit.weight() <= MAX_UNIT);
        }
        let before = unit.weight();
        let error = unit.add(what()).unwrap_err().to_string();
        assert!(error.contains("at most"), "{error}");
        assert_eq!(unit.weight(), before, "nothing is added of what is refused");
        before
    }

    /// Attack (56): gathering a gigabyte of writes in a call for an event. Outcome: 16 MiB, whatever they are.
    #[test]
    fn whatever_is_gathered_is_bounded() {
        let nulls = doc! { "$push": { "a": { "$each": vec![bson::Bson::Null; 10_000] } } };
        let ended = || vec![("x".repeat(400_000), Ending::All)];
        let keys = Cell::new(0);
        let stale = |bytes: usize| {
            keys.set(keys.get() + 1);
            BTreeSet::from([format!("{}{}", keys.get(), "x".repeat(bytes))])
        };
        let kinds: [&dyn Fn() -> UnitOfWork; 6] = [
            &|| UnitOfWork { writes: vec![insert(1_000_000)], ..UnitOfWork::default() },
            &|| UnitOfWork { writes: vec![change(&nulls)], ..UnitOfWork::default() },
            &|| UnitOfWork { events: vec![event(256 << 10)], ..UnitOfWork::default() },
            &|| UnitOfWork { stale: stale(100_000), ..UnitOfWork::default() },
            &|| UnitOfWork { ended: ended(), ..UnitOfWork::default() },
            &|| UnitOfWork { emits: vec![emit(1_000, 60_000)], ..UnitOfWork::default() },
        ];
        for kind in kinds {
            assert!((MAX_UNIT / 2..=MAX_UNIT).contains(&gather(kind)));
        }
        // And together.
        let all = || UnitOfWork {
            writes: vec![insert(10_000)],
            events: vec![event(10_000)],
            stale: stale(10_000),
            ended: ended(),
            emits: vec![emit(10, 10_000)],
        };
        assert!((MAX_UNIT / 2..=MAX_UNIT).contains(&gather(all)));
    }

    #[test]
    fn a_key_that_is_made_stale_again_takes_nothing_more() {
        let stale = || UnitOfWork { stale: BTreeSet::from(["x".repeat(1_000)]), ..UnitOfWork::default() };
        let mut unit = stale();
        let weight = unit.weight();
        for _ in 0..10 * MAX_ITEMS {
            unit.add(stale()).unwrap();
        }
        assert_eq!(unit.weight(), weight);
    }

    #[test]
    fn as_many_as_fit_are_gathered() {
        let mut unit = UnitOfWork::default();
        for _ in 0..15 {
            unit.add(UnitOfWork { writes: vec![insert(1 << 20)], ..UnitOfWork::default() }).unwrap();
        }
        let mut small = UnitOfWork::default();
        for _ in 0..MAX_ITEMS {
            small.add(UnitOfWork { writes: vec![insert(1_000)], ..UnitOfWork::default() }).unwrap();
        }
    }
}
