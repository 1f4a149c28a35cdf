//! The harness: what a component's unit tests stand on.
//!
//! `cargo test -p auth` is the whole loop: the component is built when its sources are newer and loaded into the built
//! host, on stores in memory. It is called through the real triggers, and everything it wrote or published can be looked
//! at. Time stands still until the test moves it.
//!
//! This crate links nothing of the host: each [`App`] is a `devconnect harness` of its own, which is spoken with in JSON
//! lines (`docs/harness.md`). A test in another language does the same.
//!
//! A failed expectation of the harness itself (no component, no build, a host that ends) panics with what the host logged:
//! this is test code.

#![forbid(unsafe_code)]
#![expect(clippy::panic, reason = "a test that can't be set up should fail loudly, right here")]

mod base64;
mod clock;
mod component;
mod document;
mod event;
mod fetch;
mod host;
mod mail;
mod odd;
mod outdated;
mod pending;
mod process;
mod reply;
mod request;
mod setup;
mod socket;
mod workspace;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::base64::Base64;
use crate::document::Canonical;
use crate::process::Process;

pub use bson::doc;
pub use bson::oid::ObjectId;
pub use bson::{Bson, DateTime, Document};
pub use clock::Clock;
pub use component::{components_folder, file, wasm};
pub use event::{DeadLetter, Published};
pub use fetch::{Fetched, StandIn};
pub use mail::Mail;
pub use odd::{ODD_NAMES, odd_values};
pub use pending::{Pending, all};
pub use reply::Reply;
pub use request::Request;
pub use serde_json::{Value, json};
pub use setup::Setup;
pub use socket::{Emitted, Ended, Sessions, Socket, Sockets, Target};

/// The moment at which every test begins: 2026-01-15T12:00:00.000Z.
pub const START: u64 = 1_768_478_400_000;

/// How calls end that fail, as [`App::count`] takes it.
pub const FAILURES: [&str; 9] = ["unable", "trap", "cpu", "memory", "host-calls", "out-of-time", "busy", "cut", "host"];

/// How many documents are put into one line.
const AT_ONCE: usize = 100;

/// Some components on a host of their own.
pub struct App {
    process: Process,
    pooled: bool,
}

impl App {
    /// These components, by name, with empty stores.
    pub fn with(names: &[&str]) -> Self {
        Self::setup(names).start()
    }

    /// These components under an operator's configuration: the text of a `devconnect.toml`.
    pub fn with_config(names: &[&str], config: &str) -> Self {
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
    pub fn clock(&self) -> Clock<'_> {
        Clock::of(self)
    }

