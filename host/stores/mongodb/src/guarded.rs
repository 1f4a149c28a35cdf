//! A store behind a circuit breaker: while it does not answer, calls fail at once instead of waiting one after the other.

use std::time::Duration;

use async_trait::async_trait;
use bson::oid::ObjectId;
use bson::{Bson, RawDocumentBuf};

use crate::MongoDb;
use capability::circuit::Circuit;
use capability::documents::{Commit, Documents, Effect, Error, Filter, KeyLock, Late, Plan, Query, Watch};
use capability::health::Health;

/// The circuit's pause after a call that was not answered.
const PAUSE: Duration = Duration::from_millis(250);

/// A store on another machine, and its circuit.
pub struct Guarded {
    store: MongoDb,
    circuit: Circuit,
}

impl Guarded {
    /// Around a store.
    pub fn new(store: MongoDb) -> Self {
        Self { store, circuit: Circuit::new(PAUSE) }
    }

    /// Its health, by the last calls.
    pub fn health(&self) -> Health {
        self.circuit.health()
    }

    async fn guard<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let pass = self.circuit.pass();
        let pass = pass.ok_or_else(|| Error::Unavailable("it did not answer the last call".to_owned()))?;
        let answer = call.await;
        match &answer {
            Err(Error::Unavailable(why)) => pass.failed(why),
            _ => pass.answered(),
        }
        answer
    }
}

#[async_trait]
impl Documents for Guarded {
    async fn find(&self, query: Query) -> Result<Vec<RawDocumentBuf>, Error> {
        self.guard(self.store.find(query)).await
    }

    async fn count(&self, collection: &str, filter: Filter, limit: u32) -> Result<u64, Error> {
        self.guard(self.store.count(collection, filter, limit)).await
    }

    async fn distinct(&self, collection: &str, field: &str, filter: Filter) -> Result<Vec<Bson>, Error> {
        self.guard(self.store.distinct(collection, field, filter)).await
    }

    async fn commit(&self, commit: Commit) -> Result<Vec<Effect>, Error> {
        self.commit_in_key_order(commit, None).await.0
    }

    async fn commit_in_key_order(
        &self,
        commit: Commit,
        held: Option<KeyLock>,
    ) -> (Result<Vec<Effect>, Error>, Option<KeyLock>) {
        // A store that is not prepared yet refuses commits; that says nothing about whether it answers.
        if !self.store.is_ready() {
            return self.store.commit_in_key_order(commit, held).await;
        }
        let mut lock = None;
        let call = async {
            let (answer, next) = self.store.commit_in_key_order(commit, held).await;
            lock = next;
            answer
        };
        (self.guard(call).await, lock)
    }

    async fn commit_with_late_outcome(
        &self,
        commit: Commit,
        held: Option<KeyLock>,
        late: Late,
    ) -> (Result<Vec<Effect>, Error>, Option<KeyLock>) {
        if !self.store.is_ready() {
            return self.store.commit_with_late_outcome(commit, held, late).await;
        }
        let mut lock = None;
        let call = async {
            let (answer, next) = self.store.commit_with_late_outcome(commit, held, late).await;
            lock = next;
            answer
        };
        (self.guard(call).await, lock)
    }

    async fn commit_in_background(&self, commit: Commit) -> Result<Vec<Effect>, Error> {
        if !self.store.is_ready() {
            return self.store.commit_in_background(commit).await;
        }
        self.guard(self.store.commit_in_background(commit)).await
    }

    async fn adopt(&self, collection: &str, documents: Vec<RawDocumentBuf>) -> Result<(), Error> {
        self.guard(self.store.adopt(collection, documents)).await
    }

    fn watch(&self, collection: &str, by: ObjectId) -> Box<dyn Watch> {
        self.store.watch(collection, by)
    }

    async fn explain(&self, query: Query) -> Result<Plan, Error> {
        self.guard(self.store.explain(query)).await
    }
}
