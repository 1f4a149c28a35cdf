//! The limits: how many sockets there may be per user and per address, and the message rate of one socket.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The sockets on this host, counted by user and address.
#[derive(Debug, Default)]
pub(super) struct ConnectionLimits(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    users: HashMap<String, usize>,
    addresses: HashMap<IpAddr, usize>,
}

/// The most sockets that there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct MaxConnections {
    pub(super) all: usize,
    pub(super) user: usize,
    pub(super) address: usize,
}

/// The permit of one socket, released on drop.
#[derive(Debug)]
pub(super) struct Permit {
    limits: Arc<ConnectionLimits>,
    user: String,
    /// None for an address that is not counted.
    address: Option<IpAddr>,
}

impl ConnectionLimits {
    /// A permit for a socket of `user` from `address`; the error says which limit is reached.
    pub(super) fn admit(
        self: &Arc<Self>,
        max: MaxConnections,
        user: &str,
        address: Option<IpAddr>,
    ) -> Result<Permit, &'static str> {
        let mut counts = self.counts();
        let users = counts.users.get(user).copied().unwrap_or_default();
        let addresses = address.and_then(|address| counts.addresses.get(&address).copied()).unwrap_or_default();
        if counts.all >= max.all {
            return Err("This host has too many connections; try again in a moment");
        }
        if users >= max.user {
            return Err("You have too many connections open");
        }
        if addresses >= max.address {
            return Err("There are too many connections from your address");
        }
        counts.all += 1;
        *counts.users.entry(user.to_owned()).or_default() += 1;
        if let Some(address) = address {
            *counts.addresses.entry(address).or_default() += 1;
        }
        Ok(Permit { limits: self.clone(), user: user.to_owned(), address })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.limits.counts();
        counts.all = counts.all.saturating_sub(1);
        release(&mut counts.users, &self.user);
        if let Some(address) = self.address {
            release(&mut counts.addresses, &address);
        }
    }
}

fn release<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// The message rate of one socket: messages a second, and the size of a burst.
#[derive(Debug, Clone, Copy)]
pub(super) struct RateLimit {
    pub(super) per_second: f64,
    pub(super) burst: f64,
}

/// A socket's token bucket, refilled at the rate limit.
#[derive(Debug)]
pub(super) struct TokenBucket {
    tokens: f64,
    at: Instant,
}

impl TokenBucket {
    /// A full one.
    pub(super) fn full(limit: RateLimit, now: Instant) -> Self {
        Self { tokens: limit.burst, at: now }
    }

    /// Takes a token for one message; false when none is left.
    pub(super) fn take(&mut self, limit: RateLimit, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * limit.per_second).min(limit.burst);
        self.at = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_socket_is_gone() {
        let limits = Arc::new(ConnectionLimits::default());
        let max = MaxConnections { all: 4, user: 2, address: 3 };
        let here = Some(IpAddr::from([10, 0, 0, 1]));
        let first = limits.admit(max, "a", here).unwrap();
        let _second = limits.admit(max, "a", here).unwrap();
        assert!(limits.admit(max, "a", None).unwrap_err().contains("You have"));
        let _third = limits.admit(max, "b", here).unwrap();
        assert!(limits.admit(max, "c", here).unwrap_err().contains("your address"));
        let _fourth = limits.admit(max, "c", None).unwrap();
        assert!(limits.admit(max, "d", None).unwrap_err().contains("This host"));
        drop(first);
        let _again = limits.admit(max, "a", here).unwrap();
        assert_eq!(limits.counts().users.get("a"), Some(&2));
    }

    #[test]
    fn nothing_is_kept_of_who_is_gone() {
        let limits = Arc::new(ConnectionLimits::default());
        drop(
            limits
                .admit(MaxConnections { all: 1, user: 1, address: 1 }, "a", Some(IpAddr::from([10, 0, 0, 1])))
                .unwrap(),
        );
        let counts = limits.counts();
        assert_eq!((counts.all, counts.users.len(), counts.addresses.len()), (0, 0, 0));
    }

    #[test]
    fn a_burst_is_let_through_and_then_the_pace() {
        let limit = RateLimit { per_second: 10.0, burst: 3.0 };
        let begin = Instant::now();
        let mut bucket = TokenBucket::full(limit, begin);
        assert_eq!([0; 4].map(|_| bucket.take(limit, begin)), [true, true, true, false]);
        assert!(!bucket.take(limit, begin + Duration::from_millis(50)));
        assert!(bucket.take(limit, begin + Duration::from_millis(110)));
        assert!(!bucket.take(limit, begin + Duration::from_millis(111)));
    }
}