    /// A new socket of this user.
    pub fn socket(&self, user: ObjectId) -> Socket<'_> {
        Socket::new(self, user)
    }

    /// What went out to sockets, and who is there.
    pub fn sockets(&self) -> Sockets<'_> {
        Sockets::of(self)
    }

    /// A session of this user, as its token.
    pub fn log_in(&self, user: ObjectId) -> String {
        #[derive(Deserialize)]
        struct Session {
            token: String,
        }
        self.process.call::<Session>("log_in", &json!({ "user": user.to_hex() })).token
    }

    /// Puts a document into a collection.
    pub fn insert(&self, collection: &str, document: Document) {
        self.insert_all(collection, [document]);
    }

    /// Puts many documents into a collection.
    pub fn insert_all(&self, collection: &str, documents: impl IntoIterator<Item = Document>) {
        #[derive(Serialize)]
        struct Insert<'a> {
            collection: &'a str,
            documents: Vec<Canonical<'a>>,
        }
        let documents: Vec<Document> = documents.into_iter().collect();
        for some in documents.chunks(AT_ONCE) {
            let insert = Insert { collection, documents: some.iter().map(Canonical).collect() };
            self.process.call::<Nothing>("insert", &insert);
        }
    }

    /// The documents of a collection that match, by `_id`; a thousand at most.
    pub fn find(&self, collection: &str, filter: Document) -> Vec<Document> {
        #[derive(Serialize)]
        struct Find<'a> {
            collection: &'a str,
            filter: Canonical<'a>,
        }
        #[derive(Deserialize)]
        struct Found {
            documents: Vec<Document>,
        }
        self.process.call::<Found>("find", &Find { collection, filter: Canonical(&filter) }).documents
    }

    /// What a component signs with a named secret, in hex.
    pub fn sign(&self, secret: &str, message: &str) -> String {
        #[derive(Deserialize)]
        struct Signed {
            signature: Base64,
        }
        let asked = json!({ "secret": secret, "message": Base64::of(message) });
        let Base64(signature) = self.process.call::<Signed>("sign", &asked).signature;
        signature.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What the cache has under a key.
    pub fn cached(&self, key: &str) -> Option<Vec<u8>> {
        #[derive(Deserialize)]
        struct Cached {
            value: Option<Base64>,
        }
        self.process.call::<Cached>("cached", &json!({ "key": key })).value.map(|value| value.0)
    }

    /// A list that the cache has under a key, the newest first.
    pub fn recent(&self, key: &str) -> Option<Vec<Vec<u8>>> {
        #[derive(Deserialize)]
        struct Recent {
            entries: Option<Vec<Base64>>,
        }
        let entries = self.process.call::<Recent>("recent", &json!({ "key": key })).entries?;
        Some(entries.into_iter().map(|entry| entry.0).collect())
    }

    /// Puts a list under a key of the cache, whatever was there.
    pub fn set_recent(&self, key: &str, entries: impl IntoIterator<Item = Vec<u8>>) {
        let entries: Vec<Base64> = entries.into_iter().map(Base64).collect();
        self.process.call::<Nothing>("set_recent", &json!({ "key": key, "entries": entries }));
    }

    /// How many calls of a component ended so: `answered`, `unable`, `trap`, `cpu`, `memory`, `host-calls`, …
    pub fn count(&self, component: &str, outcome: &str) -> u64 {
        #[derive(Deserialize)]
        struct Counted {
            counts: BTreeMap<String, u64>,
        }
        let counts = self.process.call::<Counted>("counts", &json!({ "component": component })).counts;
        let count = counts.get(outcome).copied();
        count.unwrap_or_else(|| panic!("no call ends as {outcome:?}; there are {:?}", counts.keys()))
    }

    /// What components and the check of sessions have asked the documents since the last time, and how often: `find users`,
    /// `count users`, `distinct users`, `commit`. It is the same each time that a test runs.
    pub fn store_calls(&self) -> BTreeMap<String, u64> {
        #[derive(Deserialize)]
        struct Counted {
            calls: BTreeMap<String, u64>,
        }
        let calls = self.process.call::<Counted>("store_calls", &json!({})).calls;
        // What the host keeps for itself goes on by itself.
        let own = |name: &str| name.split_once(' ').is_some_and(|(_, collection)| collection.starts_with("host-"));
        calls.into_iter().filter(|(name, _)| !own(name)).collect()
    }

    /// How often the documents are asked (`find`, `count`, `distinct`) for what is done here.
    pub fn questions(&self, what: impl FnOnce()) -> u64 {
        self.store_calls();
        what();
        let calls = self.store_calls();
        calls.iter().filter(|(name, _)| !name.starts_with("commit")).map(|(_, count)| count).sum()
    }

    /// Has the host delete everything that is older than it is kept, as it does by itself again and again.
    pub fn clean_up(&self) {
        self.process.call::<Nothing>("clean_up", &json!({}));
    }

    /// Deploys a file; the error is why it is refused.
    pub fn deploy(&self, file: &Path) -> Result<(), String> {
        self.process.call_or_refused("deploy", &json!({ "file": file })).map(|Nothing {}| ())
    }

    /// Whether instances come from the engine's pool.
    pub fn pooled(&self) -> bool {
        self.pooled
    }
}

/// The answer of what only had to be done.
#[derive(Deserialize)]
struct Nothing {}
