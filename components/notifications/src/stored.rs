//! A notification as it is stored, and what clients see of it.

use devconnect_sdk::prelude::*;
use model::cast::{self, Kind, Schema};
use serde::{Deserialize, Serialize};

/// The collection.
pub(crate) const COLLECTION: &str = "notifications";
/// The most bytes of one in a list. An operator's words may have some KiB.
pub(crate) const ROW_BYTES: u32 = 32 << 10;

/// What clients see.
const SHOWN: [&str; 7] = ["_id", "type", "fromUserId", "message", "count", "createdAt", "readAt"];

/// What each of their fields is.
const SCHEMA: &Schema = &[
    ("type", Kind::Text),
    ("fromUserId", Kind::Id),
    ("message", Kind::Text),
    ("count", Kind::Number),
    ("createdAt", Kind::Date),
    ("readAt", Kind::Date),
];

/// What clients see of a notification.
pub(crate) fn shown(notification: &Document) -> Document {
    let fields = SHOWN.iter().filter_map(|name| Some(((*name).to_owned(), notification.get(name)?.clone())));
    cast::document(fields.collect(), SCHEMA)
}

/// A new one.
pub(crate) struct New<'a> {
    pub(crate) id: ObjectId,
    /// Who is to know.
    pub(crate) user: ObjectId,
    pub(crate) kind: &'a str,
    pub(crate) from: Option<ObjectId>,
    pub(crate) message: &'a str,
}

impl New<'_> {
    /// As it is stored.
    pub(crate) fn document(&self) -> Document {
        let mut document = doc! {
            "_id": self.id,
            "userId": self.user,
            "type": self.kind,
            "message": self.message,
            "count": 1,
            "createdAt": clock::now(),
        };
        if let Some(from) = self.from {
            document.insert("fromUserId", from);
        }
        document
    }

    /// What tells of it.
    pub(crate) fn told(&self) -> Told {
        let message = self.message.to_owned();
        Told { user_id: self.user, from_user_id: self.from, message, notification_id: self.id }
    }
}

/// What an event says of a notification.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Told {
    pub(crate) user_id: ObjectId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from_user_id: Option<ObjectId>,
    pub(crate) message: String,
    pub(crate) notification_id: ObjectId,
}
