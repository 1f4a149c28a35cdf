//! Roll-ups: how much of what happened in which minute, hour and day, by the events' own time.
//!
//! An hour has a row a shard with its minutes in it, which are summed by whoever reads, so that keys that are told at once
//! do not fight over one; a day is the sum of its hours. Whoever was active in an hour has a document, with the minutes.

use devconnect_sdk::event::{Event, Failure};
use devconnect_sdk::prelude::*;
use model::events::ANALYTICS_EVENTS;

/// Rows of hours. `_id` is "start/shard".
const ROLLUPS: &str = "analyticsrollups";
/// Members that were active in an hour. `_id` is "start/member".
const ACTIVE: &str = "analyticsactive";
/// What each member did on a day. `_id` is "member/day".
pub(crate) const MEMBERS: &str = "useractivity";
/// Into how many rows an hour is divided.
const SHARDS: u32 = 16;
/// Milliseconds.
const MINUTE: i64 = 60_000;
/// Milliseconds.
const HOUR: i64 = 60 * MINUTE;
/// No event is of a time after this, 9999-12-31: what says so is wrong.
const LATEST: i64 = 253_402_214_400_000;

/// Something that is counted.
#[derive(Clone, Copy)]
pub(crate) struct Counted {
    /// The field that goes up.
    field: &'static str,
    /// The type of the event that tells of it.
    kind: &'static str,
}

impl Counted {
    pub(crate) const SIGNUP: Self = Self { field: "signups", kind: "USER_ACTIVITY" };
    pub(crate) const LOGIN: Self = Self { field: "logins", kind: "USER_ACTIVITY" };
    pub(crate) const VISIT: Self = Self { field: "visits", kind: "USER_ACTIVITY" };
    pub(crate) const MESSAGE: Self = Self { field: "messages", kind: "MESSAGE_ANALYTICS" };
    pub(crate) const REQUEST: Self = Self { field: "requests", kind: "CONNECTION_ANALYTICS" };
    pub(crate) const ACCEPTED: Self = Self { field: "accepted", kind: "CONNECTION_ANALYTICS" };
    pub(crate) const REJECTED: Self = Self { field: "rejected", kind: "CONNECTION_ANALYTICS" };
}

/// Counts what `user` did.
pub(crate) fn count(event: &Event, user: ObjectId, counted: Counted) -> Result<(), Failure> {
    let at = event.timestamp()?;
    if !(0..LATEST).contains(&at.millis()) {
        return Err(Failure::Reject(format!("its time is {at}")));
    }
    let (hex, day) = (user.to_hex(), at.day());
    let start = DateTime::from_millis(at.millis() - at.millis().rem_euclid(HOUR));
    let minute = format!("minutes.{:02}", at.millis().rem_euclid(HOUR) / MINUTE);
    let in_minute = format!("{minute}.{}", counted.field);
    Commit::new()
        .update(
            ROLLUPS,
            doc! { "_id": format!("{start}/{}", shard(event.key())) },
            doc! { "$inc": { (counted.field): 1, in_minute: 1 }, "$setOnInsert": { "start": start } },
        )
        .upsert()
        .update(
            ACTIVE,
            doc! { "_id": format!("{start}/{hex}") },
            doc! { "$set": { minute: true }, "$setOnInsert": { "start": start, "userId": user } },
        )
        .upsert()
        .update(
            MEMBERS,
            doc! { "_id": format!("{hex}/{day}") },
            doc! { "$inc": { (counted.field): 1 }, "$setOnInsert": { "userId": user, "day": &day } },
        )
        .upsert()
        .envelope(
            ANALYTICS_EVENTS,
            &hex,
            &Envelope::new(counted.kind, user, doc! { "userId": hex.as_str(), (counted.field): 1 }),
        )
        .run()?;
    Ok(())
}

/// FNV-1a: what matters is that keys are spread, the same way each time.
fn shard(key: &str) -> u32 {
    key.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)) % SHARDS
}
