//! MongoDB: documents and the outbox on a replica set, shared by all hosts.
//!
//! The server finds, sorts and projects; changes are applied here, by the same code as in the embedded store, inside the
//! transaction that read the document. The outbox is in the same database. Every call runs in a task of its own: when the
//! caller stops waiting, the call goes on to its end.

#![forbid(unsafe_code)]

mod background_commits;
mod commit;
mod explain;
mod gathered;
mod groups;
mod guarded;
mod leftovers;
mod outbox;
mod prepare;
mod read;
mod refusal;
mod transaction;
mod watch;
mod writes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::mongodb::options::{
    Acknowledgment, ClientOptions, ConnectionString, ReadConcern, SelectionCriteria, WriteConcern,
};
use ::mongodb::{Client, Database};
use async_trait::async_trait;
use bson::oid::ObjectId;
use bson::raw::cstr;
use bson::{Bson, RawArrayBuf, RawDocumentBuf};
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use capability::budget::Budget;
use capability::documents::key_locks::KeyLocks;
use capability::documents::order::{valid_path, validate_insert};
use capability::documents::schema::check_topics;
use capability::documents::{
    Commit, Documents, Effect, Error, Filter, KeyLock, Late, MAX_LIMIT, Plan, Query, Schema, Watch, Write,
};
use capability::events::{Committed, Event};

use groups::Lane;

pub use guarded::Guarded;
pub use prepare::{Report, Unmade};
pub(crate) use refusal::{Stop, is_duplicate, store_error};

/// The longest that a caller waits for MongoDB.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);
/// The server ends one command by itself after this; reads have a [`Budget`] of their own.
pub(crate) const MAX_TIME: Duration = Budget::commit().work;
/// A call without an answer is dropped after this, and its connection with it.
const GIVE_UP: Duration = Duration::from_secs(10);
/// The timeout of selecting a primary.
const SELECTION: Duration = Duration::from_millis(900);
const CONNECT: Duration = Duration::from_secs(1);
/// The driver's heartbeat interval.
const HEARTBEAT: Duration = Duration::from_secs(2);
const CONNECTIONS: u32 = 50;
/// The most concurrent calls, the abandoned ones included.
const CALLS: usize = 256;

/// The store. A clone is the same store.
#[derive(Clone)]
pub struct MongoDb {
    shared: Arc<Shared>,
}

/// The state that all clones share.
pub(crate) struct Shared {
    uri: ConnectionString,
    /// Used when the URI names none.
    database: String,
    /// Created by the first call, since it needs a runtime.
    client: AsyncMutex<Option<Client>>,
    pub(crate) schema: Schema,
    pub(crate) topics: BTreeMap<String, u32>,
    prepared: AtomicBool,
    key_locks: KeyLocks,
    calls: Arc<Semaphore>,
    /// Notified of every commit with events.
    pub(crate) committed: Committed,
    background_commits: background_commits::BackgroundCommits,
    pub(crate) groups: groups::Groups,
    pub(crate) leftovers: Arc<leftovers::Leftovers>,
    /// For each shard the lane at which the last read of its outbox rows ended.
    pub(crate) last_lanes: Mutex<BTreeMap<u32, String>>,
    /// What the relay asks of its shards.
    pub(crate) outbox_reads: gathered::Gathered<outbox::Read>,
    /// The rows that it has moved.
    pub(crate) outbox_deletes: gathered::Gathered<outbox::Delete>,
}

impl MongoDb {
    /// The store at a URI: `mongodb://` or `mongodb+srv://`, with the database in it or else `default_database`. No
    /// server need be up yet. `topics` are the known ones with their numbers of partitions. Commits are refused until
    /// [`MongoDb::prepare`] has succeeded once.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the URI is malformed (the text does not repeat it, since it may have a password) or the
    /// schema is not possible.
    pub fn open(
        uri: &str,
        default_database: &str,
        schema: &Schema,
        topics: &BTreeMap<String, u32>,
    ) -> Result<MongoDb, Error> {
        schema.check()?;
        check_topics(topics)?;
        crate::outbox::check_outbox_names(schema)?;
        let uri = ConnectionString::parse(uri).map_err(|_| {
            Error::Invalid(
                "the URI of MongoDB is wrong; it looks like mongodb://user:password@host:27017/database?replicaSet=rs0"
                    .to_owned(),
            )
        })?;
        Ok(MongoDb {
            shared: Arc::new(Shared {
                uri,
                database: default_database.to_owned(),
                client: AsyncMutex::new(None),
                schema: schema.clone(),
                topics: topics.clone(),
                prepared: AtomicBool::new(false),
                key_locks: KeyLocks::default(),
                calls: Arc::new(Semaphore::new(CALLS)),
                committed: Committed::default(),
                last_lanes: Mutex::default(),
                outbox_reads: gathered::Gathered::default(),
                outbox_deletes: gathered::Gathered::default(),
                background_commits: background_commits::BackgroundCommits::default(),
                groups: groups::Groups::default(),
                leftovers: Arc::default(),
            }),
        })
    }

