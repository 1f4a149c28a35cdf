//! The connection for calls: to one server, or to all nodes of a cluster. It reconnects by itself.

use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::cluster::{ClusterClient, ClusterClientBuilder};
use ::redis::cluster_async::ClusterConnection;
use ::redis::{
    Client, Cmd, ConnectionInfo, FromRedisValue, IntoConnectionInfo, ProtocolVersion, RedisError, RedisResult,
    ScriptInvocation,
};
use tokio::sync::OnceCell;

use crate::{Error, TIMEOUT};

/// The longest pause between two tries to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The connection for calls.
pub(super) enum Connection {
    /// One server.
    Single(Box<Client>, ConnectionManager),
    /// All nodes of a cluster.
    Cluster(Box<Cluster>),
}

/// A cluster; its connection is opened by the first call.
pub(super) struct Cluster {
    client: ClusterClient,
    connection: OnceCell<ClusterConnection>,
    seeds: Vec<Client>,
}

impl Cluster {
    async fn connection(&self) -> RedisResult<ClusterConnection> {
        self.connection.get_or_try_init(|| self.client.get_async_connection()).await.cloned()
    }
}

impl Connection {
    /// To the servers of a URL; several, separated by commas, are a cluster.
    pub(super) fn open(url: &str) -> Result<Self, Error> {
        let nodes = nodes(url)?;
        let clients = nodes.iter().cloned().map(Client::open).collect::<RedisResult<Vec<_>>>().map_err(wrong)?;
        if let [client] = clients.as_slice() {
            let config = ConnectionManagerConfig::new()
                .set_response_timeout(Some(TIMEOUT))
                .set_connection_timeout(Some(TIMEOUT))
                .set_max_delay(LONGEST_PAUSE);
            let manager = ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(wrong)?;
            return Ok(Self::Single(Box::new(client.clone()), manager));
        }
        let client = ClusterClientBuilder::new(nodes)
            .use_protocol(ProtocolVersion::RESP3)
            .connection_timeout(TIMEOUT)
            .response_timeout(TIMEOUT)
            .retries(2)
            .build()
            .map_err(wrong)?;
        Ok(Self::Cluster(Box::new(Cluster { client, connection: OnceCell::new(), seeds: clients })))
    }

    /// Whether it is a cluster.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(..))
    }

    /// The nodes; each of them receives everything that is published.
    pub(super) fn seeds(&self) -> Vec<Client> {
        match self {
            Self::Single(client, _) => vec![Client::clone(client)],
            Self::Cluster(cluster) => cluster.seeds.clone(),
        }
    }

    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::Single(_, manager) => command.query_async(&mut manager.clone()).await,
            Self::Cluster(cluster) => command.query_async(&mut cluster.connection().await?).await,
        }
    }

    pub(super) async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> RedisResult<T> {
        match self {
            Self::Single(_, manager) => script.invoke_async(&mut manager.clone()).await,
            Self::Cluster(cluster) => script.invoke_async(&mut cluster.connection().await?).await,
        }
    }
}

/// The servers of a URL. Those after the first may leave out the scheme.
fn nodes(url: &str) -> Result<Vec<ConnectionInfo>, Error> {
    let scheme = url.split_once("://").map_or("redis", |(scheme, _)| scheme);
    let parts = url.split(',').map(str::trim).filter(|part| !part.is_empty());
    let full = parts.map(|part| if part.contains("://") { part.to_owned() } else { format!("{scheme}://{part}") });
    let nodes = full.map(|node| {
        let info = node.as_str().into_connection_info()?;
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        Ok(info.set_redis_settings(settings))
    });
    let nodes = nodes.collect::<RedisResult<Vec<_>>>().map_err(wrong)?;
    if nodes.is_empty() { Err(Error::Refused("the URL of Redis is empty".into())) } else { Ok(nodes) }
}

fn wrong(error: RedisError) -> Error {
    Error::Refused(format!("the URL of Redis is wrong: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_or_the_nodes_of_a_cluster() {
        for (url, count) in [("redis://h", 1), ("rediss://:secret@h:1/2", 1), ("redis://a:1,b:2, redis://c:3", 3)] {
            assert_eq!(nodes(url).unwrap().len(), count, "{url}");
        }
        for wrong in ["", ",", "http://h", "redis://:secret@h:99999999"] {
            let error = nodes(wrong).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
