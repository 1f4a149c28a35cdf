//! Groups: commits that arrive while a transaction is in flight are gathered, and go together in the next one.
//!
//! **Who writes what.** A commit joins the queue of its lane: one for commits that a client waits for, which take their key lock
//! before, as every commit does, and one for those in the background, which take none. Each lane has one transaction in flight.
//! When it has ended, the first commits of the queue, up to the limits below, are the next group. Its transaction reads the
//! documents of all their changes (a find a collection), applies the changes here ([`plan`]), writes them (a command a collection
//! and kind), inserts the rows of all events into the outbox (one command), and commits. Only commits of insertions and of changes
//! by `_id` are gathered, and none that is large: the others have a transaction each, at once, as before.
//!
//! **What orders the writes.** A group's commits are in the order in which they joined. Each sees the ones before it, and the
//! statements of a collection keep that order; those of different collections can't see each other. The commits of a key that
//! clients wait for can't be in one group, nor in two transactions at once: the first holds the key's lock until its outcome is
//! known. Those in the background may be, behind each other. Between the lanes, and between hosts, the server decides: one of two
//! that change a document conflicts, and is tried again. A group that takes longer than a caller waits goes on, and the next one
//! begins beside it.
//!
//! **Whose fault.** A commit that is refused is no part of the group: where that is known before anything is written, the others
//! go on; where the server refuses a statement, the whole transaction is, and the others go again without that commit. The one
//! that was refused is tried alone, and what it is told is the outcome of that. When a conflict with another host repeats, or it
//! is not known whose fault it is, each commit is tried alone.
//!
//! **What a crash leaves.** Before `commitTransaction` was heard: nothing, and the server ends the transaction (`leftovers`).
//! After it: all commits of the group, with their events, whether or not anybody was told. There is no step between these. A
//! group whose outcome is not known is not known to each of its commits; who learns it later tells each of them.
//!
//! **Why every commit has a transaction.** One insertion without events would need none. It costs no more in a group, though, where
//! the round to the journal is shared; and a change would need one all the same, because it is computed here from what was read,
//! and only the transaction refuses it when the document has changed since. An event inside the document that caused it would
//! need a reader of every collection, and an order among the documents of a key.

mod plan;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::mongodb::Database;
use capability::documents::{Commit, Effect, Error, Write};
use capability::events::Event;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use crate::refusal::{Stop, code};
use crate::transaction::{abandon, attempt, begin, finish};
use crate::writes::id_of;
use crate::{GIVE_UP, Shared, TIMEOUT};
use plan::{Failure, Verdict};

/// The most commits of a group.
const MAX_COMMITS: usize = 64;
/// The most writes and events of a group.
const MAX_ITEMS: usize = 1_000;
/// The most bytes that a group's commits take in memory.
const MAX_BYTES: usize = 4 << 20;
/// A larger commit is alone: the others of its group would wait for it.
const LARGE: usize = 256 << 10;
/// A commit with more writes and events than this is alone.
const MANY: usize = 100;
/// The most commits in the background that are under way, or wait in their queue.
const MAX_BACKGROUND: usize = MAX_COMMITS;
/// How many commits in the background that a group could not do are tried alone at once.
const MAX_ALONE: usize = 8;
/// How many commits are taken out of a group, one after the other, before each is tried alone.
const MAX_TAKEN_OUT: usize = 3;
/// After a conflict with another host.
const PAUSE: Duration = Duration::from_millis(2);

/// Which commits are gathered together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// A client waits for them.
    Foreground,
    /// No client does.
    Background,
}

/// The queues of a store.
pub(crate) struct Groups {
    foreground: Queue,
    background: Queue,
    places: Arc<Semaphore>,
    alone: Semaphore,
}

impl Default for Groups {
    fn default() -> Self {
        let [foreground, background] = [(); 2].map(|()| Queue::default());
        let (places, alone) = (Arc::new(Semaphore::new(MAX_BACKGROUND)), Semaphore::new(MAX_ALONE));
        Self { foreground, background, places, alone }
    }
}

/// Commits that wait for the next group of their lane.
#[derive(Default)]
struct Queue(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: VecDeque<Member>,
    /// A task runs the groups of this lane.
    running: bool,
}

