//! Who may talk to whom: users with an accepted request between them, whoever sent it.

use devconnect_sdk::prelude::*;
use model::cast;

const COLLECTION: &str = "connectionrequests";
/// The most connections that one query answers.
const PAGE: u32 = 1_000;

/// The most bytes of one of them.
const REQUEST_BYTES: u32 = 1 << 10;

/// Whether two users are connected.
pub(crate) fn connected(one: ObjectId, other: ObjectId) -> Result<bool, Error> {
    let either = doc! { "$or": [
        { "fromUserId": one, "toUserId": other, "status": "accepted" },
        { "fromUserId": other, "toUserId": one, "status": "accepted" },
    ] };
    Ok(collection(COLLECTION).exists(either)?)
}

/// 403 unless they are.
pub(crate) fn only_connected(one: ObjectId, other: ObjectId) -> Result<(), Error> {
    if connected(one, other)? { Ok(()) } else { Err(Error::forbidden("You are not connected with this user")) }
}

/// Everybody that a user is connected with.
pub(crate) fn of(user: ObjectId) -> Result<Vec<ObjectId>, Error> {
    let mut all = std::collections::BTreeSet::new();
    for (own, others) in [("fromUserId", "toUserId"), ("toUserId", "fromUserId")] {
        let mut after: Option<ObjectId> = None;
        loop {
            let mut filter = doc! { own: user, "status": "accepted" };
            if let Some(after) = after {
                filter.insert("_id", doc! { "$gt": after });
            }
            let query =
                collection(COLLECTION).find(filter).project(doc! { others: 1 }).limit(PAGE).row_bytes(REQUEST_BYTES);
            let page: Vec<Document> = query.all()?;
            all.extend(page.iter().filter_map(|request| cast::id(request.get(others)?)));
            after = page.last().and_then(|last| last.get_oid("_id"));
            if page.len() < PAGE as usize || after.is_none() {
                break;
            }
        }
    }
    Ok(all.into_iter().collect())
}
