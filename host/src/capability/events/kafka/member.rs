//! A member of a group at the broker. A thread of its own polls, so that the broker hears of it however busy its user is.
//!
//! What the thread gets waits in lanes, a partition each; a full lane stops its partition at the broker until it has been
//! emptied. `lanes` is what the thread and the user share, `watch` what happens when partitions come and go.

mod lanes;
mod watch;

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;

use crate::capability::events::{Error, Next, Place, Start, Subscription};

use super::cluster::{Cluster, STEP, unavailable};
use super::message;
use lanes::Lanes;
use watch::Watch;

/// How long a member that leaves waits for its last offsets to be remembered.
const LAST_COMMIT: Duration = Duration::from_secs(2);
/// Messages that are taken at once between two looks at everything else.
const AT_ONCE: usize = 1_000;

type Client = BaseConsumer<Watch>;

/// The user's side.
pub(super) struct Member {
    lanes: Arc<Lanes>,
    client: Weak<Client>,
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
        let member = Member { lanes: Arc::clone(&lanes), client: Arc::downgrade(&client) };
        let polling = std::thread::Builder::new().name("kafka-member".to_owned()).spawn(move || {
            poll(&client, &cluster, &lanes, &topics);
            // Leaves the group; nobody else holds the client any more.
            drop(client);
            lanes.left();
        });
        polling.map_err(|error| Error::Unavailable(format!("no thread for a subscription: {error}")))?;
        Ok(member)
    }
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
        let mut wait = STEP;
        for _ in 0..AT_ONCE {
            match client.poll(wait) {
                Some(Ok(message)) => {
                    let name = cluster.name(message.topic()).to_owned();
                    lanes.add(message::record(&name, &message));
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
        lanes.remember(client, cluster);
    }
    let begun = Instant::now();
    while lanes.remembering() && begun.elapsed() < LAST_COMMIT {
        lanes.remember(client, cluster);
        drop(client.poll(STEP));
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
        let Some(remembered) = self.lanes.finished(place, offset, &self.client)? else { return Ok(false) };
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
