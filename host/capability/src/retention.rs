//! Retention: for how long what grows by itself is kept.
//!
//! The stores and triggers that own such data delete it; the host asks them to, again and again, with its clock's time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bson::{Bson, DateTime};
use serde::Deserialize;

const DAY: Duration = Duration::from_secs(86_400);

/// For how long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Events in the log. Those that a consumer has not finished stay in the embedded log, however old they are.
    pub events: Duration,
    /// Dead letters, and which of them were replayed or dropped.
    pub dead_letters: Duration,
    /// The log of deploys.
    pub deploys: Duration,
    /// Sessions, after they have expired.
    pub sessions: Duration,
    /// Mails that were given up.
    pub mails: Duration,
    /// What is not used any more: the rows of schedules that are not deployed, and invalidations of a cache that is gone.
    pub unused: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            events: 7 * DAY,
            dead_letters: 30 * DAY,
            deploys: 365 * DAY,
            sessions: DAY,
            mails: 30 * DAY,
            unused: 30 * DAY,
        }
    }
}

impl Retention {
    /// The marks of events that had their effect are kept longer than the log can deliver the events again.
    pub fn marks(&self) -> Duration {
        self.events + DAY
    }

    /// The same for what is known of dead letters.
    pub fn settled_letters(&self) -> Duration {
        self.dead_letters + DAY
    }
}

/// When documents of a collection are deleted: `expires = { field = "start", days = 400 }` in `application.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expiry {
    /// The field with the time that counts, which has an index: a date, or the text `YYYY-MM-DD`. Documents without it stay.
    pub field: String,
    /// How many days after that time.
    pub days: u32,
    /// The field is a text.
    #[serde(default)]
    pub text: bool,
}

impl Expiry {
    /// What the field of documents that are old enough is less than, at the time `now` in milliseconds since 1970.
    pub fn bound(&self, now: u64) -> Bson {
        let before = DateTime::from_millis(i64::try_from(before(now, self.days * DAY)).unwrap_or(i64::MAX));
        if !self.text {
            return before.into();
        }
        let text = before.try_to_rfc3339_string().unwrap_or_default();
        Bson::String(text.get(..10).unwrap_or_default().to_owned())
    }
}

/// The time before which something is too old at the time `now`; milliseconds since 1970.
pub fn before(now: u64, kept: Duration) -> u64 {
    now.saturating_sub(u64::try_from(kept.as_millis()).unwrap_or(u64::MAX))
}

/// How much was deleted since the host started, by what it was.
#[derive(Debug, Default)]
pub struct Deleted(Mutex<BTreeMap<String, u64>>);

impl Deleted {
    /// Counts what was deleted.
    pub fn count(&self, what: &str, many: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(what.to_owned()).or_default();
        *count = count.saturating_add(many);
    }

    /// All counts.
    pub fn counts(&self) -> Vec<(String, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(what, count)| (what.clone(), *count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_outlives_its_event() {
        let retention = Retention::default();
        assert!(retention.marks() > retention.events && retention.settled_letters() > retention.dead_letters);
        assert_eq!((before(100, Duration::from_millis(30)), before(10, DAY)), (70, 0));
    }

    #[test]
    fn documents_expire_by_a_date_or_by_the_text_of_a_day() {
        let now = 1_768_478_400_000;
        let expiry = Expiry { field: "day".to_owned(), days: 15, text: false };
        assert_eq!(expiry.bound(now), Bson::DateTime(DateTime::from_millis(1_768_478_400_000 - 15 * 86_400_000)));
        assert_eq!(Expiry { text: true, ..expiry }.bound(now), Bson::String("2025-12-31".to_owned()));
    }

    #[test]
    fn what_is_deleted_is_counted_by_what_it_was() {
        let deleted = Deleted::default();
        deleted.count("events", 2);
        deleted.count("marks", 0);
        deleted.count("events", 3);
        assert_eq!(deleted.counts(), [("events".to_owned(), 5), ("marks".to_owned(), 0)]);
    }
}
