//! Invalidations: the cache keys and sessions that a commit made stale in a shared cache. They survive a crash of the host.
//!
//! An invalidation is a document in the commit itself, deleted once the cache is invalidated. The committing host does that
//! at once; when the cache does not answer or the host dies, every host is told of the document by the store, or polls for it,
//! invalidates the cache as soon as it answers, and until then does not use cached values of these keys. A cache in this process
//! ends with it and needs none.
//!
//! A commit with an unknown outcome may still happen. A shared cache gets the document with it, whenever that is. For a cache in
//! this process, what the commit makes stale is in doubt until the store can't commit it any more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use bson::{Bson, RawDocumentBuf, doc};
use futures_util::future::join_all;
use tokio::sync::Notify;

use crate::cache::{Cache, HOLD, Ttl};
use crate::clocks::Clock;
use crate::documents::filter::MAX_ELEMENTS;
use crate::documents::{Commit, Documents, Error, Filter, Query, Write, date};
use crate::pending_invalidations::{Due, Pending, PendingInvalidations, Stale};
use crate::sessions::Sessions;

/// The collection of the invalidations. It is the host's, not the application's.
pub const COLLECTION: &str = "invalidations";
/// How soon invalidations of other hosts are looked at after they were stored, and how often those are tried that the cache
/// does not have.
const POLL: Duration = Duration::from_millis(50);
/// How often they are looked at when the store tells of none.
const SELDOM: Duration = Duration::from_secs(10);
/// How many are applied per poll.
const BATCH: u32 = 200;
/// How many are, where those would be too large for an answer.
const SMALL_BATCH: u32 = 8;
/// How long a commit without an answer may still happen: MongoDB ends a transaction that is open for 60 s, and looks for them
/// every 30 s at most.
const DOUBT: Duration = Duration::from_secs(100);
/// How often it is checked whether a doubt is over.
const DOUBT_POLL: Duration = Duration::from_secs(1);

/// How long before its commit a session's end may be dated: longer than any call takes. Milliseconds.
const CALL: u64 = 600_000;

/// An invalidation, from before the commit until the cache has it.
#[derive(Debug, Clone)]
pub struct Invalidation {
    id: ObjectId,
    stale: Stale,
    /// The sessions that it ends ended at this time or later; milliseconds since 1970.
    at: u64,
}

/// Invalidates a cache by the commits of all hosts.
pub struct Invalidations {
    documents: Arc<dyn Documents>,
    cache: Arc<dyn Cache>,
    sessions: Arc<Sessions>,
    clock: Arc<dyn Clock>,
    pending: Arc<PendingInvalidations>,
    applied: Mutex<Applied>,
    /// Whose invalidations they are.
    by: ObjectId,
    /// Notified of one that the cache does not have, and of a doubt.
    unsettled: Arc<Notify>,
    /// Until then the stored ones are polled for, since one of this host's own may come late.
    doubted_until: Mutex<Option<Instant>>,
}

/// Invalidations that the cache has, and whose documents are not deleted yet.
#[derive(Default)]
struct Applied {
    ids: Vec<ObjectId>,
    /// A task deletes them.
    are_deleted: bool,
}

impl Invalidations {
    /// Of a cache, by the commits to `documents`; `pending` is shared with the sessions.
    pub fn new(
        documents: Arc<dyn Documents>,
        cache: Arc<dyn Cache>,
        sessions: Arc<Sessions>,
        clock: Arc<dyn Clock>,
        pending: Arc<PendingInvalidations>,
    ) -> Self {
        let (by, unsettled, doubted_until) = (ObjectId::new(), Arc::default(), Mutex::default());
        let applied = Mutex::default();
        Self { documents, cache, sessions, clock, pending, applied, by, unsettled, doubted_until }
    }

    /// The invalidations that the cache does not have yet.
    pub fn pending(&self) -> &PendingInvalidations {
        &self.pending
    }

    /// The invalidation of a commit, and the write to add to the commit; none for a cache that needs none.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is too large for a document.
    pub fn prepare(&self, stale: Stale) -> Result<(Invalidation, Option<Write>), Error> {
        // A session's end is dated when the call asks for it, which is before this.
        let invalidation = Invalidation { id: ObjectId::new(), stale, at: self.clock.now().saturating_sub(CALL) };
        if !self.cache.is_shared() {
            return Ok((invalidation, None));
        }
        let Invalidation { id, stale: Stale { keys, subjects }, at } = &invalidation;
        let document = doc! { "_id": id, "keys": keys, "subjects": subjects, "at": date(*at), "by": self.by };
        let document = RawDocumentBuf::try_from(&document).map_err(|error| Error::Invalid(error.to_string()))?;
        Ok((invalidation, Some(Write::Insert { collection: COLLECTION.to_owned(), document })))
    }

