//! The protocol: what a line of the driver asks, and what a line of the host says. `docs/harness.md` has it for people.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bson::Document;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// The version of the protocol.
const VERSION: u32 = 1;
/// The longest line of a driver, in bytes.
pub(super) const MAX_LINE: u64 = 16 << 20;
/// The moment at which a test begins when nothing else is said: 2026-01-15T12:00:00.000Z.
const START: u64 = 1_768_478_400_000;
/// The most documents of one answer.
const MAX_FOUND: u32 = 1_000;
/// For how long a list stays in the cache when nothing else is said, in seconds.
const LIST: u64 = 60;

/// A line of the driver.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: u64,
    pub(super) operation: Operation,
}

/// What is asked: `do`, and its fields.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Operation {
    Start(Box<Start>),
    Http(Http),
    Message(Message),
    Presence {
        user: String,
        online: bool,
        socket: String,
    },
    Appear {
        user: String,
        socket: String,
    },
    Emitted {},
    Room {
        room: String,
    },
    Present {
        user: String,
    },
    Ended {},
    Time {},
    Advance {
        millis: u64,
    },
    SetTime {
        millis: u64,
    },
    Insert {
        collection: String,
        documents: Vec<Document>,
    },
    Find {
        collection: String,
        #[serde(default)]
        filter: Document,
        #[serde(default = "max_found")]
        limit: u32,
    },
    LogIn {
        user: String,
    },
    Sign {
        secret: String,
        message: Base64,
    },
    Publish(Publish),
    Events {
        topic: String,
    },
    DeadLetters {
        topic: String,
    },
    UntilConsumed {
        component: String,
    },
    Rebuild {
        component: String,
    },
    UntilTicked {
        component: String,
        cron: String,
        at: u64,
    },
    Mails {},
    StandIn(StandIn),
    Fetched {},
    Cached {
        key: String,
    },
    Recent {
        key: String,
    },
    SetRecent {
        key: String,
        entries: Vec<Base64>,
        #[serde(default = "list_seconds")]
        seconds: u64,
    },
    Counts {
        component: String,
    },
    StoreCalls {},
    CleanUp {},
    Deploy {
        file: PathBuf,
    },
}

/// How the host is put together.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    /// The folder with `application.toml`.
    pub(super) application: PathBuf,
    /// The files of the components.
    pub(super) components: Vec<PathBuf>,
    /// The text of a `devconnect.toml`.
    #[serde(default)]
    pub(super) config: String,
    /// The variables of the environment that `application.toml` names.
    #[serde(default)]
    pub(super) variables: BTreeMap<String, String>,
    /// What is in the store before the host starts.
    #[serde(default)]
    pub(super) documents: Vec<(String, Document)>,
    /// What hashing a password costs; none: what a host takes.
    #[serde(default)]
    pub(super) passwords: Option<PasswordCost>,
    /// The time, in milliseconds since 1970.
    #[serde(default = "start")]
    pub(super) now: u64,
    /// A component's question that would read a whole collection is refused.
    #[serde(default = "yes")]
    pub(super) refuse_scans: bool,
    /// The folder of compiled code; none: it is compiled at each start.
    #[serde(default)]
    pub(super) cache: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordCost {
    pub(super) memory_kib: u32,
    pub(super) passes: u32,
    pub(super) parallel: usize,
    pub(super) waiting: usize,
}

/// A request of a client.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Http {
    pub(super) method: String,
    /// With the query.
    pub(super) path: String,
    #[serde(default)]
    pub(super) headers: Vec<(String, String)>,
    #[serde(default)]
    pub(super) body: Base64,
    #[serde(default = "localhost")]
    pub(super) peer: IpAddr,
    /// On the operator's side.
    #[serde(default)]
    pub(super) operator: bool,
}

/// How a server of somebody else answers a request of a component.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StandIn {
    #[serde(default = "get")]
    pub(super) method: String,
    /// With the query.
    pub(super) url: String,
    #[serde(default = "ok")]
    pub(super) status: u16,
    #[serde(default)]
    pub(super) headers: Vec<(String, String)>,
    #[serde(default)]
    pub(super) body: Base64,
    /// There is no answer, because of this.
    #[serde(default)]
    pub(super) fails: Option<String>,
}

