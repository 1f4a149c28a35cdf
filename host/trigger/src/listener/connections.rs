//! The open connections: how many there are, from which address, and which of them make room for others.
//!
//! A new connection is admitted at once or closed at once; it never waits for another one. When there are too many, those
//! that never had a request are closed first, then those that have been idle longest.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use capability::refusals::{Refusal, Refusals};

use crate::listener::fairness::Queues;
use crate::listener::{ConnectionHandle, ListenerOptions};

/// A part of the limit makes room together, so that finding it costs little for each.
const PART: usize = 64;

/// The open connections of a listener.
pub(super) struct Connections {
    options: ListenerOptions,
    refusals: Arc<Refusals>,
    begun: Instant,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    next: u64,
    open: HashMap<u64, Arc<Connection>>,
    addresses: HashMap<IpAddr, usize>,
}

/// One connection.
pub(super) struct Connection {
    number: u64,
    peer: IpAddr,
    is_of_proxy: bool,
    handle: ConnectionHandle,
    begun: Instant,
    /// When its last request ended, or when it was opened, in milliseconds since `begun`.
    last: AtomicU64,
    in_flight: AtomicU32,
    used: AtomicBool,
    /// Bytes have come since its last request.
    received: AtomicBool,
    /// What its requests wait for; see `fairness`.
    pub(super) queues: Queues,
}

/// The entry of an open connection, which is removed when this is dropped.
pub(super) struct Entry {
    connections: Arc<Connections>,
    connection: Arc<Connection>,
}

/// A request of a connection that is not answered yet.
pub(super) struct InFlight {
    connection: Arc<Connection>,
    is_alone: bool,
}

impl Connections {
    pub(super) fn new(options: ListenerOptions, refusals: Arc<Refusals>) -> Self {
        Self { options, refusals, begun: Instant::now(), table: Mutex::default() }
    }

    /// How many there are.
    pub(super) fn open(&self) -> usize {
        self.table().open.len()
    }

    /// Enters a connection; none when it has to be closed, because too many others are in use.
    fn admit(&self, peer: IpAddr, handle: ConnectionHandle) -> Option<Arc<Connection>> {
        let mut closed = Vec::new();
        let entered = self.enter(peer, handle, &mut closed);
        shut_down(&closed);
        entered
    }

    fn enter(
        &self,
        peer: IpAddr,
        handle: ConnectionHandle,
        closed: &mut Vec<Arc<Connection>>,
    ) -> Option<Arc<Connection>> {
        let mut table = self.table();
        let of_peer = table.addresses.get(&peer).copied().unwrap_or_default();
        if self.counts(peer) && of_peer >= self.options.per_address {
            let part = (self.options.per_address / PART).max(1);
            if !self.take_idle(&mut table, Some(peer), part, closed) {
                self.refusals.count(Refusal::ConnectionAddress);
                return None;
            }
        }
        if table.open.len() >= self.options.connections {
            let part = (self.options.connections / PART).max(1);
            if !self.take_idle(&mut table, None, part, closed) {
                self.refusals.count(Refusal::ConnectionFull);
                return None;
            }
        }
        table.next += 1;
        let connection = Arc::new(Connection {
            number: table.next,
            peer,
            is_of_proxy: self.options.proxies.trusts(peer),
            handle,
            begun: self.begun,
            last: AtomicU64::new(milliseconds(self.begun.elapsed())),
            in_flight: AtomicU32::new(0),
            used: AtomicBool::new(false),
            received: AtomicBool::new(false),
            queues: Queues::default(),
        });
        table.open.insert(connection.number, connection.clone());
        *table.addresses.entry(peer).or_default() += 1;
        Some(connection)
    }

    /// Closes some connections that do nothing.
    pub(super) fn make_room(&self) {
        let mut closed = Vec::new();
        self.take_idle(&mut self.table(), None, (self.options.connections / PART).max(1), &mut closed);
        shut_down(&closed);
    }

    /// Whether the limit of an address holds for this one.
    fn counts(&self, peer: IpAddr) -> bool {
        (self.options.count_loopback || !peer.is_loopback()) && !self.options.proxies.trusts(peer)
    }

    /// Removes some connections without a request, of one address or of all; false when there are none. They are to be shut down
    /// when the table is not locked any more: whoever ends a connection waits for it.
    fn take_idle(&self, table: &mut Table, of: Option<IpAddr>, part: usize, closed: &mut Vec<Arc<Connection>>) -> bool {
        let idle = |connection: &&Arc<Connection>| {
            of.is_none_or(|peer| connection.peer == peer) && connection.in_flight.load(Ordering::Relaxed) == 0
        };
        let mut idle: Vec<Arc<Connection>> = table.open.values().filter(idle).cloned().collect();
        let order = |connection: &Arc<Connection>| {
            (connection.is_used(), connection.last.load(Ordering::Relaxed), connection.number)
        };
        if idle.len() > part {
            idle.select_nth_unstable_by_key(part, order);
            idle.truncate(part);
        }
        for connection in &idle {
            self.refusals.count(Refusal::ConnectionIdle);
            table.remove(connection);
        }
        let some = !idle.is_empty();
        closed.append(&mut idle);
        some
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shut_down(connections: &[Arc<Connection>]) {
    connections.iter().for_each(|connection| connection.handle.shut_down());
}

impl Entry {
    /// Of a new connection; none when it has to be closed, because too many others are in use.
    pub(super) fn admit(connections: &Arc<Connections>, peer: IpAddr, handle: ConnectionHandle) -> Option<Self> {
        let connection = connections.admit(peer, handle)?;
        Some(Self { connections: connections.clone(), connection })
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.connections.table().remove(&self.connection);
    }
}

impl Table {
    /// Once; a second call does nothing.
    fn remove(&mut self, connection: &Connection) {
        if self.open.remove(&connection.number).is_none() {
            return;
        }
        if let Some(count) = self.addresses.get_mut(&connection.peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.addresses.remove(&connection.peer);
            }
        }
    }
}

impl Connection {
    /// The client's end.
    pub(super) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Whether it is a trusted proxy's, which carries many clients on one connection.
    pub(super) fn is_of_proxy(&self) -> bool {
        self.is_of_proxy
    }

