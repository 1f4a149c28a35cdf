//! Who may talk to whom: users with an accepted request between them, whoever sent it.

use devconnect_sdk::prelude::*;
use model::cached;

const COLLECTION: &str = "connectionrequests";

/// Whether two users are connected. Only that they are is kept: there are too many who are not.
pub(crate) fn connected(one: ObjectId, other: ObjectId) -> Result<bool, Error> {
    let key = format!("connected:{}:{}", one.to_hex(), other.to_hex());
    if let Ok(Some(_)) = cache::get(&key) {
        return Ok(true);
    }
    let either = doc! { "$or": [
        { "fromUserId": one, "toUserId": other, "status": "accepted" },
        { "fromUserId": other, "toUserId": one, "status": "accepted" },
    ] };
    let connected = collection(COLLECTION).exists(either)?;
    if connected {
        cached::keep(&key, b"1".to_vec());
    }
    Ok(connected)
}

/// 403 unless they are.
pub(crate) fn only_connected(one: ObjectId, other: ObjectId) -> Result<(), Error> {
    if connected(one, other)? { Ok(()) } else { Err(Error::forbidden("You are not connected with this user")) }
}
