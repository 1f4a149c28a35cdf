//! A member of a consumer group. One thread polls the client, so that heartbeats and rebalances go on however busy the user
//! is; another one commits offsets.
//!
//! Polled records go into buffers, one per partition. The client has a queue per partition, too, and fetches no more while
//! that is full; so a partition whose buffer is full is not polled: pausing it would discard what is fetched already.
//! `buffers` is the state that the threads and the user share, `rebalance` assigns and revokes partitions.

mod buffers;
mod rebalance;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::Offset;

use capability::events::{Error, Next, Start, Subscription, TopicPartition};

use crate::cluster::{Cluster, POLL, TIMEOUT, unavailable};
use crate::message;
use buffers::{Batch, Buffers, Readable};
use rebalance::MemberContext;

/// How long a member that leaves waits for its last offset commits.
const LAST_COMMIT: Duration = Duration::from_secs(2);
/// The most messages that are polled from one queue before the others.
const MAX_POLL: usize = 500;

type Client = BaseConsumer<MemberContext>;

/// The clients of this host's members by group: what is asked about a group needs no client of its own while one is there.
#[derive(Default)]
pub(super) struct Members(Mutex<BTreeMap<String, Weak<Client>>>);

impl Members {
    fn joined(&self, group: &str, client: &Arc<Client>) {
        let mut members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|_, client| client.strong_count() > 0);
        members.insert(group.to_owned(), Arc::downgrade(client));
    }

    /// The offsets that a group has committed, asked with its member's client; none without a member. Blocks.
    pub(super) fn committed(
        &self,
        group: &str,
        partitions: &TopicPartitionList,
    ) -> Option<KafkaResult<TopicPartitionList>> {
        let client = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(group)?.upgrade()?;
        Some(client.committed_offsets(partitions.clone(), TIMEOUT))
    }
}

/// The handle for the user.
pub(super) struct Member {
    buffers: Arc<Buffers>,
}

impl Member {
    /// Blocks briefly, but not for the broker.
    pub(super) fn join(
        cluster: Arc<Cluster>,
        members: &Members,
        group: &str,
        topics: &[String],
        start: Start,
    ) -> Result<Self, Error> {
        topics.iter().try_for_each(|topic| cluster.check(topic))?;
        let mut config = cluster.config();
        for (name, value) in [
            ("group.id", cluster.group(group).as_str()),
            ("group.protocol", "classic"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "1500"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            // `rebalance` sets the start offsets; this is for offsets whose records the broker has deleted since.
            ("auto.offset.reset", "earliest"),
            // How soon a topic's new partitions are found.
            ("topic.metadata.refresh.interval.ms", "3000"),
            // The statistics say how far partitions were fetched, control records included.
            ("statistics.interval.ms", "1000"),
            // Of each partition. A full queue is checked again soon: with the default of a second it would run empty.
            ("queued.max.messages.kbytes", "4096"),
            ("queued.min.messages", "4000"),
            ("fetch.queue.backoff.ms", "10"),
            // A partition that is fetched again waits for the response before, which is for the other partitions only.
            ("fetch.wait.max.ms", "100"),
            ("fetch.error.backoff.ms", "200"),
        ] {
            config.set(name, value);
        }
        let buffers = Arc::new(Buffers::default());
        let context = MemberContext::new(Arc::clone(&buffers), Arc::clone(&cluster), start);
        let mut client: Client = config.create_with_context(context).map_err(unavailable)?;
        client.set_nonempty_callback({
            let buffers = Arc::clone(&buffers);
            move || buffers.wake()
        });
        let client = Arc::new(client);
        let topics: Vec<String> = topics.iter().map(|topic| cluster.topic(topic)).collect();
        let member = Member { buffers: Arc::clone(&buffers) };
        let committer = thread("kafka-offsets", {
            let (client, cluster, buffers) = (Arc::clone(&client), Arc::clone(&cluster), Arc::clone(&buffers));
            move || {
                while let Some(batch) = buffers.to_commit() {
                    commit_offsets(&client, &cluster, &buffers, batch);
                }
            }
        })?;
        members.joined(group, &client);
        thread("kafka-member", move || {
            let polled = catch_unwind(AssertUnwindSafe(|| poll(&client, &cluster, &buffers, &topics)));
            if polled.is_err() {
                buffers.fail("its thread ended by a panic");
            }
            // Otherwise the other thread drops the client last, and so leaves the group, as soon as it can.
            if !buffers.committing() && committer.join().is_err() {
                tracing::error!("the thread of a subscription's offsets ended by a panic");
            }
            drop(client);
            buffers.left();
        })?;
        Ok(member)
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map_err(|error| Error::Unavailable(format!("no thread for a subscription: {error}")))
}

/// Commits offsets at the broker. Blocks for it.
fn commit_offsets(client: &Client, cluster: &Cluster, buffers: &Buffers, batch: Batch) {
    let mut list = TopicPartitionList::new();
    let listed = batch.offsets.iter().try_for_each(|(partition, offset)| {
        let topic = cluster.topic(&partition.topic);
        list.add_partition_offset(&topic, partition.partition.cast_signed(), Offset::Offset(offset.cast_signed()))
    });
    let done = listed.and_then(|()| client.commit(&list, CommitMode::Sync)).map_err(unavailable);
    buffers.on_committed(batch, done);
}

fn poll(client: &Arc<Client>, cluster: &Cluster, buffers: &Arc<Buffers>, topics: &[String]) {
    while cluster.ready().is_err() && !buffers.closing() {
        drop(client.poll(POLL));
    }
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    if let Err(error) = client.subscribe(&topics) {
        buffers.fail(&error.to_string());
        return;
    }
    let mut poller = Poller { client, cluster, buffers, queues: BTreeMap::new() };
    while !buffers.closing() {
        match poller.poll() {
            Ok(true) => {}
            Ok(false) => buffers.wait(POLL),
            Err(error) => {
                buffers.fail(&error.to_string());
                return;
            }
        }
    }
    let begun = Instant::now();
    while buffers.committing() && begun.elapsed() < LAST_COMMIT {
        drop(client.poll(POLL / 10));
    }
}

/// The queues that the thread polls: the client's main queue, which runs the rebalance callbacks, and one per partition.
struct Poller<'a> {
    client: &'a Arc<Client>,
    cluster: &'a Cluster,
    buffers: &'a Arc<Buffers>,
    queues: BTreeMap<TopicPartition, PartitionQueue<MemberContext>>,
}

impl Poller<'_> {
    /// Polls the queues into the buffers; true when there may be more at once.
    fn poll(&mut self) -> Result<bool, KafkaError> {
        // It has the messages of a partition from before it had its own queue; they go first.
        if !self.poll_main()? {
            return Ok(true);
        }
        let Readable { assigned, new, open } = self.buffers.readable();
        self.queues.retain(|partition, _| assigned.contains(partition));
        if !new.is_empty() {
            new.into_iter().for_each(|partition| self.split(partition));
            return Ok(true);
        }
        let mut more = false;
        for partition in open {
            let Some(queue) = self.queues.get(&partition) else { continue };
            let mut records = Vec::new();
            while records.len() < MAX_POLL
                && let Some(message) = queue.poll(Duration::ZERO)
            {
                records.extend(unless_fatal(message)?.map(|message| message::record(&partition.topic, &message)));
            }
            more |= records.len() == MAX_POLL;
            if !records.is_empty() {
                self.buffers.add(&partition, records);
            }
        }
        Ok(more)
    }