    /// Bytes have come.
    pub(super) fn received(&self) {
        self.received.store(true, Ordering::Relaxed);
    }

    /// A request has come.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.used.store(true, Ordering::Relaxed);
        let others = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let is_alone = self.received.swap(false, Ordering::Relaxed) && others == 0;
        InFlight { connection: self.clone(), is_alone }
    }

    /// It belongs to a WebSocket from now on, which has limits of its own.
    pub(super) fn upgraded(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it ever had a request.
    pub(super) fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// How long it has had no request; none while it has one.
    pub(super) fn idle_for(&self) -> Option<Duration> {
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        Some(self.begun.elapsed().saturating_sub(last))
    }
}

impl InFlight {
    /// Whether it did not come with others: its connection has none that is not answered, and the bytes that it came in did
    /// not begin with another one.
    pub(super) fn is_alone(&self) -> bool {
        self.is_alone
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let connection = &self.connection;
        connection.last.store(milliseconds(connection.begun.elapsed()), Ordering::Relaxed);
        connection.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn connections(connections: usize, per_address: usize) -> (Connections, Arc<Refusals>) {
        let refusals = Arc::<Refusals>::default();
        let options = ListenerOptions { connections, per_address, ..ListenerOptions::default() };
        (Connections::new(options, refusals.clone()), refusals)
    }

    fn admit(connections: &Connections, peer: IpAddr) -> Option<Arc<Connection>> {
        connections.admit(peer, ConnectionHandle::default())
    }

    #[test]
    fn silent_connections_make_room_and_those_in_use_do_not() {
        let (table, refusals) = connections(3, 3);
        let busy = admit(&table, HERE).unwrap();
        let request = busy.begin();
        let silent = admit(&table, HERE).unwrap();
        let used = admit(&table, THERE).unwrap();
        drop(used.begin());
        let fourth = admit(&table, THERE).unwrap();
        assert!(!table.table().open.contains_key(&silent.number), "it never had a request");
        let requests = [used.begin(), fourth.begin()];
        assert!(admit(&table, THERE).is_none(), "all of them are in use");
        assert_eq!(refusals.of(Refusal::ConnectionIdle), 1);
        assert_eq!(refusals.of(Refusal::ConnectionFull), 1);
        drop((request, requests));
        assert!(admit(&table, THERE).is_some());
        assert_eq!(table.open(), 3, "one that was in use made room");
    }

    #[test]
    fn an_address_makes_room_for_itself_only() {
        let (table, refusals) = connections(100, 2);
        let other = admit(&table, THERE).unwrap();
        let first = admit(&table, HERE).unwrap();
        let _second = admit(&table, HERE).unwrap();
        let _third = admit(&table, HERE).unwrap();
        assert!(!table.table().open.contains_key(&first.number) && table.table().open.contains_key(&other.number));
        assert_eq!(table.table().addresses.get(&HERE), Some(&2));
        let in_use: Vec<_> = table.table().open.values().map(Connection::begin).collect();
        assert!(admit(&table, HERE).is_none());
        assert_eq!(refusals.of(Refusal::ConnectionAddress), 1);
        assert!((0..10).all(|_| admit(&table, LOOPBACK).is_some()), "this machine has no limit of its own");
        drop(in_use);
    }

    #[test]
    fn nothing_is_kept_of_what_is_closed() {
        let table = Arc::new(connections(2, 2).0);
        let entry = |peer| Entry::admit(&table, peer, ConnectionHandle::default()).unwrap();
        let [first, second, third] = [HERE, HERE, THERE].map(entry);
        assert!(!table.table().open.contains_key(&first.connection().number), "it made room");
        drop((first, second, third));
        let table = table.table();
        assert!(table.open.is_empty() && table.addresses.is_empty());
    }

    #[test]
    fn a_request_is_alone_unless_it_comes_with_others() {
        let (table, _) = connections(10, 10);
        let connection = admit(&table, HERE).unwrap();
        connection.received();
        let first = connection.begin();
        let pipelined = connection.begin();
        connection.received();
        let beside = connection.begin();
        assert_eq!([&first, &pipelined, &beside].map(InFlight::is_alone), [true, false, false]);
        drop((first, pipelined, beside));
        connection.received();
        assert!(connection.begin().is_alone());
        assert!(!connection.begin().is_alone(), "it was in the same bytes");
    }
}
