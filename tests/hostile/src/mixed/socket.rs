//! A WebSocket with a Socket.IO session, by hand: what an attacker sends, and what a good client does with it.

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::lane::connect;
use crate::websocket::{CLOSE, FINAL, HANDSHAKE, PATH, TEXT, frame, received};

const PONG: u8 = 10;
/// What a ping has in it whose answer says that a connection goes on.
pub(super) const MARK: &[u8; 8] = b"go on? \n";

/// A WebSocket.
pub struct Socket {
    stream: BufReader<TcpStream>,
    asked: u64,
}

impl Socket {
    /// Opens one at `127.0.0.1:PORT`, whose handshake shows a session's token, or none where that is empty. The error is
    /// the status of the answer, if there is one.
    ///
    /// # Errors
    /// When there is no upgrade.
    pub async fn open(host: &str, token: &str) -> Result<Self, Option<u16>> {
        let mut stream = BufReader::new(connect(host).await);
        let cookie = if token.is_empty() { String::new() } else { format!("Cookie: token={token}\r\n") };
        let request = format!("GET {PATH} HTTP/1.1\r\nHost: {host}\r\n{HANDSHAKE}{cookie}\r\n");
        stream.write_all(request.as_bytes()).await.map_err(|_| None)?;
        let (mut status, mut line) = (None, String::new());
        while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
            if status.is_none() {
                status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
            }
            if line.trim_end().is_empty() {
                break;
            }
            line.clear();
        }
        let mut socket = Self { stream, asked: 0 };
        // The first packet of the session.
        if status == Some(101) && socket.text().await.is_some() { Ok(socket) } else { Err(status) }
    }

    /// Connects the session with this auth, JSON or not; false when the host refuses or closes.
    pub async fn connect(&mut self, auth: &str) -> bool {
        self.send_text(&format!("40{auth}")).await && self.text().await.is_some_and(|text| text.starts_with("40"))
    }

    /// Sends an event with its arguments, a JSON list, and waits for the acknowledgement, a JSON list as well. None: the
    /// host has closed.
    pub async fn ask(&mut self, arguments: &str) -> Option<String> {
        self.asked += 1;
        let begins = format!("43{}[", self.asked);
        if !self.send_text(&format!("42{}{arguments}", self.asked)).await {
            return None;
        }
        loop {
            let text = self.text().await?;
            if text.starts_with(&begins) {
                return Some(text);
            }
        }
    }

    /// Sends bytes; false when the host has closed.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    async fn send_text(&mut self, text: &str) -> bool {
        self.send(&frame(FINAL | TEXT, text.as_bytes())).await
    }

    /// Nothing more is sent.
    pub(super) async fn end(&mut self) {
        // One that the host has closed is ended already.
        let _ = self.stream.shutdown().await;
    }

    /// Whether the host answers the ping with the mark, and does not close before.
    pub(super) async fn goes_on(&mut self) -> bool {
        loop {
            match received(&mut self.stream).await {
                Some((PONG, payload)) if payload == MARK => return true,
                Some((CLOSE, _)) | None => return false,
                Some(_) => {}
            }
        }
    }

    /// The next text that is no ping; those are answered. None: the host has closed.
    async fn text(&mut self) -> Option<String> {
        loop {
            match received(&mut self.stream).await? {
                (TEXT, payload) if payload == b"2" => _ = self.send_text("3").await,
                (TEXT, payload) => return Some(String::from_utf8_lossy(&payload).into_owned()),
                (CLOSE, _) => return None,
                _ => {}
            }
        }
    }
}
