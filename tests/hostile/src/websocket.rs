//! A Socket.IO client by hand, over a WebSocket (RFC 6455): frames as an attacker sends them.

use e2e::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::raw;

/// The path of a client that begins with a WebSocket.
pub const PATH: &str = "/socket.io/?EIO=4&transport=websocket";
/// The headers of a whole opening handshake, but for `Host`.
pub const HANDSHAKE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The kinds of frames.
pub const TEXT: u8 = 1;
/// See [`TEXT`].
pub const BINARY: u8 = 2;
/// See [`TEXT`].
pub const CLOSE: u8 = 8;
/// See [`TEXT`].
pub const PING: u8 = 9;
/// The last frame of its message.
pub const FINAL: u8 = 0x80;

/// A WebSocket with a Socket.IO session.
pub struct Socket {
    stream: TcpStream,
    asked: u64,
}

impl Socket {
    /// A session that is not connected to the namespace. `headers` are further ones, each with its line's end.
    pub async fn open(url: &str, headers: &str) -> Self {
        let mut stream = raw::connect(url).await;
        let request = format!("GET {PATH} HTTP/1.1\r\nHost: {}\r\n{HANDSHAKE}{headers}\r\n", raw::address(url));
        assert!(raw::send(&mut stream, request.as_bytes()).await, "the host takes the handshake");
        let head = head(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 101"), "no upgrade: {head}");
        let mut socket = Self { stream, asked: 0 };
        let hello = socket.read().await.expect("the session's first packet");
        assert!(hello.starts_with('0'), "{hello}");
        socket
    }

    /// A socket whose handshake shows this; the error is the reason of a refusal.
    pub async fn connect(url: &str, auth: &Value) -> Result<Self, Value> {
        let mut socket = Self::open(url, "").await;
        assert!(socket.text(&format!("40{auth}")).await, "the host takes the packet");
        let answer = socket.read().await.expect("an answer to the packet");
        match answer.strip_prefix("44") {
            Some(reason) => Err(reason.parse().expect("a reason in JSON")),
            None if answer.starts_with("40") => Ok(socket),
            None => panic!("neither connected nor refused: {answer}"),
        }
    }

    /// A member's socket.
    pub async fn of(member: &e2e::Member, url: &str) -> Self {
        let connected = Self::connect(url, &json!({ "token": member.token })).await;
        connected.unwrap_or_else(|reason| panic!("the socket of {} is refused: {reason}", member.email))
    }

    /// Sends bytes; false when the host has closed.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Sends a text.
    pub async fn text(&mut self, text: &str) -> bool {
        self.send(&frame(FINAL | TEXT, text.as_bytes())).await
    }

    /// The next text that is no ping; those are answered. None: the host has closed.
    pub async fn read(&mut self) -> Option<String> {
        let next = async {
            loop {
                let (kind, payload) = received(&mut self.stream).await?;
                match &*String::from_utf8_lossy(&payload) {
                    "2" if kind == TEXT => _ = self.text("3").await,
                    text if kind == TEXT => return Some(text.to_owned()),
                    _ if kind == CLOSE => return None,
                    _ => {}
                }
            }
        };
        timeout(raw::PATIENCE, next).await.unwrap_or_else(|_| panic!("the host says nothing in {:?}", raw::PATIENCE))
    }

    /// Sends an event with these arguments, a JSON list without its brackets, and waits for the acknowledgement. None: the host
    /// has closed.
    pub async fn ask(&mut self, event: &str, arguments: &str) -> Option<Value> {
        self.asked += 1;
        let comma = if arguments.is_empty() { "" } else { "," };
        if !self.text(&format!("42{}[{}{comma}{arguments}]", self.asked, json!(event))).await {
            return None;
        }
        let begins = format!("43{}[", self.asked);
        loop {
            let text = self.read().await?;
            if text.starts_with(&begins) {
                let values: Value = text.trim_start_matches(|character: char| character != '[').parse().expect("JSON");
                return Some(values.get(0).cloned().unwrap_or_default());
            }
        }
    }

    /// Waits until the host has closed it, by a packet of Socket.IO or of Engine.IO or by the connection, whatever it says
    /// before.
    pub async fn until_closed(mut self) {
        while let Some(text) = self.read().await {
            if ["41", "1"].contains(&text.as_str()) {
                return;
            }
        }
    }
}

/// The next frame from a host: its kind and payload. A server's has no mask.
pub(crate) async fn received(stream: &mut (impl AsyncRead + Unpin)) -> Option<(u8, Vec<u8>)> {
    let first = stream.read_u8().await.ok()?;
    let length = match stream.read_u8().await.ok()? & 0x7f {
        126 => u64::from(stream.read_u16().await.ok()?),
        127 => stream.read_u64().await.ok()?,
        length => u64::from(length),
    };
    let mut payload = vec![0; usize::try_from(length).ok()?];
    stream.read_exact(&mut payload).await.ok()?;
    Some((first & 0x0f, payload))
}

/// A frame of a client: its first byte, a mask and the payload.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x1d, 0x2c, 0x3b, 0x4a];
    let mut frame = header(first, payload.len() as u64, true);
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The header of a frame with a payload of so many bytes, without the mask itself.
pub fn header(first: u8, length: u64, masked: bool) -> Vec<u8> {
    let mask = if masked { 0x80 } else { 0 };
    let mut header = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length), _) if length < 126 => header.push(mask | length),
        (_, Ok(length)) => {
            header.push(mask | 126);
            header.extend(length.to_be_bytes());
        }
        _ => {
            header.push(mask | 127);
            header.extend(length.to_be_bytes());
        }
    }
    header
}

/// The head of a response, byte by byte: what follows are frames.
async fn head(stream: &mut TcpStream) -> String {
    let read = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8_lossy(&head).into_owned()
    };
    timeout(raw::PATIENCE, read).await.unwrap_or_else(|_| panic!("the host has not answered in {:?}", raw::PATIENCE))
}
