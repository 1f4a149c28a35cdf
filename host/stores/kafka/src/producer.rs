//! The producer: sends a relay's events in order; no event overtakes one that failed.
//!
//! A stream is an idempotent producer with its own producer id: the broker takes its messages of a partition in order,
//! without a gap and each once, however often the client sends them. The first failure or timeout ends the stream and
//! purges what it still has. So a stream leaves a prefix of its messages in a partition, and because the relay sends again
//! from the first event without an acknowledgement, an event never appears before one that was ahead of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use capability::events::{Error, Event, screen};

use crate::cluster::{Cluster, blocking, log_error, log_line, unavailable};
use crate::message;

/// How long the last delivery reports of an ended stream are waited for.
const LAST_REPORTS: Duration = Duration::from_millis(500);

/// The delivery report of one event of an append: its index there, and the outcome.
type Answer = (usize, Result<(), KafkaError>);

/// The producer.
pub(super) struct Producer {
    cluster: Arc<Cluster>,
    stream: Mutex<Option<Arc<Stream>>>,
}

impl Producer {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster, stream: Mutex::new(None) }
    }

    /// See [`Log::append`](capability::events::Log::append).
    pub(super) async fn append(&self, events: Vec<Event>, by: Instant) -> Vec<Result<(), Error>> {
        let count = events.len();
        let unsent = |error: Error| vec![Err(error); count];
        if let Err(error) = self.cluster.ready() {
            return unsent(error);
        }
        let stream = match self.stream() {
            Ok(stream) => stream,
            Err(error) => return unsent(error),
        };
        let mut results = screen(&self.cluster.topics, &events);
        let numbered = events.into_iter().enumerate().zip(&results).filter(|(_, result)| result.is_ok());
        let events: Vec<(usize, Event)> = numbered.map(|(numbered, _)| numbered).collect();
        for (number, _) in &events {
            if let Some(result) = results.get_mut(*number) {
                *result = Err(Error::Unavailable("Kafka did not acknowledge it in time".to_owned()));
            }
        }
        let (answers, answered) = unbounded_channel();
        let (sending, cluster) = (Arc::clone(&stream), Arc::clone(&self.cluster));
        let sent = blocking(move || {
            sending.send(&cluster, &events, &answers);
            Ok(())
        });
        if let Err(error) = sent.await {
            return unsent(error);
        }
        if !collect(answered, by, &mut results, || self.end(&stream)).await {
            tracing::debug!("a stream of events to Kafka was ended");
        }
        results
    }

    /// The current stream; a new one after an end.
    fn stream(&self) -> Result<Arc<Stream>, Error> {
        let mut current = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = &*current {
            return Ok(Arc::clone(stream));
        }
        let stream = Arc::new(Stream::open(&self.cluster)?);
        *current = Some(Arc::clone(&stream));
        Ok(stream)
    }

    /// Ends a stream: after this returns, nothing of it is sent any more.
    async fn end(&self, stream: &Arc<Stream>) {
        {
            let mut current = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
            if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, stream)) {
                *current = None;
            }
        }
        let (ending, cluster) = (Arc::clone(stream), Arc::clone(&self.cluster));
        let ended = blocking(move || {
            if ending.end() {
                cluster.topic_missing.notify_one();
            }
            Ok(())
        });
        if let Err(error) = ended.await {
            tracing::error!(%error, "a stream of events to Kafka did not end");
        }
    }
}

/// Waits for the delivery reports and stores them in `results`. The first failure, or `by`, ends the stream; false then.
async fn collect<E: Future<Output = ()>>(
    mut answered: UnboundedReceiver<Answer>,
    by: Instant,
    results: &mut [Result<(), Error>],
    end: impl Fn() -> E,
) -> bool {
    let (mut until, mut good) = (by, true);
    loop {
        let failed = match tokio::time::timeout_at(until.into(), answered.recv()).await {
            Ok(None) => return good,
            Ok(Some((number, answer))) => {
                // Events that do not fit into the queue were not sent; the stream goes on with those that were.
                let full =
                    answer.as_ref().is_err_and(|error| error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull));
                let failed = answer.is_err() && !full;
                if let Some(result) = results.get_mut(number) {
                    *result = answer.map_err(unavailable);
                }
                failed
            }
            Err(_) if good => true,
            Err(_) => return false,
        };
        if failed && good {
            good = false;
            end().await;
            until = Instant::now() + LAST_REPORTS;
        }
    }
}

/// One idempotent producer.
struct Stream {
    client: Option<ThreadedProducer<DeliveryContext>>,
    ended: Mutex<bool>,
}

impl Stream {
    fn open(cluster: &Cluster) -> Result<Self, Error> {
        let mut config = cluster.config();
        for (name, value) in [
            ("enable.idempotence", "true"),
            ("enable.gapless.guarantee", "true"),
            ("acks", "all"),
            // No timeout per message: with one, a message that has more time left would overtake one that timed out.
            ("message.timeout.ms", "0"),
            ("compression.type", cluster.options.compression.name()),
            ("partitioner", "murmur2_random"),
            ("linger.ms", "1"),
            ("queue.buffering.max.kbytes", "65536"),
        ] {
            config.set(name, value);
        }
        let client = config.create_with_context(DeliveryContext::default()).map_err(unavailable)?;
        Ok(Self { client: Some(client), ended: Mutex::new(false) })
    }

    /// Queues events at the client, in order, up to the first one that it refuses. Blocks, but not for the broker.
    fn send(&self, cluster: &Cluster, events: &[(usize, Event)], answers: &UnboundedSender<Answer>) {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(client) = self.client.as_ref().filter(|_| !*ended) else { return };
        for (number, event) in events {
            let topic = cluster.topic(&event.topic);
            let record = BaseRecord::with_opaque_to(&topic, Box::new((*number, answers.clone())))
                .key(&event.key)
                .payload(&event.value)
                .headers(message::headers(event))
                .timestamp(message::time(event));
            if let Err((error, _)) = client.send(record) {
                let _ = answers.send((*number, Err(error)));
                return;
            }
        }
    }

    /// Purges the messages that are queued or in flight. True when a topic was missing.
    fn end(&self) -> bool {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(client) = self.client.as_ref().filter(|_| !*ended) else { return false };
        *ended = true;
        client.purge(PurgeConfig::default().queue().inflight());
        client.context().missing_topic.load(Ordering::Relaxed)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Dropping the client joins its threads; the caller must not block on that.
        let client = self.client.take();
        let ended = std::thread::Builder::new().name("kafka-stream-end".to_owned()).spawn(move || drop(client));
        if let Err(error) = ended {
            tracing::warn!(%error, "a stream of events to Kafka ended slowly");
        }
    }
}

/// Sends the delivery reports to the appends that wait for them.
#[derive(Default)]
struct DeliveryContext {
    missing_topic: AtomicBool,
}

impl ClientContext for DeliveryContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = Box<(usize, UnboundedSender<Answer>)>;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: Self::DeliveryOpaque) {
        use RDKafkaErrorCode::{UnknownPartition, UnknownTopic, UnknownTopicOrPartition};
        let (number, answers) = *opaque;
        let answer = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.clone()),
        };
        if let Some(UnknownPartition | UnknownTopic | UnknownTopicOrPartition) =
            answer.as_ref().err().and_then(KafkaError::rdkafka_error_code)
        {
            self.missing_topic.store(true, Ordering::Relaxed);
        }
        // The append may have timed out.
        let _ = answers.send((number, answer));
    }
}
