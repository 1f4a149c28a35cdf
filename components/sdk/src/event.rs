//! Being told what happened: an [`Event`], what a handler says to it, and the table that says which function has the effect of
//! which type ([`event_component!`](crate::event_component!)).
//!
//! Everything that a handler commits, publishes or emits is gathered and done once, when it returns ok: it may be written as
//! if events came exactly once. A commit shows no effects, and a `find` does not see what the same call wrote.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::bindings::event as wit;
use crate::bson::{DateTime, ObjectId};
use crate::{cache, config, documents, events, http, mail, signing, sockets};

/// Something that happened. Its value is the application's envelope ([`events::Envelope`]).
#[derive(Debug, Clone)]
pub struct Event {
    inner: wit::Event,
    kind: String,
}

/// Why an event has had no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Not now: it is told again later.
    Retry(String),
    /// Never: what it says is wrong.
    Reject(String),
}

/// The part of an envelope that says its type.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    event_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Actor {
    user_id: String,
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

#[derive(Deserialize)]
struct Timestamp {
    timestamp: DateTime,
}

impl Event {
    /// Wraps what the host sent; refused when nobody can say its type.
    pub fn new(inner: wit::Event) -> Result<Self, Failure> {
        let kind = match inner.kind.as_str() {
            "" => part::<Kind>(&inner)?.event_type,
            kind => {
                // It must be JSON in any case: better said once than by each handler.
                part::<IgnoredAny>(&inner)?;
                kind.to_owned()
            }
        };
        Ok(Self { inner, kind })
    }

    /// Its id: the same each time that it is told.
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// Its type.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The topic it is in.
    pub fn topic(&self) -> &str {
        &self.inner.topic
    }

    /// Events of one key come in order.
    pub fn key(&self) -> &str {
        &self.inner.key
    }

    /// When it happened, by its own word.
    pub fn timestamp(&self) -> Result<DateTime, Failure> {
        Ok(part::<Timestamp>(&self.inner)?.timestamp)
    }

    /// Who acted.
    pub fn user_id(&self) -> Result<ObjectId, Failure> {
        let user = part::<Actor>(&self.inner)?.user_id;
        user.parse().map_err(|_| Failure::Reject(format!("its `userId` is {user:?}, which is no ObjectId")))
    }

    /// What else is to be known; refused when it does not fit `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        Ok(part::<Data<T>>(&self.inner)?.data)
    }
}

fn part<T: DeserializeOwned>(event: &wit::Event) -> Result<T, Failure> {
    serde_json::from_slice(&event.value)
        .map_err(|error| Failure::Reject(format!("its value is not what the event {:?} has: {error}", event.kind)))
}

/// What goes wrong with a capability may go well another time.
macro_rules! retried {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Failure::Retry(error.to_string())
            }
        }
    )*};
}

retried!(
    cache::Error,
    config::Error,
    documents::Error,
    events::Error,
    http::Error,
    mail::Error,
    signing::Error,
    sockets::Error
);

/// What has the effect of an event.
pub type Handler = fn(&Event) -> Result<(), Failure>;

/// One line of a table of types.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// As in `component.toml`.
    pub kind: &'static str,
    /// The function that has its effect.
    pub handler: Handler,
}

/// What is done behind the last event of a delivery.
pub type Finally = fn() -> Result<(), Failure>;

/// Has the effects of all events of a delivery, in order, and then what is to be done behind them.
pub fn dispatch(lines: &[Line], finally: Finally, delivery: wit::Delivery) -> Result<(), wit::Failure> {
    let told = delivery.events.into_iter().try_for_each(|event| {
        let says_its_type = !event.kind.is_empty();
        let event = Event::new(event)?;
        match lines.iter().find(|line| line.kind == event.kind) {
            Some(line) => (line.handler)(&event),
            // The host could not know that it is none of ours.
            None if !says_its_type => Ok(()),
            None => Err(Failure::Reject(format!(
                "no handler for the type {}: add it to event_component!, or list in component.toml the types that are wanted",
                event.kind
            ))),
        }
    });
    told.and_then(|()| finally()).map_err(|failure| match failure {
        Failure::Retry(why) => wit::Failure::Retry(why),
        Failure::Reject(why) => wit::Failure::Reject(why),
    })
}

