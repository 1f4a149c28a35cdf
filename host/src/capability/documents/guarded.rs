//! A store behind a circuit: while it does not answer, callers learn so at once instead of waiting one after the other.

use std::time::Duration;

use async_trait::async_trait;
use bson::{Bson, RawDocumentBuf};

use super::{Commit, Documents, Effect, Error, Filter, MongoDb, Plan, Query, Turn};
use crate::capability::Health;
use crate::capability::circuit::Circuit;

/// How long a store is left alone after a call that it did not answer.
const PAUSE: Duration = Duration::from_millis(250);

/// A store on another machine, and how it is.
pub struct Guarded {
    store: MongoDb,
    circuit: Circuit,
}

impl Guarded {
    /// Around a store.
    pub fn new(store: MongoDb) -> Self {
        Self { store, circuit: Circuit::new(PAUSE) }
    }

    /// How it is, by the last call.
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
        self.commit_in_turn(commit, None).await.0
    }

    async fn commit_in_turn(&self, commit: Commit, kept: Option<Turn>) -> (Result<Vec<Effect>, Error>, Option<Turn>) {
        // A store that is not prepared yet refuses, which says nothing of whether it answers.
        if !self.store.is_ready() {
            return self.store.commit_in_turn(commit, kept).await;
        }
        let mut turn = None;
        let call = async {
            let (answer, next) = self.store.commit_in_turn(commit, kept).await;
            turn = next;
            answer
        };
        (self.guard(call).await, turn)
    }

    async fn commit_beside(&self, commit: Commit) -> Result<Vec<Effect>, Error> {
        if !self.store.is_ready() {
            return self.store.commit_beside(commit).await;
        }
        self.guard(self.store.commit_beside(commit)).await
    }

    async fn explain(&self, query: Query) -> Result<Plan, Error> {
        self.guard(self.store.explain(query)).await
    }
}
