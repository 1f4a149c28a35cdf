//! How well others fit a member: by the formula, or for some tiers by the model, which weighs the formula and what became of
//! requests between members with such skills.

use std::collections::BTreeMap;

use devconnect_sdk::config;
use devconnect_sdk::prelude::*;
use model::matching::calibration::Calibration;
use model::matching::catalogue::{Catalogue, SkillId, SkillKey};
use model::matching::pairs::{self, Taste};
use model::matching::profile::Profile;
use model::matching::scores::Scores;
use serde::{Deserialize, Serialize};

use crate::learnt;
use crate::state::Built;

/// Which tiers have the model.
const SETTING: &str = "feed.model";
const TIERS: [&str; 3] = ["free", "silver", "gold"];
/// Who scores less is not recommended.
const LEAST: f64 = 0.05;
/// How long what the model says of a member is kept, in seconds.
const AGE: u32 = 300;

/// By what others are scored.
#[derive(Debug)]
pub(crate) struct Judge {
    /// None: by the formula.
    opinion: Option<Opinion>,
}

/// What the model says of a member.
#[derive(Debug, Serialize, Deserialize)]
struct Opinion {
    taste: Taste,
    calibration: Calibration,
    /// The skills that it knows.
    #[serde(skip)]
    keys: BTreeMap<SkillId, SkillKey>,
}

/// What there is to say of another member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judged {
    pub(crate) scores: Scores,
    /// What counts: from 0 to 1.
    pub(crate) total: f64,
    /// Whether it is enough to be recommended.
    pub(crate) is_enough: bool,
}

impl Judge {
    /// For a member of this tier with this profile.
    pub(crate) fn of(
        member: ObjectId,
        tier: &str,
        profile: &Profile,
        catalogue: &Catalogue,
        built: Built,
    ) -> Result<Self, Error> {
        if !built.model || !has_model(tier)? {
            return Ok(Self { opinion: None });
        }
        let key = format!("user:{}:taste", member.to_hex());
        let kept = cache::get(&key).ok().flatten().and_then(|kept| serde_json::from_slice(&kept).ok());
        let mut opinion: Opinion = match kept {
            Some(opinion) => opinion,
            None => {
                let own = pairs::keys(&profile.skills, catalogue);
                let known = learnt::read(own.iter().copied(), true, clock::now())?;
                let (taste, calibration) = (Taste::of(&known, &own), Calibration::fit(&known.grid));
                let opinion = Opinion { taste, calibration, keys: BTreeMap::new() };
                if let Ok(kept) = serde_json::to_vec(&opinion) {
                    // The cache is never needed.
                    let _ = cache::fill(&key, kept, AGE);
                }
                opinion
            }
        };
        opinion.keys = catalogue.all().filter_map(|skill| Some((skill, catalogue.key(skill)?))).collect();
        Ok(Self { opinion: Some(opinion) })
    }

    /// How well `other` fits `member`.
    pub(crate) fn judged(&self, member: &Profile, other: &Profile, catalogue: &Catalogue) -> Judged {
        let scores = Scores::of(member, other, catalogue);
        let total = scores.total();
        match &self.opinion {
            None => Judged { scores, total, is_enough: total >= LEAST },
            Some(opinion) => {
                let lift = opinion.taste.lift(&opinion.keys(other));
                let is_enough = !other.skills.is_empty() && (total >= LEAST || lift > 0.0);
                let total = if other.skills.is_empty() { 0.0 } else { opinion.calibration.score(total, lift) };
                Judged { scores, total, is_enough }
            }
        }
    }

    /// What the model has to say for `other`, in words.
    pub(crate) fn reason(&self, other: &Profile, catalogue: &Catalogue) -> Option<String> {
        let opinion = self.opinion.as_ref()?;
        let (own, skill) = opinion.taste.reason(&opinion.keys(other))?;
        let name = |key: SkillKey| catalogue.by_key(key).map(|skill| catalogue.name(skill));
        Some(format!("People with {} often connect with people with {}", name(own)?, name(skill)?))
    }
}

impl Opinion {
    fn keys(&self, of: &Profile) -> Vec<SkillKey> {
        of.skills.iter().filter_map(|skill| self.keys.get(skill).copied()).collect()
    }
}

/// Whether members of this tier have the model. What is no tier is free.
fn has_model(tier: &str) -> Result<bool, Error> {
    let text = config::get(SETTING)?.unwrap_or_default();
    let (tiers, odd): (Vec<&str>, Vec<&str>) = words(&text).partition(|word| TIERS.contains(word));
    if odd.iter().any(|word| *word != "off") {
        let why = "a setting has what is no tier; it takes some of free, silver and gold, or off";
        log::warn(why, &[("setting", SETTING), ("value", &text)]);
    }
    let tier = if TIERS.contains(&tier) { tier } else { "free" };
    Ok(tiers.contains(&tier))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ',']).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::matching::pairs::{Example, Pairs};

    fn profile(text: &str, catalogue: &mut Catalogue) -> Profile {
        Profile::new(text.split(','), 30.0, catalogue)
    }

    #[test]
    fn what_the_model_learnt_moves_members_and_is_told() {
        let mut catalogue = Catalogue::embedded().unwrap();
        let [ada, bea, eve] =
            ["Rust,Go", "WebAssembly,Figma", "Photoshop,Figma"].map(|text| profile(text, &mut catalogue));
        let [own, liked, not] = [&ada, &bea, &eve].map(|profile| pairs::keys(&profile.skills, &catalogue));
        let mut pairs = Pairs::default();
        for _ in 0..60 {
            for (other, accepted) in [(&liked, true), (&not, false)] {
                pairs.learn(&Example { member: &own, other, total: 0.2, accepted, weight: 1.0 });
            }
        }
        let (taste, calibration) = (Taste::of(&pairs, &own), Calibration::fit(&pairs.grid));
        let keys = catalogue.all().filter_map(|skill| Some((skill, catalogue.key(skill)?))).collect();
        let opinion = Opinion { taste, calibration, keys };
        // As the cache has it.
        let kept: Opinion = serde_json::from_slice(&serde_json::to_vec(&opinion).unwrap()).unwrap();
        let judge = Judge { opinion: Some(Opinion { keys: opinion.keys, ..kept }) };
        let [good, bad] = [&bea, &eve].map(|other| judge.judged(&ada, other, &catalogue).total);
        assert!(good > bad, "{good} {bad}");
        let said = judge.reason(&bea, &catalogue).unwrap();
        assert!(said.starts_with("People with ") && said.ends_with(" often connect with people with WebAssembly"));
        assert_eq!(judge.reason(&eve, &catalogue), None);
        let nobody = judge.judged(&ada, &profile("", &mut catalogue), &catalogue);
        assert_eq!((nobody.total, nobody.is_enough), (0.0, false));
    }

    #[test]
    fn a_setting_names_tiers() {
        assert_eq!(words("silver gold").collect::<Vec<_>>(), ["silver", "gold"]);
        assert_eq!(words(" silver,  gold,").collect::<Vec<_>>(), ["silver", "gold"]);
        assert_eq!(words("").count(), 0);
    }
}
