//! A request that is being put together, sent through the real trigger without a socket.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use http_body_util::Full;
use serde_json::Value;

use crate::{App, Reply};

/// A request to an [`App`].
#[must_use = "nothing happens before `send`"]
pub struct Request<'a> {
    app: &'a App,
    builder: http::request::Builder,
    body: Bytes,
    peer: IpAddr,
    by_operator: bool,
}

impl<'a> Request<'a> {
    pub(crate) fn new(app: &'a App, method: &str, path: &str) -> Self {
        let builder = http::Request::builder().method(method).uri(path).header("host", "devconnect.test");
        Self { app, builder, body: Bytes::new(), peer: Ipv4Addr::LOCALHOST.into(), by_operator: false }
    }

    /// With a JSON body.
    pub fn json(self, value: &Value) -> Self {
        self.header("content-type", "application/json").body(value.to_string())
    }

    /// With a body as it is.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// With a session's token, as a cookie.
    pub fn token(self, token: &str) -> Self {
        self.header("cookie", &format!("token={token}"))
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    /// From another address than 127.0.0.1.
    pub fn from(mut self, peer: IpAddr) -> Self {
        self.peer = peer;
        self
    }

    /// On the operator's side, where routes with `session = "operator"` are.
    pub fn by_operator(mut self) -> Self {
        self.by_operator = true;
        self
    }

    /// Sends it and waits for the answer.
    pub fn send(self) -> Reply {
        let app = self.app;
        app.runtime().block_on(self.dispatch())
    }

    /// Sends it; for tests that race several.
    pub async fn dispatch(self) -> Reply {
        let request = self.builder.body(Full::new(self.body)).unwrap_or_else(|error| panic!("no request: {error}"));
        let http = &self.app.host().http;
        let response = if self.by_operator {
            http.respond_to_operator(request).await
        } else {
            http.respond(request, self.peer).await
        };
        Reply::of(response).await
    }
}
