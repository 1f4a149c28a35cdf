//! The threads that own the file: one writes, a few read.
//!
//! The writer takes all queued commits, runs each in a savepoint of one transaction, and makes them durable together; only
//! then does it answer (group commit). Another thread does checkpoints. Nothing here knows what a commit does. Async workers
//! only wait.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::outlet::Outlet;
use capability::documents::{Effect, Error, Schema};

use crate::files::Files;
use crate::tables::Layout;
use crate::{Location, checkpoint, unavailable};

/// The most queued jobs; further callers wait for room.
const QUEUE: usize = 1_024;
/// The most commits that become durable together.
const GROUP: usize = 256;
/// Reader threads.
const READERS: usize = 4;

type Read = Box<dyn FnOnce(&Connection) + Send>;
type Work = Box<dyn FnOnce(&Connection) -> Answer + Send>;
type Answer = Result<Vec<Effect>, Error>;

struct Write {
    work: Work,
    answer: oneshot::Sender<Answer>,
}

/// The queues of the threads.
pub(super) struct Store {
    layout: Arc<Layout>,
    writes: Option<mpsc::Sender<Write>>,
    reads: Option<mpsc::Sender<Read>>,
    threads: Vec<JoinHandle<()>>,
    /// The last field: the folder stays locked until the threads have closed their connections.
    files: Files,
}

impl Store {
    pub(super) fn open(location: Location, schema: &Schema, outlet: Arc<Outlet>) -> Result<Store, Error> {
        let files = Files::open(location)?;
        let mut writer = files.writer()?;
        let layout = Arc::new(Layout::open(&mut writer, schema, Arc::clone(&outlet))?);
        let woken = checkpoint::install_hook(&mut writer).map_err(unavailable)?;
        let (writes, written) = mpsc::channel(QUEUE);
        let (reads, read) = mpsc::channel(QUEUE);
        // The store exists from here on, so that the threads end when one of them can't start.
        let mut store = Store { layout, writes: Some(writes), reads: Some(reads), threads: Vec::new(), files };
        store.start("documents-writer".to_owned(), move || write_all(&writer, written, &outlet))?;
        let connection = store.files.writer()?;
        store.start("documents-checkpoints".to_owned(), move || checkpoint::run(&connection, &woken))?;
        let read = Arc::new(Mutex::new(read));
        for number in 0..READERS {
            let (connection, read) = (store.files.reader()?, Arc::clone(&read));
            store.start(format!("documents-reader-{number}"), move || read_all(&connection, &read))?;
        }
        Ok(store)
    }

    fn start(&mut self, name: String, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        let failed = |error| Error::Unavailable(format!("the thread {name} does not start: {error}"));
        self.threads.push(Builder::new().name(name.clone()).spawn(work).map_err(failed)?);
        Ok(())
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &Layout) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        let layout = Arc::clone(&self.layout);
        let read: Read = Box::new(move |connection| {
            // The caller may have stopped waiting; then there is nothing to do.
            if !answer.is_closed() {
                drop(answer.send(work(connection, &layout)));
            }
        });
        send(self.reads.as_ref(), read).await?;
        answered.await.unwrap_or_else(|_| Err(abandoned()))
    }

    pub(super) async fn write(&self, work: impl FnOnce(&Connection, &Layout) -> Answer + Send + 'static) -> Answer {
        let (answer, answered) = oneshot::channel();
        let layout = Arc::clone(&self.layout);
        let work: Work = Box::new(move |connection| work(connection, &layout));
        send(self.writes.as_ref(), Write { work, answer }).await?;
        answered.await.unwrap_or_else(|_| Err(abandoned()))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // The threads finish their queues and end when these are closed.
        self.writes = None;
        self.reads = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the document store ended by a panic");
            }
        }
    }
}

async fn send<T>(queue: Option<&mpsc::Sender<T>>, job: T) -> Result<(), Error> {
    let queue = queue.ok_or_else(abandoned)?;
    queue.send(job).await.map_err(|_| abandoned())
}

fn abandoned() -> Error {
    Error::Unavailable("the work was given up; the log says why".to_owned())
}

fn read_all(connection: &Connection, queue: &Mutex<mpsc::Receiver<Read>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(read) = next else { return };
        if catch_unwind(AssertUnwindSafe(|| read(connection))).is_err() {
            tracing::error!("a read panicked; the thread goes on");
        }
    }
}

fn write_all(connection: &Connection, mut queue: mpsc::Receiver<Write>, outlet: &Outlet) {
    let mut group = Vec::with_capacity(GROUP);
    while queue.blocking_recv_many(&mut group, GROUP) > 0 {
        write_group(connection, group.drain(..), outlet);
    }
}

/// One transaction for all. A commit that fails by itself gets its own error; if the transaction fails, none of them is
/// done.
fn write_group(connection: &Connection, group: impl Iterator<Item = Write>, outlet: &Outlet) {
    let mut answers = Vec::new();
    let mut outcome = connection.execute_batch("BEGIN IMMEDIATE").map_err(unavailable);
    for Write { work, answer } in group {
        let result = match &outcome {
            Ok(()) => write_one(connection, work),
            Err(error) => Err(error.clone()),
        };
        answers.push((answer, result));
        // A full disk may roll back the whole transaction, and with it the other commits.
        if outcome.is_ok() && connection.is_autocommit() {
            outcome = Err(Error::Unavailable("the transaction was rolled back; nothing of it was done".to_owned()));
        }
    }
    if outcome.is_ok() {
        outcome = connection.execute_batch("COMMIT").map_err(unavailable);
    }
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "a failed group of commits can't be rolled back");
    }
    if let Err(error) = &outcome {
        tracing::error!(%error, commits = answers.len(), "a group of commits failed");
    }
    outlet.ended(outcome.is_ok());
    for (answer, result) in answers {
        // The caller may have stopped waiting; the work is done all the same.
        drop(answer.send(match (&outcome, result) {
            // A refusal may be due to another commit of the group, which is rolled back too.
            (Err(error), Ok(_) | Err(Error::Duplicate { .. } | Error::Unmet(_))) => Err(error.clone()),
            (_, result) => result,
        }));
    }
}

fn write_one(connection: &Connection, work: Work) -> Answer {
    connection.prepare_cached("SAVEPOINT one").and_then(|mut begin| begin.execute([])).map_err(unavailable)?;
    let result = catch_unwind(AssertUnwindSafe(|| work(connection))).unwrap_or_else(|_| {
        tracing::error!("a commit panicked; it is rolled back and the thread goes on");
        Err(abandoned())
    });
    if connection.is_autocommit() {
        return result.and_then(|_| Err(abandoned()));
    }
    let end = if result.is_ok() { "RELEASE one" } else { "ROLLBACK TO one; RELEASE one" };
    match connection.execute_batch(end) {
        Ok(()) => result,
        Err(error) => {
            // A partial commit must not become durable with the others.
            drop(connection.execute_batch("ROLLBACK"));
            Err(unavailable(error))
        }
    }
}
