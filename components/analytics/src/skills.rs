//! Skills: how many members have which, and which were listed anew in an hour.
//!
//! An event tells all skills of a member. What is new among them is known from what the member's last event told, which a
//! document keeps; a member's events come in order, so that both are the same when everything is told once more.

use std::collections::{BTreeMap, BTreeSet};

use devconnect_sdk::event::{Event, Failure};
use devconnect_sdk::prelude::*;
use model::events::Skills;

use crate::rollup;

/// What each member has. `_id` is the member.
const MEMBERS: &str = "analyticsmembers";
/// How many have it. `_id` is the shard.
pub(crate) const SKILLS: &str = "analyticsskills";
/// The most of one member, and the longest, in characters: more than any profile takes.
const MOST: usize = 100;
const LONGEST: usize = 100;

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
    members: BTreeMap<ObjectId, BTreeSet<String>>,
    /// By shard: how many more have it, by its field.
    totals: BTreeMap<u32, BTreeMap<String, i64>>,
}

impl Listed {
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The fields of those that are new.
    pub(crate) fn set(&mut self, user: ObjectId, shard: u32, now: BTreeSet<String>) -> Result<Vec<String>, Failure> {
        let before = match self.members.remove(&user) {
            Some(before) => before,
            None => known(user)?,
        };
        let totals = self.totals.entry(shard).or_default();
        let new: Vec<String> = now.difference(&before).map(|skill| field(skill)).collect();
        for field in &new {
            *totals.entry(field.clone()).or_default() += 1;
        }
        for gone in before.difference(&now) {
            *totals.entry(field(gone)).or_default() -= 1;
        }
        self.members.insert(user, now);
        Ok(new)
    }

    pub(crate) fn write(self, mut commit: Commit) -> Commit {
        for (user, skills) in self.members {
            let skills: Vec<String> = skills.into_iter().collect();
            let change = doc! { "$set": { "skills": skills } };
            commit = commit.update(MEMBERS, doc! { "_id": user }, change).upsert();
        }
        for (shard, totals) in self.totals {
            let up: Document = totals
                .into_iter()
                .filter(|(_, count)| *count != 0)
                .map(|(field, count)| (format!("skills.{field}"), count.into()))
                .collect();
            if !up.is_empty() {
                commit = commit.update(SKILLS, doc! { "_id": i64::from(shard) }, doc! { "$inc": up }).upsert();
            }
        }
        commit
    }
}

fn known(user: ObjectId) -> Result<BTreeSet<String>, Failure> {
    let known: Option<Document> = collection(MEMBERS).by_id(user)?;
    let known = known.as_ref().and_then(|known| known.get_array("skills"));
    Ok(known.into_iter().flatten().filter_map(Bson::as_str).map(str::to_owned).collect())
}

/// A skill as the name of a field, which has no `.`, `$` or NUL.
fn field(skill: &str) -> String {
    let mut field = String::with_capacity(skill.len());
    for character in skill.chars() {
        match character {
            '%' | '.' | '$' | '\0' => field.push_str(&format!("%{:02x}", u32::from(character))),
            character => field.push(character),
        }
    }
    field
}

/// The skill of a field.
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
    fn a_skill_is_a_field_and_back() {
        for text in ["rust", "node.js", "$", "100%", "%2e", "a.b.c%24", "c++", "日本語"] {
            let name = field(text);
            assert!(!name.contains(['.', '$']), "{name}");
            assert_eq!(skill(&name), text);
        }
    }
}
