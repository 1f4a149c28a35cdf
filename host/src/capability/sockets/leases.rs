//! Leases: which hosts say that a user is there, and until when.
//!
//! A host that has a socket of a user holds a lease and renews it while it has one. What a host that died leaves behind
//! ends by itself; whoever looks for ended leases gets each such user once, and tells. Every call is one atomic step, so
//! that of two hosts that come or go at once exactly one is the first or the last.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::capability::clocks::Clock;

/// The leases of all hosts that share them; in this process.
pub struct Leases {
    /// For each user the hosts, and until when each of them says so, in milliseconds since 1970.
    users: Mutex<HashMap<String, HashMap<String, u64>>>,
    clock: Arc<dyn Clock>,
    length: Duration,
}

impl Leases {
    /// Leases of this length.
    pub fn new(clock: Arc<dyn Clock>, length: Duration) -> Self {
        Self { users: Mutex::default(), clock, length }
    }

    /// The length of a lease.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// `host` has a socket of the user; true when no other host has one.
    pub(super) fn claim(&self, user: &str, host: &str) -> bool {
        let now = self.clock.now();
        let mut users = self.users();
        let hosts = users.entry(user.to_owned()).or_default();
        hosts.retain(|_, until| *until > now);
        hosts.insert(host.to_owned(), self.until(now));
        hosts.len() == 1
    }

    /// `host` has no socket of the user any more; true when no other host has one.
    pub(super) fn release(&self, user: &str, host: &str) -> bool {
        let now = self.clock.now();
        let mut users = self.users();
        let Some(hosts) = users.get_mut(user) else { return true };
        hosts.retain(|holder, until| holder != host && *until > now);
        let last = hosts.is_empty();
        if last {
            users.remove(user);
        }
        last
    }

    /// `host` still has sockets of this user; false when its lease had ended, and it was taken for dead.
    pub(super) fn renew(&self, user: &str, host: &str) -> bool {
        let now = self.clock.now();
        let mut users = self.users();
        let lease = users.get_mut(user).and_then(|hosts| hosts.get_mut(host));
        match lease {
            Some(until) => {
                *until = self.until(now);
                true
            }
            None => false,
        }
    }

    /// Whether a host says that the user is there.
    pub(super) fn held(&self, user: &str) -> bool {
        let now = self.clock.now();
        self.users().get(user).is_some_and(|hosts| hosts.values().any(|until| *until > now))
    }

    /// The users whose last lease has ended by itself. Each is answered once, to one caller.
    pub(super) fn ended(&self) -> Vec<String> {
        let now = self.clock.now();
        let mut ended = Vec::new();
        self.users().retain(|user, hosts| {
            hosts.retain(|_, until| *until > now);
            if hosts.is_empty() {
                ended.push(user.clone());
            }
            !hosts.is_empty()
        });
        ended
    }

    fn until(&self, now: u64) -> u64 {
        now.saturating_add(u64::try_from(self.length.as_millis()).unwrap_or(u64::MAX))
    }

    fn users(&self) -> MutexGuard<'_, HashMap<String, HashMap<String, u64>>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::clocks::Manual;

    #[test]
    fn one_host_is_the_first_and_one_the_last() {
        let leases = Leases::new(Arc::new(Manual::at(1_000)), Duration::from_secs(1));
        assert!(leases.claim("u", "a"));
        assert!(leases.claim("u", "a"), "its own lease is no other host's");
        assert!(!leases.claim("u", "b"));
        assert!(!leases.release("u", "a"));
        assert!(leases.held("u"));
        assert!(leases.release("u", "b"));
        assert!(!leases.held("u"));
        assert!(leases.release("u", "b"), "nobody is left");
    }

    #[test]
    fn what_a_dead_host_left_ends_once() {
        let clock = Arc::new(Manual::at(1_000));
        let leases = Leases::new(clock.clone(), Duration::from_secs(1));
        leases.claim("u", "dead");
        leases.claim("u", "alive");
        leases.claim("v", "dead");
        clock.advance(900);
        assert!(leases.renew("u", "alive"));
        assert!(leases.ended().is_empty());
        clock.advance(100);
        assert_eq!(leases.ended(), ["v"]);
        assert!(leases.ended().is_empty());
        assert!(leases.held("u") && !leases.held("v"));
        assert!(!leases.renew("v", "dead"), "it was taken for dead");
        assert!(leases.release("u", "alive"), "a lease that has ended is nobody's");
    }
}
