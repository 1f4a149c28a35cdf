//! What several components keep in the cache of the documents that they read: users by id, each in the form that is wanted, and
//! whom a user is connected with. `application.toml` names each key at the collection that it follows from, and every commit
//! makes it stale.
//!
//! Each function looks at the cache first, then reads the documents, then fills the cache. Without a cache all is read.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use devconnect_sdk::bson::{Bson, Document, ObjectId};
use devconnect_sdk::documents::{Error, MOST, collection};
use devconnect_sdk::{cache, doc};

use crate::cast::{self, Kind, Schema};
use crate::user;

/// How long it is kept, in seconds.
pub const AGE: u32 = 1_800;
/// The largest value that the cache takes.
const MOST_BYTES: usize = 1 << 20;

/// A form in which users are kept, one by one, under `user:ID:NAME`. A component that reads it is granted to read and write
/// `user:*:NAME`.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    name: &'static str,
    /// The fields that are read.
    projection: fn() -> Document,
    /// The most bytes of a document that is read. A larger one comes without its largest fields.
    row_bytes: u32,
    /// The largest one that is kept.
    most: usize,
    /// How many are read at once: what they have together fits into a component's memory.
    at_once: usize,
    /// What is kept of a stored document.
    of: fn(Vec<u8>) -> Vec<u8>,
}

/// What others see of a user, as JSON.
pub const CARD: Form = Form {
    name: "card",
    projection: user::safe_projection,
    row_bytes: 32 << 10,
    most: 40 << 10,
    at_once: 50,
    of: card_of,
};

/// What a user knows, and the age: the fields `skills` and `age` as they are stored.
pub const SKILLS: Form =
    Form { name: "skills", projection: skills, row_bytes: 8 << 10, most: 8 << 10, at_once: 250, of: |row| row };

fn skills() -> Document {
    doc! { "skills": 1, "age": 1 }
}

/// A document that can't be read is nobody's.
fn card_of(row: Vec<u8>) -> Vec<u8> {
    let shown = Document::from_slice(&row).ok().and_then(|user| serde_json::to_vec(&user::safe(&user)).ok());
    shown.unwrap_or_default()
}

/// These users in a form, in this order; an empty one is nobody. A thousand of them are one question to the cache.
pub fn users(ids: &[ObjectId], form: &Form) -> Result<Vec<Vec<u8>>, Error> {
    let keys: Vec<String> = ids.iter().map(|id| format!("user:{}:{}", id.to_hex(), form.name)).collect();
    let mut found: Vec<Option<Vec<u8>>> = Vec::with_capacity(ids.len());
    for some in keys.chunks(MOST as usize) {
        // One that does not answer has none of them.
        let mut kept = cache::get_many(some).unwrap_or_default();
        kept.resize(some.len(), None);
        found.extend(kept);
    }
    let mut missing: Vec<(ObjectId, &String, &mut Option<Vec<u8>>)> = Vec::new();
    for ((id, key), place) in ids.iter().zip(&keys).zip(&mut found) {
        if place.is_none() {
            missing.push((*id, key, place));
        }
    }
    for some in missing.chunks_mut(form.at_once) {
        let mut rows = read(some.iter().map(|(id, ..)| *id), form)?;
        let mut kept = Vec::with_capacity(some.len());
        for (id, key, _) in some.iter() {
            let row = rows.get(id).cloned().unwrap_or_default();
            if row.len() <= form.most {
                kept.push(((*key).clone(), row));
            }
        }
        // The cache is never needed.
        let _ = cache::fill_many(&kept, AGE);
        drop(kept);
        for (id, _, place) in some {
            // An id may be there twice.
            **place = Some(rows.get(id).cloned().unwrap_or_default());
        }
        rows.clear();
    }
    Ok(found.into_iter().map(Option::unwrap_or_default).collect())
}

/// One user in a form; empty when there is none.
pub fn user(id: ObjectId, form: &Form) -> Result<Vec<u8>, Error> {
    Ok(users(&[id], form)?.pop().unwrap_or_default())
}

/// Reads users from the documents, by id.
fn read(ids: impl Iterator<Item = ObjectId>, form: &Form) -> Result<BTreeMap<ObjectId, Vec<u8>>, Error> {
    let ids: BTreeSet<ObjectId> = ids.collect();
    let count = u32::try_from(ids.len()).unwrap_or(MOST);
    let filter = doc! { "_id": { "$in": ids.into_iter().collect::<Bson>() } };
    let query = collection(user::COLLECTION).find(filter).project((form.projection)());
    let rows = query.limit(count).row_bytes(form.row_bytes).raw()?;
    let by_id = |row: Vec<u8>| Some((Document::from_slice(&row).ok()?.get_oid("_id")?, (form.of)(row)));
    Ok(rows.into_iter().filter_map(by_id).collect())
}

