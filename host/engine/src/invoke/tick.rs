//! Calls a component for a part of a tick, and gathers its unit of work.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use wasmtime::Store;

use crate::bindings::{TickRef, Unable};
use crate::invoke::Invocation;
use crate::{Call, Exports, Said, State};
use capability::unit_of_work::UnitOfWork;
use native::export::Export;

/// `schedule-handler.handle` of a component.
pub(crate) type TickExport = Export<State, (TickRef<'static>,), (Result<Option<String>, Unable>,)>;

/// A part of a tick for a component.
#[derive(Debug, Clone)]
pub struct TickCall {
    /// The call.
    pub call: Call,
    /// The cron expression of the schedule.
    pub cron: Arc<str>,
    /// The time of the tick, in milliseconds since 1970.
    pub at: u64,
    /// Where the part starts; none for the first one.
    pub cursor: Option<String>,
    /// Set when a store did not answer: then a failure is not the component's fault.
    pub store_unavailable: Arc<AtomicBool>,
}

impl Invocation for TickCall {
    /// The unit of work to commit for the part, and where the next part starts; or the component's failure.
    type Answer = Result<(UnitOfWork, Option<String>), Unable>;

    fn call(&self) -> &Call {
        &self.call
    }

    fn trigger(&self) -> &str {
        &self.cron
    }

    fn said(&self, answer: &Self::Answer) -> Said {
        if answer.is_err() { Said::Failed } else { Said::Done }
    }

    async fn run(&self, store: &mut Store<State>, exports: &Exports) -> wasmtime::Result<Self::Answer> {
        let handle = exports.schedule.as_ref().ok_or_else(|| wasmtime::Error::msg("it has no schedule handler"))?;
        let tick = TickRef { id: &self.call.id, cron: &self.cron, at: self.at, cursor: self.cursor.as_deref() };
        store.data_mut().gather(self.store_unavailable.clone());
        let handle = handle.instantiate(store).await?;
        let (done,) = handle.call_async(&mut *store, (tick,)).await?;
        Ok(done.map(|next| (store.data_mut().gathered(), next)).map_err(Unable::cut))
    }
}
