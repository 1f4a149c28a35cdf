//! The load: clients with kept connections that each ask one request after the other, as fast as they are answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::spread::nanoseconds;

/// Connections at once.
pub(crate) const CONNECTIONS: usize = 64;
/// How much of an answer that is none is shown.
const SHOWN: usize = 300;

/// A `GET` without a body.
pub(crate) type Get = Request<Empty<Bytes>>;

/// When the clients stop.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// So much time is over.
    Time(Duration),
    /// So many requests are answered, by all of them together.
    Count(usize),
}

/// What the clients saw.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The time of each request, from its first byte to the last one of its answer, in nanoseconds.
    pub(crate) times: Vec<u64>,
    /// How long all of it took.
    pub(crate) took: Duration,
}

impl Seen {
    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }
}

/// A request with a session's cookie, where it has one.
pub(crate) fn get(address: &str, path: &str, token: Option<&str>) -> anyhow::Result<Get> {
    let mut request = Request::get(path).header(header::HOST, address);
    if let Some(token) = token {
        request = request.header(header::COOKIE, HeaderValue::from_str(&format!("token={token}"))?);
    }
    Ok(request.body(Empty::new())?)
}

/// `http://host:port` as an address to connect to.
pub(crate) fn address(url: &str) -> anyhow::Result<String> {
    let address = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let address = address.filter(|address| !address.is_empty() && !address.contains('/'));
    let address = address.with_context(|| format!("{url} is no http://HOST:PORT"))?;
    Ok(if address.contains(':') { address.to_owned() } else { format!("{address}:80") })
}

/// Has [`CONNECTIONS`] clients ask these requests in turn. An answer that is not 200 is an error.
pub(crate) async fn drive(address: &str, requests: &Arc<[Get]>, until: Until) -> anyhow::Result<Seen> {
    drive_with(address, requests, until, CONNECTIONS).await
}

/// The same with so many clients.
pub(crate) async fn drive_with(
    address: &str,
    requests: &Arc<[Get]>,
    until: Until,
    connections: usize,
) -> anyhow::Result<Seen> {
    ensure!(!requests.is_empty(), "no request to ask");
    let asked = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let clients: Vec<_> = (0..connections)
        .map(|_| tokio::spawn(ask(address.to_owned(), requests.clone(), asked.clone(), begun, until)))
        .collect();
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.await??);
    }
    Ok(Seen { times, took: begun.elapsed() })
}

/// Has one client ask so many of these requests, each after the answer of the one before.
pub(crate) async fn in_turn(address: &str, requests: &Arc<[Get]>, count: usize) -> anyhow::Result<Seen> {
    let begun = Instant::now();
    let times = ask(address.to_owned(), requests.clone(), Arc::default(), begun, Until::Count(count)).await?;
    Ok(Seen { times, took: begun.elapsed() })
}

/// One client.
async fn ask(
    address: String,
    requests: Arc<[Get]>,
    asked: Arc<AtomicUsize>,
    begun: Instant,
    until: Until,
) -> anyhow::Result<Vec<u64>> {
    let stream = TcpStream::connect(&address).await.with_context(|| format!("nobody listens on {address}"))?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // How it ended is what the next request says.
    tokio::spawn(async move { drop(connection.await) });
    let mut times = Vec::new();
    loop {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        let is_over = match until {
            Until::Time(time) => begun.elapsed() >= time,
            Until::Count(count) => number >= count,
        };
        if is_over {
            return Ok(times);
        }
        let Some(request) = requests.get(number % requests.len()) else { return Ok(times) };
        let sent = Instant::now();
        sender.ready().await?;
        let answer = sender.send_request(request.clone()).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        times.push(nanoseconds(sent.elapsed()));
        if status != StatusCode::OK {
            let text: String = String::from_utf8_lossy(&body).chars().take(SHOWN).collect();
            anyhow::bail!("{address}{} answered {status}: {text}", request.uri());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    #[test]
    fn an_address_has_a_port() {
        assert_eq!(address("http://127.0.0.1:3000/").unwrap(), "127.0.0.1:3000");
        assert_eq!(address("http://example.com").unwrap(), "example.com:80");
        for wrong in ["https://example.com", "example.com:80", "http://", "http://example.com/api"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
