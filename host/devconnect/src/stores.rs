//! Stores: opens the engine of each capability, by the operator's URLs, with its health.
//!
//! Only this module knows which engines there are. Opening waits for no server: the clients connect when it is available.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::config::{Config, ConfigError, RedisConfig};
use capability::cache;
use capability::clocks::Clock;
use capability::documents;
use capability::documents::{Documents, Schema};
use capability::events;
use capability::events::{EventLog, Log, Outbox, Relay, RelayOptions};
use capability::health::{Health, Store};
use capability::mail::{Mailer, Outlet};
use capability::sockets::leases;
use capability::sockets::leases::Leases;
use manifest::Application;
use store_kafka::Kafka;
use store_mongodb::{Guarded, MongoDb};
use store_redis as redis;
use store_redis::Redis;
use store_smtp::{Folder, Smtp};
use store_sqlite::{Location, Sqlite};

/// The database of a `MONGODB_URI` that names none.
const DATABASE: &str = "devconnect";

/// Why the stores do not open. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operator's configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The document store can't be opened.
    #[error("the document store does not open: {0}")]
    Documents(#[from] documents::Error),
    /// The event log can't be opened.
    #[error(transparent)]
    Events(#[from] events::Error),
    /// Redis can't be opened.
    #[error(transparent)]
    Redis(#[from] redis::Error),
}

/// The engines of all capabilities that have several.
pub struct Stores {
    /// The cache.
    pub cache: Arc<dyn cache::Cache>,
    /// The documents, without the checks on components' queries.
    pub documents: Arc<dyn Documents>,
    /// The documents with these checks, for components.
    pub checked: Arc<dyn Documents>,
    /// The document store that must be prepared before it accepts a commit; none: it needs no preparation.
    pub unprepared: Option<MongoDb>,
    /// The event log.
    pub events: Arc<dyn EventLog>,
    /// Moves events from the outbox to the log; none: commits write to the log themselves.
    pub relay: Option<Arc<Relay>>,
    /// The leases that say which hosts have which users.
    pub leases: Arc<dyn Leases>,
    /// The Redis over which hosts send each other messages, and the messages received; none: this is the only host.
    pub broadcast: Option<(Arc<Redis>, UnboundedReceiver<Bytes>)>,
    /// Sends mails; none: they stay in the documents.
    pub mailer: Option<Arc<Mailer>>,
    /// All of them with their health, for operators.
    pub all: Vec<Store>,
}

impl Stores {
    /// Opens what the configuration names. Needs a tokio runtime when it names a server.
    pub fn open(
        config: &Config,
        application: &Application,
        data: Option<PathBuf>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let outlet = outlet(config, data.as_ref())?;
        let opened = DocumentsAndEvents::open(config, application, data)?;
        let DocumentsAndEvents { documents, checked, unprepared, events, relay, mut all } = opened;
        let (cache, leases, broadcast) = match &config.redis {
            None => {
                let process = "embedded (in process)";
                all.extend(["cache", "sockets"].map(|capability| Store::embedded(capability, process)));
                let cache: Arc<dyn cache::Cache> = Arc::new(cache::InProcess::new(clock.clone()));
                let leases = leases::InProcess::new(clock.clone(), config.sockets.lease);
                (cache, Arc::new(leases) as Arc<dyn Leases>, None)
            }
            Some(RedisConfig { url, prefix }) => {
                let near = application.cache.near.clone();
                let options = redis::Options { url: url.0.clone(), prefix: prefix.clone(), near };
                let (redis, messages) = Redis::open(options)?;
                all.extend(["cache", "sockets"].map(|capability| {
                    let redis = redis.clone();
                    Store::new(capability, "Redis", move || redis.health())
                }));
                let cache: Arc<dyn cache::Cache> = Arc::new(store_redis::RedisCache::new(redis.clone()));
                let leases = store_redis::RedisLeases::new(redis.clone(), config.sockets.lease);
                (cache, Arc::new(leases) as Arc<dyn Leases>, Some((redis, messages)))
            }
        };
        let mailer = outlet.map(|outlet| Arc::new(Mailer::new(documents.clone(), clock.clone(), outlet)));
        all.extend(mailer.clone().map(|mailer| Store::new("mail", mailer.engine(), move || mailer.health())));
        Ok(Self { cache, documents, checked, unprepared, events, relay, leases, broadcast, mailer, all })
    }
}

/// Where mails are sent: the SMTP server or, without one, the data folder.
fn outlet(config: &Config, data: Option<&PathBuf>) -> Result<Option<Arc<dyn Outlet>>, ConfigError> {
    let from = config.mail_from.clone();
    Ok(match &config.smtp {
        Some(url) => Some(Arc::new(Smtp::new(&url.0, from).map_err(ConfigError)?)),
        None => data.map(|data| Arc::new(Folder::new(data.join("mails"), from)) as Arc<dyn Outlet>),
    })
}

/// The application's collections and the host's own.
pub(crate) fn schema(application: &Application) -> Schema {
    let own = capability::collections().into_iter().chain(trigger::collections());
    application.schema(own.chain(registry::deploy::collections()))
}

/// The stores of documents and events, opened together because one commit writes both.
struct DocumentsAndEvents {
    documents: Arc<dyn Documents>,
    checked: Arc<dyn Documents>,
    unprepared: Option<MongoDb>,
    events: Arc<dyn EventLog>,
    relay: Option<Arc<Relay>>,
    all: Vec<Store>,
}

impl DocumentsAndEvents {
    fn open(config: &Config, application: &Application, data: Option<PathBuf>) -> Result<Self, OpenError> {
        let (schema, topics) = (schema(application), application.partitions());
        let sqlite = if data.is_some() { "embedded (SQLite)" } else { "embedded (SQLite, in memory)" };
        let folder = |data: Option<PathBuf>| data.map_or(Location::Memory, Location::Folder);
        let kafka = match &config.kafka {
            None => None,
            Some(options) => Some(Arc::new(Kafka::open(options.clone(), &topics)?)),
        };
        let Some(uri) = &config.mongodb else {
            let open = if kafka.is_some() { Sqlite::open_with_outbox } else { Sqlite::open };
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
                    // Only this process writes to this outbox, and each write wakes the relay.
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
        let mut all = vec![Store::new("documents", "MongoDB", health).required()];
        let outbox = Arc::new(mongodb.clone());
        let (events, relay, engine) = match kafka {
            Some(kafka) => relayed(outbox, kafka, RelayOptions::default()),
            None => {
                // A folder of its own, so that it does not change when documents are moved back into the data folder.
                let log = Sqlite::open(folder(data.map(|data| data.join("events"))), &Schema::default(), &topics)?;
                let (events, relay, _) = relayed(outbox, Arc::new(log.event_log()), RelayOptions::default());
                (events, relay, Store::embedded("events", sqlite))
            }
        };
        all.push(engine);
        let documents: Arc<dyn Documents> = guarded;
        Ok(Self { checked: documents.clone(), documents, unprepared: Some(mongodb), events, relay: Some(relay), all })
    }
}

/// A log, the relay that moves an outbox's events into it, and the health of both.
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

/// Prepares a MongoDB: checks the server and creates the indexes.
///
/// # Errors
/// [`documents::Error::Unavailable`] when it does not answer, [`documents::Error::Invalid`] when it is the wrong kind of
/// server.
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
