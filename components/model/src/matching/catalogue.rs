//! The skills that are known by name: how else they are spelt, of which category they are, what a category weighs, and
//! which skills go together. All of that is data, in `skills.json`, and embedded. A skill that is not there is a skill
//! all the same, of the default category. Reading the table costs a fraction of scoring, so only a ranked feed does.

use std::collections::BTreeMap;

use devconnect_sdk::prelude::*;
use serde::{Deserialize, Serialize};

const TABLE: &str = include_str!("skills.json");
/// The most characters of a skill that are looked at.
const LONGEST: usize = 50;
/// A profile has a bit for each category.
const MOST_CATEGORIES: usize = 64;

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table<'a> {
    #[serde(borrow)]
    categories: Vec<Category<'a>>,
    /// The category of what is not in the table.
    default: &'a str,
    /// Skills by name with others that go together with them; it holds in both directions.
    complements: BTreeMap<&'a str, Vec<&'a str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Category<'a> {
    name: &'a str,
    /// How much a shared skill of it says, above 0.
    weight: f64,
    /// Names with other spellings.
    #[serde(borrow)]
    skills: BTreeMap<&'a str, Vec<&'a str>>,
}

/// A skill of the table, by a number that stays the same whatever else is in the table and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SkillKey(pub u32);

/// A skill, in one catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SkillId(u32);

#[derive(Debug)]
struct Skill {
    /// As it is shown.
    name: String,
    category: usize,
    complements: Vec<SkillId>,
}

/// The table, and whatever unknown skills were met since it was read.
#[derive(Debug)]
pub struct Catalogue {
    /// Names and weights.
    categories: Vec<(String, f64)>,
    default: usize,
    skills: Vec<Skill>,
    /// How many of them are in the table; they come first.
    known: usize,
    /// By [`normal`] spelling, and by every other one that was met.
    ids: BTreeMap<String, SkillId>,
}

impl Catalogue {
    /// The one of `skills.json`.
    pub fn embedded() -> Result<Self, Error> {
        Self::read(TABLE).map_err(|error| Error::internal(format!("skills.json: {error}")))
    }

    /// Of a file's text; the error says what is wrong with it.
    pub fn read(table: &str) -> Result<Self, String> {
        let table: Table<'_> = serde_json::from_str(table).map_err(|error| error.to_string())?;
        if table.categories.len() > MOST_CATEGORIES {
            return Err(format!("there are more than {MOST_CATEGORIES} categories"));
        }
        let categories: Vec<_> =
            table.categories.iter().map(|category| (category.name.to_owned(), category.weight)).collect();
        let default = categories.iter().position(|(name, _)| name == table.default);
        let default = default.ok_or_else(|| format!("the default category {} is not there", table.default))?;
        let mut catalogue = Self { categories, default, skills: Vec::new(), known: 0, ids: BTreeMap::new() };
        for (place, category) in table.categories.iter().enumerate() {
            for (name, spellings) in &category.skills {
                let id = catalogue.add(name, place);
                for spelling in spellings.iter().chain([name]) {
                    if catalogue.ids.insert(normal(spelling), id).is_some_and(|other| other != id) {
                        return Err(format!("{spelling} is the name of two skills"));
                    }
                }
            }
        }
        catalogue.known = catalogue.skills.len();
        for (name, others) in &table.complements {
            others.iter().try_for_each(|other| catalogue.relate(name, other))?;
        }
        Ok(catalogue)
    }

    fn add(&mut self, name: &str, category: usize) -> SkillId {
        let id = SkillId(u32::try_from(self.skills.len()).unwrap_or(u32::MAX));
        self.skills.push(Skill { name: name.to_owned(), category, complements: Vec::new() });
        id
    }

    fn relate(&mut self, name: &str, other: &str) -> Result<(), String> {
        let known = |name: &str| self.ids.get(&normal(name)).copied().ok_or_else(|| format!("{name} is no skill"));
        let (one, other) = (known(name)?, known(other)?);
        for (of, related) in [(one, other), (other, one)] {
            if let Some(skill) = self.skills.get_mut(of.0 as usize)
                && !skill.complements.contains(&related)
            {
                skill.complements.push(related);
            }
        }
        Ok(())
    }

