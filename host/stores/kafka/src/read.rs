//! Reads of the log outside of a group, for tools, metrics and tests: bounded in time. Records are read with a client that is
//! made for the read; what a group has committed is asked with the client of its member on this host or, without one, with a
//! client that is kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use capability::events::{Error, Record};

use crate::cluster::{Cluster, LogContext, POLL, TIMEOUT, unavailable};
use crate::member::Members;
use crate::message;

/// For how many groups a client is kept.
const MAX_ASKERS: usize = 32;
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
    let consumer = client(cluster, &format!("{}.look", cluster.options.client_id), true)?;
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
            // Behind the last record there may be control records, such as the end of a transaction.
            Some(Err(KafkaError::PartitionEOF(_))) => break,
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

/// See [`EventLog::bounds`](capability::events::EventLog::bounds).
pub(super) fn bounds(cluster: &Cluster, name: &str) -> Result<Vec<(u64, u64)>, Error> {
    let topic = cluster.topic(name);
    (0..partitions(cluster, name)?).map(|number| cluster.bounds(&topic, number.cast_signed())).collect()
}

/// The clients that ask about groups without a member on this host, by group: a client opens threads and connections, which is
/// too much for a question that is asked at each scrape of the metrics.
#[derive(Default)]
pub(super) struct Askers(Mutex<BTreeMap<String, Arc<BaseConsumer<LogContext>>>>);

impl Askers {
    fn committed(
        &self,
        cluster: &Cluster,
        group: &str,
        partitions: &TopicPartitionList,
    ) -> Result<KafkaResult<TopicPartitionList>, Error> {
        let asker = self.of(cluster, group)?;
        let answer = asker.committed_offsets(partitions.clone(), TIMEOUT);
        // The client's log lines and errors stay in its queue until they are polled.
        while asker.poll(Duration::ZERO).is_some() {}
        Ok(answer)
    }

    fn of(&self, cluster: &Cluster, group: &str) -> Result<Arc<BaseConsumer<LogContext>>, Error> {
        let mut askers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asker) = askers.get(group) {
            return Ok(Arc::clone(asker));
        }
        if askers.len() >= MAX_ASKERS {
            askers.clear();
        }
        let asker = Arc::new(client(cluster, &cluster.group(group), false)?);
        askers.insert(group.to_owned(), Arc::clone(&asker));
        Ok(asker)
    }

    /// The group has a member now.
    fn forget(&self, group: &str) {
        let forgotten = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(group);
        drop(forgotten);
    }
}

/// See [`EventLog::committed`](capability::events::EventLog::committed).
pub(super) fn committed(
    cluster: &Cluster,
    members: &Members,
    askers: &Askers,
    group: &str,
    name: &str,
) -> Result<Vec<Option<u64>>, Error> {
    let (topic, partitions) = (cluster.topic(name), partitions(cluster, name)?);
    let mut list = TopicPartitionList::new();
    list.add_partition_range(&topic, 0, partitions.cast_signed() - 1);
    let begun = Instant::now();
    let found = loop {
        let answer = match members.committed(group, &list) {
            Some(answer) => {
                askers.forget(group);
                answer
            }
            None => askers.committed(cluster, group, &list)?,
        };
        match answer {
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

/// A client with a group id that does not join the group; `says_ends`: it says where a partition ends.
fn client(cluster: &Cluster, group: &str, says_ends: bool) -> Result<BaseConsumer<LogContext>, Error> {
    let mut config = cluster.config();
    config.set("group.id", group).set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
    config.set("enable.partition.eof", if says_ends { "true" } else { "false" });
    config.create_with_context(LogContext).map_err(|error: KafkaError| unavailable(error))
}

fn silent() -> Error {
    Error::Unavailable(format!("Kafka did not answer in {TIMEOUT:?}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

    use super::*;
    use crate::KafkaOptions;

    #[test]
    fn a_group_is_asked_about_with_one_client_however_often() {
        let topics = BTreeMap::from([("t".to_owned(), 1)]);
        let cluster = Cluster::open(KafkaOptions::new("127.0.0.1:1"), topics).unwrap();
        let askers = Askers::default();
        let first = askers.of(&cluster, "a").unwrap();
        assert!(Arc::ptr_eq(&first, &askers.of(&cluster, "a").unwrap()));
        for number in 0..2 * MAX_ASKERS {
            askers.of(&cluster, &number.to_string()).unwrap();
            assert!(askers.0.lock().unwrap().len() <= MAX_ASKERS);
        }
        let last = askers.of(&cluster, "b").unwrap();
        askers.forget("b");
        assert!(!Arc::ptr_eq(&last, &askers.of(&cluster, "b").unwrap()), "its member was asked meanwhile");
    }
}
