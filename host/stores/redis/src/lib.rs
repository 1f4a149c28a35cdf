//! Redis 7 or newer, alone or as a cluster: the cache, the leases and the messages between hosts.
//!
//! All calls share one connection that reconnects by itself; while Redis does not answer they fail at once instead of waiting.
//! `listening` is a second connection, for push messages. Nothing here knows what the keys are for.

#![forbid(unsafe_code)]

mod cache;
mod client_cache;
mod connection;
mod flights;
mod leases;
mod listening;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use ::redis::{Cmd, FromRedisValue, RedisError, ScriptInvocation};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

pub use cache::RedisCache;
use capability::circuit::Circuit;
use capability::health::Health;
use capability::hosts::{Channel, Peers};
pub(crate) use client_cache::{ClientCache, ReadVersion};
use connection::Connection;
pub use leases::RedisLeases;

/// The timeout of a call.
const TIMEOUT: Duration = Duration::from_millis(500);
/// The circuit's pause after a call that was not answered.
const PAUSE: Duration = Duration::from_millis(250);
/// Redis is pinged when no call was answered for this long.
const QUIET: Duration = Duration::from_secs(1);
/// For how long a refused write counts as the state of Redis.
const NOTED: Duration = Duration::from_secs(5);

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Redis refused it, and would again: a value of another type, a value that is no number.
    #[error("{0}")]
    Refused(String),
    /// Redis answers, but takes no writes for now: it is full, it can't save, or it is a replica. Reads go on.
    #[error("Redis takes no writes now: {0}")]
    WritesRefused(String),
    /// Redis did not answer; whether a write happened is not known.
    #[error("Redis is not available: {0}")]
    Away(String),
}

/// The address of Redis and this network's names in it.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `redis://` or `rediss://`; several, separated by commas, are nodes of a cluster.
    pub url: String,
    /// The prefix of every key and channel, so that several networks can share a server.
    pub prefix: String,
    /// The prefixes of the keys that the client cache of this process has.
    pub near: Vec<String>,
}

/// The subscribed channels.
const CHANNELS: [Channel; 2] = [Channel::Sockets, Channel::Deploys];

/// The name of a channel in Redis, after the prefix.
fn channel_name(channel: Channel) -> &'static str {
    match channel {
        Channel::Sockets => "sockets",
        Channel::Deploys => "deploys",
    }
}

/// A Redis server or cluster.
pub struct Redis {
    connection: Connection,
    prefix: String,
    circuit: Circuit,
    client_cache: Arc<ClientCache>,
    deploys: watch::Sender<()>,
    /// The connection for push messages is open.
    hears: Arc<AtomicBool>,
    /// When it refused a write last, and why.
    refused_write: Mutex<Option<(Instant, String)>>,
}

impl Redis {
    /// The server or cluster of a URL, and the messages of the channel for sockets. It need not be up yet. Needs a runtime.
    ///
    /// # Errors
    /// [`Error::Refused`] when the URL is malformed; the text does not repeat it, since it may have a password.
    pub fn open(options: Options) -> Result<(Arc<Self>, UnboundedReceiver<Bytes>), Error> {
        let connection = Connection::open(&options.url)?;
        // In a cluster every node sends its own invalidations: there the client cache stays empty.
        let prefixes = if connection.is_cluster() { Vec::new() } else { options.near };
        let client_cache = Arc::new(ClientCache::new(prefixes));
        let (messages, received) = tokio::sync::mpsc::unbounded_channel();
        let (prefix, circuit, deploys) = (options.prefix, Circuit::new(PAUSE), watch::Sender::new(()));
        let (hears, refused_write) = (Arc::default(), Mutex::default());
        let redis = Self { connection, prefix, circuit, client_cache, deploys, hears, refused_write };
        listening::start(&redis, messages);
        let redis = Arc::new(redis);
        tokio::spawn(watch(Arc::downgrade(&redis)));
        Ok((redis, received))
    }

    /// The full name of a key in Redis.
    pub fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    pub(crate) fn client_cache(&self) -> &Arc<ClientCache> {
        &self.client_cache
    }

    /// Its health, by the last calls; there is one about every second.
    pub fn health(&self) -> Health {
        let refused = self.refused_write.lock().unwrap_or_else(PoisonError::into_inner);
        match (self.circuit.health(), refused.as_ref()) {
            (Health::Up, Some((at, why))) if at.elapsed() < NOTED => Health::Degraded(why.clone()),
            (health, _) => health,
        }
    }

    /// Says that Redis takes no writes, once until it takes them for a while.
    fn note_refused_write(&self, why: &str) {
        let mut refused = self.refused_write.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.as_ref().is_none_or(|(at, _)| at.elapsed() >= NOTED) {
            tracing::warn!(why, "Redis answers, but takes no writes; if it is full, give it more memory");
        }
        *refused = Some((Instant::now(), why.to_owned()));
    }

    /// Runs one command.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        self.bounded(self.connection.ask(command)).await
    }

    /// Runs one script.
    pub async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Error> {
        self.bounded(self.connection.run(script)).await
    }

    /// One call within [`TIMEOUT`]; fails at once while the circuit is open.
    async fn bounded<T>(&self, call: impl Future<Output = Result<T, RedisError>>) -> Result<T, Error> {
        let pass = self.circuit.pass().ok_or_else(|| Error::Away("it did not answer the last call".into()))?;
        let answer = match tokio::time::timeout(TIMEOUT, call).await {
            Err(_) => Err(Error::Away(format!("no answer in {TIMEOUT:?}"))),
            Ok(Err(error)) => Err(redis_error(&error)),
            Ok(Ok(answer)) => Ok(answer),
        };
        match &answer {
            Err(Error::Away(why)) => pass.failed(why),
            Err(Error::WritesRefused(why)) => {
                pass.answered();
                self.note_refused_write(why);
            }
            Ok(_) | Err(Error::Refused(_)) => pass.answered(),
        }
        answer
    }
}

#[async_trait]
impl Peers for Redis {
    async fn publish(&self, channel: Channel, message: &[u8]) -> Result<(), String> {
        let mut command = ::redis::cmd("PUBLISH");
        command.arg(self.key(channel_name(channel))).arg(message);
        self.ask(&command).await.map_err(|error| error.to_string())
    }

    fn is_up(&self) -> bool {
        self.circuit.is_closed()
    }

    fn hears(&self) -> bool {
        self.hears.load(Ordering::Relaxed)
    }

    fn deploys(&self) -> watch::Receiver<()> {
        self.deploys.subscribe()
    }
}

/// Pings Redis on a host without calls, so that its health stays current.
async fn watch(redis: Weak<Redis>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        let Some(redis) = redis.upgrade() else { return };
        if redis.circuit.is_unsure(QUIET) {
            // The circuit records the outcome.
            let _: Result<(), Error> = redis.ask(&::redis::cmd("PING")).await;
        }
    }
}

/// An error about a value is refused, and so is a write where reads go on; every other one counts as no answer.
fn redis_error(error: &RedisError) -> Error {
    let text = error.to_string();
    let of_the_value = ["WRONGTYPE", "not an integer", "would overflow"];
    if of_the_value.iter().any(|words| text.contains(words)) {
        return Error::Refused(text);
    }
    match error.code() {
        Some("OOM" | "MISCONF" | "READONLY" | "NOREPLICAS") => Error::WritesRefused(text),
        _ => Error::Away(text),
    }
}
