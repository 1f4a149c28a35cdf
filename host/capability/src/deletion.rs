//! Deleting documents that are older than they are kept, in batches. It knows the documents' traits only; for how long they are
//! kept is [`retention`](crate::retention)'s.

use bson::{Bson, doc};

use crate::documents::{Commit, Documents, Error, Filter, Projection, Query, Sort, Write, date};

/// How many documents one commit deletes, so that no commit is large.
const BATCH: u32 = 500;

/// Deletes the documents of a collection whose date `field` is before a time, the oldest first, in batches; returns how many.
/// Those without the field stay. Several hosts may do it at once.
///
/// # Errors
/// Those of the store; what was deleted stays deleted.
pub async fn delete_older(documents: &dyn Documents, collection: &str, field: &str, before: u64) -> Result<u64, Error> {
    delete_below(documents, collection, field, &Bson::DateTime(date(before))).await
}

/// Like [`delete_older`], for a field of any type: deletes the documents in which it is less than `bound`.
///
/// # Errors
/// As [`delete_older`].
pub async fn delete_below(
    documents: &dyn Documents,
    collection: &str,
    field: &str,
    bound: &Bson,
) -> Result<u64, Error> {
    let old = doc! { field: { "$lt": bound } };
    let mut deleted = 0;
    loop {
        let query = Query {
            sort: Sort::from_document(&doc! { field: 1 })?,
            projection: Projection::from_document(&doc! { "_id": 1 })?,
            limit: BATCH,
            ..Query::all(collection, Filter::from_document(&old)?)
        };
        let found = documents.find(query).await?;
        let ids: Vec<Bson> =
            found.iter().filter_map(|document| document.get("_id").ok().flatten()?.try_into().ok()).collect();
        if ids.is_empty() {
            return Ok(deleted);
        }
        // Still old: one that was renewed since stays.
        let filter = Filter::from_document(&doc! { "_id": { "$in": ids }, field: { "$lt": bound } })?;
        let delete = Write::Delete { collection: collection.to_owned(), filter, many: true, must_match: false };
        let commit = Commit { writes: vec![delete], events: Vec::new() };
        let effects = documents.commit_in_background(commit).await?;
        deleted += effects.iter().map(|effect| effect.changed).sum::<u64>();
    }
}
