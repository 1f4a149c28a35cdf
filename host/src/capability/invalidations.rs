//! Invalidations: what a commit made stale in a shared cache, and must not be believed any more, whatever dies.
//!
//! They are a row in the commit itself, taken away once the cache knows. Whoever committed tells the cache at once; when
//! the cache is away or the host dies, every host sees the row within moments, tells the cache as soon as it answers, and
//! until then does not believe it about what the row names. A cache in this process dies with it and needs no rows.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use bson::{Bson, RawDocumentBuf, doc};

use super::cache::{Cache, Ttl};
use super::clocks::Clock;
use super::documents::{Commit, Documents, Error, Filter, Query, Write, date};
use super::sessions::Sessions;

/// Where the rows are. A collection of the host, not of the application.
pub(crate) const COLLECTION: &str = "invalidations";
/// How often rows of other hosts, and of such as died, are looked for.
const LOOK: Duration = Duration::from_millis(50);
/// How many are seen to at a time.
const AT_ONCE: u32 = 200;
/// For how long no fill may bring back a value that is over: longer than any call may take from its read to its fill.
const HOLD: u32 = 60;

/// How long before its commit a session's end may have been written down: longer than any call takes. Milliseconds.
const CALL: u64 = 600_000;

/// What a commit makes stale.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stale {
    /// Keys of the cache.
    pub keys: Vec<String>,
    /// Subjects some of whose sessions end.
    pub subjects: Vec<String>,
}

impl Stale {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.subjects.is_empty()
    }
}

/// A row, from before the commit until the cache knows.
#[derive(Debug, Clone)]
pub struct Row {
    id: ObjectId,
    stale: Stale,
    /// Sessions that end with it ended at this time or later; milliseconds since 1970.
    at: u64,
}

/// Sees to it that a cache learns what is stale.
pub struct Invalidations {
    documents: Arc<dyn Documents>,
    cache: Arc<dyn Cache>,
    sessions: Arc<Sessions>,
    clock: Arc<dyn Clock>,
    owed: Arc<Owed>,
}

/// What is known to be stale in a cache that has not learnt it yet.
#[derive(Default)]
pub struct Owed {
    rows: Mutex<Rows>,
    /// How many there are: mostly none, which readers see without the lock.
    count: AtomicUsize,
}

/// What each row that the cache has not learnt makes stale, and since when that is known.
type Rows = HashMap<ObjectId, (Stale, Instant)>;

impl Owed {
    /// Whether the cache is not to be believed about this key.
    pub fn has_key(&self, key: &str) -> bool {
        self.has(|stale| stale.keys.iter().any(|owed| owed == key))
    }

    /// Whether the cache is not to be believed about this subject's sessions.
    pub fn has_subject(&self, subject: &str) -> bool {
        self.has(|stale| stale.subjects.iter().any(|owed| owed == subject))
    }

    fn has(&self, names: impl Fn(&Stale) -> bool) -> bool {
        self.count.load(Ordering::Acquire) > 0 && self.rows().values().any(|(stale, _)| names(stale))
    }

