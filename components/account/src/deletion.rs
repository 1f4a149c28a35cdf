//! The end of an account. One commit removes the user, so that nobody logs in, finds the member or has the e-mail taken, ends all
//! sessions, and notes what is left to be erased. Whatever dies after it, the schedule of `erasure` does the rest.

use devconnect_sdk::prelude::*;
use model::body::Body;
use model::events::{Deleted, USER_EVENTS};
use model::user;

use crate::proof::{proven, typed};

/// What is left to be erased. `_id` is who the member was, `dueAt` when the next pass begins, `passes` how many are done.
pub(crate) const COLLECTION: &str = "accountdeletions";

pub(crate) fn delete(request: &Request) -> Result<Response, Error> {
    let mut body = Body::of(request)?;
    let password = body.required("password", typed);
    body.finish()?;
    let password = password.ok_or_else(|| Error::internal("the password is missing and nobody said so"))?;
    let ((), attempts) = proven(request, &password, |member| {
        let (now, hex) = (clock::now(), member.id.to_hex());
        let deleted = Commit::new()
            .delete(user::COLLECTION, doc! { "_id": member.id, "password": &member.hash })
            .must_match()
            .end_all_sessions(&hex)
            .insert(COLLECTION, &doc! { "_id": member.id, "deletedAt": now, "dueAt": now, "passes": 0 })
            .envelope(USER_EVENTS, &hex, &Deleted {}.event(member.id))
            .run();
        match deleted {
            Ok(_) => Ok(Some(())),
            Err(documents::Error::Unmet { write: 0 }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    })?;
    attempts.forget();
    Ok(Response::json(&doc! { "message": "Account deleted successfully" }))
}
