//! What the scores look at in a member: which skills, of which categories, and the age. Made of a stored document of
//! any age and shape: what can't be read there counts as not known.

use devconnect_sdk::prelude::*;

use crate::matching::catalogue::{Catalogue, SkillId};

/// The most skills of a member that are looked at; a profile of today has no more.
const MOST_SKILLS: usize = 50;
/// Of a member who does not tell the age, in years.
const UNKNOWN_AGE: f64 = 25.0;
/// Ages that can be meant, in years.
const AGES: std::ops::RangeInclusive<f64> = 1.0..=120.0;

/// A member, as far as scores go.
#[derive(Debug, Clone)]
pub struct Profile {
    /// In order, each once.
    pub skills: Vec<SkillId>,
    /// A bit for each category that has one of the skills.
    pub categories: u64,
    /// The square of the length of the skill vector: each skill is a dimension, as long as its category weighs.
    pub square: f64,
    /// In years.
    pub age: f64,
}

impl Profile {
    /// Of a user document.
    pub fn of(user: &Document, catalogue: &mut Catalogue) -> Self {
        let age = user.get_f64("age").filter(|age| AGES.contains(age)).unwrap_or(UNKNOWN_AGE);
        let texts = user.get_array("skills").unwrap_or_default().iter().filter_map(Bson::as_str);
        Self::new(texts, age, catalogue)
    }

    /// Of skills as members write them, and an age in years.
    pub fn new<'a>(texts: impl Iterator<Item = &'a str>, age: f64, catalogue: &mut Catalogue) -> Self {
        let mut skills: Vec<SkillId> = texts.take(MOST_SKILLS).filter_map(|text| catalogue.skill(text)).collect();
        skills.sort_unstable();
        skills.dedup();
        let categories = skills.iter().fold(0, |bits, skill| bits | catalogue.category_bit(*skill));
        let square = skills.iter().map(|skill| catalogue.weight(*skill).powi(2)).sum();
        Self { skills, categories, square, age }
    }

    /// Whether the skill is one of the member's.
    pub fn has(&self, skill: SkillId) -> bool {
        self.skills.binary_search(&skill).is_ok()
    }

    /// The skills that `other` has, too.
    pub fn shared<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = SkillId> + 'a {
        self.skills.iter().copied().filter(|skill| other.has(*skill))
    }

    /// The skills that `other` lacks.
    pub fn own<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = SkillId> + 'a {
        self.skills.iter().copied().filter(|skill| !other.has(*skill))
    }

    /// Of those, the ones that go together with a skill of `other`.
    pub fn complements<'a>(&'a self, other: &'a Self, catalogue: &'a Catalogue) -> impl Iterator<Item = SkillId> + 'a {
        self.own(other).filter(|skill| catalogue.complements(*skill).iter().any(|related| other.has(*related)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(user: &Document) -> Profile {
        Profile::of(user, &mut Catalogue::embedded().unwrap())
    }

    #[test]
    fn an_age_that_can_not_be_meant_is_not_known() {
        let ages = [doc! { "age": 33 }, doc! { "age": 33.5 }, doc! { "age": 33_i64 }];
        assert_eq!(ages.map(|user| profile(&user).age), [33.0, 33.5, 33.0]);
        let none = [doc! {}, doc! { "age": "33" }, doc! { "age": null }, doc! { "age": f64::NAN }, doc! { "age": -1 }];
        assert_eq!(none.map(|user| profile(&user).age), [25.0; 5]);
        assert_eq!([doc! { "age": 1e300 }, doc! { "age": [30] }].map(|user| profile(&user).age), [25.0; 2]);
    }

    #[test]
    fn a_skill_counts_once_however_it_is_spelt() {
        let user =
            doc! { "skills": ["React", "react.js", " REACTJS ", "ReactJS", "", "  ", null, 5, ["React"], "rust"] };
        assert_eq!(profile(&user).skills.len(), 2);
        for odd in [doc! {}, doc! { "skills": "rust" }, doc! { "skills": null }, doc! { "skills": { "0": "rust" } }] {
            assert!(profile(&odd).skills.is_empty(), "{odd:?}");
        }
    }

    #[test]
    fn no_more_skills_than_a_profile_may_have_are_looked_at() {
        let many: Vec<String> = (0..80).map(|number| format!("skill {number}")).collect();
        assert_eq!(profile(&doc! { "skills": many }).skills.len(), 50);
    }
}
