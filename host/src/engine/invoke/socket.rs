//! A socket message's way into a component, and what the component says to it.

use bytes::Bytes;
use wasmtime::Store;

use super::Invocation;
use crate::engine::bindings::{IdentityRef, MessageRef};
use crate::engine::{Call, Exports, Identity, State};

/// A message of a client on its way to a component.
#[derive(Debug, Clone)]
pub struct SocketCall {
    /// Who and which; its `socket` is the one the message came on.
    pub call: Call,
    /// Whose socket it is.
    pub identity: Identity,
    /// The event's name.
    pub event: String,
    /// The first argument as JSON.
    pub payload: Bytes,
    /// The client waits for an acknowledgement.
    pub wants_ack: bool,
    /// The client's address as the host believes it.
    pub client: String,
}

/// What a component said to a message: `Ok` is the acknowledgement's JSON when it has one, `Err` the JSON of why not.
pub type SocketReply = Result<Option<Bytes>, Bytes>;

impl Invocation for SocketCall {
    type Answer = SocketReply;

    fn call(&self) -> &Call {
        &self.call
    }

    fn trigger(&self) -> &str {
        &self.event
    }

    async fn run(&self, store: &mut Store<State>, exports: &Exports) -> wasmtime::Result<SocketReply> {
        let handle = exports.socket.as_ref().ok_or_else(|| wasmtime::Error::msg("it has no socket handler"))?;
        let message = MessageRef {
            id: &self.call.id,
            socket: self.call.socket.as_deref().unwrap_or_default(),
            event: &self.event,
            payload: &self.payload,
            wants_ack: self.wants_ack,
            identity: IdentityRef::of(&self.identity),
            client: &self.client,
        };
        let instance = exports.instance.instantiate_async(&mut *store).await?;
        let handle = instance.get_typed_func::<(MessageRef<'_>,), (SocketReply,)>(&mut *store, handle)?;
        let (reply,) = handle.call_async(&mut *store, (message,)).await?;
        Ok(reply)
    }
}
