//! A Socket.IO client over plain HTTP requests (Engine.IO's long polling): what one of two needs to talk to the other.
//! Touches the network alone.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use reqwest::header::{CONTENT_TYPE, COOKIE};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::api::{Api, Session};

/// What stands between two packets of one body.
const SEPARATOR: char = '\x1e';
/// How long the acknowledgements of some messages may take, all together.
const ACKNOWLEDGED: Duration = Duration::from_secs(30);

/// An open socket of somebody.
pub(crate) struct Socket {
    client: Client,
    url: String,
    cookie: String,
    /// The number of the next acknowledgement.
    next: u64,
}

/// A packet that matters here.
#[derive(Debug, PartialEq)]
enum Packet {
    /// The host asks whether this client is there.
    Ping,
    /// The socket is connected.
    Connected,
    /// The acknowledgement with this number.
    Acknowledged(u64, Value),
    /// The host ends the socket, and why.
    Refused(String),
    /// Anything else, such as what others are told.
    Other,
}

impl Socket {
    /// Opens one.
    pub(crate) async fn open(api: &Api, session: &Session) -> anyhow::Result<Self> {
        let url = format!("{}/socket.io/?EIO=4&transport=polling", api.url);
        let mut socket = Self { client: api.client.clone(), url, cookie: session.cookie.clone(), next: 0 };
        let hello = socket.text(socket.request(Method::GET)).await?;
        let hello: Option<Value> = hello.strip_prefix('0').and_then(|hello| serde_json::from_str(hello).ok());
        let sid = hello.as_ref().and_then(|hello| hello.get("sid")?.as_str()).context("the host opens no socket")?;
        socket.url = format!("{}&sid={sid}", socket.url);
        socket.post("40".to_owned()).await?;
        let connecting = async {
            loop {
                if socket.poll().await?.contains(&Packet::Connected) {
                    return anyhow::Ok(());
                }
            }
        };
        tokio::time::timeout(ACKNOWLEDGED, connecting).await.context("the host connects no socket")??;
        Ok(socket)
    }

    /// Sends messages of one event, in their order; what the host acknowledges each with, once it has all of them.
    pub(crate) async fn ask(&mut self, event: &str, payloads: &[Value]) -> anyhow::Result<Vec<Value>> {
        let first = self.next;
        self.next += payloads.len() as u64;
        let packets = payloads.iter().zip(first..).map(|(payload, id)| format!("42{id}{}", json!([event, payload])));
        let packets: Vec<String> = packets.collect();
        if packets.is_empty() {
            return Ok(Vec::new());
        }
        self.post(packets.join(&SEPARATOR.to_string())).await?;
        let mut answers: Vec<(u64, Value)> = Vec::with_capacity(payloads.len());
        let collecting = async {
            while answers.len() < payloads.len() {
                for packet in self.poll().await? {
                    if let Packet::Acknowledged(id, answer) = packet {
                        answers.push((id, answer));
                    }
                }
            }
            anyhow::Ok(())
        };
        let in_time = tokio::time::timeout(ACKNOWLEDGED, collecting).await;
        in_time.with_context(|| format!("the host does not acknowledge {event}"))??;
        answers.sort_by_key(|(id, _)| *id);
        for (_, answer) in &answers {
            let why = answer.get("message").and_then(Value::as_str).unwrap_or("it does not say why");
            ensure!(answer.get("ok") == Some(&Value::Bool(true)), "the host refuses {event}: {why}");
        }
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    /// Closes it. The host would notice by itself, a minute later.
    pub(crate) async fn close(self) {
        let _ = self.post("1".to_owned()).await;
    }

    /// What has come, or comes first. Answers the host's question whether this client is there.
    async fn poll(&self) -> anyhow::Result<Vec<Packet>> {
        let text = self.text(self.request(Method::GET)).await?;
        let packets: Vec<Packet> = text.split(SEPARATOR).map(packet).collect();
        for packet in &packets {
            match packet {
                Packet::Ping => self.post("3".to_owned()).await?,
                Packet::Refused(why) => bail!("the host ends a socket: {why}"),
                _ => {}
            }
        }
        Ok(packets)
    }

    async fn post(&self, packets: String) -> anyhow::Result<()> {
        let request = self.request(Method::POST).header(CONTENT_TYPE, "text/plain;charset=UTF-8");
        self.text(request.body(packets)).await.map(drop)
    }

    fn request(&self, method: Method) -> RequestBuilder {
        self.client.request(method, &self.url).header(COOKIE, &self.cookie)
    }

    async fn text(&self, request: RequestBuilder) -> anyhow::Result<String> {
        let response = request.send().await.context("no host answers a socket; does it still run?")?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "the host refuses a socket: {status} {text}");
        Ok(text)
    }
}

fn packet(text: &str) -> Packet {
    match text {
        "2" => Packet::Ping,
        "1" | "41" => Packet::Refused("it is closed".to_owned()),
        _ if text.starts_with("40") => Packet::Connected,
        _ if text.starts_with("44") => Packet::Refused(text.chars().skip(2).collect()),
        _ => acknowledged(text).unwrap_or(Packet::Other),
    }
}

/// `43`, a number, and a list with one value.
fn acknowledged(text: &str) -> Option<Packet> {
    let text = text.strip_prefix("43")?;
    let (id, list) = text.split_at_checked(text.find('[')?)?;
    let Ok(Value::Array(list)) = serde_json::from_str(list) else { return None };
    Some(Packet::Acknowledged(id.parse().ok()?, list.into_iter().next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_told_apart() {
        let refused = |why: &str| Packet::Refused(why.to_owned());
        for (text, expected) in [
            ("2", Packet::Ping),
            ("1", refused("it is closed")),
            ("41", refused("it is closed")),
            (r#"40{"sid":"a"}"#, Packet::Connected),
            (r#"44{"message":"Please login"}"#, refused(r#"{"message":"Please login"}"#)),
            (r#"4312[{"ok":true}]"#, Packet::Acknowledged(12, json!({ "ok": true }))),
            ("430[]", Packet::Acknowledged(0, Value::Null)),
            (r#"42["presence",{"userId":"1"}]"#, Packet::Other),
            ("43[]", Packet::Other),
            ("43a[", Packet::Other),
            ("", Packet::Other),
            ("é", Packet::Other),
        ] {
            assert_eq!(packet(text), expected, "{text}");
        }
    }
}
