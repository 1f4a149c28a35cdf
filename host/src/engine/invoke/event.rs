//! An event's way into a component, and what the component did for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmtime::Store;

use super::Invocation;
use crate::capability::events::Record;
use crate::capability::unit::Unit;
use crate::engine::bindings::{DeliveryRef, EventRef, Unable};
use crate::engine::{Call, Exports, Outcome, State};

/// Events on their way to a component.
#[derive(Debug, Clone)]
pub struct EventCall {
    /// Which.
    pub call: Call,
    /// One or, for a component that wants several at once, some of one key; in order.
    pub records: Arc<[Record]>,
    /// The topic of all of them.
    pub topic: Arc<str>,
    /// 1 the first time.
    pub attempt: u32,
    /// The generation of the component's effects that it belongs to.
    pub generation: u64,
    /// Set when a store did not answer: what fails after that is not the component's fault.
    pub away: Arc<AtomicBool>,
}

impl Invocation for EventCall {
    /// What is to be committed for the events; or what the component says against it.
    type Answer = Result<Unit, Unable>;

    fn call(&self) -> &Call {
        &self.call
    }

    fn trigger(&self) -> &str {
        &self.topic
    }

    fn outcome(&self, answer: &Self::Answer) -> Outcome {
        if answer.is_err() && !self.away.load(Ordering::Relaxed) { Outcome::Unable } else { Outcome::Answered }
    }

    async fn run(&self, store: &mut Store<State>, exports: &Exports) -> wasmtime::Result<Self::Answer> {
        let handle = exports.event.as_ref().ok_or_else(|| wasmtime::Error::msg("it has no event handler"))?;
        let events: Vec<EventRef<'_>> = self.records.iter().map(|record| EventRef::of(&record.event)).collect();
        let delivery = DeliveryRef { id: &self.call.id, attempt: self.attempt, events: &events };
        store.data_mut().gather(self.away.clone());
        store.data_mut().at_generation(self.generation);
        let instance = exports.instance.instantiate_async(&mut *store).await?;
        let handle = instance.get_typed_func::<(DeliveryRef<'_>,), (Result<(), Unable>,)>(&mut *store, handle)?;
        let (told,) = handle.call_async(&mut *store, (delivery,)).await?;
        Ok(told.map(|()| store.data_mut().gathered()))
    }
}
