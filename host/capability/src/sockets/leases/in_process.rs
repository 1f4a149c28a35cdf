//! Leases in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::clocks::Clock;
use crate::sockets::leases::{Away, Leases};

/// The leases of the hosts in this process: one host, except in tests.
pub struct InProcess {
    /// For each user the hosts that hold a lease.
    users: Mutex<HashMap<String, HashMap<String, Lease>>>,
    clock: Arc<dyn Clock>,
    length: Duration,
}

#[derive(Clone, Copy)]
struct Lease {
    /// The expiry, in milliseconds since 1970.
    until: u64,
    /// Its holder has no socket of the user; it is about to report them offline.
    takeover: bool,
}

impl InProcess {
    /// Leases of this length.
    pub fn new(clock: Arc<dyn Clock>, length: Duration) -> Self {
        Self { users: Mutex::default(), clock, length }
    }

    fn lease(&self, takeover: bool) -> Lease {
        let length = u64::try_from(self.length.as_millis()).unwrap_or(u64::MAX);
        Lease { until: self.clock.now().saturating_add(length), takeover }
    }

    fn users(&self) -> MutexGuard<'_, HashMap<String, HashMap<String, Lease>>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Leases for InProcess {
    fn length(&self) -> Duration {
        self.length
    }

    async fn claim(&self, user: &str, host: &str) -> Result<bool, Away> {
        let now = self.clock.now();
        let mut users = self.users();
        let hosts = users.entry(user.to_owned()).or_default();
        let first = hosts.keys().all(|holder| holder == host);
        hosts.retain(|_, lease| lease.until > now && !lease.takeover);
        hosts.insert(host.to_owned(), self.lease(false));
        Ok(first)
    }

    async fn release(&self, user: &str, host: &str) -> Result<bool, Away> {
        let now = self.clock.now();
        let mut users = self.users();
        let Some(hosts) = users.get_mut(user) else { return Ok(true) };
        hosts.retain(|holder, lease| holder != host && lease.until > now);
        let last = hosts.is_empty();
        if last {
            users.remove(user);
        }
        Ok(last)
    }

    async fn renew(&self, renewed: &[String], host: &str) -> Result<Vec<String>, Away> {
        let mut users = self.users();
        let mut unknown = Vec::new();
        for user in renewed {
            match users.get_mut(user).and_then(|hosts| hosts.get_mut(host)) {
                Some(lease) => *lease = self.lease(false),
                None => unknown.push(user.clone()),
            }
        }
        Ok(unknown)
    }

    async fn held(&self, user: &str) -> Result<bool, Away> {
        let now = self.clock.now();
        Ok(self.users().get(user).is_some_and(|hosts| hosts.values().any(|lease| lease.until > now && !lease.takeover)))
    }

    async fn ended(&self, host: &str) -> Result<Vec<String>, Away> {
        let now = self.clock.now();
        let mut ended = Vec::new();
        for (user, hosts) in self.users().iter_mut() {
            hosts.retain(|_, lease| lease.until > now);
            if hosts.is_empty() {
                ended.push(user.clone());
                hosts.insert(host.to_owned(), self.lease(true));
            }
        }
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clocks::Manual;

    #[tokio::test]
    async fn who_dies_while_telling_is_taken_over_too() {
        let clock = Arc::new(Manual::at(1_000));
        let leases = InProcess::new(clock.clone(), Duration::from_secs(1));
        leases.claim("u", "dead").await.unwrap();
        clock.advance(1_000);
        assert_eq!(leases.ended("dies too").await.unwrap(), ["u"]);
        assert!(leases.ended("alive").await.unwrap().is_empty(), "somebody tells");
        assert!(!leases.held("u").await.unwrap(), "who only tells does not have the user");
        clock.advance(1_000);
        assert_eq!(leases.ended("alive").await.unwrap(), ["u"]);
        assert!(leases.release("u", "alive").await.unwrap());
        clock.advance(1_000);
        assert!(leases.ended("alive").await.unwrap().is_empty());
    }
}