    /// The skill that a member calls `text`; none when it says nothing.
    pub fn skill(&mut self, text: &str) -> Option<SkillId> {
        // Members spell alike: most of the time the text needs no look at its characters.
        if let Some(id) = self.ids.get(text) {
            return Some(*id);
        }
        let spelling = normal(text);
        if spelling.is_empty() {
            return None;
        }
        let id = match self.ids.get(&spelling) {
            Some(id) => *id,
            None => self.add(shortened(text.trim()), self.default),
        };
        self.ids.insert(spelling, id);
        if text.len() <= LONGEST {
            self.ids.insert(text.to_owned(), id);
        }
        Some(id)
    }

    /// As it is shown: a known skill by its name in the table, any other as it was first written.
    pub fn name(&self, skill: SkillId) -> &str {
        self.get(skill).map_or("", |skill| &skill.name)
    }

    /// Its key, which only a skill of the table has.
    pub fn key(&self, skill: SkillId) -> Option<SkillKey> {
        let is_known = (skill.0 as usize) < self.known;
        is_known.then(|| SkillKey((self.fingerprint(skill) >> 32) as u32))
    }

    /// The skill of the table that has this key.
    pub fn by_key(&self, key: SkillKey) -> Option<SkillId> {
        self.all().find(|skill| self.key(*skill) == Some(key))
    }

    /// The skills of the table.
    pub fn all(&self) -> impl Iterator<Item = SkillId> {
        (0..self.known).filter_map(|id| u32::try_from(id).ok()).map(SkillId)
    }

    /// A number that stands for a skill, known or not, however it is spelt. Two skills rarely have the same.
    pub fn fingerprint(&self, skill: SkillId) -> u64 {
        hash(normal(self.name(skill)).as_bytes())
    }

    /// A number that stands for the table: another table has another one.
    pub fn version() -> u64 {
        hash(TABLE.as_bytes())
    }

    /// What its category weighs; above 0.
    pub fn weight(&self, skill: SkillId) -> f64 {
        let category = self.get(skill).and_then(|skill| self.categories.get(skill.category));
        category.map_or(0.0, |(_, weight)| *weight)
    }

    /// The skills that go together with it.
    pub fn complements(&self, skill: SkillId) -> &[SkillId] {
        self.get(skill).map_or(&[], |skill| &skill.complements)
    }

    /// The bit that stands for its category.
    pub fn category_bit(&self, skill: SkillId) -> u64 {
        self.get(skill).map_or(0, |skill| 1 << skill.category)
    }

    /// How many categories there are, the default one among them.
    pub fn category_count(&self) -> usize {
        self.categories.len()
    }

    /// The names of the categories that these bits stand for.
    pub fn category_names(&self, bits: u64) -> impl Iterator<Item = &str> {
        let names = self.categories.iter().map(|(name, _)| name.as_str());
        names.enumerate().filter(move |(place, _)| bits >> place & 1 == 1).map(|(_, name)| name)
    }

    fn get(&self, skill: SkillId) -> Option<&Skill> {
        self.skills.get(skill.0 as usize)
    }
}

/// FNV-1a, and then mixed so that each bit of it is as good as any other.
fn hash(bytes: &[u8]) -> u64 {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 29)
}

