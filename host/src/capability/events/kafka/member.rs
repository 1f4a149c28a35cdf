//! A member of a group at the broker. A thread of its own polls, so that the broker hears of it however busy its user is;
//! another one has offsets remembered.
//!
//! What the thread gets waits in lanes, a partition each. The client keeps a queue a partition, too, and asks the broker for
//! no more while that is full; so a full lane is just not read, where pausing it would throw away what came already.
//! `lanes` is what the thread and the user share, `watch` what happens when partitions come and go.

mod lanes;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::Offset;

use crate::capability::events::{Error, Next, Place, Start, Subscription};

use super::cluster::{Cluster, STEP, unavailable};
use super::message;
use lanes::{Batch, Lanes, Turns};
use watch::Watch;

/// How long a member that leaves waits for its last offsets to be remembered.
const LAST_COMMIT: Duration = Duration::from_secs(2);
/// Messages that are taken at once from a queue between two looks at everything else.
const AT_ONCE: usize = 500;

type Client = BaseConsumer<Watch>;

/// The user's side.
pub(super) struct Member {
    lanes: Arc<Lanes>,
}

impl Member {
    /// Blocks for a moment, but not for the broker.
    pub(super) fn join(cluster: Arc<Cluster>, group: &str, topics: &[String], start: Start) -> Result<Self, Error> {
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
            // Where a group begins is decided in `watch`; this is for what the broker has thrown away since.
            ("auto.offset.reset", "earliest"),
            // Of each partition. What is full is looked at again soon: the default of a second is how long it would be empty.
            ("queued.max.messages.kbytes", "4096"),
            ("queued.min.messages", "4000"),
            ("fetch.queue.backoff.ms", "10"),
            // A partition that is asked for again waits for the answer of the one before, which has only the others.
            ("fetch.wait.max.ms", "100"),
            ("fetch.error.backoff.ms", "200"),
        ] {
            config.set(name, value);
        }
        let lanes = Arc::new(Lanes::default());
        let watch = Watch::new(Arc::clone(&lanes), Arc::clone(&cluster), start);
        let mut client: Client = config.create_with_context(watch).map_err(unavailable)?;
        client.set_nonempty_callback({
            let lanes = Arc::clone(&lanes);
            move || lanes.ring()
        });
        let client = Arc::new(client);
        let topics: Vec<String> = topics.iter().map(|topic| cluster.topic(topic)).collect();
        let member = Member { lanes: Arc::clone(&lanes) };
        let remembering = thread("kafka-offsets", {
            let (client, cluster, lanes) = (Arc::clone(&client), Arc::clone(&cluster), Arc::clone(&lanes));
            move || {
                while let Some(batch) = lanes.to_remember() {
                    remember(&client, &cluster, &lanes, batch);
                }
            }
        })?;
        thread("kafka-member", move || {
            poll(&client, &cluster, &lanes, &topics);
            // Otherwise that thread is the one that leaves the group, as soon as it can.
            if !lanes.remembering() && remembering.join().is_err() {
                tracing::error!("the thread of a subscription's offsets ended by a panic");
            }
            drop(client);
            lanes.left();
        })?;
        Ok(member)
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map_err(|error| Error::Unavailable(format!("no thread for a subscription: {error}")))
}

/// Has the broker remember offsets. Blocks for it.
fn remember(client: &Client, cluster: &Cluster, lanes: &Lanes, batch: Batch) {
    let mut list = TopicPartitionList::new();
    let listed = batch.offsets.iter().try_for_each(|(place, offset)| {
        let topic = cluster.topic(&place.topic);
        list.add_partition_offset(&topic, place.partition.cast_signed(), Offset::Offset(offset.cast_signed()))
    });
    let done = listed.and_then(|()| client.commit(&list, CommitMode::Sync)).map_err(unavailable);
    lanes.answered(batch, done);
}

