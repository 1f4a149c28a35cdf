//! A canary run: a version that serves a share of the callers, and the rule that promotes it or rolls it back without an
//! operator. Each host stores how its calls of the canary ended; any host adds up all counts and applies the rule. The change
//! is made once: its commit requires that the row still has this canary run. Touches the documents.

use std::sync::Arc;

use bson::{Document, RawDocument, doc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use capability::documents::{Commit, Documents, Error, Filter, Query, Write, date};

/// The collection of the counts. It is the host's, not the application's.
pub(crate) const COLLECTION: &str = "host-canaries";

/// A version that is tried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Trial)]
pub struct CanaryRun {
    /// The hex SHA-256 of its file.
    pub sha256: String,
    /// The share of users and of keys of events that get it, in percent (1 to 100).
    pub weight: u8,
    /// Names this trial among those of the component.
    #[serde(rename = "run")]
    pub id: String,
    /// When it began, in milliseconds since 1970.
    pub since: u64,
    /// What ends it; none: the operator alone.
    pub rule: Option<Rule>,
}

/// When a canary is promoted or gone back from without an operator.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rule {
    /// The share of its calls that may fail, in percent (0 to 100). Beyond that it is gone back from.
    pub max_errors: f64,
    /// Before it has had so many calls, nothing is decided (1 and more).
    pub min_calls: u64,
    /// After how many seconds it is promoted; none: never without an operator.
    pub promote_after: Option<u64>,
}

/// How calls ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tally {
    /// All of those for whose end the component answers.
    pub calls: u64,
    /// Those that failed.
    pub failed: u64,
}

/// What a rule decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Wait,
    Promote,
    RollBack,
}

impl Rule {
    /// Checks the ranges of the fields.
    ///
    /// # Errors
    /// The values that the field takes.
    pub fn check(&self) -> Result<(), &'static str> {
        if !(0.0..=100.0).contains(&self.max_errors) {
            return Err("max-errors takes 0 to 100, in percent");
        }
        if self.min_calls == 0 {
            return Err("min-calls takes 1 and more");
        }
        Ok(())
    }

    /// Applies the rule to a canary run of `seconds` seconds.
    pub(super) fn judge(&self, tally: Tally, seconds: u64) -> Verdict {
        if tally.calls < self.min_calls {
            return Verdict::Wait;
        }
        let errors = tally.failed as f64 * 100.0 / tally.calls as f64;
        if errors > self.max_errors {
            Verdict::RollBack
        } else if self.promote_after.is_some_and(|after| seconds >= after) {
            Verdict::Promote
        } else {
            Verdict::Wait
        }
    }
}

impl CanaryRun {
    pub(super) fn document(&self) -> Document {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let rule = self.rule.map(|Rule { max_errors, min_calls, promote_after }| {
            doc! { "maxErrors": max_errors, "minCalls": number(min_calls), "promoteAfter": promote_after.map(number) }
        });
        let weight = i32::from(self.weight);
        doc! { "sha256": &self.sha256, "weight": weight, "run": &self.id, "since": date(self.since), "rule": rule }
    }

    pub(super) fn read(document: &Document) -> Option<Self> {
        let number = |document: &Document, name: &str| u64::try_from(document.get_i64(name).ok()?).ok();
        let rule = document.get_document("rule").ok().and_then(|rule| {
            Some(Rule {
                max_errors: rule.get_f64("maxErrors").ok()?,
                min_calls: number(rule, "minCalls")?,
                promote_after: number(rule, "promoteAfter"),
            })
        });
        Some(Self {
            sha256: document.get_str("sha256").ok()?.to_owned(),
            weight: u8::try_from(document.get_i32("weight").ok()?).ok()?,
            id: document.get_str("run").ok()?.to_owned(),
            since: u64::try_from(document.get_datetime("since").ok()?.timestamp_millis()).ok()?,
            rule,
        })
    }
}

/// The stored counts of all hosts.
pub(super) struct Tallies {
    documents: Arc<dyn Documents>,
    /// A random id of this process.
    host: String,
}

