//! WIT glue of `devconnect:platform/events`, and the conversion of a component's events.

use crate::State;
use crate::bindings::devconnect::platform::events::{Error, Event as WitEvent, Host};
use capability::documents::Error as StoreError;
use capability::events::{Event, MAX_VALUE};
use capability::text;
use capability::unit_of_work::UnitOfWork;

/// Why an event is refused.
pub(crate) enum EventRefused {
    /// Not granted: the manifest line that would grant it.
    Denied(String),
    /// Outside a limit.
    Invalid(String),
}

impl State {
    /// The event with an id and headers, if the component may publish it.
    pub(crate) fn event(&self, event: WitEvent) -> Result<Event, EventRefused> {
        if !self.grants().events.contains(&event.topic) {
            let line = format!("not granted; in component.toml: [grants] events = [{}]", text::quoted(&event.topic));
            return Err(EventRefused::Denied(line));
        }
        if event.value.len() > MAX_VALUE {
            return Err(EventRefused::Invalid(format!(
                "an event takes at most {MAX_VALUE} bytes, not {}",
                event.value.len()
            )));
        }
        if event.key.is_empty() || event.key.len() > 256 || event.kind.is_empty() || event.kind.len() > 256 {
            return Err(EventRefused::Invalid("an event's key and kind take 1 to 256 bytes".into()));
        }
        Ok(Event {
            id: hex::encode(capability::random::bytes::<16>()),
            topic: event.topic,
            key: event.key,
            kind: event.kind,
            value: event.value,
            headers: vec![("schema-version".into(), "1".into()), ("call".into(), self.call_id().to_owned())],
            at: self.capabilities().clock.now(),
        })
    }
}

impl Host for State {
    async fn publish(&mut self, event: WitEvent) -> wasmtime::Result<Result<(), Error>> {
        let _host = self.enter("events.publish")?;
        let event = match self.event(event) {
            Ok(event) => event,
            Err(EventRefused::Denied(line)) => return Ok(Err(Error::Denied(line))),
            Err(EventRefused::Invalid(why)) => return Ok(Err(Error::Invalid(why))),
        };
        let unit = UnitOfWork { events: vec![event], ..UnitOfWork::default() };
        let done = match self.gathering() {
            Some(gathered) => gathered.add(unit),
            None => unit.commit(self.capabilities(), None).await.0.map(drop),
        };
        if matches!(done, Err(StoreError::Unavailable(_))) {
            self.record_store_unavailable();
        }
        Ok(done.map_err(|error| match error {
            StoreError::Overdue(why) | StoreError::Unavailable(why) => Error::Unavailable(why),
            error => Error::Invalid(error.to_string()),
        }))
    }
}
