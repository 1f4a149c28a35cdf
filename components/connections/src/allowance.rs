//! How many requests a user may send on a day. A counter document is raised in the request's own commit, and only while
//! it is below the limit: so the store decides, for any number of requests at once, and what failed is not counted.

use devconnect_sdk::prelude::*;

/// The collection of the counters; `_id` is "user id:UTC day".
const COLLECTION: &str = "requestcounters";
const DAY: i64 = 86_400_000;

/// A member's limit for one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allowance {
    counter: String,
    tier: &'static str,
    limit: i64,
    day_ends: DateTime,
}

impl Allowance {
    /// What a user of this tier may send on the day of `now`; none for a tier without a limit.
    pub(crate) fn of(user: ObjectId, tier: Option<&str>, now: DateTime) -> Option<Self> {
        let (tier, limit) = match tier {
            Some("gold") => return None,
            Some("silver") => ("silver", 100),
            _ => ("free", 10),
        };
        let day_ends = DateTime::from_millis((now.millis().div_euclid(DAY) + 1) * DAY);
        Some(Self { counter: format!("{user}:{}", now.day()), tier, limit, day_ends })
    }

    /// Adds the counter's update to a commit. A full counter does not match, so the upsert runs into its own `_id`.
    pub(crate) fn spend(&self, commit: Commit) -> Commit {
        commit
            .update(
                COLLECTION,
                doc! { "_id": &self.counter, "used": { "$lt": self.limit } },
                // The host deletes it a day later (`expires` in application.toml).
                doc! { "$inc": { "used": 1 }, "$setOnInsert": { "expiresAt": self.day_ends } },
            )
            .upsert()
    }

    /// Whether nothing is left; two first requests of a day may run into each other while something is.
    pub(crate) fn is_spent(&self) -> Result<bool, Error> {
        let counter: Option<Document> = collection(COLLECTION).by_id(self.counter.as_str())?;
        Ok(counter.and_then(|counter| counter.get_i64("used")).unwrap_or_default() >= self.limit)
    }

    /// The 429.
    pub(crate) fn refusal(&self, now: DateTime) -> Error {
        let left = (self.day_ends.millis() - now.millis()).div_euclid(1_000) + 1;
        Error::limited(format!("You have reached today's limit of {} connection requests", self.limit))
            .with("tier", self.tier)
            .with("limit", self.limit)
            .with("used", self.limit)
            .retry_after(u32::try_from(left).unwrap_or(1))
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tier: Option<&str>) -> Option<Allowance> {
        // 2024-02-29T23:59:59.000Z
        Allowance::of(ObjectId::from_bytes([1; 12]), tier, DateTime::from_millis(1_709_251_199_000))
    }

    #[test]
    fn the_tier_decides() {
        assert_eq!(of(Some("gold")), None);
        assert_eq!(of(Some("silver")).map(|allowance| allowance.limit), Some(100));
        assert_eq!(of(None).map(|allowance| allowance.limit), Some(10));
        assert_eq!(of(Some("platinum")).map(|allowance| allowance.tier), Some("free"));
    }

    #[test]
    fn a_day_is_of_utc() {
        let allowance = of(None).unwrap();
        assert_eq!(allowance.counter, format!("{}:2024-02-29", "01".repeat(12)));
        assert_eq!(allowance.day_ends.to_string(), "2024-03-01T00:00:00.000Z");
        let Error::Limited(limited) = allowance.refusal(DateTime::from_millis(1_709_251_199_000)) else { panic!() };
        assert_eq!(limited.retry_after, Some(2));
        assert_eq!(limited.fields.get("used"), Some(&10.into()));
    }
}
