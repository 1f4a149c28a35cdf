//! The host: stores, capabilities, engine, registry and triggers put together. The binary and the tests both start here. It may
//! use every other crate.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::config::{Config, ConfigError};
use crate::housekeeping::Housekeeping;
use crate::secrets::{Secrets, Variables};
use crate::stores::{self, OpenError, Stores};
use admin::Operated;
use capability::clocks::{Clock, System};
use capability::documents::{Counted, Effect, StoreCalls, Write};
use capability::events::{EventLog, Relay};
use capability::fetch::{Fetch, Transport};
use capability::generations::Generations;
use capability::health::Store;
use capability::hosts::Peers;
use capability::invalidations::Invalidations;
use capability::mail::{Mailer, Mailing};
use capability::passwords::{Cost, Passwords};
use capability::pending_invalidations::{PendingInvalidations, Stale};
use capability::retention::Retention;
use capability::sessions::{Keys, Sessions};
use capability::settings::Settings;
use capability::signing::{Key, Signing};
use capability::sockets::Sockets;
use capability::{Capabilities, documents, files};
use engine::{CodeCache, Compiling, Engine, EngineError, Shared};
use manifest::{Application, ApplicationError};
use registry::deploy::Deployments;
use registry::{DeployError, Registry};
use store_http::HttpTransport;
use store_mongodb::MongoDb;
use trigger::event::EventTrigger;
use trigger::http::{HttpTrigger, OriginRules, Site, origin_of};
use trigger::schedule::ScheduleTrigger;
use trigger::socket::{SocketServer, SocketTrigger, SocketsOfHosts};

