//! HTTP/2 by hand: frames as an attacker sends them (RFC 9113, RFC 7541 without tables and Huffman codes).

use std::collections::BTreeSet;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

// The kinds of frames.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GO_AWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
// Their flags.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const ACK: u8 = 1;

/// A connection.
pub struct Connection {
    stream: TcpStream,
    next: u32,
    open: BTreeSet<u32>,
}

/// What a round of requests came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ended {
    /// Requests with a response.
    pub answered: usize,
    /// The host has ended the connection.
    pub closed: bool,
}

impl Connection {
    /// Connects, and takes all that the host sends.
    pub async fn open(url: &str) -> Self {
        let mut stream = crate::raw::connect(url).await;
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        // INITIAL_WINDOW_SIZE.
        bytes.extend(frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]));
        bytes.extend(frame(WINDOW_UPDATE, 0, 0, &0x7000_0000_u32.to_be_bytes()));
        let _ = stream.write_all(&bytes).await;
        Self { stream, next: 1, open: BTreeSet::new() }
    }

    /// Begins `count` requests at once; false when the host has ended the connection.
    pub async fn ask(&mut self, count: usize, path: &str, token: &str) -> bool {
        let block = headers(path, token);
        let mut bytes = Vec::new();
        for _ in 0..count {
            bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, self.next, &block));
            self.open.insert(self.next);
            self.next += 2;
        }
        self.stream.write_all(&bytes).await.is_ok()
    }

    /// Begins a request of these fields, pseudo-fields first, and this body.
    pub async fn ask_with(&mut self, fields: &[(&str, &str)], body: &[u8]) -> bool {
        let mut bytes = frame(HEADERS, END_HEADERS, self.next, &block(fields));
        bytes.extend(frame(DATA, END_STREAM, self.next, body));
        self.open.insert(self.next);
        self.next += 2;
        self.stream.write_all(&bytes).await.is_ok()
    }

    /// Begins `count` requests and takes each back at once.
    pub async fn ask_and_reset(&mut self, count: usize, path: &str, token: &str) -> bool {
        let block = headers(path, token);
        let mut bytes = Vec::new();
        for _ in 0..count {
            bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, self.next, &block));
            // CANCEL.
            bytes.extend(frame(RST_STREAM, 0, self.next, &8_u32.to_be_bytes()));
            self.next += 2;
        }
        self.stream.write_all(&bytes).await.is_ok()
    }

    /// Sends `count` pings.
    pub async fn ping(&mut self, count: usize) -> bool {
        self.stream.write_all(&frame(PING, 0, 0, &[7; 8]).repeat(count)).await.is_ok()
    }

    /// Reads until every request has its response, or the host ends the connection.
    pub async fn answers(&mut self) -> Ended {
        let mut ended = Ended::default();
        while !self.open.is_empty() {
            let Some((kind, flags, stream)) = self.read().await else {
                ended.closed = true;
                return ended;
            };
            let over = match kind {
                HEADERS | DATA => flags & END_STREAM > 0,
                RST_STREAM => true,
                _ => false,
            };
            if over && self.open.remove(&stream) {
                ended.answered += usize::from(kind != RST_STREAM);
            }
        }
        ended
    }

    /// Reads until the host ends the connection.
    pub async fn until_closed(&mut self) {
        while self.read().await.is_some() {}
    }

    /// The next frame: kind, flags, stream. Settings are acknowledged. None: the connection is ended.
    async fn read(&mut self) -> Option<(u8, u8, u32)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        if kind == SETTINGS && flags & ACK == 0 {
            self.stream.write_all(&frame(SETTINGS, ACK, 0, &[])).await.ok()?;
        }
        if kind == GO_AWAY {
            return None;
        }
        let [.., e, f, g, h] = head;
        Some((kind, flags, u32::from_be_bytes([e & 0x7f, f, g, h])))
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header block of literals that enter no table.
pub(crate) fn headers(path: &str, token: &str) -> Vec<u8> {
    let cookie = format!("token={token}");
    block(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", path),
        ("cookie", if token.is_empty() { "none=1" } else { &cookie }),
    ])
}

/// The same of any fields.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// A length in a prefix of 7 bits.
pub(crate) fn length(block: &mut Vec<u8>, mut length: usize) {
    if length < 127 {
        block.push(u8::try_from(length).unwrap_or_default());
        return;
    }
    block.push(127);
    length -= 127;
    while length >= 128 {
        block.push(u8::try_from(length % 128).unwrap_or_default() | 128);
        length /= 128;
    }
    block.push(u8::try_from(length).unwrap_or_default());
}