/// Makes this crate a component with `[[event]]` triggers: `event_component! { "USER_SIGNUP" => signed_up, … }`.
///
/// Each type is written as in `component.toml`, each handler is a `fn(&Event) -> Result<(), Failure>`. Used once in a crate,
/// at its top; it may stand beside the macro of another kind of trigger.
///
/// With `batch` in the manifest, handlers may keep in memory what they make of each event, and write it at once behind the last
/// one: `event_component! { "USER_SIGNUP" => signed_up; finally => write }`. An instance has one delivery.
#[macro_export]
macro_rules! event_component {
    ($($kind:literal => $handler:expr),* $(,)?) => {
        $crate::event_component! { $($kind => $handler),*; finally => || Ok(()) }
    };
    ($($kind:literal => $handler:expr),*; finally => $finally:expr) => {
        const _: () = {
            const LINES: &[$crate::event::Line] = &[$($crate::event::Line { kind: $kind, handler: $handler }),*];
            const FINALLY: $crate::event::Finally = $finally;
            struct EventHandler;
            impl $crate::bindings::event::Guest for EventHandler {
                fn handle(
                    delivery: $crate::bindings::event::Delivery,
                ) -> ::core::result::Result<(), $crate::bindings::event::Failure> {
                    $crate::event::dispatch(LINES, FINALLY, delivery)
                }
            }
            #[cfg(target_arch = "wasm32")]
            $crate::bindings::event::export_event_handler!(EventHandler);
            // Built for the machine there is nobody to export to, and the handlers are in use all the same.
            #[cfg(not(target_arch = "wasm32"))]
            const _: (&[$crate::event::Line], $crate::event::Finally, EventHandler) = (LINES, FINALLY, EventHandler);
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, value: &str) -> wit::Event {
        let (id, topic, key) = ("1".into(), "t".into(), "k".into());
        wit::Event { id, topic, key, kind: kind.into(), value: value.into(), at: 0 }
    }

    fn told(kind: &str, value: &str) -> Result<(), wit::Failure> {
        let lines = [Line { kind: "A", handler: |event| event.data::<u8>().map(drop) }];
        dispatch(&lines, || Ok(()), wit::Delivery { id: "c".into(), attempt: 1, events: vec![event(kind, value)] })
    }

    #[test]
    fn an_event_goes_to_the_handler_of_its_type() {
        assert_eq!(told("A", r#"{"data": 1}"#), Ok(()));
        assert_eq!(told("", r#"{"eventType": "A", "data": 1}"#), Ok(()));
        assert_eq!(told("", r#"{"eventType": "B"}"#), Ok(()), "somebody else's");
    }

    #[test]
    fn what_is_done_behind_the_last_event_is_not_done_behind_one_that_failed() {
        let lines = [Line { kind: "A", handler: |event| event.data::<u8>().map(drop) }];
        let told = |values: [&str; 2]| {
            let events = values.map(|value| event("A", value)).into();
            dispatch(
                &lines,
                || Err(Failure::Retry("last".into())),
                wit::Delivery { id: "c".into(), attempt: 1, events },
            )
        };
        assert_eq!(told([r#"{"data": 1}"#; 2]), Err(wit::Failure::Retry("last".into())));
        assert!(matches!(told([r#"{"data": 1}"#, "no"]), Err(wit::Failure::Reject(_))));
    }

    #[test]
    fn what_can_not_be_read_is_rejected() {
        for (kind, value) in [("A", "no"), ("A", r#"{"data": "x"}"#), ("B", "{}"), ("", "{}"), ("", "no"), ("A", "")] {
            assert!(matches!(told(kind, value), Err(wit::Failure::Reject(_))), "{kind} {value}");
        }
    }

    #[test]
    fn what_an_envelope_says_is_read() {
        let value = r#"{"userId": "64b7f0c2a1b2c3d4e5f60718", "timestamp": "2026-01-15T12:00:00.000Z", "data": {}}"#;
        let told = Event::new(event("A", value)).unwrap();
        assert_eq!(told.user_id().unwrap().to_hex(), "64b7f0c2a1b2c3d4e5f60718");
        assert_eq!(told.timestamp().unwrap().millis(), 1_768_478_400_000);
        let other = Event::new(event("A", r#"{"userId": "me"}"#)).unwrap();
        assert!(matches!(other.user_id(), Err(Failure::Reject(_))));
    }

    mod fuzz {
        use super::*;

        proptest::proptest! {
            #![proptest_config(fuzzing::config())]

            #[test]
            fn no_value_makes_it_panic(kind in "[AB]?", value in "\\PC{0,60}") {
                let _ = told(&kind, &value);
            }
        }
    }
}
