//! The harness: what a component's unit tests stand on.
//!
//! `cargo test -p auth` is the whole loop: the component is built when its sources are newer, loaded into the real engine
//! with in-memory stores, called through the real HTTP trigger, and everything it wrote or published can be looked at.
//! Time stands still until the test moves it.
//!
//! A failed expectation of the harness itself (no component, no build) panics: this is test code.

#![expect(clippy::panic, clippy::expect_used, reason = "a test that can't be set up should fail loudly, right here")]

mod component;
mod event;
mod mail;
mod reply;
mod request;
mod setup;
mod socket;

use std::sync::Arc;

use devconnect_host::Host;
use devconnect_host::capability::clocks::Manual;
use devconnect_host::capability::documents::{Commit, Filter, Projection, Query, Sort, Write};
use devconnect_host::capability::sockets::presence::Change;
use devconnect_host::engine::{Loaded, Shared};

pub use bson::doc;
pub use bson::oid::ObjectId;
pub use bson::{DateTime, Document};
pub use component::{components_folder, wasm};
pub use devconnect_host::capability::mail::Mail;
pub use devconnect_host::capability::sockets::Target;
pub use devconnect_host::config::Config;
pub use event::DeadLetter;
pub use reply::Reply;
pub use request::Request;
pub use serde_json::{Value, json};
pub use setup::Setup;
pub use socket::{Emitted, Recorded, Socket};

/// The moment at which every test begins: 2026-01-15T12:00:00.000Z.
pub const START: u64 = 1_768_478_400_000;

/// Some components on a host of their own.
pub struct App {
    runtime: tokio::runtime::Runtime,
    host: Host,
    clock: Arc<Manual>,
    sockets: Arc<Recorded>,
}

/// An event as it was published.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// Its type.
    pub kind: String,
    /// Order holds among events of one key.
    pub key: String,
    /// Its value, parsed.
    pub value: Value,
}

impl App {
    /// These components, by name, with empty stores.
    pub fn with(names: &[&str]) -> Self {
        Self::with_config(names, Config::default())
    }

    /// These components under an operator's configuration.
    pub fn with_config(names: &[&str], config: Config) -> Self {
        Self::setup(names).config(config).start()
    }

    /// These components on a host that is being put together.
    pub fn setup(names: &[&str]) -> Setup {
        Setup::of(names)
    }

    /// A `GET` that is being put together.
    pub fn get(&self, path: &str) -> Request<'_> {
        self.request("GET", path)
    }

    /// A `POST` that is being put together.
    pub fn post(&self, path: &str) -> Request<'_> {
        self.request("POST", path)
    }

    /// A `PATCH` that is being put together.
    pub fn patch(&self, path: &str) -> Request<'_> {
        self.request("PATCH", path)
    }

    /// A request of any method.
    pub fn request(&self, method: &str, path: &str) -> Request<'_> {
        Request::new(self, method, path)
    }

    /// The time of this app.
    pub fn clock(&self) -> &Manual {
        &self.clock
    }

    /// A deployed component, for its counts.
    pub fn component(&self, name: &str) -> Arc<Loaded> {
        self.host.registry.component(name).unwrap_or_else(|| panic!("{name} is not deployed"))
    }

    /// A new socket of this user.
    pub fn socket(&self, user: ObjectId) -> Socket<'_> {
        Socket::new(self, user)
    }

    /// What went out to sockets, and who is there.
    pub fn sockets(&self) -> &Recorded {
        &self.sockets
    }

    /// Tells the components that a user came or went; the error is of one that wants to be told again.
    pub fn tell_presence(&self, user: ObjectId, online: bool, socket: &str) -> Result<(), String> {
        let change = Change { user: user.to_hex(), online, socket: socket.to_owned() };
        self.runtime.block_on(devconnect_host::trigger::socket::tell(&self.host.registry, &change))
    }

    /// A session of this user, as its token.
    pub fn log_in(&self, user: ObjectId) -> String {
        let shared = self.shared();
        let (token, write) = shared.capabilities.sessions.open(&user.to_hex(), &[]).expect("a session");
        self.commit(vec![write]);
        token.reveal().to_owned()
    }

    /// Puts a document into a collection.
    pub fn insert(&self, collection: &str, document: Document) {
        self.insert_all(collection, [document]);
    }

    /// Puts many documents into a collection.
    pub fn insert_all(&self, collection: &str, documents: impl IntoIterator<Item = Document>) {
        let documents: Vec<_> = documents.into_iter().map(|document| (collection.to_owned(), document)).collect();
        self.runtime.block_on(setup::insert(self.host.documents.as_ref(), &documents));
    }

    /// The documents of a collection that match, by `_id`.
    pub fn find(&self, collection: &str, filter: Document) -> Vec<Document> {
        let query = query(collection, &filter);
        let found = self.runtime.block_on(self.host.documents.find(query)).expect("documents");
        found.iter().map(|raw| Document::try_from(raw.as_ref()).expect("a stored document is BSON")).collect()
    }

    /// Everything that was published to a topic; in order for each key.
    pub fn events(&self, topic: &str) -> Vec<Published> {
        let mut all = self.runtime.block_on(self.records(topic));
        all.sort_by_key(|record| record.event.at);
        let published = all.into_iter().map(|record| Published {
            value: serde_json::from_slice(&record.event.value).expect("an event's value is JSON"),
            kind: record.event.kind,
            key: record.event.key,
        });
        published.collect()
    }

    /// What a component signs with a named secret, in hex.
    pub fn sign(&self, secret: &str, message: &str) -> String {
        let signature =
            self.shared().capabilities.signing.sign(secret, message.as_bytes()).expect("a secret of the application");
        signature.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What all calls of this host share.
    pub fn shared(&self) -> Arc<Shared> {
        self.host.registry.engine().shared().clone()
    }

    /// The host below.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Where the host runs.
    pub fn runtime(&self) -> &tokio::runtime::Runtime {
        &self.runtime
    }

    fn commit(&self, writes: Vec<Write>) {
        let commit = Commit { writes, events: Vec::new() };
        self.runtime.block_on(self.host.documents.commit(commit)).expect("a commit of the test");
    }
}

impl Drop for App {
    /// Ends what goes on beside the test, while there is something for it to run on.
    fn drop(&mut self) {
        self.runtime.block_on(self.host.close());
    }
}

fn query(collection: &str, filter: &Document) -> Query {
    Query {
        collection: collection.to_owned(),
        filter: Filter::from_document(filter).expect("a filter that the store knows"),
        sort: Sort::none(),
        projection: Projection::all(),
        skip: 0,
        limit: 1_000,
    }
}
