//! Requests to servers of others, where the manifest grants them: `[grants.fetch] hosts = ["api.example.com"]`.
//!
//! ```no_run
//! use devconnect_sdk::fetch::{self, Request};
//!
//! fn price() -> Result<fetch::Response, fetch::Error> {
//!     let request = Request::get("https://api.example.com/price").secret_header("authorization", "Bearer ", "shop");
//!     request.timeout_ms(2_000).send()
//! }
//! ```
//! Redirects are answers like any other. A call for an event or a tick can't fetch.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::imports::fetch as wit;

pub use wit::Error;

/// A request that is being put together.
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before `send`"]
pub struct Request {
    inner: wit::Request,
}

impl Request {
    /// A request of any method, in upper case, to an absolute URL.
    pub fn new(method: &str, url: impl Into<String>) -> Self {
        let (headers, secret_headers, body) = (Vec::new(), Vec::new(), Vec::new());
        let inner = wit::Request {
            method: method.to_owned(),
            url: url.into(),
            headers,
            secret_headers,
            body,
            timeout_ms: None,
        };
        Self { inner }
    }

    /// A `GET`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A `POST`.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.inner.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With a header whose value is `prefix` and then the secret called `secret`, which never comes here.
    pub fn secret_header(mut self, name: &str, prefix: &str, secret: &str) -> Self {
        let [name, prefix, secret] = [name, prefix, secret].map(str::to_owned);
        self.inner.secret_headers.push(wit::SecretHeader { name, prefix, secret });
        self
    }

    /// With a body as it is.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.inner.body = body.into();
        self
    }

    /// With a JSON body, at most 256 KiB. What is no JSON is an empty body.
    pub fn json<T: Serialize + ?Sized>(self, body: &T) -> Self {
        let body = serde_json::to_vec(body).unwrap_or_default();
        self.header("content-type", "application/json").body(body)
    }

    /// The answer is waited for so many milliseconds, and never longer than the operator allows.
    pub fn timeout_ms(mut self, millis: u32) -> Self {
        self.inner.timeout_ms = Some(millis);
        self
    }

    /// Sends it and waits for the answer.
    ///
    /// # Errors
    /// Why there is none. After [`Error::Failed`] nobody knows what the server has done.
    pub fn send(self) -> Result<Response, Error> {
        wit::send(&self.inner).map(|inner| Response { inner })
    }
}

/// A server's answer, of whatever status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    inner: wit::Response,
}

impl Response {
    /// Its status.
    pub fn status(&self) -> u16 {
        self.inner.status
    }

    /// A header: the first one of its name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.inner.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Its body as it came.
    pub fn body(&self) -> &[u8] {
        &self.inner.body
    }

    /// Its body as JSON of this type; none when it is not.
    pub fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.inner.body).ok()
    }
}
