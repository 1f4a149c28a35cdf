//! Roll-ups: how much of what happened in which minute, hour and day, by the events' own time.
//!
//! An hour has a row a shard with its minutes in it, which are summed by whoever reads, so that keys that are told at once
//! do not fight over one; a day is the sum of its hours. Whoever was active in an hour has a document, with the minutes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use devconnect_sdk::event::{Event, Failure};
use devconnect_sdk::prelude::*;
use model::events::ANALYTICS_EVENTS;

use crate::skills::Listed;
use crate::window::Window;

/// Rows of hours. `_id` is "start/shard".
pub(crate) const ROLLUPS: &str = "analyticsrollups";
/// Members that were active in an hour. `_id` is "start/member".
pub(crate) const ACTIVE: &str = "analyticsactive";
/// What each member did on a day. `_id` is "member/day".
pub(crate) const MEMBERS: &str = "useractivity";
/// Into how many rows an hour is divided.
const SHARDS: u32 = 16;
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

/// What the events of a delivery come to. Of many, which are of one key, most change the same few documents.
#[derive(Default)]
struct Tally {
    /// By `_id`: the start of the hour, and what goes up. There are seven things to count, so that a row has a bound.
    rollups: BTreeMap<String, (DateTime, BTreeMap<String, i64>)>,
    /// By `_id`: the start of the hour, the member, and the minutes.
    active: BTreeMap<String, (DateTime, ObjectId, BTreeSet<String>)>,
    /// By `_id`: the member, the day, and what goes up.
    members: BTreeMap<String, (ObjectId, String, BTreeMap<&'static str, i64>)>,
    /// Which skills whose members have.
    listed: Listed,
    /// Whose accounts are gone.
    gone: BTreeSet<ObjectId>,
    /// Who did what, in order.
    told: Vec<(ObjectId, Counted)>,
}

thread_local! {
    /// An instance has one delivery, and with it one tally.
    static TALLY: RefCell<Tally> = RefCell::default();
}

/// Counts what `user` did.
pub(crate) fn count(event: &Event, user: ObjectId, counted: Counted) -> Result<(), Failure> {
    let at = time(event)?;
    TALLY.with_borrow_mut(|tally| tally.add(event.key(), at, user, counted));
    Ok(())
}

/// Notes that `user` has these skills and no others.
pub(crate) fn list(event: &Event, user: ObjectId, skills: BTreeSet<String>) -> Result<(), Failure> {
    let at = time(event)?;
    TALLY.with_borrow_mut(|tally| tally.listed.set(user, at, skills))
}

/// Forgets what is kept of a member. What is told of the member after that, out of order, is forgotten by the event that ends all.
pub(crate) fn forget(event: &Event) -> Result<(), Failure> {
    let user = event.user_id()?;
    TALLY.with_borrow_mut(|tally| {
        tally.active.retain(|_, (_, of, _)| *of != user);
        tally.members.retain(|_, (of, ..)| *of != user);
        tally.gone.insert(user);
        tally.listed.forget(user)
    })
}

fn time(event: &Event) -> Result<DateTime, Failure> {
    let at = event.timestamp()?;
    if (0..LATEST).contains(&at.millis()) { Ok(at) } else { Err(Failure::Reject(format!("its time is {at}"))) }
}

/// Writes what was counted.
pub(crate) fn write() -> Result<(), Failure> {
    let tally = TALLY.take();
    let is_empty = tally.told.is_empty() && tally.listed.is_empty() && tally.gone.is_empty();
    if is_empty { Ok(()) } else { tally.write() }
}

impl Tally {
    fn add(&mut self, key: &str, at: DateTime, user: ObjectId, counted: Counted) {
        let (hex, day) = (user.to_hex(), at.day());
        let (start, minute) = (hour(at), minute(at));
        self.roll_up(key, at, counted.field);
        let active = || (start, user, BTreeSet::new());
        self.active.entry(format!("{start}/{hex}")).or_insert_with(active).2.insert(minute);
        let (_, _, up) = self.members.entry(format!("{hex}/{day}")).or_insert_with(|| (user, day, BTreeMap::new()));
        *up.entry(counted.field).or_default() += 1;
        self.told.push((user, counted));
    }

    /// One more of `field` in the hour and in its minute.
    fn roll_up(&mut self, key: &str, at: DateTime, field: &str) {
        let start = hour(at);
        let (_, up) = self.rollups.entry(format!("{start}/{}", shard(key))).or_insert_with(|| (start, BTreeMap::new()));
        for field in [field.to_owned(), format!("{}.{field}", minute(at))] {
            *up.entry(field).or_default() += 1;
        }
    }

    /// Collection by collection, which stores do in one go each.
    fn write(self) -> Result<(), Failure> {
        let mut writes = Writes::default();
        for user in self.gone {
            for of_members in [ACTIVE, MEMBERS] {
                writes.add(|commit| commit.delete(of_members, doc! { "userId": user }).many())?;
            }
        }
        for (id, (start, up)) in self.rollups {
            let up: Document = up.into_iter().map(|(field, count)| (field, count.into())).collect();
            let change = doc! { "$inc": up, "$setOnInsert": { "start": start } };
            writes.add(|commit| commit.update(ROLLUPS, doc! { "_id": id }, change).upsert())?;
        }
        for (id, (start, user, minutes)) in self.active {
            let minutes: Document = minutes.into_iter().map(|minute| (minute, true.into())).collect();
            let change = doc! { "$set": minutes, "$setOnInsert": { "start": start, "userId": user } };
            writes.add(|commit| commit.update(ACTIVE, doc! { "_id": id }, change).upsert())?;
        }
        for (id, (user, day, up)) in self.members {
            let up: Document = up.into_iter().map(|(field, count)| (field.to_owned(), count.into())).collect();
            let change = doc! { "$inc": up, "$setOnInsert": { "userId": user, "day": day } };
            writes.add(|commit| commit.update(MEMBERS, doc! { "_id": id }, change).upsert())?;
        }
        self.listed.write(&mut writes)?;
        let mut commit = writes.rest();
        for (user, counted) in self.told {
            let hex = user.to_hex();
            let told = doc! { "userId": hex.as_str(), (counted.field): 1 };
            commit = commit.envelope(ANALYTICS_EVENTS, &hex, &Envelope::new(counted.kind, user, told));
        }
        commit.run()?;
        Ok(())
    }
}

/// The writes of a delivery. A commit takes so many, and all commits of a delivery are done in one.
#[derive(Default)]
pub(crate) struct Writes {
    commit: Commit,
    count: usize,
}

impl Writes {
    /// The most of a commit.
    const MOST: usize = 100;

    /// One more.
    pub(crate) fn add(&mut self, write: impl FnOnce(Commit) -> Commit) -> Result<(), Failure> {
        if self.count == Self::MOST {
            std::mem::take(&mut self.commit).run()?;
            self.count = 0;
        }
        self.commit = write(std::mem::take(&mut self.commit));
        self.count += 1;
        Ok(())
    }

    /// What is not committed yet.
    fn rest(self) -> Commit {
        self.commit
    }
}

/// When the hour of a moment begins.
pub(crate) fn hour(at: DateTime) -> DateTime {
    Window::Hour.start(at)
}

/// The field of a moment's minute in the row of its hour.
pub(crate) fn minute(at: DateTime) -> String {
    format!("minutes.{:02}", at.millis().rem_euclid(Window::Hour.length()) / Window::Minute.length())
}

/// FNV-1a: what matters is that keys are spread, the same way each time.
fn shard(key: &str) -> u32 {
    key.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)) % SHARDS
}
