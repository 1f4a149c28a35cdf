//! A turn: a host takes a schedule, does the parts of the tick that is due, and gives it back.
//!
//! What a part wants done and how far the tick has come are one commit. A crash before it leaves the part undone, and one
//! after it leaves the next part: whoever takes the schedule when the turn's time is over goes on there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bson::doc;
use tokio::sync::watch;

use super::row::Row;
use crate::capability::Capabilities;
use crate::capability::documents::{Commit, Error, date};
use crate::capability::unit::Unit;
use crate::engine::{Call, Failure, TickCall, Unable};
use crate::registry::{Cron, Registry};
use crate::trigger::event::Pace;

/// For how long a turn is a host's, unless it commits something. Longer than any wait between two tries; milliseconds.
const TURN: u64 = 30_000;
/// After how many tries of one part a tick is given up.
const ATTEMPTS: u32 = 8;
/// The longest cursor, in bytes.
const MAX_CURSOR: usize = 1_024;

/// One schedule of a component.
pub(super) struct Schedule {
    pub(super) registry: Arc<Registry>,
    pub(super) component: String,
    pub(super) cron: Cron,
    pub(super) stop: watch::Receiver<bool>,
}

/// What became of a try of a part.
enum Try {
    /// It is done; where the next one begins.
    Done(Option<String>),
    /// Somebody else has the schedule.
    Lost,
    /// A store or a place was missing.
    Held(String),
    /// It failed, and that counts.
    Failed(String),
    /// The component does not want it.
    Rejected(String),
}

/// A tick that this host is at.
struct Turn {
    at: u64,
    fence: i64,
    cursor: Option<String>,
}

impl Schedule {
    /// Whether there is something to do that is after `done`.
    pub(super) fn is_due(&self, done: u64) -> bool {
        self.cron.latest(done, self.capabilities().clock.now()).is_some()
    }

    /// Does what is due, unless another host is at it; answers up to when everything is done.
    pub(super) async fn look(&mut self) -> Result<u64, Error> {
        let (documents, clock, id) =
            (self.capabilities().documents.clone(), self.capabilities().clock.clone(), self.id());
        loop {
            let now = clock.now();
            let Some(row) = Row::find(documents.as_ref(), &id).await? else {
                Row::insert(documents.as_ref(), &id, now).await?;
                continue;
            };
            let Some(at) = row.tick.or_else(|| self.cron.latest(row.last, now)) else { return Ok(row.last) };
            if row.until > now || *self.stop.borrow() {
                return Ok(row.last);
            }
            let fence = row.fence.saturating_add(1);
            let take = doc! { "$set": { "until": date(now + TURN), "fence": fence, "tick": date(at) } };
            let take = Row::change(&id, row.fence, &take)?;
            match documents.commit_beside(Commit { writes: vec![take], events: Vec::new() }).await {
                Err(Error::Unmet(_)) => return Ok(row.last),
                taken => taken.map(drop)?,
            }
            let turn = Turn { at, fence, cursor: row.cursor };
            if !self.run(turn).await? {
                return Ok(row.last);
            }
        }
    }

