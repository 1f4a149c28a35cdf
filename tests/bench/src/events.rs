//! What consuming costs: events of a component that does nothing, one effect each beside the store's own rate for the same
//! transaction, and how soon an effect is there after its event was published. On the embedded log, and on Kafka.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use bson::{RawDocumentBuf, doc};
use bytes::Bytes;
use capability::documents::{Change, Commit, Documents, Filter, Write};
use capability::events::{Event, Log as _};
use capability::sessions::Ending;
use capability::sockets::{Error, Sockets, Target};
use devconnect::config::Config;
use devconnect::{Host, HostOptions};
use e2e::Stack;
use futures_util::StreamExt as _;
use serde::Serialize;
use serde_json::value::RawValue;
use store_kafka::{Kafka, KafkaOptions};

use crate::spread::Spread;

/// Events of a component that does nothing.
const NOTHING: usize = 200_000;
/// Events with one effect each.
const EFFECTS: usize = 20_000;
/// How many commits of the store's own are under way at once: as many as a consumer has places.
const AT_ONCE: usize = 64;
/// Events a second whose way is timed, for how long, and for how long they come before that: a broker that has just been
/// started, and a client that has just met a topic, have a slow first second.
const RATE: u32 = 1_000;
const TIMED: Duration = Duration::from_secs(10);
const BEFORE: Duration = Duration::from_secs(2);
/// Nothing of it takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many events are published at once.
const BATCH: usize = 500;
/// Those of the component.
const TOPICS: [&str; 3] = ["user-events", "message-events", "connection-events"];
/// Keys that events are spread over.
const KEYS: usize = 1_000;

/// All figures of this bench.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    embedded: Engine,
    /// None where there is no Kafka.
    kafka: Option<Engine>,
}

/// The figures on one engine.
#[derive(Debug, Serialize)]
struct Engine {
    /// Events a second of a component that does nothing, all asynchronous work on one thread.
    nothing_per_second: f64,
    /// Events a second with one effect each.
    effects_per_second: f64,
    /// The store's own commits of an effect and a mark a second.
    commits_per_second: f64,
    /// From the moment an event is published until what its effect emits goes out.
    end_to_end: Spread,
}

/// Runs all of it; about a minute on each engine.
pub(crate) fn measure() -> anyhow::Result<Figures> {
    eprintln!("on the embedded log:");
    let embedded = engine(&|| Some(Config::default()))?.context("embedded stores are always there")?;
    eprintln!("on Kafka, with embedded documents:");
    let kafka = engine(&|| Stack::real().as_ref().map(config))?;
    Ok(Figures { embedded, kafka })
}

fn config(stack: &Stack) -> Config {
    let kafka = KafkaOptions {
        topic_prefix: stack.variable("KAFKA_TOPIC_PREFIX").to_owned(),
        group_prefix: stack.variable("KAFKA_GROUP_ID").to_owned(),
        ..KafkaOptions::new(stack.variable("KAFKA_BROKERS"))
    };
    Config { kafka: Some(kafka), ..Config::default() }
}

/// Each figure in stores of its own. None where there are none.
fn engine(stores: &dyn Fn() -> Option<Config>) -> anyhow::Result<Option<Engine>> {
    let Some(config) = stores() else { return Ok(None) };
    let nothing_per_second = on(config, Bench::nothing)?;
    eprintln!("    {nothing_per_second:.0} a second");
    let config = stores().context("stores that are gone")?;
    let (effects_per_second, commits_per_second) = on(config, Bench::effects)?;
    eprintln!("    {effects_per_second:.0} effects a second, {commits_per_second:.0} commits of the store's own");
    let config = stores().context("stores that are gone")?;
    let end_to_end = on(config, Bench::end_to_end)?;
    Ok(Some(Engine { nothing_per_second, effects_per_second, commits_per_second, end_to_end }))
}

/// Measures on a host of its own, all of whose asynchronous work is on one thread; who measures is on another one.
fn on<T, F: Future<Output = anyhow::Result<T>>>(
    config: Config,
    measure: impl FnOnce(Arc<Bench>) -> F,
) -> anyhow::Result<T> {
    let data = tempfile::TempDir::new()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let told = Arc::new(Told::default());
    let (host, kafka) = {
        let _inside = runtime.enter();
        let kafka =
            config.kafka.clone().map(|options| Kafka::open(options, &TOPICS.map(|name| (name.to_owned(), 3)).into()));
        let options = HostOptions::new(config, harness::components_folder(), Some(data.path().to_owned()));
        (Host::open(HostOptions { sockets: Some(told.clone()), ..options })?, kafka.transpose()?)
    };
    let bench = Arc::new(Bench { host, kafka, told });
    runtime.block_on(async {
        bench.host.prepare(false).await?;
        let measured = measure(bench.clone()).await;
        bench.host.close().await;
        measured
    })
}

