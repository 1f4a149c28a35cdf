//! Events in Kafka: any broker of version 2.4 or newer, shared by all hosts.
//!
//! The broker need not be up at the start: topics are created in the background once it answers, appends fail until then,
//! and subscriptions start by themselves. Every call that waits for the broker does so off the async workers.

#![forbid(unsafe_code)]

mod cluster;
#[cfg(test)]
mod fuzz;
mod member;
mod message;
mod producer;
mod read;
mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::task::JoinHandle;

use capability::events::{Error, Event, EventLog, Log, Record, Start, Subscription};
use capability::retention::Retention;

use cluster::{Cluster, Topics};
use member::{Member, Members};
use producer::Producer;
use read::Askers;

/// The address of a Kafka cluster, and the names in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaOptions {
    /// `KAFKA_BROKERS`: some of the brokers, `host:port`, by commas.
    pub brokers: String,
    /// `KAFKA_CLIENT_ID`: this host's name in the broker's own logs and metrics.
    pub client_id: String,
    /// `KAFKA_GROUP_ID`: the prefix of every group's name, followed by a dot.
    pub group_prefix: String,
    /// `KAFKA_TOPIC_PREFIX`: the prefix of every topic's name, so that several networks can share a cluster.
    pub topic_prefix: String,
    /// `KAFKA_COMPRESSION`: how what is written is compressed.
    pub compression: Compression,
    /// For how long a topic that is made here keeps its events. Existing topics keep their own setting.
    pub retention: Duration,
    /// The same for dead letters.
    pub dead_letter_retention: Duration,
}

/// How events are compressed. Every client of Kafka reads what is not compressed, and all but the smallest read gzip; the others
/// need a codec that a client may lack, such as kafkajs, which has gzip alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names of Kafka's codecs")]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Compression {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// Its name, as Kafka and the setting have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl std::str::FromStr for Compression {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|compression| compression.name() == name.trim());
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("{name:?} is no compression; it takes one of {names}")
        })
    }
}

impl KafkaOptions {
    /// With the default names.
    pub fn new(brokers: &str) -> Self {
        Self {
            brokers: brokers.to_owned(),
            client_id: "devconnect-app".to_owned(),
            group_prefix: "devconnect-group".to_owned(),
            topic_prefix: String::new(),
            compression: Compression::default(),
            retention: Retention::default().events,
            dead_letter_retention: Retention::default().dead_letters,
        }
    }
}

/// A cluster of Kafka brokers.
pub struct Kafka {
    cluster: Arc<Cluster>,
    producer: Producer,
    members: Arc<Members>,
    askers: Arc<Askers>,
    topics: JoinHandle<()>,
}

impl Kafka {
    /// The cluster at these brokers, which need not be up yet. `topics` are those of the application with their numbers of
    /// partitions; they and their dead-letter topics are created where they are missing. Needs a runtime.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the options can't be understood.
    pub fn open(options: KafkaOptions, topics: &BTreeMap<String, u32>) -> Result<Self, Error> {
        let cluster = Arc::new(Cluster::open(options, topics.clone())?);
        let topics = tokio::spawn(topics::maintain(Arc::clone(&cluster)));
        let producer = Producer::new(Arc::clone(&cluster));
        Ok(Self { producer, cluster, members: Arc::default(), askers: Arc::default(), topics })
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.topics.abort();
    }
}

#[async_trait]
impl Log for Kafka {
    async fn append(&self, events: Vec<Event>, by: Instant) -> Vec<Result<(), Error>> {
        self.producer.append(events, by).await
    }

    async fn answers(&self) -> Result<(), Error> {
        self.cluster.ready()?;
        let cluster = Arc::clone(&self.cluster);
        cluster::blocking(move || cluster.answers()).await
    }

    async fn opened(&self) {
        // The sender is dropped only with the cluster.
        let _ = self.cluster.state.subscribe().wait_for(|topics| *topics != Topics::Opening).await;
    }
}

#[async_trait]
impl EventLog for Kafka {
    async fn read(&self, topic: &str, partition: u32, offset: u64, max: u32) -> Result<Vec<Record>, Error> {
        let (cluster, topic) = (Arc::clone(&self.cluster), topic.to_owned());
        cluster::blocking(move || read::read(&cluster, &topic, partition, offset, max)).await
    }

    async fn bounds(&self, topic: &str) -> Result<Vec<(u64, u64)>, Error> {
        let (cluster, topic) = (Arc::clone(&self.cluster), topic.to_owned());
        cluster::blocking(move || read::bounds(&cluster, &topic)).await
    }

    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<Option<u64>>, Error> {
        let (cluster, group, topic) = (Arc::clone(&self.cluster), group.to_owned(), topic.to_owned());
        let (members, askers) = (Arc::clone(&self.members), Arc::clone(&self.askers));
        cluster::blocking(move || read::committed(&cluster, &members, &askers, &group, &topic)).await
    }

    async fn subscribe(&self, group: &str, topics: &[String], start: Start) -> Result<Box<dyn Subscription>, Error> {
        let (cluster, group, topics) = (Arc::clone(&self.cluster), group.to_owned(), topics.to_vec());
        let members = Arc::clone(&self.members);
        let member = cluster::blocking(move || Member::join(cluster, &members, &group, &topics, start)).await?;
        Ok(Box::new(member))
    }
}
