//! Sending a request. Of two that are sent at once, in whichever direction, the unique pair lets one through.

use devconnect_sdk::prelude::*;
use model::events::CONNECTION_EVENTS;
use model::user;

use crate::allowance::Allowance;
use crate::request::{self, IGNORE, INTERESTED};

/// How often a commit is tried when its counter came to be at the same moment by another request.
const TRIES: u32 = 3;

pub(crate) fn send(request: &Request) -> Result<Response, Error> {
    let me = request.user_id()?;
    let status = match request.param("status") {
        INTERESTED => INTERESTED,
        IGNORE => IGNORE,
        _ => return Err(Error::bad_request("Invalid status type: it is ignore or interested")),
    };
    let to: ObjectId = request.param("toUserId").parse().map_err(|_| Error::bad_request("Invalid user id"))?;
    if to == me {
        return Err(Error::bad_request("You cannot send a connection request to yourself"));
    }
    request::CHANGES.count(&me.to_hex())?;
    let (sender, receiver) = both(me, to)?;
    // Old requests have no pair that could refuse this one.
    if collection(request::COLLECTION).exists(request::between(me, to))? {
        return Err(already());
    }
    let now = clock::now();
    let allowance = if status == INTERESTED { Allowance::of(me, sender.get_str("membershipTier"), now) } else { None };
    let new = request::document(me, to, status, now);
    store(&new, status, allowance.as_ref(), now)?;
    let first_name = |user: &Document| user.get_str("firstName").unwrap_or_default().to_owned();
    let message = format!("{} is {status} in {}", first_name(&sender), first_name(&receiver));
    Ok(Response::json(&doc! { "message": message, "data": request::shown(new) }))
}

/// The sender and the receiver.
fn both(me: ObjectId, to: ObjectId) -> Result<(Document, Document), Error> {
    let query = collection(user::COLLECTION).find(doc! { "_id": { "$in": [me, to] } }).limit(2);
    let users: Vec<Document> = query.project(doc! { "firstName": 1, "membershipTier": 1 }).all()?;
    let mut users: Vec<Document> = users.into_iter().map(user::cast).collect();
    let mut take = |id: ObjectId| {
        let at = users.iter().position(|user| user.get_oid("_id") == Some(id))?;
        Some(users.swap_remove(at))
    };
    match (take(me), take(to)) {
        (Some(sender), Some(receiver)) => Ok((sender, receiver)),
        _ => Err(Error::not_found("User not found")),
    }
}

/// The counter, the request and the event, or none of them.
fn store(new: &Document, status: &str, allowance: Option<&Allowance>, now: DateTime) -> Result<(), Error> {
    let told = request::told(new, status, now)?;
    let (key, event) = (told.from_user_id.to_hex(), told.requested());
    for _ in 0..TRIES {
        let commit = match allowance {
            Some(allowance) => allowance.spend(Commit::new()),
            None => Commit::new(),
        };
        match (commit.insert(request::COLLECTION, new).envelope(CONNECTION_EVENTS, &key, &event).run(), allowance) {
            (Ok(_), _) => return Ok(()),
            (Err(documents::Error::Duplicate { write: 0, .. }), Some(allowance)) => {
                if allowance.is_spent()? {
                    return Err(allowance.refusal(now));
                }
            }
            (Err(documents::Error::Duplicate { .. }), _) => return Err(already()),
            (Err(error), _) => return Err(error.into()),
        }
    }
    Err(Error::Busy)
}

fn already() -> Error {
    Error::bad_request("Connection request already exists")
}
