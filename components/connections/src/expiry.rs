//! Counters of days that are over. Nobody asks for them any more, and a part of a tick deletes so many.

use devconnect_sdk::event::Failure;
use devconnect_sdk::prelude::*;
use devconnect_sdk::schedule::Tick;

use crate::allowance::COLLECTION;

/// How many a part deletes.
const PART: u32 = 1_000;

pub(crate) fn delete(tick: &Tick) -> Result<Option<String>, Failure> {
    let expired = collection(COLLECTION).find(doc! { "expiresAt": { "$lt": tick.at() } });
    let expired: Vec<Document> = expired.sort(doc! { "expiresAt": 1 }).project(doc! { "_id": 1 }).limit(PART).all()?;
    let ids: Vec<Bson> = expired.iter().filter_map(|counter| counter.get("_id").cloned()).collect();
    if ids.is_empty() {
        return Ok(None);
    }
    let next = (ids.len() >= PART as usize).then(|| "more".to_owned());
    Commit::new().delete(COLLECTION, doc! { "_id": { "$in": ids } }).many().run()?;
    Ok(next)
}