/// A commit in the queue or in a group.
struct Member {
    commit: Arc<Commit>,
    /// It is not begun after this.
    until: Instant,
    answer: oneshot::Sender<Answer>,
}

/// What a commit learns of its group.
#[derive(Debug)]
enum Answer {
    /// Its outcome.
    Known(Result<Vec<Effect>, Error>),
    /// Nothing of it was done, and it has to be tried alone.
    Alone,
}

impl Member {
    fn items(&self) -> usize {
        items(&self.commit)
    }

    fn answer(self, answer: Answer) {
        // Nobody waits for it any more: its call was given up.
        drop(self.answer.send(answer));
    }
}

fn items(commit: &Commit) -> usize {
    commit.writes.len() + commit.events.len()
}

fn weight(commit: &Commit) -> usize {
    commit.writes.iter().map(Write::weight).chain(commit.events.iter().map(Event::weight)).sum()
}

/// Whether a commit may go together with others: each of its writes is of one document, whose `_id` it says.
pub(crate) fn takes(commit: &Commit) -> bool {
    let by_id = |write: &Write| match write {
        Write::Insert { .. } => true,
        Write::Update { filter, many: false, .. } | Write::Delete { filter, many: false, .. } => {
            id_of(filter).is_some()
        }
        Write::Update { .. } | Write::Delete { .. } => false,
    };
    items(commit) <= MANY && commit.writes.iter().all(by_id) && weight(commit) <= LARGE
}

impl Groups {
    fn queue(&self, lane: Lane) -> &Queue {
        match lane {
            Lane::Foreground => &self.foreground,
            Lane::Background => &self.background,
        }
    }

    /// Waits for a place among the commits in the background.
    pub(crate) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        self.places.clone().acquire_owned().await.ok()
    }

    /// Waits until a commit in the background may be tried alone. It has its key lock; nobody who waits for one has a turn.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.alone.acquire().await.ok()
    }
}

/// Commits it in a group of its lane. None: nothing of it was done, and it has to be tried alone.
pub(crate) async fn commit(
    shared: &Arc<Shared>,
    database: &Database,
    lane: Lane,
    commit: &Arc<Commit>,
    until: Instant,
) -> Option<Result<Vec<Effect>, Error>> {
    let (answer, answered) = oneshot::channel();
    if shared.groups.queue(lane).join(Member { commit: commit.clone(), until, answer }) {
        let running = Running { shared: shared.clone(), lane, ended: false };
        tokio::spawn(running.run(database.clone()));
    }
    match answered.await {
        Ok(Answer::Known(outcome)) => Some(outcome),
        Ok(Answer::Alone) => None,
        Err(_) => Some(Err(Error::Unavailable("the group of a commit broke off".to_owned()))),
    }
}

impl Queue {
    /// Whether the caller has to run the groups.
    fn join(&self, member: Member) -> bool {
        let mut state = self.state();
        state.waiting.push_back(member);
        !std::mem::replace(&mut state.running, true)
    }

