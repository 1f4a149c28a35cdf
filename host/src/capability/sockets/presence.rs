//! Presence: which users are there, and what of it has been told.
//!
//! Sockets come and go; what is told is only whether a user has any, on any host. The count is the truth, and telling
//! follows it: a user who left and came back before anybody was told is not told of at all, and a change that could not be
//! told is told when it can. Writers: the sockets of this host, under one lock; told by one task a user at a time, which
//! asks the leases whether another host has the user, too. While the leases are away a host knows of its own sockets only.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};

use super::leases::{Away, Leases};
use crate::capability::clocks::Clock;

/// Who is there on this host.
pub struct Presence {
    users: Mutex<HashMap<String, Standing>>,
    changed: mpsc::UnboundedSender<String>,
    settled: Notify,
    leases: Arc<dyn Leases>,
    clock: Arc<dyn Clock>,
    /// This host, among those that share the leases.
    host: String,
    /// How many leases this host has begun to give back.
    releases: AtomicU64,
    renewals: Mutex<Renewals>,
}

/// How it went with the leases; times are milliseconds since 1970.
struct Renewals {
    /// The last time that they were renewed.
    at: u64,
    /// Until then nobody is taken for dead: the leases were away, and other hosts may not have renewed theirs yet.
    no_deaths: u64,
}

/// The users whose standing differs from what was told, each once until [`Presence::pending`] has nothing more for it.
pub type Changed = mpsc::UnboundedReceiver<String>;

/// One user.
#[derive(Default)]
struct Standing {
    sockets: HashSet<String>,
    /// What was told last.
    told: bool,
    /// It is in the queue, or being told.
    queued: bool,
    /// This host may have a lease.
    leased: bool,
    /// The lease was taken before anything was told; whether it was the first one.
    claimed: Option<bool>,
    /// The socket that came or went last.
    latest: String,
}

/// A change that is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Who.
    pub user: String,
    /// Whether they are there.
    pub online: bool,
    /// The socket that made the difference.
    pub socket: String,
}

/// What comes next for a user of the queue.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A change is to be told.
    Tell(Change),
    /// Who came and went before it was told has a lease to give back.
    Release,
    /// Nothing: it has left the queue.
    Nothing,
}

impl Presence {
    /// With nobody there, on a host that shares these leases with others.
    pub fn new(leases: Arc<dyn Leases>, clock: Arc<dyn Clock>) -> (Self, Changed) {
        let (changed, receiver) = mpsc::unbounded_channel();
        let host = hex::encode(crate::capability::random::bytes::<8>());
        let renewals = Mutex::new(Renewals { at: clock.now(), no_deaths: 0 });
        let (users, settled) = (Mutex::default(), Notify::new());
        (Self { users, changed, settled, leases, clock, host, releases: AtomicU64::new(0), renewals }, receiver)
    }

    /// A socket counts for its user from here on, on all hosts when this is over: another host whose last socket goes after
    /// that knows of this one. Twice is once.
    pub async fn appear(&self, user: &str, socket: &str) {
        let before = self.releases.load(Ordering::Acquire);
        let claimed = if self.is_told(user) { None } else { self.leases.claim(user, &self.host).await.ok() };
        let mut users = self.users();
        let standing = users.entry(user.to_owned()).or_default();
        standing.leased |= claimed.is_some();
        // A lease that this host was giving back meanwhile may be gone; then it is claimed when the change is told.
        if self.releases.load(Ordering::Acquire) == before {
            standing.claimed = claimed;
        }
        drop(users);
        self.change(user, socket, |sockets| sockets.insert(socket.to_owned()));
    }

    /// A socket does not count any more, if it did.
    pub fn leave(&self, user: &str, socket: &str) {
        self.change(user, socket, |sockets| sockets.remove(socket));
    }

    /// Whether the user is there, on any host that is known of.
    pub async fn online(&self, user: &str) -> bool {
        let here = self.users().get(user).is_some_and(|standing| !standing.sockets.is_empty());
        here || self.leases.held(user).await.unwrap_or(false)
    }

    /// Whether a change of this host is one of the user: no other host that is known of has them. Takes or gives back the
    /// lease.
    pub async fn is_of_all_hosts(&self, change: &Change) -> bool {
        if !change.online {
            return self.give_back(&change.user).await.unwrap_or(true);
        }
        let claimed = self.users().get_mut(&change.user).and_then(|standing| {
            standing.leased = true;
            standing.claimed.take()
        });
        match claimed {
            Some(first) => first,
            None => self.leases.claim(&change.user, &self.host).await.unwrap_or(true),
        }
    }

