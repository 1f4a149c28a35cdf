//! What happens when partitions come and go. Called while the member's thread polls.

use std::sync::Arc;

use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::RDKafkaRespErr;

use crate::capability::events::{Error, Place, Start};

use super::super::cluster::{Cluster, PATIENCE, STEP, log_error, log_line, unavailable};
use super::lanes::Lanes;
use super::remember;

pub(super) struct Watch {
    lanes: Arc<Lanes>,
    cluster: Arc<Cluster>,
    start: Start,
}

impl Watch {
    pub(super) fn new(lanes: Arc<Lanes>, cluster: Arc<Cluster>, start: Start) -> Self {
        Self { lanes, cluster, start }
    }

    fn place(&self, topic: &str, partition: i32) -> Place {
        Place { topic: self.cluster.name(topic).to_owned(), partition: partition.max(0).cast_unsigned() }
    }

    fn places(&self, list: &TopicPartitionList) -> Vec<Place> {
        list.elements().iter().map(|element| self.place(element.topic(), element.partition())).collect()
    }

    /// Where the group goes on in partitions that came, and whether that is remembered at the broker already.
    fn begin(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
    ) -> Result<Vec<(Place, u64, bool)>, Error> {
        let committed = consumer.committed_offsets(list.clone(), PATIENCE).map_err(unavailable)?;
        let begins = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            element.error().map_err(unavailable)?;
            let place = self.place(element.topic(), element.partition());
            if let Offset::Offset(offset) = element.offset() {
                return Ok((place, offset.max(0).cast_unsigned(), true));
            }
            let (oldest, end) = self.cluster.bounds(element.topic(), element.partition())?;
            Ok((place, if self.start == Start::Latest { end } else { oldest }, false))
        };
        committed.elements().iter().map(begins).collect()
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) -> KafkaResult<()> {
        // Without knowing where to begin it would begin somewhere; the broker has just answered, so it will again.
        while !self.lanes.closing() {
            match self.begin(consumer, list) {
                Ok(begins) => {
                    for (place, offset, _) in &begins {
                        let topic = self.cluster.topic(&place.topic);
                        let offset = Offset::Offset(offset.cast_signed());
                        list.set_partition_offset(&topic, place.partition.cast_signed(), offset)?;
                    }
                    self.lanes.came(begins);
                    break;
                }
                Err(error) => {
                    tracing::debug!(%error, "where a group goes on is asked for again");
                    std::thread::sleep(STEP);
                }
            }
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
            _ => consumer.assign(list),
        }
    }

    fn hand_back(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        // Before the partitions have another member; after one has them it would be too late.
        if !consumer.assignment_lost()
            && let Some(batch) = self.lanes.take()
        {
            remember(consumer, &self.cluster, &self.lanes, batch);
        }
        self.lanes.went(self.places(list));
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
            _ => consumer.unassign(),
        }
    }
}

impl ClientContext for Watch {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for Watch {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, why: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let done = match why {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.hand_back(consumer, list),
        };
        if let Err(error) = done {
            tracing::error!(%error, "a member of a group could not take or hand back its partitions");
        }
    }
}