    /// Does the parts of a tick; false when it is somebody else's before it is done.
    async fn run(&mut self, mut turn: Turn) -> Result<bool, Error> {
        let (mut failing, mut away, mut attempt) = (Pace::component(), Pace::store(), 1);
        loop {
            if *self.stop.borrow() {
                self.write(&turn, doc! { "$set": { "until": date(0) } }).await?;
                return Ok(false);
            }
            let wait = match self.part(&turn).await {
                Try::Done(None) => return Ok(true),
                Try::Done(next) => {
                    turn.cursor = next;
                    (failing, away, attempt) = (Pace::component(), Pace::store(), 1);
                    continue;
                }
                Try::Lost => return Ok(false),
                Try::Held(why) => {
                    self.say(&turn, &why, "a tick waits for a store", away.is_first());
                    away.next()
                }
                Try::Failed(why) if attempt < ATTEMPTS => {
                    self.say(&turn, &why, "a tick is tried again later", true);
                    attempt += 1;
                    failing.next()
                }
                Try::Failed(why) | Try::Rejected(why) => {
                    self.say(&turn, &why, "a tick is given up", true);
                    let given_up = doc! {
                        "$set": { "last": date(turn.at), "until": date(0), "failed": date(turn.at), "why": why },
                        "$unset": { "tick": 1, "cursor": 1 },
                    };
                    return self.write(&turn, given_up).await.map(|()| true);
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = self.stop.wait_for(|stop| *stop) => {}
            }
            let now = self.capabilities().clock.now();
            if let Err(Error::Unmet(_)) = self.write(&turn, doc! { "$set": { "until": date(now + TURN) } }).await {
                return Ok(false);
            }
        }
    }

    /// One try of one part.
    async fn part(&self, turn: &Turn) -> Try {
        let Some(loaded) = self.registry.component(&self.component) else {
            return Try::Held("the component is not deployed".to_owned());
        };
        let away = Arc::new(AtomicBool::new(false));
        let call = TickCall {
            call: Call { id: Call::new_id(), identity: None, socket: None },
            cron: self.cron.as_str().into(),
            at: turn.at,
            cursor: turn.cursor.clone(),
            away: away.clone(),
        };
        crate::abort::here("tick");
        let failed = |why| if away.load(Ordering::Relaxed) { Try::Held(why) } else { Try::Failed(why) };
        match self.registry.engine().invoke(&loaded, call).await {
            Ok(Ok((_, Some(next)))) if next.len() > MAX_CURSOR => {
                Try::Rejected(format!("its cursor has {} bytes; at most {MAX_CURSOR} are kept", next.len()))
            }
            Ok(Ok((unit, next))) => self.commit(turn, unit, next).await,
            Ok(Err(Unable::Retry(why))) => failed(why),
            Ok(Err(Unable::Reject(why))) => Try::Rejected(why),
            Err(failure @ (Failure::Busy | Failure::Cut | Failure::Host(_))) => Try::Held(failure.to_string()),
            Err(failure) => failed(failure.to_string()),
        }
    }

    /// Commits what a part wants done, and how far the tick has come with it.
    async fn commit(&self, turn: &Turn, mut unit: Unit, next: Option<String>) -> Try {
        let capabilities = self.capabilities();
        let change = match &next {
            Some(next) => doc! { "$set": { "cursor": next, "until": date(capabilities.clock.now() + TURN) } },
            None => {
                doc! { "$set": { "last": date(turn.at), "until": date(0) }, "$unset": { "tick": 1, "cursor": 1 } }
            }
        };
        let come = match Row::change(&self.id(), turn.fence, &change) {
            Ok(come) => come,
            Err(error) => return Try::Failed(error.to_string()),
        };
        // First, so that a host that lost its turn is told so, and not what its writes run into.
        unit.writes.insert(0, come);
        let (commit, after) = match unit.split(capabilities) {
            Ok(split) => split,
            Err(error) => return Try::Failed(error.to_string()),
        };
        let done = capabilities.documents.commit_beside(commit).await;
        crate::abort::here("ticked");
        match done {
            Ok(_) => {
                after.follow(capabilities).await;
                Try::Done(next)
            }
            Err(Error::Unmet(0)) => Try::Lost,
            Err(Error::Unavailable(why)) => Try::Held(why),
            Err(error) => Try::Failed(format!("what it wants done is refused: {error}")),
        }
    }

    async fn write(&self, turn: &Turn, change: bson::Document) -> Result<(), Error> {
        let write = Row::change(&self.id(), turn.fence, &change)?;
        self.capabilities().documents.commit_beside(Commit { writes: vec![write], events: Vec::new() }).await.map(drop)
    }

    fn say(&self, turn: &Turn, why: &str, what: &'static str, loudly: bool) {
        let (component, cron, tick) = (&self.component, self.cron.as_str(), turn.at);
        if loudly {
            tracing::warn!(component, cron, tick, why, "{what}");
        } else {
            tracing::debug!(component, cron, tick, why, "{what}");
        }
    }

    fn id(&self) -> String {
        format!("{}/{}", self.component, self.cron.as_str())
    }

    fn capabilities(&self) -> &Capabilities {
        &self.registry.engine().shared().capabilities
    }
}