    /// Gives a lease back that nobody was told of.
    pub async fn release(&self, user: &str) {
        if let Err(why) = self.give_back(user).await {
            tracing::debug!(user, %why, "a lease is not given back; it ends by itself");
        }
    }

    async fn give_back(&self, user: &str) -> Result<bool, Away> {
        self.releases.fetch_add(1, Ordering::AcqRel);
        let released = self.leases.release(user, &self.host).await;
        if let Some(standing) = self.users().get_mut(user) {
            standing.leased = false;
            standing.claimed = None;
        }
        released
    }

    /// Renews this host's leases, and takes over telling of users whose last host died. To be called some times within
    /// the length of a lease.
    pub async fn renew(&self) {
        let there: Vec<String> = {
            let users = self.users();
            let there = users.iter().filter(|(_, standing)| standing.told && !standing.sockets.is_empty());
            there.map(|(user, _)| user.clone()).collect()
        };
        let renewed = self.leases.renew(&there, &self.host).await;
        let length = u64::try_from(self.leases.length().as_millis()).unwrap_or(u64::MAX);
        let now = self.clock.now();
        let (was_away, may_take) = {
            let mut renewals = self.renewals();
            let was_away = now.saturating_sub(renewals.at) >= length;
            match &renewed {
                Ok(_) => renewals.at = now,
                Err(_) => renewals.no_deaths = now.saturating_add(length),
            }
            (was_away, renewed.is_ok() && now >= renewals.no_deaths)
        };
        let unknown = match renewed {
            Ok(unknown) => unknown,
            Err(why) => return tracing::debug!(%why, "leases are not renewed"),
        };
        for user in unknown {
            if was_away {
                // Others have taken this host for dead, and told its users' end: they are told anew.
                self.correct(&user, |standing| standing.told = false);
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
            Err(why) => return tracing::debug!(%why, "hosts that died are not looked for"),
        };
        for user in ended {
            self.correct(&user, |standing| {
                standing.told = true;
                standing.leased = true;
                standing.latest.clear();
            });
        }
    }

    /// What comes next for a user of the queue.
    pub fn pending(&self, user: &str) -> Next {
        let mut users = self.users();
        let Some(standing) = users.get_mut(user) else { return Next::Nothing };
        let online = !standing.sockets.is_empty();
        if online != standing.told {
            return Next::Tell(Change { user: user.to_owned(), online, socket: standing.latest.clone() });
        }
        if !online && standing.leased {
            return Next::Release;
        }
        standing.queued = false;
        if !online {
            users.remove(user);
        }
        if users.values().all(|standing| !standing.queued) {
            self.settled.notify_waiters();
        }
        Next::Nothing
    }

    /// A change was told.
    pub fn told(&self, change: &Change) {
        if let Some(standing) = self.users().get_mut(&change.user) {
            standing.told = change.online;
        }
    }

    /// The sockets that count, with their users; for a sweep after what went without a word.
    pub fn sockets(&self) -> Vec<(String, String)> {
        let users = self.users();
        let all = users
            .iter()
            .flat_map(|(user, standing)| standing.sockets.iter().map(|socket| (user.clone(), socket.clone())));
        all.collect()
    }

    /// Returns when everything is told.
    pub async fn settled(&self) {
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            if self.users().values().all(|standing| !standing.queued) {
                return;
            }
            settled.await;
        }
    }

    fn change(&self, user: &str, socket: &str, change: impl FnOnce(&mut HashSet<String>) -> bool) {
        self.correct(user, |standing| {
            if change(&mut standing.sockets) {
                socket.clone_into(&mut standing.latest);
            }
        });
    }

    /// Changes a standing, and has what follows told.
    fn correct(&self, user: &str, correct: impl FnOnce(&mut Standing)) {
        let mut users = self.users();
        let standing = users.entry(user.to_owned()).or_default();
        correct(standing);
        let different = standing.sockets.is_empty() == standing.told;
        if different && !standing.queued {
            // A closed queue is a host that ends: nobody is left to be told by it.
            standing.queued = self.changed.send(user.to_owned()).is_ok();
        } else if !standing.queued && standing.sockets.is_empty() {
            users.remove(user);
        }
    }

