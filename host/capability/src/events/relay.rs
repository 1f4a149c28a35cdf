//! The relay: moves events from an outbox into a log that is another server, in order and at least once.
//!
//! The hosts share the shards: each has the leases of about as many as the others. A shard's task reads a batch of its
//! outbox rows, appends the events and deletes the rows that the log acknowledged; the others stay and are read again. A
//! host that stops releases its leases; those of one that dies expire.

mod health;
mod shard_task;
mod shares;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::events::{Error, Log, Outbox, SHARDS, Shards};

use health::LogMonitor;
pub use health::{Health, Status};
use shares::Shares;

/// The settings of a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayOptions {
    /// The length of a lease: how long the events of a host that died may wait. An append is given up before it ends.
    pub lease: Duration,
    /// How often the outbox is polled for events of other hosts; this host's own commits wake the relay at once.
    pub look: Duration,
    /// The most events that a shard appends in one batch.
    pub batch: u32,
    /// The longest pause between two tries while the log does not answer.
    pub longest_pause: Duration,
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(6),
            look: Duration::from_millis(100),
            batch: 500,
            longest_pause: Duration::from_secs(2),
        }
    }
}

/// The state that the tasks of a relay share.
struct Work {
    outbox: Arc<dyn Outbox>,
    log: Arc<dyn Log>,
    options: RelayOptions,
    holder: String,
    monitor: LogMonitor,
    /// Wakes the task of each shard when its outbox has events.
    wakes: Vec<Notify>,
}

/// A running relay. Dropped without [`Relay::stop`] it leaves its leases to expire, like a host that dies.
pub struct Relay {
    work: Arc<Work>,
    stop: watch::Sender<bool>,
    /// None once a caller waits for its end.
    running: Mutex<Option<JoinHandle<()>>>,
}

impl Relay {
    /// Starts to move events. Needs a runtime.
    pub fn start(outbox: Arc<dyn Outbox>, log: Arc<dyn Log>, options: RelayOptions) -> Self {
        let holder = hex::encode(crate::random::bytes::<8>());
        let wakes = (0..SHARDS).map(|_| Notify::new()).collect();
        let work = Arc::new(Work { outbox, log, options, holder, monitor: LogMonitor::default(), wakes });
        let (stop, stopped) = watch::channel(false);
        let running = Mutex::new(Some(tokio::spawn(run(Arc::clone(&work), stopped))));
        Self { work, stop, running }
    }

    /// Whether the log answers, and how many events are in the outbox.
    pub fn status(&self) -> Status {
        self.work.monitor.status()
    }

    /// See [`Outbox::delete_idle`].
    ///
    /// # Errors
    /// Those of the outbox.
    pub async fn delete_idle(&self, before: u64) -> Result<u64, Error> {
        self.work.outbox.delete_idle(before).await
    }

    /// Finishes the running appends and releases the leases. Other events stay in the outbox.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(running) = running else { return };
        if let Err(error) = running.await {
            tracing::error!(%error, "the relay of events did not end by itself");
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(running) = self.running.get_mut().unwrap_or_else(PoisonError::into_inner) {
            running.abort();
        }
    }
}

async fn run(work: Arc<Work>, mut stopped: watch::Receiver<bool>) {
    let mut shares = Shares::new(Arc::clone(&work));
    tokio::select! {
        () = work.log.opened() => {}
        _ = stopped.wait_for(|stopped| *stopped) => return,
    }
    tokio::select! {
        () = shares.balance() => {}
        () = wake_on_commits(&work) => {}
        () = poll_outbox(&work) => {}
        () = health::watch(&work) => {}
        // The sender is dropped only when this task is aborted.
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    shares.release_all().await;
}

impl Work {
    fn wake(&self, shards: Shards) {
        let wakes = shards.iter().filter_map(|shard| self.wakes.get(shard as usize));
        wakes.for_each(Notify::notify_one);
    }
}

/// Wakes the tasks of the shards in which this host committed events.
async fn wake_on_commits(work: &Work) {
    loop {
        work.wake(work.outbox.committed().await);
    }
}

/// Wakes the tasks of the shards that have events of any host.
async fn poll_outbox(work: &Work) {
    loop {
        tokio::time::sleep(work.options.look).await;
        match work.outbox.filled().await {
            Ok(shards) => work.wake(shards),
            Err(error) => tracing::debug!(%error, "the outbox does not answer; it is polled again"),
        }
    }
}
