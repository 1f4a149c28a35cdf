//! What is deployed in the cluster, as the documents have it: all rows at one revision of the head. Touches the documents.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::doc;

use crate::Served;
use crate::deploy::component_row;
use crate::deploy::component_row::{COLLECTION, ComponentRow};
use capability::documents::{Commit, Documents, Error, Filter, Query};

/// What is deployed.
#[derive(Debug, PartialEq)]
pub(super) struct Cluster {
    /// The head's revision; -1 before the first read.
    pub(super) revision: i64,
    pub(super) rows: BTreeMap<String, ComponentRow>,
}

impl Cluster {
    /// The state before the first read.
    pub(super) fn unknown() -> Self {
        Self { revision: -1, rows: BTreeMap::new() }
    }

    /// Reads the current state; returns `known` when the head's revision has not changed.
    pub(super) async fn read(documents: &dyn Documents, known: &Arc<Self>) -> Result<Arc<Self>, Error> {
        let mut revision = head_revision(documents).await?;
        if revision == known.revision {
            return Ok(known.clone());
        }
        loop {
            let rows = read_rows(documents).await?;
            let now = head_revision(documents).await?;
            if now == revision {
                return Ok(Arc::new(Self { revision, rows }));
            }
            revision = now;
        }
    }

    /// What is deployed after the next change, which is that of this row.
    pub(super) fn with(&self, row: &ComponentRow) -> Self {
        let mut rows = self.rows.clone();
        rows.insert(row.name.clone(), row.clone());
        Self { revision: self.revision + 1, rows }
    }

    /// Whether what a host serves of a component is what is deployed, and not a version that it keeps because it can't load the
    /// deployed one. A component without a row is one of the folder that is about to be deployed.
    pub(super) fn is_current(&self, served: &Served) -> bool {
        let row = self.rows.get(served.name());
        row.is_none_or(|row| row.serving.as_ref() == Some(&served.stable.sha256))
    }

    /// The row of a component; a new one when it was never deployed.
    pub(super) fn row(&self, name: &str) -> ComponentRow {
        self.rows.get(name).cloned().unwrap_or_else(|| ComponentRow::new(name))
    }
}

/// The revision of the head. Creates the head when there is none.
pub(super) async fn head_revision(documents: &dyn Documents) -> Result<i64, Error> {
    let query =
        Query { limit: 1, ..Query::all(COLLECTION, Filter::from_document(&doc! { "_id": component_row::HEAD })?) };
    if let Some(head) = documents.find(query).await?.first() {
        return head.get_i64("revision").map_err(|error| Error::Invalid(error.to_string()));
    }
    match documents.commit(Commit { writes: vec![component_row::insert_head()?], events: Vec::new() }).await {
        Ok(_) | Err(Error::Duplicate { .. }) => Ok(0),
        Err(error) => Err(error),
    }
}

async fn read_rows(documents: &dyn Documents) -> Result<BTreeMap<String, ComponentRow>, Error> {
    let mut rows = BTreeMap::new();
    let mut after = component_row::HEAD.to_owned();
    loop {
        let filter = Filter::from_document(&doc! { "_id": { "$gt": &after } })?;
        let found = documents.find(Query::all(COLLECTION, filter)).await?;
        let found: Vec<ComponentRow> = found.iter().filter_map(|document| ComponentRow::read(document)).collect();
        let Some(last) = found.last() else { return Ok(rows) };
        after.clone_from(&last.name);
        rows.extend(found.into_iter().map(|row| (row.name.clone(), row)));
    }
}
