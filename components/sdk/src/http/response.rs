//! An answer: a status, headers and a body, built by the kind of body it has.
//! Each starts at 200; [`Response::status`] and [`Response::header`] change it in passing.
//! The session's cookie is the host's business and can't be set here.

use serde::Serialize;

use super::Error;
use crate::bindings::http as wit;

/// One answer.
#[derive(Debug, Clone)]
pub struct Response {
    inner: wit::Response,
}

impl Response {
    /// `value` as JSON. A value that can't be JSON (a map whose keys are no strings) answers 500 and is logged.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self::json_bytes(body),
            Err(error) => Error::internal(format!("the answer is not JSON: {error}")).into_response(),
        }
    }

    /// JSON that is already bytes, such as a cached answer. Goes out as it is.
    pub fn json_bytes(body: Vec<u8>) -> Self {
        Self::bytes("application/json; charset=utf-8", body)
    }

    /// The body as it goes out.
    pub fn body(&self) -> &[u8] {
        &self.inner.body
    }

    /// Plain text.
    pub fn text(body: impl Into<String>) -> Self {
        Self::bytes("text/plain; charset=utf-8", body.into().into_bytes())
    }

    /// A page. What comes from a user must be escaped by the caller: [`Response::escaped`].
    pub fn html(body: impl Into<String>) -> Self {
        Self::bytes("text/html; charset=utf-8", body.into().into_bytes())
    }

    /// Any bytes under the media type `kind`.
    pub fn bytes(kind: &str, body: Vec<u8>) -> Self {
        Self { inner: wit::Response { status: 200, headers: vec![("content-type".into(), kind.into())], body } }
    }

    /// No body and no media type.
    pub fn empty(status: u16) -> Self {
        Self { inner: wit::Response { status, headers: Vec::new(), body: Vec::new() } }
    }

    /// The same answer with another status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.inner.status = status;
        self
    }

    /// The same answer with one more header; `name` in lower case.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.inner.headers.push((name.into(), value.into()));
        self
    }

    /// `text` with `& < > " '` made harmless, to stand in a page.
    pub fn escaped(text: &str) -> String {
        let mut escaped = String::with_capacity(text.len());
        for character in text.chars() {
            match character {
                '&' => escaped.push_str("&amp;"),
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                '"' => escaped.push_str("&quot;"),
                '\'' => escaped.push_str("&#39;"),
                other => escaped.push(other),
            }
        }
        escaped
    }

    /// What the host takes.
    pub fn into_wit(self) -> wit::Response {
        self.inner
    }
}