    /// Checks that the server is suitable, and creates the missing collections and indexes. Idempotent; any number of hosts
    /// may do so at once. Takes as long as the index builds.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the server does not answer: try again. [`Error::Invalid`] when it is the wrong kind
    /// of server; the text says how to make it a suitable one.
    pub async fn prepare(&self) -> Result<Report, Error> {
        let shared = Arc::clone(&self.shared);
        let task = tokio::spawn(async move {
            let report = prepare::run(&shared).await;
            match report {
                Ok(_) => shared.prepared.store(true, Ordering::SeqCst),
                // The driver never checks a server again that was no member of the set.
                Err(_) if !shared.prepared.load(Ordering::SeqCst) => *shared.client.lock().await = None,
                Err(_) => {}
            }
            report
        });
        task.await.unwrap_or_else(|error| Err(Error::Unavailable(format!("the preparation broke off: {error}"))))
    }

    /// Whether it has been prepared; before that it refuses commits.
    pub fn is_ready(&self) -> bool {
        self.shared.prepared.load(Ordering::SeqCst)
    }

    /// Runs a call in a task that outlives the caller, which waits for [`TIMEOUT`] at most.
    pub(crate) async fn call<T, F>(
        &self,
        work: impl FnOnce(Arc<Shared>, Database) -> F + Send + 'static,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let until = Instant::now() + TIMEOUT;
        let silent = || Error::Unavailable(format!("MongoDB did not answer in {TIMEOUT:?}"));
        let shared = Arc::clone(&self.shared);
        let task = tokio::spawn(async move {
            let permit = timeout_at(until, Arc::clone(&shared.calls).acquire_owned()).await;
            let _permit = permit.map_err(|_| silent())?.map_err(|_| silent())?;
            let database = timeout_at(until, shared.database()).await.map_err(|_| silent())??;
            let work = work(shared, database);
            timeout(GIVE_UP, work).await.unwrap_or_else(|_| Err(Error::Unavailable("MongoDB is silent".to_owned())))
        });
        match timeout_at(until, task).await {
            Err(_) => Err(silent()),
            Ok(Err(error)) => Err(Error::Unavailable(format!("a call to MongoDB broke off: {error}"))),
            Ok(Ok(answer)) => answer,
        }
    }

    /// Runs a read within its budget; it is not begun when its answer is not waited for any more.
    async fn read<T, F>(&self, work: impl FnOnce(Database, Budget) -> F + Send + 'static) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let budget = Budget::read();
        self.call(move |_, database| async move {
            if budget.is_over() {
                return Err(Error::Overdue("the call that asks is over".to_owned()));
            }
            work(database, budget).await
        })
        .await
    }

    /// The state that all clones share.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Shared {
    async fn database(&self) -> Result<Database, Error> {
        let mut client = self.client.lock().await;
        let client = match &mut *client {
            Some(client) => client,
            none => none.insert(Client::with_options(self.options().await?).map_err(|error| store_error(&error))?),
        };
        Ok(client.default_database().unwrap_or_else(|| client.database(&self.database)))
    }

    /// The URI's options, and those that every host needs.
    async fn options(&self) -> Result<ClientOptions, Error> {
        let mut options = ClientOptions::parse(self.uri.clone()).await.map_err(|error| store_error(&error))?;
        let journaled = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
        options.app_name.get_or_insert_with(|| "devconnect".to_owned());
        options.server_selection_timeout = Some(SELECTION);
        options.connect_timeout = Some(CONNECT);
        options.heartbeat_freq = Some(HEARTBEAT);
        options.max_pool_size.get_or_insert(CONNECTIONS);
        options.retry_reads = Some(true);
        options.retry_writes = Some(true);
        options.read_concern = Some(ReadConcern::majority());
        options.write_concern = Some(journaled);
        options.selection_criteria =
            Some(SelectionCriteria::ReadPreference(::mongodb::options::ReadPreference::Primary));
        Ok(options)
    }

    /// Notifies the relay of committed events.
    pub(crate) fn tell(&self, events: &[&Event]) {
        if !events.is_empty() {
            self.committed.tell(events.iter().copied().collect());
        }
    }

    /// Refuses writes to a database that may lack its unique indexes.
    fn is_prepared(&self) -> Result<(), Error> {
        if self.prepared.load(Ordering::SeqCst) {
            return Ok(());
        }
        Err(Error::Unavailable("MongoDB was not there yet to be prepared".to_owned()))
    }
}

#[async_trait]
impl Documents for MongoDb {
    async fn find(&self, query: Query) -> Result<Vec<RawDocumentBuf>, Error> {
        self.check(&query)?;
        self.read(move |database, budget| async move { read::find(&database, &query, budget).await }).await
    }

    async fn count(&self, collection: &str, filter: Filter, limit: u32) -> Result<u64, Error> {
        self.shared.schema.collection(collection)?;
        let collection = collection.to_owned();
        self.read(
            move |database, budget| async move { read::count(&database, &collection, &filter, limit, budget).await },
        )
        .await
    }

