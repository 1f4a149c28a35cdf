//! Who is there: a socket that registers counts for its user, and the user's connections are told of the first and of the
//! last one. Nobody else learns of it.

use devconnect_sdk::prelude::*;
use devconnect_sdk::presence::Change;
use devconnect_sdk::{events, sockets};
use model::cached;
use model::events::{Presence, USER_EVENTS};
use serde::Serialize;

use crate::{contacts, send};

/// Whether a user is there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct State {
    user_id: ObjectId,
    online: bool,
}

pub(crate) fn register(message: &Message) -> Result<Ack, Error> {
    let asked = message.value()?;
    if asked.as_str().and_then(|text| text.parse().ok()) != Some(message.user_id()?) {
        return Err(Error::forbidden("You can only register as yourself"));
    }
    sockets::appear()?;
    Ok(Ack::ok())
}

pub(crate) fn query(message: &Message) -> Result<Ack, Error> {
    let (me, user_id) = (message.user_id()?, send::id(&message.json()?, "userId")?);
    // Of a stranger it is not even said that they are not there.
    let online = (me == user_id || contacts::connected(me, user_id)?) && sockets::online(user_id)?;
    let state = State { user_id, online };
    sockets::emit(&[sockets::Target::Socket(message.socket().to_owned())], "presence:state", &state)?;
    Ack::json(&doc! { "ok": true, "userId": user_id, "online": online })
}

/// The event is published before anybody is told: what fails until then is done again, and nothing after it is.
pub(crate) fn changed(change: &Change) -> Result<(), Error> {
    let connections = cached::connections(change.user)?;
    let event = Presence { socket_id: &change.socket }.event(change.user, change.online);
    events::publish(USER_EVENTS, &change.user.to_hex(), event.event_type, &event)?;
    let targets: Vec<sockets::Target> = connections.into_iter().map(sockets::user).collect();
    for some in targets.chunks(sockets::MOST_TARGETS) {
        let _ = sockets::emit(some, "presence", &State { user_id: change.user, online: change.online });
    }
    Ok(())
}
