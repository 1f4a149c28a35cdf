//! Calls a component for events, and gathers its unit of work.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use wasmtime::Store;

use crate::bindings::{DeliveryRef, EventRef, Unable};
use crate::invoke::Invocation;
use crate::{Call, Exports, Said, State};
use capability::events::Record;
use capability::unit_of_work::UnitOfWork;
use native::export::Export;

/// `event-handler.handle` of a component.
pub(crate) type EventExport = Export<State, (DeliveryRef<'static>,), (Result<(), Unable>,)>;

/// A delivery of events to a component.
#[derive(Debug, Clone)]
pub struct EventCall {
    /// The call.
    pub call: Call,
    /// One event, or with `batch` in the manifest several of one key; in order.
    pub records: Arc<[Record]>,
    /// The topic of all of them.
    pub topic: Arc<str>,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The generation of the component's effects that it writes.
    pub generation: u64,
    /// Set when a store did not answer: then a failure is not the component's fault.
    pub store_unavailable: Arc<AtomicBool>,
}

impl Invocation for EventCall {
    /// The unit of work to commit for the events, or the component's failure.
    type Answer = Result<UnitOfWork, Unable>;

    fn call(&self) -> &Call {
        &self.call
    }

    fn trigger(&self) -> &str {
        &self.topic
    }

    fn said(&self, answer: &Self::Answer) -> Said {
        if answer.is_err() { Said::Failed } else { Said::Done }
    }

    async fn run(&self, store: &mut Store<State>, exports: &Exports) -> wasmtime::Result<Self::Answer> {
        let handle = exports.event.as_ref().ok_or_else(|| wasmtime::Error::msg("it has no event handler"))?;
        let events: Vec<EventRef<'_>> = self.records.iter().map(|record| EventRef::of(&record.event)).collect();
        let delivery = DeliveryRef { id: &self.call.id, attempt: self.attempt, events: &events };
        store.data_mut().gather(self.store_unavailable.clone());
        store.data_mut().at_generation(self.generation);
        let handle = handle.instantiate(store).await?;
        let (handled,) = handle.call_async(&mut *store, (delivery,)).await?;
        Ok(handled.map(|()| store.data_mut().gathered()).map_err(Unable::cut))
    }
}
