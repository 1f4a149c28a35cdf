//! Weights: how heavy the calls of a trigger have been lately.
//!
//! A guest is known to be heavy only after some ticks, which it uses on the threads that answer everybody. So a trigger
//! whose calls keep being heavy has the next ones begin where heavy guests run, until they are light again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::registry::Manifest;

/// From this score on, calls begin in the slow lane.
const HEAVY: u8 = 4;
/// The highest score.
const MOST: u8 = 8;

/// The triggers of one component.
#[derive(Debug, Default)]
pub(super) struct Weights(HashMap<String, AtomicU8>);

impl Weights {
    /// Of a component that was not called yet.
    pub(super) fn of(manifest: &Manifest) -> Self {
        let routes = manifest.http.iter().map(|route| route.path.clone());
        let events = manifest.socket.iter().map(|event| event.event.clone());
        Self(routes.chain(events).map(|trigger| (trigger, AtomicU8::new(0))).collect())
    }

    /// Whether calls of this trigger are expected to be heavy.
    pub(super) fn are_heavy(&self, trigger: &str) -> bool {
        self.0.get(trigger).is_some_and(|score| score.load(Ordering::Relaxed) >= HEAVY)
    }

    /// What a call turned out to be.
    pub(super) fn learn(&self, trigger: &str, heavy: bool) {
        if let Some(score) = self.0.get(trigger) {
            let change = |score: u8| if heavy { (score < MOST).then(|| score + 1) } else { score.checked_sub(1) };
            // An error is a score that stays as it is.
            let _ = score.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_is_heavy_while_its_calls_are() {
        let manifest = "[component]\nname = \"a\"\nversion = \"1\"\n[[http]]\nmethod = \"GET\"\npath = \"/a\"\n[[socket]]\nevent = \"b\"\n";
        let weights = Weights::of(&Manifest::parse(manifest).unwrap());
        for _ in 0..100 {
            assert_eq!(weights.learn("/a", false), ());
        }
        for _ in 0..HEAVY - 1 {
            weights.learn("/a", true);
            assert!(!weights.are_heavy("/a"));
        }
        weights.learn("/a", true);
        assert!(weights.are_heavy("/a") && !weights.are_heavy("b") && !weights.are_heavy("/unknown"));
        for _ in 0..100 {
            weights.learn("/a", true);
        }
        for _ in 0..=MOST - HEAVY {
            assert!(weights.are_heavy("/a"));
            weights.learn("/a", false);
        }
        assert!(!weights.are_heavy("/a"), "a handful of light ones and it is light again");
    }
}
