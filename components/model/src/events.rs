//! The events that these components publish: topics, types, and the data that each carries.

use devconnect_sdk::bson::{DateTime, ObjectId};
use devconnect_sdk::events::Envelope;
use serde::{Deserialize, Serialize};

/// Sign-ups, log-ins, log-outs, ends of accounts; the key is the user's id.
pub const USER_EVENTS: &str = "user-events";
/// Requests and answers; the key is the id of the request's sender.
pub const CONNECTION_EVENTS: &str = "connection-events";

/// Messages and what becomes of them; the key is the conversation: both ids, the lesser one first.
pub const MESSAGE_EVENTS: &str = "message-events";

/// What members have to know; the key is the id of who is to know it.
pub const NOTIFICATION_EVENTS: &str = "notification-events";
/// What was counted; the key is the id of whose doing it was.
pub const ANALYTICS_EVENTS: &str = "analytics-events";

/// Somebody has a new account.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Signup<'a> {
    /// As stored.
    pub first_name: &'a str,
    /// As stored.
    pub last_name: &'a str,
    /// As stored.
    pub email_id: &'a str,
    /// When the account came to be.
    pub signup_time: DateTime,
}

impl Signup<'_> {
    /// The event, caused by `user`.
    pub fn event(self, user: ObjectId) -> Envelope<Self> {
        Envelope::new("USER_SIGNUP", user, self)
    }
}

/// Somebody logged in.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Login<'a> {
    /// As stored.
    pub email_id: &'a str,
    /// When.
    pub login_time: DateTime,
    /// From where, as the host believes.
    pub ip_address: &'a str,
}

impl Login<'_> {
    /// The event, caused by `user`.
    pub fn event(self, user: ObjectId) -> Envelope<Self> {
        Envelope::new("USER_LOGIN", user, self)
    }
}

/// Somebody logged out. There is nothing more to say.
#[derive(Debug, Clone, Serialize)]
pub struct Logout {}

impl Logout {
    /// The event, caused by `user`.
    pub fn event(self, user: &str) -> Envelope<Self> {
        Envelope::new("USER_LOGOUT", user, self)
    }
}

/// Somebody deleted the account. There is nothing more to say, and nothing that would have to be forgotten.
#[derive(Debug, Clone, Serialize)]
pub struct Deleted {}

impl Deleted {
    /// The event, caused by `user`.
    pub fn event(self, user: ObjectId) -> Envelope<Self> {
        Envelope::new("USER_DELETED", user, self)
    }
}

/// What a deleted account had left is erased.
#[derive(Debug, Clone, Serialize)]
pub struct Erased {}

impl Erased {
    /// The event; `user` is who it was.
    pub fn event(self, user: ObjectId) -> Envelope<Self> {
        Envelope::new("USER_ERASED", user, self)
    }
}

/// Somebody says which skills the member has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Skills {
    /// All of them, as stored; what is not among them is no skill of the member's any more.
    pub skills: Vec<String>,
}

impl Skills {
    /// The event, caused by `user`.
    pub fn event(self, user: ObjectId) -> Envelope<Self> {
        Envelope::new("USER_SKILLS", user, self)
    }
}

/// Something happened to a connection request.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection<'a> {
    /// The request.
    pub request_id: ObjectId,
    /// Who sent it.
    pub from_user_id: ObjectId,
    /// Whom it went to.
    pub to_user_id: ObjectId,
    /// What it is now.
    pub status: &'a str,
    /// When it became that.
    pub timestamp: DateTime,
}

impl Connection<'_> {
    /// It was sent, by its sender.
    pub fn requested(self) -> Envelope<Self> {
        let by = self.from_user_id;
        Envelope::new("CONNECTION_REQUEST", by, self)
    }

    /// It was answered, by whom it went to.
    pub fn reviewed(self) -> Envelope<Self> {
        let by = self.to_user_id;
        Envelope::new("CONNECTION_REVIEW", by, self)
    }

    /// It was answered with yes (`accepted`) or no, by whom it went to.
    pub fn decided(self, accepted: bool) -> Envelope<Self> {
        let by = self.to_user_id;
        Envelope::new(if accepted { "CONNECTION_ACCEPTED" } else { "CONNECTION_REJECTED" }, by, self)
    }
}

/// What consumers read of what happened to a connection request.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionTold {
    /// Who sent it.
    pub from_user_id: ObjectId,
    /// Whom it went to.
    pub to_user_id: ObjectId,
    /// What it was then.
    pub status: String,
}

/// Somebody came or went.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Presence<'a> {
    /// The socket that made the difference.
    pub socket_id: &'a str,
}

impl Presence<'_> {
    /// The event, of `user`.
    pub fn event(self, user: ObjectId, online: bool) -> Envelope<Self> {
        Envelope::new(if online { "USER_ONLINE" } else { "USER_OFFLINE" }, user, self)
    }
}

/// A message was sent.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent<'a> {
    /// The message.
    pub message_id: ObjectId,
    /// Who sent it.
    pub from_user_id: ObjectId,
    /// Whom it went to.
    pub to_user_id: ObjectId,
    /// What it says.
    pub text: &'a str,
    /// Its time.
    pub ts: DateTime,
}

impl Sent<'_> {
    /// The event, caused by the sender.
    pub fn event(self) -> Envelope<Self> {
        let by = self.from_user_id;
        Envelope::new("MESSAGE_SENT", by, self)
    }
}

/// A message arrived, or was read.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stamped {
    /// The message.
    pub message_id: ObjectId,
    /// Who sent it.
    pub from_user_id: ObjectId,
    /// Whom it went to.
    pub to_user_id: ObjectId,
    /// When it arrived or was read.
    pub at: DateTime,
}

impl Stamped {
    /// The event of type `kind`, caused by the one it went to.
    pub fn event(self, kind: &'static str) -> Envelope<Self> {
        let by = self.to_user_id;
        Envelope::new(kind, by, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_event_has_the_names_of_the_contract() {
        let (from, to) = (ObjectId::from_bytes([1; 12]), ObjectId::from_bytes([2; 12]));
        let event = Connection {
            request_id: from,
            from_user_id: from,
            to_user_id: to,
            status: "accepted",
            timestamp: DateTime::from_millis(0),
        };
        let value = serde_json::to_value(event.decided(true)).unwrap();
        assert_eq!(value["eventType"], "CONNECTION_ACCEPTED");
        assert_eq!(value["userId"], to.to_hex());
        assert_eq!(value["data"]["fromUserId"], from.to_hex());
        assert_eq!(value["data"]["timestamp"], "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_logout_carries_nothing() {
        let value = serde_json::to_value(Logout {}.event("u")).unwrap();
        assert_eq!(value["data"], serde_json::json!({}));
    }
}
