//! A client's TCP connection: the stream that hyper reads and writes, and the handle that can shut it down.
//!
//! A client that takes nothing of a response is given up; one that still sends when its connection is closed gets the
//! chance to read the response first.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::TcpStream;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::time::{Sleep, timeout};

use capability::refusals::{Refusal, Refusals};
use native::readiness::Registered;

use crate::listener::connections::Entry;

/// How long, and for how many bytes, a closed connection is read on: closing it with unread bytes would reset it, and the
/// client might lose the response.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 8 << 20;

/// A handle that shuts a connection down while a stream reads and writes it.
#[derive(Debug, Clone, Default)]
pub struct ConnectionHandle(Weak<TcpStream>);

impl ConnectionHandle {
    /// Of a stream; without effect once that is dropped.
    pub(super) fn new(stream: Weak<TcpStream>) -> Self {
        Self(stream)
    }

    /// Shuts both directions down at once.
    pub(crate) fn shut_down(&self) {
        if let Some(stream) = self.0.upgrade() {
            // An error means that it is closed already.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// The stream. It counts as one of the host's connections until it is dropped, also after an upgrade to a WebSocket.
pub(super) struct Stream {
    socket: Arc<Registered<Arc<TcpStream>>>,
    entry: Option<Entry>,
    write_time: Duration,
    /// Set while a write waits for the client.
    stalled: Option<Pin<Box<Sleep>>>,
    refusals: Arc<Refusals>,
    /// The client has closed its direction.
    ended: bool,
    /// This host has closed its own.
    shut: bool,
}

impl Stream {
    /// Of an accepted connection, on the runtime that this is called on. A write during which the client takes nothing for
    /// `write_time` fails.
    pub(super) fn new(
        socket: Arc<TcpStream>,
        entry: Entry,
        write_time: Duration,
        refusals: Arc<Refusals>,
    ) -> io::Result<Self> {
        let (socket, entry) =
            (Arc::new(Registered::new(socket, Interest::READABLE | Interest::WRITABLE)?), Some(entry));
        Ok(Self { socket, entry, write_time, stalled: None, refusals, ended: false, shut: false })
    }

    /// The handle that can shut it down.
    pub(super) fn handle(&self) -> ConnectionHandle {
        ConnectionHandle::new(Arc::downgrade(self.socket.get_ref()))
    }

    fn write(
        &mut self,
        context: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let Poll::Ready(ready) = self.socket.poll_write_ready(context) else {
                ready!(self.give_up(context));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            };
            if let Ok(done) = ready?.try_io(|socket| write(socket.get_ref())) {
                self.stalled = None;
                return Poll::Ready(done);
            }
        }
    }

    /// Ready when the client has taken nothing for too long.
    fn give_up(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let time = self.write_time;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        ready!(stalled.as_mut().poll(context));
        self.refusals.count(Refusal::ConnectionStalled);
        Poll::Ready(())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(context))?;
            let unfilled = buffer.initialize_unfilled();
            let read = ready.try_io(|socket| {
                let mut socket: &TcpStream = socket.get_ref();
                socket.read(unfilled)
            });
            let Ok(read) = read else { continue };
            match read {
                Ok(bytes) if bytes > 0 => {
                    buffer.advance(bytes);
                    if let Some(entry) = &self.entry {
                        entry.connection().received();
                    }
                }
                _ => self.ended = true,
            }
            return Poll::Ready(read.map(drop));
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(context, |mut socket| socket.write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(context, |mut socket| socket.write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shut = true;
        match self.socket.get_ref().shutdown(std::net::Shutdown::Write) {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.shut || self.ended {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (socket, entry) = (self.socket.clone(), self.entry.take());
            runtime.spawn(async move {
                let _ = timeout(LINGER, read_rest(&socket)).await;
                drop(entry);
            });
        }
    }
}

/// Reads what the client still sends, up to a bound.
async fn read_rest(socket: &Registered<Arc<TcpStream>>) {
    let (mut buffer, mut left) = ([0; 8 << 10], LINGER_BYTES);
    while left > 0 {
        let read = socket.async_io(Interest::READABLE, |socket| {
            let mut socket: &TcpStream = socket;
            socket.read(&mut buffer)
        });
        match read.await {
            Ok(0) | Err(_) => return,
            Ok(read) => left = left.saturating_sub(read),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::listener::ListenerOptions;
    use crate::listener::connections::Connections;

    struct Pair {
        client: tokio::net::TcpStream,
        stream: Stream,
        connections: Arc<Connections>,
        refusals: Arc<Refusals>,
    }

    async fn pair(write_time: Duration) -> Pair {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = tokio::net::TcpStream::connect(address).await.unwrap();
        let (accepted, peer) = listener.accept().await.unwrap();
        let refusals = Arc::<Refusals>::default();
        let connections = Arc::new(Connections::new(ListenerOptions::default(), refusals.clone()));
        let entry = Entry::admit(&connections, peer.ip(), ConnectionHandle::default()).unwrap();
        let accepted = Arc::new(accepted.into_std().unwrap());
        let stream = Stream::new(accepted, entry, write_time, refusals.clone()).unwrap();
        Pair { client, stream, connections, refusals }
    }

    #[tokio::test]
    async fn what_is_written_is_read_until_the_end() {
        let Pair { mut client, mut stream, connections, .. } = pair(Duration::from_secs(60)).await;
        let client = tokio::spawn(async move {
            client.write_all(b"question").await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        });
        let mut question = [0; 8];
        stream.read_exact(&mut question).await.unwrap();
        assert_eq!(&question, b"question");
        stream.write_all(&vec![b'a'; 1 << 20]).await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(client.await.unwrap().len(), 1 << 20);
        assert_eq!(stream.read(&mut question).await.unwrap(), 0);
        assert_eq!(connections.open(), 1);
        drop(stream);
        assert_eq!(connections.open(), 0);
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up() {
        let Pair { client, mut stream, refusals, .. } = pair(Duration::from_millis(200)).await;
        let failed = stream.write_all(&vec![b'a'; 64 << 20]).await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
        assert_eq!(refusals.of(Refusal::ConnectionStalled), 1);
        drop(client);
    }

    #[tokio::test]
    async fn a_client_that_still_sends_reads_the_whole_response() {
        let Pair { mut client, mut stream, connections, .. } = pair(Duration::from_secs(60)).await;
        client.write_all(&vec![b'q'; 200 << 10]).await.unwrap();
        stream.write_all(b"too large").await.unwrap();
        stream.shutdown().await.unwrap();
        drop(stream);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "too large");
        drop(client);
        while connections.open() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
