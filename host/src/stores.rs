//! Stores: which engine each capability runs on, by the operator's URLs, and how it is.
//!
//! Nothing else knows which engine there is. Opening waits for no server: one that is away is found when it comes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::application::Application;
use crate::capability::clocks::Clock;
use crate::capability::documents::{self, Documents, Embedded, Guarded, Location, MongoDb, Schema};
use crate::capability::events::{self, EventLog, Kafka, Log, Outbox, Relay, RelayOptions};
use crate::capability::mail::{Mailer, Outlet};
use crate::capability::redis::{self, Redis};
use crate::capability::sockets::leases::{self, Leases};
use crate::capability::{Health, cache};
use crate::config::{Config, ConfigError, RedisConfig};
use crate::host::HostError;

/// The database of a `MONGODB_URI` that names none.
const DATABASE: &str = "devconnect";

/// One capability's engine, as operators see it.
pub struct Store {
    /// The capability.
    pub capability: &'static str,
    /// What it runs on.
    pub engine: &'static str,
    /// Without it the host can't serve.
    pub needed: bool,
    health: Box<dyn Fn() -> Health + Send + Sync>,
}

impl Store {
    fn new(
        capability: &'static str,
        engine: &'static str,
        health: impl Fn() -> Health + Send + Sync + 'static,
    ) -> Self {
        Self { capability, engine, needed: false, health: Box::new(health) }
    }

    pub(crate) fn embedded(capability: &'static str, engine: &'static str) -> Self {
        Self::new(capability, engine, || Health::Up)
    }

    /// How it is, by the last call.
    pub fn health(&self) -> Health {
        (self.health)()
    }
}

/// The engines of all capabilities that have several.
pub struct Stores {
    /// Small values.
    pub cache: Arc<dyn cache::Cache>,
    /// The truth, without the checks that components' questions go through.
    pub documents: Arc<dyn Documents>,
    /// The truth as components ask for it.
    pub checked: Arc<dyn Documents>,
    /// A document store that has to be prepared before it takes a commit.
    pub unprepared: Option<MongoDb>,
    /// What was published.
    pub events: Arc<dyn EventLog>,
    /// What moves events there; none: commits write to it themselves.
    pub relay: Option<Arc<Relay>>,
    /// Which hosts have which users.
    pub leases: Arc<dyn Leases>,
    /// Where hosts meet, and what they say there; none: this host is alone.
    pub meeting: Option<(Arc<Redis>, UnboundedReceiver<Bytes>)>,
    /// What sends mails; none: they wait in the documents.
    pub mailer: Option<Arc<Mailer>>,
    /// All of them, for operators.
    pub all: Vec<Store>,
}

