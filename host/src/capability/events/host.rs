//! WIT glue of `devconnect:platform/events`, and how an event becomes one of the host's.

use super::{Event, MAX_VALUE};
use crate::capability::documents::Error as StoreError;
use crate::capability::unit::Unit;
use crate::engine::State;
use crate::engine::bindings::devconnect::platform::events::{Error, Event as Asked, Host};

/// Why an event is not taken.
pub(crate) enum Refused {
    /// Not granted: the manifest line.
    Denied(String),
    /// Outside a limit.
    Invalid(String),
}

impl State {
    /// An event with its id and headers, if the component may publish it.
    pub(crate) fn event(&self, asked: Asked) -> Result<Event, Refused> {
        if !self.grants().events.contains(&asked.topic) {
            let line = format!("not granted; in component.toml: [grants] events = [{:?}]", asked.topic);
            return Err(Refused::Denied(line));
        }
        if asked.value.len() > MAX_VALUE {
            return Err(Refused::Invalid(format!(
                "an event takes at most {MAX_VALUE} bytes, not {}",
                asked.value.len()
            )));
        }
        if asked.key.is_empty() || asked.key.len() > 256 || asked.kind.is_empty() || asked.kind.len() > 256 {
            return Err(Refused::Invalid("an event's key and kind take 1 to 256 bytes".into()));
        }
        Ok(Event {
            id: hex::encode(crate::capability::random::bytes::<16>()),
            topic: asked.topic,
            key: asked.key,
            kind: asked.kind,
            value: asked.value,
            headers: vec![("schema-version".into(), "1".into()), ("call".into(), self.call_id().to_owned())],
            at: self.capabilities().clock.now(),
        })
    }
}

impl Host for State {
    async fn publish(&mut self, event: Asked) -> wasmtime::Result<Result<(), Error>> {
        self.enter("events.publish")?;
        let event = match self.event(event) {
            Ok(event) => event,
            Err(Refused::Denied(line)) => return Ok(Err(Error::Denied(line))),
            Err(Refused::Invalid(why)) => return Ok(Err(Error::Invalid(why))),
        };
        let unit = Unit { events: vec![event], ..Unit::default() };
        let done = match self.gathering() {
            Some(gathered) => gathered.add(unit),
            None => unit.commit(self.capabilities(), None).await.0.map(drop),
        };
        Ok(done.map_err(|error| match error {
            StoreError::Unavailable(why) => Error::Unavailable(why),
            error => Error::Invalid(error.to_string()),
        }))
    }
}
