//! Rebalancing: the client's context, which assigns and revokes partitions, and learns from the client's statistics how far it
//! has fetched. Called while the member's thread polls.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::{Partition, Statistics};
use rdkafka::topic_partition_list::{Offset, TopicPartitionListElem};
use rdkafka::types::RDKafkaRespErr;

use capability::events::{Error, Start, TopicPartition};

use crate::cluster::{Cluster, POLL, TIMEOUT, log_error, log_line, unavailable};
use crate::member::buffers::Buffers;
use crate::member::commit_offsets;

pub(super) struct MemberContext {
    buffers: Arc<Buffers>,
    cluster: Arc<Cluster>,
    start: Start,
    /// The topics in which this member has had a partition, by the broker's names: there the group has begun, even where the
    /// broker has forgotten its offsets because the topic was deleted and made anew.
    begun: Mutex<BTreeSet<String>>,
    /// A moment before the client was created.
    created: Instant,
}

impl MemberContext {
    pub(super) fn new(buffers: Arc<Buffers>, cluster: Arc<Cluster>, start: Start) -> Self {
        Self { buffers, cluster, start, begun: Mutex::default(), created: Instant::now() }
    }

    fn partition(&self, topic: &str, partition: i32) -> TopicPartition {
        TopicPartition { topic: self.cluster.name(topic).to_owned(), partition: partition.max(0).cast_unsigned() }
    }

    fn partitions(&self, list: &TopicPartitionList) -> Vec<TopicPartition> {
        list.elements().iter().map(|element| self.partition(element.topic(), element.partition())).collect()
    }

    /// The start offset of each assigned partition, and whether that is committed at the broker already.
    fn start_offsets(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
    ) -> Result<Vec<(TopicPartition, u64, bool)>, Error> {
        let topics: BTreeSet<String> = list.elements().iter().map(|element| element.topic().to_owned()).collect();
        let mut starts = Vec::with_capacity(list.count());
        for topic in topics {
            let mut committed = self.committed(consumer, &topic)?;
            let has_begun = self.has_begun(&topic) || committed.iter().any(Option::is_some);
            let begins_at_the_latest = !has_begun && self.start == Start::Latest;
            if begins_at_the_latest {
                // Where it fails, this member's own partitions get their offsets by the commits of their starts.
                match self.begin_at_the_latest(consumer, &topic, committed.len()) {
                    Ok(()) => committed = self.committed(consumer, &topic)?,
                    Err(error) => tracing::debug!(%error, topic, "not all of a group's start offsets are committed"),
                }
            }
            for element in list.elements_for_topic(&topic) {
                let number = element.partition();
                let known = usize::try_from(number).ok().and_then(|number| committed.get(number).copied().flatten());
                let start = match known {
                    Some(offset) => offset,
                    None if begins_at_the_latest => self.cluster.bounds(&topic, number)?.1,
                    // New to a group that has begun, which has missed nothing of it on purpose.
                    None => self.cluster.bounds(&topic, number)?.0,
                };
                starts.push((self.partition(&topic, number), start, known.is_some()));
            }
        }
        Ok(starts)
    }

    /// The group's committed offsets in all partitions of a topic.
    fn committed(&self, consumer: &BaseConsumer<Self>, topic: &str) -> Result<Vec<Option<u64>>, Error> {
        let partitions = self.cluster.metadata(Some(topic))?.get(topic).copied().unwrap_or(0);
        if partitions == 0 {
            return Err(Error::Unavailable(format!("the topic `{topic}` is not made yet")));
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, partitions.cast_signed() - 1);
        let committed = consumer.committed_offsets(list, TIMEOUT).map_err(unavailable)?;
        let offset = |element: &TopicPartitionListElem<'_>| {
            element.error().map_err(unavailable)?;
            Ok(match element.offset() {
                Offset::Offset(offset) => Some(offset.max(0).cast_unsigned()),
                _ => None,
            })
        };
        committed.elements().iter().map(offset).collect()
    }

    /// The group begins in a topic: all its partitions at their ends, also those of other members, so that one without an offset
    /// is one that the topic got later. Another member that begins now commits about the same.
    fn begin_at_the_latest(&self, consumer: &BaseConsumer<Self>, topic: &str, partitions: usize) -> Result<(), Error> {
        let mut ends = TopicPartitionList::new();
        for number in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
            let (_, end) = self.cluster.bounds(topic, number)?;
            ends.add_partition_offset(topic, number, Offset::Offset(end.cast_signed())).map_err(unavailable)?;
        }
        consumer.commit(&ends, CommitMode::Sync).map_err(unavailable)
    }

    fn has_begun(&self, topic: &str) -> bool {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).contains(topic)
    }

    /// Remembers that the group has begun in the topics of these partitions.
    fn set_begun(&self, list: &TopicPartitionList) {
        let topics = list.elements().iter().map(|element| element.topic().to_owned()).collect::<Vec<_>>();
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).extend(topics);
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) -> KafkaResult<()> {
        // Without start offsets the client would choose its own; the broker has just answered, so it will again.
        while !self.buffers.closing() {
            match self.start_offsets(consumer, list) {
                Ok(starts) => {
                    for (partition, offset, _) in &starts {
                        let topic = self.cluster.topic(&partition.topic);
                        let offset = Offset::Offset(offset.cast_signed());
                        list.set_partition_offset(&topic, partition.partition.cast_signed(), offset)?;
                    }
                    self.set_begun(list);
                    self.buffers.on_assigned(starts);
                    break;
                }
                Err(error) => {
                    tracing::debug!(%error, "the start offsets of a group are requested again");
                    std::thread::sleep(POLL);
                }
            }
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
            _ => consumer.assign(list),
        }
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        // Commit before the partitions are assigned to another member; after that it would be too late.
        if !consumer.assignment_lost()
            && let Some(batch) = self.buffers.take()
        {
            commit_offsets(consumer, &self.cluster, &self.buffers, batch);
        }
        self.buffers.on_revoked(self.partitions(list));
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
            _ => consumer.unassign(),
        }
    }
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }

    /// Tells the buffers where the ends of partitions are that were fetched to their end: behind the last record there may be
    /// the end of a transaction or aborted records, which are never delivered and would count as lag for ever.
    fn stats(&self, statistics: Statistics) {
        // The client is a little younger than `created` says, so this is not later than the moment itself.
        let emitted = self.created + Duration::from_micros(statistics.age.max(0).cast_unsigned());
        for topic in statistics.topics.values() {
            for partition in topic.partitions.values().filter(|partition| is_at_its_end(partition)) {
                let end = partition.eof_offset.cast_unsigned();
                self.buffers.on_end(&self.partition(&topic.topic, partition.partition), end, emitted);
            }
        }
    }
}

/// Whether everything of it was fetched, and nothing that was fetched waits to be polled.
fn is_at_its_end(partition: &Partition) -> bool {
    let Partition { partition: number, fetchq_cnt, fetch_state, next_offset, eof_offset, .. } = partition;
    *number >= 0 && *eof_offset >= 0 && eof_offset == next_offset && *fetchq_cnt == 0 && fetch_state == "active"
}

impl ConsumerContext for MemberContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, why: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let done = match why {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.revoke(consumer, list),
        };
        if let Err(error) = done {
            tracing::error!(%error, "a member of a group could not be assigned its partitions, or have them revoked");
        }
    }
}
