//! Stores: which engine each capability runs on, by the operator's URLs, and how it is.
//!
//! Nothing else knows which engine there is. Opening waits for no server: one that is away is found when it comes.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::application::Application;
use crate::capability::clocks::Clock;
use crate::capability::documents::{self, Documents, Location};
use crate::capability::events::EventLog;
use crate::capability::redis::{self, Redis};
use crate::capability::sockets::leases::{self, Leases};
use crate::capability::{Health, cache};
use crate::config::Config;
use crate::host::HostError;

/// One capability's engine, as operators see it.
pub struct Store {
    /// The capability.
    pub capability: &'static str,
    /// What it runs on.
    pub engine: String,
    /// Without it the host can't serve.
    pub needed: bool,
    health: Box<dyn Fn() -> Health + Send + Sync>,
}

impl Store {
    fn embedded(capability: &'static str, engine: &str) -> Self {
        Self { capability, engine: engine.to_owned(), needed: false, health: Box::new(|| Health::Up) }
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
    /// What was published.
    pub events: Arc<dyn EventLog>,
    /// Which hosts have which users.
    pub leases: Arc<dyn Leases>,
    /// Where hosts meet, and what they say there; none: this host is alone.
    pub meeting: Option<(Arc<Redis>, UnboundedReceiver<Bytes>)>,
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
        let disk = if data.is_some() { "embedded (SQLite)" } else { "embedded (SQLite, in memory)" };
        let location = data.map_or(Location::Memory, Location::Folder);
        let store = documents::Embedded::open(location, &application.schema(), &application.partitions())?;
        let events: Arc<dyn EventLog> = Arc::new(store.event_log());
        let checked = if config.refuse_scans { store.refusing_scans() } else { store.clone() };
        let mut all = vec![Store::embedded("documents", disk), Store::embedded("events", disk)];
        let (cache, leases, meeting) = match &config.redis {
            None => {
                let process = "embedded (in process)";
                all.extend([Store::embedded("cache", process), Store::embedded("sockets", process)]);
                let cache: Arc<dyn cache::Cache> = Arc::new(cache::Embedded::new(clock.clone()));
                let leases = leases::Embedded::new(clock.clone(), config.sockets.lease);
                (cache, Arc::new(leases) as Arc<dyn Leases>, None)
            }
            Some(redis) => {
                let near = application.cache.near.clone();
                let options = redis::Options { url: redis.url.clone(), prefix: redis.prefix.clone(), near };
                let (redis, heard) = Redis::open(options)?;
                all.extend(["cache", "sockets"].map(|capability| {
                    let redis = redis.clone();
                    let health = Box::new(move || redis.health());
                    Store { capability, engine: "Redis".to_owned(), needed: false, health }
                }));
                let cache: Arc<dyn cache::Cache> = Arc::new(cache::InRedis::new(redis.clone()));
                let leases = leases::InRedis::new(redis.clone(), config.sockets.lease);
                (cache, Arc::new(leases) as Arc<dyn Leases>, Some((redis, heard)))
            }
        };
        let (documents, checked) = (Arc::new(store), Arc::new(checked));
        Ok(Self { cache, documents, checked, events, leases, meeting, all })
    }
}
