//! A member of a group at the broker. A thread of its own polls, so that the broker hears of it however busy its user is;
//! another one has offsets remembered.
//!
//! What the thread gets waits in lanes, a partition each; a full lane stops its partition at the broker until it has been
//! emptied. `lanes` is what the thread and the user share, `watch` what happens when partitions come and go.

mod lanes;
mod watch;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::Offset;

use crate::capability::events::{Error, Next, Place, Start, Subscription};

use super::cluster::{Cluster, STEP, unavailable};
use super::message;
use lanes::{Batch, Lanes};
use watch::Watch;

/// How long a member that leaves waits for its last offsets to be remembered.
const LAST_COMMIT: Duration = Duration::from_secs(2);
/// Messages that are taken at once between two looks at everything else.
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
            ("queued.max.messages.kbytes", "8192"),
            ("queued.min.messages", "1000"),
            ("fetch.error.backoff.ms", "200"),
        ] {
            config.set(name, value);
        }
        let lanes = Arc::new(Lanes::default());
        let watch = Watch::new(Arc::clone(&lanes), Arc::clone(&cluster), start);
        let client: Arc<Client> = Arc::new(config.create_with_context(watch).map_err(unavailable)?);
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

fn poll(client: &Client, cluster: &Cluster, lanes: &Lanes, topics: &[String]) {
    while cluster.ready().is_err() && !lanes.closing() {
        drop(client.poll(STEP));
    }
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    if let Err(error) = client.subscribe(&topics) {
        lanes.fail(&error.to_string());
        return;
    }
    while !lanes.closing() {
        // What was stopped because it was full goes on as soon as it has been told.
        let mut wait = if lanes.are_stopped() { STEP / 20 } else { STEP };
        for _ in 0..AT_ONCE {
            match client.poll(wait) {
                Some(Ok(message)) => {
                    let name = cluster.name(message.topic()).to_owned();
                    if lanes.add(message::record(&name, &message)) {
                        break;
                    }
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    lanes.fail(&error.to_string());
                    return;
                }
                Some(Err(error)) => tracing::debug!(%error, "a subscription goes on"),
                None => break,
            }
            wait = Duration::ZERO;
        }
        lanes.tell();
        stop_and_go(client, cluster, lanes);
    }
    let begun = Instant::now();
    while lanes.remembering() && begun.elapsed() < LAST_COMMIT {
        drop(client.poll(STEP / 10));
    }
}

/// Stops what is full or paused, and lets go on what is neither.
fn stop_and_go(client: &Client, cluster: &Cluster, lanes: &Lanes) {
    let (stop, go) = lanes.turns();
    let list = |places: &[Place]| {
        let mut list = TopicPartitionList::new();
        for place in places {
            list.add_partition(&cluster.topic(&place.topic), place.partition.cast_signed());
        }
        list
    };
    let stopped = if stop.is_empty() { Ok(()) } else { client.pause(&list(&stop)) };
    let going = if go.is_empty() { Ok(()) } else { client.resume(&list(&go)) };
    if let Err(error) = stopped.and(going) {
        tracing::debug!(%error, "a partition is stopped or goes on a little later");
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
