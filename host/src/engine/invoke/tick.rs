//! A tick's way into a component, and what the component did for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmtime::Store;

use super::Invocation;
use crate::capability::unit::Unit;
use crate::engine::bindings::{TickRef, Unable};
use crate::engine::{Call, Exports, Outcome, State};

/// A part of a tick on its way to a component.
#[derive(Debug, Clone)]
pub struct TickCall {
    /// Which.
    pub call: Call,
    /// The schedule.
    pub cron: Arc<str>,
    /// The time that it is about, in milliseconds since 1970.
    pub at: u64,
    /// Where the part begins; none for the first one.
    pub cursor: Option<String>,
    /// Set when a store did not answer: what fails after that is not the component's fault.
    pub away: Arc<AtomicBool>,
}

impl Invocation for TickCall {
    /// What is to be committed for the part, and where the next one begins; or what the component says against it.
    type Answer = Result<(Unit, Option<String>), Unable>;

    fn call(&self) -> &Call {
        &self.call
    }

    fn trigger(&self) -> &str {
        &self.cron
    }

    fn outcome(&self, answer: &Self::Answer) -> Outcome {
        if answer.is_err() && !self.away.load(Ordering::Relaxed) { Outcome::Unable } else { Outcome::Answered }
    }

    async fn run(&self, store: &mut Store<State>, exports: &Exports) -> wasmtime::Result<Self::Answer> {
        let handle = exports.schedule.as_ref().ok_or_else(|| wasmtime::Error::msg("it has no schedule handler"))?;
        let tick = TickRef { id: &self.call.id, cron: &self.cron, at: self.at, cursor: self.cursor.as_deref() };
        store.data_mut().gather(self.away.clone());
        let instance = exports.instance.instantiate_async(&mut *store).await?;
        let handle =
            instance.get_typed_func::<(TickRef<'_>,), (Result<Option<String>, Unable>,)>(&mut *store, handle)?;
        let (done,) = handle.call_async(&mut *store, (tick,)).await?;
        Ok(done.map(|next| (store.data_mut().gathered(), next)))
    }
}
