//! Invalidations: the cache keys and sessions that a commit made stale in a shared cache. They survive a crash of the host.
//!
//! An invalidation is a document in the commit itself, deleted once the cache is invalidated. The committing host does that
//! at once; when the cache does not answer or the host dies, every host polls for the document, invalidates
//! the cache as soon as it answers, and until then does not use cached values of these keys. A cache in this process ends
//! with it and needs none.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use bson::{Bson, RawDocumentBuf, doc};

use crate::cache::{Cache, Ttl};
use crate::clocks::Clock;
use crate::documents::{Commit, Documents, Error, Filter, Query, Write, date};
use crate::pending_invalidations::{Pending, PendingInvalidations, Stale};
use crate::sessions::Sessions;

/// The collection of the invalidations. It is the host's, not the application's.
pub const COLLECTION: &str = "invalidations";
/// How often the collection is polled for invalidations of other hosts, and of hosts that died.
const POLL: Duration = Duration::from_millis(50);
/// How many are applied per poll.
const BATCH: u32 = 200;
/// How many are, where those would be too large for an answer.
const SMALL_BATCH: u32 = 8;
/// For how long no fill may store a value of an invalidated key: longer than any call may take from its read to its fill.
/// Seconds.
const HOLD: u32 = 60;

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
        Self { documents, cache, sessions, clock, pending }
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
        let document = doc! { "_id": id, "keys": keys, "subjects": subjects, "at": date(*at) };
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
            } else {
                tracing::warn!(%why, "the cache is not invalidated");
            }
            return;
        }
        if self.cache.is_shared() {
            let (this, id) = (self.clone(), invalidation.id);
            tokio::spawn(async move { this.delete(&[id]).await });
        }
    }

    /// Polls for invalidations that were not applied, until `self` is dropped. Needs a runtime.
    pub fn start(self: &Arc<Self>) {
        if self.cache.is_shared() {
            tokio::spawn(poll(Arc::downgrade(self)));
        }
    }

    /// All of it, also after one that failed: a cache that takes no writes still deletes. The error is the last one's.
    async fn apply(&self, invalidation: &Invalidation) -> Result<(), String> {
        let mut applied = Ok(());
        for key in &invalidation.stale.keys {
            if let Err(error) = self.cache.invalidate(key, Ttl::clamped(HOLD.into())).await {
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
        let ids = ids.iter().map(|id| Bson::ObjectId(*id)).collect::<Vec<_>>();
        let delete =
            |filter| Write::Delete { collection: COLLECTION.to_owned(), filter, many: true, must_match: false };
        let deleted = match Filter::from_document(&doc! { "_id": { "$in": ids } }).map(delete) {
            Ok(write) => self.documents.commit(Commit { writes: vec![write], events: Vec::new() }).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(why) = deleted {
            tracing::debug!(%why, "applied invalidations are not deleted; they are applied again");
        }
    }

    /// Applies a batch of the stored invalidations.
    async fn apply_stored(&self) -> Result<(), Error> {
        let begun = Instant::now();
        let stored = self.stored().await?;
        let (mut done, mut failed) = (Vec::new(), Pending::new());
        for invalidation in stored {
            match self.apply(&invalidation).await {
                Ok(()) => done.push(invalidation.id),
                Err(_) => _ = failed.insert(invalidation.id, (invalidation.stale, begun)),
            }
        }
        self.pending.change(|pending| {
            // Those that became pending since `begun` are not among the stored ones that were read.
            failed.extend(pending.drain().filter(|(_, (_, since))| *since > begun));
            *pending = failed;
        });
        if !done.is_empty() {
            self.delete(&done).await;
        }
        Ok(())
    }

    async fn stored(&self) -> Result<Vec<Invalidation>, Error> {
        let query = Query { limit: BATCH, ..Query::all(COLLECTION, Filter::all()) };
        let found = match self.documents.find(query.clone()).await {
            Err(Error::Invalid(_)) => self.documents.find(Query { limit: SMALL_BATCH, ..query }).await?,
            found => found?,
        };
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
        Ok(stored.collect())
    }
}

async fn poll(invalidations: Weak<Invalidations>) {
    loop {
        tokio::time::sleep(POLL).await;
        let Some(invalidations) = invalidations.upgrade() else { return };
        if let Err(why) = invalidations.apply_stored().await {
            tracing::debug!(%why, "the stored invalidations are not read");
        }
    }
}