const REQUESTS: &str = "connectionrequests";
/// The most bytes of a request that is read.
const REQUEST_BYTES: u32 = 4 << 10;
/// What is read of one.
const REQUEST: &Schema = &[("fromUserId", Kind::Id), ("toUserId", Kind::Id), ("updatedAt", Kind::Date)];

/// Whom a user is connected with, each once, the latest connection first. A component that reads it is granted to read and write
/// `user:*:connections`.
pub fn connections(of: ObjectId) -> Result<Vec<ObjectId>, Error> {
    let key = format!("user:{}:connections", of.to_hex());
    if let Ok(Some(kept)) = cache::get(&key) {
        return Ok(ids(&kept));
    }
    let mut others: Vec<ObjectId> = Vec::new();
    let mut seen = BTreeSet::new();
    for both in accepted(of)? {
        // The earlier database may have two requests of one pair.
        others.extend(both.into_iter().flatten().filter(|id| *id != of && seen.insert(*id)));
    }
    keep(&key, bytes(&others));
    Ok(others)
}

/// The two users of each accepted request of a user, those with the latest `updatedAt` first and of these the later `_id`.
///
/// They are read by `_id`, page by page, because an `_id` never changes: whatever happens to a request meanwhile, it comes once.
fn accepted(of: ObjectId) -> Result<Vec<[Option<ObjectId>; 2]>, Error> {
    let mut all = Vec::new();
    let mut page = Document::new();
    loop {
        let mut sides = ["toUserId", "fromUserId"].map(|side| doc! { side: of, "status": "accepted" });
        // On each side, so that the index of each goes on there.
        sides.iter_mut().for_each(|side| side.extend(page.clone()));
        let query = collection(REQUESTS).find(doc! { "$or": sides.into_iter().collect::<Bson>() });
        let query = query.project(doc! { "fromUserId": 1, "toUserId": 1, "updatedAt": 1 });
        let found: Vec<Document> = query.row_bytes(REQUEST_BYTES).all()?;
        let is_last = found.len() < MOST as usize;
        let last = found.last().and_then(|last| last.get("_id")).cloned();
        // There may be a hundred thousand: a few words of each are kept.
        all.extend(found.into_iter().map(|request| {
            let request = cast::document(request, REQUEST);
            let order = Reverse((request.get_date("updatedAt"), request.get_oid("_id")));
            (order, [request.get_oid("fromUserId"), request.get_oid("toUserId")])
        }));
        match last {
            Some(id) if !is_last => page = doc! { "_id": { "$gt": id } },
            _ => break,
        }
    }
    all.sort_unstable_by_key(|(order, _)| *order);
    Ok(all.into_iter().map(|(_, both)| both).collect())
}

/// Keeps a value under a key that this call has looked at. One that is too large is read again.
pub fn keep(key: &str, value: Vec<u8>) {
    if value.len() <= MOST_BYTES {
        // The cache is never needed.
        let _ = cache::fill(key, value, AGE);
    }
}

/// Ids as they are kept: twelve bytes each.
pub fn bytes(ids: &[ObjectId]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.bytes()).collect()
}

/// The ids that were kept as [`bytes`].
pub fn ids(bytes: &[u8]) -> Vec<ObjectId> {
    bytes.chunks_exact(12).filter_map(|id| Some(ObjectId::from_bytes(id.try_into().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_kept_in_their_order() {
        let some: Vec<ObjectId> = [3, 1, 2].map(|byte| ObjectId::from_bytes([byte; 12])).to_vec();
        assert_eq!(ids(&bytes(&some)), some);
        assert!(ids(&bytes(&[])).is_empty());
    }

    #[test]
    fn a_card_is_what_others_see() {
        let user =
            doc! { "_id": ObjectId::from_bytes([1; 12]), "firstName": "Ada", "password": "secret", "skills": "rust" };
        let card: serde_json::Value = serde_json::from_slice(&card_of(user.to_vec())).unwrap();
        assert_eq!(card["firstName"], "Ada");
        assert_eq!(card["skills"], serde_json::json!(["rust"]));
        assert_eq!((&card["membershipTier"], card.get("password")), (&serde_json::json!("free"), None));
        assert!(card_of(vec![1, 2, 3]).is_empty(), "what can't be read is nobody");
    }
}
