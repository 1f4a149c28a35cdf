//! Reads of the log outside of a group, for tools and tests: each with its own client where it needs one, and bounded in
//! time.

use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use capability::events::{Error, Record};

use crate::cluster::{Cluster, LogContext, POLL, TIMEOUT, unavailable};
use crate::message;

/// The most records of one read.
const MAX_READ: u32 = 1_000;
/// The most bytes of their values; one record is always returned.
const MAX_READ_BYTES: usize = 8 << 20;

/// How long a group's coordinator is waited for.
const COORDINATOR: Duration = Duration::from_secs(5);

/// See [`EventLog::read`](capability::events::EventLog::read).
pub(super) fn read(cluster: &Cluster, name: &str, partition: u32, from: u64, max: u32) -> Result<Vec<Record>, Error> {
    let partitions = partitions(cluster, name)?;
    if partition >= partitions {
        let last = partitions - 1;
        return Err(Error::Invalid(format!("the topic `{name}` has the partitions 0 to {last}, not {partition}")));
    }
    let (topic, number) = (cluster.topic(name), partition.cast_signed());
    let (low, high) = cluster.bounds(&topic, number)?;
    let (from, max) = (from.max(low), max.min(MAX_READ) as usize);
    let mut records = Vec::new();
    if from >= high || max == 0 {
        return Ok(records);
    }
    let consumer = client(cluster, &format!("{}.look", cluster.options.client_id))?;
    let mut assignment = TopicPartitionList::new();
    let assigned = assignment
        .add_partition_offset(&topic, number, Offset::Offset(from.cast_signed()))
        .and_then(|()| consumer.assign(&assignment));
    assigned.map_err(unavailable)?;
    let (begun, mut bytes) = (Instant::now(), 0);
    while records.len() < max && records.last().is_none_or(|last: &Record| last.offset + 1 < high) {
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                let record = message::record(name, &message);
                bytes += record.event.value.len();
                if bytes > MAX_READ_BYTES && !records.is_empty() {
                    break;
                }
                records.push(record);
            }
            Some(Err(error)) => tracing::debug!(%error, "a read of a topic goes on after an error"),
            None if begun.elapsed() < TIMEOUT => {}
            None if records.is_empty() => return Err(silent()),
            None => break,
        }
        if begun.elapsed() > TIMEOUT * 2 {
            break;
        }
    }
    Ok(records)
}

/// See [`EventLog::end_offsets`](capability::events::EventLog::end_offsets).
pub(super) fn ends(cluster: &Cluster, name: &str) -> Result<Vec<u64>, Error> {
    let topic = cluster.topic(name);
    (0..partitions(cluster, name)?).map(|number| Ok(cluster.bounds(&topic, number.cast_signed())?.1)).collect()
}

/// See [`EventLog::committed`](capability::events::EventLog::committed).
pub(super) fn committed(cluster: &Cluster, group: &str, name: &str) -> Result<Vec<Option<u64>>, Error> {
    let (topic, partitions) = (cluster.topic(name), partitions(cluster, name)?);
    let mut list = TopicPartitionList::new();
    list.add_partition_range(&topic, 0, partitions.cast_signed() - 1);
    let consumer = client(cluster, &cluster.group(group))?;
    let begun = Instant::now();
    let found = loop {
        match consumer.committed_offsets(list.clone(), TIMEOUT) {
            // A coordinator that has just started, or has taken over, is still loading the committed offsets.
            Err(error) if is_loading(&error) && begun.elapsed() < COORDINATOR => std::thread::sleep(POLL),
            answer => break answer.map_err(unavailable)?,
        }
    };
    let offset = |number: u32| match found.find_partition(&topic, number.cast_signed())?.offset() {
        Offset::Offset(offset) => Some(offset.max(0).cast_unsigned()),
        _ => None,
    };
    Ok((0..partitions).map(offset).collect())
}

/// Whether the group's coordinator is only not ready yet.
fn is_loading(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator};
    let code = error.rdkafka_error_code();
    matches!(code, Some(CoordinatorLoadInProgress | CoordinatorNotAvailable | NotCoordinator))
}

fn partitions(cluster: &Cluster, name: &str) -> Result<u32, Error> {
    cluster.check(name)?;
    let topic = cluster.topic(name);
    let found = cluster.metadata(Some(&topic))?.get(&topic).copied().filter(|partitions| *partitions > 0);
    found.ok_or_else(|| Error::Unavailable(format!("the topic `{topic}` is not made yet")))
}

/// A client with a group id that does not join the group.
fn client(cluster: &Cluster, group: &str) -> Result<BaseConsumer<LogContext>, Error> {
    let mut config = cluster.config();
    config.set("group.id", group).set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
    config.create_with_context(LogContext).map_err(|error: KafkaError| unavailable(error))
}

fn silent() -> Error {
    Error::Unavailable(format!("Kafka did not answer in {TIMEOUT:?}"))
}
