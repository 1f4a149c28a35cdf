//! The census: how many sockets a user and an address have, and how fast one of them may speak.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Who has how many sockets on this host.
#[derive(Debug, Default)]
pub(super) struct Census(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    users: HashMap<String, usize>,
    addresses: HashMap<IpAddr, usize>,
}

/// How many sockets there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    pub(super) all: usize,
    pub(super) user: usize,
    pub(super) address: usize,
}

/// A socket's place. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    census: Arc<Census>,
    user: String,
    /// None: this address is not counted.
    address: Option<IpAddr>,
}

impl Census {
    /// A place for a socket of `user` from `address`; the error says of what there are too many.
    pub(super) fn admit(
        self: &Arc<Self>,
        most: Most,
        user: &str,
        address: Option<IpAddr>,
    ) -> Result<Seat, &'static str> {
        let mut counts = self.counts();
        let users = counts.users.get(user).copied().unwrap_or_default();
        let addresses = address.and_then(|address| counts.addresses.get(&address).copied()).unwrap_or_default();
        if counts.all >= most.all {
            return Err("This host has too many connections; try again in a moment");
        }
        if users >= most.user {
            return Err("You have too many connections open");
        }
        if addresses >= most.address {
            return Err("There are too many connections from your address");
        }
        counts.all += 1;
        *counts.users.entry(user.to_owned()).or_default() += 1;
        if let Some(address) = address {
            *counts.addresses.entry(address).or_default() += 1;
        }
        Ok(Seat { census: self.clone(), user: user.to_owned(), address })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.census.counts();
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

/// How fast a socket may speak: so many events a second, and a reserve for bursts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) per_second: f64,
    pub(super) burst: f64,
}

/// A socket's reserve, refilled as time goes by.
#[derive(Debug)]
pub(super) struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub(super) fn full(pace: Pace, now: Instant) -> Self {
        Self { tokens: pace.burst, at: now }
    }

    /// Takes one event's worth; false when there is none left.
    pub(super) fn take(&mut self, pace: Pace, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * pace.per_second).min(pace.burst);
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
        let census = Arc::new(Census::default());
        let most = Most { all: 4, user: 2, address: 3 };
        let here = Some(IpAddr::from([10, 0, 0, 1]));
        let first = census.admit(most, "a", here).unwrap();
        let _second = census.admit(most, "a", here).unwrap();
        assert!(census.admit(most, "a", None).unwrap_err().contains("You have"));
        let _third = census.admit(most, "b", here).unwrap();
        assert!(census.admit(most, "c", here).unwrap_err().contains("your address"));
        let _fourth = census.admit(most, "c", None).unwrap();
        assert!(census.admit(most, "d", None).unwrap_err().contains("This host"));
        drop(first);
        let _again = census.admit(most, "a", here).unwrap();
        assert_eq!(census.counts().users.get("a"), Some(&2));
    }

    #[test]
    fn nothing_is_kept_of_who_is_gone() {
        let census = Arc::new(Census::default());
        drop(census.admit(Most { all: 1, user: 1, address: 1 }, "a", Some(IpAddr::from([10, 0, 0, 1]))).unwrap());
        let counts = census.counts();
        assert_eq!((counts.all, counts.users.len(), counts.addresses.len()), (0, 0, 0));
    }

    #[test]
    fn a_burst_is_let_through_and_then_the_pace() {
        let pace = Pace { per_second: 10.0, burst: 3.0 };
        let begin = Instant::now();
        let mut bucket = Bucket::full(pace, begin);
        assert_eq!([0; 4].map(|_| bucket.take(pace, begin)), [true, true, true, false]);
        assert!(!bucket.take(pace, begin + Duration::from_millis(50)));
        assert!(bucket.take(pace, begin + Duration::from_millis(110)));
        assert!(!bucket.take(pace, begin + Duration::from_millis(111)));
    }
}