struct Bench {
    host: Host,
    kafka: Option<Kafka>,
    told: Arc<Told>,
}

impl Bench {
    fn begin(&self) -> anyhow::Result<()> {
        self.host.registry.deploy(&harness::wasm("counting"))?;
        self.host.consume();
        Ok(())
    }

    async fn nothing(self: Arc<Self>) -> anyhow::Result<f64> {
        eprintln!("  {NOTHING} events that nothing is done for…");
        self.publish("user-events", "NOTHING", NOTHING).await?;
        self.begin()?;
        self.consumed("user-events", NOTHING).await
    }

    async fn effects(self: Arc<Self>) -> anyhow::Result<(f64, f64)> {
        eprintln!("  {EFFECTS} commits of the store's own, {EFFECTS} events with one effect…");
        let own = self.own_commits().await?;
        self.publish("message-events", "ONE", EFFECTS).await?;
        self.begin()?;
        Ok((self.consumed("message-events", EFFECTS).await?, own))
    }

    /// Straight into a log that is a server: an outbox is not what is measured.
    async fn publish(&self, topic: &str, kind: &str, count: usize) -> anyhow::Result<()> {
        let batch = |first: usize| -> Vec<Event> {
            let numbers = first..(first + BATCH).min(count);
            numbers.map(|number| event(topic, kind, &format!("key{}", number % KEYS))).collect()
        };
        if let Some(kafka) = &self.kafka {
            until("the log takes events", async || Ok(kafka.answers().await.is_ok())).await?;
        }
        for first in (0..count).step_by(BATCH) {
            match &self.kafka {
                Some(kafka) => {
                    let by = Instant::now() + PATIENCE;
                    kafka.append(batch(first), by).await.into_iter().collect::<Result<(), _>>()?;
                }
                None => {
                    self.host.documents.commit(Commit { writes: Vec::new(), events: batch(first) }).await?;
                }
            }
        }
        Ok(())
    }

    /// Waits until `count` events of a topic are finished; how many a second that was.
    async fn consumed(&self, topic: &str, count: usize) -> anyhow::Result<f64> {
        let log = &self.host.events;
        let finished = async || -> anyhow::Result<u64> {
            let finished = log.committed("counting", topic).await?;
            Ok(finished.iter().map(|finished| finished.unwrap_or(0)).sum())
        };
        // What comes before the first event is a member joining its group.
        until("the component is told something", async || Ok(finished().await? > 0)).await?;
        let (begun, before) = (Instant::now(), finished().await?);
        until("everything is consumed", async || Ok(finished().await? >= count as u64)).await?;
        Ok((count as u64 - before) as f64 / begun.elapsed().as_secs_f64())
    }

    /// The transaction of an effect and its mark, as fast as the store does it.
    async fn own_commits(&self) -> anyhow::Result<f64> {
        let documents: &Arc<dyn Documents> = &self.host.documents;
        let commits = (0..EFFECTS).map(|number| async move {
            let mark = RawDocumentBuf::try_from(&doc! { "_id": format!("own/{number}"), "at": bson::DateTime::now() })?;
            let change = doc! { "$inc": { "count": 1 } };
            let writes = vec![
                Write::Insert { collection: "host-consumed".to_owned(), document: mark },
                Write::Update {
                    collection: "useractivity".to_owned(),
                    filter: Filter::from_document(&doc! { "_id": format!("own{}", number % KEYS) })?,
                    change: Change::parse(&RawDocumentBuf::try_from(&change)?)?,
                    upsert: true,
                    many: false,
                    must_match: false,
                },
            ];
            documents.commit_in_key_order(Commit { writes, events: Vec::new() }, None).await.0?;
            anyhow::Ok(())
        });
        let begun = Instant::now();
        let mut done = futures_util::stream::iter(commits).buffer_unordered(AT_ONCE);
        while let Some(committed) = done.next().await {
            committed?;
        }
        Ok(EFFECTS as f64 / begun.elapsed().as_secs_f64())
    }

