//! The producer: what a relay appends goes out in order, and nothing passes what failed.
//!
//! A stream is a client with an identity of its own at the broker, which takes its messages of a partition in order and
//! without a gap, each once, however often the client has to send them. The first failure or an end of patience ends the
//! stream with all that it still has. So what a stream leaves in a partition is the beginning of what it was given, and
//! because whoever sends again begins with what came first, an event never appears before one that was ahead of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::capability::events::{Error, Event, screen};

use super::cluster::{Cluster, blocking, log_error, log_line, unavailable};
use super::message;

/// How long the last answers of a stream that was ended are waited for.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// Answers for one event of an append: its number there, and how it went.
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

    /// See [`Log::append`](crate::capability::events::Log::append).
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

    /// The stream that is used now; a new one after an end.
    fn stream(&self) -> Result<Arc<Stream>, Error> {
        let mut current = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = &*current {
            return Ok(Arc::clone(stream));
        }
        let stream = Arc::new(Stream::open(&self.cluster)?);
        *current = Some(Arc::clone(&stream));
        Ok(stream)
    }

    /// Ends a stream: when this comes back, nothing of it is sent any more.
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
                cluster.lost.notify_one();
            }
            Ok(())
        });
        if let Err(error) = ended.await {
            tracing::error!(%error, "a stream of events to Kafka did not end");
        }
    }
}

/// Waits for the answers and writes them down. The first failure, or the end of the time, ends the stream; false then.
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
                // What does not fit into the queue was not sent, and the stream goes on with what was.
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
            until = Instant::now() + LAST_ANSWERS;
        }
    }
}

/// One identity at the broker.
struct Stream {
    client: Option<ThreadedProducer<Reports>>,
    ended: Mutex<bool>,
}

impl Stream {
    fn open(cluster: &Cluster) -> Result<Self, Error> {
        let mut config = cluster.config();
        for (name, value) in [
            ("enable.idempotence", "true"),
            ("enable.gapless.guarantee", "true"),
            ("acks", "all"),
            // The end is ours to say: the library's own would let pass what has a little more time left.
            ("message.timeout.ms", "0"),
            ("compression.type", "lz4"),
            ("partitioner", "murmur2_random"),
            ("linger.ms", "1"),
            ("queue.buffering.max.kbytes", "65536"),
        ] {
            config.set(name, value);
        }
        let client = config.create_with_context(Reports::default()).map_err(unavailable)?;
        Ok(Self { client: Some(client), ended: Mutex::new(false) })
    }

    /// Hands events to the client, in order, up to the first one that it does not take. Blocks, but not for the broker.
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

    /// Throws away what was not sent, and forgets what was and has no answer. True when a topic was not there.
    fn end(&self) -> bool {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(client) = self.client.as_ref().filter(|_| !*ended) else { return false };
        *ended = true;
        client.purge(PurgeConfig::default().queue().inflight());
        client.context().lost_topic.load(Ordering::Relaxed)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The client waits for its threads; nobody who may be dropping this should.
        let client = self.client.take();
        let ended = std::thread::Builder::new().name("kafka-stream-end".to_owned()).spawn(move || drop(client));
        if let Err(error) = ended {
            tracing::warn!(%error, "a stream of events to Kafka ended slowly");
        }
    }
}

/// Takes the broker's answers to who waits for them.
#[derive(Default)]
struct Reports {
    lost_topic: AtomicBool,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ProducerContext for Reports {
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
            self.lost_topic.store(true, Ordering::Relaxed);
        }
        // Who waited may have given up.
        let _ = answers.send((number, answer));
    }
}
