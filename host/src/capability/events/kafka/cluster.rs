//! A cluster as all of its clients see it: names, settings, what is known about it.
//!
//! The client library's own lines go to the log of this process. That a broker is away is said by who needs it, once, and
//! not with each of the library's tries to reach it.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::{Notify, watch};

use crate::capability::events::{Error, partitions};

use super::KafkaOptions;

/// No question to the broker takes longer.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How long one thing at a time is waited for that has its own way to end.
pub(super) const STEP: Duration = Duration::from_millis(100);

/// The cluster.
pub(super) struct Cluster {
    pub(super) options: KafkaOptions,
    pub(super) topics: BTreeMap<String, u32>,
    /// What keeps the topics from being there; none when they are.
    pub(super) missing: watch::Sender<Option<String>>,
    /// Somebody met a topic that is not there.
    pub(super) lost: Notify,
    /// Asks about the cluster and reads nothing.
    looking: BaseConsumer<Lines>,
}

impl Cluster {
    pub(super) fn open(options: KafkaOptions, topics: BTreeMap<String, u32>) -> Result<Self, Error> {
        if options.brokers.split(',').all(|broker| broker.trim().is_empty()) {
            return Err(Error::Invalid("no Kafka broker is named".to_owned()));
        }
        let wrong = |error: KafkaError| Error::Invalid(format!("the settings of Kafka are wrong: {error}"));
        let looking = config(&options).create_with_context(Lines).map_err(wrong)?;
        let missing = watch::Sender::new(Some("the topics are not made yet".to_owned()));
        Ok(Self { options, topics, missing, lost: Notify::new(), looking })
    }

    /// What all clients have in common.
    pub(super) fn config(&self) -> ClientConfig {
        config(&self.options)
    }

    /// As the broker knows a topic.
    pub(super) fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.options.topic_prefix)
    }

    /// A topic as the host knows it, from what [`Cluster::topic`] answers.
    pub(super) fn name<'a>(&self, topic: &'a str) -> &'a str {
        topic.strip_prefix(&self.options.topic_prefix).unwrap_or(topic)
    }

    /// As the broker knows a group.
    pub(super) fn group(&self, name: &str) -> String {
        format!("{}.{name}", self.options.group_prefix)
    }

    /// Refuses a topic that is not the application's.
    pub(super) fn check(&self, topic: &str) -> Result<(), Error> {
        partitions(&self.topics, topic).map(drop)
    }

    /// Whether the topics are there.
    pub(super) fn ready(&self) -> Result<(), Error> {
        match &*self.missing.borrow() {
            None => Ok(()),
            Some(why) => Err(Error::Unavailable(why.clone())),
        }
    }

    /// Asks the broker for something small. Blocks.
    pub(super) fn answers(&self) -> Result<(), Error> {
        let any = self.topics.keys().next().map(|topic| self.topic(topic));
        self.metadata(any.as_deref()).map(drop)
    }

    /// The partitions of a topic, or of all topics of the cluster. Blocks.
    pub(super) fn metadata(&self, topic: Option<&str>) -> Result<BTreeMap<String, u32>, Error> {
        let answer = self.looking.fetch_metadata(topic, PATIENCE);
        // Its lines and errors wait in a queue until somebody takes them out.
        drop(self.looking.poll(Duration::from_millis(1)));
        let answer = answer.map_err(unavailable)?;
        let there = answer.topics().iter().filter(|topic| topic.error().is_none());
        let count = |topic: &rdkafka::metadata::MetadataTopic| u32::try_from(topic.partitions().len()).unwrap_or(0);
        Ok(there.map(|topic| (topic.name().to_owned(), count(topic))).collect())
    }

    /// The oldest offset of a partition and the one after the newest. Blocks.
    pub(super) fn bounds(&self, topic: &str, partition: i32) -> Result<(u64, u64), Error> {
        let (low, high) = self.looking.fetch_watermarks(topic, partition, PATIENCE).map_err(unavailable)?;
        Ok((low.max(0).cast_unsigned(), high.max(0).cast_unsigned()))
    }
}

fn config(options: &KafkaOptions) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in [
        ("bootstrap.servers", options.brokers.as_str()),
        ("client.id", &options.client_id),
        ("socket.timeout.ms", "10000"),
        ("socket.connection.setup.timeout.ms", "3000"),
        ("socket.keepalive.enable", "true"),
        ("socket.nagle.disable", "true"),
        ("reconnect.backoff.ms", "50"),
        ("reconnect.backoff.max.ms", "1000"),
        ("topic.metadata.refresh.interval.ms", "30000"),
        ("log.connection.close", "false"),
    ] {
        config.set(name, value);
    }
    config
}

/// Runs what waits for the broker off the async workers.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::Unavailable(format!("the call to Kafka was given up: {error}"))))
}

#[allow(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
pub(super) fn unavailable(error: KafkaError) -> Error {
    Error::Unavailable(error.to_string())
}

/// A client's lines go to the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines;

impl ClientContext for Lines {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for Lines {}

/// For [`ClientContext::log`].
pub(super) fn log_line(level: RDKafkaLogLevel, facility: &str, line: &str) {
    use RDKafkaLogLevel::{Alert, Critical, Emerg, Warning};
    match level {
        Emerg | Alert | Critical => tracing::error!(facility, "kafka: {line}"),
        // What it says of the settings it was given is for those who choose them.
        Warning if facility == "CONFWARN" => tracing::debug!(facility, "kafka: {line}"),
        Warning => tracing::warn!(facility, "kafka: {line}"),
        // On this level it says that it can't connect, again and again.
        _ => tracing::debug!(facility, "kafka: {line}"),
    }
}

/// For [`ClientContext::error`].
pub(super) fn log_error(error: &KafkaError, reason: &str) {
    use RDKafkaErrorCode::{
        AllBrokersDown, BrokerTransportFailure, OperationTimedOut, Resolve, UnknownTopicOrPartition,
    };
    match error.rdkafka_error_code() {
        Some(AllBrokersDown | BrokerTransportFailure | OperationTimedOut | Resolve | UnknownTopicOrPartition) => {
            tracing::debug!(%error, "kafka: {reason}");
        }
        _ => tracing::warn!(%error, "kafka: {reason}"),
    }
}