/// A message on a socket.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    pub(super) socket: String,
    pub(super) user: String,
    pub(super) event: String,
    /// As it stands in the line.
    pub(super) payload: Box<RawValue>,
    /// The client waits for an acknowledgement.
    #[serde(default = "yes")]
    pub(super) ack: bool,
}

/// An event.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Publish {
    /// The event's id; made when it is not given.
    #[serde(default)]
    pub(super) event: Option<String>,
    pub(super) topic: String,
    pub(super) key: String,
    pub(super) kind: String,
    pub(super) value: Base64,
}

/// Bytes; in a line they are base64 with padding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Base64(pub(super) Vec<u8>);

/// What a request is answered with: JSON.
pub(super) type Answer = Box<RawValue>;

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Failure {
    kind: Kind,
    message: String,
}

/// Whose failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// The driver's: it is no request of this protocol.
    Request,
    /// The driver's: nothing is done before `start`, and that is done once.
    State,
    /// The host refuses what it was asked; the message is its own.
    Refused,
    /// It was not done in its time.
    Late,
    /// The host's own.
    Host,
}

/// A line of the host.
#[derive(Debug, Serialize)]
pub(super) struct Reply {
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ok: Option<Answer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

fn start() -> u64 {
    START
}

fn yes() -> bool {
    true
}

fn max_found() -> u32 {
    MAX_FOUND
}

fn list_seconds() -> u64 {
    LIST
}

fn get() -> String {
    "GET".to_owned()
}

fn ok() -> u16 {
    200
}

fn localhost() -> IpAddr {
    Ipv4Addr::LOCALHOST.into()
}

/// The first line of the host, with its end.
pub(super) fn greeting() -> String {
    format!("{{\"protocol\":{VERSION},\"host\":\"{}\"}}\n", env!("CARGO_PKG_VERSION"))
}

impl Request {
    /// Of a line; or its id, where it has one, and what is wrong.
    pub(super) fn read(line: &[u8]) -> Result<Self, (Option<u64>, Failure)> {
        let wrong = |id: Option<u64>, why: String| (id, Failure::new(Kind::Request, why));
        let mut fields: BTreeMap<String, Box<RawValue>> =
            serde_json::from_slice(line).map_err(|error| wrong(None, format!("it is no JSON object: {error}")))?;
        let id = fields.remove("id").and_then(|id| serde_json::from_str::<u64>(id.get()).ok());
        let Some(id) = id else { return Err(wrong(None, "`id` is missing or no number from 0".to_owned())) };
        let operation = fields.remove("do").and_then(|name| serde_json::from_str::<String>(name.get()).ok());
        let Some(operation) = operation else { return Err(wrong(Some(id), "`do` is missing or no text".to_owned())) };
        let read = || -> serde_json::Result<Operation> {
            let (name, fields) = (serde_json::to_string(&operation)?, serde_json::to_string(&fields)?);
            serde_json::from_str(&format!("{{{name}:{fields}}}"))
        };
        match read() {
            Ok(operation) => Ok(Self { id, operation }),
            Err(error) => {
                // Where it is in the line is not where the parser saw it.
                let error = error.to_string();
                let why = error.split(" at line ").next().unwrap_or_default();
                Err(wrong(Some(id), format!("{operation}: {why}")))
            }
        }
    }
}

impl Failure {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The host does not do what it was asked.
    pub(super) fn refused(why: impl std::fmt::Display) -> Self {
        Self::new(Kind::Refused, why.to_string())
    }

    /// The host can't do what it should be able to.
    pub(super) fn host(why: impl std::fmt::Display) -> Self {
        Self::new(Kind::Host, why.to_string())
    }
}

impl Reply {
    pub(super) fn to(id: u64, outcome: Result<Answer, Failure>) -> Self {
        match outcome {
            Ok(answer) => Self { id: Some(id), ok: Some(answer), error: None },
            Err(failure) => Self::failed(Some(id), failure),
        }
    }

    pub(super) fn failed(id: Option<u64>, failure: Failure) -> Self {
        Self { id, ok: None, error: Some(failure) }
    }

