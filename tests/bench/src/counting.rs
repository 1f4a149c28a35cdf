//! Documents that count what is asked of them, on the way to the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bson::{Bson, RawDocumentBuf};
use capability::documents::{Commit, Documents, Effect, Error, Filter, KeyLock, Late, Plan, Query};
use devconnect::WrapDocuments;

/// What was asked of a store.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    queries: AtomicU64,
    commits: AtomicU64,
    writes: AtomicU64,
    events: AtomicU64,
}

/// The same at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Finds, counts and distincts.
    pub(crate) queries: u64,
    /// Commits, those that were refused as well.
    pub(crate) commits: u64,
    /// Writes in them.
    pub(crate) writes: u64,
    /// Events in them.
    pub(crate) events: u64,
}

impl Tally {
    /// What was asked between `before` and this.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            queries: self.queries - before.queries,
            commits: self.commits - before.commits,
            writes: self.writes - before.writes,
            events: self.events - before.events,
        }
    }
}

impl Asked {
    /// Until now.
    pub(crate) fn tally(&self) -> Tally {
        let of = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        Tally {
            queries: of(&self.queries),
            commits: of(&self.commits),
            writes: of(&self.writes),
            events: of(&self.events),
        }
    }

    /// Puts this between a host and its store.
    pub(crate) fn wrap(self: &Arc<Self>) -> WrapDocuments {
        let asked = self.clone();
        Arc::new(move |store: Arc<dyn Documents>| {
            Arc::new(Counted { asked: asked.clone(), store }) as Arc<dyn Documents>
        })
    }

    fn query(&self) {
        self.queries.fetch_add(1, Ordering::SeqCst);
    }

    fn commit(&self, commit: &Commit) {
        self.commits.fetch_add(1, Ordering::SeqCst);
        self.writes.fetch_add(commit.writes.len() as u64, Ordering::SeqCst);
        self.events.fetch_add(commit.events.len() as u64, Ordering::SeqCst);
    }
}

struct Counted {
    asked: Arc<Asked>,
    store: Arc<dyn Documents>,
}

#[async_trait]
impl Documents for Counted {
    async fn find(&self, query: Query) -> Result<Vec<RawDocumentBuf>, Error> {
        self.asked.query();
        self.store.find(query).await
    }

    async fn count(&self, collection: &str, filter: Filter, limit: u32) -> Result<u64, Error> {
        self.asked.query();
        self.store.count(collection, filter, limit).await
    }

    async fn distinct(&self, collection: &str, field: &str, filter: Filter) -> Result<Vec<Bson>, Error> {
        self.asked.query();
        self.store.distinct(collection, field, filter).await
    }

    async fn commit(&self, commit: Commit) -> Result<Vec<Effect>, Error> {
        self.asked.commit(&commit);
        self.store.commit(commit).await
    }

    async fn commit_in_key_order(
        &self,
        commit: Commit,
        held: Option<KeyLock>,
    ) -> (Result<Vec<Effect>, Error>, Option<KeyLock>) {
        self.asked.commit(&commit);
        self.store.commit_in_key_order(commit, held).await
    }

    async fn commit_with_late_outcome(
        &self,
        commit: Commit,
        held: Option<KeyLock>,
        late: Late,
    ) -> (Result<Vec<Effect>, Error>, Option<KeyLock>) {
        self.asked.commit(&commit);
        self.store.commit_with_late_outcome(commit, held, late).await
    }

    async fn commit_in_background(&self, commit: Commit) -> Result<Vec<Effect>, Error> {
        self.asked.commit(&commit);
        self.store.commit_in_background(commit).await
    }

    async fn adopt(&self, collection: &str, documents: Vec<RawDocumentBuf>) -> Result<(), Error> {
        self.store.adopt(collection, documents).await
    }

    async fn explain(&self, query: Query) -> Result<Plan, Error> {
        self.store.explain(query).await
    }
}
