//! The sockets of all hosts: this host's own, and a channel on which hosts publish to each other.
//!
//! An emit goes to this host's sockets at once and to the channel in order; every other host emits it like those of its own
//! components. While the channel is not available a host reaches its own sockets only.

#[cfg(test)]
mod fuzz;

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

use crate::socket::outgoing::SocketIoEngine;
use capability::hosts::{Channel, Peers};
use capability::sessions::Ending;
use capability::sockets::{Error, Sockets, Target};

/// How many messages may wait to be published; further ones are refused.
const MAX_WAITING: usize = 10_000;
/// How many messages are published at once.
const MAX_BATCH: usize = 128;

/// A message to the other hosts.
#[derive(Debug, Serialize, Deserialize)]
struct HostMessage {
    /// The sender.
    from: String,
    what: MessageBody,
}

#[derive(Debug, Serialize, Deserialize)]
enum MessageBody {
    Emit {
        targets: Vec<Target>,
        event: String,
        payload: Box<RawValue>,
    },
    /// The host of the socket emits, and answers with the client's acknowledgement.
    Ask {
        number: u64,
        socket: String,
        event: String,
        payload: Box<RawValue>,
        millis: u64,
    },
    /// The answer to an `Ask`.
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

/// The sockets of all hosts of a cluster.
pub struct SocketsOfHosts(Arc<Shared>);

struct Shared {
    own: SocketIoEngine,
    peers: Arc<dyn Peers>,
    /// This host's id on the channel.
    host: String,
    outgoing: Sender<MessageBody>,
    /// The calls that wait for an `Answer`, by number.
    pending_acks: Mutex<HashMap<u64, oneshot::Sender<Box<RawValue>>>>,
    next: AtomicU64,
}

impl SocketsOfHosts {
    /// Over this host's own, and the messages received on the channel. Needs a runtime.
    pub fn new(own: SocketIoEngine, peers: Arc<dyn Peers>, received: UnboundedReceiver<Bytes>) -> Self {
        let (outgoing, waiting) = mpsc::channel(MAX_WAITING);
        let host = hex::encode(capability::random::bytes::<8>());
        let (pending_acks, next) = (Mutex::default(), AtomicU64::new(0));
        let shared = Arc::new(Shared { own, peers: peers.clone(), host: host.clone(), outgoing, pending_acks, next });
        tokio::spawn(publish(peers, host, waiting));
        tokio::spawn(receive(Arc::downgrade(&shared), received));
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
        self.0.send(MessageBody::Emit { targets, event: event.to_owned(), payload: payload.to_owned() })
    }

    async fn emit_with_ack(
        &self,
        socket: &str,
        event: &str,
        payload: &RawValue,
        timeout: Duration,
    ) -> Result<Option<Bytes>, Error> {
        if self.0.own.has(socket) || !self.0.peers.is_up() {
            return self.0.own.emit_with_ack(socket, event, payload, timeout).await;
        }
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.0.pending_acks().insert(number, answer);
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let (socket, event) = (socket.to_owned(), event.to_owned());
        let sent = self.0.send(MessageBody::Ask { number, socket, event, payload: payload.to_owned(), millis });
        let answer = match sent {
            Ok(()) => Ok(tokio::time::timeout(timeout, answered).await.ok().and_then(Result::ok)),
            Err(error) => Err(error),
        };
        self.0.pending_acks().remove(&number);
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
        // Their sessions have ended all the same: messages of these sockets are refused, and the sweep closes them.
        if let Err(why) = self.0.send(MessageBody::End { user: user.to_owned(), ending: ending.clone() }) {
            tracing::warn!(%why, "other hosts do not close the sockets of sessions that ended");
        }
    }
}

impl Shared {
    fn send(&self, what: MessageBody) -> Result<(), Error> {
        if !self.peers.is_up() {
            return Ok(());
        }
        self.outgoing.try_send(what).map_err(|_| Error::Unavailable("too much is waiting to be told to them".into()))
    }

    fn pending_acks(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Box<RawValue>>>> {
        self.pending_acks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a message of another host.
    async fn apply(self: &Arc<Self>, message: HostMessage) {
        match message.what {
            MessageBody::Emit { targets, event, payload } => {
                if let Err(why) = self.own.emit(&targets, &event, &payload).await {
                    tracing::warn!(event, %why, "an emit of another host failed");
                }
            }
            MessageBody::End { user, ending } => self.own.end(&user, &ending).await,
            MessageBody::Ask { number, socket, event, payload, millis } if self.own.has(&socket) => {
                let shared = self.clone();
                tokio::spawn(async move {
                    let timeout = Duration::from_millis(millis).min(capability::sockets::MAX_ACK_TIME);
                    let answer = shared.own.emit_with_ack(&socket, &event, &payload, timeout).await;
                    let answer = answer.ok().flatten().and_then(|bytes| serde_json::from_slice(&bytes).ok());
                    if let Some(answer) = answer {
                        let _ = shared.send(MessageBody::Answer { to: message.from, number, answer });
                    }
                });
            }
            MessageBody::Ask { .. } => {}
            MessageBody::Answer { to, number, answer } if to == self.host => {
                if let Some(waiting) = self.pending_acks().remove(&number) {
                    let _ = waiting.send(answer);
                }
            }
            MessageBody::Answer { .. } => {}
        }
    }
}

/// Publishes the waiting messages in order until the channel is closed.
async fn publish(peers: Arc<dyn Peers>, host: String, mut waiting: Receiver<MessageBody>) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    while waiting.recv_many(&mut batch, MAX_BATCH).await > 0 {
        let messages: Vec<HostMessage> = batch.drain(..).map(|what| HostMessage { from: host.clone(), what }).collect();
        let published = match serde_json::to_vec(&messages) {
            Ok(message) => peers.publish(Channel::Sockets, &message).await,
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = published {
            tracing::debug!(
                count = messages.len(),
                why,
                "messages are not published to other hosts; the history has them"
            );
        }
    }
}

/// Applies received messages until this host's sockets are dropped.
async fn receive(shared: std::sync::Weak<Shared>, mut received: UnboundedReceiver<Bytes>) {
    while let Some(message) = received.recv().await {
        let Some(shared) = shared.upgrade() else { return };
        match serde_json::from_slice::<Vec<HostMessage>>(&message) {
            Ok(all) => {
                for message in all.into_iter().filter(|message| message.from != shared.host) {
                    shared.apply(message).await;
                }
            }
            Err(why) => tracing::warn!(%why, "a message on the hosts' channel is not from a host of this version"),
        }
    }
}
