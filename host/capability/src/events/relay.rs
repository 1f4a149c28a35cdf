//! The relay: moves events from an outbox into a log that is another server, in order and at least once.
//!
//! The hosts share the shards: each has the leases of about as many as the others. A shard's task reads a batch of its
//! outbox rows, appends the events and deletes the rows that the log acknowledged; the others stay and are read again. A
//! host that stops releases its leases; those of one that dies expire. What this host commits wakes its tasks; what others commit,
//! or left behind, is found by one poll of all shards, which is slow while there is nothing.

mod health;
mod shard_task;
mod shares;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::events::{Log, Outbox, SHARDS, Shards};

use health::LogMonitor;
pub use health::{Health, Status};
use shares::Shares;

/// The settings of a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayOptions {
    /// The length of a lease: how long the events of a host that died may wait. An append is given up before it ends.
    pub lease: Duration,
    /// How soon the outbox is polled again for events of other hosts after it had some; this host's own commits wake the relay at
    /// once.
    pub look: Duration,
    /// How often it is polled while it has none and no other host is there.
    pub longest_look: Duration,
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
            longest_look: Duration::from_secs(2),
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
    /// A shard was woken since the outbox was counted.
    woken: AtomicBool,
    /// There are other hosts, whose commits do not wake this one.
    has_others: AtomicBool,
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
        let (monitor, woken) = (LogMonitor::default(), AtomicBool::new(true));
        let has_others = AtomicBool::new(true);
        let work = Arc::new(Work { outbox, log, options, holder, monitor, wakes, woken, has_others });
        let (stop, stopped) = watch::channel(false);
        let running = Mutex::new(Some(tokio::spawn(run(Arc::clone(&work), stopped))));
        Self { work, stop, running }
    }

    /// Whether the log answers, and how many events are in the outbox.
    pub fn status(&self) -> Status {
        self.work.monitor.status()
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
        if shards != Shards::default() {
            self.woken.store(true, Ordering::Relaxed);
        }
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

/// Wakes the tasks of the shards that have events of any host. A host that is alone polls less and less often while there are
/// none: its own commits wake it.
async fn poll_outbox(work: &Work) {
    let RelayOptions { look, longest_look, .. } = work.options;
    let mut pause = look;
    loop {
        tokio::time::sleep(pause).await;
        pause = match work.outbox.filled().await {
            Ok(shards) => {
                work.wake(shards);
                let is_idle = shards == Shards::default() && !work.has_others.load(Ordering::Relaxed);
                if is_idle { (pause * 2).min(longest_look.max(look)) } else { look }
            }
            Err(error) => {
                tracing::debug!(%error, "the outbox does not answer; it is polled again");
                look
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::time::Instant;

    use async_trait::async_trait;
    use bson::Bson;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::events::{Error, Event, Waiting};

    const PATIENCE: Duration = Duration::from_secs(20);

    /// An outbox of one host, where nothing happens; it counts what it is asked.
    struct Idle {
        leases: AtomicU32,
        holders: AtomicU32,
        reads: AtomicU32,
        counts: AtomicU32,
        renewed: Semaphore,
        polled: Semaphore,
    }

    #[async_trait]
    impl Outbox for Idle {
        async fn lease(&self, _shard: u32, _holder: &str, _length: Duration) -> Result<bool, Error> {
            self.leases.fetch_add(1, Ordering::Relaxed);
            Ok(true)
        }

        async fn renew(&self, shards: &[u32], _holder: &str, _length: Duration) -> Result<Vec<u32>, Error> {
            self.renewed.add_permits(1);
            Ok(shards.to_vec())
        }

        async fn release(&self, _shard: u32, _holder: &str) -> Result<(), Error> {
            Ok(())
        }

        async fn holders(&self) -> Result<u32, Error> {
            self.holders.fetch_add(1, Ordering::Relaxed);
            Ok(1)
        }

        async fn waiting(&self, _shard: u32, _max: u32) -> Result<Vec<Waiting>, Error> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            Ok(Vec::new())
        }

        async fn count(&self) -> Result<u64, Error> {
            self.counts.fetch_add(1, Ordering::Relaxed);
            Ok(0)
        }

        async fn done(&self, _rows: &[Bson]) -> Result<(), Error> {
            Ok(())
        }

        async fn set_aside(&self, _rows: &[Bson]) -> Result<(), Error> {
            Ok(())
        }

        async fn filled(&self) -> Result<Shards, Error> {
            self.polled.add_permits(1);
            Ok(Shards::default())
        }

        async fn committed(&self) -> Shards {
            std::future::pending().await
        }
    }

    struct Silent;

    #[async_trait]
    impl Log for Silent {
        async fn append(&self, _events: Vec<Event>, _by: Instant) -> Vec<Result<(), Error>> {
            Vec::new()
        }

        async fn answers(&self) -> Result<(), Error> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn where_nothing_happens_the_outbox_is_asked_little() {
        let [leases, holders, reads, counts] = [(); 4].map(|()| AtomicU32::new(0));
        let [renewed, polled] = [(); 2].map(|()| Semaphore::new(0));
        let outbox = Arc::new(Idle { leases, holders, reads, counts, renewed, polled });
        let options = RelayOptions {
            lease: Duration::from_millis(60),
            look: Duration::from_millis(1),
            longest_look: Duration::from_millis(8),
            ..RelayOptions::default()
        };
        let relay = Relay::start(outbox.clone(), Arc::new(Silent), options);
        let many =
            async { (outbox.renewed.acquire_many(30).await.is_ok(), outbox.polled.acquire_many(50).await.is_ok()) };
        assert_eq!(tokio::time::timeout(PATIENCE, many).await, Ok((true, true)));
        let of = |count: &AtomicU32| count.load(Ordering::Relaxed);
        assert!(of(&outbox.reads) <= SHARDS, "no renewal and no poll reads a shard: {}", of(&outbox.reads));
        assert!(of(&outbox.leases) <= SHARDS, "each lease is taken once: {}", of(&outbox.leases));
        assert!(of(&outbox.holders) * 2 < 30, "who is alone seldom counts the hosts: {}", of(&outbox.holders));
        relay.stop().await;
    }
}
