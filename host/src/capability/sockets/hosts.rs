//! The sockets of all hosts: this host's own, and a line over Redis on which hosts tell each other what to send.
//!
//! What is meant for a user, a room or a socket goes to this host's sockets at once and to the line in order; every other
//! host does the same with it as with what its own components send. While Redis is away a host reaches its own sockets.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::mpsc::{self, Receiver, Sender, UnboundedReceiver};
use tokio::sync::oneshot;

use super::{Error, SocketIoEngine, Sockets, Target};
use crate::capability::redis::{Channel, Redis};
use crate::capability::sessions::Ending;

/// What waits to be told, at most; then a sender learns that the others are not reached.
const WAITING: usize = 10_000;
/// What is told in one go, at most.
const BATCH: usize = 128;

/// One thing that a host tells the others.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    /// The host.
    from: String,
    what: What,
}

#[derive(Debug, Serialize, Deserialize)]
enum What {
    Emit {
        targets: Vec<Target>,
        event: String,
        payload: Box<RawValue>,
    },
    /// Whoever has the socket asks its client, and answers.
    Ask {
        number: u64,
        socket: String,
        event: String,
        payload: Box<RawValue>,
        millis: u64,
    },
    /// To the one who asked.
    Answer {
        to: String,
        number: u64,
        answer: Box<RawValue>,
    },
    End {
        user: String,
        ending: Ending,
    },
}

/// The sockets of all hosts that share a Redis.
pub struct SocketsOfHosts(Arc<Shared>);

struct Shared {
    own: SocketIoEngine,
    redis: Arc<Redis>,
    /// This host, among those on the line.
    host: String,
    line: Sender<What>,
    /// Who waits for the answer of a client of another host.
    asked: Mutex<HashMap<u64, oneshot::Sender<Box<RawValue>>>>,
    next: AtomicU64,
}

impl SocketsOfHosts {
    /// Over this host's own, and what is heard on the line. Needs a runtime.
    pub fn new(own: SocketIoEngine, redis: Arc<Redis>, heard: UnboundedReceiver<Bytes>) -> Self {
        let (line, waiting) = mpsc::channel(WAITING);
        let host = hex::encode(crate::capability::random::bytes::<8>());
        let (asked, next) = (Mutex::default(), AtomicU64::new(0));
        let shared = Arc::new(Shared { own, redis: redis.clone(), host: host.clone(), line, asked, next });
        tokio::spawn(tell(redis, host, waiting));
        tokio::spawn(hear(Arc::downgrade(&shared), heard));
        Self(shared)
    }
}

#[async_trait]
impl Sockets for SocketsOfHosts {
    async fn emit(&self, targets: &[Target], event: &str, payload: &RawValue) -> Result<(), Error> {
        self.0.own.emit(targets, event, payload).await?;
        let here = |target: &Target| matches!(target, Target::Socket(id) if self.0.own.has(id));
        let targets: Vec<Target> = targets.iter().filter(|target| !here(target)).cloned().collect();
        if targets.is_empty() {
            return Ok(());
        }
        self.0.tell(What::Emit { targets, event: event.to_owned(), payload: payload.to_owned() })
    }

    async fn emit_with_ack(
        &self,
        socket: &str,
        event: &str,
        payload: &RawValue,
        timeout: Duration,
    ) -> Result<Option<Bytes>, Error> {
        if self.0.own.has(socket) || !self.0.redis.is_up() {
            return self.0.own.emit_with_ack(socket, event, payload, timeout).await;
        }
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.0.asked().insert(number, answer);
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let (socket, event) = (socket.to_owned(), event.to_owned());
        let told = self.0.tell(What::Ask { number, socket, event, payload: payload.to_owned(), millis });
        let answer = match told {
            Ok(()) => Ok(tokio::time::timeout(timeout, answered).await.ok().and_then(Result::ok)),
            Err(error) => Err(error),
        };
        self.0.asked().remove(&number);
        Ok(answer?.map(|answer| Bytes::copy_from_slice(answer.get().as_bytes())))
    }

    async fn join(&self, socket: &str, room: &str) -> Result<(), Error> {
        self.0.own.join(socket, room).await
    }

    async fn leave(&self, socket: &str, room: &str) -> Result<(), Error> {
        self.0.own.leave(socket, room).await
    }

    async fn appear(&self, user: &str, socket: &str) -> Result<(), Error> {
        self.0.own.appear(user, socket).await
    }

    async fn online(&self, user: &str) -> Result<bool, Error> {
        self.0.own.online(user).await
    }

    async fn end(&self, user: &str, ending: &Ending) {
        self.0.own.end(user, ending).await;
        // Their sessions are dead all the same: what these sockets send is refused, and the sweep closes them.
        if let Err(why) = self.0.tell(What::End { user: user.to_owned(), ending: ending.clone() }) {
            tracing::warn!(%why, "other hosts do not close the sockets of sessions that ended");
        }
    }
}

impl Shared {
    fn tell(&self, what: What) -> Result<(), Error> {
        if !self.redis.is_up() {
            return Ok(());
        }
        self.line.try_send(what).map_err(|_| Error::Unavailable("too much is waiting to be told to them".into()))
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Box<RawValue>>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what another host tells.
    async fn heed(self: &Arc<Self>, told: Told) {
        match told.what {
            What::Emit { targets, event, payload } => {
                if let Err(why) = self.own.emit(&targets, &event, &payload).await {
                    tracing::warn!(event, %why, "what another host sends does not go out");
                }
            }
            What::End { user, ending } => self.own.end(&user, &ending).await,
            What::Ask { number, socket, event, payload, millis } if self.own.has(&socket) => {
                let shared = self.clone();
                tokio::spawn(async move {
                    let timeout = Duration::from_millis(millis).min(super::MAX_ACK_TIME);
                    let answer = shared.own.emit_with_ack(&socket, &event, &payload, timeout).await;
                    let answer = answer.ok().flatten().and_then(|bytes| serde_json::from_slice(&bytes).ok());
                    if let Some(answer) = answer {
                        let _ = shared.tell(What::Answer { to: told.from, number, answer });
                    }
                });
            }
            What::Ask { .. } => {}
            What::Answer { to, number, answer } if to == self.host => {
                if let Some(asker) = self.asked().remove(&number) {
                    let _ = asker.send(answer);
                }
            }
            What::Answer { .. } => {}
        }
    }
}

/// Tells the others what waits, in order, until there can be no more.
async fn tell(redis: Arc<Redis>, host: String, mut waiting: Receiver<What>) {
    let mut batch = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let told: Vec<Told> = batch.drain(..).map(|what| Told { from: host.clone(), what }).collect();
        let published = match serde_json::to_vec(&told) {
            Ok(message) => redis.publish(Channel::Sockets, &message).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = published {
            tracing::debug!(count = told.len(), why, "other hosts were not told; the history has everything");
        }
    }
}

/// Heeds what is heard on the line, until the host ends.
async fn hear(shared: std::sync::Weak<Shared>, mut heard: UnboundedReceiver<Bytes>) {
    while let Some(message) = heard.recv().await {
        let Some(shared) = shared.upgrade() else { return };
        match serde_json::from_slice::<Vec<Told>>(&message) {
            Ok(all) => {
                for told in all.into_iter().filter(|told| told.from != shared.host) {
                    shared.heed(told).await;
                }
            }
            Err(why) => tracing::warn!(%why, "something on the hosts' channel is not from a host of this version"),
        }
    }
}
