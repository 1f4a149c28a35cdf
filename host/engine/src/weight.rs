//! Weights: how heavy the recent calls of a trigger were.
//!
//! A guest turns out to be heavy only after some ticks on the shared threads. So when the calls of a trigger keep being
//! heavy, the next ones start in the idle pool, until they are light again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};

use manifest::Manifest;

/// From this score on, calls start in the idle pool.
const HEAVY: u8 = 4;
/// The highest score.
const MOST: u8 = 8;

/// The triggers of one component.
#[derive(Debug, Default)]
pub(super) struct Weights(HashMap<String, Weight>);

/// The score of one trigger.
#[derive(Debug, Default)]
pub(super) struct Weight(AtomicU8);

impl Weights {
    /// Of a component without calls yet.
    pub(super) fn of(manifest: &Manifest) -> Self {
        let routes = manifest.http.iter().map(|route| route.path.clone());
        let events = manifest.socket.iter().map(|event| event.event.clone());
        let topics = manifest.event.iter().map(|event| event.topic.clone());
        let crons = manifest.schedule.iter().map(|schedule| schedule.cron.as_str().to_owned());
        Self(routes.chain(events).chain(topics).chain(crons).map(|trigger| (trigger, Weight::default())).collect())
    }

    /// The weight of a trigger; none for a trigger without one (presence).
    pub(super) fn get(&self, trigger: &str) -> Option<&Weight> {
        self.0.get(trigger)
    }
}

impl Weight {
    /// Whether calls of this trigger are expected to be heavy.
    pub(super) fn is_heavy(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= HEAVY
    }

    /// Records whether a call was heavy.
    pub(super) fn learn(&self, heavy: bool) {
        let change = |score: u8| if heavy { (score < MOST).then(|| score + 1) } else { score.checked_sub(1) };
        // An error means that the score does not change.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_is_heavy_while_its_calls_are() {
        let manifest = "[component]\nname = \"a\"\nversion = \"1\"\n[[http]]\nmethod = \"GET\"\npath = \"/a\"\n[[socket]]\nevent = \"b\"\n";
        let weights = Weights::of(&Manifest::parse(manifest).unwrap());
        let [a, b] = ["/a", "b"].map(|trigger| weights.get(trigger).unwrap());
        for _ in 0..100 {
            a.learn(false);
        }
        for _ in 0..HEAVY - 1 {
            a.learn(true);
            assert!(!a.is_heavy());
        }
        a.learn(true);
        assert!(a.is_heavy() && !b.is_heavy() && weights.get("/unknown").is_none());
        for _ in 0..100 {
            a.learn(true);
        }
        for _ in 0..=MOST - HEAVY {
            assert!(a.is_heavy());
            a.learn(false);
        }
        assert!(!a.is_heavy(), "a handful of light ones and it is light again");
    }
}