impl Tallies {
    pub(super) fn new(documents: Arc<dyn Documents>) -> Self {
        Self { documents, host: hex::encode(capability::random::bytes::<8>()) }
    }

    /// Stores how this host's calls of a canary run ended.
    pub(super) async fn write(&self, component: &str, run_id: &str, tally: Tally) -> Result<(), Error> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let id = format!("{component}/{run_id}/{}", self.host);
        let fields = doc! { "calls": number(tally.calls), "failed": number(tally.failed) };
        let write = Write::put(COLLECTION, &id, fields)?;
        self.documents.commit(Commit { writes: vec![write], events: Vec::new() }).await.map(drop)
    }

    /// How the calls of a canary run ended, on all hosts.
    pub(super) async fn read(&self, component: &str, run_id: &str) -> Result<Tally, Error> {
        let found = self.documents.find(Query::all(COLLECTION, under(&format!("{component}/{run_id}"))?)).await?;
        let number =
            |document: &RawDocument, name| document.get_i64(name).ok().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        Ok(found.iter().fold(Tally::default(), |all, document| Tally {
            calls: all.calls + number(document, "calls"),
            failed: all.failed + number(document, "failed"),
        }))
    }

    /// A write that deletes the counts of a component's canary runs.
    pub(super) fn delete(component: &str) -> Result<Write, Error> {
        let (collection, filter) = (COLLECTION.to_owned(), under(component)?);
        Ok(Write::Delete { collection, filter, many: true, must_match: false })
    }
}

/// The documents whose `_id` begins with `name/`.
fn under(name: &str) -> Result<Filter, Error> {
    Filter::from_document(&doc! { "_id": { "$gte": format!("{name}/"), "$lt": format!("{name}0") } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use capability::documents::{Collection, Schema};
    use store_sqlite::{Location, Sqlite};

    #[test]
    fn a_rule_decides_when_it_has_seen_enough() {
        let rule = Rule { max_errors: 2.0, min_calls: 100, promote_after: Some(60) };
        for (calls, failed, seconds, verdict) in [
            (99, 99, 1_000, Verdict::Wait),
            (100, 2, 59, Verdict::Wait),
            (100, 2, 60, Verdict::Promote),
            (100, 3, 0, Verdict::RollBack),
            (100, 3, 60, Verdict::RollBack),
        ] {
            assert_eq!(rule.judge(Tally { calls, failed }, seconds), verdict, "{failed} of {calls}");
        }
        let never = Rule { promote_after: None, ..rule };
        assert_eq!(never.judge(Tally { calls: 1_000, failed: 0 }, u64::MAX), Verdict::Wait);
        for wrong in
            [Rule { max_errors: f64::NAN, ..rule }, Rule { max_errors: 100.1, ..rule }, Rule { min_calls: 0, ..rule }]
        {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn a_trial_counts_what_all_hosts_counted_and_no_other_trial() {
        let collections = [(COLLECTION.to_owned(), Collection::default())].into();
        let store = Sqlite::open(Location::Memory, &Schema { collections }, &Default::default()).unwrap();
        let store: Arc<dyn Documents> = Arc::new(store);
        let hosts = [Tallies::new(store.clone()), Tallies::new(store.clone())];
        let tally = |calls, failed| Tally { calls, failed };
        hosts[0].write("a", "1", tally(5, 1)).await.unwrap();
        hosts[0].write("a", "1", tally(10, 2)).await.unwrap();
        hosts[1].write("a", "1", tally(7, 0)).await.unwrap();
        hosts[1].write("a", "12", tally(100, 100)).await.unwrap();
        hosts[1].write("ab", "1", tally(100, 100)).await.unwrap();
        assert_eq!(hosts[0].read("a", "1").await.unwrap(), tally(17, 2));
        store.commit(Commit { writes: vec![Tallies::delete("a").unwrap()], events: Vec::new() }).await.unwrap();
        assert_eq!(hosts[0].read("a", "1").await.unwrap(), tally(0, 0));
        assert_eq!(hosts[0].read("ab", "1").await.unwrap(), tally(100, 100));
    }
}
