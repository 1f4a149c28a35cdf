//! The door: accepts connections, has those that have not sent the header of a request yet, and closes those that do nothing.
//!
//! It is a thread of its own, which gives way to those that serve. However many clients connect, send nothing or half a header
//! and go, the runtime of requests does not hear of them; of one that has been served it hears little more than that it is gone.

use std::io;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use capability::refusals::{Refusal, Refusals};
use native::readiness::Registered;

use crate::listener::ConnectionHandle;
use crate::listener::connections::{Connections, Entry};

/// After an accept that failed: at once it would fail again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The priority of the thread (nice(2)): who is being served goes before who comes.
const PRIORITY: i32 = 10;
/// The most bytes of a header that are waited for here. HTTP's server waits for the rest.
const HEADER: usize = 8 << 10;
/// The most headers of a request, as in HTTP's server.
const HEADERS: usize = 100;

/// The door of a listener. Who waits there is sent away when this is dropped.
pub(super) struct Door {
    /// True: no more connections are accepted.
    ending: watch::Sender<bool>,
    closing: mpsc::UnboundedSender<Ended>,
}

/// What is left of a connection that is over: its socket is closed when this is dropped.
pub(super) type Ended = Box<dyn Send>;

/// A connection that has to be served: the header of its first request is there, or something that is none.
pub(super) struct Arrival {
    pub(super) socket: Arc<TcpStream>,
    pub(super) entry: Entry,
    /// Until then its first request has to be read.
    pub(super) deadline: Instant,
}

/// The connections that have to be served, as they come.
pub(super) type Arrivals = mpsc::UnboundedReceiver<io::Result<Arrival>>;

impl Door {
    /// Opens the door of a listener, whose connections may take `first_request` for the header of their first request. They
    /// arrive where it has come; an error arrives when the door can't be kept open.
    pub(super) fn open(
        listener: tokio::net::TcpListener,
        first_request: Duration,
        connections: Arc<Connections>,
        refusals: Arc<Refusals>,
    ) -> io::Result<(Self, Arrivals)> {
        let listener = listener.into_std()?;
        let (ending, ended) = watch::channel(false);
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let (closing, closed) = mpsc::unbounded_channel();
        let porter = Porter { first_request, connections, refusals, arrived: arrived.clone() };
        std::thread::Builder::new().name("door".into()).spawn(move || {
            give_way();
            if let Err(error) = porter.work(listener, ended, closed) {
                _ = arrived.send(Err(error));
            }
        })?;
        Ok((Self { ending, closing }, arrivals))
    }

    /// Accepts no more connections. Those that were accepted may still send their request.
    pub(super) fn accept_no_more(&self) {
        self.ending.send_replace(true);
    }

    /// Where connections go that are over, and had no request under way.
    pub(super) fn closing(&self) -> mpsc::UnboundedSender<Ended> {
        self.closing.clone()
    }
}

/// What is done at the door.
#[derive(Clone)]
struct Porter {
    first_request: Duration,
    connections: Arc<Connections>,
    refusals: Arc<Refusals>,
    arrived: mpsc::UnboundedSender<io::Result<Arrival>>,
}