    fn change(&self, change: impl FnOnce(&mut Rows)) {
        let mut rows = self.rows();
        change(&mut rows);
        self.count.store(rows.len(), Ordering::Release);
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Invalidations {
    /// Of a cache, by what is committed to `documents`; `owed` is shared with the sessions.
    pub fn new(
        documents: Arc<dyn Documents>,
        cache: Arc<dyn Cache>,
        sessions: Arc<Sessions>,
        clock: Arc<dyn Clock>,
        owed: Arc<Owed>,
    ) -> Self {
        Self { documents, cache, sessions, clock, owed }
    }

    /// What the cache has not learnt yet.
    pub fn owed(&self) -> &Owed {
        &self.owed
    }

    /// The row of a commit, and the write that belongs into it; none for a cache that needs none.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is too large for a document.
    pub fn row(&self, stale: Stale) -> Result<(Row, Option<Write>), Error> {
        // A session is said to end when the call asks for it, which is before this.
        let row = Row { id: ObjectId::new(), stale, at: self.clock.now().saturating_sub(CALL) };
        if !self.cache.is_shared() {
            return Ok((row, None));
        }
        let document =
            doc! { "_id": row.id, "keys": &row.stale.keys, "subjects": &row.stale.subjects, "at": date(row.at) };
        let document = RawDocumentBuf::try_from(&document).map_err(|error| Error::Invalid(error.to_string()))?;
        Ok((row, Some(Write::Insert { collection: COLLECTION.to_owned(), document })))
    }

    /// After the commit: tells the cache, or remembers that it has not been told.
    pub async fn settle(self: &Arc<Self>, row: Row) {
        if let Err(why) = self.tell(&row).await {
            if self.cache.is_shared() {
                tracing::debug!(%why, "the cache learns later what is stale");
                self.owed.change(|rows| _ = rows.insert(row.id, (row.stale, Instant::now())));
            } else {
                tracing::warn!(%why, "what is stale is not marked in the cache");
            }
            return;
        }
        if self.cache.is_shared() {
            let (this, id) = (self.clone(), row.id);
            tokio::spawn(async move { this.strike(&[id]).await });
        }
    }

    /// Looks for rows that nobody has seen to, as long as there is somebody to see to them. Needs a runtime.
    pub fn start(self: &Arc<Self>) {
        if self.cache.is_shared() {
            tokio::spawn(look(Arc::downgrade(self)));
        }
    }

    async fn tell(&self, row: &Row) -> Result<(), String> {
        for key in &row.stale.keys {
            self.cache.invalidate(key, Ttl::clamped(HOLD.into())).await.map_err(|error| error.to_string())?;
        }
        for subject in &row.stale.subjects {
            self.sessions.bury(subject, row.at).await?;
        }
        Ok(())
    }

    async fn strike(&self, rows: &[ObjectId]) {
        let ids = rows.iter().map(|id| Bson::ObjectId(*id)).collect::<Vec<_>>();
        let delete =
            |filter| Write::Delete { collection: COLLECTION.to_owned(), filter, many: true, must_match: false };
        let struck = match Filter::from_document(&doc! { "_id": { "$in": ids } }).map(delete) {
            Ok(write) => self.documents.commit(Commit { writes: vec![write], events: Vec::new() }).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(why) = struck {
            tracing::debug!(%why, "invalidations that are done stay for now; they are done again");
        }
    }

    /// One look at all rows.
    async fn see_to_all(&self) -> Result<(), Error> {
        let begun = Instant::now();
        let rows = self.rows().await?;
        let (mut done, mut owed) = (Vec::new(), HashMap::new());
        for row in rows {
            match self.tell(&row).await {
                Ok(()) => done.push(row.id),
                Err(_) => _ = owed.insert(row.id, (row.stale, begun)),
            }
        }
        self.owed.change(|rows| {
            // What came to be owed since is not among what was read.
            owed.extend(rows.drain().filter(|(_, (_, since))| *since > begun));
            *rows = owed;
        });
        if !done.is_empty() {
            self.strike(&done).await;
        }
        Ok(())
    }

    async fn rows(&self) -> Result<Vec<Row>, Error> {
        let query = Query { limit: AT_ONCE, ..Query::all(COLLECTION, Filter::from_document(&doc! {})?) };
        let found = self.documents.find(query).await?;
        let rows = found.iter().filter_map(|row| {
            let texts = |name: &str| {
                let texts = row.get_array(name).ok()?.into_iter();
                Some(texts.filter_map(|text| text.ok()?.as_str().map(str::to_owned)).collect::<Vec<_>>())
            };
            Some(Row {
                id: row.get_object_id("_id").ok()?,
                stale: Stale { keys: texts("keys")?, subjects: texts("subjects")? },
                at: u64::try_from(row.get_datetime("at").ok()?.timestamp_millis()).ok()?,
            })
        });
        Ok(rows.collect())
    }
}

async fn look(invalidations: Weak<Invalidations>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(invalidations) = invalidations.upgrade() else { return };
        if let Err(why) = invalidations.see_to_all().await {
            tracing::debug!(%why, "invalidations are not looked for");
        }
    }
}
