//! Raw connections: bytes as an attacker sends them.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A host answers or closes within this time, or the test says that it did not.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// `127.0.0.1:PORT` of `http://127.0.0.1:PORT`.
pub fn address(url: &str) -> &str {
    url.strip_prefix("http://").unwrap_or(url)
}

/// Lets this process have as many open files as the system allows; how many that is.
pub fn allow_connections() -> u64 {
    let resource = rustix::process::Resource::Nofile;
    let limit = rustix::process::getrlimit(resource);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(resource, raised).expect("the soft limit may be raised to the hard one");
    limit.maximum.unwrap_or(u64::MAX)
}

/// A connection.
pub async fn connect(url: &str) -> TcpStream {
    let stream = TcpStream::connect(address(url)).await.expect("a connection is accepted");
    let _ = stream.set_nodelay(true);
    stream
}

/// Connections that send nothing.
pub async fn silent(url: &str, count: usize) -> Vec<TcpStream> {
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        all.push(connect(url).await);
    }
    all
}

/// Sends bytes; false when the other side has closed.
pub async fn send(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).await.is_ok()
}

/// What comes until the other side closes. Panics when it does not.
pub async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    // A reset is a close as well.
    let _ = read.unwrap_or_else(|_| panic!("the host has not closed a connection in {PATIENCE:?}"));
    bytes
}

/// The status of the next response, and its header and body as text, read up to the length that it announces.
pub async fn response(stream: &mut TcpStream) -> Option<(u16, String)> {
    let mut bytes = Vec::new();
    let read = async {
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
                });
                if body.len() >= length.unwrap_or(0) {
                    let status = head.split(' ').nth(1)?.parse().ok()?;
                    return Some((status, text));
                }
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
    };
    timeout(PATIENCE, read).await.unwrap_or_else(|_| panic!("the host has not answered in {PATIENCE:?}"))
}

/// What comes to these bytes on a connection of their own, until the host closes it.
pub async fn exchange(url: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(url).await;
    // It may have closed before it has all of them.
    send(&mut stream, bytes).await;
    rest(&mut stream).await
}

/// The statuses of the responses in what came, without `100 Continue`. Bytes that are in no response count as one of status 0.
pub fn statuses(bytes: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(bytes);
    let (mut rest, mut statuses) = (&*text, Vec::new());
    while !rest.is_empty() {
        let Some((head, body)) = rest.split_once("\r\n\r\n").filter(|(head, _)| head.starts_with("HTTP/1.")) else {
            statuses.push(0);
            return statuses;
        };
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        rest = body.get(length.unwrap_or(0)..).unwrap_or_default();
        if status != 100 {
            statuses.push(status);
        }
    }
    statuses
}
