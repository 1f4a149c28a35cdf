//! Presence: which users are online, and what of it was reported.
//!
//! A user is online while they have a socket on any host. Reports follow that state: a user who left and came back before
//! it was reported is not reported at all, and a change that could not be reported is reported later. The sockets of this
//! host write, under one lock; one task per user reports, and checks the leases for sockets on other hosts. While the leases
//! are not available a host knows its own sockets only.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};

use crate::clocks::Clock;
use crate::sockets::leases::{Away, Leases};

/// The users of this host.
pub struct Presence {
    users: Mutex<HashMap<String, User>>,
    changed: mpsc::UnboundedSender<String>,
    settled: Notify,
    leases: Arc<dyn Leases>,
    clock: Arc<dyn Clock>,
    /// This host's id in the leases.
    host: String,
    /// How many releases of leases this host has started.
    releases: AtomicU64,
    renewals: Mutex<Renewals>,
}

/// The renewals of the leases; times are milliseconds since 1970.
struct Renewals {
    /// The last time that they were renewed.
    at: u64,
    /// Until then no host is presumed dead: the leases were not available, and other hosts may not have renewed theirs yet.
    no_takeover: u64,
}

/// The users whose state differs from the reported one, each once until [`Presence::pending`] returns nothing for it.
pub type Changed = mpsc::UnboundedReceiver<String>;

/// One user.
#[derive(Default)]
struct User {
    sockets: HashSet<String>,
    /// Whether the user was last reported online.
    reported: bool,
    /// It is in the queue, or being reported.
    queued: bool,
    /// This host may have a lease.
    leased: bool,
    /// Set when the lease was taken before the report; whether it was the first one.
    claimed: Option<bool>,
    /// The socket that connected or left last.
    latest: String,
}

/// A change to report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The user.
    pub user: String,
    /// Whether they are online.
    pub online: bool,
    /// The socket that caused the change.
    pub socket: String,
}

/// The next step for a user of the queue.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Report a change.
    Tell(Change),
    /// The user connected and left before it was reported: release the lease.
    Release,
    /// Nothing: the user has left the queue.
    Nothing,
}

impl Presence {
    /// Without users, on a host that shares these leases with others.
    pub fn new(leases: Arc<dyn Leases>, clock: Arc<dyn Clock>) -> (Self, Changed) {
        let (changed, receiver) = mpsc::unbounded_channel();
        let host = hex::encode(crate::random::bytes::<8>());
        let renewals = Mutex::new(Renewals { at: clock.now(), no_takeover: 0 });
        let (users, settled) = (Mutex::default(), Notify::new());
        (Self { users, changed, settled, leases, clock, host, releases: AtomicU64::new(0), renewals }, receiver)
    }

    /// From now on a socket counts for its user, and on all hosts once this returns: another host whose last socket leaves
    /// after that knows of this one. Idempotent.
    pub async fn appear(&self, user: &str, socket: &str) {
        let before = self.releases.load(Ordering::Acquire);
        let claimed = if self.is_reported(user) { None } else { self.leases.claim(user, &self.host).await.ok() };
        let mut users = self.users();
        let state = users.entry(user.to_owned()).or_default();
        state.leased |= claimed.is_some();
        // A lease that this host was releasing meanwhile may be gone; then it is claimed when the change is reported.
        if self.releases.load(Ordering::Acquire) == before {
            state.claimed = claimed;
        }
        drop(users);
        self.change(user, socket, |sockets| sockets.insert(socket.to_owned()));
    }

    /// A socket does not count any more, if it did.
    pub fn leave(&self, user: &str, socket: &str) {
        self.change(user, socket, |sockets| sockets.remove(socket));
    }

    /// Whether the user is online, on any known host.
    pub async fn online(&self, user: &str) -> bool {
        let here = self.users().get(user).is_some_and(|state| !state.sockets.is_empty());
        here || self.leases.held(user).await.unwrap_or(false)
    }

