//! Openings: the Socket.IO sessions from their first request on, before they are connected.
//!
//! A session costs memory as soon as it is there, and anybody can open one. So those that are not connected are counted, of
//! each caller and together; a connected one counts as its member's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use capability::refusals::Refusal;

use crate::socket::connection_limits::Permit;

/// Who opens a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Opener {
    /// A client with a member's session.
    Member(String),
    /// A client without one.
    Address(IpAddr),
    /// The same on this machine.
    Loopback,
}

/// The sessions that are not connected.
#[derive(Debug, Default)]
pub(super) struct Openings(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Those of strangers together.
    strangers: usize,
    openers: HashMap<Opener, usize>,
}

/// One session, until it ends.
#[derive(Debug)]
pub(super) struct Opening(Mutex<Stage>);

#[derive(Debug)]
enum Stage {
    Opening(#[expect(dead_code, reason = "it counts until it is dropped")] Counted),
    Connected { member: String, _permit: Permit },
}

/// Counts as one that is not connected until it is dropped.
#[derive(Debug)]
struct Counted {
    openings: Arc<Openings>,
    opener: Opener,
}

impl Openings {
    /// A session of `opener`, which may have `max` of them; strangers may have `strangers` together.
    pub(super) fn admit(self: &Arc<Self>, opener: Opener, max: usize, strangers: usize) -> Result<Opening, Refusal> {
        let mut counts = self.counts();
        let is_member = matches!(opener, Opener::Member(_));
        if !is_member && counts.strangers >= strangers {
            return Err(Refusal::HandshakeFull);
        }
        if counts.openers.get(&opener).copied().unwrap_or_default() >= max {
            return Err(Refusal::HandshakeCaller);
        }
        *counts.openers.entry(opener.clone()).or_default() += 1;
        counts.strangers += usize::from(!is_member);
        let counted = Counted { openings: self.clone(), opener };
        Ok(Opening(Mutex::new(Stage::Opening(counted))))
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Opening {
    /// It is connected as this member's: from here on it counts as one of the member's sockets, also when it disconnects and
    /// connects again.
    pub(super) fn connected<E>(&self, member: &str, permit: impl FnOnce() -> Result<Permit, E>) -> Result<(), E> {
        let mut stage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(&*stage, Stage::Connected { member: known, .. } if known == member) {
            return Ok(());
        }
        *stage = Stage::Connected { member: member.to_owned(), _permit: permit()? };
        Ok(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.openings.counts();
        if !matches!(self.opener, Opener::Member(_)) {
            counts.strangers = counts.strangers.saturating_sub(1);
        }
        if let Some(count) = counts.openers.get_mut(&self.opener) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.openers.remove(&self.opener);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::connection_limits::{ConnectionLimits, MaxConnections};

    fn address(last: u8) -> Opener {
        Opener::Address(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn strangers_have_a_share_each_and_one_together() {
        let openings = Arc::new(Openings::default());
        let first = openings.admit(address(1), 1, 2).unwrap();
        assert_eq!(openings.admit(address(1), 1, 2).unwrap_err(), Refusal::HandshakeCaller);
        let _second = openings.admit(address(2), 1, 2).unwrap();
        assert_eq!(openings.admit(address(3), 1, 2).unwrap_err(), Refusal::HandshakeFull);
        let _member = openings.admit(Opener::Member("a".into()), 1, 2).unwrap();
        assert_eq!(openings.admit(Opener::Member("a".into()), 1, 2).unwrap_err(), Refusal::HandshakeCaller);
        drop(first);
        let _third = openings.admit(address(3), 1, 2).unwrap();
    }

    #[test]
    fn whoever_may_open_none_is_not_remembered() {
        let openings = Arc::new(Openings::default());
        for last in 0..100 {
            assert_eq!(openings.admit(address(last), 0, 2).unwrap_err(), Refusal::HandshakeCaller);
        }
        assert_eq!(openings.counts().openers.len(), 0);
    }

    #[test]
    fn a_connected_session_counts_as_its_members_until_it_ends() {
        let (openings, limits) = (Arc::new(Openings::default()), Arc::new(ConnectionLimits::default()));
        let max = MaxConnections { all: 9, user: 1, address: 9 };
        let opening = openings.admit(address(1), 1, 1).unwrap();
        let connect = |opening: &Opening| opening.connected("a", || limits.admit(max, "a", None));
        connect(&opening).unwrap();
        // Its stranger's share is free again.
        let other = openings.admit(address(1), 1, 1).unwrap();
        connect(&opening).unwrap();
        assert!(connect(&other).is_err(), "the member has one socket already");
        drop(opening);
        connect(&other).unwrap();
        drop(other);
        assert_eq!(openings.counts().openers.len(), 0);
    }
}
