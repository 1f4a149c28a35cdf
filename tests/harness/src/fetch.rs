//! Servers of others: how they answer what a component fetches, and what it has sent them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::base64::Base64;
use crate::{App, Nothing};

/// How a server answers, once it is given to [`App::stand_in`].
#[derive(Debug, Clone, Serialize)]
#[must_use = "nobody answers before it is given to `App::stand_in`"]
pub struct StandIn {
    method: String,
    url: String,
    status: u16,
    headers: Vec<(String, String)>,
    body: Base64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fails: Option<String>,
}

impl StandIn {
    /// For requests of this method to this URL: an empty 200.
    pub fn of(method: &str, url: &str) -> Self {
        let (method, url) = (method.to_owned(), url.to_owned());
        Self { method, url, status: 200, headers: Vec::new(), body: Base64::default(), fails: None }
    }

    /// With this status.
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// With a JSON body.
    pub fn json(mut self, body: &Value) -> Self {
        self.headers.push(("content-type".to_owned(), "application/json".to_owned()));
        self.body(body.to_string())
    }

    /// With a body as it is.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Base64::of(body);
        self
    }

    /// Without an answer, because of this.
    pub fn fails(mut self, why: &str) -> Self {
        self.fails = Some(why.to_owned());
        self
    }
}

/// A request that a component sent.
#[derive(Debug, Clone, Deserialize)]
pub struct Fetched {
    /// Its method.
    pub method: String,
    /// With its query.
    pub url: String,
    headers: Vec<(String, String)>,
    body: Base64,
}

impl Fetched {
    /// A header: the first one of its name, in lower case. One with a secret in it is `(secret)`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Its body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body.0).unwrap_or_else(|error| panic!("{error} in the body of {self:?}"))
    }
}

impl App {
    /// From here on such a request of a component is answered so.
    pub fn stand_in(&self, stand_in: StandIn) {
        self.process.call::<Nothing>("stand_in", &stand_in);
    }

    /// What components have sent since the last time, in order.
    pub fn fetched(&self) -> Vec<Fetched> {
        #[derive(Deserialize)]
        struct All {
            fetched: Vec<Fetched>,
        }
        self.process.call::<All>("fetched", &json!({})).fetched
    }
}
