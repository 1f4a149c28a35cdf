//! Sockets without a wire: what goes out is kept until the driver asks for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use capability::sessions::Ending;
use capability::sockets::{Error, Sockets, Target};
use serde::Serialize;
use serde_json::value::RawValue;

/// Something that went out.
#[derive(Debug, Serialize)]
pub(super) struct Emitted {
    targets: Vec<Receiver>,
    event: String,
    payload: Box<RawValue>,
}

/// Who got it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Receiver {
    User(String),
    Room(String),
    Socket(String),
}

/// Whose sockets were disconnected.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Ended {
    user: String,
    sessions: Sessions,
}

/// Which of a user's sessions ended.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
enum Sessions {
    One(String),
    Others(String),
    All,
}

/// What became of sockets; the harness's engine of the capability.
#[derive(Debug, Default)]
pub(super) struct Recorded(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    emitted: Vec<Emitted>,
    rooms: BTreeMap<String, BTreeSet<String>>,
    present: BTreeMap<String, BTreeSet<String>>,
    ended: Vec<Ended>,
}

impl Recorded {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that went out since this was last asked, in order.
    pub(super) fn take(&self) -> Vec<Emitted> {
        std::mem::take(&mut self.state().emitted)
    }

    /// The sockets in a room.
    pub(super) fn room(&self, room: &str) -> Vec<String> {
        self.state().rooms.get(room).into_iter().flatten().cloned().collect()
    }

    /// The sockets that count for a user's presence.
    pub(super) fn present(&self, user: &str) -> Vec<String> {
        self.state().present.get(user).into_iter().flatten().cloned().collect()
    }

    /// The sessions whose sockets were disconnected.
    pub(super) fn ended(&self) -> Vec<Ended> {
        self.state().ended.clone()
    }
}

impl From<&Target> for Receiver {
    fn from(target: &Target) -> Self {
        match target {
            Target::User(user) => Self::User(user.clone()),
            Target::Room(room) => Self::Room(room.clone()),
            Target::Socket(socket) => Self::Socket(socket.clone()),
        }
    }
}

#[async_trait]
impl Sockets for Recorded {
    async fn emit(&self, targets: &[Target], event: &str, payload: &RawValue) -> Result<(), Error> {
        let targets = targets.iter().map(Receiver::from).collect();
        self.state().emitted.push(Emitted { targets, event: event.to_owned(), payload: payload.to_owned() });
        Ok(())
    }

    async fn emit_with_ack(
        &self,
        socket: &str,
        event: &str,
        payload: &RawValue,
        _: Duration,
    ) -> Result<Option<Bytes>, Error> {
        self.emit(&[Target::Socket(socket.to_owned())], event, payload).await?;
        Ok(None)
    }

    async fn join(&self, socket: &str, room: &str) -> Result<(), Error> {
        self.state().rooms.entry(room.to_owned()).or_default().insert(socket.to_owned());
        Ok(())
    }

    async fn leave(&self, socket: &str, room: &str) -> Result<(), Error> {
        self.state().rooms.entry(room.to_owned()).or_default().remove(socket);
        Ok(())
    }

    async fn appear(&self, user: &str, socket: &str) -> Result<(), Error> {
        self.state().present.entry(user.to_owned()).or_default().insert(socket.to_owned());
        Ok(())
    }

    async fn online(&self, user: &str) -> Result<bool, Error> {
        Ok(self.state().present.get(user).is_some_and(|sockets| !sockets.is_empty()))
    }

    async fn end(&self, user: &str, ending: &Ending) {
        let sessions = match ending {
            Ending::One(session) => Sessions::One(session.clone()),
            Ending::Others(session) => Sessions::Others(session.clone()),
            Ending::All => Sessions::All,
        };
        self.state().ended.push(Ended { user: user.to_owned(), sessions });
    }
}