impl Stores {
    /// Opens what the configuration names. Needs a runtime when it names a server.
    pub fn open(
        config: &Config,
        application: &Application,
        data: Option<PathBuf>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, HostError> {
        let outlet = outlet(config, data.as_ref())?;
        let truth = Truth::open(config, application, data)?;
        let Truth { documents, checked, unprepared, events, relay, mut all } = truth;
        let (cache, leases, meeting) = match &config.redis {
            None => {
                let process = "embedded (in process)";
                all.extend(["cache", "sockets"].map(|capability| Store::embedded(capability, process)));
                let cache: Arc<dyn cache::Cache> = Arc::new(cache::Embedded::new(clock.clone()));
                let leases = leases::Embedded::new(clock.clone(), config.sockets.lease);
                (cache, Arc::new(leases) as Arc<dyn Leases>, None)
            }
            Some(RedisConfig { url, prefix }) => {
                let near = application.cache.near.clone();
                let options = redis::Options { url: url.0.clone(), prefix: prefix.clone(), near };
                let (redis, heard) = Redis::open(options)?;
                all.extend(["cache", "sockets"].map(|capability| {
                    let redis = redis.clone();
                    Store::new(capability, "Redis", move || redis.health())
                }));
                let cache: Arc<dyn cache::Cache> = Arc::new(cache::InRedis::new(redis.clone()));
                let leases = leases::InRedis::new(redis.clone(), config.sockets.lease);
                (cache, Arc::new(leases) as Arc<dyn Leases>, Some((redis, heard)))
            }
        };
        let mailer = outlet
            .map(|outlet| Arc::new(Mailer::new(documents.clone(), clock.clone(), outlet, config.mail_from.clone())));
        all.extend(mailer.clone().map(|mailer| Store::new("mail", mailer.engine(), move || mailer.health())));
        Ok(Self { cache, documents, checked, unprepared, events, relay, leases, meeting, mailer, all })
    }
}

/// A server, or a folder where there is one.
fn outlet(config: &Config, data: Option<&PathBuf>) -> Result<Option<Outlet>, HostError> {
    match &config.smtp {
        Some(url) => Ok(Some(Outlet::smtp(&url.0).map_err(ConfigError)?)),
        None => Ok(data.map(|data| Outlet::Folder(data.join("mails")))),
    }
}

/// Documents and events: a commit has both, wherever each of them is.
struct Truth {
    documents: Arc<dyn Documents>,
    checked: Arc<dyn Documents>,
    unprepared: Option<MongoDb>,
    events: Arc<dyn EventLog>,
    relay: Option<Arc<Relay>>,
    all: Vec<Store>,
}

impl Truth {
    fn open(config: &Config, application: &Application, data: Option<PathBuf>) -> Result<Self, HostError> {
        let (schema, topics) = (application.schema(), application.partitions());
        let sqlite = if data.is_some() { "embedded (SQLite)" } else { "embedded (SQLite, in memory)" };
        let folder = |data: Option<PathBuf>| data.map_or(Location::Memory, Location::Folder);
        let kafka = match &config.kafka {
            None => None,
            Some(options) => Some(Arc::new(Kafka::open(options.clone(), &topics)?)),
        };
        let Some(uri) = &config.mongodb else {
            let open = if kafka.is_some() { Embedded::open_with_outbox } else { Embedded::open };
            let store = open(folder(data), &schema, &topics)?;
            let checked: Arc<dyn Documents> =
                Arc::new(if config.refuse_scans { store.refusing_scans() } else { store.clone() });
            let mut all = vec![Store::embedded("documents", sqlite)];
            let (events, relay) = match kafka {
                None => {
                    all.push(Store::embedded("events", sqlite));
                    (Arc::new(store.event_log()) as Arc<dyn EventLog>, None)
                }
                Some(kafka) => {
                    // Nobody else fills this outbox, and who does wakes the relay.
                    let options = RelayOptions { look: Duration::from_secs(1), ..RelayOptions::default() };
                    let (events, relay, engine) = relayed(Arc::new(store.outbox()), kafka, options);
                    all.push(engine);
                    (events, Some(relay))
                }
            };
            return Ok(Self { documents: Arc::new(store), checked, unprepared: None, events, relay, all });
        };
        let mongodb = MongoDb::open(&uri.0, DATABASE, &schema, &topics)?;
        let guarded = Arc::new(Guarded::new(mongodb.clone()));
        let (watched, prepared) = (guarded.clone(), mongodb.clone());
        let health = move || match watched.health() {
            Health::Up if !prepared.is_ready() => Health::Down("it is not prepared yet".to_owned()),
            health => health,
        };
        let mut all = vec![Store { needed: true, ..Store::new("documents", "MongoDB", health) }];
        let outbox = Arc::new(mongodb.clone());
        let (events, relay, engine) = match kafka {
            Some(kafka) => relayed(outbox, kafka, RelayOptions::default()),
            None => {
                // Its own folder, so that it stays what it is when documents come back into the data folder.
                let log = Embedded::open(folder(data.map(|data| data.join("events"))), &Schema::default(), &topics)?;
                let (events, relay, _) = relayed(outbox, Arc::new(log.event_log()), RelayOptions::default());
                (events, relay, Store::embedded("events", sqlite))
            }
        };
        all.push(engine);
        let documents: Arc<dyn Documents> = guarded;
        Ok(Self { checked: documents.clone(), documents, unprepared: Some(mongodb), events, relay: Some(relay), all })
    }
}

/// A log, what moves the events of an outbox into it, and how that goes.
fn relayed<L: Log + EventLog>(
    outbox: Arc<dyn Outbox>,
    log: Arc<L>,
    options: RelayOptions,
) -> (Arc<dyn EventLog>, Arc<Relay>, Store) {
    let relay = Arc::new(Relay::start(outbox, log.clone(), options));
    let watched = relay.clone();
    let health = move || match watched.status().log {
        events::Health::Up => Health::Up,
        events::Health::Down { why, .. } => Health::Down(why),
    };
    (log, relay, Store::new("events", "Kafka", health))
}

/// Prepares a MongoDB as soon as it answers.
///
/// # Errors
/// [`documents::Error::Unavailable`] when it does not answer now, [`documents::Error::Invalid`] when it is the wrong kind of server.
pub async fn prepare(mongodb: &MongoDb) -> Result<(), documents::Error> {
    let report = mongodb.prepare().await?;
    tracing::info!(version = report.version, replica_set = report.replica_set, "MongoDB is prepared");
    for index in report.made {
        tracing::info!(index, "an index was made");
    }
    for unmade in report.unmade {
        tracing::warn!(collection = unmade.collection, index = unmade.index, "there is no such index: {}", unmade.why);
    }
    Ok(())
}
