//! A new password. The commit that stores it ends all other sessions, so that whoever had one of them is out, and it matches the
//! very hash that was verified: of two changes at once one wins, and the other is asked for a password that is no longer right.

use devconnect_sdk::passwords;
use devconnect_sdk::prelude::*;
use model::body::Body;
use model::rate::Rate;
use model::{password, user};

use crate::proof::{proven, typed};

pub(crate) fn change(request: &Request) -> Result<Response, Error> {
    let mut body = Body::of(request)?;
    let current = body.required("currentPassword", typed);
    let new = body.required("newPassword", password::strong);
    body.finish()?;
    let (Some(current), Some(new)) = (current, new) else {
        return Err(Error::internal("a field of the new password is missing and nobody said so"));
    };
    let caller = request.identity()?;
    let ((), attempts) = proven(request, &current, |member| {
        Rate::EDITS.count(&member.id.to_hex())?;
        let set = doc! { "password": passwords::hash(&new)?, "updatedAt": clock::now() };
        let stored = Commit::new()
            .update(user::COLLECTION, doc! { "_id": member.id, "password": &member.hash }, doc! { "$set": set })
            .must_match()
            .end_other_sessions(&caller.subject, &caller.session)
            .run();
        match stored {
            Ok(_) => Ok(Some(())),
            Err(documents::Error::Unmet { write: 0 }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    })?;
    attempts.succeeded();
    Ok(Response::json(&doc! { "message": "Password changed successfully" }))
}
