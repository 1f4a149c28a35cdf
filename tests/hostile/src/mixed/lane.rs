//! A lane: one attacker, who sends one thing after the other and looks at what comes.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::socket::{MARK, Socket};
use super::{Came, Shot, Until, Way};
use crate::http2::{self, ACK, GO_AWAY, HEADERS, RST_STREAM, SETTINGS};
use crate::websocket::{FINAL, PING, frame};

/// Nothing takes longer: a body has 15 seconds to arrive, and everything else less.
pub const HANG: Duration = Duration::from_secs(25);
/// How long a connection is tried for. A machine that has no free port has one again when others have closed.
const OPENS: Duration = Duration::from_secs(20);
/// What one read may bring.
const READ: usize = 8 << 10;

/// One attacker.
pub(super) struct Lane {
    host: String,
    token: String,
    kept: Option<Link>,
    socket: Option<Socket>,
}

impl Lane {
    /// With no connection yet. `token` is the session of its events.
    pub(super) fn new(host: &str, token: &str) -> Self {
        Self { host: host.to_owned(), token: token.to_owned(), kept: None, socket: None }
    }

    /// Sends it, and waits for what comes; `token` is the session that it shows.
    pub(super) async fn send(&mut self, shot: &Shot, token: &str) -> Came {
        if let Ok(came) = timeout(HANG, self.exchange(shot, token)).await {
            return came;
        }
        (self.kept, self.socket) = (None, None);
        Came::Nothing
    }

    async fn exchange(&mut self, shot: &Shot, token: &str) -> Came {
        let bytes = shot.bytes.as_slice();
        match shot.way {
            Way::Kept => self.ask(bytes).await.map_or_else(|came| came, |answer| Came::Status(answer.status)),
            Way::Once => alone(&self.host, bytes, false).await,
            Way::Ended => alone(&self.host, bytes, true).await,
            Way::Left => {
                Link::open(&self.host).await.send(bytes).await;
                Came::Left
            }
            Way::Slow => slow(&self.host, bytes).await,
            Way::Http2(until) => frames(&self.host, bytes, until).await,
            Way::Frames { session, until } => {
                let shown = if session { token } else { "" };
                match Socket::open(&self.host, shown).await {
                    Ok(socket) => what_comes_of(socket, bytes, until).await,
                    Err(status) => refused(status),
                }
            }
            Way::Packets => match connected(&self.host, token).await {
                Ok(socket) => what_comes_of(socket, bytes, Until::Pong).await,
                Err(came) => came,
            },
            Way::Auth => match Socket::open(&self.host, "").await {
                Ok(mut socket) => {
                    let connects = socket.connect(&String::from_utf8_lossy(bytes)).await;
                    if connects { Came::Done } else { Came::Refused }
                }
                Err(status) => refused(status),
            },
            Way::Event => self.event(&String::from_utf8_lossy(bytes)).await,
            Way::Polling { session } => self.polling(bytes, if session { token } else { "" }).await,
        }
    }

    /// One whole request on the connection that is kept.
    async fn ask(&mut self, bytes: &[u8]) -> Result<Answer, Came> {
        loop {
            let (mut link, is_new) = match self.kept.take() {
                Some(link) => (link, false),
                None => (Link::open(&self.host).await, true),
            };
            link.send(bytes).await;
            match link.answer().await {
                Some(_) if !link.rest.is_empty() => return Err(Came::TooMany),
                Some(answer) => {
                    if !answer.closes {
                        self.kept = Some(link);
                    }
                    return Ok(answer);
                }
                // It was closed before: after the answer to a request whose body nobody read.
                None if !is_new => {}
                None => return Err(Came::Closed),
            }
        }
    }

    async fn event(&mut self, arguments: &str) -> Came {
        loop {
            let (mut socket, is_new) = match self.socket.take() {
                Some(socket) => (socket, false),
                None => match connected(&self.host, &self.token).await {
                    Ok(socket) => (socket, true),
                    Err(came) => return came,
                },
            };
            match socket.ask(arguments).await {
                Some(answer) => {
                    self.socket = Some(socket);
                    return if answer.contains("\"ok\":false") { Came::Refused } else { Came::Done };
                }
                // Nobody answered the host's pings in time.
                None if !is_new => {}
                None => return Came::Closed,
            }
        }
    }

