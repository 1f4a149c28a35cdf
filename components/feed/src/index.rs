//! The index from skills to members: a document for each skill of a member, whose `_id` begins with the skill and ends with the
//! member. So no document grows, the members of a skill are a range of `_id` on every engine, and the newest come first. A skill is
//! there as a number, whatever its text is; two skills with one number make candidates who score nothing.
//!
//! `feedmembers` has what is in the index of a member. Each change of it names the one that it was made of, and is in one commit
//! with the documents of the skills: of two that race, one is made again.

use std::collections::BTreeSet;

use devconnect_sdk::event::Failure;
use devconnect_sdk::prelude::*;
use model::matching::catalogue::Catalogue;
use model::matching::profile::Profile;
use model::user;

/// The collections.
const SKILLS: &str = "feedskills";
const MEMBERS: &str = "feedmembers";
/// The most bytes of such a document that are read.
const SKILL_BYTES: u32 = 1 << 10;
const MEMBER_BYTES: u32 = 4 << 10;
/// How many members of a skill are looked at: the newest.
pub(crate) const LISTED: u32 = documents::MOST;
/// How long these are kept, in seconds.
const LIST_AGE: u32 = 60;
/// Writes of one commit.
const AT_ONCE: usize = 100;

/// The newest members of each of these skills, at most [`LISTED`] of each, the newest first.
pub(crate) fn members(skills: &[u64]) -> Result<Vec<Vec<ObjectId>>, Error> {
    if skills.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<String> = skills.iter().map(|skill| format!("feed:skill:{skill:016x}")).collect();
    let mut kept = cache::get_many(&keys).unwrap_or_default();
    kept.resize(keys.len(), None);
    let (mut lists, mut read) = (Vec::with_capacity(keys.len()), Vec::new());
    for ((skill, key), kept) in skills.iter().zip(keys).zip(kept) {
        let list = match kept {
            Some(kept) => model::cached::ids(&kept),
            None => {
                let list = listed(*skill)?;
                read.push((key, model::cached::bytes(&list)));
                list
            }
        };
        lists.push(list);
    }
    if !read.is_empty() {
        // The cache is never needed.
        let _ = cache::fill_many(&read, LIST_AGE);
    }
    Ok(lists)
}

fn listed(skill: u64) -> Result<Vec<ObjectId>, Error> {
    let prefix = format!("{skill:016x}");
    // Behind the digits of an id there is no `g`.
    let range = doc! { "_id": { "$gt": prefix.as_str(), "$lt": format!("{prefix}g") } };
    let query = collection(SKILLS).find(range).sort(doc! { "_id": -1 }).limit(LISTED).project(doc! { "_id": 1 });
    let member = |row: &Vec<u8>| Document::from_slice(row).ok()?.get_str("_id")?.get(prefix.len()..)?.parse().ok();
    Ok(query.row_bytes(SKILL_BYTES).raw()?.iter().filter_map(member).collect())
}

/// The skills of a stored user, as the index has them: those that the scores look at.
pub(crate) fn skills(user: Document, catalogue: &mut Catalogue) -> BTreeSet<u64> {
    let profile = Profile::of(&user::cast(user), catalogue);
    profile.skills.iter().map(|skill| catalogue.fingerprint(*skill)).collect()
}

/// What is in the index of a member.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) member: ObjectId,
    skills: BTreeSet<u64>,
    /// Of the last change.
    mark: Bson,
}

impl Known {
    /// Of those of `members` who are in the index.
    pub(crate) fn of(members: &[ObjectId]) -> Result<Vec<Self>, documents::Error> {
        Self::find(doc! { "_id": { "$in": members } }, u32::try_from(members.len()).unwrap_or(documents::MOST))
    }

    /// Of those in a range of ids who are not among `members`; the first few of them.
    pub(crate) fn others(mut range: Document, members: &[ObjectId], most: u32) -> Result<Vec<Self>, documents::Error> {
        range.insert("$nin", members);
        Self::find(doc! { "_id": range }, most)
    }

    fn find(filter: Document, most: u32) -> Result<Vec<Self>, documents::Error> {
        let rows = collection(MEMBERS).find(filter).limit(most.max(1)).row_bytes(MEMBER_BYTES).raw()?;
        let known = rows.iter().filter_map(|row| {
            let row = Document::from_slice(row).ok()?;
            let skills = row.get_array("skills").unwrap_or_default().iter().filter_map(Bson::as_i64);
            let skills = skills.map(i64::cast_unsigned).collect();
            Some(Self { member: row.get_oid("_id")?, skills, mark: row.get("mark").cloned().unwrap_or(Bson::Null) })
        });
        Ok(known.collect())
    }
}

