//! Rebalancing: the client's context, which assigns and revokes partitions. Called while the member's thread polls.

use std::sync::Arc;

use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::RDKafkaRespErr;

use capability::events::{Error, Start, TopicPartition};

use crate::cluster::{Cluster, POLL, TIMEOUT, log_error, log_line, unavailable};
use crate::member::buffers::Buffers;
use crate::member::commit_offsets;

pub(super) struct MemberContext {
    buffers: Arc<Buffers>,
    cluster: Arc<Cluster>,
    start: Start,
}

impl MemberContext {
    pub(super) fn new(buffers: Arc<Buffers>, cluster: Arc<Cluster>, start: Start) -> Self {
        Self { buffers, cluster, start }
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
        let committed = consumer.committed_offsets(list.clone(), TIMEOUT).map_err(unavailable)?;
        let start = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            element.error().map_err(unavailable)?;
            let partition = self.partition(element.topic(), element.partition());
            if let Offset::Offset(offset) = element.offset() {
                return Ok((partition, offset.max(0).cast_unsigned(), true));
            }
            let (oldest, end) = self.cluster.bounds(element.topic(), element.partition())?;
            Ok((partition, if self.start == Start::Latest { end } else { oldest }, false))
        };
        committed.elements().iter().map(start).collect()
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