    /// Whether a change of this host changes the user's state on all hosts: no other known host has a socket of them. Claims
    /// or releases the lease.
    pub async fn is_of_all_hosts(&self, change: &Change) -> bool {
        if !change.online {
            return self.release_lease(&change.user).await.unwrap_or(true);
        }
        let claimed = self.users().get_mut(&change.user).and_then(|state| {
            state.leased = true;
            state.claimed.take()
        });
        match claimed {
            Some(first) => first,
            None => self.leases.claim(&change.user, &self.host).await.unwrap_or(true),
        }
    }

    /// Releases the lease of a user that was not reported.
    pub async fn release(&self, user: &str) {
        if let Err(why) = self.release_lease(user).await {
            tracing::debug!(user, %why, "a lease is not released; it expires");
        }
    }

    async fn release_lease(&self, user: &str) -> Result<bool, Away> {
        self.releases.fetch_add(1, Ordering::AcqRel);
        let released = self.leases.release(user, &self.host).await;
        if let Some(state) = self.users().get_mut(user) {
            state.leased = false;
            state.claimed = None;
        }
        released
    }

    /// Renews this host's leases, and takes over the users whose last host died. To be called several times within the
    /// length of a lease.
    pub async fn renew(&self) {
        let online: Vec<String> = {
            let users = self.users();
            let online = users.iter().filter(|(_, state)| state.reported && !state.sockets.is_empty());
            online.map(|(user, _)| user.clone()).collect()
        };
        let renewed = self.leases.renew(&online, &self.host).await;
        let length = u64::try_from(self.leases.length().as_millis()).unwrap_or(u64::MAX);
        let now = self.clock.now();
        let (was_away, may_take) = {
            let mut renewals = self.renewals();
            let was_away = now.saturating_sub(renewals.at) >= length;
            match &renewed {
                Ok(_) => renewals.at = now,
                Err(_) => renewals.no_takeover = now.saturating_add(length),
            }
            (was_away, renewed.is_ok() && now >= renewals.no_takeover)
        };
        let unknown = match renewed {
            Ok(unknown) => unknown,
            Err(why) => return tracing::debug!(%why, "leases are not renewed"),
        };
        for user in unknown {
            if was_away {
                // Other hosts presumed this one dead and reported its users offline: they are reported online again.
                self.update(&user, |state| state.reported = false);
            } else if let Err(why) = self.leases.claim(&user, &self.host).await {
                tracing::debug!(user, %why, "a lease that was lost is not taken again yet");
            }
        }
        if may_take {
            self.take_over().await;
        }
    }

    async fn take_over(&self) {
        let ended = match self.leases.ended(&self.host).await {
            Ok(ended) => ended,
            Err(why) => return tracing::debug!(%why, "the leases of hosts that died are not read"),
        };
        for user in ended {
            self.update(&user, |state| {
                state.reported = true;
                state.leased = true;
                state.latest.clear();
            });
        }
    }

    /// The next step for a user of the queue.
    pub fn pending(&self, user: &str) -> Next {
        let mut users = self.users();
        let Some(state) = users.get_mut(user) else { return Next::Nothing };
        let online = !state.sockets.is_empty();
        if online != state.reported {
            return Next::Tell(Change { user: user.to_owned(), online, socket: state.latest.clone() });
        }
        if !online && state.leased {
            return Next::Release;
        }
        state.queued = false;
        if !online {
            users.remove(user);
        }
        if users.values().all(|state| !state.queued) {
            self.settled.notify_waiters();
        }
        Next::Nothing
    }

    /// A change was reported.
    pub fn told(&self, change: &Change) {
        if let Some(state) = self.users().get_mut(&change.user) {
            state.reported = change.online;
        }
    }

    /// The counted sockets, with their users; for a sweep of those that closed without notice.
    pub fn sockets(&self) -> Vec<(String, String)> {
        let users = self.users();
        let all =
            users.iter().flat_map(|(user, state)| state.sockets.iter().map(|socket| (user.clone(), socket.clone())));
        all.collect()
    }

