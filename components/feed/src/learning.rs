//! Learning from what became of requests. Who accepts a request wants to know the other, and so did who sent it; who rejects one, or
//! ignores somebody, does not. From the moment on at which the model was begun, events tell; what was before is read from the
//! requests, page by page: so the log need not go back, and each request counts once.
//!
//! Of the requests of one sender so many count in a day: nobody teaches the model alone what others want.

use std::collections::{BTreeMap, BTreeSet};

use devconnect_sdk::event::{Event, Failure};
use devconnect_sdk::prelude::*;
use model::cached;
use model::cast::{self, Kind, Schema};
use model::events::ConnectionTold;
use model::matching::catalogue::{Catalogue, SkillKey};
use model::matching::pairs::{self, Example, Pairs, weight};
use model::matching::profile::Profile;
use model::matching::scores::Scores;
use model::user;

use crate::learnt;
use crate::state::{self, Model, State};

const REQUESTS: &str = "connectionrequests";
/// The most bytes of a request, and what is read of one.
const REQUEST_BYTES: u32 = 4 << 10;
const REQUEST: &Schema =
    &[("fromUserId", Kind::Id), ("toUserId", Kind::Id), ("status", Kind::Text), ("updatedAt", Kind::Date)];
/// Requests of a page.
const PAGE: u32 = 100;
/// How many requests of a sender count that were decided on one day. `_id` is "sender/day".
const LEARNT: &str = "feedlearnt";
const MOST_LEARNT: i64 = 50;
/// How long that is known, in seconds.
const DAY: i64 = 86_400;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Decided {
    from: ObjectId,
    to: ObjectId,
    what: What,
    at: DateTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Accepted,
    Rejected,
    Ignored,
}

impl What {
    /// Of a request's status; none while nothing is decided.
    fn of(status: &str) -> Option<Self> {
        match status {
            "accepted" => Some(Self::Accepted),
            "rejected" => Some(Self::Rejected),
            "ignore" => Some(Self::Ignored),
            _ => None,
        }
    }
}

/// A request was sent or answered.
pub(crate) fn told(event: &Event) -> Result<(), Failure> {
    let ConnectionTold { from_user_id: from, to_user_id: to, status } = event.data()?;
    let (Some(what), at) = (What::of(&status), event.timestamp()?) else { return Ok(()) };
    // The others are read from the requests.
    if State::read()?.model.is_none_or(|model| at < model.since) {
        return Ok(());
    }
    learn(&[Decided { from, to, what, at }], from)
}

/// Reads the requests on that were decided before the model was begun.
pub(crate) fn read_on(model: &Model) -> Result<bool, Failure> {
    let after = model.read.unwrap_or(crate::available::LEAST);
    let query = collection(REQUESTS).find(doc! { "_id": { "$gt": after } }).sort(doc! { "_id": 1 }).limit(PAGE);
    let rows = query.project(REQUEST.iter().map(|(field, _)| ((*field).to_owned(), Bson::from(1))).collect());
    let rows = rows.row_bytes(REQUEST_BYTES).raw()?;
    let requests: Vec<Document> = rows.iter().filter_map(|row| Document::from_slice(row).ok()).collect();
    let last = requests.iter().filter_map(|request| request.get_oid("_id")).next_back();
    let are_last = rows.len() < PAGE as usize || last.is_none();
    let decided: Vec<Decided> =
        requests.into_iter().filter_map(decided).filter(|decided| decided.at < model.since).collect();
    state::requests_are_read(model.read, last, are_last)?;
    learn(&decided, last.unwrap_or(after))?;
    Ok(are_last)
}

/// Of a stored request, which may have anything in it.
fn decided(request: Document) -> Option<Decided> {
    let request = cast::document(request, REQUEST);
    let what = What::of(request.get_str("status")?)?;
    let (from, to) = (request.get_oid("fromUserId")?, request.get_oid("toUserId")?);
    let at = request.get_date("updatedAt").or_else(|| Some(request.get_oid("_id")?.created_at()))?;
    Some(Decided { from, to, what, at })
}

