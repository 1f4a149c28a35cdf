//! Servers of tests: each says what it is told to, whatever it is asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A server on loopback, until it is dropped.
pub(super) struct Served {
    port: u16,
    connections: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<u8>>>,
    task: JoinHandle<()>,
}

/// How a server goes on after its first bytes.
#[derive(Clone, Copy)]
enum Then {
    /// It closes.
    Close,
    /// It says the same again and again, with a pause.
    Drip(&'static [u8]),
    /// It says the same again and again, as fast as it goes.
    Flood(&'static [u8]),
}

/// One that says this and closes.
pub(super) async fn server(says: &[u8]) -> Served {
    Served::start(says, Then::Close).await
}

/// A port that nobody listens on.
pub(super) async fn nobody() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

impl Served {
    pub(super) async fn dripping(head: &[u8], again: &'static [u8]) -> Self {
        Self::start(head, Then::Drip(again)).await
    }

    pub(super) async fn flooding(head: &[u8], again: &'static [u8]) -> Self {
        Self::start(head, Then::Flood(again)).await
    }

    async fn start(head: &[u8], then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, heard) = (Arc::new(AtomicUsize::new(0)), Arc::<Mutex<Vec<u8>>>::default());
        let (counted, kept, head) = (connections.clone(), Arc::clone(&heard), head.to_vec());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(answer(stream, head.clone(), then, Arc::clone(&kept)));
            }
        });
        Self { port, connections, heard, task }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.authority())
    }

    /// How many connections there were.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// What it was asked first, by whoever asked last.
    pub(super) fn heard(&self) -> String {
        String::from_utf8(self.heard.lock().unwrap().clone()).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads a request to its end (its body is `hello`), and answers.
async fn answer(mut stream: TcpStream, head: Vec<u8>, then: Then, heard: Arc<Mutex<Vec<u8>>>) {
    let mut read = Vec::new();
    while !read.ends_with(b"hello") {
        match stream.read_buf(&mut read).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => break,
        }
    }
    *heard.lock().unwrap() = read;
    let mut more = stream.write_all(&head).await;
    while more.is_ok() {
        more = match then {
            Then::Close => break,
            Then::Drip(again) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                stream.write_all(again).await
            }
            Then::Flood(again) => stream.write_all(again).await,
        };
    }
}
