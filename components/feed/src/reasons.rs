//! Why somebody is recommended, in words for the member who reads them. Whoever has a skill gets at least one reason.

use model::matching::catalogue::Catalogue;
use model::matching::profile::Profile;
use model::matching::scores::Scores;

/// The most names in one sentence.
const MOST_NAMES: usize = 3;
/// From this cosine on two sets of skills are much alike.
const ALIKE: f64 = 0.7;
/// From this ratio on two members are about as experienced.
const AS_EXPERIENCED: f64 = 0.8;

/// Sentences about `other`, to be read by `member`; what weighs most comes first.
pub(crate) fn reasons(member: &Profile, other: &Profile, scores: &Scores, catalogue: &Catalogue) -> Vec<String> {
    let mut reasons = Vec::new();
    let mut say = |names: Vec<&str>, sentence: &dyn Fn(&str) -> String| {
        if !names.is_empty() {
            reasons.push(sentence(&list(&names)));
        }
    };
    let names = |skills: &mut dyn Iterator<Item = _>| skills.map(|skill| catalogue.name(skill)).collect::<Vec<_>>();
    say(names(&mut other.shared(member)), &|names| format!("You both know {names}"));
    say(names(&mut other.complements(member, catalogue)), &|names| format!("Brings {names} to go with what you know"));
    let new = catalogue.category_names(other.categories & !member.categories).collect();
    say(new, &|names| format!("Covers {names}, where you have no skills"));
    if scores.cosine >= ALIKE {
        reasons.push("Has a set of skills much like yours".to_owned());
    }
    if scores.experience >= AS_EXPERIENCED {
        reasons.push("Is about as experienced as you".to_owned());
    }
    if reasons.is_empty() {
        let same: Vec<&str> = catalogue.category_names(other.categories & member.categories).collect();
        if !same.is_empty() {
            reasons.push(format!("Works on {}, too", list(&same)));
        }
    }
    reasons
}

/// `A`, `A and B`, `A, B and C`, `A, B, C and 2 more`.
fn list(names: &[&str]) -> String {
    let more = names.len().saturating_sub(MOST_NAMES);
    let shown: Vec<&str> = names.iter().take(MOST_NAMES).copied().collect();
    match (shown.split_last(), more) {
        (Some((last, [])), 0) => (*last).to_owned(),
        (Some((last, before)), 0) => format!("{} and {last}", before.join(", ")),
        (_, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(member: &str, other: &str) -> Vec<String> {
        let mut catalogue = Catalogue::embedded().unwrap();
        let [member, other] =
            [(member, 40.0), (other, 25.0)].map(|(skills, age)| Profile::new(skills.split(','), age, &mut catalogue));
        reasons(&member, &other, &Scores::of(&member, &other, &catalogue), &catalogue)
    }

    #[test]
    fn names_are_listed() {
        assert_eq!(list(&["A"]), "A");
        assert_eq!(list(&["A", "B"]), "A and B");
        assert_eq!(list(&["A", "B", "C"]), "A, B and C");
        assert_eq!(list(&["A", "B", "C", "D", "E"]), "A, B, C and 2 more");
    }

    #[test]
    fn each_score_has_its_sentence() {
        let expected = [
            "You both know React",
            "Brings Node.js to go with what you know",
            "Covers backend, where you have no skills",
        ];
        assert_eq!(said("react,css", "reactjs,nodejs"), expected);
        assert_eq!(said("rust,juggling", "rust,juggling")[1], "Has a set of skills much like yours");
    }

    #[test]
    fn there_is_always_a_reason() {
        assert_eq!(said("", "rust"), ["Covers languages, where you have no skills"]);
        assert_eq!(said("juggling", "cooking"), ["Works on other, too"]);
        assert!(said("juggling", "").is_empty(), "for who has no skills nothing speaks");
    }
}
