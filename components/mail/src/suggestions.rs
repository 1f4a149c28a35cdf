//! Whom a member may want to know, told at log-in, at most once a week: members who share the most skills, and no one
//! with whom a request exists either way. As in the ranked feed it is the newest members that are looked at: no index
//! of both engines leads from a skill to its members.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use devconnect_sdk::event::{Event, Failure};
use devconnect_sdk::prelude::*;
use model::user;

use crate::letter::Letter;
use crate::member::{LEAST, Member};
use crate::plain;

/// When each member got the last such mail; `_id` is the member.
const COLLECTION: &str = "mailsuggestions";
const REQUESTS: &str = "connectionrequests";
/// How many of the newest members are looked at.
const POOL: u32 = 500;
/// The most bytes of one of them: fifty long skills. Others come without their largest fields.
const MEMBER_BYTES: u32 = 12 << 10;
/// The most bytes of a request of which one id is read.
const REQUEST_BYTES: u32 = 1 << 10;
/// The most suggestions in a mail.
const MOST: usize = 3;
/// The most skills that are named of each.
const MOST_NAMED: usize = 3;
/// In milliseconds.
const WEEK: i64 = 7 * 86_400_000;

/// Somebody to know.
struct Suggestion {
    member: Member,
    /// The skills that both have, as the reader writes them.
    shared: Vec<String>,
}

pub(crate) fn logged_in(event: &Event) -> Result<(), Failure> {
    let Some(member) = Member::wanting("loginSuggestions", event.user_id()?)? else { return Ok(()) };
    let now = clock::now();
    let week_ago = now.plus_millis(-WEEK);
    if collection(COLLECTION).exists(doc! { "_id": member.id, "at": { "$gt": week_ago } })? {
        return Ok(());
    }
    let found = suggestions(&member)?;
    if found.is_empty() || !letter(&found).send(&member)? {
        return Ok(());
    }
    Commit::new()
        .update(COLLECTION, doc! { "_id": member.id, "at": { "$lte": week_ago } }, doc! { "$set": { "at": now } })
        // Where another log-in was first, this meets its document and is refused: told again, it is too early.
        .upsert()
        .run()?;
    Ok(())
}

/// The best of the newest members, best first; of equals the newest.
fn suggestions(member: &Member) -> Result<Vec<Suggestion>, Failure> {
    let skills = by_spelling(member);
    if skills.is_empty() {
        return Ok(Vec::new());
    }
    let query = collection(user::COLLECTION).find(doc! { "_id": { "$gte": LEAST } }).sort(doc! { "_id": -1 });
    let newest =
        query.limit(POOL).project(doc! { "firstName": 1, "lastName": 1, "skills": 1 }).row_bytes(MEMBER_BYTES).raw()?;
    let others = newest.iter().filter_map(|found| Member::of(Document::from_slice(found).ok()?));
    let mut found: Vec<Suggestion> =
        others.filter(|other| other.id != member.id).filter_map(|other| suggestion(other, &skills)).collect();
    if found.is_empty() {
        return Ok(found);
    }
    let ids: Vec<ObjectId> = found.iter().map(|suggestion| suggestion.member.id).collect();
    let asked = asked(member.id, &ids)?;
    found.retain(|suggestion| !asked.contains(&suggestion.member.id));
    // Stable: the newest came first.
    found.sort_by_key(|suggestion| Reverse(suggestion.shared.len()));
    found.truncate(MOST);
    Ok(found)
}

/// A member's skills: by the form in which two spellings are the same, as the member writes them.
fn by_spelling(member: &Member) -> BTreeMap<String, &str> {
    let skills = member.skills().map(|skill| (spelling(skill), skill.trim()));
    skills.filter(|(spelling, _)| !spelling.is_empty()).collect()
}

fn spelling(skill: &str) -> String {
    skill.trim().to_lowercase()
}

/// `other`, when there is a skill that both have.
fn suggestion(other: Member, skills: &BTreeMap<String, &str>) -> Option<Suggestion> {
    let theirs: BTreeSet<String> = other.skills().map(spelling).collect();
    let shared = skills.iter().filter(|(spelling, _)| theirs.contains(spelling.as_str()));
    let shared: Vec<String> = shared.map(|(_, name)| (*name).to_owned()).collect();
    (!shared.is_empty()).then_some(Suggestion { member: other, shared })
}

/// Those of `others` with whom a request exists, whoever asked and whatever became of it.
fn asked(member: ObjectId, others: &[ObjectId]) -> Result<BTreeSet<ObjectId>, Failure> {
    let mut asked = BTreeSet::new();
    for (own, other) in [("fromUserId", "toUserId"), ("toUserId", "fromUserId")] {
        let query = collection(REQUESTS).find(doc! { own: member, other: { "$in": others } });
        let requests: Vec<Document> = query.project(doc! { other: 1 }).row_bytes(REQUEST_BYTES).all()?;
        asked.extend(requests.iter().filter_map(|request| request.get_oid(other)));
    }
    Ok(asked)
}

fn letter(found: &[Suggestion]) -> Letter {
    let items: Vec<String> = found
        .iter()
        .map(|suggestion| format!("{}: {}", suggestion.member.full_name(), names(&suggestion.shared)))
        .collect();
    Letter::new("Developers who know what you know")
        .paragraph("You may want to connect with:")
        .list(&items)
        .paragraph("You find them in your feed on DevConnect.")
}

/// `A`, `A, B`, `A, B, C and 2 more`.
fn names(skills: &[String]) -> String {
    let shown: Vec<String> = skills.iter().take(MOST_NAMED).map(|skill| plain::skill(skill)).collect();
    match skills.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(skills: &[&str]) -> Member {
        let skills: Bson = skills.iter().copied().collect();
        Member::of(doc! { "_id": LEAST, "skills": skills }).unwrap()
    }

    fn shared(one: &[&str], other: &[&str]) -> Option<Vec<String>> {
        suggestion(member(other), &by_spelling(&member(one))).map(|suggestion| suggestion.shared)
    }

    #[test]
    fn a_shared_skill_counts_once_however_it_is_written() {
        assert_eq!(shared(&["Rust", "C++"], &["rust ", "RUST", "c"]), Some(vec!["Rust".to_owned()]));
        assert_eq!(shared(&["Rust", "rust"], &["rust"]).map(|shared| shared.len()), Some(1));
        let nothing: [(&[&str], &[&str]); 4] =
            [(&["Rust"], &["Go"]), (&[], &["Go"]), (&["", " "], &["", " "]), (&["Go"], &[])];
        for (one, other) in nothing {
            assert_eq!(shared(one, other), None, "{one:?} {other:?}");
        }
    }

    #[test]
    fn names_are_listed() {
        let skills = ["A", "B", "C", "D", "E"].map(str::to_owned);
        assert_eq!([1, 2, 3, 5].map(|count| names(&skills[..count])), ["A", "A, B", "A, B, C", "A, B, C and 2 more"]);
    }
}
