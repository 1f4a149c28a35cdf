//! Redis 7 or newer, alone or as a cluster: what the capabilities that run on it have in common.
//!
//! All calls share one connection that comes back by itself; while Redis is away they fail at once instead of waiting.
//! `listening` is a second connection, for what Redis says unasked. Nothing here knows what the keys are for.

mod connection;
mod listening;
mod near;

use std::sync::{Arc, Weak};
use std::time::Duration;

use ::redis::{Cmd, FromRedisValue, RedisError, ScriptInvocation};
use bytes::Bytes;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use super::Health;
use super::circuit::Circuit;
use connection::Connection;
pub(crate) use near::{Asked, Near};

/// No call waits longer for Redis.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long Redis is left alone after a call that it did not answer.
const PAUSE: Duration = Duration::from_millis(250);
/// When nobody had an answer for so long, Redis is asked for a sign of life.
const QUIET: Duration = Duration::from_secs(1);

/// Why Redis did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Redis refused it, and would again: a value of another kind, a number that is none.
    #[error("{0}")]
    Refused(String),
    /// Redis did not answer; whether something happened is not known.
    #[error("Redis is not available: {0}")]
    Away(String),
}

/// Where Redis is and what belongs to this network in it.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `redis://` or `rediss://`; several with commas between are nodes of a cluster.
    pub url: String,
    /// Before every key and channel, so that several networks can share a server.
    pub prefix: String,
    /// Keys that begin like one of these are kept near, in this process.
    pub near: Vec<String>,
}

/// What hosts tell each other over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// What is for sockets of others.
    Sockets,
    /// That something else is deployed.
    Deploys,
}

impl Channel {
    const ALL: [Self; 2] = [Self::Sockets, Self::Deploys];

    fn name(self) -> &'static str {
        match self {
            Self::Sockets => "sockets",
            Self::Deploys => "deploys",
        }
    }
}

/// A Redis server or cluster.
pub struct Redis {
    connection: Connection,
    prefix: String,
    circuit: Circuit,
    near: Arc<Near>,
    deploys: watch::Sender<()>,
}

impl Redis {
    /// The server or cluster of a URL, and what it will say on the channel for sockets. It need not be there yet. Needs a
    /// runtime.
    ///
    /// # Errors
    /// [`Error::Refused`] when the URL is none; the text does not repeat it, since it may have a password.
    pub fn open(options: Options) -> Result<(Arc<Self>, UnboundedReceiver<Bytes>), Error> {
        let connection = Connection::open(&options.url)?;
        // In a cluster every node would have to be listened to: there the near cache stays empty.
        let near = if connection.is_cluster() { Vec::new() } else { options.near };
        let near = Arc::new(Near::new(near));
        let (heard, listening) = tokio::sync::mpsc::unbounded_channel();
        let (prefix, circuit, deploys) = (options.prefix, Circuit::new(PAUSE), watch::Sender::new(()));
        let redis = Self { connection, prefix, circuit, near, deploys };
        listening::start(&redis, heard);
        let redis = Arc::new(redis);
        tokio::spawn(watch(Arc::downgrade(&redis)));
        Ok((redis, listening))
    }

    /// A key as Redis has it.
    pub fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// What is kept near.
    pub(crate) fn near(&self) -> &Arc<Near> {
        &self.near
    }

    /// How it is, by the last call; somebody asks about once a second.
    pub fn health(&self) -> Health {
        self.circuit.health()
    }

    /// Whether calls are answered, as far as is known.
    pub fn is_up(&self) -> bool {
        self.circuit.is_closed()
    }

    /// One command.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        self.bounded(self.connection.ask(command)).await
    }

    /// One script.
    pub async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Error> {
        self.bounded(self.connection.run(script)).await
    }

    /// Says something to all who listen, this process too.
    pub async fn publish(&self, channel: Channel, message: &[u8]) -> Result<(), Error> {
        let mut command = ::redis::cmd("PUBLISH");
        command.arg(self.key(channel.name())).arg(message);
        self.ask(&command).await
    }

    /// Changes each time that something was said on [`Channel::Deploys`], and each time that something may have been missed.
    pub fn deploys(&self) -> watch::Receiver<()> {
        self.deploys.subscribe()
    }

    /// One call within the patience of a caller, or none while Redis is known to be away.
    async fn bounded<T>(&self, call: impl Future<Output = Result<T, RedisError>>) -> Result<T, Error> {
        let pass = self.circuit.pass().ok_or_else(|| Error::Away("it did not answer the last call".into()))?;
        let answer = match tokio::time::timeout(PATIENCE, call).await {
            Err(_) => Err(Error::Away(format!("no answer in {PATIENCE:?}"))),
            Ok(Err(error)) => Err(told(&error)),
            Ok(Ok(answer)) => Ok(answer),
        };
        match &answer {
            Err(Error::Away(why)) => pass.failed(why),
            Ok(_) | Err(Error::Refused(_)) => pass.answered(),
        }
        answer
    }
}

/// Keeps what is known of Redis true on a host that has nothing to ask: it comes and goes there, too.
async fn watch(redis: Weak<Redis>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        let Some(redis) = redis.upgrade() else { return };
        if redis.circuit.is_unsure(QUIET) {
            // The circuit learns the answer; there is nobody else to tell.
            let _: Result<(), Error> = redis.ask(&::redis::cmd("PING")).await;
        }
    }
}

/// What Redis says of a value is the caller's business; everything else is Redis being away.
fn told(error: &RedisError) -> Error {
    let text = error.to_string();
    let of_the_value = ["WRONGTYPE", "not an integer", "would overflow"];
    if of_the_value.iter().any(|sign| text.contains(sign)) { Error::Refused(text) } else { Error::Away(text) }
}