    /// Opens a polling session, sends the body, and closes the session.
    async fn polling(&mut self, body: &[u8], token: &str) -> Came {
        let cookie = if token.is_empty() { String::new() } else { format!("Cookie: token={token}\r\n") };
        let path = "/socket.io/?EIO=4&transport=polling";
        let head = format!("HTTP/1.1\r\nHost: {}\r\n{cookie}", self.host);
        let opened = match self.ask(format!("GET {path} {head}\r\n").as_bytes()).await {
            Ok(answer) if answer.status == 200 => answer,
            Ok(answer) => return Came::Status(answer.status),
            Err(came) => return came,
        };
        let opened = String::from_utf8_lossy(&opened.body).into_owned();
        let Some(sid) = opened.split_once("\"sid\":\"").and_then(|(_, rest)| rest.split('"').next()) else {
            return Came::Closed;
        };
        let post = |body: &[u8]| {
            let length = body.len();
            let kind = "Content-Type: text/plain;charset=UTF-8";
            let mut bytes =
                format!("POST {path}&sid={sid} {head}{kind}\r\nContent-Length: {length}\r\n\r\n").into_bytes();
            bytes.extend(body);
            bytes
        };
        let came = self.ask(&post(body)).await;
        // The body may have closed the session, which is then unknown.
        let _ = self.ask(&post(b"1")).await;
        came.map_or_else(|came| came, |answer| Came::Status(answer.status))
    }
}

/// A WebSocket with a member's session that is connected.
async fn connected(host: &str, token: &str) -> Result<Socket, Came> {
    let mut socket = Socket::open(host, token).await.map_err(refused)?;
    if socket.connect(&format!("{{\"token\":\"{token}\"}}")).await { Ok(socket) } else { Err(Came::Closed) }
}

fn refused(status: Option<u16>) -> Came {
    status.map_or(Came::Closed, Came::Status)
}

async fn what_comes_of(mut socket: Socket, bytes: &[u8], until: Until) -> Came {
    socket.send(bytes).await;
    match until {
        Until::End => socket.end().await,
        Until::Pong | Until::Answer => _ = socket.send(&frame(FINAL | PING, MARK)).await,
    }
    if socket.goes_on().await { Came::Alive } else { Came::Closed }
}

/// On a connection of its own; `ends` closes the client's direction.
async fn alone(host: &str, bytes: &[u8], ends: bool) -> Came {
    let mut link = Link::open(host).await;
    link.send(bytes).await;
    if ends {
        // The host may have closed it already.
        let _ = link.stream.shutdown().await;
    }
    link.answer().await.map_or(Came::Closed, |answer| Came::Status(answer.status))
}

/// On a connection of its own, on which the client sends and says nothing more.
pub(super) async fn slow(host: &str, bytes: &[u8]) -> Came {
    let waited = timeout(HANG, alone(host, bytes, false)).await;
    waited.unwrap_or(Came::Nothing)
}

/// HTTP/2 frames on a connection of its own.
async fn frames(host: &str, bytes: &[u8], until: Until) -> Came {
    let mut stream = BufReader::new(connect(host).await);
    let mut all = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // HEADER_TABLE_SIZE 0: the host's headers enter no table.
    all.extend(http2::frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]));
    all.extend(bytes);
    if until == Until::Pong {
        all.extend(http2::frame(http2::PING, 0, 0, MARK));
    }
    // A host that has closed meanwhile may have said why before.
    let _ = stream.write_all(&all).await;
    if until == Until::End {
        let _ = stream.shutdown().await;
    }
    what_comes(&mut stream, until).await.unwrap_or(Came::Closed)
}

/// None: the host has closed.
async fn what_comes(stream: &mut BufReader<TcpStream>, until: Until) -> Option<Came> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, _, _, _, number] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).await.ok()?;
        match kind {
            GO_AWAY => return Some(Came::GoAway),
            RST_STREAM => return Some(Came::Reset),
            http2::PING if flags & ACK > 0 && payload == MARK => return Some(Came::Alive),
            HEADERS => {
                let status = status(&payload);
                let is_asked_for = until == Until::Answer && number == 1;
                if is_asked_for || status.is_none_or(|status| status >= 500) {
                    return Some(Came::Status(status.unwrap_or_default()));
                }
            }
            _ => {}
        }
    }
}

