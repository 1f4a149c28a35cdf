//! Listening: a connection for push messages, namely invalidations of tracked keys and messages of other hosts.
//!
//! Redis is pinged continuously: only that distinguishes a frozen server or a broken connection from one without messages.
//! Push messages before an answer are applied before it extends the validity of the client cache.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, Msg, PushInfo, PushKind, RedisError, Value};
use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;

use crate::{CHANNELS, channel_name};
use crate::{ClientCache, Redis};
use capability::hosts::Channel;

/// The pause between two pings.
const PING_INTERVAL: Duration = Duration::from_millis(80);
/// The timeout of a ping and of connecting.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The pause before the first try to connect again; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// What a listener needs to connect again.
struct Listener {
    seeds: Vec<Client>,
    prefix: String,
    client_cache: Weak<ClientCache>,
    messages: UnboundedSender<Bytes>,
    deploys: watch::Sender<()>,
    hears: Arc<AtomicBool>,
}

/// Listens until the receiver of the messages and the client cache are dropped.
pub(super) fn start(redis: &Redis, messages: UnboundedSender<Bytes>) {
    let listener = Listener {
        seeds: redis.connection.seeds(),
        prefix: redis.prefix.clone(),
        client_cache: Arc::downgrade(&redis.client_cache),
        messages,
        deploys: redis.deploys.clone(),
        hears: redis.hears.clone(),
    };
    tokio::spawn(listener.run());
}

impl Listener {
    async fn run(self) {
        let mut wait = FIRST_WAIT;
        let mut reported = false;
        for seed in self.seeds.iter().cycle() {
            if self.messages.is_closed() && self.client_cache.strong_count() == 0 {
                return;
            }
            match self.connect(seed).await {
                Ok((connection, pushes)) => {
                    (wait, reported) = (FIRST_WAIT, false);
                    self.hears.store(true, Ordering::Relaxed);
                    let why = self.listen(connection, pushes).await;
                    self.hears.store(false, Ordering::Relaxed);
                    tracing::warn!("the connection for push messages of Redis is lost: {why}");
                }
                Err(why) if !reported => {
                    tracing::warn!(
                        "the connection for push messages of Redis can't be opened; it is tried again: {why}"
                    );
                    reported = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn connect(&self, seed: &Client) -> Result<(MultiplexedConnection, UnboundedReceiver<PushInfo>), RedisError> {
        let (sender, pushes) = tokio::sync::mpsc::unbounded_channel();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT))
            .set_push_sender(sender);
        let mut connection = seed.get_multiplexed_async_connection_with_config(&config).await?;
        for channel in CHANNELS {
            connection.subscribe(self.channel(channel)).await?;
        }
        self.deploys.send_replace(());
        let prefixes = self.client_cache.upgrade().map(|cache| cache.prefixes().to_vec()).unwrap_or_default();
        if !prefixes.is_empty() {
            let mut track = ::redis::cmd("CLIENT");
            track.arg("TRACKING").arg("ON").arg("BCAST");
            for prefix in prefixes {
                track.arg("PREFIX").arg(format!("{}{prefix}", self.prefix));
            }
            track.exec_async(&mut connection).await?;
        }
        Ok((connection, pushes))
    }

    /// Until the connection is lost; returns why.
    async fn listen(&self, mut connection: MultiplexedConnection, mut pushes: UnboundedReceiver<PushInfo>) -> String {
        let lost = loop {
            let Some(cache) = self.client_cache.upgrade() else { break "the host ends".to_owned() };
            let sent = Instant::now();
            let answer: Result<(), RedisError> = ::redis::cmd("PING").exec_async(&mut connection).await;
            if let Err(why) = answer {
                break why.to_string();
            }
            while let Ok(push) = pushes.try_recv() {
                self.apply(&cache, push);
            }
            cache.answered(sent);
            drop(cache);
            let next = tokio::time::sleep(PING_INTERVAL);
            tokio::pin!(next);
            loop {
                tokio::select! {
                    () = &mut next => break,
                    push = pushes.recv() => match (push, self.client_cache.upgrade()) {
                        (Some(push), Some(cache)) => self.apply(&cache, push),
                        _ => break,
                    },
                }
            }
        };
        if let Some(cache) = self.client_cache.upgrade() {
            cache.invalidate_all();
        }
        lost
    }

    fn apply(&self, cache: &ClientCache, push: PushInfo) {
        match push.kind {
            PushKind::Invalidate => match push.data.as_slice() {
                [Value::Array(keys)] => keys.iter().for_each(|key| self.invalidate(cache, key)),
                // The database was flushed.
                _ => cache.invalidate_all(),
            },
            PushKind::Message => {
                let Some(message) = Msg::from_push_info(push) else { return };
                if message.get_channel_name() == self.channel(Channel::Deploys) {
                    self.deploys.send_replace(());
                } else {
                    // The receiver is dropped when the host ends.
                    let _ = self.messages.send(Bytes::copy_from_slice(message.get_payload_bytes()));
                }
            }
            PushKind::Disconnection => cache.invalidate_all(),
            _ => {}
        }
    }

    fn channel(&self, channel: Channel) -> String {
        format!("{}{}", self.prefix, channel_name(channel))
    }

    fn invalidate(&self, cache: &ClientCache, key: &Value) {
        let Value::BulkString(key) = key else { return };
        let key = std::str::from_utf8(key).ok().and_then(|key| key.strip_prefix(self.prefix.as_str()));
        if let Some(key) = key {
            cache.invalidate(key);
        }
    }
}
