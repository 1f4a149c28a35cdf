//! The host: engines, capabilities, components and triggers put together. The binary and the tests both start here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::application::{Application, ApplicationError};
use crate::capability::clocks::{Clock, System};
use crate::capability::documents::MongoDb;
use crate::capability::events::{self, EventLog, Relay};
use crate::capability::generations::Generations;
use crate::capability::invalidations::{Invalidations, Owed};
use crate::capability::mail::{Mailer, Mailing};
use crate::capability::passwords::{Cost, Passwords};
use crate::capability::sessions::{Keys, Sessions};
use crate::capability::signing::Signing;
use crate::capability::sockets::{Sockets, SocketsOfHosts};
use crate::capability::{Capabilities, config::Settings, documents, redis};
use crate::config::{Config, ConfigError, Secrets};
use crate::deploy::Deployments;
use crate::engine::{CodeCache, Compiling, Engine, EngineError, Shared};
use crate::registry::{DeployError, Registry};
use crate::stores::{self, Store, Stores};
use crate::trigger::event::EventTrigger;
use crate::trigger::http::{HttpTrigger, OriginRules, Site};
use crate::trigger::schedule::ScheduleTrigger;
use crate::trigger::socket::{SocketServer, SocketTrigger};

/// Why a host does not start. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The operator's configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The application's file.
    #[error(transparent)]
    Application(#[from] ApplicationError),
    /// The document store.
    #[error("the document store does not open: {0}")]
    Documents(#[from] documents::Error),
    /// The event log.
    #[error(transparent)]
    Events(#[from] events::Error),
    /// Redis.
    #[error(transparent)]
    Redis(#[from] redis::Error),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A component.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// Something of the system.
    #[error("{0}")]
    System(String),
}

/// Between two tries to prepare a store that is away.
const RETRY: Duration = Duration::from_millis(500);

/// How a host is put together.
pub struct HostOptions {
    /// What the operator decided.
    pub config: Config,
    /// The folder with `application.toml` and the components.
    pub components: PathBuf,
    /// The data folder; none keeps everything in memory.
    pub data: Option<PathBuf>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What hashing a password costs.
    pub passwords: Cost,
    /// What carries things out to clients; none: the host's own Socket.IO server.
    pub sockets: Option<Arc<dyn Sockets>>,
    /// Where components are compiled.
    pub compiling: Compiling,
}

impl HostOptions {
    /// With the machine's clock and the full cost of a password.
    pub fn new(config: Config, components: PathBuf, data: Option<PathBuf>) -> Self {
        let (clock, passwords) = (Arc::new(System::default()), Cost::default());
        Self { config, components, data, clock, passwords, sockets: None, compiling: Compiling::Here }
    }
}

/// A host that is ready to be called.
pub struct Host {
    /// What is deployed on this host.
    pub registry: Arc<Registry>,
    /// What is deployed in the cluster.
    pub deployments: Arc<Deployments>,
    /// The HTTP side.
    pub http: Arc<HttpTrigger>,
    /// The documents, without the checks that components' questions go through: for whoever looks in from outside.
    pub documents: Arc<dyn documents::Documents>,
    /// The events that were published.
    pub events: Arc<dyn EventLog>,
    /// What each capability runs on.
    pub stores: Arc<Vec<Store>>,
    unprepared: Option<MongoDb>,
    relay: Option<Arc<Relay>>,
    mailer: Option<Arc<Mailer>>,
    working: Mutex<Option<Working>>,
}

impl Host {
    /// Opens the stores and makes an engine, with nothing deployed yet. [`Host::prepare`] comes next. Needs a runtime where
    /// the configuration names a server.
    pub fn open(options: HostOptions) -> Result<Self, HostError> {
        let HostOptions { config, components, data, clock, passwords, sockets, compiling } = options;
        let application = Application::read(&components)?;
        let secrets = Secrets::new(data.as_ref().map(|data| data.join("secrets")), config.production);
        let Stores { cache, documents, checked, unprepared, events, relay, leases, meeting, mailer, all } =
            Stores::open(&config, &application, data.clone(), &clock)?;
        let stores = Arc::new(all);
        let keys = Keys::new(&secrets.get(&application.session.secret)?);
        let rules = application.session.clone();
        let owed = Arc::new(Owed::default());
        let sessions = Sessions::new(rules, keys, cache.clone(), documents.clone(), clock.clone(), owed.clone());
        let sessions = Arc::new(sessions);
        let invalidations = Invalidations::new(documents.clone(), cache.clone(), sessions.clone(), clock.clone(), owed);
        let invalidations = Arc::new(invalidations);
        invalidations.start();
        let signing = application.secrets.iter().map(|(name, variable)| Ok((name.clone(), secrets.get(variable)?)));
        let server = SocketServer::new(config.sockets, clock.clone(), leases);
        let bell = meeting.as_ref().map(|(redis, _)| redis.clone());
        let sockets = sockets.unwrap_or_else(|| match meeting {
            None => Arc::new(server.engine()),
            Some((redis, heard)) => Arc::new(SocketsOfHosts::new(server.engine(), redis, heard)),
        });
        let capabilities = Capabilities {
            cache,
            documents: checked,
            generations: Arc::new(Generations::new(documents.clone())),
            sockets,
            sessions,
            invalidations,
            passwords: Passwords::new(passwords).map_err(|error| HostError::System(error.to_string()))?,
            signing: Signing::new(signing.collect::<Result<_, ConfigError>>()?),
            config: Settings::new(&application.settings, &settings(&config)),
            clock,
        };
        let code = match &data {
            None => None,
            Some(data) => {
                let key = secrets.generated("compiled_code_key")?;
                let cache = CodeCache::open(data.join("compiled"), key);
                Some(cache.map_err(|error| HostError::System(format!("no folder for compiled code: {error}")))?)
            }
        };
        let site = site(&config, &application, stores.clone());
        let engine = Engine::new(&config.engine, Arc::new(Shared { capabilities, application }), code, compiling)?;
        let clock = engine.shared().capabilities.clock.clone();
        let registry = Arc::new(Registry::new(Arc::new(engine)));
        let kept = data.map(|data| data.join("deployed"));
        let deployments = Arc::new(Deployments::new(registry.clone(), documents.clone(), kept, clock).with_bell(bell));
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
            mailer,
            working: Mutex::default(),
        })
    }

    /// What must be done before anything is served: looks at the document store, and fills the derived fields of older
    /// documents. Once that is done it costs a look at its markers; `again` has it look at all documents once more, for
    /// older ones that came since. A server that is away is tried again in the background: until it is there, calls that
    /// need it learn that it is not available.
    pub async fn prepare(&self, again: bool) -> Result<(), HostError> {
        let shared = self.registry.engine().shared();
        // The store itself, not as callers see it: that a look of theirs was not answered must not hold up the preparation.
        let documents = match &self.unprepared {
            Some(mongodb) => Arc::new(mongodb.clone()),
            None => self.documents.clone(),
        };
        let preparation = Preparation {
            mongodb: self.unprepared.clone(),
            documents,
            schema: shared.application.schema(),
            clock: shared.capabilities.clock.clone(),
            generations: shared.capabilities.generations.clone(),
            again,
        };
        match preparation.run().await {
            Err(documents::Error::Unavailable(why)) if self.unprepared.is_some() => {
                tracing::warn!(why, "the document store is not there yet; it is tried again and again");
                tokio::spawn(preparation.keep_trying());
                Ok(())
            }
            done => Ok(done?),
        }
    }

    /// From here on, until [`Host::close`], the components are told what happens and do what is due, mails are sent, and what is
    /// deployed elsewhere is deployed here.
    /// Needs a runtime; twice is once.
    pub fn consume(&self) {
        self.working().get_or_insert_with(|| Working {
            events: EventTrigger::start(self.registry.clone(), self.events.clone()),
            schedules: ScheduleTrigger::start(self.registry.clone()),
            mailing: self.mailer.clone().map(Mailer::start),
            following: {
                let deployments = self.deployments.clone();
                tokio::spawn(async move { deployments.follow().await })
            },
        });
    }

    fn working(&self) -> MutexGuard<'_, Option<Working>> {
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After the last request: components finish the events that they are being told, and what is on its way to other
    /// servers goes there.
    pub async fn close(&self) {
        let working = self.working().take();
        if let Some(Working { events, schedules, mailing, following }) = working {
            following.abort();
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

/// What a host does besides answering.
struct Working {
    events: EventTrigger,
    schedules: ScheduleTrigger,
    mailing: Option<Mailing>,
    following: JoinHandle<()>,
}

/// What a document store needs before it is used.
struct Preparation {
    mongodb: Option<MongoDb>,
    documents: Arc<dyn documents::Documents>,
    schema: documents::Schema,
    clock: Arc<dyn Clock>,
    generations: Arc<Generations>,
    again: bool,
}

impl Preparation {
    async fn run(&self) -> Result<(), documents::Error> {
        if let Some(mongodb) = &self.mongodb {
            stores::prepare(mongodb).await?;
        }
        documents::fill(self.documents.as_ref(), &self.schema, self.clock.as_ref(), self.again).await?;
        self.generations.look().await
    }

    async fn keep_trying(self) {
        let mut told = None;
        loop {
            tokio::time::sleep(RETRY).await;
            match self.run().await {
                Ok(()) => return tracing::info!("the document store is there and prepared"),
                Err(error) if told.as_ref() != Some(&error) => {
                    tracing::warn!(%error, "the document store is not prepared yet");
                    told = Some(error);
                }
                Err(_) => {}
            }
        }
    }
}

/// The operator's settings, and where the host is reached, which links need.
fn settings(config: &Config) -> BTreeMap<String, String> {
    let mut settings = config.settings.clone();
    settings.extend(config.public_url.clone().map(|url| ("public-url".to_owned(), url)));
    settings
}

fn site(config: &Config, application: &Application, stores: Arc<Vec<Store>>) -> Site {
    let mut allowed = config.frontends.clone();
    allowed.extend(config.public_url.clone());
    if !config.production {
        allowed.extend(application.origins.development.iter().cloned());
    }
    let https = config.public_url.as_deref().is_some_and(|url| url.starts_with("https://"));
    let origins = OriginRules { allowed, own_host: !config.production };
    Site { origins, https, proxies: config.proxies.clone(), stores }
}
