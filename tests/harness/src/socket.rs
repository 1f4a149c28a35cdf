//! Sockets without a wire: messages go to the components as a client's would, and what goes out can be looked at.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::process::Waiting;
use crate::{App, Nothing, ObjectId, Pending};

/// Who gets something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// All sockets of a user.
    User(String),
    /// All sockets in a room.
    Room(String),
    /// One socket.
    Socket(String),
}

/// Something that went out.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Emitted {
    /// To whom.
    pub targets: Vec<Target>,
    /// Its name.
    pub event: String,
    /// What it carried.
    pub payload: Value,
}

/// Whose sockets were disconnected.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Ended {
    /// The user.
    pub user: String,
    /// Those of which sessions.
    pub sessions: Sessions,
}

/// Which of a user's sessions ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sessions {
    /// This one.
    One(String),
    /// All but this one.
    Others(String),
    /// All.
    All,
}

/// What became of the sockets of an [`App`].
#[derive(Clone, Copy)]
pub struct Sockets<'a>(&'a App);

#[derive(Deserialize)]
struct Ids {
    sockets: Vec<String>,
}

impl<'a> Sockets<'a> {
    pub(crate) fn of(app: &'a App) -> Self {
        Self(app)
    }

    /// Everything that went out since this was last asked, in order.
    pub fn take(self) -> Vec<Emitted> {
        #[derive(Deserialize)]
        struct Taken {
            emitted: Vec<Emitted>,
        }
        self.0.process.call::<Taken>("emitted", &json!({})).emitted
    }

    /// The sockets in a room.
    pub fn room(self, room: &str) -> Vec<String> {
        self.0.process.call::<Ids>("room", &json!({ "room": room })).sockets
    }

    /// The sockets that count for a user's presence.
    pub fn present(self, user: ObjectId) -> Vec<String> {
        self.0.process.call::<Ids>("present", &json!({ "user": user.to_hex() })).sockets
    }

    /// Whose sockets were disconnected because their sessions ended.
    pub fn ended(self) -> Vec<Ended> {
        #[derive(Deserialize)]
        struct All {
            ended: Vec<Ended>,
        }
        self.0.process.call::<All>("ended", &json!({})).ended
    }
}

impl App {
    /// Tells the components that a user came or went; the error is of one that wants to be told again.
    pub fn tell_presence(&self, user: ObjectId, online: bool, socket: &str) -> Result<(), String> {
        #[derive(Deserialize)]
        struct Told {
            refused: Option<String>,
        }
        let change = json!({ "user": user.to_hex(), "online": online, "socket": socket });
        self.process.call::<Told>("presence", &change).refused.map_or(Ok(()), Err)
    }
}

/// A user's socket.
pub struct Socket<'a> {
    app: &'a App,
    id: String,
    user: ObjectId,
}

#[derive(Serialize)]
struct Message<'a> {
    socket: &'a str,
    user: String,
    event: &'a str,
    payload: &'a Value,
    ack: bool,
}

impl<'a> Socket<'a> {
    pub(crate) fn new(app: &'a App, user: ObjectId) -> Self {
        Self { app, id: ObjectId::new().to_hex(), user }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// From here on it counts for its user's presence.
    pub fn appear(&self) {
        self.app.process.call::<Nothing>("appear", &json!({ "user": self.user.to_hex(), "socket": self.id }));
    }

    /// Sends a message and waits for the acknowledgement.
    pub fn ask(&self, event: &str, payload: &Value) -> Value {
        self.begin(event, payload).wait()
    }

    /// Sends a message without waiting for an acknowledgement; what an `error` event would carry, if one came.
    pub fn send(&self, event: &str, payload: &Value) -> Option<Value> {
        #[derive(Deserialize)]
        struct Said {
            error: Option<Value>,
        }
        self.message(event, payload, false).read::<Said>().error
    }

    /// Sends a message that asks for an acknowledgement; for tests that race several.
    pub fn begin(&self, event: &str, payload: &Value) -> Pending<'a, Value> {
        #[derive(Deserialize)]
        struct Said {
            ack: Value,
        }
        Pending::made(self.message(event, payload, true), |waiting| waiting.read::<Said>().ack)
    }

    fn message(&self, event: &str, payload: &Value, ack: bool) -> Waiting<'a> {
        let message = Message { socket: &self.id, user: self.user.to_hex(), event, payload, ack };
        self.app.process.begin("message", &message)
    }
}
