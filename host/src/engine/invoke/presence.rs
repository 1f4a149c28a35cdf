//! Telling a component that a user came or went.

use wasmtime::Store;

use super::Invocation;
use crate::engine::bindings::PresenceRef;
use crate::engine::{Call, Exports, State};

/// A change of a user's presence on its way to a component.
#[derive(Debug, Clone)]
pub struct PresenceCall {
    /// Which.
    pub call: Call,
    /// The user.
    pub user: String,
    /// Whether the user is there now.
    pub online: bool,
    /// The socket that made the difference.
    pub socket: String,
}

impl Invocation for PresenceCall {
    /// The error is the component's own: it wants to be told again.
    type Answer = Result<(), String>;

    fn call(&self) -> &Call {
        &self.call
    }

    fn trigger(&self) -> &str {
        "presence"
    }

    async fn run(&self, store: &mut Store<State>, exports: &Exports) -> wasmtime::Result<Self::Answer> {
        let changed = exports.presence.as_ref().ok_or_else(|| wasmtime::Error::msg("it has no presence handler"))?;
        let change = PresenceRef { id: &self.call.id, user: &self.user, online: self.online, socket: &self.socket };
        let instance = exports.instance.instantiate_async(&mut *store).await?;
        let changed = instance.get_typed_func::<(PresenceRef<'_>,), (Self::Answer,)>(&mut *store, changed)?;
        let (told,) = changed.call_async(&mut *store, (change,)).await?;
        Ok(told)
    }
}
