//! The own sessions: listed, and ended one by one or all but the one in use. Their sockets close with them. What a session is
//! known by here is no token and opens nothing.

use devconnect_sdk::prelude::*;
use devconnect_sdk::sessions;
use model::events::{Logout, USER_EVENTS};
use model::rate::Rate;

/// In the place of an id: all but the one in use.
const OTHERS: &str = "others";

pub(crate) fn list(request: &Request) -> Result<Response, Error> {
    let caller = request.identity()?;
    let living = sessions::living(&caller.subject)?;
    let shown: Vec<Document> = living
        .iter()
        .map(|session| {
            let mut shown = shown(session);
            shown.insert("current", session.id == caller.session);
            shown
        })
        .collect();
    Ok(Response::json(&doc! { "data": shown }))
}

/// What its member sees of a session.
pub(crate) fn shown(session: &sessions::Session) -> Document {
    doc! { "id": session.id.as_str(), "createdAt": session.created_at, "expiresAt": session.expires_at }
}

/// One that is not the caller's is as one that is not there.
pub(crate) fn end(request: &Request) -> Result<Response, Error> {
    let (caller, id) = (request.identity()?, request.param("id"));
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_id && id != OTHERS {
        return Err(missing());
    }
    Rate::EDITS.count(&caller.subject)?;
    let mut commit = match id {
        OTHERS => Commit::new().end_other_sessions(&caller.subject, &caller.session),
        id => Commit::new().end_session(&caller.subject, id),
    };
    if id == caller.session {
        commit = commit.envelope(USER_EVENTS, &caller.subject, &Logout {}.event(&caller.subject));
    }
    let ended = commit.run()?.first().map_or(0, |effect| effect.matched);
    if ended == 0 && id != OTHERS {
        return Err(missing());
    }
    Ok(Response::json(&doc! { "success": true }))
}

fn missing() -> Error {
    Error::not_found("Session not found")
}
