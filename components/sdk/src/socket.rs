//! Messages of sockets for components: what came ([`Message`]), what is said to it, and the table that says which
//! function answers which event ([`socket_component!`](crate::socket_component!)).
//! The host has checked the session when a handler is entered, and calls for one message of a socket after the other.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::bindings::socket as wit;
use crate::bson::ObjectId;
use crate::http::{Error, Identity};
use crate::json;

/// One message.
#[derive(Debug, Clone)]
pub struct Message {
    inner: wit::Message,
}

impl Message {
    /// Wraps what the host sent. For tests of a handler by itself; the macro does it for a component.
    pub fn new(inner: wit::Message) -> Self {
        Self { inner }
    }

    /// The event's name.
    pub fn event(&self) -> &str {
        &self.inner.event
    }

    /// The socket it came on, by the id that the host gave it. The id may be published.
    pub fn socket(&self) -> &str {
        &self.inner.socket
    }

    /// Whose socket it is.
    pub fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    /// Whose socket it is, as an id; 500 when the subject is no ObjectId.
    pub fn user_id(&self) -> Result<ObjectId, Error> {
        let subject = &self.inner.identity.subject;
        subject.parse().map_err(|_| Error::internal(format!("the session's subject `{subject}` is not an ObjectId")))
    }

    /// The first argument, whatever it is; `null` when there was none.
    pub fn value(&self) -> Result<Value, Error> {
        serde_json::from_slice(&self.inner.payload).map_err(|_| Error::bad_request("The payload is not JSON"))
    }

    /// The first argument as an object of type `T`; a wrong type, a missing field and a depth over 32 levels are refused
    /// with a text that names the field.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        json::parse_part("payload", &self.inner.payload)
    }
}

/// What a handler says: the acknowledgement's value, when there is more to say than `{"ok": true}`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ack(Option<Vec<u8>>);

impl Ack {
    /// `{"ok": true}`, for a client that waits for it.
    pub fn ok() -> Self {
        Self(None)
    }

    /// This value, as JSON.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        let json = serde_json::to_vec(value);
        json.map(Some).map(Self).map_err(|error| Error::internal(format!("the acknowledgement is not JSON: {error}")))
    }
}

/// What answers an event.
pub type Handler = fn(&Message) -> Result<Ack, Error>;

/// One line of a table of events.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// As in `component.toml`.
    pub name: &'static str,
    /// The function that answers.
    pub handler: Handler,
}

/// Answers `message` by the event of its name. A handler's error becomes the refusal it stands for.
pub fn dispatch(events: &[Event], message: wit::Message) -> Result<Option<Vec<u8>>, Vec<u8>> {
    let message = Message::new(message);
    let answer = match events.iter().find(|event| event.name == message.event()) {
        Some(event) => (event.handler)(&message),
        None => Err(Error::internal(format!(
            "no handler for the event {}: add it to socket_component!, or take it out of component.toml",
            message.event()
        ))),
    };
    answer.map(|ack| ack.0).map_err(|error| Value::Object(error.into_fields().0).to_string().into_bytes())
}

/// Makes this crate a component with `[[socket]]` triggers: `socket_component! { "chat" => chat, … }`.
///
/// Each name is written as in `component.toml`, each handler is a `fn(&Message) -> Result<Ack, Error>`. Used once in a
/// crate, at its top; it may stand beside the macro of another kind of trigger.
#[macro_export]
macro_rules! socket_component {
    ($($name:literal => $handler:expr),* $(,)?) => {
        const _: () = {
            const EVENTS: &[$crate::socket::Event] =
                &[$($crate::socket::Event { name: $name, handler: $handler }),*];
            struct SocketHandler;
            impl $crate::bindings::socket::Guest for SocketHandler {
                fn handle(
                    message: $crate::bindings::socket::Message,
                ) -> ::core::result::Result<::core::option::Option<::std::vec::Vec<u8>>, ::std::vec::Vec<u8>> {
                    $crate::socket::dispatch(EVENTS, message)
                }
            }
            #[cfg(target_arch = "wasm32")]
            $crate::bindings::socket::export_socket_handler!(SocketHandler);
            // Built for the machine there is nobody to export to, and the handlers are in use all the same.
            #[cfg(not(target_arch = "wasm32"))]
            const _: (&[$crate::socket::Event], SocketHandler) = (EVENTS, SocketHandler);
        };
    };
}
