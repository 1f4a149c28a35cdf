//! Who the people are: the same ones each time, the first of so many being the same as the first of more.
//! Touches nothing.

mod about;
mod names;
mod roles;

use std::collections::BTreeSet;

use crate::chance::Chance;
use names::{CULTURES, Culture};
use roles::Role;

/// The one who has been here for long, the one who comes by now and then, and the one who has just joined.
pub const BUSY: usize = 0;
/// See [`BUSY`].
pub const MIDDLE: usize = 1;
/// See [`BUSY`].
pub const NEW: usize = 2;

/// The password of all of them. It is printed, and no secret.
pub const PASSWORD: &str = "Demo-people-1";

/// Where all their mail would go. Nothing that ends so is ever a real domain.
const DOMAIN: &str = "people.example";
/// The names of those who are shown, in their order: whether she is a woman, and which culture.
const SHOWN: [(&str, &str, bool, usize); 3] =
    [("Camila", "Ribeiro", true, 13), ("Jonas", "Brandt", false, 17), ("Nour", "Haddad", true, 10)];

/// Somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The first name.
    pub first: String,
    /// The family name.
    pub last: String,
    /// The e-mail address, ASCII.
    pub email: String,
    /// As the contract has it; some don't say.
    pub gender: Option<&'static str>,
    /// In years; some don't say.
    pub age: Option<usize>,
    /// What the profile says; may be empty.
    pub about: String,
    /// 3 to 8.
    pub skills: Vec<&'static str>,
    /// Where they live.
    pub town: &'static str,
    /// What they build.
    pub builds: &'static str,
    /// What the picture needs to know: hair that women or that men have more often, and the range of tones of skin.
    pub(crate) looks: Looks,
}

/// What a picture shows of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Looks {
    pub(crate) woman: bool,
    pub(crate) tones: (usize, usize),
}

impl Person {
    /// Both names.
    pub fn name(&self) -> String {
        format!("{} {}", self.first, self.last)
    }
}

/// So many people.
pub fn people(count: usize) -> Vec<Person> {
    let mut taken: BTreeSet<String> = SHOWN.iter().map(|(first, last, ..)| address(first, last)).collect();
    (0..count).map(|number| person(number, &mut taken)).collect()
}

fn person(number: usize, taken: &mut BTreeSet<String>) -> Person {
    let mut chance = Chance::of("people", number);
    let (first, last, woman, culture) = match SHOWN.get(number) {
        Some(&(first, last, woman, culture)) => {
            (first, last, woman, CULTURES.get(culture).copied().unwrap_or_default())
        }
        None => named(&mut chance, taken),
    };
    // A town of another culture for every fourth: people move.
    let home = if chance.percent(25) { chance.pick(CULTURES) } else { culture };
    let town = chance.pick(home.towns);
    let role = chance.pick(roles::ROLES);
    let skills = skills(&role, &mut chance);
    let title = chance.pick(role.titles);
    let about = about::text(&role, title, town, skills.first().copied().unwrap_or_default(), &mut chance);
    let about = if about.is_empty() && number <= NEW { format!("{title} in {town}.") } else { about };
    let gender = match chance.below(20) {
        0 => Some("others"),
        1..=3 => None,
        _ if woman => Some("female"),
        _ => Some("male"),
    };
    // Most are younger than forty, a few are about to retire.
    let age = 21 + chance.below(14) + chance.below(16) + if chance.percent(15) { chance.below(22) } else { 0 };
    Person {
        first: first.to_owned(),
        last: last.to_owned(),
        email: address(first, last),
        gender,
        age: (!chance.percent(15)).then_some(age),
        about,
        skills,
        town,
        builds: chance.pick(role.builds),
        looks: Looks { woman, tones: culture.tones },
    }
}

/// A name that nobody has yet.
fn named(chance: &mut Chance, taken: &mut BTreeSet<String>) -> (&'static str, &'static str, bool, Culture) {
    loop {
        let (culture, woman) = (chance.pick(CULTURES), chance.percent(48));
        let first = chance.pick(if woman { culture.women } else { culture.men });
        let last = chance.pick(culture.families);
        if taken.insert(address(first, last)) {
            return (first, last, woman, culture);
        }
    }
}

fn address(first: &str, last: &str) -> String {
    format!("{}.{}@{DOMAIN}", names::plain(first), names::plain(last))
}

/// What everybody of the role knows, and some of the rest.
fn skills(role: &Role, chance: &mut Chance) -> Vec<&'static str> {
    let more = 1 + chance.below(4) + chance.below(4);
    let mut skills = role.core.to_vec();
    skills.extend(chance.some(role.more, more.min(6)));
    skills
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_the_same_each_time_and_fewer_are_the_first_of_more() {
        let all = people(200);
        assert_eq!(all, people(200));
        assert_eq!(all[..12], people(12));
        assert_eq!(all[BUSY].name(), "Camila Ribeiro");
    }

    #[test]
    fn each_is_one_that_the_contract_takes() {
        let all = people(200);
        let emails: BTreeSet<&str> = all.iter().map(|person| person.email.as_str()).collect();
        assert_eq!(emails.len(), all.len());
        for person in &all {
            for name in [&person.first, &person.last] {
                assert!((1..=50).contains(&name.chars().count()) && name.trim() == name, "{person:?}");
            }
            let (local, domain) = person.email.split_once('@').unwrap();
            let is_atom = |atom: &str| !atom.is_empty() && atom.bytes().all(|byte| byte.is_ascii_lowercase());
            assert!(domain == DOMAIN && local.len() <= 64 && local.split('.').all(is_atom), "{person:?}");
            assert!(person.gender.is_none_or(|gender| ["male", "female", "others"].contains(&gender)), "{person:?}");
            assert!(person.age.is_none_or(|age| (18..=120).contains(&age)), "{person:?}");
            assert!(person.about.chars().count() <= 1_000 && !person.about.contains(['{', '}']), "{person:?}");
            assert!(!person.about.contains("  ") && person.about.trim() == person.about, "{person:?}");
            let skills: BTreeSet<&&str> = person.skills.iter().collect();
            assert!((3..=8).contains(&skills.len()) && skills.len() == person.skills.len(), "{person:?}");
            assert!(person.skills.iter().all(|skill| (1..=50).contains(&skill.len())), "{person:?}");
            assert!(!person.town.is_empty() && !person.builds.is_empty(), "{person:?}");
        }
    }

    #[test]
    fn they_are_a_mixed_lot() {
        let all = people(200);
        let different = |of: fn(&Person) -> &str| all.iter().map(of).collect::<BTreeSet<_>>().len();
        assert!(different(|person| &person.first) > 100);
        assert!(different(|person| &person.about) > 170);
        assert!(different(|person| person.town) > 60);
        let women = all.iter().filter(|person| person.gender == Some("female")).count();
        assert!((60..=120).contains(&women), "{women}");
    }

    #[test]
    fn the_password_is_one_that_sign_ups_take() {
        let has = |kind: fn(char) -> bool| PASSWORD.chars().any(kind);
        assert!(PASSWORD.len() >= 8 && has(char::is_lowercase) && has(char::is_uppercase) && has(char::is_numeric));
        assert!(has(|letter| !letter.is_alphanumeric()));
    }
}