    /// Returns when every change is reported.
    pub async fn settled(&self) {
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            if self.users().values().all(|state| !state.queued) {
                return;
            }
            settled.await;
        }
    }

    fn change(&self, user: &str, socket: &str, change: impl FnOnce(&mut HashSet<String>) -> bool) {
        self.update(user, |state| {
            if change(&mut state.sockets) {
                socket.clone_into(&mut state.latest);
            }
        });
    }

    /// Changes a user's state, and queues the user when it has to be reported.
    fn update(&self, user: &str, update: impl FnOnce(&mut User)) {
        let mut users = self.users();
        let state = users.entry(user.to_owned()).or_default();
        update(state);
        let different = state.sockets.is_empty() == state.reported;
        if different && !state.queued {
            // The queue is closed when the host ends: nothing is reported any more.
            state.queued = self.changed.send(user.to_owned()).is_ok();
        } else if !state.queued && state.sockets.is_empty() {
            users.remove(user);
        }
    }

    /// Whether the user was reported online because of a socket of this host.
    fn is_reported(&self, user: &str) -> bool {
        self.users().get(user).is_some_and(|state| state.reported && !state.sockets.is_empty())
    }

    fn renewals(&self) -> MutexGuard<'_, Renewals> {
        self.renewals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn users(&self) -> MutexGuard<'_, HashMap<String, User>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clocks::Manual;
    use crate::sockets::leases::InProcess;

    fn alone() -> (Presence, Changed) {
        let [alone] = hosts(&Arc::new(Manual::at(1_000)), 60);
        alone
    }

    /// Hosts that share leases of so many seconds.
    fn hosts<const COUNT: usize>(clock: &Arc<Manual>, seconds: u64) -> [(Presence, Changed); COUNT] {
        let leases = Arc::new(InProcess::new(clock.clone(), Duration::from_secs(seconds)));
        [(); COUNT].map(|()| Presence::new(leases.clone(), clock.clone()))
    }

    /// The changes that one host reports, as its task does.
    async fn report(presence: &Presence, changed: &mut Changed) -> Vec<(bool, String)> {
        let mut reported = Vec::new();
        while let Ok(user) = changed.try_recv() {
            loop {
                match presence.pending(&user) {
                    Next::Tell(change) => {
                        if presence.is_of_all_hosts(&change).await {
                            reported.push((change.online, change.socket.clone()));
                        }
                        presence.told(&change);
                    }
                    Next::Release => presence.release(&user).await,
                    Next::Nothing => break,
                }
            }
        }
        reported
    }

    #[tokio::test]
    async fn over_two_hosts_the_first_and_the_last_are_told_once() {
        let [(one, mut of_one), (other, mut of_other)] = hosts(&Arc::new(Manual::at(1_000)), 60);
        one.appear("u", "a").await;
        assert_eq!(report(&one, &mut of_one).await, [(true, "a".to_owned())]);
        assert!(other.online("u").await, "a host knows of the sockets of others");
        other.appear("u", "b").await;
        assert_eq!(report(&other, &mut of_other).await, []);
        one.leave("u", "a");
        assert_eq!(report(&one, &mut of_one).await, []);
        assert!(one.online("u").await);
        other.leave("u", "b");
        assert_eq!(report(&other, &mut of_other).await, [(false, "b".to_owned())]);
        assert!(!one.online("u").await && !other.online("u").await);
    }

    #[tokio::test]
    async fn the_users_of_a_dead_host_are_told_of_once_when_its_leases_end() {
        let clock = Arc::new(Manual::at(1_000));
        let [(dead, mut of_dead), (one, mut of_one), (other, mut of_other)] = hosts(&clock, 3);
        for user in ["u", "v"] {
            dead.appear(user, "a").await;
        }
        one.appear("v", "b").await;
        assert_eq!(report(&dead, &mut of_dead).await.len(), 2);
        assert_eq!(report(&one, &mut of_one).await, []);
        for _ in 0..3 {
            clock.advance(1_000);
            assert_eq!((report(&one, &mut of_one).await, report(&other, &mut of_other).await), (vec![], vec![]));
            one.renew().await;
            other.renew().await;
        }
        let reported = [report(&one, &mut of_one).await, report(&other, &mut of_other).await].concat();
        assert_eq!(reported, [(false, String::new())], "u is gone, v has another host");
        assert!(!one.online("u").await && one.online("v").await);
        // The host was not dead but asleep: its users are reported again.
        dead.renew().await;
        assert_eq!(report(&dead, &mut of_dead).await, [(true, "a".to_owned())]);
        assert!(other.online("u").await);
    }

    fn change(online: bool, socket: &str) -> Change {
        Change { user: "u".into(), online, socket: socket.into() }
    }

    #[tokio::test]
    async fn the_first_and_the_last_socket_are_told_once() {
        let (presence, mut changed) = alone();
        presence.appear("u", "a").await;
        presence.appear("u", "b").await;
        assert_eq!(changed.try_recv().unwrap(), "u");
        assert!(changed.try_recv().is_err(), "once in the queue");
        let Next::Tell(first) = presence.pending("u") else { panic!("a change is to be told") };
        assert!(first.online);
        presence.told(&first);
        assert_eq!(presence.pending("u"), Next::Nothing);
        presence.leave("u", "a");
        assert!(presence.online("u").await);
        assert!(changed.try_recv().is_err(), "another one is still there");
        presence.leave("u", "b");
        assert_eq!(changed.try_recv().unwrap(), "u");
        assert_eq!(presence.pending("u"), Next::Tell(change(false, "b")));
    }

    #[tokio::test]
    async fn who_is_back_before_it_is_told_is_not_told_of() {
        let (presence, mut changed) = alone();
        presence.appear("u", "a").await;
        presence.leave("u", "a");
        assert_eq!(changed.try_recv().unwrap(), "u");
        assert_eq!(presence.pending("u"), Next::Release, "nobody was told, and it has a lease");
        presence.release("u").await;
        assert_eq!(presence.pending("u"), Next::Nothing);
        assert!(!presence.online("u").await);
        presence.leave("u", "never there");
        assert!(changed.try_recv().is_err());
        assert!(presence.users().is_empty(), "nothing is kept of who is not there");
    }

    #[tokio::test]
    async fn what_happens_while_it_is_told_is_told_next() {
        let (presence, mut changed) = alone();
        presence.appear("u", "a").await;
        changed.try_recv().unwrap();
        let Next::Tell(first) = presence.pending("u") else { panic!("a change is to be told") };
        presence.leave("u", "a");
        assert!(changed.try_recv().is_err(), "it is in the queue already");
        presence.told(&first);
        assert_eq!(presence.pending("u"), Next::Tell(change(false, "a")));
        presence.told(&change(false, "a"));
        assert_eq!(presence.pending("u"), Next::Release);
        presence.release("u").await;
        assert_eq!(presence.pending("u"), Next::Nothing);
    }

    #[tokio::test]
    async fn settled_waits_for_what_is_not_told() {
        let (presence, _changed) = alone();
        presence.settled().await;
        presence.appear("u", "a").await;
        let reporting = async {
            tokio::task::yield_now().await;
            let Next::Tell(first) = presence.pending("u") else { panic!("a change is to be told") };
            presence.told(&first);
            assert_eq!(presence.pending("u"), Next::Nothing);
        };
        tokio::join!(presence.settled(), reporting);
    }

    #[tokio::test]
    async fn who_has_appeared_elsewhere_has_not_gone() {
        let [(one, mut of_one), (other, mut of_other)] = hosts(&Arc::new(Manual::at(1_000)), 60);
        one.appear("u", "a").await;
        assert_eq!(report(&one, &mut of_one).await, [(true, "a".to_owned())]);
        // The other host has not reported anything yet when the first one's last socket leaves.
        other.appear("u", "b").await;
        one.leave("u", "a");
        assert_eq!(report(&one, &mut of_one).await, []);
        assert_eq!(report(&other, &mut of_other).await, []);
        other.leave("u", "b");
        assert_eq!(report(&other, &mut of_other).await, [(false, "b".to_owned())]);
    }
}
