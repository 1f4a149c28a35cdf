//! Hosts: pub/sub channels between the hosts of a cluster, for messages that can't wait for the documents.
//!
//! A message may be lost: a receiver must also find out in another way. The store that carries them is behind the trait.

use async_trait::async_trait;

/// A channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Messages for sockets of other hosts.
    Sockets,
    /// Another version was deployed.
    Deploys,
}

/// The hosts of a cluster, as one of them reaches them.
#[async_trait]
pub trait Peers: Send + Sync + 'static {
    /// Sends a message to every host that listens, this one too.
    ///
    /// # Errors
    /// The store did not answer; its own error text. Possibly no host got the message.
    async fn publish(&self, channel: Channel, message: &[u8]) -> Result<(), String>;

    /// Whether messages are published, as far as is known.
    fn is_up(&self) -> bool;

    /// Whether messages of other hosts arrive, as far as is known. The publishing side may be up while this one is not.
    fn hears(&self) -> bool;

    /// Changes after each message on [`Channel::Deploys`], and each time that one may have been missed.
    fn deploys(&self) -> tokio::sync::watch::Receiver<()>;
}