/// The status at the beginning of a header block (RFC 7541), of an encoder without a table; none: it can't be read.
fn status(block: &[u8]) -> Option<u16> {
    // The new size of the table comes first.
    let resized = block.iter().take_while(|byte| *byte & 0xe0 == 0x20).count();
    let block = block.get(resized..)?;
    let first = *block.first()?;
    if first & 0x80 > 0 {
        let known = [200, 204, 206, 304, 400, 404, 500];
        return known.get(usize::from(first & 0x7f).checked_sub(8)?).copied();
    }
    // A literal under an indexed name; `:status` is 8 to 14. In whatever form: the index is in the last four or six bits.
    let index = if first & 0x40 > 0 { first & 0x3f } else { first & 0x0f };
    if !(8..=14).contains(&index) {
        return None;
    }
    let length = *block.get(1)?;
    let value = block.get(2..2 + usize::from(length & 0x7f))?;
    if length & 0x80 == 0 {
        return std::str::from_utf8(value).ok()?.parse().ok();
    }
    // Huffman's codes of digits: 0, 1 and 2 have five bits, the others six.
    let bits = value.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    let mut left = value.len() * 8;
    let mut status = 0;
    for _ in 0..3 {
        let five = bits >> left.checked_sub(5)? & 0x1f;
        let digit = if five < 3 {
            left -= 5;
            five
        } else {
            left = left.checked_sub(6)?;
            (bits >> left & 0x3f).checked_sub(0x16)?
        };
        status = status * 10 + digit;
    }
    u16::try_from(status).ok()
}

/// An answer.
struct Answer {
    status: u16,
    body: Vec<u8>,
    /// The host closes the connection.
    closes: bool,
}

/// A connection of HTTP/1.
struct Link {
    stream: TcpStream,
    /// What came and was in no answer yet.
    rest: Vec<u8>,
}

impl Link {
    async fn open(host: &str) -> Self {
        Self { stream: connect(host).await, rest: Vec::with_capacity(READ) }
    }

    async fn send(&mut self, bytes: &[u8]) {
        // A host that has closed meanwhile may have answered before.
        let _ = self.stream.write_all(bytes).await;
    }

    /// The next answer that is no `100 Continue`; none: the host has closed.
    async fn answer(&mut self) -> Option<Answer> {
        loop {
            let head = loop {
                if let Some(at) = self.rest.windows(4).position(|part| part == b"\r\n\r\n") {
                    break self.take(at + 4)?;
                }
                self.read().await?;
            };
            let head = String::from_utf8_lossy(&head).into_owned();
            let status: u16 = head.split(' ').nth(1)?.parse().ok()?;
            if status == 100 {
                continue;
            }
            let header = |name: &str| {
                let mut lines = head.lines().filter_map(|line| line.split_once(':'));
                lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
            };
            let length = header("content-length").and_then(|length| length.parse::<usize>().ok());
            let has_no_body = [101, 204, 304].contains(&status);
            let closes = header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
            let body = match length {
                _ if has_no_body => Vec::new(),
                Some(length) => {
                    while self.rest.len() < length {
                        self.read().await?;
                    }
                    self.take(length)?
                }
                // Its end is the connection's.
                None => {
                    while self.read().await.is_some() {}
                    std::mem::take(&mut self.rest)
                }
            };
            return Some(Answer { status, body, closes: closes || (length.is_none() && !has_no_body) });
        }
    }

    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        if self.rest.len() < length {
            return None;
        }
        let rest = self.rest.split_off(length);
        Some(std::mem::replace(&mut self.rest, rest))
    }

    async fn read(&mut self) -> Option<()> {
        self.rest.reserve(READ);
        let read = self.stream.read_buf(&mut self.rest).await.ok()?;
        (read > 0).then_some(())
    }
}

/// A connection.
pub(super) async fn connect(host: &str) -> TcpStream {
    let begun = Instant::now();
    loop {
        match TcpStream::connect(host).await {
            Ok(stream) => {
                // What is sent is sent at once; without it the same comes later.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(error) => {
                assert!(begun.elapsed() < OPENS, "no connection to {host}: {error}");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
