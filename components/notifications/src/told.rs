//! What others did that a member has to know. Each becomes a notification in one commit with the event that sends it.

use devconnect_sdk::event::{Event, Failure};
use devconnect_sdk::prelude::*;
use model::cached;
use model::events::{ConnectionTold, NOTIFICATION_EVENTS};
use serde::Deserialize;

use crate::stored::{COLLECTION, New};

/// What an event says of a message.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    from_user_id: ObjectId,
    to_user_id: ObjectId,
}

pub(crate) fn requested(event: &Event) -> Result<(), Failure> {
    let request: ConnectionTold = event.data()?;
    // To be ignored is nobody's business.
    if request.status != "interested" {
        return Ok(());
    }
    about(event, request.to_user_id, request.from_user_id, "sent you a connection request")
}

pub(crate) fn accepted(event: &Event) -> Result<(), Failure> {
    let request: ConnectionTold = event.data()?;
    about(event, request.from_user_id, request.to_user_id, "accepted your connection request")
}

pub(crate) fn rejected(event: &Event) -> Result<(), Failure> {
    let request: ConnectionTold = event.data()?;
    about(event, request.from_user_id, request.to_user_id, "declined your connection request")
}

fn about(event: &Event, user: ObjectId, from: ObjectId, what: &str) -> Result<(), Failure> {
    let message = format!("{} {what}", first_name(from)?);
    let new = New { id: ObjectId::new(), user, kind: event.kind(), from: Some(from), message: &message };
    store(new, "CONNECTION_REQUEST_NOTIFICATION")
}

/// Of a conversation there is one unread notification at most, which counts.
pub(crate) fn sent(event: &Event) -> Result<(), Failure> {
    let Message { from_user_id: from, to_user_id: user } = event.data()?;
    // While nobody can say, it is rather told than missed.
    if sockets::online(user).unwrap_or(false) {
        return Ok(());
    }
    let unread = doc! { "userId": user, "fromUserId": from, "type": event.kind(), "readAt": null };
    let unread: Option<Document> = collection(COLLECTION).find_one(unread)?;
    let name = first_name(from)?;
    let Some(unread) = unread else {
        let message = format!("{name} sent you a message");
        let new = New { id: ObjectId::new(), user, kind: event.kind(), from: Some(from), message: &message };
        return store(new, "MESSAGE_NOTIFICATION");
    };
    let count = unread.get_i64("count").unwrap_or(1) + 1;
    let id = unread.get_oid("_id").ok_or_else(|| Failure::Retry("a notification has no ObjectId".into()))?;
    Commit::new()
        .update(
            COLLECTION,
            doc! { "_id": id, "userId": user, "readAt": null },
            doc! {
                "$set": { "count": count, "message": format!("{name} sent you {count} messages") },
                "$unset": { "deliveredAt": 1 },
            },
        )
        // When it was read meanwhile, the event is told again, and begins another one.
        .must_match()
        .run()?;
    Ok(())
}

fn store(new: New<'_>, kind: &'static str) -> Result<(), Failure> {
    let by = new.from.unwrap_or(new.user);
    Commit::new()
        .insert(COLLECTION, &new.document())
        .envelope(NOTIFICATION_EVENTS, &new.user.to_hex(), &Envelope::new(kind, by, new.told()))
        .run()?;
    Ok(())
}

fn first_name(id: ObjectId) -> Result<String, Failure> {
    /// What a notification wants of a card.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Named {
        first_name: Option<String>,
    }
    let card = cached::user(id, &cached::CARD)?;
    let named = serde_json::from_slice::<Named>(&card).ok().and_then(|named| named.first_name);
    Ok(named.unwrap_or_else(|| "Somebody".to_owned()))
}