/// A change of what is in the index of a member.
#[derive(Debug)]
pub(crate) struct Change {
    member: ObjectId,
    known: Option<Known>,
    skills: BTreeSet<u64>,
}

impl Change {
    /// To these skills; none when there is nothing to change.
    pub(crate) fn to(member: ObjectId, known: Option<Known>, skills: BTreeSet<u64>) -> Option<Self> {
        let is_same = match &known {
            Some(known) => known.skills == skills,
            None => skills.is_empty(),
        };
        (!is_same).then_some(Self { member, known, skills })
    }

    /// How many writes it is.
    pub(crate) fn writes(&self) -> usize {
        self.added().count() + self.gone().count() + 1
    }

    fn before(&self) -> Option<&BTreeSet<u64>> {
        self.known.as_ref().map(|known| &known.skills)
    }

    fn added(&self) -> impl Iterator<Item = u64> {
        self.skills.iter().copied().filter(move |skill| self.before().is_none_or(|before| !before.contains(skill)))
    }

    fn gone(&self) -> impl Iterator<Item = u64> {
        self.before().into_iter().flatten().copied().filter(move |skill| !self.skills.contains(skill))
    }

    /// Does it, with whatever else the call does.
    pub(crate) fn write(&self) -> Result<(), Failure> {
        let id = |skill: u64| format!("{skill:016x}{}", self.member.to_hex());
        let mut commits = vec![self.write_known()];
        let added = self.added().map(|skill| (id(skill), true));
        let all = added.chain(self.gone().map(|skill| (id(skill), false)));
        // The first commit has the other document, too.
        for (count, (id, is_new)) in (1..).zip(all) {
            if count % AT_ONCE == 0 {
                commits.push(Commit::new());
            }
            let Some(commit) = commits.pop() else { continue };
            let filter = doc! { "_id": id };
            commits.push(if is_new {
                // It may be there, of a time when the other document was not.
                commit.update(SKILLS, filter, doc! { "$set": { "member": self.member } }).upsert()
            } else {
                commit.delete(SKILLS, filter)
            });
        }
        commits.into_iter().try_for_each(|commit| commit.run().map(drop))?;
        Ok(())
    }

    /// The change of the member's document, which is refused when there was another one since it was read.
    fn write_known(&self) -> Commit {
        let known = self.known.as_ref().map(|known| doc! { "_id": self.member, "mark": known.mark.clone() });
        let skills: Vec<i64> = self.skills.iter().map(|skill| skill.cast_signed()).collect();
        match known {
            None => {
                let row = doc! { "_id": self.member, "skills": skills, "mark": ObjectId::new() };
                Commit::new().insert(MEMBERS, &row)
            }
            Some(known) if skills.is_empty() => Commit::new().delete(MEMBERS, known).must_match(),
            Some(known) => {
                let change = doc! { "$set": { "skills": skills, "mark": ObjectId::new() } };
                Commit::new().update(MEMBERS, known, change).must_match()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: ObjectId = ObjectId::from_bytes([1; 12]);

    fn change(before: Option<&[u64]>, now: &[u64]) -> Option<Change> {
        let known =
            before.map(|skills| Known { member: ADA, skills: skills.iter().copied().collect(), mark: Bson::Null });
        Change::to(ADA, known, now.iter().copied().collect())
    }

    #[test]
    fn only_what_differs_is_written() {
        let change = |before, now| {
            change(before, now).map(|change| (change.added().collect::<Vec<_>>(), change.gone().collect::<Vec<_>>()))
        };
        assert_eq!(change(None, &[]), None);
        assert_eq!(change(Some(&[1, 2]), &[2, 1]), None);
        assert_eq!(change(None, &[1]), Some((vec![1], vec![])));
        assert_eq!(change(Some(&[1, 2]), &[2, 3]), Some((vec![3], vec![1])));
        assert_eq!(change(Some(&[1]), &[]), Some((vec![], vec![1])));
    }

    #[test]
    fn skills_are_the_same_however_they_are_spelt_and_no_more_than_are_scored() {
        let of = |skills: Vec<String>| skills_of(doc! { "skills": skills });
        let text = |skills: &[&str]| of(skills.iter().map(|skill| (*skill).to_owned()).collect());
        assert_eq!(text(&["ReactJS", "basket-weaving"]), text(&["basket  Weaving", "react", "React.js"]));
        assert_eq!(of((0..3_000).map(|number| format!("skill {number}")).collect()).len(), 50);
        assert_eq!(of(vec!["x".repeat(100_000), "\u{202e}Ж\u{0}".to_owned()]).len(), 2);
        assert!(skills_of(doc! { "skills": { "0": "rust" } }).is_empty());
    }

    fn skills_of(user: Document) -> BTreeSet<u64> {
        skills(user, &mut Catalogue::embedded().unwrap())
    }
}
