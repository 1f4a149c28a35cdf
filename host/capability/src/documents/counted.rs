//! A store that counts what it is asked, so that tests can say how many questions an answer costs. It changes nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bson::{Bson, RawDocumentBuf};

use crate::documents::{Commit, Documents, Effect, Error, Filter, KeyLock, Late, Plan, Query};

/// How often a store was asked, by what and of which collection: `find people`, `count people`, `distinct people`, `commit`.
#[derive(Debug, Default)]
pub struct StoreCalls(Mutex<BTreeMap<String, u64>>);

impl StoreCalls {
    /// The counts since the last time; they begin anew.
    pub fn take(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.lock())
    }

    fn count(&self, what: &str, collection: &str) {
        let name = if collection.is_empty() { what.to_owned() } else { format!("{what} {collection}") };
        *self.lock().entry(name).or_default() += 1;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store whose calls are counted.
pub struct Counted {
    store: Arc<dyn Documents>,
    calls: Arc<StoreCalls>,
}

impl Counted {
    /// The same store.
    pub fn new(store: Arc<dyn Documents>, calls: Arc<StoreCalls>) -> Self {
        Self { store, calls }
    }
}

#[async_trait]
impl Documents for Counted {
    async fn find(&self, query: Query) -> Result<Vec<RawDocumentBuf>, Error> {
        self.calls.count("find", &query.collection);
        self.store.find(query).await
    }

    async fn count(&self, collection: &str, filter: Filter, limit: u32) -> Result<u64, Error> {
        self.calls.count("count", collection);
        self.store.count(collection, filter, limit).await
    }

    async fn distinct(&self, collection: &str, field: &str, filter: Filter) -> Result<Vec<Bson>, Error> {
        self.calls.count("distinct", collection);
        self.store.distinct(collection, field, filter).await
    }

    async fn commit(&self, commit: Commit) -> Result<Vec<Effect>, Error> {
        self.calls.count("commit", "");
        self.store.commit(commit).await
    }

    async fn commit_in_key_order(
        &self,
        commit: Commit,
        held: Option<KeyLock>,
    ) -> (Result<Vec<Effect>, Error>, Option<KeyLock>) {
        self.calls.count("commit", "");
        self.store.commit_in_key_order(commit, held).await
    }

    async fn commit_with_late_outcome(
        &self,
        commit: Commit,
        held: Option<KeyLock>,
        late: Late,
    ) -> (Result<Vec<Effect>, Error>, Option<KeyLock>) {
        self.calls.count("commit", "");
        self.store.commit_with_late_outcome(commit, held, late).await
    }

    async fn commit_in_background(&self, commit: Commit) -> Result<Vec<Effect>, Error> {
        self.calls.count("commit in background", "");
        self.store.commit_in_background(commit).await
    }

    async fn adopt(&self, collection: &str, documents: Vec<RawDocumentBuf>) -> Result<(), Error> {
        self.calls.count("adopt", collection);
        self.store.adopt(collection, documents).await
    }

    async fn explain(&self, query: Query) -> Result<Plan, Error> {
        self.store.explain(query).await
    }
}