fn poll(client: &Arc<Client>, cluster: &Cluster, lanes: &Arc<Lanes>, topics: &[String]) {
    while cluster.ready().is_err() && !lanes.closing() {
        drop(client.poll(STEP));
    }
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    if let Err(error) = client.subscribe(&topics) {
        lanes.fail(&error.to_string());
        return;
    }
    let mut reading = Reading { client, cluster, lanes, queues: BTreeMap::new() };
    while !lanes.closing() {
        match reading.read() {
            Ok(true) => {}
            Ok(false) => lanes.wait(STEP),
            Err(error) => {
                lanes.fail(&error.to_string());
                return;
            }
        }
    }
    let begun = Instant::now();
    while lanes.remembering() && begun.elapsed() < LAST_COMMIT {
        drop(client.poll(STEP / 10));
    }
}

/// What the thread reads: the client's main queue, where partitions come and go, and a queue of each partition.
struct Reading<'a> {
    client: &'a Arc<Client>,
    cluster: &'a Cluster,
    lanes: &'a Arc<Lanes>,
    queues: BTreeMap<Place, PartitionQueue<Watch>>,
}

impl Reading<'_> {
    /// Takes what there is into the lanes; true when there may be more at once.
    fn read(&mut self) -> Result<bool, KafkaError> {
        // What came for a partition before it had a queue is there, and goes first.
        if !self.read_main()? {
            return Ok(true);
        }
        let Turns { all, came, open } = self.lanes.turns();
        self.queues.retain(|place, _| all.contains(place));
        if !came.is_empty() {
            came.into_iter().for_each(|place| self.split(place));
            return Ok(true);
        }
        let mut more = false;
        for place in open {
            let Some(queue) = self.queues.get(&place) else { continue };
            let mut records = Vec::new();
            while records.len() < AT_ONCE
                && let Some(message) = queue.poll(Duration::ZERO)
            {
                records.extend(went_on(message)?.map(|message| message::record(&place.topic, &message)));
            }
            more |= records.len() == AT_ONCE;
            if !records.is_empty() {
                self.lanes.add(&place, records);
            }
        }
        Ok(more)
    }

    /// True when it is empty.
    fn read_main(&self) -> Result<bool, KafkaError> {
        for _ in 0..AT_ONCE {
            let Some(message) = self.client.poll(Duration::ZERO) else { return Ok(true) };
            if let Some(message) = went_on(message)? {
                let topic = self.cluster.name(message.topic()).to_owned();
                let record = message::record(&topic, &message);
                self.lanes.add(&Place { topic, partition: record.partition }, vec![record]);
            }
        }
        Ok(false)
    }

    /// Gives a partition a queue of its own.
    fn split(&mut self, place: Place) {
        // The end of an old one would silence the new one.
        self.queues.remove(&place);
        let topic = self.cluster.topic(&place.topic);
        let Some(mut queue) = self.client.split_partition_queue(&topic, place.partition.cast_signed()) else { return };
        let lanes = Arc::clone(self.lanes);
        queue.set_nonempty_callback(move || lanes.ring());
        self.queues.insert(place, queue);
    }
}

/// A subscription goes on after most errors.
fn went_on<T>(message: Result<T, KafkaError>) -> Result<Option<T>, KafkaError> {
    match message {
        Ok(message) => Ok(Some(message)),
        Err(error @ KafkaError::MessageConsumptionFatal(_)) => Err(error),
        Err(error) => {
            tracing::debug!(%error, "a subscription goes on");
            Ok(None)
        }
    }
}

#[async_trait]
impl Subscription for Member {
    async fn next(&self) -> Result<Next, Error> {
        self.lanes.next().await
    }

    async fn finished(&self, place: &Place, offset: u64) -> Result<bool, Error> {
        let Some(remembered) = self.lanes.finished(place, offset)? else { return Ok(false) };
        remembered.await.unwrap_or_else(|_| Err(lanes::closed())).map(|()| true)
    }

    fn pause(&self, place: &Place) {
        self.lanes.pause(place, true);
    }

    fn resume(&self, place: &Place) {
        self.lanes.pause(place, false);
    }

    async fn close(&self) {
        self.lanes.close();
        self.lanes.until_left().await;
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.lanes.close();
    }
}