    /// With its end. What a component made goes out as it is, but for the ends of lines, which only stand between tokens.
    pub(super) fn into_line(self) -> String {
        let line = serde_json::to_string(&self).unwrap_or_else(|error| {
            let id = self.id.map_or_else(|| "null".to_owned(), |id| id.to_string());
            let why = serde_json::Value::from(format!("the answer is no JSON: {error}"));
            format!("{{\"id\":{id},\"error\":{{\"kind\":\"host\",\"message\":{why}}}}}")
        });
        line.replace(['\n', '\r'], " ") + "\n"
    }
}

/// An answer of a value.
pub(super) fn answer(value: &impl Serialize) -> Result<Answer, Failure> {
    to_raw_value(value).map_err(|error| Failure::host(format!("the answer is no JSON: {error}")))
}

/// The answer of what only had to be done.
pub(super) fn done() -> Result<Answer, Failure> {
    answer(&serde_json::Map::new())
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(&text).map(Self).map_err(|error| D::Error::custom(format!("it is not base64: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use bson::{Bson, doc, oid::ObjectId};

    use super::*;

    fn read(line: &str) -> Result<Operation, String> {
        let read = Request::read(line.as_bytes());
        read.map(|request| request.operation).map_err(|(_, failure)| failure.message)
    }

    #[test]
    fn documents_are_extended_json_in_order() {
        let line = r#"{"id":1,"do":"insert","collection":"c","documents":
            [{"z":{"$numberLong":"1"},"a":{"$oid":"0102030405060708090a0b0c"},"d":{"$date":{"$numberLong":"5"}}}]}"#;
        let Operation::Insert { documents, .. } = read(line).unwrap() else { panic!("another operation") };
        let id = ObjectId::from_bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(documents, [doc! { "z": 1_i64, "a": id, "d": bson::DateTime::from_millis(5) }]);
        assert_eq!(documents[0].keys().collect::<Vec<_>>(), ["z", "a", "d"]);
        let line = r#"{"id":1,"do":"find","collection":"c","filter":{"$or":[{"a":{"$gt":{"$numberInt":"5"}}}]}}"#;
        let Operation::Find { filter, limit, .. } = read(line).unwrap() else { panic!("another operation") };
        assert_eq!((filter, limit), (doc! { "$or": [{ "a": { "$gt": Bson::Int32(5) } }] }, MAX_FOUND));
    }

    #[test]
    fn a_payload_stays_as_it_is() {
        for payload in ["null", "1e400", "{ \"b\": 1.10,\n \"a\": 12345678901234567890123 }"] {
            let line = format!(
                r#"{{"id":1,"do":"message","socket":"s","user":"u","event":"e","payload":{payload},"ack":false}}"#
            );
            let Operation::Message(message) = read(&line).unwrap() else { panic!("another operation") };
            assert_eq!((message.payload.get(), message.ack), (payload, false));
        }
    }

    #[test]
    fn bytes_are_base64() {
        let line = |body: &str| format!(r#"{{"id":1,"do":"http","method":"GET","path":"/","body":"{body}"}}"#);
        let Operation::Http(http) = read(&line("AP8=")).unwrap() else { panic!("another operation") };
        assert_eq!((http.body, http.peer), (Base64(vec![0, 255]), localhost()));
        assert!(read(&line("!")).unwrap_err().contains("not base64"));
    }

    #[test]
    fn fields_are_checked_at_every_depth() {
        let line = r#"{"id":1,"do":"start","application":"a","components":[],"passwords":{"memory":1}}"#;
        assert!(read(line).unwrap_err().contains("unknown field `memory`"));
    }

    #[test]
    fn a_reply_is_one_line() {
        let answer = RawValue::from_string("{\n\"a\":\r\n1}".to_owned()).unwrap();
        assert_eq!(Reply::to(7, Ok(answer)).into_line(), "{\"id\":7,\"ok\":{ \"a\":  1}}\n");
        let failed = Reply::failed(None, Failure::refused("a\nb")).into_line();
        assert_eq!(failed, "{\"id\":null,\"error\":{\"kind\":\"refused\",\"message\":\"a\\nb\"}}\n");
    }
}
