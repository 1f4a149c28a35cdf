//! An answer, read whole.

use http_body_util::BodyExt as _;
use serde_json::Value;

/// What an [`App`](crate::App) answered.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    headers: http::HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    pub(crate) async fn of(response: http::Response<devconnect_host::trigger::http::Body>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body in memory").to_bytes().to_vec();
        Self { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// Its body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Its body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    /// The `message` of its JSON body; empty when there is none.
    pub fn message(&self) -> String {
        self.json().get("message").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// A header, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The token of the session cookie it sets; none when it sets no cookie, empty when it clears it.
    pub fn token(&self) -> Option<String> {
        let cookies = self.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
        let value = cookies.filter_map(|cookie| cookie.strip_prefix("token=")).next()?;
        value.split(';').next().map(str::to_owned)
    }
}
