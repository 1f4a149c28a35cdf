//! Skills: how many members have which, and which were listed anew in a minute, an hour or a day.
//!
//! An event tells all skills of a member. What is new among them is known from what the member's last event told, which a
//! document keeps; a member's events come in order, so that both are the same when everything is told once more.
//!
//! Members call their skills what they like, so each skill has documents of its own: none grows by what others are called. Of one
//! member so many count as listed anew in an hour, however often the profile is changed.

use std::collections::{BTreeMap, BTreeSet};

use devconnect_sdk::event::{Event, Failure};
use devconnect_sdk::prelude::*;
use model::events::Skills;

use crate::rollup::{self, Writes};
use crate::window::Window;

/// What each member has. `_id` is the member.
const MEMBERS: &str = "analyticsmembers";
/// How many have it. `_id` is the skill; that of an earlier version's document is a shard, which has many skills.
pub(crate) const SKILLS: &str = "analyticsskills";
/// How often it was listed anew. `_id` is "window/start/skill".
pub(crate) const NEW_SKILLS: &str = "analyticsnewskills";
/// How many shards an earlier version had.
pub(crate) const OLD_SHARDS: i64 = 16;
/// The most of one member, and the longest, in characters: more than any profile takes.
const MOST: usize = 100;
const LONGEST: usize = 100;
/// How many of one member count as listed anew in an hour: as many as a profile takes.
const MOST_LISTED: i64 = 50;

/// A member has these skills now.
pub(crate) fn listed(event: &Event) -> Result<(), Failure> {
    let user = event.user_id()?;
    let Skills { skills } = event.data()?;
    if skills.len() > MOST || skills.iter().any(|skill| skill.chars().count() > LONGEST) {
        return Err(Failure::Reject("it has more skills, or longer ones, than a member can have".to_owned()));
    }
    // Of the many ways to write one, one counts.
    let skills = skills.iter().map(|skill| skill.trim().to_lowercase()).filter(|skill| !skill.is_empty());
    rollup::list(event, user, skills.collect())
}

/// What the events of a delivery tell of skills.
#[derive(Default)]
pub(crate) struct Listed {
    members: BTreeMap<ObjectId, Known>,
    /// How many more members have it, by skill.
    totals: BTreeMap<String, i64>,
    /// How often it was listed anew, by the window with its start and the skill.
    new: BTreeMap<(Window, DateTime, String), i64>,
}

/// What is known of a member.
struct Known {
    skills: BTreeSet<String>,
    /// The hour in which the member listed skills last, and how many count there.
    hour: DateTime,
    listed: i64,
    /// The account is gone.
    is_gone: bool,
}

impl Known {
    fn of(user: ObjectId) -> Result<Self, Failure> {
        let found: Option<Document> = collection(MEMBERS).by_id(user)?;
        let found = found.unwrap_or_default();
        let skills = found.get_array("skills").into_iter().flatten().filter_map(Bson::as_str).map(str::to_owned);
        Ok(Self {
            skills: skills.collect(),
            hour: found.get_date("hour").unwrap_or(DateTime::from_millis(0)),
            listed: found.get_i64("listed").unwrap_or(0),
            is_gone: false,
        })
    }
}

impl Listed {
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// From a moment on a member has these.
    pub(crate) fn set(&mut self, user: ObjectId, at: DateTime, now: BTreeSet<String>) -> Result<(), Failure> {
        let mut known = self.take(user)?;
        known.is_gone = false;
        let hour = Window::Hour.start(at);
        if known.hour != hour {
            (known.hour, known.listed) = (hour, 0);
        }
        for skill in now.difference(&known.skills) {
            *self.totals.entry(skill.clone()).or_default() += 1;
            if known.listed < MOST_LISTED {
                known.listed += 1;
                for window in Window::ALL {
                    *self.new.entry((window, window.start(at), skill.clone())).or_default() += 1;
                }
            }
        }
        for gone in known.skills.difference(&now) {
            *self.totals.entry(gone.clone()).or_default() -= 1;
        }
        known.skills = now;
        self.members.insert(user, known);
        Ok(())
    }

    /// A member is gone, and has none.
    pub(crate) fn forget(&mut self, user: ObjectId) -> Result<(), Failure> {
        let mut known = self.take(user)?;
        for gone in std::mem::take(&mut known.skills) {
            *self.totals.entry(gone).or_default() -= 1;
        }
        known.is_gone = true;
        self.members.insert(user, known);
        Ok(())
    }

    fn take(&mut self, user: ObjectId) -> Result<Known, Failure> {
        self.members.remove(&user).map_or_else(|| Known::of(user), Ok)
    }