    async fn distinct(&self, collection: &str, field: &str, filter: Filter) -> Result<Vec<Bson>, Error> {
        self.shared.schema.collection(collection)?;
        valid_path(field)?;
        let (collection, field) = (collection.to_owned(), field.to_owned());
        self.read(move |database, budget| async move {
            read::distinct(&database, &collection, &field, &filter, budget).await
        })
        .await
    }

    async fn commit(&self, commit: Commit) -> Result<Vec<Effect>, Error> {
        self.commit_in_key_order(commit, None).await.0
    }

    async fn commit_in_key_order(
        &self,
        commit: Commit,
        held: Option<KeyLock>,
    ) -> (Result<Vec<Effect>, Error>, Option<KeyLock>) {
        let _running = self.shared.background_commits.foreground();
        self.checked_commit(commit, held, None, Lane::Foreground, None).await
    }

    async fn commit_with_late_outcome(
        &self,
        commit: Commit,
        held: Option<KeyLock>,
        late: Late,
    ) -> (Result<Vec<Effect>, Error>, Option<KeyLock>) {
        let _running = self.shared.background_commits.foreground();
        self.checked_commit(commit, held, Some(late), Lane::Foreground, None).await
    }

    async fn commit_in_background(&self, commit: Commit) -> Result<Vec<Effect>, Error> {
        if groups::takes(&commit) {
            let place = self.shared.groups.place().await;
            return self.checked_commit(commit, None, None, Lane::Background, place).await.0;
        }
        let _running = self.shared.background_commits.background().await;
        self.checked_commit(commit, None, None, Lane::Background, None).await.0
    }

    async fn adopt(&self, collection: &str, documents: Vec<RawDocumentBuf>) -> Result<(), Error> {
        self.shared.schema.collection(collection)?;
        self.shared.is_prepared()?;
        let collection = collection.to_owned();
        self.call(move |shared, database| async move {
            let mut list = RawArrayBuf::new();
            documents.into_iter().for_each(|document| list.push(document));
            let mut command = RawDocumentBuf::new();
            command.append(cstr!("insert"), collection.as_str());
            command.append(cstr!("documents"), list);
            let reply = database.run_raw_command(command).await;
            let known = shared.schema.collection(&collection)?;
            refusal::outcome(reply, known, |statement| statement).map(drop).map_err(Stop::into_error)
        })
        .await
    }

    fn watch(&self, collection: &str, by: ObjectId) -> Box<dyn Watch> {
        Box::new(watch::Stream::new(self.clone(), collection, by))
    }

    async fn explain(&self, query: Query) -> Result<Plan, Error> {
        self.check(&query)?;
        self.call(move |_, database| async move { explain::explain(&database, &query).await }).await
    }
}

impl MongoDb {
    async fn checked_commit(
        &self,
        commit: Commit,
        held: Option<KeyLock>,
        late: Option<Late>,
        lane: Lane,
        place: Option<OwnedSemaphorePermit>,
    ) -> (Result<Vec<Effect>, Error>, Option<KeyLock>) {
        if let Err(error) = self.check_commit(&commit) {
            return (Err(error), None);
        }
        let (until, commit) = (Instant::now() + TIMEOUT, Arc::new(commit));
        // The outcome is received here, or `late` is called with it: the channel decides which, so that it is never lost.
        let (outcome, mut received) = tokio::sync::oneshot::channel();
        let called = self.call(move |shared, database| async move {
            let done = commit::run_locked(&shared, &database, &commit, held, until, lane).await;
            // It is taken for as long as the work goes on, not only while its caller waits.
            drop(place);
            if let Err((answer, _)) = outcome.send(done)
                && let Some(late) = late
            {
                late(answer.is_ok());
            }
            Ok(())
        });
        let called = called.await;
        received.close();
        match (received.try_recv(), called) {
            (Ok(done), _) => done,
            (Err(_), Err(error)) => (Err(error), None),
            (Err(_), Ok(())) => (Err(Error::Unavailable("the outcome of a commit is lost".to_owned())), None),
        }
    }

    fn check_commit(&self, commit: &Commit) -> Result<(), Error> {
        for write in &commit.writes {
            match write {
                Write::Insert { collection, document } => {
                    self.shared.schema.collection(collection)?;
                    validate_insert(document)?;
                }
                Write::Update { collection, .. } | Write::Delete { collection, .. } => {
                    self.shared.schema.collection(collection)?;
                }
            }
        }
        self.shared.is_prepared()
    }

    fn check(&self, query: &Query) -> Result<(), Error> {
        self.shared.schema.collection(&query.collection)?;
        if (1..=MAX_LIMIT).contains(&query.limit) {
            return Ok(());
        }
        Err(Error::Invalid(format!("the limit is {}; it must be 1 to {MAX_LIMIT}", query.limit)))
    }
}
