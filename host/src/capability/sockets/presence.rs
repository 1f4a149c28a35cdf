//! Presence: which users are there, and what of it has been told.
//!
//! Sockets come and go; what is told is only whether a user has any, on any host. The count is the truth, and telling
//! follows it: a user who left and came back before anybody was told is not told of at all, and a change that could not be
//! told is told when it can. Writers: the sockets of this host, under one lock; told by one task a user at a time, which
//! asks the leases whether another host has the user, too.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};

use super::leases::Leases;

/// Who is there on this host.
pub struct Presence {
    users: Mutex<HashMap<String, Standing>>,
    changed: mpsc::UnboundedSender<String>,
    settled: Notify,
    leases: Arc<Leases>,
    /// This host, among those that share the leases.
    host: String,
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

impl Presence {
    /// With nobody there, on a host that shares these leases with others.
    pub fn new(leases: Arc<Leases>) -> (Self, Changed) {
        let (changed, receiver) = mpsc::unbounded_channel();
        let host = hex::encode(crate::capability::random::bytes::<8>());
        (Self { users: Mutex::default(), changed, settled: Notify::new(), leases, host }, receiver)
    }

    /// A socket counts for its user from here on. Twice is once.
    pub fn appear(&self, user: &str, socket: &str) {
        self.change(user, socket, |sockets| sockets.insert(socket.to_owned()));
    }

    /// A socket does not count any more, if it did.
    pub fn leave(&self, user: &str, socket: &str) {
        self.change(user, socket, |sockets| sockets.remove(socket));
    }

    /// Whether the user is there, on any host.
    pub fn online(&self, user: &str) -> bool {
        self.users().get(user).is_some_and(|standing| !standing.sockets.is_empty()) || self.leases.held(user)
    }

    /// Whether a change of this host is one of the user: no other host has them. Takes or gives back the lease.
    pub fn is_of_all_hosts(&self, change: &Change) -> bool {
        if change.online {
            self.leases.claim(&change.user, &self.host)
        } else {
            self.leases.release(&change.user, &self.host)
        }
    }

    /// Renews this host's leases, and takes over telling of users whose last host died. To be called some times within
    /// the length of a lease.
    pub fn renew(&self) {
        let told: Vec<String> = {
            let users = self.users();
            let there = users.iter().filter(|(_, standing)| standing.told && !standing.sockets.is_empty());
            there.map(|(user, _)| user.clone()).collect()
        };
        for user in told {
            if !self.leases.renew(&user, &self.host) {
                // This host was away for so long that others have told its users' end: they are told anew.
                self.correct(&user, |standing| standing.told = false);
            }
        }
        for user in self.leases.ended() {
            self.correct(&user, |standing| {
                standing.told = true;
                standing.latest.clear();
            });
        }
    }

