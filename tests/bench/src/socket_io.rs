//! A Socket.IO client of a bench: one WebSocket, spoken by hand, so that ten thousand of them fit into a process.

use anyhow::{anyhow, ensure};
use e2e::network::Account;
use futures_util::{SinkExt as _, StreamExt as _};
use http::HeaderValue;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// An open socket.
pub(crate) type Line = WebSocketStream<TcpStream>;

/// What a client sends to show that it is there, when it is asked.
pub(crate) const PONG: &str = "3";
/// How it is asked.
pub(crate) const PING: &str = "2";

/// A socket as a client opens one: the WebSocket, Engine.IO's greeting, Socket.IO's connect with the session, which comes both
/// as a cookie and in `auth`: servers differ in which of them they read.
pub(crate) async fn connect(address: &str, account: &Account) -> anyhow::Result<Line> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut request = format!("ws://{address}/socket.io/?EIO=4&transport=websocket").into_client_request()?;
    request.headers_mut().insert("cookie", HeaderValue::from_str(&format!("token={}", account.token))?);
    let (mut line, _) = tokio_tungstenite::client_async(request, stream).await?;
    let greeting = text(&mut line).await?;
    ensure!(greeting.starts_with('0'), "the greeting is {greeting:?}");
    line.send(Message::text(format!("40{}", serde_json::json!({ "token": account.token })))).await?;
    let answer = text(&mut line).await?;
    ensure!(answer.starts_with("40"), "a member is not let in: {answer:?}");
    Ok(line)
}

/// The next text that is not a question whether this client is there; those are answered.
pub(crate) async fn text(line: &mut Line) -> anyhow::Result<String> {
    loop {
        let message = line.next().await.ok_or_else(|| anyhow!("the line ended"))??;
        let text = message.into_text()?;
        if text.as_str() != PING {
            return Ok(text.as_str().to_owned());
        }
        line.send(Message::text(PONG)).await?;
    }
}

/// An event without an acknowledgement.
pub(crate) fn event(name: &str, payload: &Value) -> Message {
    Message::text(format!("42{}", serde_json::json!([name, payload])))
}

/// The name and the payload of an event that came; none when it is none.
pub(crate) fn came(text: &str) -> Option<(String, Value)> {
    let Ok(Value::Array(parts)) = serde_json::from_str(text.strip_prefix("42")?) else { return None };
    let mut parts = parts.into_iter();
    let name = parts.next()?.as_str()?.to_owned();
    Some((name, parts.next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_comes_as_it_went() {
        let text = event("private-message", &json!({ "message": "a" })).to_string();
        assert_eq!(came(&text), Some(("private-message".to_owned(), json!({ "message": "a" }))));
        for other in ["2", "40{}", "42", "42{}", "42[]", "42[1]", "431[]"] {
            assert_eq!(came(other), None, "{other}");
        }
    }
}
