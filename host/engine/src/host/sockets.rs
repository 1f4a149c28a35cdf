//! WIT glue of `devconnect:platform/sockets`.

use std::time::Duration;

use serde_json::value::RawValue;

use crate::State;
use crate::bindings::devconnect::platform::sockets::{Error, Host, Target as WitTarget};
use capability::sockets::{Error as Failure, MAX_ACK_TIME, MAX_PAYLOAD, MAX_TARGETS, Target, check_room};
use capability::unit_of_work::{Emit, UnitOfWork};

/// The longest name of a user or a socket, in bytes.
const MAX_NAME: usize = 256;

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Invalid(why) => Error::Invalid(why),
            Failure::Unavailable(why) => Error::Unavailable(why),
        }
    }
}

impl State {
    /// Checks a room's name and grant.
    fn check_room(&self, room: &str) -> Result<(), Error> {
        check_room(room)?;
        self.grants().sockets.check_room(room).map_err(Error::Denied)
    }

    fn target(&self, target: WitTarget) -> Result<Target, Error> {
        Ok(match target {
            WitTarget::User(user) => Target::User(named(user)?),
            WitTarget::Socket(socket) => Target::Socket(named(socket)?),
            WitTarget::Room(room) => {
                self.check_room(&room)?;
                Target::Room(room)
            }
        })
    }

    fn calling_socket(&self) -> Result<String, Error> {
        let none = || Error::Invalid("no socket calls: rooms and presence are for socket events".into());
        self.call.socket.clone().ok_or_else(none)
    }

    async fn emitted(&mut self, targets: Vec<WitTarget>, event: &str, payload: &[u8]) -> Result<(), Error> {
        self.grants().sockets.check_emit(event).map_err(Error::Denied)?;
        if targets.len() > MAX_TARGETS {
            let many = targets.len();
            return Err(Error::Invalid(format!("an emit takes at most {MAX_TARGETS} targets, not {many}")));
        }
        let targets = targets.into_iter().map(|target| self.target(target)).collect::<Result<Vec<_>, _>>()?;
        let payload = json(payload)?;
        if let Some(gathered) = self.gathering() {
            let emit = Emit { targets, event: event.to_owned(), payload };
            let emits = UnitOfWork { emits: vec![emit], ..UnitOfWork::default() };
            return gathered.add(emits).map_err(|error| Error::Invalid(error.to_string()));
        }
        Ok(self.capabilities().sockets.emit(&targets, event, &payload).await?)
    }

    async fn answered(
        &mut self,
        socket: &str,
        event: &str,
        payload: &[u8],
        timeout: Duration,
    ) -> Result<Option<Vec<u8>>, Error> {
        self.grants().sockets.check_emit(event).map_err(Error::Denied)?;
        if timeout.is_zero() || timeout > MAX_ACK_TIME {
            return Err(Error::Invalid(format!("the wait for an answer takes 1 ms to {MAX_ACK_TIME:?}")));
        }
        let payload = json(payload)?;
        check_name(socket)?;
        let answer = self.capabilities().sockets.emit_with_ack(socket, event, &payload, timeout).await?;
        Ok(answer.map(|bytes| bytes.to_vec()))
    }

    async fn moved(&mut self, room: &str, joins: bool) -> Result<(), Error> {
        self.check_room(room)?;
        let socket = self.calling_socket()?;
        let sockets = &self.capabilities().sockets;
        let moved = if joins { sockets.join(&socket, room).await } else { sockets.leave(&socket, room).await };
        Ok(moved?)
    }

    async fn appeared(&mut self) -> Result<(), Error> {
        self.grants().sockets.check_presence().map_err(Error::Denied)?;
        let socket = self.calling_socket()?;
        let Some(identity) = self.call.identity.as_ref() else {
            return Err(Error::Invalid("nobody is behind this call".into()));
        };
        Ok(self.capabilities().sockets.appear(&identity.subject, &socket).await?)
    }

    /// Records when the store behind the sockets did not answer.
    fn seen<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        if matches!(answer, Err(Error::Unavailable(_))) {
            self.record_store_unavailable();
        }
        answer
    }

    async fn is_online(&mut self, user: &str) -> Result<bool, Error> {
        self.grants().sockets.check_presence().map_err(Error::Denied)?;
        check_name(user)?;
        Ok(self.capabilities().sockets.online(user).await?)
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.len() > MAX_NAME {
        return Err(Error::Invalid(format!("a user or a socket takes at most {MAX_NAME} bytes, not {}", name.len())));
    }
    Ok(())
}

fn named(name: String) -> Result<String, Error> {
    check_name(&name).map(|()| name)
}

fn json(payload: &[u8]) -> Result<Box<RawValue>, Error> {
    if payload.len() > MAX_PAYLOAD {
        return Err(Error::Invalid(format!("a payload takes at most {MAX_PAYLOAD} bytes, not {}", payload.len())));
    }
    serde_json::from_slice(payload).map_err(|error| Error::Invalid(format!("the payload is not JSON: {error}")))
}

impl Host for State {
    async fn emit(
        &mut self,
        targets: Vec<WitTarget>,
        event: String,
        payload: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let _host = self.enter("sockets.emit")?;
        let answer = self.emitted(targets, &event, &payload).await;
        Ok(self.seen(answer))
    }

    async fn emit_with_ack(
        &mut self,
        socket: String,
        event: String,
        payload: Vec<u8>,
        timeout_ms: u32,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let _host = self.enter("sockets.emit-with-ack")?;
        let answer = self.answered(&socket, &event, &payload, Duration::from_millis(timeout_ms.into())).await;
        Ok(self.seen(answer))
    }

    async fn join(&mut self, room: String) -> wasmtime::Result<Result<(), Error>> {
        let _host = self.enter("sockets.join")?;
        let answer = self.moved(&room, true).await;
        Ok(self.seen(answer))
    }

    async fn leave(&mut self, room: String) -> wasmtime::Result<Result<(), Error>> {
        let _host = self.enter("sockets.leave")?;
        let answer = self.moved(&room, false).await;
        Ok(self.seen(answer))
    }

    async fn appear(&mut self) -> wasmtime::Result<Result<(), Error>> {
        let _host = self.enter("sockets.appear")?;
        let answer = self.appeared().await;
        Ok(self.seen(answer))
    }

    async fn online(&mut self, user: String) -> wasmtime::Result<Result<bool, Error>> {
        let _host = self.enter("sockets.online")?;
        let answer = self.is_online(&user).await;
        Ok(self.seen(answer))
    }
}
