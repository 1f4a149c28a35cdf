//! Stamps: that a message arrived, and that it was read. Each once, by the one it went to, told to the one who sent it.

use devconnect_sdk::prelude::*;
use model::events::{MESSAGE_EVENTS, Stamped};
use serde::Serialize;

use crate::{message, send};

/// One kind of stamp.
struct Stamp {
    /// The socket event, here and on the sender's side.
    event: &'static str,
    /// The message's field.
    field: &'static str,
    /// The published event's type.
    kind: &'static str,
}

pub(crate) fn delivered(message: &Message) -> Result<Ack, Error> {
    let stamp = Stamp { event: "message:delivered", field: "deliveredAt", kind: "MESSAGE_DELIVERED" };
    stamp.put(message)
}

pub(crate) fn read(message: &Message) -> Result<Ack, Error> {
    Stamp { event: "message:read", field: "readAt", kind: "MESSAGE_READ" }.put(message)
}

impl Stamp {
    fn put(&self, message: &Message) -> Result<Ack, Error> {
        let (me, id) = (message.user_id()?, send::id(&message.json()?, "_id")?);
        let found: Option<Document> = collection(message::COLLECTION).by_id(id)?;
        // Whose message it is not learns as little as of one that is not there.
        let mine = found.filter(|found| found.get_oid("toUserId") == Some(me));
        let found = mine.ok_or_else(|| Error::not_found("Message not found"))?;
        let from = found.get_oid("fromUserId").ok_or_else(|| Error::internal("a message has no sender"))?;
        let (pair, at, field) = (message::pair(from, me), clock::now(), self.field);
        let event = Stamped { message_id: id, from_user_id: from, to_user_id: me, at }.event(self.kind);
        let commit = Commit::new()
            .update(
                message::COLLECTION,
                // With the pair, since what is cached of it follows from the message. An old message may have none yet.
                doc! { "_id": id, "toUserId": me, "pair": { "$in": [&pair, null] }, field: null },
                doc! { "$set": { field: at, "updatedAt": at } },
            )
            .must_match();
        match commit.envelope(MESSAGE_EVENTS, &pair, &event).run() {
            Ok(_) => {
                let _ = sockets::emit(&[sockets::user(from)], self.event, &Put { id, at: at.millis() });
                Ack::json(&Done { ok: true, put: Put { id, at: at.millis() } })
            }
            // It was stamped before: nothing is told twice.
            Err(documents::Error::Unmet { .. }) => {
                let stamped: Option<Document> = collection(message::COLLECTION).by_id(id)?;
                let at = stamped.and_then(|stamped| stamped.get_date(field)).unwrap_or(at);
                Ack::json(&Done { ok: true, put: Put { id, at: at.millis() } })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// A stamp as the sender's sockets receive it.
#[derive(Serialize)]
struct Put {
    #[serde(rename = "_id")]
    id: ObjectId,
    /// Milliseconds since 1970.
    at: i64,
}

#[derive(Serialize)]
struct Done {
    ok: bool,
    #[serde(flatten)]
    put: Put,
}
