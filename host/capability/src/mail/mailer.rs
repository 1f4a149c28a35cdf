//! The mailer: claims mails that are due, sends them, and deletes their rows.
//!
//! Every host has one. A row is claimed by a compare-and-set of its `next`, so that one host has it; when that host dies the
//! row is due again at the new `next`. A mail that can't be sent now is retried with growing pauses; one that never can stays
//! as a row with the reason.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bson::{Document, doc};
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clocks::Clock;
use crate::documents::{Commit, Documents, Error, Filter, Query, Sort, Write, date};
use crate::health::Health;
use crate::mail::{COLLECTION, FAILED, NEXT, Outlet, QueuedMail, SendError};

/// How soon the collection is polled for due mails after there were some.
const POLL: Duration = Duration::from_secs(1);
/// The longest pause between two polls while there are none; each is twice the one before.
const LONGEST_POLL: Duration = Duration::from_secs(10);
/// How many are sent concurrently.
const BATCH: u32 = 8;
/// The timeout of sending a mail, with all SMTP commands.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long a claim lasts: longer than [`TIMEOUT`]. Milliseconds.
const CLAIM: u64 = 30_000;
/// The first pause after a refusal, and the longest; each is twice the one before. Milliseconds.
const BACKOFF: (u64, u64) = (5_000, 3_600_000);
/// A mail that could not be sent for this long is given up (RFC 5321, section 4.5.4.1). Milliseconds.
const GIVE_UP_AFTER: u64 = 4 * 86_400_000;

/// Sends the due mails.
pub struct Mailer {
    documents: Arc<dyn Documents>,
    clock: Arc<dyn Clock>,
    outlet: Arc<dyn Outlet>,
    health: Mutex<Health>,
}

/// A running mailer.
pub struct Mailing {
    stopped: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Mailing {
    /// Stops after the mails that are being sent.
    pub async fn stop(self) {
        self.stopped.send_replace(true);
        if self.task.await.is_err() {
            tracing::error!("the mailer ended by a panic");
        }
    }
}

impl Mailer {
    /// A mailer of the mails in these documents.
    pub fn new(documents: Arc<dyn Documents>, clock: Arc<dyn Clock>, outlet: Arc<dyn Outlet>) -> Self {
        Self { documents, clock, outlet, health: Mutex::new(Health::Up) }
    }

    /// What it sends with, for operators.
    pub fn engine(&self) -> &'static str {
        self.outlet.name()
    }

    /// The outlet's health, by the last mail.
    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts. Needs a runtime.
    pub fn start(self: Arc<Self>) -> Mailing {
        let (stopped, mut stop) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut pause = POLL;
            loop {
                let found = self.send_due().await.unwrap_or_else(|why| {
                    tracing::debug!(%why, "mails wait until the store answers");
                    0
                });
                if *stop.borrow() {
                    break;
                }
                pause = if found == 0 { (pause * 2).min(LONGEST_POLL) } else { POLL };
                if found < BATCH as usize {
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        _ = stop.wait_for(|stop| *stop) => break,
                    }
                }
            }
        });
        Mailing { stopped, task }
    }

    /// Sends a batch of due mails; returns how many were found.
    async fn send_due(&self) -> Result<usize, Error> {
        let due = Filter::from_document(&doc! { NEXT: { "$lte": date(self.clock.now()) } })?;
        let sort = Sort::from_document(&doc! { NEXT: 1 })?;
        let found = self.documents.find(Query { sort, limit: BATCH, ..Query::all(COLLECTION, due) }).await?;
        let rows: Vec<QueuedMail> = found.iter().filter_map(|raw| QueuedMail::read(raw)).collect();
        futures_util::stream::iter(&rows)
            .for_each_concurrent(None, |row| async {
                if let Err(why) = self.send(row).await {
                    tracing::debug!(%why, mail = %row.id, "the outcome of a mail is not stored; it may be sent again");
                }
            })
            .await;
        Ok(rows.len())
    }

    /// Claims a mail, sends it and stores the outcome.
    async fn send(&self, row: &QueuedMail) -> Result<(), Error> {
        let attempts = row.attempts.saturating_add(1);
        let claimed = self.clock.now() + CLAIM;
        let claim = doc! { "$set": { NEXT: date(claimed), "attempts": i32::try_from(attempts).unwrap_or(i32::MAX) } };
        match self.change(row, row.next, claim).await {
            // Another host was first.
            Err(Error::Unmet(_)) => return Ok(()),
            claimed => claimed?,
        }
        let late = |_| Err(SendError::Transient(format!("it was not taken within {TIMEOUT:?}")));
        let sent = tokio::time::timeout(TIMEOUT, self.outlet.send(row)).await.unwrap_or_else(late);
        crate::abort::here("mailed");
        self.set_health(&sent);
        let now = self.clock.now();
        match sent {
            Ok(()) => {
                let (collection, filter) = (COLLECTION.to_owned(), Filter::from_document(&doc! { "_id": row.id })?);
                let delete = Write::Delete { collection, filter, many: false, must_match: false };
                self.documents.commit_in_background(Commit { writes: vec![delete], events: Vec::new() }).await.map(drop)
            }
            Err(SendError::Transient(why)) if now < row.at.saturating_add(GIVE_UP_AFTER) => {
                let (first, longest) = BACKOFF;
                let wait = first.saturating_mul(1 << row.attempts.min(20)).min(longest);
                tracing::warn!(mail = %row.id, why, "a mail is tried again later");
                self.change(row, claimed, doc! { "$set": { NEXT: date(now + wait), "why": why } }).await
            }
            Err(SendError::Transient(why) | SendError::Permanent(why)) => {
                tracing::warn!(mail = %row.id, why, "a mail is given up");
                self.change(row, claimed, doc! { "$set": { FAILED: date(now), "why": why }, "$unset": { NEXT: 1 } })
                    .await
            }
        }
    }

    /// Changes a row that is still due at `next`.
    async fn change(&self, row: &QueuedMail, next: u64, change: Document) -> Result<(), Error> {
        let update = Write::change_known(COLLECTION, &doc! { "_id": row.id, NEXT: date(next) }, &change)?;
        self.documents.commit_in_background(Commit { writes: vec![update], events: Vec::new() }).await.map(drop)
    }

    fn set_health(&self, sent: &Result<(), SendError>) {
        let health = match sent {
            Err(SendError::Transient(why)) => Health::Degraded(why.clone()),
            _ => Health::Up,
        };
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }
}
