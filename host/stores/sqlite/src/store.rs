//! The threads that own the file: one writes, a few read.
//!
//! The writer takes all queued commits, does them in one transaction, and makes them durable together; only then does it
//! answer (group commit). Another thread does checkpoints. Nothing here knows what a commit does. Async workers only wait.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use rusqlite::Connection;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::outlet::Outlet;
use capability::documents::{Effect, Error, Schema};

use crate::files::Files;
use crate::tables::Layout;
use crate::{Location, Settings, checkpoint, unavailable};

/// The most queued jobs of the writer, and of the readers together; further callers wait for room.
const QUEUE: usize = 1_024;
/// The most commits that become durable together.
const GROUP: usize = 256;
/// After a commit that had to be undone, so many groups get savepoints.
const CAREFUL: u32 = 16;

type Read = Box<dyn FnOnce(&Connection) + Send>;
/// May be called again when the transaction was rolled back.
type Work = Box<dyn Fn(&Connection) -> Answer + Send>;
type Answer = Result<Vec<Effect>, Error>;

struct Write {
    work: Work,
    answer: oneshot::Sender<Answer>,
}

/// The queues of the threads.
pub(super) struct Store {
    layout: Arc<Layout>,
    writes: Option<mpsc::Sender<Write>>,
    /// Any free reader takes the next one.
    reads: Option<crossbeam_channel::Sender<Read>>,
    /// The room in `reads`: its own `send` would block an async worker.
    room: Arc<Semaphore>,
    threads: Vec<JoinHandle<()>>,
    /// The last field: the folder stays locked until the threads have closed their connections.
    files: Files,
}

