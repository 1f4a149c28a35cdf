//! Calls: requests and messages, which go to the components through the real triggers.

use bytes::Bytes;
use capability::sessions::Identity;
use capability::sockets::Sockets as _;
use capability::sockets::presence::Change;
use http_body_util::{BodyExt as _, Full};
use serde::Serialize;
use serde_json::json;
use trigger::socket::{Incoming, answer as answer_message, tell};

use super::app::App;
use super::protocol::{Answer, Base64, Failure, Http, Message, answer, done};

/// The host that requests go to, where they do not say.
const HOST: &str = "devconnect.test";
/// The session of who has a socket.
const SESSION: &str = "the test's own";
/// The address of who has a socket.
const CLIENT: &str = "127.0.0.1";

/// What a request was answered with.
#[derive(Serialize)]
struct Answered {
    status: u16,
    headers: Vec<(String, String)>,
    body: Base64,
}

impl App {
    /// A client's request.
    pub(super) async fn http(&self, asked: Http) -> Result<Answer, Failure> {
        let mut request = http::Request::builder().method(asked.method.as_str()).uri(asked.path.as_str());
        if !asked.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request = request.header("host", HOST);
        }
        for (name, value) in &asked.headers {
            request = request.header(name.as_str(), value.as_str());
        }
        let request = request.body(Full::new(Bytes::from(asked.body.0))).map_err(Failure::refused)?;
        let http = &self.host.http;
        let response = if asked.operator {
            http.respond_to_operator(request).await
        } else {
            http.respond(request, asked.peer).await
        };
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(Failure::host)?.to_bytes().to_vec();
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        answer(&Answered { status: parts.status.as_u16(), headers: headers.collect(), body: Base64(body) })
    }

    /// A client's message on a socket: its acknowledgement or, where none is waited for, what an `error` event would carry.
    pub(super) async fn message(&self, message: Message) -> Result<Answer, Failure> {
        let identity = Identity { subject: message.user.into(), session: SESSION.into(), expires: u64::MAX };
        let incoming = Incoming {
            socket: message.socket,
            identity,
            client: CLIENT.to_owned(),
            event: message.event.clone(),
            payload: Bytes::from(message.payload.get().to_owned()),
            wants_ack: message.ack,
        };
        let said = answer_message(&self.host.registry, incoming).await;
        if message.ack {
            answer(&json!({ "ack": said.into_ack() }))
        } else {
            answer(&json!({ "error": said.into_error(&message.event) }))
        }
    }

    /// Calls the components for a change of a user's presence; one of them may fail.
    pub(super) async fn presence(&self, user: String, online: bool, socket: String) -> Result<Answer, Failure> {
        let told = tell(&self.host.registry, &Change { user, online, socket }).await;
        answer(&json!({ "refused": told.err() }))
    }

    /// From here on a socket counts for its user's presence.
    pub(super) async fn appear(&self, user: &str, socket: &str) -> Result<Answer, Failure> {
        self.sockets.appear(user, socket).await.map_err(Failure::host)?;
        done()
    }
}
