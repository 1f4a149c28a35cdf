//! The cluster, as the documents have it: all rows at one revision of the head.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::doc;

use super::row::{self, COLLECTION, Row};
use crate::capability::documents::{Commit, Documents, Error, Filter, Query};

/// What is deployed.
#[derive(Debug, PartialEq)]
pub(super) struct Cluster {
    /// -1 before the first look.
    pub(super) revision: i64,
    pub(super) rows: BTreeMap<String, Row>,
}

impl Cluster {
    /// Before the first look.
    pub(super) fn unknown() -> Self {
        Self { revision: -1, rows: BTreeMap::new() }
    }

    /// As it is; what is known of it where the head has not moved.
    pub(super) async fn look(documents: &dyn Documents, known: &Arc<Self>) -> Result<Arc<Self>, Error> {
        let mut revision = head(documents).await?;
        if revision == known.revision {
            return Ok(known.clone());
        }
        loop {
            let rows = read_rows(documents).await?;
            let now = head(documents).await?;
            if now == revision {
                return Ok(Arc::new(Self { revision, rows }));
            }
            revision = now;
        }
    }

    /// What is deployed of a component.
    pub(super) fn row(&self, name: &str) -> Row {
        self.rows.get(name).cloned().unwrap_or_else(|| Row::new(name))
    }
}

/// The revision of the head, which is made where there is none.
pub(super) async fn head(documents: &dyn Documents) -> Result<i64, Error> {
    let query = Query { limit: 1, ..Query::all(COLLECTION, Filter::from_document(&doc! { "_id": row::HEAD })?) };
    if let Some(head) = documents.find(query).await?.first() {
        return head.get_i64("revision").map_err(|error| Error::Invalid(error.to_string()));
    }
    match documents.commit(Commit { writes: vec![row::head()?], events: Vec::new() }).await {
        Ok(_) | Err(Error::Duplicate { .. }) => Ok(0),
        Err(error) => Err(error),
    }
}

async fn read_rows(documents: &dyn Documents) -> Result<BTreeMap<String, Row>, Error> {
    let mut rows = BTreeMap::new();
    let mut after = row::HEAD.to_owned();
    loop {
        let filter = Filter::from_document(&doc! { "_id": { "$gt": &after } })?;
        let found = documents.find(Query::all(COLLECTION, filter)).await?;
        let found: Vec<Row> = found.iter().filter_map(|document| Row::read(document)).collect();
        let Some(last) = found.last() else { return Ok(rows) };
        after.clone_from(&last.name);
        rows.extend(found.into_iter().map(|row| (row.name.clone(), row)));
    }
}
