//! Shared time: how long the calls of each caller were polled on the shared threads lately.
//!
//! A caller may have a quarter of that time. One that has more is served in the idle pool, as long as others call, too: what it
//! asks for is not before what they ask for. Clients on this machine and the host itself have no limit.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::admission::Caller;

/// A caller may have one part of so many.
const PARTS: u32 = 4;
/// How much of its time a caller may have ahead.
const AHEAD: Duration = Duration::from_millis(50);
/// How long others count after a call.
const OTHERS: Duration = Duration::from_secs(1);

/// The time of all callers.
#[derive(Debug)]
pub(super) struct SharedTime {
    cores: u32,
    /// Until when each caller has had its part.
    had: HashMap<Caller, Instant>,
    /// At so many entries, those of the past are removed.
    prune_at: usize,
    /// The caller of the last call, and since when there was another one before it.
    last: Option<Caller>,
    changed: Option<Instant>,
}

impl SharedTime {
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            cores: u32::try_from(cores).unwrap_or(u32::MAX),
            had: HashMap::new(),
            prune_at: 64,
            last: None,
            changed: None,
        }
    }

    /// A caller calls. The host's own calls do not count as others.
    pub(super) fn called(&mut self, caller: &Caller, now: Instant) {
        if self.last.as_ref() == Some(caller) || matches!(caller, Caller::Component(_)) {
            return;
        }
        if self.last.replace(caller.clone()).is_some() {
            self.changed = Some(now);
        }
    }

    /// A caller's call was polled for so long.
    pub(super) fn used(&mut self, caller: &Caller, time: Duration, now: Instant) {
        if !matches!(caller, Caller::Member(_) | Caller::Address(_)) {
            return;
        }
        if self.had.len() >= self.prune_at {
            self.had.retain(|_, until| *until > now);
            self.prune_at = (self.had.len() * 2).max(64);
        }
        let until = self.had.entry(caller.clone()).or_insert(now);
        *until = (*until).max(now) + time * PARTS / self.cores;
    }

    /// Whether a caller has had more than its part, while others call.
    pub(super) fn is_over(&self, caller: &Caller, now: Instant) -> bool {
        let others = self.changed.is_some_and(|changed| now.saturating_duration_since(changed) < OTHERS);
        others && self.had.get(caller).is_some_and(|until| until.saturating_duration_since(now) > AHEAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn member(name: &str) -> Caller {
        Caller::Member(name.into())
    }

    /// On two cores, after a call of `modest`.
    fn shared(now: Instant) -> SharedTime {
        let mut shared = SharedTime { cores: 2, ..SharedTime::new() };
        shared.called(&member("greedy"), now);
        shared.called(&member("modest"), now);
        shared
    }

    #[test]
    fn a_caller_has_a_quarter_of_the_time_and_a_little_ahead() {
        let (mut now, greedy) = (Instant::now(), member("greedy"));
        let mut shared = shared(now);
        // Half of one of two cores is a quarter.
        for _ in 0..10_000 {
            now += 2 * MILLISECOND;
            shared.called(&member("modest"), now);
            shared.called(&greedy, now);
            shared.used(&greedy, MILLISECOND, now);
            assert!(!shared.is_over(&greedy, now));
        }
        let ahead = (0..).take_while(|_| {
            shared.used(&greedy, MILLISECOND, now);
            !shared.is_over(&greedy, now)
        });
        assert_eq!(ahead.count(), 24);
        assert!(!shared.is_over(&member("modest"), now));
        assert!(!shared.is_over(&greedy, now + 10 * MILLISECOND), "it has waited");
    }

    #[test]
    fn who_is_alone_has_all_of_it() {
        let (now, greedy) = (Instant::now(), member("greedy"));
        let mut shared = shared(now);
        shared.used(&greedy, Duration::from_secs(3_600), now);
        assert!(shared.is_over(&greedy, now));
        shared.called(&greedy, now);
        shared.called(&Caller::Component("feed".into()), now + OTHERS);
        shared.called(&greedy, now + OTHERS);
        assert!(!shared.is_over(&greedy, now + OTHERS), "nobody else has called for a while");
        shared.called(&member("modest"), now + OTHERS);
        assert!(shared.is_over(&greedy, now + OTHERS));
    }

    #[test]
    fn this_machine_and_the_host_have_no_limit() {
        let now = Instant::now();
        let mut shared = shared(now);
        for caller in [Caller::Unlimited, Caller::Component("feed".into())] {
            shared.used(&caller, Duration::from_secs(3_600), now);
            assert!(!shared.is_over(&caller, now), "{caller:?}");
        }
    }

    #[test]
    fn callers_of_the_past_are_forgotten() {
        let mut now = Instant::now();
        let mut shared = shared(now);
        for number in 0..10_000 {
            now += MILLISECOND;
            shared.used(&member(&number.to_string()), MILLISECOND, now);
        }
        assert!(shared.had.len() <= 128, "{}", shared.had.len());
    }
}
