//! Sending notifications to sockets: each as it is stored, and what a member has missed when the member comes.

use devconnect_sdk::bson::Bson;
use devconnect_sdk::event::{Event, Failure};
use devconnect_sdk::prelude::*;

use crate::stored::{COLLECTION, New, ROW_BYTES, Told, shown};

/// The name under which they are sent.
const NOTIFICATION: &str = "notification";
/// How many of what was missed are sent at once, the newest ones; all are in the list.
const MISSED: u32 = 100;

/// One was stored.
pub(crate) fn stored(event: &Event) -> Result<(), Failure> {
    let told: Told = event.data()?;
    let found: Option<Document> = collection(COLLECTION).by_id(told.notification_id)?;
    match found {
        Some(notification) if notification.get("deliveredAt").is_none() => send(told.user_id, &[notification]),
        // It was sent when the member came, or the member is gone and took it along.
        _ => Ok(()),
    }
}

/// An operator has something to say; nobody has stored it yet.
pub(crate) fn system(event: &Event) -> Result<(), Failure> {
    let told: Told = event.data()?;
    if collection(COLLECTION).exists(doc! { "_id": told.notification_id })? {
        return Ok(());
    }
    let (id, user) = (told.notification_id, told.user_id);
    let new = New { id, user, kind: event.kind(), from: told.from_user_id, message: &told.message };
    let document = new.document();
    Commit::new().insert(COLLECTION, &document).run()?;
    send(user, &[document])
}

/// A member came.
pub(crate) fn came(event: &Event) -> Result<(), Failure> {
    let user = event.user_id()?;
    let missed = doc! { "userId": user, "deliveredAt": null, "readAt": null };
    let newest = doc! { "createdAt": -1, "_id": -1 };
    let query = collection(COLLECTION).find(missed).sort(newest).limit(MISSED).row_bytes(ROW_BYTES);
    let mut missed: Vec<Document> = query.all()?;
    missed.reverse();
    send(user, &missed)
}

/// To a member that is there; otherwise it waits until then.
fn send(user: ObjectId, notifications: &[Document]) -> Result<(), Failure> {
    if notifications.is_empty() || !sockets::online(user).unwrap_or(false) {
        return Ok(());
    }
    for notification in notifications {
        sockets::emit(&[sockets::user(user)], NOTIFICATION, &shown(notification))?;
    }
    let ids: Bson = notifications.iter().filter_map(|notification| notification.get_oid("_id")).collect();
    Commit::new()
        .update(
            COLLECTION,
            doc! { "_id": { "$in": ids }, "userId": user },
            doc! { "$set": { "deliveredAt": clock::now() } },
        )
        .many()
        .run()?;
    Ok(())
}
