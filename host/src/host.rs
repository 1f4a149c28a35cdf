//! The host: engines, capabilities, components and triggers put together. The binary and the tests both start here.

use std::path::PathBuf;
use std::sync::Arc;

use crate::application::{Application, ApplicationError};
use crate::capability::clocks::{Clock, System};
use crate::capability::events::EventLog;
use crate::capability::invalidations::{Invalidations, Owed};
use crate::capability::passwords::{Cost, Passwords};
use crate::capability::sessions::{Keys, Sessions};
use crate::capability::signing::Signing;
use crate::capability::sockets::{Sockets, SocketsOfHosts};
use crate::capability::{Capabilities, config::Settings, documents, redis};
use crate::config::{Config, ConfigError, Secrets};
use crate::engine::{CodeCache, Engine, EngineError, Shared};
use crate::registry::{DeployError, Registry};
use crate::stores::{Store, Stores};
use crate::trigger::http::{HttpTrigger, OriginRules, Site};
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
}

impl HostOptions {
    /// With the machine's clock and the full cost of a password.
    pub fn new(config: Config, components: PathBuf, data: Option<PathBuf>) -> Self {
        let (clock, passwords) = (Arc::new(System::default()), Cost::default());
        Self { config, components, data, clock, passwords, sockets: None }
    }
}

/// A host that is ready to be called.
pub struct Host {
    /// What is deployed.
    pub registry: Arc<Registry>,
    /// The HTTP side.
    pub http: Arc<HttpTrigger>,
    /// The documents, without the checks that components' questions go through: for whoever looks in from outside.
    pub documents: Arc<dyn documents::Documents>,
    /// The events that were published.
    pub events: Arc<dyn EventLog>,
    /// What each capability runs on.
    pub stores: Arc<Vec<Store>>,
}

impl Host {
    /// Opens the stores and makes an engine, with nothing deployed yet. [`Host::prepare`] comes next. Needs a runtime where
    /// the configuration names a server.
    pub fn open(options: HostOptions) -> Result<Self, HostError> {
        let HostOptions { config, components, data, clock, passwords, sockets } = options;
        let application = Application::read(&components)?;
        let secrets = Secrets::new(data.as_ref().map(|data| data.join("secrets")), config.production);
        let Stores { cache, documents, checked, events, leases, meeting, all } =
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
        let sockets = sockets.unwrap_or_else(|| match meeting {
            None => Arc::new(server.engine()),
            Some((redis, heard)) => Arc::new(SocketsOfHosts::new(server.engine(), redis, heard)),
        });
        let capabilities = Capabilities {
            cache,
            documents: checked,
            sockets,
            sessions,
            invalidations,
            passwords: Passwords::new(passwords).map_err(|error| HostError::System(error.to_string()))?,
            signing: Signing::new(signing.collect::<Result<_, ConfigError>>()?),
            config: Settings::new(&application.settings, &config.settings),
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
        let engine = Engine::new(&config.engine, Arc::new(Shared { capabilities, application }), code)?;
        let registry = Arc::new(Registry::new(Arc::new(engine)));
        let http = Arc::new(HttpTrigger::new(registry.clone(), site, SocketTrigger::new(server, registry.clone())));
        Ok(Self { registry, http, documents, events, stores })
    }

    /// What must be done before anything is served: fills the derived fields of older documents. Once that is done it
    /// costs a look at its markers; `again` has it look at all documents once more, for older ones that came since.
    pub async fn prepare(&self, again: bool) -> Result<(), HostError> {
        let shared = self.registry.engine().shared();
        let schema = shared.application.schema();
        documents::fill(self.documents.as_ref(), &schema, shared.capabilities.clock.as_ref(), again).await?;
        Ok(())
    }
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