/// As much of it as is looked at.
fn shortened(text: &str) -> &str {
    text.char_indices().nth(LONGEST).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// The form in which two spellings of a skill are the same: lower case, with one space wherever there was space, `-`
/// or `_`, and none around. `C++`, `C#` and `Node.js` stay what they are.
fn normal(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LONGEST));
    for character in shortened(text.trim()).chars() {
        if character.is_whitespace() || matches!(character, '-' | '_') {
            if !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
            }
        } else {
            out.extend(character.to_lowercase());
        }
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const RUST: u32 = 0xe10d_6f1f;

    #[test]
    fn the_embedded_table_can_be_read() {
        let catalogue = Catalogue::embedded().unwrap();
        assert!(catalogue.categories.iter().all(|(_, weight)| *weight > 0.0));
        assert!(catalogue.skills.len() > 150);
        let related = catalogue.skills.iter().filter(|skill| !skill.complements.is_empty()).count();
        assert!(related > 100, "{related}");
        assert!((0..).zip(&catalogue.skills).all(|(id, skill)| !skill.complements.contains(&SkillId(id))));
    }

    #[test]
    fn spellings_meet() {
        for (text, spelling) in [
            ("  React   Native ", "react native"),
            ("React-Native", "react native"),
            ("react__native-", "react native"),
            ("Node.JS", "node.js"),
            ("C++", "c++"),
            ("ÉLIXIR", "élixir"),
            (" \t\n", ""),
            ("--", ""),
        ] {
            assert_eq!(normal(text), spelling, "{text:?}");
        }
        assert_eq!(normal(&"x".repeat(1_000)).len(), LONGEST);
        let mut catalogue = Catalogue::embedded().unwrap();
        assert_eq!(catalogue.skill("reactjs"), catalogue.skill("React.js"));
        assert_eq!(catalogue.skill("golang"), catalogue.skill("Go"));
        assert_ne!(catalogue.skill("Java"), catalogue.skill("JavaScript"));
    }

    #[test]
    fn an_unknown_skill_is_of_the_default_category() {
        let mut catalogue = Catalogue::embedded().unwrap();
        let skill = catalogue.skill(" Basket-Weaving ").unwrap();
        assert_eq!(catalogue.skill("basket weaving"), Some(skill));
        assert_eq!(catalogue.name(skill), "Basket-Weaving");
        assert_eq!(catalogue.category_names(catalogue.category_bit(skill)).collect::<Vec<_>>(), ["other"]);
        assert!(catalogue.weight(skill) > 0.0 && catalogue.complements(skill).is_empty());
        assert_eq!(catalogue.skill(" - "), None);
    }

    #[test]
    fn a_skill_of_the_table_has_a_key_of_its_own() {
        let mut catalogue = Catalogue::embedded().unwrap();
        let keys: BTreeSet<SkillKey> = catalogue.all().filter_map(|skill| catalogue.key(skill)).collect();
        assert_eq!(keys.len(), catalogue.known);
        let rust = catalogue.skill("rustlang").unwrap();
        assert_eq!(catalogue.by_key(catalogue.key(rust).unwrap()), Some(rust));
        // It is stored, and must be the same for ever.
        assert_eq!(catalogue.key(rust), Some(SkillKey(RUST)));
        let unknown = catalogue.skill("Basket-Weaving").unwrap();
        assert_eq!(catalogue.key(unknown), None);
        let again = Catalogue::embedded().unwrap().skill(" basket weaving");
        assert!(again.is_some());
    }

    #[test]
    fn a_fingerprint_is_the_same_however_a_skill_is_spelt() {
        let of = |text: &str| {
            let mut catalogue = Catalogue::embedded().unwrap();
            let skill = catalogue.skill(text).unwrap();
            catalogue.fingerprint(skill)
        };
        assert_eq!(of("Basket-Weaving"), of(" basket   weaving "));
        assert_eq!(of("React.js"), of("reactjs"));
        assert_ne!(of("React"), of("Basket-Weaving"));
    }

    #[test]
    fn a_wrong_table_is_refused_by_what_is_wrong() {
        let read = |text: &str| Catalogue::read(text).unwrap_err();
        let one = r#"{"name":"a","weight":1.0,"skills":{"X":["y"],"Z":[]}}"#;
        assert!(read("{").contains("EOF"));
        assert!(read(&format!(r#"{{"categories":[{one}],"default":"b","complements":{{}}}}"#)).contains("category b"));
        let unknown = format!(r#"{{"categories":[{one}],"default":"a","complements":{{"X":["Q"]}}}}"#);
        assert_eq!(read(&unknown), "Q is no skill");
        let twice =
            r#"{"categories":[{"name":"a","weight":1.0,"skills":{"X":["y"],"Y":[]}}],"default":"a","complements":{}}"#;
        assert_eq!(read(twice), "Y is the name of two skills");
    }
}
