//! A line from one host to a server, which can be cut without a word: nobody is told, and nothing comes through.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Listens on a port of its own and carries what comes to the server's.
pub struct Line {
    port: u16,
    open: watch::Sender<bool>,
    listening: JoinHandle<()>,
}

/// What a server says about where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// Nothing that a client follows.
    Anything,
    /// Kafka: its answers name the broker's address, to which clients connect next.
    Kafka,
}

impl Line {
    /// To a server on a port of this machine, which need not be up.
    pub async fn to(server: u16, speaks: Speaks) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port for a line");
        let port = listener.local_addr().expect("the port of a line").port();
        let (open, whether) = watch::channel(true);
        let renamed = (speaks == Speaks::Kafka).then(|| (kafka_address(server), kafka_address(port)));
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, server, whether.clone(), renamed));
            }
        });
        Self { port, open, listening }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on nothing comes through. Connections stay open and new ones are taken, as in a network that loses
    /// everything; what is said meanwhile comes through when the line is restored.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Everything comes through again.
    pub fn restore(&self) {
        self.open.send_replace(true);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// A name in an answer, and what stands there instead; both are of one length.
type Renamed = Option<([u8; 13], [u8; 13])>;

/// An address as Kafka's answers have it.
fn kafka_address(port: u16) -> [u8; 13] {
    let mut address = *b"127.0.0.1\0\0\0\0";
    if let Some(end) = address.last_chunk_mut() {
        *end = i32::from(port).to_be_bytes();
    }
    address
}

async fn connect(client: TcpStream, server: u16, mut open: watch::Receiver<bool>, renamed: Renamed) {
    if open.wait_for(|open| *open).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((questions, answers), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::join!(carry(questions, to_server, open.clone(), None), carry(from_server, answers, open, renamed));
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut open: watch::Receiver<bool>, renamed: Renamed) {
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let read = match &renamed {
            None => from.read_buf(&mut bytes).await.unwrap_or(0),
            Some((old, new)) => frame(&mut from, &mut bytes, old, new).await,
        };
        if open.wait_for(|open| *open).await.is_err() || read == 0 || to.write_all(&bytes).await.is_err() {
            // Dropped, its half says so to the other side.
            return;
        }
    }
}

/// Reads a whole answer, which has its length in front, so that no address in it is in two pieces.
async fn frame(from: &mut OwnedReadHalf, bytes: &mut Vec<u8>, old: &[u8; 13], new: &[u8; 13]) -> usize {
    let Ok(length) = from.read_u32().await else { return 0 };
    bytes.extend(length.to_be_bytes());
    if !matches!(from.take(length.into()).read_to_end(bytes).await, Ok(read) if u32::try_from(read) == Ok(length)) {
        return 0;
    }
    let found: Vec<usize> =
        bytes.windows(old.len()).enumerate().filter(|(_, at)| at == old).map(|(at, _)| at).collect();
    for at in found {
        if let Some(place) = bytes.get_mut(at..at + new.len()) {
            place.copy_from_slice(new);
        }
    }
    bytes.len()
}
