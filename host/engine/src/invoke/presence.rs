//! Calls a component for a presence change: a user went online or offline.

use wasmtime::Store;

use crate::bindings::PresenceRef;
use crate::invoke::Invocation;
use crate::{Call, Exports, Said, State};
use capability::text;
use native::export::Export;

/// `presence-handler.changed` of a component.
pub(crate) type PresenceExport = Export<State, (PresenceRef<'static>,), (Result<(), String>,)>;

/// A change of a user's presence for a component.
#[derive(Debug, Clone)]
pub struct PresenceCall {
    /// The call.
    pub call: Call,
    /// The user.
    pub user: String,
    /// Whether the user is online now.
    pub online: bool,
    /// The socket that caused the change.
    pub socket: String,
}

impl Invocation for PresenceCall {
    /// The error is the component's own; the change is reported again.
    type Answer = Result<(), String>;

    fn call(&self) -> &Call {
        &self.call
    }

    fn trigger(&self) -> &str {
        "presence"
    }

    fn said(&self, answer: &Self::Answer) -> Said {
        if answer.is_err() { Said::Failed } else { Said::Done }
    }

    async fn run(&self, store: &mut Store<State>, exports: &Exports) -> wasmtime::Result<Self::Answer> {
        let changed = exports.presence.as_ref().ok_or_else(|| wasmtime::Error::msg("it has no presence handler"))?;
        let change = PresenceRef { id: &self.call.id, user: &self.user, online: self.online, socket: &self.socket };
        let changed = changed.instantiate(store).await?;
        let (handled,) = changed.call_async(&mut *store, (change,)).await?;
        Ok(handled.map_err(|why| text::cut(&why, text::MAX_REASON)))
    }
}
