//! Listening: a connection of its own for what Redis says unasked, namely which keys changed and what other hosts tell.
//!
//! Redis is asked for a sign of life all the time: only so a server that is frozen, or a line that is cut without a
//! word, is told from one that has nothing to say. What was said before such a sign is heeded before it counts.

use std::sync::Weak;
use std::time::{Duration, Instant};

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, Msg, PushInfo, PushKind, RedisError, Value};
use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;

use super::{Channel, Near, Redis};

/// Between two signs of life.
const BEAT: Duration = Duration::from_millis(80);
/// A sign of life takes no longer, or the connection is given up.
const PATIENCE: Duration = Duration::from_secs(1);
/// Before the first try to connect again; each further one waits twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// What a listener needs to begin anew.
struct Listener {
    seeds: Vec<Client>,
    prefix: String,
    near: Weak<Near>,
    heard: UnboundedSender<Bytes>,
    deploys: watch::Sender<()>,
}

/// Listens until nobody wants to hear it.
pub(super) fn start(redis: &Redis, heard: UnboundedSender<Bytes>) {
    let listener = Listener {
        seeds: redis.connection.seeds(),
        prefix: redis.prefix.clone(),
        near: std::sync::Arc::downgrade(&redis.near),
        heard,
        deploys: redis.deploys.clone(),
    };
    tokio::spawn(listener.run());
}

impl Listener {
    async fn run(self) {
        let mut wait = FIRST_WAIT;
        let mut told = false;
        for seed in self.seeds.iter().cycle() {
            if self.heard.is_closed() && self.near.strong_count() == 0 {
                return;
            }
            match self.connect(seed).await {
                Ok((connection, said)) => {
                    (wait, told) = (FIRST_WAIT, false);
                    let why = self.listen(connection, said).await;
                    tracing::warn!("what Redis says is not heard any more: {why}");
                }
                Err(why) if !told => {
                    tracing::warn!("Redis can't be listened to yet, it is tried again and again: {why}");
                    told = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn connect(&self, seed: &Client) -> Result<(MultiplexedConnection, UnboundedReceiver<PushInfo>), RedisError> {
        let (pushes, said) = tokio::sync::mpsc::unbounded_channel();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_push_sender(pushes);
        let mut connection = seed.get_multiplexed_async_connection_with_config(&config).await?;
        for channel in Channel::ALL {
            connection.subscribe(self.channel(channel)).await?;
        }
        self.deploys.send_replace(());
        let prefixes = self.near.upgrade().map(|near| near.prefixes().to_vec()).unwrap_or_default();
        if !prefixes.is_empty() {
            let mut track = ::redis::cmd("CLIENT");
            track.arg("TRACKING").arg("ON").arg("BCAST");
            for prefix in prefixes {
                track.arg("PREFIX").arg(format!("{}{prefix}", self.prefix));
            }
            track.exec_async(&mut connection).await?;
        }
        Ok((connection, said))
    }

    /// Until the connection is lost; answers why it is.
    async fn listen(&self, mut connection: MultiplexedConnection, mut said: UnboundedReceiver<PushInfo>) -> String {
        let lost = loop {
            let Some(near) = self.near.upgrade() else { break "the host ends".to_owned() };
            let asked = Instant::now();
            let answer: Result<(), RedisError> = ::redis::cmd("PING").exec_async(&mut connection).await;
            if let Err(why) = answer {
                break why.to_string();
            }
            while let Ok(push) = said.try_recv() {
                self.heed(&near, push);
            }
            near.answered(asked);
            drop(near);
            let next = tokio::time::sleep(BEAT);
            tokio::pin!(next);
            loop {
                tokio::select! {
                    () = &mut next => break,
                    push = said.recv() => match (push, self.near.upgrade()) {
                        (Some(push), Some(near)) => self.heed(&near, push),
                        _ => break,
                    },
                }
            }
        };
        if let Some(near) = self.near.upgrade() {
            near.forget_all();
        }
        lost
    }

    fn heed(&self, near: &Near, push: PushInfo) {
        match push.kind {
            PushKind::Invalidate => match push.data.as_slice() {
                [Value::Array(keys)] => keys.iter().for_each(|key| self.changed(near, key)),
                // Everything was flushed.
                _ => near.forget_all(),
            },
            PushKind::Message => {
                let Some(message) = Msg::from_push_info(push) else { return };
                if message.get_channel_name() == self.channel(Channel::Deploys) {
                    self.deploys.send_replace(());
                } else {
                    // Nobody hears it any more: the host ends.
                    let _ = self.heard.send(Bytes::copy_from_slice(message.get_payload_bytes()));
                }
            }
            PushKind::Disconnection => near.forget_all(),
            _ => {}
        }
    }

    fn channel(&self, channel: Channel) -> String {
        format!("{}{}", self.prefix, channel.name())
    }

    fn changed(&self, near: &Near, key: &Value) {
        let Value::BulkString(key) = key else { return };
        let key = std::str::from_utf8(key).ok().and_then(|key| key.strip_prefix(self.prefix.as_str()));
        if let Some(key) = key {
            near.forget(key);
        }
    }
}
