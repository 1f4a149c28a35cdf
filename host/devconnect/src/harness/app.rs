//! The app: some components on a host of their own, as the binary puts it together, and what there is to know of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use capability::clocks::{Clock as _, Manual};
use capability::documents::{Filter, StoreCalls};
use capability::passwords::{Cost, MIN_OLD_COST};
use engine::{Loaded, Outcome};
use serde_json::json;

use super::documents::insert;
use super::protocol::{Answer, Base64, Failure, Kind, Start, answer};
use super::recorded::Recorded;
use super::stand_in::StandIns;
use crate::config::Config;
use crate::secrets::Variables;
use crate::{Host, HostOptions};

/// How long a driver's question waits for what must happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Where the host notes what is due. A collection of its own.
pub(super) const SCHEDULES: &str = "host-schedules";

/// How many files of compiled code a shared folder keeps: several times what this workspace has.
const MAX_CODE: usize = 300;

/// A host that was started.
pub(super) struct App {
    pub(super) host: Host,
    pub(super) clock: Arc<Manual>,
    pub(super) sockets: Arc<Recorded>,
    pub(super) stand_ins: Arc<StandIns>,
    calls: Arc<StoreCalls>,
}

/// A wait for something that happens by itself.
pub(super) struct Wait {
    begun: Instant,
    pause: Duration,
}

impl App {
    /// Starts a host, deploys the components, and waits until each of them gets the events from now on.
    pub(super) async fn start(start: Start) -> Result<Self, Failure> {
        let (clock, sockets) = (Arc::new(Manual::at(start.now)), Arc::new(Recorded::default()));
        let stand_ins = Arc::new(StandIns::default());
        let calls = Arc::new(StoreCalls::default());
        let config = Config::parse(&start.config, |_| None).map_err(Failure::refused)?;
        let config = Config { refuse_scans: start.refuse_scans, ..config };
        let passwords = start.passwords.map_or_else(Cost::default, |cost| Cost {
            memory_kib: cost.memory_kib,
            passes: cost.passes,
            parallel: cost.parallel,
            waiting: cost.waiting,
            // Who says what a new hash costs does not want old ones to cost more.
            old_cost: MIN_OLD_COST,
        });
        let options = HostOptions {
            clock: clock.clone(),
            passwords,
            sockets: Some(sockets.clone()),
            calls: Some(calls.clone()),
            code: start.cache,
            transport: Some(stand_ins.clone()),
            variables: Variables::Given(start.variables),
            ..HostOptions::new(config, start.application, None)
        };
        let code = options.code.clone();
        let host = blocking(move || Host::open(options)).await?.map_err(Failure::refused)?;
        if let Some(code) = code {
            blocking(move || prune(&code)).await?;
        }
        let app = Self { host, clock, sockets, stand_ins, calls };
        for (collection, document) in &start.documents {
            insert(app.host.documents.as_ref(), collection, std::slice::from_ref(document)).await?;
        }
        app.host.prepare(false).await.map_err(Failure::refused)?;
        for file in start.components {
            app.load(file).await?;
        }
        app.host.consume();
        app.until_subscribed().await?;
        Ok(app)
    }

    /// Deploys a component; answers what it is.
    pub(super) async fn deploy(&self, file: PathBuf) -> Result<Answer, Failure> {
        let loaded = self.load(file).await?;
        self.until_subscribed().await?;
        answer(&json!({ "name": loaded.manifest.component.name, "sha256": loaded.sha256 }))
    }

    async fn load(&self, file: PathBuf) -> Result<Arc<Loaded>, Failure> {
        let registry = self.host.registry.clone();
        let loaded = blocking(move || {
            let wasm = read(&file)?;
            registry.deploy(&wasm).map_err(Failure::refused)
        });
        loaded.await?
    }

    /// Waits until each component is subscribed, so that it misses no event, and its schedules are known.
    async fn until_subscribed(&self) -> Result<(), Failure> {
        let mut wait = Wait::of_millis(1);
        let deployed = self.host.registry.components();
        for loaded in &deployed {
            let Some(trigger) = loaded.manifest.event.first() else { continue };
            let name = &loaded.manifest.component.name;
            loop {
                let committed = self.host.events.committed(name, &trigger.topic).await.map_err(Failure::host)?;
                if !committed.contains(&None) {
                    break;
                }
                wait.again(|| format!("{name} does not begin to consume")).await?;
            }
        }
        let crons =
            deployed.iter().flat_map(|loaded| loaded.manifest.schedule.iter().map(move |trigger| (loaded, trigger)));
        let ids: Vec<String> = crons
            .map(|(loaded, trigger)| format!("{}/{}", loaded.manifest.component.name, trigger.cron.as_str()))
            .collect();
        while !ids.is_empty() {
            let named = Filter::from_document(&bson::doc! { "_id": { "$in": &ids } }).map_err(Failure::host)?;
            let known = self.host.documents.count(SCHEDULES, named, 0).await.map_err(Failure::host)?;
            if known >= ids.len() as u64 {
                return Ok(());
            }
            wait.again(|| "the schedules do not begin".to_owned()).await?;
        }
        Ok(())
    }

    /// A deployed component.
    pub(super) fn component(&self, name: &str) -> Result<Arc<Loaded>, Failure> {
        self.host.registry.component(name).ok_or_else(|| Failure::refused(format!("{name} is not deployed")))
    }

    /// The calls of a component by how they ended.
    pub(super) fn counts(&self, component: &str) -> Result<Answer, Failure> {
        let loaded = self.component(component)?;
        let counts = Outcome::ALL.into_iter().map(|outcome| (outcome.as_str(), loaded.counts.of(outcome)));
        answer(&json!({ "counts": counts.collect::<BTreeMap<_, _>>() }))
    }

    /// What the documents were asked since the last time.
    pub(super) fn store_calls(&self) -> Result<Answer, Failure> {
        answer(&json!({ "calls": self.calls.take() }))
    }

    /// The time of the clock.
    pub(super) fn time(&self) -> Result<Answer, Failure> {
        answer(&json!({ "now": self.clock.now() }))
    }

    /// What a component signs with a named secret.
    pub(super) fn sign(&self, secret: &str, message: &Base64) -> Result<Answer, Failure> {
        let signing = &self.host.registry.engine().shared().capabilities.signing;
        let signature = signing.sign(secret, &message.0);
        let signature = signature.ok_or_else(|| Failure::refused(format!("there is no secret {secret:?}")))?;
        answer(&json!({ "signature": Base64(signature) }))
    }
}

impl Wait {
    /// Which looks this often.
    pub(super) fn of_millis(pause: u64) -> Self {
        Self { begun: Instant::now(), pause: Duration::from_millis(pause) }
    }

    /// Pauses before the next look; the failure is that there were enough of them.
    pub(super) async fn again(&mut self, why: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.begun.elapsed() > PATIENCE {
            return Err(Failure::new(Kind::Late, why()));
        }
        tokio::time::sleep(self.pause).await;
        Ok(())
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| Failure::refused(format!("can't read {}: {error}", file.display())))
}

/// Deletes the oldest compiled code of a folder that hosts share, beyond the newest [`MAX_CODE`] files.
fn prune(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut files: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "compiled"))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    for (_, file) in files.iter().rev().skip(MAX_CODE) {
        // Another host may have deleted it.
        let _ = std::fs::remove_file(file);
    }
}

/// What takes a thread for a while.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(Failure::host)
}