    /// Whether it was told that the user is there, because of a socket of this host.
    fn is_told(&self, user: &str) -> bool {
        self.users().get(user).is_some_and(|standing| standing.told && !standing.sockets.is_empty())
    }

    fn renewals(&self) -> MutexGuard<'_, Renewals> {
        self.renewals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn users(&self) -> MutexGuard<'_, HashMap<String, Standing>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::capability::clocks::Manual;
    use crate::capability::sockets::leases::Embedded;

    fn alone() -> (Presence, Changed) {
        let [alone] = hosts(&Arc::new(Manual::at(1_000)), 60);
        alone
    }

    /// Hosts that share leases of so many seconds.
    fn hosts<const COUNT: usize>(clock: &Arc<Manual>, seconds: u64) -> [(Presence, Changed); COUNT] {
        let leases = Arc::new(Embedded::new(clock.clone(), Duration::from_secs(seconds)));
        [(); COUNT].map(|()| Presence::new(leases.clone(), clock.clone()))
    }

    /// What one host tells of the user, as its task does.
    async fn tell(presence: &Presence, changed: &mut Changed) -> Vec<(bool, String)> {
        let mut told = Vec::new();
        while let Ok(user) = changed.try_recv() {
            loop {
                match presence.pending(&user) {
                    Next::Tell(change) => {
                        if presence.is_of_all_hosts(&change).await {
                            told.push((change.online, change.socket.clone()));
                        }
                        presence.told(&change);
                    }
                    Next::Release => presence.release(&user).await,
                    Next::Nothing => break,
                }
            }
        }
        told
    }

    #[tokio::test]
    async fn over_two_hosts_the_first_and_the_last_are_told_once() {
        let [(one, mut of_one), (other, mut of_other)] = hosts(&Arc::new(Manual::at(1_000)), 60);
        one.appear("u", "a").await;
        assert_eq!(tell(&one, &mut of_one).await, [(true, "a".to_owned())]);
        assert!(other.online("u").await, "a host knows of the sockets of others");
        other.appear("u", "b").await;
        assert_eq!(tell(&other, &mut of_other).await, []);
        one.leave("u", "a");
        assert_eq!(tell(&one, &mut of_one).await, []);
        assert!(one.online("u").await);
        other.leave("u", "b");
        assert_eq!(tell(&other, &mut of_other).await, [(false, "b".to_owned())]);
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
        assert_eq!(tell(&dead, &mut of_dead).await.len(), 2);
        assert_eq!(tell(&one, &mut of_one).await, []);
        for _ in 0..3 {
            clock.advance(1_000);
            assert_eq!((tell(&one, &mut of_one).await, tell(&other, &mut of_other).await), (vec![], vec![]));
            one.renew().await;
            other.renew().await;
        }
        let told = [tell(&one, &mut of_one).await, tell(&other, &mut of_other).await].concat();
        assert_eq!(told, [(false, String::new())], "u is gone, v has another host");
        assert!(!one.online("u").await && one.online("v").await);
        // The host was not dead but asleep: what it has is told again.
        dead.renew().await;
        assert_eq!(tell(&dead, &mut of_dead).await, [(true, "a".to_owned())]);
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
        let telling = async {
            tokio::task::yield_now().await;
            let Next::Tell(first) = presence.pending("u") else { panic!("a change is to be told") };
            presence.told(&first);
            assert_eq!(presence.pending("u"), Next::Nothing);
        };
        tokio::join!(presence.settled(), telling);
    }

    #[tokio::test]
    async fn who_has_appeared_elsewhere_has_not_gone() {
        let [(one, mut of_one), (other, mut of_other)] = hosts(&Arc::new(Manual::at(1_000)), 60);
        one.appear("u", "a").await;
        assert_eq!(tell(&one, &mut of_one).await, [(true, "a".to_owned())]);
        // The other host has not told anything yet when the first one's last socket goes.
        other.appear("u", "b").await;
        one.leave("u", "a");
        assert_eq!(tell(&one, &mut of_one).await, []);
        assert_eq!(tell(&other, &mut of_other).await, []);
        other.leave("u", "b");
        assert_eq!(tell(&other, &mut of_other).await, [(false, "b".to_owned())]);
    }
}