    /// At a steady rate, each from the moment it was due.
    async fn end_to_end(self: Arc<Self>) -> anyhow::Result<Spread> {
        eprintln!("  {RATE} events a second for {BEFORE:?} and, timed, {TIMED:?}…");
        self.begin()?;
        self.publish("message-events", "ONE", 1).await?;
        self.consumed("message-events", 1).await?;
        let first = RATE as usize * usize::try_from(BEFORE.as_secs())?;
        let count = first + RATE as usize * usize::try_from(TIMED.as_secs())?;
        let begun = Instant::now() + Duration::from_millis(200);
        let due = |number: usize| begun + Duration::from_secs(1) * u32::try_from(number).unwrap_or(0) / RATE;
        for number in 0..count {
            tokio::time::sleep_until(due(number).into()).await;
            let documents = self.host.documents.clone();
            let event = event("connection-events", "TOLD", &format!("told{number}"));
            tokio::spawn(async move { documents.commit(Commit { writes: Vec::new(), events: vec![event] }).await });
        }
        until("every effect is told", async || Ok(self.told.lock().len() >= count)).await?;
        let told = self.told.lock();
        let times = told.iter().map(|(key, at)| {
            let number: usize = key.trim_matches('"').trim_start_matches("told").parse()?;
            Ok((number, u64::try_from(at.saturating_duration_since(due(number)).as_nanos())?))
        });
        let times: Vec<(usize, u64)> = times.collect::<anyhow::Result<_>>()?;
        Ok(Spread::of(times.into_iter().filter(|(number, _)| *number >= first).map(|(_, time)| time).collect()))
    }
}

fn event(topic: &str, kind: &str, key: &str) -> Event {
    Event {
        id: bson::oid::ObjectId::new().to_hex(),
        topic: topic.to_owned(),
        key: key.to_owned(),
        kind: kind.to_owned(),
        value: br#"{"eventType":"BENCH","userId":"64b7f0c2a1b2c3d4e5f60718","timestamp":"2026-01-15T12:00:00.000Z","data":{}}"#.to_vec(),
        headers: Vec::new(),
        at: 1_768_478_400_000,
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !holds().await.with_context(|| what.to_owned())? {
        ensure!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// When which event's effect was told to sockets.
#[derive(Default)]
struct Told(Mutex<Vec<(String, Instant)>>);

impl Told {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(String, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sockets for Told {
    async fn emit(&self, _: &[Target], _: &str, payload: &RawValue) -> Result<(), Error> {
        self.lock().push((payload.get().to_owned(), Instant::now()));
        Ok(())
    }

    async fn emit_with_ack(&self, _: &str, _: &str, _: &RawValue, _: Duration) -> Result<Option<Bytes>, Error> {
        Ok(None)
    }

    async fn join(&self, _: &str, _: &str) -> Result<(), Error> {
        Ok(())
    }

    async fn leave(&self, _: &str, _: &str) -> Result<(), Error> {
        Ok(())
    }

    async fn appear(&self, _: &str, _: &str) -> Result<(), Error> {
        Ok(())
    }

    async fn online(&self, _: &str) -> Result<bool, Error> {
        Ok(false)
    }

    async fn end(&self, _: &str, _: &Ending) {}
}

impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let share = 100.0 * self.effects_per_second / self.commits_per_second;
        writeln!(f, "  nothing done, one thread   {:>9.0} events/s   ({NOTHING} events)", self.nothing_per_second)?;
        writeln!(
            f,
            "  one effect each            {:>9.0} events/s   {share:.0} % of the store's own {:.0} commits/s   ({EFFECTS} events)",
            self.effects_per_second, self.commits_per_second
        )?;
        let millis = |nanoseconds: u64| nanoseconds as f64 / 1e6;
        write!(
            f,
            "  published to effect told   p50 {:.1} ms   p99 {:.1} ms   at {RATE} events/s   ({} events)",
            millis(self.end_to_end.p50),
            millis(self.end_to_end.p99),
            self.end_to_end.rounds
        )
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "embedded log and documents\n{}", self.embedded)?;
        match &self.kafka {
            Some(kafka) => write!(f, "\nKafka, embedded documents\n{kafka}"),
            None => write!(f, "\nKafka: not measured, there is none"),
        }
    }
}
