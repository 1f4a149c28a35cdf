//! The mailer: takes mails that wait, sends them, and takes their rows away.
//!
//! Every host has one. A row is claimed by moving its `next` on, which one host can do; whoever dies with it leaves it to be
//! tried when that time has come. What can't be sent now is tried later and later; what never can stays as a row that says why.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bson::{Document, doc};
use futures_util::StreamExt as _;
use lettre::Address;
use lettre::message::Mailbox;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::outlet::Refusal;
use super::{COLLECTION, NEXT, Outlet, Row};
use crate::capability::Health;
use crate::capability::clocks::Clock;
use crate::capability::documents::{Commit, Documents, Error, Filter, Query, Sort, Write, date};

/// Whom mails come from that no operator has named: nobody whom a server would believe.
const NOBODY: (&str, &str) = ("no-reply", "localhost");
/// How often it is looked for mails.
const LOOK: Duration = Duration::from_secs(1);
/// How many are sent at once.
const AT_ONCE: u32 = 8;
/// How long the sending of a mail may take, with all commands.
const SENDING: Duration = Duration::from_secs(20);
/// For how long a claimed mail is its host's: longer than the sending takes. Milliseconds.
const CLAIM: u64 = 30_000;
/// The first wait of a mail that was refused, and the longest; each is twice the one before. Milliseconds.
const WAITS: (u64, u64) = (5_000, 3_600_000);
/// A mail that could not be sent for this long is given up (RFC 5321, section 4.5.4.1). Milliseconds.
const GIVEN_UP: u64 = 4 * 86_400_000;

/// Sends what waits.
pub struct Mailer {
    documents: Arc<dyn Documents>,
    clock: Arc<dyn Clock>,
    outlet: Outlet,
    from: Mailbox,
    health: Mutex<Health>,
}

/// A mailer at work.
pub struct Mailing {
    stopped: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Mailing {
    /// Lets end what is being sent.
    pub async fn stop(self) {
        self.stopped.send_replace(true);
        if self.task.await.is_err() {
            tracing::error!("the mailer ended by a panic");
        }
    }
}

impl Mailer {
    /// Of what waits in these documents; without a mailbox it comes from [`NOBODY`].
    pub fn new(documents: Arc<dyn Documents>, clock: Arc<dyn Clock>, outlet: Outlet, from: Option<Mailbox>) -> Self {
        let from = from.unwrap_or_else(|| {
            let (user, domain) = NOBODY;
            Mailbox::new(None, Address::new(user, domain).unwrap_or_else(|_| unreachable!("it is an address")))
        });
        Self { documents, clock, outlet, from, health: Mutex::new(Health::Up) }
    }

    /// What it sends with, to operators.
    pub fn engine(&self) -> &'static str {
        self.outlet.name()
    }

    /// How the outlet is, by the last mail.
    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins. Needs a runtime.
    pub fn start(self: Arc<Self>) -> Mailing {
        let (stopped, mut stop) = watch::channel(false);
        let task = tokio::spawn(async move {
            loop {
                let found = self.look().await.unwrap_or_else(|why| {
                    tracing::debug!(%why, "mails wait until the store answers");
                    0
                });
                if *stop.borrow() {
                    break;
                }
                if found < AT_ONCE as usize {
                    tokio::select! {
                        () = tokio::time::sleep(LOOK) => {}
                        _ = stop.wait_for(|stop| *stop) => break,
                    }
                }
            }
        });
        Mailing { stopped, task }
    }

    /// Sends some of what waits; answers how many were found.
    async fn look(&self) -> Result<usize, Error> {
        let due = Filter::from_document(&doc! { NEXT: { "$lte": date(self.clock.now()) } })?;
        let sort = Sort::from_document(&doc! { NEXT: 1 })?;
        let found = self.documents.find(Query { sort, limit: AT_ONCE, ..Query::all(COLLECTION, due) }).await?;
        let rows: Vec<Row> = found.iter().filter_map(|raw| Row::read(raw)).collect();
        futures_util::stream::iter(&rows)
            .for_each_concurrent(None, |row| async {
                if let Err(why) = self.send(row).await {
                    tracing::debug!(%why, mail = %row.id, "what became of a mail is not noted; it may be sent again");
                }
            })
            .await;
        Ok(rows.len())
    }

    /// Claims a mail, sends it and notes what became of it.
    async fn send(&self, row: &Row) -> Result<(), Error> {
        let attempts = row.attempts.saturating_add(1);
        let claimed = self.clock.now() + CLAIM;
        let claim = doc! { "$set": { NEXT: date(claimed), "attempts": i32::try_from(attempts).unwrap_or(i32::MAX) } };
        match self.change(row, row.next, claim).await {
            // Another host was first.
            Err(Error::Unmet(_)) => return Ok(()),
            claimed => claimed?,
        }
        let late = |_| Err(Refusal::Now(format!("it was not taken within {SENDING:?}")));
        let sent = tokio::time::timeout(SENDING, self.outlet.send(row, &self.from)).await.unwrap_or_else(late);
        crate::abort::here("mailed");
        self.note(&sent);
        let now = self.clock.now();
        match sent {
            Ok(()) => {
                let (collection, filter) = (COLLECTION.to_owned(), Filter::from_document(&doc! { "_id": row.id })?);
                let gone = Write::Delete { collection, filter, many: false, must_match: false };
                self.documents.commit_beside(Commit { writes: vec![gone], events: Vec::new() }).await.map(drop)
            }
            Err(Refusal::Now(why)) if now < row.at.saturating_add(GIVEN_UP) => {
                let (first, longest) = WAITS;
                let wait = first.saturating_mul(1 << row.attempts.min(20)).min(longest);
                tracing::warn!(mail = %row.id, why, "a mail is tried again later");
                self.change(row, claimed, doc! { "$set": { NEXT: date(now + wait), "why": why } }).await
            }
            Err(Refusal::Now(why) | Refusal::Ever(why)) => {
                tracing::warn!(mail = %row.id, why, "a mail is given up");
                self.change(row, claimed, doc! { "$set": { "failed": date(now), "why": why }, "$unset": { NEXT: 1 } })
                    .await
            }
        }
    }

    /// Changes a row that is still to be tried at `next`.
    async fn change(&self, row: &Row, next: u64, change: Document) -> Result<(), Error> {
        let update = Write::change_known(COLLECTION, &doc! { "_id": row.id, NEXT: date(next) }, &change)?;
        self.documents.commit_beside(Commit { writes: vec![update], events: Vec::new() }).await.map(drop)
    }

    fn note(&self, sent: &Result<(), Refusal>) {
        let health = match sent {
            Err(Refusal::Now(why)) => Health::Degraded(why.clone()),
            _ => Health::Up,
        };
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }
}