    /// Polls the main queue; true when it is empty.
    fn poll_main(&self) -> Result<bool, KafkaError> {
        for _ in 0..MAX_POLL {
            let Some(message) = self.client.poll(Duration::ZERO) else { return Ok(true) };
            if let Some(message) = unless_fatal(message)? {
                let topic = self.cluster.name(message.topic()).to_owned();
                let record = message::record(&topic, &message);
                self.buffers.add(&TopicPartition { topic, partition: record.partition }, vec![record]);
            }
        }
        Ok(false)
    }

    /// Splits off a partition's own queue.
    fn split(&mut self, partition: TopicPartition) {
        // Dropping an old queue after the split would stop the new one.
        self.queues.remove(&partition);
        let topic = self.cluster.topic(&partition.topic);
        let number = partition.partition.cast_signed();
        let Some(mut queue) = self.client.split_partition_queue(&topic, number) else { return };
        let buffers = Arc::clone(self.buffers);
        queue.set_nonempty_callback(move || buffers.wake());
        self.queues.insert(partition, queue);
    }
}

/// Logs an error and returns no message, unless the error is fatal.
fn unless_fatal<T>(message: Result<T, KafkaError>) -> Result<Option<T>, KafkaError> {
    match message {
        Ok(message) => Ok(Some(message)),
        Err(error @ KafkaError::MessageConsumptionFatal(_)) => Err(error),
        Err(error) => {
            tracing::debug!(%error, "a subscription goes on after an error");
            Ok(None)
        }
    }
}

#[async_trait]
impl Subscription for Member {
    async fn next(&self) -> Result<Next, Error> {
        self.buffers.next().await
    }

    async fn commit(&self, partition: &TopicPartition, offset: u64) -> Result<bool, Error> {
        let Some(committed) = self.buffers.finished(partition, offset)? else { return Ok(false) };
        committed.await.unwrap_or_else(|_| Err(buffers::closed())).map(|()| true)
    }

    fn pause(&self, partition: &TopicPartition) {
        self.buffers.pause(partition, true);
    }

    fn resume(&self, partition: &TopicPartition) {
        self.buffers.pause(partition, false);
    }

    fn is_closed(&self) -> bool {
        self.buffers.closing()
    }

    async fn close(&self) {
        self.buffers.close();
        self.buffers.until_left().await;
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.buffers.close();
    }
}
