//! The limits of a listener.

use std::time::Duration;

use crate::proxies::Proxies;

/// The limits of a listener. Each has a default that a small network never meets.
#[derive(Debug, Clone)]
pub struct ListenerOptions {
    /// Connections at once, sockets included. With one more, some that have no request make room; where there are none, it
    /// is closed.
    pub connections: usize,
    /// The same of one address. Proxies that are trusted and this machine itself have no limit of their own.
    pub per_address: usize,
    /// The proxies that have no limit of their own.
    pub proxies: Proxies,
    /// This machine itself has one, too.
    pub count_loopback: bool,
    /// How long a client may take from connecting to the end of its first request's header.
    pub first_request: Duration,
    /// How long an HTTP/1 client may take from one response to the end of the next request's header.
    pub header_time: Duration,
    /// How long a connection may be without a request.
    pub idle: Duration,
    /// How long a client may take nothing of a response.
    pub write_time: Duration,
    /// The most that is buffered of a request's header, in bytes.
    pub buffer: usize,
    /// Requests at once on one HTTP/2 connection.
    pub streams: u32,
    /// How long a graceful shutdown may take.
    pub drain_time: Duration,
}

impl Default for ListenerOptions {
    fn default() -> Self {
        Self {
            connections: 16_000,
            per_address: 1_000,
            proxies: Proxies::default(),
            count_loopback: false,
            first_request: Duration::from_secs(10),
            header_time: Duration::from_secs(30),
            idle: Duration::from_secs(120),
            write_time: Duration::from_secs(30),
            buffer: 64 << 10,
            streams: 128,
            drain_time: Duration::from_secs(30),
        }
    }
}

impl ListenerOptions {
    /// For the operator's side, which few use.
    pub fn for_operators() -> Self {
        Self {
            connections: 512,
            header_time: Duration::from_secs(20),
            drain_time: Duration::from_secs(1),
            ..Self::default()
        }
    }
}
