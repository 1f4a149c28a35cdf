//! Sockets without a wire: messages go to the components as a client's would, and what goes out is kept to be looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use devconnect_host::capability::sessions::Ending;
use devconnect_host::capability::sockets::{Error, Sockets, Target};
use devconnect_host::engine::Identity;
use devconnect_host::trigger::socket::{Incoming, Said, answer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::{App, ObjectId};

/// Something that went out.
#[derive(Debug, Clone, PartialEq)]
pub struct Emitted {
    /// To whom.
    pub targets: Vec<Target>,
    /// Its name.
    pub event: String,
    /// What it carried.
    pub payload: Value,
}

/// What became of sockets; the harness's engine of the capability.
#[derive(Debug, Default)]
pub struct Recorded(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    emitted: Vec<Emitted>,
    rooms: BTreeMap<String, BTreeSet<String>>,
    present: BTreeMap<String, BTreeSet<String>>,
    ended: Vec<(String, Ending)>,
}

impl Recorded {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that went out since this was last asked, in order.
    pub fn take(&self) -> Vec<Emitted> {
        std::mem::take(&mut self.state().emitted)
    }

    /// The sockets in a room.
    pub fn room(&self, room: &str) -> Vec<String> {
        self.state().rooms.get(room).into_iter().flatten().cloned().collect()
    }

    /// The sockets that count for a user's presence.
    pub fn present(&self, user: ObjectId) -> Vec<String> {
        self.state().present.get(&user.to_hex()).into_iter().flatten().cloned().collect()
    }

    /// The sessions whose sockets were disconnected, by user.
    pub fn ended(&self) -> Vec<(String, Ending)> {
        self.state().ended.clone()
    }
}

#[async_trait]
impl Sockets for Recorded {
    async fn emit(&self, targets: &[Target], event: &str, payload: &RawValue) -> Result<(), Error> {
        let payload = serde_json::from_str(payload.get()).expect("the host lets only JSON pass");
        self.state().emitted.push(Emitted { targets: targets.to_vec(), event: event.to_owned(), payload });
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
        self.state().ended.push((user.to_owned(), ending.clone()));
    }
}

/// A user's socket.
pub struct Socket<'a> {
    app: &'a App,
    id: String,
    user: ObjectId,
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
        self.app.sockets().state().present.entry(self.user.to_hex()).or_default().insert(self.id.clone());
    }

    /// Sends a message and waits for the acknowledgement.
    pub fn ask(&self, event: &str, payload: &Value) -> Value {
        self.app.runtime().block_on(self.dispatch(event, payload, true)).into_ack()
    }

    /// Sends a message without waiting for an acknowledgement; what an `error` event would carry, if one came.
    pub fn send(&self, event: &str, payload: &Value) -> Option<Value> {
        self.app.runtime().block_on(self.dispatch(event, payload, false)).into_error(event)
    }

    /// Sends it; for tests that race several.
    pub async fn dispatch(&self, event: &str, payload: &Value, wants_ack: bool) -> Said {
        let identity = Identity { subject: self.user.to_hex(), session: "the test's own".into(), expires: u64::MAX };
        let incoming = Incoming {
            socket: self.id.clone(),
            identity,
            client: "127.0.0.1".into(),
            event: event.to_owned(),
            payload: Bytes::from(payload.to_string()),
            wants_ack,
        };
        answer(&self.app.host().registry, incoming).await
    }
}
