//! Calls a component for a socket's message, and returns its reply.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime::Store;

use crate::bindings::{IdentityRef, MessageRef};
use crate::invoke::Invocation;
use crate::{Call, Exports, Said, State};
use capability::sessions::Identity;
use native::export::Export;

/// `socket-handler.handle` of a component.
pub(crate) type SocketExport = Export<State, (MessageRef<'static>,), (SocketReply,)>;

/// A client's message for a component.
#[derive(Debug, Clone)]
pub struct SocketCall {
    /// The call; its `socket` is the one that the message came on.
    pub call: Call,
    /// The session of the socket.
    pub identity: Identity,
    /// The event's name.
    pub event: String,
    /// The first argument as JSON.
    pub payload: Bytes,
    /// The client waits for an acknowledgement.
    pub wants_ack: bool,
    /// The client's address, from its connection or a trusted proxy.
    pub client: Arc<str>,
}

/// A component's reply to a message: `Ok` is the acknowledgement's JSON when there is one, `Err` the JSON of the reason.
pub type SocketReply = Result<Option<Bytes>, Bytes>;

impl Invocation for SocketCall {
    type Answer = SocketReply;

    fn call(&self) -> &Call {
        &self.call
    }

    fn trigger(&self) -> &str {
        &self.event
    }

    fn client(&self) -> Option<&Arc<str>> {
        Some(&self.client)
    }

    fn said(&self, answer: &SocketReply) -> Said {
        if answer.is_err() { Said::Refused } else { Said::Done }
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
        let handle = handle.instantiate(store).await?;
        let (reply,) = handle.call_async(&mut *store, (message,)).await?;
        Ok(reply)
    }
}
