//! What can go wrong in a handler, each with the status it answers. The body is always `{"message": …}`.
//! Errors of the capabilities turn into these with `?`: a store that is down is 503; what only the author can mend
//! (a grant that is missing, a malformed query) is logged with its text and answers a neutral 500.

use serde_json::{Map, Value};

use super::Response;
use crate::{cache, config, documents, events, fetch, log, passwords, sessions, signing, sockets};

/// Seconds after which a caller may try again when a store is down or the host is busy.
const RETRY_AFTER: u32 = 1;

/// An answer that is not a success.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// 400: the caller's input is wrong; the text says what and is shown.
    BadRequest(String),
    /// 403: not the caller's to do; the text is shown.
    Forbidden(String),
    /// 404: not there; the text is shown.
    NotFound(String),
    /// 429: too often. Built by [`Error::limited`].
    Limited(Limited),
    /// 503: a store did not answer; the text is logged.
    Unavailable(String),
    /// 503: the host has too much of this kind of work at the moment.
    Busy,
    /// 500: the component or its manifest is wrong; the text is logged and never shown.
    Internal(String),
}

/// The body and header of a 429.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Limited {
    /// Shown.
    pub message: String,
    /// More fields of the body, such as `tier`, `limit` and `used`.
    pub fields: Map<String, Value>,
    /// Seconds, for the `retry-after` header.
    pub retry_after: Option<u32>,
}

impl Limited {
    /// One more field of the body.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }

    /// Tells the caller to come back after `seconds`.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl From<Limited> for Error {
    fn from(limited: Limited) -> Self {
        Error::Limited(limited)
    }
}

impl Error {
    /// 400 with `message`.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Error::BadRequest(message.into())
    }

    /// 403 with `message`.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Error::Forbidden(message.into())
    }

    /// 404 with `message`.
    pub fn not_found(message: impl Into<String>) -> Self {
        Error::NotFound(message.into())
    }

    /// 429 with `message`; more fields by [`Limited::with`], then `.into()`.
    pub fn limited(message: impl Into<String>) -> Limited {
        Limited { message: message.into(), ..Limited::default() }
    }

    /// 500; `text` goes to the log only.
    pub fn internal(text: impl Into<String>) -> Self {
        Error::Internal(text.into())
    }

    /// The status this answers.
    pub fn status(&self) -> u16 {
        match self {
            Error::BadRequest(_) => 400,
            Error::Forbidden(_) => 403,
            Error::NotFound(_) => 404,
            Error::Limited(_) => 429,
            Error::Internal(_) => 500,
            Error::Unavailable(_) | Error::Busy => 503,
        }
    }

    /// The answer; what is not for the caller goes to the log on the way.
    pub fn into_response(self) -> Response {
        let status = self.status();
        let (fields, retry_after) = self.into_fields();
        let answer = Response::json_bytes(Value::Object(fields).to_string().into_bytes()).status(status);
        match retry_after {
            Some(seconds) => answer.header("retry-after", seconds.to_string()),
            None => answer,
        }
    }

    /// What the caller reads: an object with a `message`, and the seconds after which to try again. What is not for
    /// the caller goes to the log on the way.
    pub fn into_fields(self) -> (Map<String, Value>, Option<u32>) {
        let (message, mut fields, retry_after) = match self {
            Error::BadRequest(message) | Error::Forbidden(message) | Error::NotFound(message) => {
                (message, Map::new(), None)
            }
            Error::Limited(Limited { message, fields, retry_after }) => (message, fields, retry_after),
            Error::Unavailable(text) => {
                log::warn(&text, &[]);
                ("Temporarily unavailable, please try again".into(), Map::new(), Some(RETRY_AFTER))
            }
            Error::Busy => ("Too busy, please try again".into(), Map::new(), Some(RETRY_AFTER)),
            Error::Internal(text) => {
                log::error(&text, &[]);
                ("Something went wrong".into(), Map::new(), None)
            }
        };
        fields.insert("message".into(), message.into());
        (fields, retry_after)
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match self {
            Error::BadRequest(text) | Error::Forbidden(text) | Error::NotFound(text) => text,
            Error::Unavailable(text) | Error::Internal(text) => text,
            Error::Limited(limited) => &limited.message,
            Error::Busy => "busy",
        };
        write!(f, "{}: {text}", self.status())
    }
}

