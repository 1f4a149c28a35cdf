//! Stand-ins for servers of others: what a component fetches is answered as the driver said, and kept until it asks.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use capability::fetch::{Outgoing, Response, Transport};
use serde::Serialize;

use super::protocol::{Base64, StandIn};

/// A request that a component sent.
#[derive(Debug, Serialize)]
pub(super) struct Fetched {
    method: String,
    url: String,
    /// A value with a secret in it is `(secret)`.
    headers: Vec<(String, String)>,
    body: Base64,
}

/// The harness's transport.
#[derive(Debug, Default)]
pub(super) struct StandIns(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By method and URL.
    answers: BTreeMap<(String, String), StandIn>,
    fetched: Vec<Fetched>,
}

impl StandIns {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on such a request is answered so.
    pub(super) fn answer(&self, stand_in: StandIn) {
        self.state().answers.insert((stand_in.method.clone(), stand_in.url.clone()), stand_in);
    }

    /// Everything that was sent since this was last asked, in order.
    pub(super) fn take(&self) -> Vec<Fetched> {
        std::mem::take(&mut self.state().fetched)
    }
}

#[async_trait]
impl Transport for StandIns {
    async fn send(&self, outgoing: Outgoing) -> Result<Response, String> {
        let (server, (request, body)) = (outgoing.server, outgoing.request.into_parts());
        let (method, path) = (request.method.as_str().to_owned(), request.uri);
        let url = format!("{}://{}{path}", server.scheme.as_str(), server.authority());
        let shown = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            let value = if value.is_sensitive() { "(secret)" } else { value.to_str().unwrap_or_default() };
            (name.as_str().to_owned(), value.to_owned())
        };
        let headers = request.headers.iter().map(shown).collect();
        let mut state = self.state();
        let sent = (method.clone(), url.clone());
        state.fetched.push(Fetched { method, url, headers, body: Base64(body.to_vec()) });
        match state.answers.get(&sent) {
            None => Err("nobody stands in for it; the driver says `stand_in`".to_owned()),
            Some(StandIn { fails: Some(why), .. }) => Err(why.clone()),
            Some(StandIn { status, headers, body, .. }) => {
                Ok(Response { status: *status, headers: headers.clone(), body: body.0.clone() })
            }
        }
    }
}