/// Adds what these say to the model; `by` says to which shard.
fn learn(decided: &[Decided], by: ObjectId) -> Result<(), Failure> {
    let decided = within_a_day(decided)?;
    let ids: BTreeSet<ObjectId> = decided.iter().flat_map(|decided| [decided.from, decided.to]).collect();
    let ids: Vec<ObjectId> = ids.into_iter().collect();
    let mut catalogue = Catalogue::embedded()?;
    let mut members: BTreeMap<ObjectId, (Profile, Vec<SkillKey>)> = BTreeMap::new();
    for (id, row) in ids.iter().zip(cached::users(&ids, &cached::SKILLS)?) {
        // Nothing is known of who is gone.
        let Ok(user) = Document::from_slice(&row) else { continue };
        let profile = Profile::of(&user::cast(user), &mut catalogue);
        let keys = pairs::keys(&profile.skills, &catalogue);
        members.insert(*id, (profile, keys));
    }
    let (now, mut new) = (clock::now(), Pairs::default());
    let skills: BTreeSet<SkillKey> = members.values().flat_map(|(_, keys)| keys).copied().collect();
    let mut known = learnt::read(skills.into_iter(), false, now)?;
    for decided in &decided {
        let sides = match decided.what {
            What::Accepted => vec![(decided.from, decided.to, true), (decided.to, decided.from, true)],
            What::Rejected => vec![(decided.to, decided.from, false)],
            What::Ignored => vec![(decided.from, decided.to, false)],
        };
        for (member, other, accepted) in sides {
            let (Some((member, own)), Some((other, others))) = (members.get(&member), members.get(&other)) else {
                continue;
            };
            let total = Scores::of(member, other, &catalogue).total();
            let weight = weight(now.millis().saturating_sub(decided.at.millis()).max(0));
            let example = Example { member: own, other: others, total, accepted, weight };
            let lift = known.learn(&example);
            new.add(&example, lift);
        }
    }
    learnt::add(&new, by, now)
}

/// Those that still count on their days, which then have so many more.
fn within_a_day(decided: &[Decided]) -> Result<Vec<Decided>, Failure> {
    let id = |decided: &Decided| format!("{}/{}", decided.from.to_hex(), decided.at.day());
    let ids: BTreeSet<String> = decided.iter().map(id).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let count = u32::try_from(ids.len()).unwrap_or(documents::MOST);
    let filter = doc! { "_id": { "$in": ids.into_iter().collect::<Bson>() } };
    let found: Vec<Document> = collection(LEARNT).find(filter).limit(count).all()?;
    let found = found.iter().filter_map(|day| Some((day.get_str("_id")?.to_owned(), day.get_i64("count")?)));
    let before: BTreeMap<String, i64> = found.collect();
    let mut now: BTreeMap<String, i64> = BTreeMap::new();
    let mut counted = Vec::new();
    for decided in decided {
        let id = id(decided);
        let more = now.get(&id).copied().unwrap_or(0);
        if before.get(&id).copied().unwrap_or(0) + more < MOST_LEARNT {
            now.insert(id, more + 1);
            counted.push(*decided);
        }
    }
    let ends = clock::now().plus_seconds(DAY);
    let mut commit = Commit::new();
    for (id, count) in &now {
        let change = doc! { "$inc": { "count": *count }, "$set": { "expiresAt": ends } };
        commit = commit.update(LEARNT, doc! { "_id": id.as_str() }, change).upsert();
    }
    if !now.is_empty() {
        commit.run()?;
    }
    Ok(counted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_decided_by_its_status_and_when_it_got_it() {
        let (from, to) = (ObjectId::from_bytes([1; 12]), ObjectId::from_bytes([2; 12]));
        let at = DateTime::from_millis(1_768_478_400_000);
        let request =
            |status: &str| doc! { "_id": from, "fromUserId": from, "toUserId": to, "status": status, "updatedAt": at };
        let what = |status: &str| decided(request(status)).map(|decided| decided.what);
        assert_eq!(
            ["accepted", "rejected", "ignore", "interested", "odd"].map(what),
            [Some(What::Accepted), Some(What::Rejected), Some(What::Ignored), None, None]
        );
        assert_eq!(decided(request("ignore")), Some(Decided { from, to, what: What::Ignored, at }));
        // An old one lacks the date, and has the ids as texts.
        let old = doc! { "_id": to, "fromUserId": from.to_hex(), "toUserId": to, "status": "accepted" };
        assert_eq!(decided(old).map(|decided| decided.at), Some(to.created_at()));
        for odd in [doc! {}, doc! { "status": 7 }, doc! { "status": "accepted", "fromUserId": [from] }] {
            assert_eq!(decided(odd), None);
        }
    }
}