impl std::error::Error for Error {}

impl From<documents::Error> for Error {
    fn from(error: documents::Error) -> Self {
        match error {
            documents::Error::Unavailable(_) => Error::Unavailable(error.to_string()),
            _ => Error::Internal(error.to_string()),
        }
    }
}

impl From<cache::Error> for Error {
    fn from(error: cache::Error) -> Self {
        match error {
            cache::Error::Unavailable(text) => Error::Unavailable(format!("cache: {text}")),
            cache::Error::Denied(text) | cache::Error::Invalid(text) => Error::Internal(format!("cache: {text}")),
        }
    }
}

impl From<events::Error> for Error {
    fn from(error: events::Error) -> Self {
        match error {
            events::Error::Unavailable(text) => Error::Unavailable(format!("events: {text}")),
            events::Error::Denied(text) | events::Error::Invalid(text) => Error::Internal(format!("events: {text}")),
        }
    }
}

impl From<sessions::Error> for Error {
    fn from(error: sessions::Error) -> Self {
        match error {
            sessions::Error::Unavailable(text) => Error::Unavailable(format!("sessions: {text}")),
            sessions::Error::Denied(text) => Error::Internal(format!("sessions: {text}")),
        }
    }
}

impl From<passwords::Error> for Error {
    fn from(error: passwords::Error) -> Self {
        match error {
            passwords::Error::Busy => Error::Busy,
            // Its length is the caller's doing, and the text is about nothing else.
            passwords::Error::Invalid(text) => Error::BadRequest(text),
            passwords::Error::Denied(text) => Error::Internal(format!("passwords: {text}")),
        }
    }
}

impl From<signing::Error> for Error {
    fn from(error: signing::Error) -> Self {
        match error {
            signing::Error::Denied(text) | signing::Error::Unknown(text) => Error::Internal(format!("signing: {text}")),
        }
    }
}

impl From<config::Error> for Error {
    fn from(error: config::Error) -> Self {
        match error {
            config::Error::Denied(text) => Error::Internal(format!("config: {text}")),
        }
    }
}

impl From<fetch::Error> for Error {
    fn from(error: fetch::Error) -> Self {
        match error {
            fetch::Error::Busy => Error::Busy,
            fetch::Error::Failed(text) => Error::Unavailable(format!("fetch: {text}")),
            fetch::Error::Denied(text) | fetch::Error::Invalid(text) => Error::Internal(format!("fetch: {text}")),
        }
    }
}

impl From<sockets::Error> for Error {
    fn from(error: sockets::Error) -> Self {
        match error {
            sockets::Error::Unavailable(text) => Error::Unavailable(format!("sockets: {text}")),
            sockets::Error::Denied(text) | sockets::Error::Invalid(text) => Error::Internal(format!("sockets: {text}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_tells_its_numbers() {
        let error: Error =
            Error::limited("Daily limit reached").with("tier", "free").with("limit", 10).retry_after(60).into();
        let answer = error.into_response().into_wit();
        assert_eq!(answer.status, 429);
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body, serde_json::json!({ "message": "Daily limit reached", "tier": "free", "limit": 10 }));
        assert!(answer.headers.contains(&("retry-after".into(), "60".into())));
    }

    #[test]
    fn the_author_reads_what_the_caller_does_not() {
        let answer = Error::from(cache::Error::Denied("cache = [\"user:*\"]".into())).into_response().into_wit();
        assert_eq!(answer.status, 500);
        assert!(!String::from_utf8(answer.body).unwrap().contains("user:*"));
    }
}
