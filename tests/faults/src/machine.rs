//! How slow the machine itself is while members are at work.
//!
//! Somebody outside of the hosts stores a document straight in MongoDB, again and again: a store that no fault concerns. What
//! that takes beyond its usual time, neighbours on the machine have taken, and no host.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bson::doc;
use mongodb::Client;
use tokio::task::JoinHandle;

/// Between two writes.
const PACE: Duration = Duration::from_millis(50);

/// Writes that have nothing to do with a host.
pub struct Machine {
    stopped: Arc<AtomicBool>,
    writing: JoinHandle<Duration>,
}

impl Machine {
    /// Begins to write. None where the store itself is away, or the address is none.
    pub async fn watch(address: &str) -> Option<Self> {
        let client = Client::with_uri_str(address).await.ok()?;
        let writes = client.default_database()?.collection("machine");
        let stopped = Arc::new(AtomicBool::new(false));
        let over = stopped.clone();
        let writing = tokio::spawn(async move {
            let mut longest = Duration::ZERO;
            let mut pace = tokio::time::interval(PACE);
            while !over.load(Ordering::SeqCst) {
                pace.tick().await;
                let begun = Instant::now();
                writes.insert_one(doc! { "written": true }).await.expect("a server that no fault concerns stores it");
                longest = longest.max(begun.elapsed());
            }
            longest
        });
        Some(Self { stopped, writing })
    }

    /// Ends; the longest time that a write took.
    pub async fn longest(self) -> Duration {
        self.stopped.store(true, Ordering::SeqCst);
        self.writing.await.expect("writes that go on to the end")
    }
}
