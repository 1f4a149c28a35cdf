//! The history of a conversation: what both wrote, oldest first, page by page towards the past.

use devconnect_sdk::prelude::*;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::conversation::Conversation;
use crate::{message, recent};

/// How many messages a page has unless the client says otherwise.
const USUAL: u32 = 50;
/// The most messages of a page.
const MOST: u32 = 200;

/// The most bytes of a message: the longest text, and the rest. An old one may be larger, and comes without its text.
const ROW_BYTES: u32 = 24 << 10;
/// What a message as it is shown may have more than one as it is stored: quotes and names.
const MORE: usize = 256;

/// What is cached.
#[derive(Serialize)]
struct Page {
    data: Vec<Box<RawValue>>,
}

pub(crate) fn history(request: &Request) -> Result<Response, Error> {
    let (me, other) = (request.user_id()?, request.id_param("targetUserId")?);
    let limit = request.query_as::<u32>("limit")?.unwrap_or(USUAL);
    if limit == 0 {
        return Err(Error::bad_request("limit must be at least 1"));
    }
    let (pair, limit) = (message::pair(me, other), limit.min(MOST));
    match request.query("before").filter(|before| !before.is_empty()) {
        Some(before) => answer(&read(older_than(&pair, &before)?, limit)?),
        None => newest(&pair, limit),
    }
}

fn newest(pair: &str, limit: u32) -> Result<Response, Error> {
    let in_cache = limit <= recent::KEPT;
    // Before the messages: what is stored meanwhile makes the list too new for it, never too old.
    let conversation = if in_cache { Some(Conversation::of(pair)?) } else { None };
    if let Some(conversation) = &conversation
        && let Some(data) = recent::newest(pair, conversation, limit)
    {
        return Ok(Response::json(&Page { data }));
    }
    let mut data = read(doc! { "pair": pair }, if in_cache { recent::KEPT } else { limit })?;
    if let Some(conversation) = &conversation {
        let documents: Vec<Document> = data.iter().filter_map(|row| Document::from_slice(row).ok()).collect();
        recent::keep(pair, conversation, &documents);
    }
    data.truncate(limit as usize);
    answer(&data)
}

/// Newest first, as it is stored.
fn read(filter: Document, limit: u32) -> Result<Vec<Vec<u8>>, Error> {
    let order = doc! { "ts": -1, "seq": -1, "_id": -1 };
    Ok(collection(message::COLLECTION).find(filter).sort(order).limit(limit).row_bytes(ROW_BYTES).raw()?)
}

/// Oldest first, message by message: two hundred long ones are some MiB, which is not to be there several times.
fn answer(newest_first: &[Vec<u8>]) -> Result<Response, Error> {
    let bytes: usize = newest_first.iter().map(|row| row.len() + MORE).sum();
    let mut body = Vec::with_capacity(bytes + MORE);
    body.extend(b"{\"data\":[");
    let mut separator: &[u8] = b"";
    // A document that can't be read is no message.
    for message in newest_first.iter().rev().filter_map(|row| Document::from_slice(row).ok()) {
        body.extend(std::mem::replace(&mut separator, b","));
        serde_json::to_writer(&mut body, &message::shown(&message))
            .map_err(|error| Error::internal(format!("a message is no JSON: {error}")))?;
    }
    body.extend(b"]}");
    Ok(Response::json_bytes(body))
}

/// What comes before a message, in the order of time, place and id. Messages of the earlier database have no place and
/// come before those of the same moment that have one.
fn older_than(pair: &str, before: &str) -> Result<Document, Error> {
    let unknown = || Error::bad_request("before must be the _id of a message of this conversation");
    let id: ObjectId = before.parse().map_err(|_| unknown())?;
    let found: Option<Document> = collection(message::COLLECTION).find_one(doc! { "_id": id, "pair": pair })?;
    let found = found.ok_or_else(unknown)?;
    // A moment of a type that only old databases have can't be compared to.
    let ts = found.get("ts").cloned().filter(|ts| !matches!(ts, Bson::Opaque(_))).ok_or_else(unknown)?;
    let same_moment = match found.get_i64("seq") {
        Some(seq) => vec![doc! { "ts": ts.clone(), "seq": { "$lt": seq } }, doc! { "ts": ts.clone(), "seq": null }],
        None => vec![doc! { "ts": ts.clone(), "seq": null, "_id": { "$lt": id } }],
    };
    let mut either = vec![doc! { "ts": { "$lt": ts.clone() } }];
    either.extend(same_moment);
    Ok(doc! { "pair": pair, "ts": { "$lte": ts }, "$or": either })
}
