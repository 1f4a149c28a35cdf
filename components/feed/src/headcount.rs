//! How many users there are. That takes a look at every id, which for a large network is far more work than the page it
//! is told with. So those who joined more than a minute ago are counted once in half a minute, for everybody together, and who
//! joined since is counted again when somebody joins or leaves. An id begins with the second it was made in: whoever joins is in
//! the next count, while an account that ended, or was brought in from elsewhere, may show up to a minute later.

use devconnect_sdk::prelude::*;
use model::user;
use serde::{Deserialize, Serialize};

use crate::available::LEAST;

const KEY: &str = "feed:headcount";
/// The sum, which each commit makes stale that adds a user or removes one.
const SUM: &str = "users:count";
/// How long a count is kept, in seconds.
const AGE: u32 = 30;
/// How old an id is before no insert with it can be on its way any more, in milliseconds.
const SETTLED: i64 = 60_000;

/// How many users have an id below this one.
#[derive(Debug, Serialize, Deserialize)]
struct Headcount {
    below: ObjectId,
    count: u64,
}

/// How many users there are.
pub(crate) fn users() -> Result<u64, Error> {
    // Without a cache it is counted each time.
    if let Ok(Some(sum)) = cache::get_json(SUM) {
        return Ok(sum);
    }
    let settled = match cache::get_json(KEY).ok().flatten() {
        Some(settled) => settled,
        None => counted(clock::now().plus_millis(-SETTLED))?,
    };
    let since = collection(user::COLLECTION).count(doc! { "_id": { "$gte": settled.below } })?;
    let sum = settled.count + since;
    let _ = cache::fill(SUM, sum.to_string().into_bytes(), AGE);
    Ok(sum)
}

/// Counts who joined before `moment`, and keeps it.
fn counted(moment: DateTime) -> Result<Headcount, Error> {
    let below = first_id(moment);
    let count = collection(user::COLLECTION).count(doc! { "_id": { "$gte": LEAST, "$lt": below } })?;
    let settled = Headcount { below, count };
    if let Err(error) = cache::set_json(KEY, &settled, AGE) {
        log::warn(&Error::from(error).to_string(), &[]);
    }
    Ok(settled)
}

/// The least id that can be made in the second of `moment`.
fn first_id(moment: DateTime) -> ObjectId {
    let seconds = u32::try_from(moment.millis().div_euclid(1_000)).unwrap_or_default();
    let [a, b, c, d] = seconds.to_be_bytes();
    ObjectId::from_bytes([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_begin_with_their_second() {
        let first = first_id(DateTime::from_millis(1_768_478_400_999));
        assert_eq!(first.created_at(), DateTime::from_millis(1_768_478_400_000));
        assert_eq!(first.to_hex().get(8..), Some("0".repeat(16).as_str()));
        assert_eq!(first_id(DateTime::from_millis(-1)), LEAST);
    }
}