    /// The next group; none, and the task ends, when nothing waits.
    fn next(&self) -> Option<Vec<Member>> {
        let mut state = self.state();
        let (mut group, mut count, mut bytes) = (Vec::new(), 0, 0);
        while group.len() < MAX_COMMITS {
            let Some(member) = state.waiting.pop_front() else { break };
            count += member.items();
            bytes += weight(&member.commit);
            if !group.is_empty() && (count > MAX_ITEMS || bytes > MAX_BYTES) {
                state.waiting.push_front(member);
                break;
            }
            group.push(member);
        }
        state.running = !group.is_empty();
        state.running.then_some(group)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that runs the groups of a lane, one after the other.
struct Running {
    shared: Arc<Shared>,
    lane: Lane,
    ended: bool,
}

impl Running {
    async fn run(mut self, database: Database) {
        while let Some(group) = self.shared.groups.queue(self.lane).next() {
            let group = tokio::spawn(run_group(self.shared.clone(), database.clone(), group));
            // A server that does not answer holds up who is in the group, and not for long who comes after it.
            drop(timeout(TIMEOUT, group).await);
            // Those whose key locks the group held may join the next one.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
        self.ended = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            // It broke off: those who wait learn it, and the next commit begins anew.
            let mut state = self.shared.groups.queue(self.lane).state();
            state.running = false;
            state.waiting.clear();
        }
    }
}

/// Runs a group until each of its commits has an answer.
async fn run_group(shared: Arc<Shared>, database: Database, group: Vec<Member>) {
    let now = Instant::now();
    // Nobody waits for what was given up.
    let group = group.into_iter().filter(|member| !member.answer.is_closed());
    let (mut group, late): (Vec<Member>, Vec<Member>) = group.partition(|member| member.until > now);
    for member in late {
        member.answer(Answer::Known(Err(Error::Unavailable("too many commits wait".to_owned()))));
    }
    let (mut taken_out, mut conflicts) = (0, 0);
    while let Some(last) = group.iter().map(|member| member.until).max() {
        // Before the first of its commits is given up.
        let first = group.iter().map(|member| member.until).min().unwrap_or(last);
        let end = first + GIVE_UP.saturating_sub(TIMEOUT);
        let done = match group.as_slice() {
            [one] => timeout_at(end, alone(&shared, &database, &one.commit, last)).await,
            all => {
                let commits: Vec<&Commit> = all.iter().map(|member| &*member.commit).collect();
                timeout_at(end, together(&shared, &database, &commits, last)).await
            }
        };
        let failure = match done {
            Ok(Ok(verdicts)) => {
                for (member, verdict) in group.into_iter().zip(verdicts) {
                    member.answer(match verdict {
                        Verdict::Done(effects) => Answer::Known(Ok(effects)),
                        Verdict::Refused(error) => Answer::Known(Err(error)),
                        Verdict::Alone => Answer::Alone,
                    });
                }
                return;
            }
            Ok(Err(failure)) => failure,
            Err(_) => {
                Failure { told: true, ..Failure::of_all(Error::Unavailable("MongoDB is silent".to_owned()).into()) }
            }
        };
        match failure {
            Failure { commit: Some(refused), .. } if taken_out < MAX_TAKEN_OUT && refused < group.len() => {
                taken_out += 1;
                group.remove(refused).answer(Answer::Alone);
            }
            Failure { commit: None, stop, .. } if stop.is_transient() && conflicts == 0 && group.len() > 1 => {
                conflicts += 1;
                tokio::time::sleep(PAUSE).await;
            }
            failure => {
                for member in group {
                    member.answer(answer_to_all(&failure));
                }
                return;
            }
        }
    }
}

/// What every commit of a failed group learns: that its outcome is not known, or that it has to be tried alone.
fn answer_to_all(Failure { stop, told, .. }: &Failure) -> Answer {
    // What a server that answers refused before it was told to commit has not happened, and may be one commit's fault.
    let has_answered = match stop {
        Stop::Server(error) => code(error).is_some(),
        Stop::Refused(_) | Stop::Conflict => true,
    };
    match stop.error() {
        error @ Error::Unavailable(_) if !stop.is_transient() && (*told || !has_answered) => Answer::Known(Err(error)),
        _ => Answer::Alone,
    }
}

/// One commit, in the usual way. When it conflicts it is tried again where it holds up nobody.
async fn alone(shared: &Shared, database: &Database, commit: &Commit, until: Instant) -> Result<Vec<Verdict>, Failure> {
    match attempt(shared, database, commit, until).await {
        Ok(effects) => {
            shared.tell(&commit.events.iter().collect::<Vec<_>>());
            Ok(vec![Verdict::Done(effects)])
        }
        Err(Stop::Refused(error)) => Ok(vec![Verdict::Refused(error)]),
        Err(stop) if stop.is_transient() => Ok(vec![Verdict::Alone]),
        Err(stop) => Ok(vec![Verdict::Refused(stop.into_error())]),
    }
}

/// Several commits in one transaction.
async fn together(
    shared: &Shared,
    database: &Database,
    commits: &[&Commit],
    until: Instant,
) -> Result<Vec<Verdict>, Failure> {
    let client = database.client();
    let (mut session, open) = begin(shared, client).await?;
    let (verdicts, events) = match plan::run(shared, database, &mut session, commits).await {
        Ok(done) => done,
        Err(failure) => {
            abandon(open, Some(&failure.stop), client, &mut session).await;
            return Err(failure);
        }
    };
    if verdicts.iter().any(|verdict| matches!(verdict, Verdict::Done(_))) {
        let finished = finish(open, &mut session, until).await;
        finished.map_err(|stop| Failure { commit: None, stop, told: true })?;
        shared.tell(&events);
    } else {
        abandon(open, None, client, &mut session).await;
    }
    Ok(verdicts)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it stands")]

    use bson::{RawDocumentBuf, doc};
    use capability::documents::{Change, Filter};

    use super::*;

    fn insert(bytes: usize) -> Write {
        let document = RawDocumentBuf::try_from(&doc! { "_id": 1, "text": "x".repeat(bytes) }).unwrap();
        Write::Insert { collection: "c".to_owned(), document }
    }

    fn update(filter: &bson::Document, many: bool) -> Write {
        Write::Update {
            collection: "c".to_owned(),
            filter: Filter::from_document(filter).unwrap(),
            change: Change::from_document(&doc! { "$inc": { "n": 1 } }).unwrap(),
            upsert: false,
            many,
            must_match: false,
        }
    }

    fn delete(filter: &bson::Document, many: bool) -> Write {
        let filter = Filter::from_document(filter).unwrap();
        Write::Delete { collection: "c".to_owned(), filter, many, must_match: false }
    }

    fn of(writes: Vec<Write>) -> Commit {
        Commit { writes, events: Vec::new() }
    }

    fn member(commit: Commit) -> (Member, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        (Member { commit: Arc::new(commit), until: Instant::now() + TIMEOUT, answer }, answered)
    }

    #[test]
    fn what_is_about_single_documents_and_small_is_gathered() {
        assert!(takes(&of(vec![
            insert(10),
            update(&doc! { "_id": 1, "n": 2 }, false),
            delete(&doc! { "_id": 1 }, false)
        ])));
        assert!(!takes(&of(vec![update(&doc! { "n": 2 }, false)])), "the server finds its document");
        assert!(!takes(&of(vec![update(&doc! { "_id": 1 }, true)])));
        assert!(!takes(&of(vec![delete(&doc! { "_id": { "$in": [1, 2] } }, true)])));
        assert!(!takes(&of(vec![insert(LARGE)])));
        assert!(!takes(&of((0..=MANY).map(|_| insert(10)).collect())));
    }

    #[tokio::test]
    async fn a_group_is_what_waits_in_order_and_within_its_limits() {
        let queue = Queue::default();
        let mut answers = Vec::new();
        let mut join = |commit: Commit| {
            let (member, answered) = member(commit);
            answers.push(answered);
            queue.join(member)
        };
        assert!(join(of(vec![insert(1)])), "who comes first runs the groups");
        assert!((0..MAX_COMMITS).all(|_| !join(of(vec![insert(1)]))));
        let large = || of(vec![insert(LARGE - 1_000)]);
        assert!((0..20).all(|_| !join(large())));
        let first = queue.next().unwrap();
        assert_eq!(first.len(), MAX_COMMITS);
        let second = queue.next().unwrap();
        assert_eq!(weight(&second[0].commit), weight(&of(vec![insert(1)])), "in the order in which they came");
        let bytes: usize = second.iter().map(|member| weight(&member.commit)).sum();
        assert!((MAX_BYTES - LARGE..=MAX_BYTES).contains(&bytes), "{bytes}");
        let third = queue.next().unwrap();
        assert_eq!(first.len() + second.len() + third.len(), 1 + MAX_COMMITS + 20, "each is in one");
        assert!(queue.next().is_none());
        assert!(join(large()), "the next begins anew");
    }

    #[test]
    fn who_is_told_that_nothing_was_done_and_who_that_nobody_knows() {
        let all = |stop: Stop| answer_to_all(&Failure::of_all(stop));
        let away = || Stop::from(Error::Unavailable("away".to_owned()));
        let told = |stop: Stop| answer_to_all(&Failure { told: true, ..Failure::of_all(stop) });
        assert!(matches!(told(away()), Answer::Known(Err(Error::Unavailable(_)))));
        assert!(matches!(told(Stop::Conflict), Answer::Alone));
        assert!(matches!(all(away()), Answer::Alone), "a server that answers has done nothing");
        assert!(matches!(all(Stop::Conflict), Answer::Alone));
        assert!(matches!(all(Error::Overdue("long".to_owned()).into()), Answer::Alone));
        assert!(matches!(all(Error::Invalid("too large".to_owned()).into()), Answer::Alone));
    }
}