impl Porter {
    /// Works on a runtime of its own, until the door is dropped.
    fn work(
        self,
        listener: TcpListener,
        mut ending: watch::Receiver<bool>,
        mut closing: mpsc::UnboundedReceiver<Ended>,
    ) -> io::Result<()> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
            let listener = Registered::new(listener, Interest::READABLE)?;
            tokio::spawn(async move {
                while let Some(ended) = closing.recv().await {
                    drop(ended);
                }
            });
            tokio::select! {
                _ = ending.wait_for(|ending| *ending) => {}
                () = self.accept(listener) => {}
            }
            while ending.changed().await.is_ok() {}
            Ok(())
        })
    }

    async fn accept(&self, listener: Registered<TcpListener>) {
        loop {
            match listener.async_io(Interest::READABLE, TcpListener::accept).await {
                Ok((socket, peer)) => self.admit(socket, peer.ip().to_canonical()),
                Err(error) => {
                    tracing::warn!("accepting failed: {error}");
                    // Out of file descriptors: those that do nothing make room.
                    self.connections.make_room();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(&self, socket: TcpStream, peer: IpAddr) {
        // A response is written at once; waiting to fill a segment would only delay it.
        let _ = socket.set_nodelay(true);
        if socket.set_nonblocking(true).is_err() {
            return;
        }
        let socket = Arc::new(socket);
        let handle = ConnectionHandle::new(Arc::downgrade(&socket));
        if let Some(entry) = Entry::admit(&self.connections, peer, handle) {
            let deadline = Instant::now() + self.first_request;
            tokio::spawn(self.clone().wait(Arrival { socket, entry, deadline }));
        }
    }

    /// Waits until a connection has to be served, or is closed.
    async fn wait(self, arrival: Arrival) {
        match timeout_at(arrival.deadline, first_header(&arrival.socket)).await {
            Ok(Ok(())) => _ = self.arrived.send(Ok(arrival)),
            // It was closed.
            Ok(Err(_)) => {}
            Err(_) => self.refusals.count(Refusal::ConnectionSilent),
        }
    }
}

/// Waits for the header of the first request. The bytes stay in the socket. The error: there will be none.
async fn first_header(socket: &Arc<TcpStream>) -> io::Result<()> {
    // Most clients ask as soon as they are connected.
    if has_header(socket)? {
        return Ok(());
    }
    let readable = Registered::new(socket.clone(), Interest::READABLE)?;
    loop {
        let mut ready = readable.readable().await?;
        if has_header(socket)? {
            return Ok(());
        }
        if ready.ready().is_read_closed() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        ready.clear_ready();
    }
}

/// Whether a socket has the header of a request, or bytes that don't become one: HTTP/2 begins with such ones.
fn has_header(socket: &TcpStream) -> io::Result<bool> {
    let mut bytes = [0; HEADER];
    match socket.peek(&mut bytes) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(HEADER) => Ok(true),
        Ok(read) => Ok(!is_half(bytes.get(..read).unwrap_or_default())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether these bytes are the beginning of a request's header, and not all of it.
fn is_half(bytes: &[u8]) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    httparse::Request::new(&mut headers).parse(bytes).is_ok_and(|status| status.is_partial())
}

/// Gives the calling thread a lower priority: Linux has one for each thread, and without a process's id it is this thread's.
fn give_way() {
    if let Err(error) = rustix::process::setpriority_process(None, PRIORITY) {
        tracing::warn!(%error, "the door has the usual priority");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::listener::ListenerOptions;

    struct Opened {
        address: std::net::SocketAddr,
        door: Door,
        arrivals: Arrivals,
        connections: Arc<Connections>,
        refusals: Arc<Refusals>,
    }

    async fn opened(options: ListenerOptions) -> Opened {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, first_request) = (listener.local_addr().unwrap(), options.first_request);
        let refusals = Arc::<Refusals>::default();
        let connections = Arc::new(Connections::new(options, refusals.clone()));
        let (door, arrivals) = Door::open(listener, first_request, connections.clone(), refusals.clone()).unwrap();
        Opened { address, door, arrivals, connections, refusals }
    }

    impl Opened {
        async fn connect(&self) -> tokio::net::TcpStream {
            tokio::net::TcpStream::connect(self.address).await.unwrap()
        }

        /// Until so many are open.
        async fn open(&self, count: usize) {
            while self.connections.open() != count {
                tokio::task::yield_now().await;
            }
        }
    }

    /// The host has closed it.
    async fn is_closed(client: &mut tokio::net::TcpStream) -> bool {
        matches!(client.read(&mut [0]).await, Ok(0) | Err(_))
    }

    #[test]
    fn half_a_header_is_known() {
        for half in ["G", "\r\n", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nhost: a\r\n", "PRI * HTTP/"] {
            assert!(is_half(half.as_bytes()), "{half:?}");
        }
        let headers = "a: b\r\n".repeat(HEADERS + 1);
        for served in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.0\nhost: a\n\n",
            "POST / HTTP/1.1\r\nhost: a\r\n\r\nbody",
            // HTTP's server refuses these at once, in its own words.
            "PRI * HTTP/2.0",
            "\x16\x03\x01",
            "GET / HTTP/1.1\r\n a: b",
            &format!("GET / HTTP/1.1\r\n{headers}"),
        ] {
            assert!(!is_half(served.as_bytes()), "{served:?}");
        }
    }

    #[tokio::test]
    async fn a_connection_is_served_when_its_header_is_there() {
        let mut opened = opened(ListenerOptions::default()).await;
        let (mut halved, mut whole) = (opened.connect().await, opened.connect().await);
        let header = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        halved.write_all(&header[..header.len() - 1]).await.unwrap();
        opened.open(2).await;
        whole.write_all(header).await.unwrap();
        let arrival = opened.arrivals.recv().await.unwrap().unwrap();
        assert_eq!(arrival.socket.peer_addr().unwrap(), whole.local_addr().unwrap());
        assert!(opened.arrivals.try_recv().is_err(), "the other one has sent a half");
        halved.write_all(b"\n").await.unwrap();
        let arrival = opened.arrivals.recv().await.unwrap().unwrap();
        assert_eq!(arrival.socket.peer_addr().unwrap(), halved.local_addr().unwrap());
        // No byte was taken.
        let mut bytes = [0; HEADER];
        assert_eq!(arrival.socket.peek(&mut bytes).unwrap(), header.len());
    }

    #[tokio::test]
    async fn who_sends_no_header_in_time_is_sent_away() {
        let first_request = Duration::from_millis(50);
        let mut opened = opened(ListenerOptions { first_request, ..ListenerOptions::default() }).await;
        for bytes in [&b""[..], b"GET / HTTP/1.1\r\n"] {
            let mut client = opened.connect().await;
            client.write_all(bytes).await.unwrap();
            assert!(is_closed(&mut client).await, "{bytes:?}");
        }
        opened.open(0).await;
        assert_eq!(opened.refusals.of(Refusal::ConnectionSilent), 2);
        assert!(opened.arrivals.try_recv().is_err());
    }

    #[tokio::test]
    async fn who_goes_or_makes_room_is_not_served() {
        let options = ListenerOptions { connections: 2, ..ListenerOptions::default() };
        let mut opened = opened(options).await;
        let mut first = opened.connect().await;
        opened.open(1).await;
        let mut second = opened.connect().await;
        opened.open(2).await;
        let mut third = opened.connect().await;
        assert!(is_closed(&mut first).await, "it made room");
        assert_eq!(opened.refusals.of(Refusal::ConnectionIdle), 1);
        for client in [&mut second, &mut third] {
            client.write_all(b"GET / HT").await.unwrap();
            client.shutdown().await.unwrap();
            assert!(is_closed(client).await);
        }
        opened.open(0).await;
        assert!(opened.arrivals.try_recv().is_err());
    }

    #[tokio::test]
    async fn what_is_over_is_closed_at_the_door() {
        struct Connection(Option<tokio::sync::oneshot::Sender<Option<String>>>);

        impl Drop for Connection {
            fn drop(&mut self) {
                let thread = std::thread::current().name().map(str::to_owned);
                self.0.take().unwrap().send(thread).unwrap();
            }
        }

        let opened = opened(ListenerOptions::default()).await;
        let (closes, closed) = tokio::sync::oneshot::channel();
        assert!(opened.door.closing().send(Box::new(Connection(Some(closes)))).is_ok());
        assert_eq!(closed.await.unwrap().as_deref(), Some("door"));
    }

    #[tokio::test]
    async fn an_ending_host_lets_those_in_that_were_accepted() {
        let mut opened = opened(ListenerOptions::default()).await;
        let (mut in_time, mut late) = (opened.connect().await, opened.connect().await);
        opened.open(2).await;
        opened.door.accept_no_more();
        while tokio::net::TcpStream::connect(opened.address).await.is_ok() {}
        in_time.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let arrival = opened.arrivals.recv().await.unwrap().unwrap();
        drop(opened.door);
        assert!(is_closed(&mut late).await);
        drop(arrival);
        assert!(opened.arrivals.recv().await.is_none());
        while opened.connections.open() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