    pub(crate) fn write(self, writes: &mut Writes) -> Result<(), Failure> {
        for (user, known) in self.members {
            if known.is_gone {
                writes.add(|commit| commit.delete(MEMBERS, doc! { "_id": user }))?;
                continue;
            }
            let skills: Vec<String> = known.skills.into_iter().collect();
            let change = doc! { "$set": { "skills": skills, "hour": known.hour, "listed": known.listed } };
            writes.add(|commit| commit.update(MEMBERS, doc! { "_id": user }, change).upsert())?;
        }
        for (skill, count) in self.totals.into_iter().filter(|(_, count)| *count != 0) {
            let (id, change) = (skill.as_str(), doc! { "$inc": { "members": count } });
            writes.add(|commit| commit.update(SKILLS, doc! { "_id": id }, change).upsert())?;
            if count < 0 {
                // What nobody has any more. Below zero it makes up for what a shard of an earlier version still has.
                writes.add(|commit| commit.delete(SKILLS, doc! { "_id": id, "members": 0 }))?;
            }
        }
        for ((window, start, skill), count) in self.new {
            let id = format!("{}/{start}/{skill}", window.name());
            let change = doc! {
                "$inc": { "count": count },
                "$setOnInsert": { "window": window.name(), "start": start, "skill": skill },
            };
            writes.add(|commit| commit.update(NEW_SKILLS, doc! { "_id": id }, change).upsert())?;
        }
        Ok(())
    }
}

/// The skill of a field in a document of an earlier version: such a name has no `.`, `$` or NUL.
pub(crate) fn skill(field: &str) -> String {
    ["%2e", "%24", "%00", "%25"]
        .into_iter()
        .zip([".", "$", "\0", "%"])
        .fold(field.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_version_s_field_is_a_skill() {
        let fields = ["rust", "node%2ejs", "%24", "100%25", "%252e", "a%2eb%2ec%2524", "c++", "日本語"];
        let skills = ["rust", "node.js", "$", "100%", "%2e", "a.b.c%24", "c++", "日本語"];
        assert_eq!(fields.map(skill), skills);
    }

    fn set(of: &[&str]) -> BTreeSet<String> {
        of.iter().map(|skill| (*skill).to_owned()).collect()
    }

    /// A member without known skills.
    fn listed() -> (Listed, ObjectId) {
        let user = ObjectId::from_bytes([1; 12]);
        let known = Known { skills: BTreeSet::new(), hour: DateTime::from_millis(0), listed: 0, is_gone: false };
        (Listed { members: BTreeMap::from([(user, known)]), ..Listed::default() }, user)
    }

    #[test]
    fn what_is_new_and_what_is_gone_is_counted() {
        let (mut listed, user) = listed();
        let at = DateTime::from_millis(1_768_478_461_000);
        listed.set(user, at, set(&["go", "rust"])).unwrap();
        listed.set(user, at.plus_seconds(60), set(&["c", "rust"])).unwrap();
        let totals: Vec<(&str, i64)> = listed.totals.iter().map(|(skill, count)| (skill.as_str(), *count)).collect();
        assert_eq!(totals, [("c", 1), ("go", 0), ("rust", 1)]);
        let new = |window: Window| listed.new.keys().filter(|(of, ..)| *of == window).count();
        assert_eq!(Window::ALL.map(new), [3, 3, 3]);
        let minutes: Vec<i64> = listed.new.keys().take(3).map(|(_, start, _)| start.millis() % 3_600_000).collect();
        assert_eq!(minutes, [60_000, 60_000, 120_000]);
    }

    #[test]
    fn who_is_gone_has_no_skill_until_some_are_listed_again() {
        let (mut listed, user) = listed();
        let at = DateTime::from_millis(1_768_478_461_000);
        listed.set(user, at, set(&["go", "rust"])).unwrap();
        for _ in 0..2 {
            listed.forget(user).unwrap();
        }
        assert!(listed.members[&user].is_gone && listed.totals.values().all(|count| *count == 0));
        listed.set(user, at, set(&["c"])).unwrap();
        assert!(!listed.members[&user].is_gone && listed.totals["c"] == 1);
    }

    #[test]
    fn in_an_hour_so_many_of_a_member_count_as_new() {
        let (mut listed, user) = listed();
        let at = DateTime::from_millis(1_768_478_400_000);
        for edit in 0..120 {
            let skills: Vec<String> = (0..50).map(|skill| format!("{edit}-{skill}")).collect();
            let skills: Vec<&str> = skills.iter().map(String::as_str).collect();
            listed.set(user, at.plus_seconds(edit * 20), set(&skills)).unwrap();
        }
        assert_eq!(listed.new.values().sum::<i64>(), 3 * MOST_LISTED);
        assert_eq!(listed.totals.values().filter(|count| **count != 0).count(), 50, "those of the last edit");
        listed.set(user, at.plus_seconds(3_600), set(&["later"])).unwrap();
        assert_eq!(listed.new.values().sum::<i64>(), 3 * (MOST_LISTED + 1), "another hour begins anew");
    }
}
