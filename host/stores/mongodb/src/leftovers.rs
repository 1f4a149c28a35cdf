//! Leftovers: transactions whose end the server may not have heard, because the connection failed.
//!
//! The server would hold the locks of such a transaction for a minute, and refuse every commit on the same documents. So its
//! session is killed as soon as the server answers, and again for some seconds: what the network still carries may arrive
//! later and start the transaction anew.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::mongodb::{Client, ClientSession};
use bson::{Document, doc};
use tokio::time::{Instant, timeout};

use crate::TIMEOUT;

/// Between two attempts while the server does not answer.
const PAUSE: Duration = Duration::from_millis(250);
/// A session is killed repeatedly for so long after the server has answered.
const REPEATED: Duration = Duration::from_secs(5);
/// The server ends a transaction by itself after this (`transactionLifetimeLimitSeconds`).
const LIFETIME: Duration = Duration::from_secs(60);
/// The most sessions that are remembered; each is one of a commit that was sent.
const MOST: usize = 10_000;

/// The sessions that are to be killed.
#[derive(Default)]
pub(crate) struct Leftovers(Mutex<State>);

#[derive(Default)]
struct State {
    sessions: Vec<Session>,
    /// A task kills them.
    running: bool,
}

struct Session {
    id: Document,
    since: Instant,
    /// When it was killed first.
    killed: Option<Instant>,
    /// The session itself, which is not used until the server has stopped killing it.
    held: Option<ClientSession>,
}

/// A transaction of a session. Unless it is [`Open::ended`] when it is dropped, its session is killed.
pub(crate) struct Open {
    leftovers: Arc<Leftovers>,
    client: Client,
    id: Option<Document>,
}

impl Open {
    /// A transaction in the session of this id, which is about to be sent.
    pub(crate) fn new(leftovers: &Arc<Leftovers>, client: Client, id: &Document) -> Self {
        Self { leftovers: leftovers.clone(), client, id: Some(id.clone()) }
    }

    /// The server has ended it, or has heard nothing of it.
    pub(crate) fn ended(mut self) {
        self.id = None;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.leftovers.add(self.client.clone(), id);
        }
    }
}

impl Leftovers {
    fn add(self: &Arc<Self>, client: Client, id: Document) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let mut state = self.state();
        if state.sessions.len() < MOST {
            state.sessions.push(Session { id, since: Instant::now(), killed: None, held: None });
        }
        if !std::mem::replace(&mut state.running, true) {
            let leftovers = self.clone();
            runtime.spawn(async move { leftovers.kill(&client).await });
        }
    }

    /// A session that may be used; none, and it is kept until then, while it is being killed.
    pub(crate) fn unless_killed(&self, session: ClientSession) -> Option<ClientSession> {
        let mut state = self.state();
        match state.sessions.iter_mut().find(|killed| killed.id == *session.id()) {
            Some(killed) => {
                killed.held = Some(session);
                None
            }
            None => Some(session),
        }
    }

    /// Kills the sessions until there are none.
    async fn kill(&self, client: &Client) {
        loop {
            let Some(ids) = self.due(Instant::now()) else { return };
            let count = ids.len();
            let command = doc! { "killSessions": ids };
            let admin = client.database("admin");
            let answer = timeout(TIMEOUT, async { admin.run_command(command).await }).await;
            if let Ok(Err(error)) = &answer {
                tracing::debug!(%error, "sessions with an open transaction can't be killed yet");
            }
            if matches!(answer, Ok(Ok(_))) {
                let now = Instant::now();
                // Only this task removes any, and new ones come behind these.
                let mut state = self.state();
                state.sessions.iter_mut().take(count).for_each(|session| _ = session.killed.get_or_insert(now));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Those that are still to be killed; none, and the task ends, when there is nothing left.
    fn due(&self, now: Instant) -> Option<Vec<Document>> {
        let mut state = self.state();
        state.sessions.retain(|session| {
            let old = now.duration_since(session.since) > LIFETIME;
            !old && session.killed.is_none_or(|killed| now.duration_since(killed) < REPEATED)
        });
        state.running = !state.sessions.is_empty();
        state.running.then(|| state.sessions.iter().map(|session| session.id.clone()).collect())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_killed_for_some_seconds_or_until_the_server_ends_it() {
        let leftovers = Leftovers::default();
        let now = Instant::now();
        let session = |number: i32, killed| Session { id: doc! { "id": number }, since: now, killed, held: None };
        leftovers.state().sessions = vec![session(1, None), session(2, Some(now))];
        assert_eq!(leftovers.due(now), Some(vec![doc! { "id": 1 }, doc! { "id": 2 }]));
        assert_eq!(leftovers.due(now + REPEATED), Some(vec![doc! { "id": 1 }]));
        assert!(leftovers.state().running);
        assert_eq!(leftovers.due(now + LIFETIME + PAUSE), None);
        assert!(!leftovers.state().running);
    }
}