impl Store {
    pub(super) fn open(
        location: Location,
        schema: &Schema,
        outlet: Arc<Outlet>,
        settings: Settings,
    ) -> Result<Store, Error> {
        let files = Files::open(location, settings)?;
        let mut writer = files.writer()?;
        let layout = Arc::new(Layout::open(&mut writer, schema, Arc::clone(&outlet))?);
        let woken = checkpoint::install_hook(&mut writer).map_err(unavailable)?;
        let (writes, written) = mpsc::channel(QUEUE);
        let (reads, read) = crossbeam_channel::bounded(QUEUE);
        let room = Arc::new(Semaphore::new(QUEUE));
        // The store exists from here on, so that the threads end when one of them can't start.
        let mut store = Store { layout, writes: Some(writes), reads: Some(reads), room, threads: Vec::new(), files };
        store.start("documents-writer".to_owned(), move || write_all(&writer, written, &outlet))?;
        let connection = store.files.writer()?;
        store.start("documents-checkpoints".to_owned(), move || checkpoint::run(&connection, &woken))?;
        for number in 0..settings.readers.max(1) {
            let (connection, read) = (store.files.reader()?, read.clone());
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
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(|_| abandoned())?;
        let read: Read = Box::new(move |connection| {
            drop(room);
            // The caller may have stopped waiting; then there is nothing to do.
            if !answer.is_closed() {
                drop(answer.send(work(connection, &layout)));
            }
        });
        let queue = self.reads.as_ref().ok_or_else(abandoned)?;
        queue.try_send(read).map_err(|_| abandoned())?;
        answered.await.unwrap_or_else(|_| Err(abandoned()))
    }

    pub(super) async fn write(&self, work: impl Fn(&Connection, &Layout) -> Answer + Send + 'static) -> Answer {
        let (answer, answered) = oneshot::channel();
        let layout = Arc::clone(&self.layout);
        let work: Work = Box::new(move |connection| work(connection, &layout));
        let queue = self.writes.as_ref().ok_or_else(abandoned)?;
        queue.send(Write { work, answer }).await.map_err(|_| abandoned())?;
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

fn abandoned() -> Error {
    Error::Unavailable("the work was given up; the log says why".to_owned())
}

fn read_all(connection: &Connection, queue: &crossbeam_channel::Receiver<Read>) {
    while let Ok(read) = queue.recv() {
        if catch_unwind(AssertUnwindSafe(|| read(connection))).is_err() {
            tracing::error!("a read panicked; the thread goes on");
        }
    }
}

fn write_all(connection: &Connection, mut queue: mpsc::Receiver<Write>, outlet: &Outlet) {
    let mut group = Vec::with_capacity(GROUP);
    let mut careful = 0;
    while queue.blocking_recv_many(&mut group, GROUP) > 0 {
        let mut transaction = Transaction { connection, outlet, savepoints: careful > 0, failed: None };
        let answers = transaction.run(&group);
        let undone = transaction.savepoints && careful == 0;
        careful = if undone { CAREFUL } else { careful.saturating_sub(1) };
        for (Write { answer, .. }, result) in group.drain(..).zip(answers) {
            // The caller may have stopped waiting; the work is done all the same.
            drop(answer.send(result));
        }
    }
}

/// One transaction for a group of commits. A commit that fails by itself gets its own error; if the transaction fails, none
/// of them is done.
///
/// A savepoint for each commit costs a copy of every page that it changes, and almost every commit is done or is refused
/// before it has changed anything. So they come only once a commit has failed after its first change: that group is rolled
/// back, and what was done of it is done again.
struct Transaction<'a> {
    connection: &'a Connection,
    outlet: &'a Outlet,
    savepoints: bool,
    failed: Option<Error>,
}

impl Transaction<'_> {
    fn run(&mut self, group: &[Write]) -> Vec<Answer> {
        let mut answers: Vec<Answer> = Vec::with_capacity(group.len());
        self.control("BEGIN IMMEDIATE");
        for write in group {
            let changes = self.connection.total_changes();
            let answer = self.one(&write.work);
            let undo = self.failed.is_none()
                && match &answer {
                    Ok(_) => false,
                    // SQLite checks constraints before the first change of a statement; the others are refused before a statement.
                    Err(Error::Invalid(_) | Error::Duplicate { .. } | Error::Unmet(_)) => {
                        self.connection.total_changes() != changes
                    }
                    // A statement on one row has no journal of its own: what breaks off inside it, as a function of ours does when
                    // the time is over, leaves a part that is not counted.
                    Err(Error::Overdue(_) | Error::Unavailable(_)) => true,
                };
            if undo && !self.savepoints {
                self.again(group, &mut answers);
            }
            answers.push(answer);
        }
        if self.failed.is_none() {
            self.failed = self.outlet.write_ends(self.connection).err().map(unavailable);
        }
        self.control("COMMIT");
        self.roll_back();
        if let Some(error) = &self.failed {
            tracing::error!(%error, commits = answers.len(), "a group of commits failed");
            for answer in &mut answers {
                // A refusal may be due to another commit of the group, which is rolled back too.
                if matches!(answer, Ok(_) | Err(Error::Duplicate { .. } | Error::Unmet(_))) {
                    *answer = Err(error.clone());
                }
            }
        }
        self.outlet.ended(self.failed.is_none());
        answers
    }

    /// Rolls back, and does again what was done, from here on with savepoints.
    fn again(&mut self, group: &[Write], answers: &mut [Answer]) {
        self.savepoints = true;
        self.roll_back();
        self.outlet.ended(false);
        self.control("BEGIN IMMEDIATE");
        for (write, answer) in group.iter().zip(answers).filter(|(_, answer)| answer.is_ok()) {
            *answer = self.one(&write.work);
            if answer.is_err() {
                // Others may have been refused for what it did the first time.
                let differs = "a commit could not be repeated; nothing of its group was done; try again";
                self.failed.get_or_insert_with(|| Error::Unavailable(differs.to_owned()));
            }
        }
    }

    fn one(&mut self, work: &Work) -> Answer {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.savepoints {
            self.control("SAVEPOINT one");
        }
        let mut answer = catch_unwind(AssertUnwindSafe(|| work(self.connection))).unwrap_or_else(|_| {
            tracing::error!("a commit panicked; it is rolled back and the thread goes on");
            Err(abandoned())
        });
        self.outlet.commit_ended(answer.is_ok());
        // A full disk may roll back the whole transaction, and with it the other commits.
        if self.connection.is_autocommit() {
            let lost = "the transaction was rolled back; nothing of it was done";
            self.failed.get_or_insert_with(|| Error::Unavailable(lost.to_owned()));
            return answer.and_then(|_| Err(abandoned()));
        }
        if self.savepoints {
            if answer.is_err() {
                self.control("ROLLBACK TO one");
            }
            // When this fails, a part of the commit must not become durable with the others: all of them fail.
            self.control("RELEASE one");
            if let Some(error) = &self.failed
                && answer.is_ok()
            {
                answer = Err(error.clone());
            }
        }
        answer
    }

    /// Begins or ends the transaction or a savepoint, unless the transaction has failed.
    fn control(&mut self, sql: &str) {
        if self.failed.is_none() {
            let done = self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
            self.failed = done.err().map(unavailable);
        }
    }

    /// Unless it has ended.
    fn roll_back(&self) {
        if self.connection.is_autocommit() {
            return;
        }
        let done = self.connection.prepare_cached("ROLLBACK").and_then(|mut statement| statement.execute([]));
        if let Err(error) = done {
            tracing::error!(%error, "a failed group of commits can't be rolled back");
        }
    }
}
