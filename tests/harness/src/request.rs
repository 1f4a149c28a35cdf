//! A request that is being put together, sent through the real trigger without a connection.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;

use crate::base64::Base64;
use crate::{App, Pending, Reply};

/// A request to an [`App`].
#[must_use = "nothing happens before `send` or `begin`"]
pub struct Request<'a> {
    app: &'a App,
    asked: Asked,
}

#[derive(Serialize)]
struct Asked {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Base64,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<IpAddr>,
    operator: bool,
}

impl<'a> Request<'a> {
    pub(crate) fn new(app: &'a App, method: &str, path: &str) -> Self {
        let (method, path) = (method.to_owned(), path.to_owned());
        let asked = Asked { method, path, headers: Vec::new(), body: Base64::default(), peer: None, operator: false };
        Self { app, asked }
    }

    /// With a JSON body.
    pub fn json(self, value: &Value) -> Self {
        self.header("content-type", "application/json").body(value.to_string())
    }

    /// With a body as it is.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.asked.body = Base64::of(body);
        self
    }

    /// With a session's token, as a cookie.
    pub fn token(self, token: &str) -> Self {
        self.header("cookie", &format!("token={token}"))
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.asked.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// From another address than 127.0.0.1.
    pub fn from(mut self, peer: IpAddr) -> Self {
        self.asked.peer = Some(peer);
        self
    }

    /// On the operator's side, where routes with `session = "operator"` are.
    pub fn by_operator(mut self) -> Self {
        self.asked.operator = true;
        self
    }

    /// Sends it and waits for the answer.
    pub fn send(self) -> Reply {
        self.begin().wait()
    }

    /// Sends it; for tests that race several.
    pub fn begin(self) -> Pending<'a, Reply> {
        Pending::of(self.app.process.begin("http", &self.asked))
    }
}
