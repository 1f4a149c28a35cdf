//! The stored message, and how it is shown: over HTTP with dates, over a socket with milliseconds.

use devconnect_sdk::prelude::*;
use model::cast::{self, Kind, Schema};
use serde::Serialize;

/// The collection.
pub(crate) const COLLECTION: &str = "messages";
/// No sender's two messages have the same `clientId`.
pub(crate) const CLIENT_ID_INDEX: &str = "fromUserId_clientId";
/// What the history shows of a message.
const SHOWN: [&str; 7] = ["_id", "fromUserId", "toUserId", "text", "ts", "deliveredAt", "readAt"];

/// The fields of a message and what each is.
const SCHEMA: &Schema = &[
    ("fromUserId", Kind::Id),
    ("toUserId", Kind::Id),
    ("text", Kind::Text),
    ("ts", Kind::Date),
    ("deliveredAt", Kind::Date),
    ("readAt", Kind::Date),
];

/// A conversation's name: the ids of the two, the lesser one first.
pub(crate) fn pair(one: ObjectId, other: ObjectId) -> String {
    format!("{}:{}", one.min(other), one.max(other))
}

/// A message that is being sent.
#[derive(Debug, Clone)]
pub(crate) struct New {
    pub(crate) id: ObjectId,
    pub(crate) from: ObjectId,
    pub(crate) to: ObjectId,
    /// Trimmed, 1 to 5,000 characters.
    pub(crate) text: String,
    /// The sender's own name for it.
    pub(crate) client_id: Option<String>,
}

impl New {
    /// The document, with its place in the conversation.
    pub(crate) fn document(&self, seq: i64, ts: DateTime) -> Document {
        let mut document = doc! {
            "_id": self.id,
            "fromUserId": self.from,
            "toUserId": self.to,
            "text": &self.text,
            "ts": ts,
            "createdAt": ts,
            "updatedAt": ts,
            "pair": pair(self.from, self.to),
            "seq": seq,
        };
        if let Some(client_id) = &self.client_id {
            document.insert("clientId", client_id.as_str());
        }
        document
    }

    /// What the sockets of both receive.
    pub(crate) fn live(&self, ts: DateTime) -> Live<'_> {
        Live {
            message: &self.text,
            from_user_id: self.from,
            to_user_id: self.to,
            ts: ts.millis(),
            id: self.id,
            client_id: self.client_id.as_deref(),
        }
    }
}

/// A message as it arrives on a socket.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Live<'a> {
    message: &'a str,
    from_user_id: ObjectId,
    to_user_id: ObjectId,
    /// Milliseconds since 1970.
    ts: i64,
    #[serde(rename = "_id")]
    id: ObjectId,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
}

/// A stored message as the history shows it.
pub(crate) fn shown(message: &Document) -> Document {
    let fields = SHOWN.iter().filter_map(|field| Some(((*field).to_owned(), message.get(field)?.clone())));
    let mut shown = cast::document(fields.filter(|(_, value)| *value != Bson::Null).collect(), SCHEMA);
    if !shown.contains("text") {
        // An old one that is no text, or too long for a list. Every message has one.
        shown.insert("text", "");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> New {
        New {
            id: ObjectId::from_bytes([9; 12]),
            from: ObjectId::from_bytes([2; 12]),
            to: ObjectId::from_bytes([1; 12]),
            text: "hello".into(),
            client_id: None,
        }
    }

    #[test]
    fn a_conversation_is_the_same_from_both_sides() {
        let (one, other) = (ObjectId::from_bytes([1; 12]), ObjectId::from_bytes([2; 12]));
        assert_eq!(pair(one, other), pair(other, one));
        assert_eq!(pair(other, one), format!("{one}:{other}"));
    }

    #[test]
    fn the_history_shows_what_the_contract_says() {
        let mut stored = new().document(7, DateTime::from_millis(5));
        stored.insert("readAt", Bson::Null);
        let names: Vec<String> = shown(&stored).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["_id", "fromUserId", "toUserId", "text", "ts"]);
    }

    #[test]
    fn on_a_socket_time_is_a_number() {
        let new = New { client_id: Some("c1".into()), ..new() };
        let live = serde_json::to_value(new.live(DateTime::from_millis(5))).unwrap();
        let expected = serde_json::json!({
            "message": "hello", "fromUserId": "02".repeat(12), "toUserId": "01".repeat(12), "ts": 5, "_id": "09".repeat(12), "clientId": "c1",
        });
        assert_eq!(live, expected);
    }
}
