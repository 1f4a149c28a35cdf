//! The own notifications over HTTP: newest first, page by page, and each marked as read. The first page is cached until one of
//! the member's notifications comes or changes.

use devconnect_sdk::prelude::*;
use model::cached;
use serde::Serialize;

use crate::stored::{COLLECTION, ROW_BYTES, shown};

/// How many a page has unless the client says otherwise.
const USUAL: u32 = 20;
/// The most of a page.
const MOST: u32 = 100;

#[derive(Serialize)]
struct Page {
    data: Vec<Document>,
    /// The cursor of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(crate) fn list(request: &Request) -> Result<Response, Error> {
    let me = request.user_id()?;
    let limit = request.query_as::<u32>("limit")?.unwrap_or(USUAL).min(MOST);
    if limit == 0 {
        return Err(Error::bad_request("limit must be at least 1"));
    }
    let cursor = request.query("cursor").filter(|cursor| !cursor.is_empty());
    if cursor.is_some() || limit != USUAL {
        return page(me, cursor.as_deref(), limit);
    }
    let key = format!("user:{}:notifications", me.to_hex());
    if let Ok(Some(body)) = cache::get(&key) {
        return Ok(Response::json_bytes(body));
    }
    let first = page(me, None, USUAL)?;
    cached::keep(&key, first.body().to_vec());
    Ok(first)
}

/// A page behind a cursor, or the first one.
fn page(me: ObjectId, cursor: Option<&str>, limit: u32) -> Result<Response, Error> {
    let mut filter = doc! { "userId": me };
    if let Some(cursor) = cursor {
        filter.extend(after(cursor)?);
    }
    let newest = doc! { "createdAt": -1, "_id": -1 };
    // One more, to know whether there is a next page.
    let query = collection(COLLECTION).find(filter).sort(newest).limit(limit + 1).row_bytes(ROW_BYTES);
    let mut found: Vec<Document> = query.all()?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    // Of a notification without a date no page can go on.
    let next = if more { found.iter().rev().find_map(end) } else { None };
    Ok(Response::json(&Page { data: found.iter().map(shown).collect(), next }))
}

/// Where a page ends: `milliseconds-id`.
fn end(last: &Document) -> Option<String> {
    Some(format!("{}-{}", last.get_date("createdAt")?.millis(), last.get_oid("_id")?.to_hex()))
}

/// What comes after the end of a page.
fn after(cursor: &str) -> Result<Document, Error> {
    let parsed = cursor.rsplit_once('-').and_then(|(millis, id)| {
        let at = DateTime::from_millis(millis.parse().ok()?);
        Some((at, id.parse::<ObjectId>().ok()?))
    });
    let (at, id) = parsed.ok_or_else(|| Error::bad_request("cursor must be the `next` of a page"))?;
    let either = [doc! { "createdAt": { "$lt": at } }, doc! { "createdAt": at, "_id": { "$lt": id } }];
    Ok(doc! { "createdAt": { "$lte": at }, "$or": either.into_iter().collect::<Vec<_>>() })
}

/// Twice is once: the first time stays.
pub(crate) fn read(request: &Request) -> Result<Response, Error> {
    let (me, id) = (request.user_id()?, request.id_param("id").map_err(|_| missing())?);
    let found: Option<Document> = collection(COLLECTION).by_id(id)?;
    let found = found.ok_or_else(missing)?;
    if found.get_oid("userId") != Some(me) {
        return Err(Error::forbidden("This notification is not yours"));
    }
    let unread = doc! { "_id": id, "userId": me, "readAt": null };
    Commit::new().update(COLLECTION, unread, doc! { "$set": { "readAt": clock::now() } }).run()?;
    Ok(Response::json(&doc! { "success": true }))
}

fn missing() -> Error {
    Error::not_found("Notification not found")
}