    /// After the commit: invalidates the cache, or adds the invalidation to the pending ones.
    pub async fn settle(self: &Arc<Self>, invalidation: Invalidation) {
        if let Err(why) = self.apply(&invalidation).await {
            if self.cache.is_shared() {
                tracing::debug!(%why, "the cache is invalidated later");
                let Invalidation { id, stale, .. } = invalidation;
                self.pending.change(|pending| _ = pending.insert(id, (stale, Instant::now())));
                self.unsettled.notify_one();
            } else {
                tracing::warn!(%why, "the cache is not invalidated");
            }
            return;
        }
        if self.cache.is_shared() {
            self.delete_soon(invalidation.id);
        }
    }

    /// Deletes the document of an applied invalidation, together with those that are applied while others are deleted: a busy
    /// host has one deletion under way and not one a commit.
    fn delete_soon(self: &Arc<Self>, id: ObjectId) {
        let mut applied = self.applied();
        applied.ids.push(id);
        if std::mem::replace(&mut applied.are_deleted, true) {
            return;
        }
        drop(applied);
        let this = self.clone();
        tokio::spawn(async move {
            while let Some(ids) = this.next_deletion() {
                this.delete(&ids).await;
            }
        });
    }

    /// What is deleted next; none when there is nothing, and whoever deletes stops.
    fn next_deletion(&self) -> Option<Vec<ObjectId>> {
        let mut applied = self.applied();
        let count = applied.ids.len().min(MAX_ELEMENTS);
        applied.are_deleted = count > 0;
        (count > 0).then(|| applied.ids.drain(..count).collect())
    }