    /// What is to be told of a user of the queue; none: it is told, and leaves the queue.
    pub fn pending(&self, user: &str) -> Option<Change> {
        let mut users = self.users();
        let standing = users.get_mut(user)?;
        let online = !standing.sockets.is_empty();
        if online != standing.told {
            return Some(Change { user: user.to_owned(), online, socket: standing.latest.clone() });
        }
        standing.queued = false;
        if !online {
            users.remove(user);
            // Who came and went before it was told may have a lease all the same.
            self.leases.release(user, &self.host);
        }
        if users.values().all(|standing| !standing.queued) {
            self.settled.notify_waiters();
        }
        None
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

    fn users(&self) -> MutexGuard<'_, HashMap<String, Standing>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::capability::clocks::Manual;

    fn alone() -> (Presence, Changed) {
        Presence::new(Arc::new(Leases::new(Arc::new(Manual::at(1_000)), Duration::from_secs(60))))
    }

    /// What one host tells of the user, as its task does.
    fn tell(presence: &Presence, changed: &mut Changed) -> Vec<(bool, String)> {
        let mut told = Vec::new();
        while let Ok(user) = changed.try_recv() {
            while let Some(change) = presence.pending(&user) {
                if presence.is_of_all_hosts(&change) {
                    told.push((change.online, change.socket.clone()));
                }
                presence.told(&change);
            }
        }
        told
    }

    #[test]
    fn over_two_hosts_the_first_and_the_last_are_told_once() {
        let leases = Arc::new(Leases::new(Arc::new(Manual::at(1_000)), Duration::from_secs(60)));
        let [(one, mut of_one), (other, mut of_other)] = [(); 2].map(|()| Presence::new(leases.clone()));
        one.appear("u", "a");
        assert_eq!(tell(&one, &mut of_one), [(true, "a".to_owned())]);
        assert!(other.online("u"), "a host knows of the sockets of others");
        other.appear("u", "b");
        assert_eq!(tell(&other, &mut of_other), []);
        one.leave("u", "a");
        assert_eq!(tell(&one, &mut of_one), []);
        assert!(one.online("u"));
        other.leave("u", "b");
        assert_eq!(tell(&other, &mut of_other), [(false, "b".to_owned())]);
        assert!(!one.online("u") && !other.online("u"));
    }

    #[test]
    fn the_users_of_a_dead_host_are_told_of_once_when_its_leases_end() {
        let clock = Arc::new(Manual::at(1_000));
        let leases = Arc::new(Leases::new(clock.clone(), Duration::from_secs(3)));
        let [(dead, mut of_dead), (one, mut of_one), (other, mut of_other)] =
            [(); 3].map(|()| Presence::new(leases.clone()));
        for user in ["u", "v"] {
            dead.appear(user, "a");
        }
        one.appear("v", "b");
        assert_eq!(tell(&dead, &mut of_dead).len(), 2);
        assert_eq!(tell(&one, &mut of_one), []);
        for _ in 0..3 {
            clock.advance(1_000);
            assert_eq!((tell(&one, &mut of_one), tell(&other, &mut of_other)), (vec![], vec![]));
            one.renew();
            other.renew();
        }
        let told = [tell(&one, &mut of_one), tell(&other, &mut of_other)].concat();
        assert_eq!(told, [(false, String::new())], "u is gone, v has another host");
        assert!(!one.online("u") && one.online("v"));
        // The host was not dead but asleep: what it has is told again.
        dead.renew();
        assert_eq!(tell(&dead, &mut of_dead), [(true, "a".to_owned())]);
        assert!(other.online("u"));
    }

    fn change(online: bool, socket: &str) -> Change {
        Change { user: "u".into(), online, socket: socket.into() }
    }

    #[test]
    fn the_first_and_the_last_socket_are_told_once() {
        let (presence, mut changed) = alone();
        presence.appear("u", "a");
        presence.appear("u", "b");
        assert_eq!(changed.try_recv().unwrap(), "u");
        assert!(changed.try_recv().is_err(), "once in the queue");
        let first = presence.pending("u").unwrap();
        assert!(first.online);
        presence.told(&first);
        assert_eq!(presence.pending("u"), None);
        presence.leave("u", "a");
        assert!(presence.online("u"));
        assert!(changed.try_recv().is_err(), "another one is still there");
        presence.leave("u", "b");
        assert_eq!(changed.try_recv().unwrap(), "u");
        assert_eq!(presence.pending("u"), Some(change(false, "b")));
    }

    #[test]
    fn who_is_back_before_it_is_told_is_not_told_of() {
        let (presence, mut changed) = alone();
        presence.appear("u", "a");
        presence.leave("u", "a");
        assert_eq!(changed.try_recv().unwrap(), "u");
        assert_eq!(presence.pending("u"), None);
        assert!(!presence.online("u"));
        presence.leave("u", "never there");
        assert!(changed.try_recv().is_err());
        assert!(presence.users().is_empty(), "nothing is kept of who is not there");
    }

    #[test]
    fn what_happens_while_it_is_told_is_told_next() {
        let (presence, mut changed) = alone();
        presence.appear("u", "a");
        changed.try_recv().unwrap();
        let first = presence.pending("u").unwrap();
        presence.leave("u", "a");
        assert!(changed.try_recv().is_err(), "it is in the queue already");
        presence.told(&first);
        assert_eq!(presence.pending("u"), Some(change(false, "a")));
        presence.told(&change(false, "a"));
        assert_eq!(presence.pending("u"), None);
    }

    #[tokio::test]
    async fn settled_waits_for_what_is_not_told() {
        let (presence, _changed) = alone();
        presence.settled().await;
        presence.appear("u", "a");
        let telling = async {
            tokio::task::yield_now().await;
            let first = presence.pending("u").unwrap();
            presence.told(&first);
            assert_eq!(presence.pending("u"), None);
        };
        tokio::join!(presence.settled(), telling);
    }
}
