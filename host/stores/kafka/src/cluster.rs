//! The cluster: names, settings and metadata that all of its clients share.
//!
//! librdkafka's log lines go to the log of this process. Its repeated connection errors are logged at debug level only: the
//! caller that needs a broker reports once that it does not answer.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::{Notify, watch};

use capability::events::{Error, partitions};

use crate::KafkaOptions;

/// The timeout of a request to the broker.
pub(super) const TIMEOUT: Duration = Duration::from_secs(2);
/// How long one poll waits, and the pause between two tries.
pub(super) const POLL: Duration = Duration::from_millis(100);

/// Whether the topics are ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Topics {
    /// They have not been looked for yet.
    Opening,
    /// They are not, for this reason.
    Missing(String),
    /// They are.
    Ready,
}

/// The cluster.
pub(super) struct Cluster {
    pub(super) options: KafkaOptions,
    pub(super) topics: BTreeMap<String, u32>,
    pub(super) state: watch::Sender<Topics>,
    /// Notified when a client got an unknown-topic error.
    pub(super) topic_missing: Notify,
    /// Fetches metadata and watermarks only.
    client: BaseConsumer<LogContext>,
}

impl Cluster {
    pub(super) fn open(options: KafkaOptions, topics: BTreeMap<String, u32>) -> Result<Self, Error> {
        if options.brokers.split(',').all(|broker| broker.trim().is_empty()) {
            return Err(Error::Invalid("no Kafka broker is named".to_owned()));
        }
        let wrong = |error: KafkaError| Error::Invalid(format!("the settings of Kafka are wrong: {error}"));
        let client = config(&options).create_with_context(LogContext).map_err(wrong)?;
        let state = watch::Sender::new(Topics::Opening);
        Ok(Self { options, topics, state, topic_missing: Notify::new(), client })
    }

    /// The settings that all clients share.
    pub(super) fn config(&self) -> ClientConfig {
        config(&self.options)
    }

    /// The broker's name of a topic.
    pub(super) fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.options.topic_prefix)
    }

    /// The host's name of a topic; the inverse of [`Cluster::topic`].
    pub(super) fn name<'a>(&self, topic: &'a str) -> &'a str {
        topic.strip_prefix(&self.options.topic_prefix).unwrap_or(topic)
    }

    /// The broker's name of a group.
    pub(super) fn group(&self, name: &str) -> String {
        format!("{}.{name}", self.options.group_prefix)
    }

    /// Refuses a topic that is not the application's.
    pub(super) fn check(&self, topic: &str) -> Result<(), Error> {
        partitions(&self.topics, topic).map(drop)
    }

    /// Whether the topics are ready.
    pub(super) fn ready(&self) -> Result<(), Error> {
        match &*self.state.borrow() {
            Topics::Ready => Ok(()),
            Topics::Opening => Err(Error::Unavailable("the topics are not made yet".to_owned())),
            Topics::Missing(why) => Err(Error::Unavailable(why.clone())),
        }
    }

    /// Sends the broker a small request. Blocks.
    pub(super) fn answers(&self) -> Result<(), Error> {
        let any = self.topics.keys().next().map(|topic| self.topic(topic));
        self.metadata(any.as_deref()).map(drop)
    }

    /// The partitions of a topic, or of all topics of the cluster. Blocks.
    pub(super) fn metadata(&self, topic: Option<&str>) -> Result<BTreeMap<String, u32>, Error> {
        let answer = self.client.fetch_metadata(topic, TIMEOUT);
        // The client's log lines and errors stay in its queue until they are polled.
        drop(self.client.poll(Duration::from_millis(1)));
        let answer = answer.map_err(unavailable)?;
        let topics = answer.topics().iter().filter(|topic| topic.error().is_none());
        let count = |topic: &rdkafka::metadata::MetadataTopic| u32::try_from(topic.partitions().len()).unwrap_or(0);
        Ok(topics.map(|topic| (topic.name().to_owned(), count(topic))).collect())
    }

    /// The oldest offset of a partition and the one after the newest. Blocks.
    pub(super) fn bounds(&self, topic: &str, partition: i32) -> Result<(u64, u64), Error> {
        let (low, high) = self.client.fetch_watermarks(topic, partition, TIMEOUT).map_err(unavailable)?;
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

/// Runs a blocking call off the async workers.
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

/// Writes a client's log lines to the log of this process.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogContext;

impl ClientContext for LogContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for LogContext {}

/// For [`ClientContext::log`].
pub(super) fn log_line(level: RDKafkaLogLevel, facility: &str, line: &str) {
    use RDKafkaLogLevel::{Alert, Critical, Emerg, Warning};
    match level {
        Emerg | Alert | Critical => tracing::error!(facility, "kafka: {line}"),
        // Warnings about settings are for developers.
        Warning if facility == "CONFWARN" => tracing::debug!(facility, "kafka: {line}"),
        Warning => tracing::warn!(facility, "kafka: {line}"),
        // On this level it repeats that it can't connect.
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
