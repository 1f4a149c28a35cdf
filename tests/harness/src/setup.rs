//! How an app is put together: components, configuration, and what is in the database before the host starts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{Document, RawDocumentBuf};
use devconnect_host::capability::clocks::Manual;
use devconnect_host::capability::documents::{Commit, Documents, Filter, Write};
use devconnect_host::capability::passwords::Cost;
use devconnect_host::config::Config;
use devconnect_host::{Host, HostOptions};

use crate::{App, Recorded, START, components_folder, wasm};

/// An [`App`] that is being put together.
#[must_use = "nothing starts before `start`"]
pub struct Setup {
    components: Vec<String>,
    config: Config,
    documents: Vec<(String, Document)>,
    passwords: Cost,
}

impl Setup {
    pub(crate) fn of(components: &[&str]) -> Self {
        let components = components.iter().map(|name| (*name).to_owned()).collect();
        // Cheap hashing: what is tested is the component, not argon2.
        let passwords = Cost { memory_kib: 64, passes: 1, parallel: 2, waiting: 64 };
        Self { components, config: Config::default(), documents: Vec::new(), passwords }
    }

    /// Under an operator's configuration. Scans are refused whatever it says.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// With a document that is in the store when the host starts, as one of an earlier version is.
    pub fn document(mut self, collection: &str, document: Document) -> Self {
        self.documents.push((collection.to_owned(), document));
        self
    }

    /// With another cost of a password than the cheap one of tests.
    pub fn passwords(mut self, cost: Cost) -> Self {
        self.passwords = cost;
        self
    }

    /// Builds what must be built and starts the host as the binary does.
    pub fn start(self) -> App {
        let components: Vec<Vec<u8>> = self.components.iter().map(|name| wasm(name)).collect();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime for the host");
        let clock = Arc::new(Manual::at(START));
        let sockets = Arc::new(Recorded::default());
        let options = HostOptions {
            // Every test of a component shows that its questions have their indexes.
            config: Config { refuse_scans: true, ..self.config },
            clock: clock.clone(),
            passwords: self.passwords,
            sockets: Some(sockets.clone()),
            ..HostOptions::new(Config::default(), components_folder(), None)
        };
        let host = {
            let _inside = runtime.enter();
            Host::open(options).unwrap_or_else(|error| panic!("the host does not open: {error}"))
        };
        runtime.block_on(insert(host.documents.as_ref(), &self.documents));
        runtime.block_on(host.prepare(false)).unwrap_or_else(|error| panic!("the host is not prepared: {error}"));
        for wasm in components {
            host.registry.deploy(&wasm).unwrap_or_else(|error| panic!("{error}"));
        }
        runtime.block_on(consume(&host));
        App { runtime, host, clock, sockets }
    }
}

/// Begins to tell the components what happens; returns when each of them has begun, so that it misses nothing.
async fn consume(host: &Host) {
    let begun = Instant::now();
    host.consume();
    for loaded in host.registry.components() {
        let Some(trigger) = loaded.manifest.event.first() else { continue };
        let name = &loaded.manifest.component.name;
        while host.events.committed(name, &trigger.topic).await.expect("offsets").contains(&None) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{name} does not begin to consume");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let schedules: usize = host.registry.components().iter().map(|loaded| loaded.manifest.schedule.len()).sum();
    let all = || Filter::from_document(&bson::doc! {}).expect("a filter");
    while host.documents.count("host-schedules", all(), 0).await.expect("schedules") < schedules as u64 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the schedules do not begin");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Puts documents into the store, a hundred in a commit.
pub(crate) async fn insert(store: &dyn Documents, documents: &[(String, Document)]) {
    for some in documents.chunks(100) {
        let insert = |(collection, document): &(String, Document)| Write::Insert {
            collection: collection.clone(),
            document: RawDocumentBuf::try_from(document).expect("a document"),
        };
        let commit = Commit { writes: some.iter().map(insert).collect(), events: Vec::new() };
        store.commit(commit).await.expect("documents that the store takes");
    }
}
