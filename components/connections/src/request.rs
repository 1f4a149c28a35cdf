//! The stored connection request. There is one for each pair of users, whoever asked first: `pair` names the pair in
//! either direction and is unique. Requests of the earlier database may lack it.

use devconnect_sdk::prelude::*;
use model::cast::{self, Kind, Schema};
use model::events::Connection;
use model::rate::Rate;

/// The collection.
pub(crate) const COLLECTION: &str = "connectionrequests";
/// The fields of a request and what each is.
const SCHEMA: &Schema = &[
    ("fromUserId", Kind::Id),
    ("toUserId", Kind::Id),
    ("status", Kind::Text),
    ("createdAt", Kind::Date),
    ("updatedAt", Kind::Date),
];
/// Sent, and waiting for an answer.
pub(crate) const INTERESTED: &str = "interested";
/// The sender does not want to see the other; nobody is asked.
pub(crate) const IGNORE: &str = "ignore";
/// Answered with yes.
pub(crate) const ACCEPTED: &str = "accepted";
/// Answered with no.
pub(crate) const REJECTED: &str = "rejected";

/// What one member sends and answers, of any status: faster than anybody looks at people.
pub(crate) const CHANGES: Rate = Rate {
    name: "requests",
    setting: "limits.requests",
    most: 120,
    seconds: 60,
    refusal: "You are sending or answering requests too fast, please slow down",
};

/// A new request.
pub(crate) fn document(from: ObjectId, to: ObjectId, status: &str, now: DateTime) -> Document {
    doc! {
        "_id": ObjectId::new(),
        "fromUserId": from,
        "toUserId": to,
        "status": status,
        "createdAt": now,
        "updatedAt": now,
        "pair": pair(from, to),
    }
}

/// The same for both directions.
fn pair(one: ObjectId, other: ObjectId) -> String {
    format!("{}:{}", one.min(other), one.max(other))
}

/// Those between two users, in either direction.
pub(crate) fn between(one: ObjectId, other: ObjectId) -> Document {
    doc! { "$or": [{ "fromUserId": one, "toUserId": other }, { "fromUserId": other, "toUserId": one }] }
}

/// A stored request, each field as its kind: an old document may have anything there.
pub(crate) fn cast(request: Document) -> Document {
    cast::document(request, SCHEMA)
}

/// A request as clients see it.
pub(crate) fn shown(mut request: Document) -> Document {
    request.remove("pair");
    request.remove("__v");
    cast(request)
}

/// The event's data for a request that is now `status`; 500 when the stored document lacks an id.
pub(crate) fn told<'a>(request: &Document, status: &'a str, timestamp: DateTime) -> Result<Connection<'a>, Error> {
    let id = |field: &str| {
        request.get_oid(field).ok_or_else(|| Error::internal(format!("a connection request has no id as {field}")))
    };
    Ok(Connection {
        request_id: id("_id")?,
        from_user_id: id("fromUserId")?,
        to_user_id: id("toUserId")?,
        status,
        timestamp,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_the_same_from_both_sides() {
        let (one, other) = (ObjectId::from_bytes([1; 12]), ObjectId::from_bytes([0xAB; 12]));
        assert_eq!(pair(one, other), pair(other, one));
        assert_eq!(pair(one, other), format!("{}:{}", "01".repeat(12), "ab".repeat(12)));
    }

    #[test]
    fn clients_do_not_see_the_pair() {
        let now = DateTime::from_millis(0);
        let request = document(ObjectId::from_bytes([1; 12]), ObjectId::from_bytes([2; 12]), INTERESTED, now);
        let told = told(&request, ACCEPTED, now).unwrap();
        assert_eq!((told.from_user_id, told.status), (ObjectId::from_bytes([1; 12]), ACCEPTED));
        let names: Vec<String> = shown(request).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["_id", "fromUserId", "toUserId", "status", "createdAt", "updatedAt"]);
    }
}