/// Why a host does not start. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The operator's configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// `application.toml` is wrong.
    #[error(transparent)]
    Application(#[from] ApplicationError),
    /// A store can't be opened.
    #[error(transparent)]
    Stores(#[from] OpenError),
    /// The document store can't be prepared.
    #[error("the document store does not open: {0}")]
    Documents(#[from] documents::Error),
    /// The engine does not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A component is not deployed.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// The system failed.
    #[error("{0}")]
    System(String),
}

/// The bytes of a secret, which are gone when it is dropped.
type Secret = Zeroizing<Vec<u8>>;

/// Puts something between a host and a document store. It is called once for the store that components ask, whose queries are
/// checked, and once for the one that the host itself asks.
pub type WrapDocuments = Arc<dyn Fn(Arc<dyn documents::Documents>) -> Arc<dyn documents::Documents> + Send + Sync>;

/// Between two attempts to prepare a store that is not available.
const RETRY: Duration = Duration::from_millis(500);

/// How a host is put together.
pub struct HostOptions {
    /// The operator's configuration.
    pub config: Config,
    /// The folder with `application.toml` and the components.
    pub components: PathBuf,
    /// The data folder, with which nobody else may do anything from here on; none keeps everything in memory.
    pub data: Option<PathBuf>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The cost of hashing a password.
    pub passwords: Cost,
    /// Sends messages to clients; none: the host's own Socket.IO server.
    pub sockets: Option<Arc<dyn Sockets>>,
    /// Wraps the document store, so that a measurement can count what is asked of it; none: nothing is between.
    pub wrap_documents: Option<WrapDocuments>,
    /// Where components are compiled.
    pub compiling: Compiling,
    /// Counts what components and the check of sessions ask the documents; none: nobody does.
    pub calls: Option<Arc<StoreCalls>>,
    /// The folder of the code cache and its key; none: in the data folder or, without one, no code cache.
    pub code: Option<PathBuf>,
    /// Sends requests of components to servers of others; none: over the network.
    pub transport: Option<Arc<dyn Transport>>,
    /// The variables of the environment that `application.toml` names.
    pub variables: Variables,
}

impl HostOptions {
    /// The options with the machine's clock and the full cost of hashing a password.
    pub fn new(config: Config, components: PathBuf, data: Option<PathBuf>) -> Self {
        let (clock, passwords) = (Arc::new(System::default()), Cost::default());
        Self {
            config,
            components,
            data,
            clock,
            passwords,
            sockets: None,
            wrap_documents: None,
            compiling: Compiling::Here,
            calls: None,
            code: None,
            transport: None,
            variables: Variables::default(),
        }
    }
}

/// A host that is ready to be called.
pub struct Host {
    /// What is deployed on this host.
    pub registry: Arc<Registry>,
    /// What is deployed in the cluster.
    pub deployments: Arc<Deployments>,
    /// The HTTP trigger.
    pub http: Arc<HttpTrigger>,
    /// The documents, without the checks on components' queries: for the admin API, the harness and tests.
    pub documents: Arc<dyn documents::Documents>,
    /// The event log.
    pub events: Arc<dyn EventLog>,
    /// The engine and the health of each capability.
    pub stores: Arc<Vec<Store>>,
    unprepared: Option<MongoDb>,
    relay: Option<Arc<Relay>>,
    retention: Retention,
    mailer: Option<Arc<Mailer>>,
    background: Mutex<Option<BackgroundTasks>>,
}

impl Host {
    /// Opens the stores and makes an engine, with nothing deployed yet. Call [`Host::prepare`] next. Needs a tokio runtime when
    /// the configuration names a server.
    pub fn open(options: HostOptions) -> Result<Self, HostError> {
        let HostOptions {
            config,
            components,
            data,
            clock,
            passwords,
            sockets,
            wrap_documents,
            compiling,
            calls,
            code: code_folder,
            transport,
            variables,
        } = options;
        if let Some(data) = &data {
            let unusable = |why: std::io::Error| {
                HostError::System(format!("the data folder {} can't be used: {why}", data.display()))
            };
            files::take(data).map_err(unusable)?;
        }
        let application = Application::read(&components)?;
        let given = settings(&config, &application, &variables)?;
        let secrets = Secrets::new(data.as_ref().map(|data| data.join("secrets")), config.production).of(variables);
        let (session_secret, signing) = given_secrets(&secrets, &application)?;
        let Stores { cache, documents, checked, unprepared, events, relay, leases, broadcast, mailer, all } =
            Stores::open(&config, &application, data.clone(), &clock)?;
        let (documents, checked) = match wrap_documents {
            Some(wrap) => (wrap(documents), wrap(checked)),
            None => (documents, checked),
        };
        let stores = Arc::new(all);
        let rules = application.session.clone();
        let pending = Arc::new(PendingInvalidations::default());
        let keys = Keys::new(&session_secret);
        let counted = |store: Arc<dyn documents::Documents>| -> Arc<dyn documents::Documents> {
            match &calls {
                Some(calls) => Arc::new(Counted::new(store, calls.clone())),
                None => store,
            }
        };
        let asked = counted(documents.clone());
        let sessions = Sessions::new(rules, keys, cache.clone(), asked, clock.clone(), pending.clone());
        let sessions = Arc::new(sessions.kept_for(config.retention.sessions));
        let invalidations =
            Invalidations::new(documents.clone(), cache.clone(), sessions.clone(), clock.clone(), pending);
        let invalidations = Arc::new(invalidations);
        invalidations.start();
        let server = SocketServer::new(config.sockets, clock.clone(), leases);
        let peers = broadcast.as_ref().map(|(redis, _)| redis.clone() as Arc<dyn Peers>);
        let sockets = sockets.unwrap_or_else(|| match broadcast {
            None => Arc::new(server.engine()),
            Some((redis, messages)) => Arc::new(SocketsOfHosts::new(server.engine(), redis, messages)),
        });
        let transport: Arc<dyn Transport> = match transport {
            Some(transport) => transport,
            None => Arc::new(HttpTransport::new().map_err(HostError::System)?),
        };
        let capabilities = Capabilities {
            cache,
            documents: counted(checked),
            generations: Arc::new(Generations::new(documents.clone())),
            sockets,
            sessions,
            invalidations,
            passwords: Passwords::new(passwords).map_err(|error| HostError::System(error.to_string()))?,
            signing: Signing::new(signing),
            fetch: Fetch::new(transport, config.fetch.clone()),
            config: Settings::new(&application.settings, &given),
            clock,
            refusals: Arc::default(),
            deleted: Arc::default(),
        };
        let code_cache = match (code_folder, &data) {
            (Some(folder), _) => {
                let key = Secrets::new(Some(folder.clone()), false).generated("compiled_code_key")?;
                Some((folder, key))
            }
            (None, Some(data)) => Some((data.join("compiled"), secrets.generated("compiled_code_key")?)),
            (None, None) => None,
        };
        let code = code_cache.map(|(folder, key)| CodeCache::open(folder, key)).transpose();
        let code = code.map_err(|error| HostError::System(format!("no folder for compiled code: {error}")))?;
        let site = site(&config, &application, stores.clone());
        let engine = Engine::new(&config.engine, Arc::new(Shared::new(capabilities, application)), code, compiling)?;
        let clock = engine.shared().capabilities.clock.clone();
        let registry = Arc::new(Registry::new(Arc::new(engine)));
        let deployed = data.map(|data| data.join("deployed"));
        let deployments = Deployments::new(registry.clone(), documents.clone(), deployed, clock);
        let deployments = Arc::new(deployments.with_peers(peers).strict(config.strict));
        let http = Arc::new(HttpTrigger::new(registry.clone(), site, SocketTrigger::new(server, registry.clone())));
        Ok(Self {
            registry,
            deployments,
            http,
            documents,
            events,
            stores,
            unprepared,
            relay,
            retention: config.retention,
            mailer,
            background: Mutex::default(),
        })
    }

    /// Must be called before anything is served: prepares the document store and fills the derived fields of older documents.
    /// Later starts only read the markers of that; with `again` all documents are read once more, for older ones that were
    /// added since. A server that is not available is retried in the background; until it is prepared, calls that need it get
    /// the error `unavailable`.
    pub async fn prepare(&self, again: bool) -> Result<(), HostError> {
        let shared = self.registry.engine().shared();
        // The store without its circuit breaker: a caller's request that was not answered must not delay the preparation.
        let documents = match &self.unprepared {
            Some(mongodb) => Arc::new(mongodb.clone()),
            None => self.documents.clone(),
        };
        let preparation = Preparation {
            mongodb: self.unprepared.clone(),
            documents,
            schema: stores::schema(&shared.application),
            application: shared.application.clone(),
            invalidations: shared.capabilities.invalidations.clone(),
            clock: shared.capabilities.clock.clone(),
            generations: shared.capabilities.generations.clone(),
            again,
        };
        match preparation.run().await {
            Err(documents::Error::Unavailable(why)) if self.unprepared.is_some() => {
                tracing::warn!(why, "the document store is not available yet; preparing it is retried");
                tokio::spawn(preparation.retry());
                Ok(())
            }
            result => Ok(result?),
        }
    }

    /// The parts for the admin API.
    pub fn operated(&self) -> Operated {
        Operated {
            registry: self.registry.clone(),
            deployments: self.deployments.clone(),
            http: self.http.clone(),
            documents: self.documents.clone(),
            events: self.events.clone(),
            stores: self.stores.clone(),
        }
    }

    /// Starts the background tasks, which run until [`Host::close`]: delivering events, calling schedules, sending mails,
    /// following what is deployed in the cluster, and deleting what is too old. Needs a tokio runtime. A second call does nothing.
    pub fn consume(&self) {
        self.background().get_or_insert_with(|| BackgroundTasks {
            events: EventTrigger::start(self.registry.clone(), self.events.clone()),
            schedules: ScheduleTrigger::start(self.registry.clone()),
            mailing: self.mailer.clone().map(Mailer::start),
            following: {
                let deployments = self.deployments.clone();
                tokio::spawn(async move { deployments.follow().await })
            },
            cleaning: tokio::spawn(self.housekeeping().run()),
        });
    }

    /// Deletes everything that is older than it is kept. A host that consumes does so by itself, again and again.
    pub async fn clean_up(&self) {
        self.housekeeping().clean_up().await;
    }

    fn housekeeping(&self) -> Housekeeping {
        Housekeeping {
            registry: self.registry.clone(),
            deployments: self.deployments.clone(),
            documents: self.documents.clone(),
            events: self.events.clone(),
            retention: self.retention,
        }
    }

    fn background(&self) -> MutexGuard<'_, Option<BackgroundTasks>> {
        self.background.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called after the last request: waits until the running event deliveries are finished, and stops the background
    /// tasks and the relay.
    pub async fn close(&self) {
        let background = self.background().take();
        if let Some(BackgroundTasks { events, schedules, mailing, following, cleaning }) = background {
            following.abort();
            cleaning.abort();
            tokio::join!(events.stop(), schedules.stop());
            if let Some(mailing) = mailing {
                mailing.stop().await;
            }
        }
        if let Some(relay) = &self.relay {
            relay.stop().await;
        }
    }
}

/// What a host does in the background.
struct BackgroundTasks {
    events: EventTrigger,
    schedules: ScheduleTrigger,
    mailing: Option<Mailing>,
    following: JoinHandle<()>,
    cleaning: JoinHandle<()>,
}

/// Prepares the document store.
struct Preparation {
    mongodb: Option<MongoDb>,
    documents: Arc<dyn documents::Documents>,
    schema: documents::Schema,
    application: Application,
    invalidations: Arc<Invalidations>,
    clock: Arc<dyn Clock>,
    generations: Arc<Generations>,
    again: bool,
}

/// Values that are cached follow from what is filled as from any other write: hosts may serve meanwhile.
#[async_trait]
impl documents::Commits for Preparation {
    async fn commit(
        &self,
        collection: &str,
        mut writes: Vec<Write>,
        known: Vec<bson::Document>,
    ) -> Result<Vec<Effect>, documents::Error> {
        let mut keys = Vec::new();
        for document in &known {
            let document = bson::RawDocumentBuf::try_from(document)
                .map_err(|error| documents::Error::Invalid(error.to_string()))?;
            let like = Write::Insert { collection: collection.to_owned(), document };
            keys.extend(self.application.stale_by(&like).map_err(documents::Error::Invalid)?);
        }
        let (count, mut invalidation) = (writes.len(), None);
        if !keys.is_empty() {
            let (prepared, write) = self.invalidations.prepare(Stale { keys, subjects: Vec::new() })?;
            writes.extend(write);
            invalidation = Some(prepared);
        }
        let committed = self.documents.commit(documents::Commit { writes, events: Vec::new() }).await;
        match (&committed, invalidation) {
            (Ok(_), Some(invalidation)) => self.invalidations.settle(invalidation).await,
            (Err(documents::Error::Unavailable(_)), Some(invalidation)) => self.invalidations.doubt(invalidation).await,
            _ => {}
        }
        committed.map(|mut effects| {
            effects.truncate(count);
            effects
        })
    }
}

impl Preparation {
    async fn run(&self) -> Result<(), documents::Error> {
        if let Some(mongodb) = &self.mongodb {
            stores::prepare(mongodb).await?;
        }
        let Self { documents, schema, clock, .. } = self;
        documents::fill(documents.as_ref(), self, schema, clock.as_ref(), self.again).await?;
        self.generations.look().await
    }

    async fn retry(self) {
        let mut logged = None;
        loop {
            tokio::time::sleep(RETRY).await;
            match self.run().await {
                Ok(()) => return tracing::info!("the document store is available and prepared"),
                Err(error) if logged.as_ref() != Some(&error) => {
                    tracing::warn!(%error, "the document store is not prepared yet");
                    logged = Some(error);
                }
                Err(_) => {}
            }
        }
    }
}

/// The operator's settings, those of variables before those of the file, and the public URL, which components need for links.
fn settings(
    config: &Config,
    application: &Application,
    variables: &Variables,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut settings = config.settings.clone();
    for (name, variable) in &application.variables {
        let Some(value) = variables.get(variable) else { continue };
        let value = value.into_string().map_err(|_| ConfigError(format!("{variable} is no text; it takes UTF-8")))?;
        settings.insert(name.clone(), value.trim().to_owned());
    }
    settings.extend(config.public_url.clone().map(|url| ("public-url".to_owned(), url)));
    Ok(settings)
}

/// What sessions are signed with, and the application's secrets by name. Each is checked before a store is opened.
fn given_secrets(secrets: &Secrets, application: &Application) -> Result<(Secret, BTreeMap<String, Key>), ConfigError> {
    let variable = &application.session.secret;
    let session = secrets.get(variable)?;
    let (mut keys, mut all) = (BTreeMap::new(), vec![(variable.as_str(), session.clone())]);
    let own = application.secrets.iter().map(|named| (named, true));
    for ((name, variable), required) in own.chain(application.optional_secrets.iter().map(|named| (named, false))) {
        let secret = if required { Some(secrets.get(variable)?) } else { secrets.optional(variable)? };
        let Some(secret) = secret else { continue };
        all.push((variable.as_str(), secret.clone()));
        let scheme = application.signing.get(name).copied().unwrap_or_default();
        keys.insert(name.clone(), Key { secret, scheme });
    }
    let all: Vec<(&str, &[u8])> = all.iter().map(|(variable, secret)| (*variable, secret.as_slice())).collect();
    secrets.check_distinct(&all)?;
    Ok((session, keys))
}

fn site(config: &Config, application: &Application, stores: Arc<Vec<Store>>) -> Site {
    let mut allowed = config.frontends.clone();
    allowed.extend(config.public_url.as_deref().and_then(origin_of));
    if !config.production {
        allowed.extend(application.origins.development.iter().filter_map(|url| origin_of(url)));
    }
    let https = config.public_url.as_deref().is_some_and(|url| url.starts_with("https://"));
    let origins = OriginRules { allowed, own_host: !config.production };
    Site { origins, https, proxies: config.proxies.clone(), count_loopback: config.listener.count_loopback, stores }
}
