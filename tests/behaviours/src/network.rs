//! Members as a network has them: most of what one knows belongs to one field of work, the rest to any. A few have a skill that
//! is in no table.

use model::matching::catalogue::{Catalogue, SkillId, SkillKey};
use model::matching::pairs;
use model::matching::profile::Profile;
use rand::RngExt as _;
use rand::rngs::SmallRng;

/// Of a member's skills so many of ten are of the own field.
const OF_FIELD: u32 = 7;

/// Somebody.
pub(crate) struct Member {
    /// The field of work: a category of the table, by its number.
    pub(crate) field: usize,
    pub(crate) profile: Profile,
    pub(crate) keys: Vec<SkillKey>,
}

/// Where members come from.
pub(crate) struct Network {
    pub(crate) catalogue: Catalogue,
    /// The skills of each category.
    pub(crate) fields: Vec<Vec<SkillId>>,
}

impl Network {
    pub(crate) fn new() -> Result<Self, String> {
        let catalogue = Catalogue::embedded().map_err(|error| error.to_string())?;
        let mut fields = vec![Vec::new(); catalogue.category_count()];
        for skill in catalogue.all() {
            if let Some(field) = fields.get_mut(catalogue.category_bit(skill).trailing_zeros() as usize) {
                field.push(skill);
            }
        }
        Ok(Self { catalogue, fields })
    }

    /// Somebody new.
    pub(crate) fn member(&mut self, random: &mut SmallRng) -> Member {
        let field = random.random_range(0..self.fields.len());
        let mut texts: Vec<String> = Vec::new();
        for _ in 0..random.random_range(3..=9) {
            let of =
                if random.random_range(0..10) < OF_FIELD { field } else { random.random_range(0..self.fields.len()) };
            let skills = self.fields.get(of).map(Vec::as_slice).unwrap_or_default();
            // The first of a field are more usual than the last.
            let at = random.random_range(0..skills.len().max(1)).min(random.random_range(0..skills.len().max(1)));
            texts.extend(skills.get(at).map(|skill| self.catalogue.name(*skill).to_owned()));
        }
        if random.random_range(0..20) == 0 {
            texts.push(format!("craft {}", random.random_range(0..50)));
        }
        let age = f64::from(random.random_range(19_u8..60));
        let profile = Profile::new(texts.iter().map(String::as_str), age, &mut self.catalogue);
        let keys = pairs::keys(&profile.skills, &self.catalogue);
        Member { field, profile, keys }
    }
}
