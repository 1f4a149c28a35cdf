//! Answering a request. The update matches a request that still waits for this very user; of two answers at once the
//! second finds none and changes nothing.

use devconnect_sdk::prelude::*;
use model::body::Body;
use model::events::CONNECTION_EVENTS;

use crate::request::{self, ACCEPTED, INTERESTED, REJECTED};

pub(crate) fn review(request: &Request) -> Result<Response, Error> {
    let me = request.user_id()?;
    let status = match request.param("status") {
        ACCEPTED => ACCEPTED,
        REJECTED => REJECTED,
        _ => return Err(Error::bad_request("Invalid status type: it is accepted or rejected")),
    };
    request::CHANGES.count(&me.to_hex())?;
    let (waiting, from) = waiting(request)?;
    if waiting.get_oid("toUserId") != Some(me) {
        return Err(missing());
    }
    let data = answered(waiting, from, me, status)?;
    Ok(Response::json(&doc! { "message": format!("Connection Request {status}"), "data": data }))
}

pub(crate) fn respond(request: &Request) -> Result<Response, Error> {
    let me = request.user_id()?;
    let mut body = Body::of(request)?;
    let action = body.required("action", |value| match value.as_str() {
        Some("accept") => Ok(ACCEPTED),
        Some("reject") => Ok(REJECTED),
        _ => Err("must be accept or reject".into()),
    });
    body.finish()?;
    let status = action.ok_or_else(|| Error::internal("an action is missing and nobody said so"))?;
    request::CHANGES.count(&me.to_hex())?;
    let (waiting, from) = waiting(request)?;
    if waiting.get_oid("toUserId") != Some(me) {
        return Err(Error::forbidden("This connection request is not yours to answer"));
    }
    let data = answered(waiting, from, me, status)?;
    Ok(Response::json(&doc! { "message": format!("Connection request {status} successfully"), "data": data }))
}

/// The request of the path, when it waits for an answer by anybody, and who sent it as that is stored: the earlier database may
/// have a text there.
fn waiting(request: &Request) -> Result<(Document, Bson), Error> {
    let id = request.id_param("requestId").map_err(|_| missing())?;
    let found: Option<Document> = collection(request::COLLECTION).find_one(doc! { "_id": id, "status": INTERESTED })?;
    let found = found.ok_or_else(missing)?;
    let from = found.get("fromUserId").cloned().unwrap_or(Bson::Null);
    Ok((request::cast(found), from))
}

/// Stores the answer and tells it; gives the request as clients see it.
fn answered(mut waiting: Document, from: Bson, me: ObjectId, status: &str) -> Result<Document, Error> {
    let now = clock::now();
    let told = request::told(&waiting, status, now)?;
    let key = told.from_user_id.to_hex();
    let written = Commit::new()
        .update(
            request::COLLECTION,
            // Both sides, since what is cached of both follows from it.
            doc! { "_id": told.request_id, "fromUserId": from, "toUserId": me, "status": INTERESTED },
            doc! { "$set": { "status": status, "updatedAt": now } },
        )
        .must_match()
        .envelope(CONNECTION_EVENTS, &key, &told.clone().reviewed())
        .envelope(CONNECTION_EVENTS, &key, &told.decided(status == ACCEPTED))
        .run();
    match written {
        Ok(_) => {
            waiting.insert("status", status);
            waiting.insert("updatedAt", now);
            Ok(request::shown(waiting))
        }
        Err(documents::Error::Unmet { .. }) => Err(missing()),
        Err(error) => Err(error.into()),
    }
}

fn missing() -> Error {
    Error::not_found("Connection request not found")
}
