//! An answer, read whole.

use serde::Deserialize;
use serde_json::Value;

use crate::base64::Base64;

/// What an [`App`](crate::App) answered.
#[derive(Debug, Clone, Deserialize)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    headers: Vec<(String, String)>,
    body: Base64,
}

impl Reply {
    /// Its body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body.0).into_owned()
    }

    /// Its body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body.0).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    /// The `message` of its JSON body; empty when there is none.
    pub fn message(&self) -> String {
        self.json().get("message").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// A header, as text: the first one of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The token of the session cookie it sets; none when it sets no cookie, empty when it clears it.
    pub fn token(&self) -> Option<String> {
        let value = self.all("set-cookie").filter_map(|cookie| cookie.strip_prefix("token=")).next()?;
        value.split(';').next().map(str::to_owned)
    }

    /// The values of a header, as text, in order.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = move |(header, _): &&'a (String, String)| header.eq_ignore_ascii_case(name);
        self.headers.iter().filter(named).map(|(_, value)| value.as_str())
    }
}
