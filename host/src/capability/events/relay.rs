//! The relay: moves events from an outbox into a log that is another server, in order and at least once.
//!
//! The hosts share the shards: each has a lease of about as many as the others. A shard's lane takes what waits, appends it
//! and forgets what the log acknowledged; what failed stays and is taken again with all that follows it. A host that stops
//! gives its leases back, those of one that dies end by themselves.

mod health;
mod lane;
mod shares;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::{Log, Outbox, SHARDS, Shards};

use health::Pulse;
pub use health::{Health, Status};
use shares::Shares;

/// How a relay works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayOptions {
    /// The length of a lease: how long the events of a host that died may wait. Appending takes no longer.
    pub lease: Duration,
    /// How often events of other hosts are looked for; those of this one are taken at once.
    pub look: Duration,
    /// The most events that a shard appends at once.
    pub batch: u32,
    /// Between two tries at most while the log is away.
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

/// What every part of a relay works with.
struct Work {
    outbox: Arc<dyn Outbox>,
    log: Arc<dyn Log>,
    options: RelayOptions,
    holder: String,
    pulse: Pulse,
    /// Wakes the lane of each shard when something waits there.
    wakes: Vec<Notify>,
}

/// A relay that runs. Dropped without [`Relay::stop`] it leaves its leases to end by themselves, like a host that dies.
pub struct Relay {
    work: Arc<Work>,
    stop: watch::Sender<bool>,
    /// None once somebody waits for its end.
    running: Mutex<Option<JoinHandle<()>>>,
}

impl Relay {
    /// Begins to move events. Needs a runtime.
    pub fn start(outbox: Arc<dyn Outbox>, log: Arc<dyn Log>, options: RelayOptions) -> Self {
        let holder = hex::encode(crate::capability::random::bytes::<8>());
        let wakes = (0..SHARDS).map(|_| Notify::new()).collect();
        let work = Arc::new(Work { outbox, log, options, holder, pulse: Pulse::default(), wakes });
        let (stop, stopped) = watch::channel(false);
        let running = Mutex::new(Some(tokio::spawn(run(Arc::clone(&work), stopped))));
        Self { work, stop, running }
    }

    /// Whether the log answers, and how much waits for it.
    pub fn status(&self) -> Status {
        self.work.pulse.status()
    }

    /// Finishes what is on its way to the log, and gives the leases back. What waits stays for others, or for later.
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
        () = shares.keep() => {}
        () = hear(&work) => {}
        () = look(&work) => {}
        () = health::watch(&work) => {}
        // Its sender only goes when this is aborted.
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    shares.give_back().await;
}

impl Work {
    fn wake(&self, shards: Shards) {
        let lanes = shards.iter().filter_map(|shard| self.wakes.get(shard as usize));
        lanes.for_each(Notify::notify_one);
    }
}

/// Wakes the lanes for which something was committed here.
async fn hear(work: &Work) {
    loop {
        work.wake(work.outbox.committed().await);
    }
}

/// Wakes the lanes for which something waits, whoever committed it.
async fn look(work: &Work) {
    loop {
        tokio::time::sleep(work.options.look).await;
        match work.outbox.filled().await {
            Ok(shards) => work.wake(shards),
            Err(error) => tracing::debug!(%error, "what waits in the outbox is looked for again"),
        }
    }
}
