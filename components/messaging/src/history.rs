//! The history of a conversation: what both wrote, oldest first, page by page towards the past.

use devconnect_sdk::prelude::*;

use crate::{message, recent};

/// How many messages a page has unless the client says otherwise.
const USUAL: u32 = 50;
/// The most messages of a page.
const MOST: u32 = 200;

/// The most bytes of a message: the longest text, and the rest. An old one may be larger, and comes without its text.
const ROW_BYTES: u32 = 24 << 10;
/// What a message as it is shown may have more than one as it is stored: quotes and names.
const MORE: usize = 256;

pub(crate) fn history(request: &Request) -> Result<Response, Error> {
    let (me, other) = (request.user_id()?, request.id_param("targetUserId")?);
    let limit = request.query_as::<u32>("limit")?.unwrap_or(USUAL);
    if limit == 0 {
        return Err(Error::bad_request("limit must be at least 1"));
    }
    let (pair, limit) = (message::pair(me, other), limit.min(MOST));
    match request.query("before").filter(|before| !before.is_empty()) {
        Some(before) => Ok(answer(&list(&read(older_than(&pair, &before)?, limit)?)?)),
        None => newest(&pair, limit),
    }
}

fn newest(pair: &str, limit: u32) -> Result<Response, Error> {
    if limit > recent::KEPT {
        return Ok(answer(&list(&read(doc! { "pair": pair }, limit)?)?));
    }
    if let Some(kept) = recent::newest(pair, limit) {
        return Ok(answer(&kept));
    }
    let found = read(doc! { "pair": pair }, recent::KEPT)?;
    let all = list(&found)?;
    let asked = match found.get(..limit as usize) {
        Some(asked) => answer(&list(asked)?),
        None => answer(&all),
    };
    recent::keep(pair, all);
    Ok(asked)
}

/// Newest first, as it is stored.
fn read(filter: Document, limit: u32) -> Result<Vec<Vec<u8>>, Error> {
    let order = doc! { "ts": -1, "seq": -1, "_id": -1 };
    Ok(collection(message::COLLECTION).find(filter).sort(order).limit(limit).row_bytes(ROW_BYTES).raw()?)
}

/// Oldest first, message by message: two hundred long ones are some MiB, which is not to be there several times.
fn list(newest_first: &[Vec<u8>]) -> Result<Vec<u8>, Error> {
    let bytes: usize = newest_first.iter().map(|row| row.len() + MORE).sum();
    let mut list = Vec::with_capacity(bytes + MORE);
    list.push(b'[');
    let mut separator: &[u8] = b"";
    // A document that can't be read is no message.
    for message in newest_first.iter().rev().filter_map(|row| Document::from_slice(row).ok()) {
        list.extend(std::mem::replace(&mut separator, b","));
        serde_json::to_writer(&mut list, &message::shown(&message))
            .map_err(|error| Error::internal(format!("a message is no JSON: {error}")))?;
    }
    list.push(b']');
    Ok(list)
}

fn answer(list: &[u8]) -> Response {
    Response::json_bytes([&b"{\"data\":"[..], list, b"}"].concat())
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
