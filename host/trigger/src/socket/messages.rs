//! Messages: a component answers a client's message, with an acknowledgement or an `error` event.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::json::with_whole_characters;
use capability::sessions::Identity;
use capability::sockets::MAX_PAYLOAD;
use capability::text;
use engine::{Call, Caller, Exceeded, Failure, Loaded, SocketCall};
use registry::{Registry, Served};

/// How much of an event's name a reply repeats, in characters.
const MAX_NAME: usize = 64;

/// A message of a client.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The socket it came on.
    pub socket: String,
    /// The session of the socket.
    pub identity: Identity,
    /// The client's address, from its connection or a trusted proxy.
    pub client: String,
    /// The event's name.
    pub event: String,
    /// The first argument as JSON.
    pub payload: Bytes,
    /// The client waits for an acknowledgement.
    pub wants_ack: bool,
}

/// The reply to a message.
#[derive(Debug)]
pub enum MessageReply {
    /// It succeeded: the acknowledgement, one JSON value.
    Done(Box<RawValue>),
    /// It failed: an object with a `message`.
    Refused(Map<String, Value>),
}

impl MessageReply {
    /// A refusal with this text.
    pub fn refused(message: &str) -> Self {
        MessageReply::Refused(Map::from_iter([("message".to_owned(), message.into())]))
    }

    /// The value of an acknowledgement.
    pub fn into_ack(self) -> Value {
        match self {
            MessageReply::Done(value) => serde_json::from_str(value.get()).unwrap_or_default(),
            MessageReply::Refused(mut reason) => {
                reason.insert("ok".into(), false.into());
                Value::Object(reason)
            }
        }
    }

    /// The value of an `error` event, for a client that waits for no acknowledgement; none when the message succeeded.
    pub fn into_error(self, event: &str) -> Option<Value> {
        match self {
            MessageReply::Done(_) => None,
            MessageReply::Refused(mut reason) => {
                reason.insert("event".into(), shown(event).into());
                Some(Value::Object(reason))
            }
        }
    }
}

/// Calls the component whose manifest has the message's event.
pub async fn answer(registry: &Arc<Registry>, incoming: Incoming) -> MessageReply {
    let picked = |served: &Served| served.pick(&incoming.identity.subject).clone();
    let Some(component) = registry.routes().event(&incoming.event).map(picked) else {
        return MessageReply::refused(&format!("There is no event {:?} here", shown(&incoming.event)));
    };
    let payload = with_whole_characters(incoming.payload);
    if payload.len() > component.manifest.limits.body_kib as usize * 1024 {
        return MessageReply::refused("The message is too large");
    }
    let id = Call::new_id();
    let caller = Caller::Member(incoming.identity.subject.clone());
    let Ok(entered) = registry.engine().admission().enter(caller, component.opens_sessions()) else {
        return failed(&component, &incoming.event, &id, &Failure::Busy);
    };
    let call = SocketCall {
        call: Call { id: id.clone(), identity: Some(incoming.identity.clone()), socket: Some(incoming.socket) },
        identity: incoming.identity,
        event: incoming.event.clone(),
        payload,
        wants_ack: incoming.wants_ack,
        client: incoming.client.into(),
    };
    match registry.engine().invoke(&component, entered, call).await {
        Ok((reply, end)) => {
            let read = match reply {
                Ok(acknowledgement) => {
                    let value = acknowledgement.unwrap_or(Bytes::from_static(br#"{"ok":true}"#));
                    read(&value).map(MessageReply::Done).map_err(|why| format!("its answer is not JSON: {why}"))
                }
                Err(reason) => {
                    read(&reason).map(MessageReply::Refused).map_err(|why| format!("its refusal is no object: {why}"))
                }
            };
            read.unwrap_or_else(|why| {
                end.refuse();
                incident(&component, &incoming.event, &id, &why)
            })
        }
        Err(failure) => failed(&component, &incoming.event, &id, &failure),
    }
}

/// Reads a component's JSON; the error may repeat a part of it.
fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    if json.len() > MAX_PAYLOAD {
        return Err(format!("it has {} bytes; at most {MAX_PAYLOAD} are allowed", json.len()));
    }
    serde_json::from_slice(json).map_err(|error| text::cut(&error.to_string(), text::MAX_REASON))
}

fn failed(component: &Loaded, event: &str, id: &str, failure: &Failure) -> MessageReply {
    let words = match failure {
        Failure::OutOfTime | Failure::Exceeded(Exceeded::Cpu) => "This took too long",
        Failure::Cut => "An update ended this; try again",
        Failure::Busy => "The host is busy; try again in a moment",
        _ => return incident(component, event, id, &failure.to_string()),
    };
    tracing::warn!(id, component = component.manifest.component.name, event, "{failure}");
    with_incident(words, id)
}

/// A handler failed: the reason is logged for the operator, the client gets the id of the log line.
fn incident(component: &Loaded, event: &str, id: &str, why: &str) -> MessageReply {
    tracing::error!(id, component = component.manifest.component.name, event, "{why}");
    with_incident("Something went wrong on our side", id)
}

fn with_incident(message: &str, id: &str) -> MessageReply {
    MessageReply::Refused(Map::from_iter([("message".to_owned(), message.into()), ("incident".to_owned(), id.into())]))
}

fn shown(event: &str) -> String {
    event.chars().take(MAX_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_an_ack_or_an_error_event() {
        assert_eq!(MessageReply::refused("no").into_ack(), serde_json::json!({ "ok": false, "message": "no" }));
        let error = MessageReply::refused("no").into_error(&"x".repeat(100)).unwrap();
        assert_eq!(error, serde_json::json!({ "message": "no", "event": "x".repeat(64) }));
    }

    #[test]
    fn what_a_component_answers_is_bounded() {
        let text = |bytes: usize| serde_json::to_vec(&"x".repeat(bytes)).unwrap();
        assert!(read::<Box<RawValue>>(&text(MAX_PAYLOAD - 2)).is_ok());
        assert!(read::<Box<RawValue>>(&text(MAX_PAYLOAD)).unwrap_err().contains("at most"));
        // Text where an object belongs is repeated by the error.
        let error = read::<Map<String, Value>>(&text(MAX_PAYLOAD - 2)).unwrap_err();
        assert!(error.len() < 1_100, "{} bytes", error.len());
    }

    #[test]
    fn what_went_well_is_told_to_who_waits_only() {
        let done = || MessageReply::Done(serde_json::from_str(r#"{"ok":true}"#).unwrap());
        assert_eq!(done().into_ack(), serde_json::json!({ "ok": true }));
        assert!(done().into_error("x").is_none());
    }
}