    fn applied(&self) -> MutexGuard<'_, Applied> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After a commit with an unknown outcome: cached values that it makes stale are not used until it can't happen any more, and
    /// are invalidated then. For a shared cache the commit, if it happens, stores the invalidation, which is polled for.
    pub async fn doubt(self: &Arc<Self>, invalidation: Invalidation) {
        if self.cache.is_shared() {
            *self.doubted_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + DOUBT);
            self.unsettled.notify_one();
            return;
        }
        if self.pending.doubt(&invalidation.stale, invalidation.at, Instant::now() + DOUBT) {
            tokio::spawn(settle_doubts(Arc::downgrade(self)));
        }
        if let Err(why) = self.apply(&invalidation).await {
            tracing::debug!(%why, "the cache is invalidated when it is known what was committed");
        }
    }

    async fn settle_due(&self, due: Due, now: Instant) {
        let mut settled = Due::default();
        for key in due.keys {
            if self.cache.invalidate(&key, Ttl::clamped(HOLD.into())).await.is_ok() {
                settled.keys.push(key);
            }
        }
        for (subject, since) in due.subjects {
            if self.sessions.bury(&subject, since).await.is_ok() {
                settled.subjects.push((subject, since));
            }
        }
        self.pending.settled(&settled, now);
    }

    /// Whether there are stored ones that the store does not tell of: they were told before, or are this host's own.
    fn expects_some(&self) -> bool {
        let doubted = *self.doubted_until.lock().unwrap_or_else(PoisonError::into_inner);
        !self.pending.is_empty() || doubted.is_some_and(|until| Instant::now() < until)
    }

    /// Polls for invalidations that were not applied, until `self` is dropped. Needs a runtime.
    pub fn start(self: &Arc<Self>) {
        if self.cache.is_shared() {
            // Before the first poll it is not known which invalidations are stored.
            self.pending.set_more(true);
            tokio::spawn(poll(Arc::downgrade(self)));
        }
    }

    /// All of it, also after one that failed: a cache that takes no writes still deletes. The error is the last one's.
    async fn apply(&self, invalidation: &Invalidation) -> Result<(), String> {
        let mut applied = Ok(());
        // Together: the commit's caller waits for them.
        let mut invalidated = Vec::with_capacity(invalidation.stale.keys.len());
        for key in &invalidation.stale.keys {
            invalidated.push(self.cache.invalidate(key, Ttl::clamped(HOLD.into())));
        }
        for done in join_all(invalidated).await {
            if let Err(error) = done {
                applied = Err(error.to_string());
            }
        }
        for subject in &invalidation.stale.subjects {
            if let Err(error) = self.sessions.bury(subject, invalidation.at).await {
                applied = Err(error);
            }
        }
        applied
    }

    async fn delete(&self, ids: &[ObjectId]) {
        let delete = |filter, many| {
            let write = Write::Delete { collection: COLLECTION.to_owned(), filter, many, must_match: false };
            Commit { writes: vec![write], events: Vec::new() }
        };
        let deleted = match ids {
            // After each commit: a store may gather it with other commits.
            [id] => match Filter::by_id(Bson::ObjectId(*id)) {
                Ok(filter) => self.documents.commit_in_background(delete(filter, false)).await,
                Err(error) => Err(error),
            },
            ids => {
                let ids = ids.iter().map(|id| Bson::ObjectId(*id)).collect::<Vec<_>>();
                match Filter::from_document(&doc! { "_id": { "$in": ids } }) {
                    Ok(filter) => self.documents.commit(delete(filter, true)).await,
                    Err(error) => Err(error),
                }
            }
        };
        if let Err(why) = deleted {
            tracing::debug!(%why, "applied invalidations are not deleted; they are applied again");
        }
    }

    /// Applies the stored invalidations, page by page. Where the cache refuses those of a page they become pending, and it is
    /// known that there are more. `unread` is false from the first page on that was read.
    async fn apply_stored(&self, unread: &mut bool) -> Result<(), Error> {
        let begun = Instant::now();
        let (mut failed, mut last) = (Pending::new(), None);
        let more = loop {
            let page = self.stored(last).await?;
            *unread = false;
            if page.is_full {
                // Those of the next pages are not known yet.
                self.pending.set_more(true);
            }
            let mut done = Vec::new();
            for invalidation in page.invalidations {
                match self.apply(&invalidation).await {
                    Ok(()) => done.push(invalidation.id),
                    Err(_) => _ = failed.insert(invalidation.id, (invalidation.stale, begun)),
                }
            }
            if !done.is_empty() {
                self.delete(&done).await;
            }
            last = page.last;
            if !page.is_full || last.is_none() || failed.len() >= BATCH as usize {
                break page.is_full;
            }
        };
        self.pending.change(|pending| {
            // Those that became pending since `begun` are not among the stored ones that were read.
            failed.extend(pending.drain().filter(|(_, (_, since))| *since > begun));
            *pending = failed;
        });
        self.pending.set_more(more);
        Ok(())
    }

    /// The stored invalidations after this one, by their ids.
    async fn stored(&self, after: Option<ObjectId>) -> Result<Page, Error> {
        let filter = match after {
            Some(after) => Filter::from_document(&doc! { "_id": { "$gt": after } })?,
            None => Filter::all(),
        };
        let mut query = Query { limit: BATCH, ..Query::all(COLLECTION, filter) };
        let found = match self.documents.find(query.clone()).await {
            Err(Error::Invalid(_) | Error::Overdue(_)) => {
                query.limit = SMALL_BATCH;
                self.documents.find(query.clone()).await?
            }
            found => found?,
        };
        let is_full = found.len() >= query.limit as usize;
        let last = found.last().and_then(|document| document.get_object_id("_id").ok());
        let stored = found.iter().filter_map(|document| {
            let texts = |name: &str| {
                let texts = document.get_array(name).ok()?.into_iter();
                Some(texts.filter_map(|text| text.ok()?.as_str().map(str::to_owned)).collect::<Vec<_>>())
            };
            Some(Invalidation {
                id: document.get_object_id("_id").ok()?,
                stale: Stale { keys: texts("keys")?, subjects: texts("subjects")? },
                at: u64::try_from(document.get_datetime("at").ok()?.timestamp_millis()).ok()?,
            })
        });
        Ok(Page { invalidations: stored.collect(), last, is_full })
    }
}

/// Some of the stored invalidations.
struct Page {
    invalidations: Vec<Invalidation>,
    last: Option<ObjectId>,
    /// There may be others behind it.
    is_full: bool,
}

async fn settle_doubts(invalidations: Weak<Invalidations>) {
    loop {
        tokio::time::sleep(DOUBT_POLL).await;
        let Some(invalidations) = invalidations.upgrade() else { return };
        let now = Instant::now();
        let Some(due) = invalidations.pending.due(now) else { return };
        invalidations.settle_due(due, now).await;
    }
}

async fn poll(invalidations: Weak<Invalidations>) {
    let mut unread = true;
    let mut watch = match invalidations.upgrade() {
        Some(this) => this.documents.watch(COLLECTION, this.by),
        None => return,
    };
    loop {
        let Some(this) = invalidations.upgrade() else { return };
        let read = this.apply_stored(&mut unread).await;
        if let Err(why) = &read {
            tracing::debug!(%why, "the stored invalidations are not read");
            if unread {
                // The documents don't answer: the cache is all that this host can start with.
                this.pending.set_more(false);
            }
        }
        // What the store told is not told again: it is read until it was.
        let (soon, unsettled) = (unread || read.is_err() || this.expects_some(), this.unsettled.clone());
        drop(this);
        if soon {
            tokio::time::sleep(POLL).await;
        } else {
            tokio::select! {
                () = watch.changed(POLL, SELDOM) => {}
                () = unsettled.notified() => {}
            }
        }
    }
}
