//! How well two members fit: five scores, each from 0 to 1, and their weighted sum. They are the same from both sides.
//! Pure: two profiles and the catalogue in, numbers out. Without a skill on the other side there is nothing to go by,
//! and all five are 0; a member who has none yet still sees others by how much they cover.

use serde::Serialize;

use crate::matching::catalogue::Catalogue;
use crate::matching::profile::Profile;

/// The five scores, each from 0 to 1 with four decimals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Scores {
    /// How much of their skills they share.
    pub jaccard: f64,
    /// How far their skill vectors point the same way.
    pub cosine: f64,
    /// How much of what they do not share goes together with what the other has.
    pub complementary: f64,
    /// How much of all categories the two of them cover.
    pub diversity: f64,
    /// How near they are in experience.
    pub experience: f64,
}

impl Scores {
    /// How `other` fits `member`.
    pub fn of(member: &Profile, other: &Profile, catalogue: &Catalogue) -> Self {
        Self {
            jaccard: rounded(jaccard(member, other)),
            cosine: rounded(cosine(member, other, catalogue)),
            complementary: rounded(complementary(member, other, catalogue)),
            diversity: rounded(diversity(member, other, catalogue)),
            experience: rounded(experience(member, other)),
        }
    }

    /// The score: from 0 to 1, with four decimals. Made of the rounded scores, so that who sees them can add it up.
    pub fn total(&self) -> f64 {
        rounded(
            0.30 * self.jaccard
                + 0.25 * self.cosine
                + 0.20 * self.complementary
                + 0.15 * self.diversity
                + 0.10 * self.experience,
        )
    }
}

/// To four decimals.
fn rounded(score: f64) -> f64 {
    (score * 10_000.0).round() / 10_000.0
}

/// `part` of `whole`; 0 when there is no whole.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// Skills that both have, of those that either has.
fn jaccard(one: &Profile, other: &Profile) -> f64 {
    let shared = one.shared(other).count();
    ratio(shared as f64, (one.skills.len() + other.skills.len() - shared) as f64)
}

/// The cosine of the angle between the skill vectors, in which each skill is a dimension of its category's weight.
fn cosine(one: &Profile, other: &Profile, catalogue: &Catalogue) -> f64 {
    let product: f64 = one.shared(other).map(|skill| catalogue.weight(skill).powi(2)).sum();
    // Rounding may end just above 1 for two that are the same.
    ratio(product, (one.square * other.square).sqrt()).min(1.0)
}

/// Of the skills that only one of them has, those that go together with a skill of the other.
fn complementary(one: &Profile, other: &Profile, catalogue: &Catalogue) -> f64 {
    let related = one.complements(other, catalogue).count() + other.complements(one, catalogue).count();
    ratio(related as f64, (one.own(other).count() + other.own(one).count()) as f64)
}

/// Categories that the two of them have skills in, of all categories.
fn diversity(member: &Profile, other: &Profile, catalogue: &Catalogue) -> f64 {
    if other.skills.is_empty() {
        return 0.0;
    }
    let covered = (member.categories | other.categories).count_ones();
    ratio(f64::from(covered), catalogue.category_count() as f64)
}

/// The lesser experience of the greater one. Experience is the number of skills times the logarithm of the years since
/// coming of age, of which everybody has at least one: `skills × ln(max(age − 18, 1) + 1)`.
fn experience(one: &Profile, other: &Profile) -> f64 {
    let of = |profile: &Profile| profile.skills.len() as f64 * ((profile.age - 18.0).max(1.0) + 1.0).ln();
    let (one, other) = (of(one), of(other));
    ratio(one.min(other), one.max(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four categories. React goes with Node and Figma, Node with Postgres.
    const TABLE: &str = r#"{
        "categories": [
            { "name": "front", "weight": 1.0, "skills": { "React": ["reactjs"], "CSS": [] } },
            { "name": "back", "weight": 2.0, "skills": { "Node": [], "Go": [] } },
            { "name": "store", "weight": 0.5, "skills": { "Postgres": ["postgresql"], "Redis": [] } },
            { "name": "other", "weight": 0.25, "skills": { "Figma": [] } }
        ],
        "default": "other",
        "complements": { "React": ["Node", "Figma"], "Node": ["Postgres"] }
    }"#;

    struct Pair {
        catalogue: Catalogue,
        one: Profile,
        other: Profile,
    }

    /// Two members with skills separated by spaces, and their ages.
    fn pair(one: (&str, f64), other: (&str, f64)) -> Pair {
        let mut catalogue = Catalogue::read(TABLE).unwrap();
        let [one, other] = [one, other].map(|(skills, age)| Profile::new(skills.split(' '), age, &mut catalogue));
        Pair { catalogue, one, other }
    }

    fn skills(one: &str, other: &str) -> Pair {
        pair((one, 25.0), (other, 25.0))
    }

    #[track_caller]
    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} should be {expected}");
    }

    #[test]
    fn jaccard_is_shared_of_all() {
        for (one, other, expected) in [
            ("React CSS", "React CSS", 1.0),
            ("React CSS", "Go", 0.0),
            // React of React, CSS, Node.
            ("React CSS", "reactjs Node", 1.0 / 3.0),
            // React and Go of React, Go, CSS, Node, Redis.
            ("React Go CSS", "go REACT Node Redis", 0.4),
            ("React", "", 0.0),
            ("", "", 0.0),
        ] {
            let Pair { one, other, .. } = skills(one, other);
            near(jaccard(&one, &other), expected);
            near(jaccard(&other, &one), expected);
        }
    }

    #[test]
    fn cosine_weighs_by_category() {
        for (one, other, expected) in [
            ("React Node", "node react", 1.0),
            ("React", "Node", 0.0),
            // (1, 2) and (1, 0): 1 / √5.
            ("React Node", "React", 1.0 / 5.0_f64.sqrt()),
            // (1, 2) and (0, 2): 4 / (√5 · 2). A shared skill of a heavier category says more.
            ("React Node", "Node", 2.0 / 5.0_f64.sqrt()),
            // (1, 2, ½) and (2, ½, ¼) share 2 and ½: 4.25 / (√5.25 · √4.3125).
            ("React Node Redis", "Node Redis Figma", 4.25 / (5.25_f64.sqrt() * 4.3125_f64.sqrt())),
            ("React", "", 0.0),
            ("", "", 0.0),
        ] {
            let Pair { catalogue, one, other } = skills(one, other);
            near(cosine(&one, &other, &catalogue), expected);
            near(cosine(&other, &one, &catalogue), expected);
        }
    }

    #[test]
    fn complementary_looks_at_what_is_not_shared() {
        for (one, other, expected) in [
            // Each goes with the other.
            ("React", "Node", 1.0),
            // React goes with Node and Node with React; CSS and Redis with nothing.
            ("React CSS", "Node Redis", 0.5),
            // Node is shared; React goes with it, Postgres, too.
            ("React Node", "Node Postgres", 1.0),
            // Node is shared; Postgres goes with it, CSS does not: 1 of 2.
            ("Node CSS", "Node Postgres", 0.5),
            // What both have goes together with nobody's.
            ("React Node", "React Node", 0.0),
            ("CSS", "Go", 0.0),
            // A skill that is not in the table has no relations.
            ("React", "Juggling", 0.0),
            ("React", "", 0.0),
        ] {
            let Pair { catalogue, one, other } = skills(one, other);
            near(complementary(&one, &other, &catalogue), expected);
            near(complementary(&other, &one, &catalogue), expected);
        }
    }

    #[test]
    fn diversity_is_what_two_cover() {
        for (one, other, expected) in [
            ("React", "React", 0.25),
            ("React", "CSS", 0.25),
            ("React", "Node", 0.5),
            ("React Node", "Redis Juggling", 1.0),
            ("", "React Node", 0.5),
            // Who has no skills adds nothing to anybody.
            ("React Node", "", 0.0),
        ] {
            let Pair { catalogue, one, other } = skills(one, other);
            near(diversity(&one, &other, &catalogue), expected);
        }
    }

    #[test]
    fn experience_is_skills_times_the_logarithm_of_years() {
        for (one, other, expected) in [
            // The same years: one skill of two.
            (("React", 30.0), ("React CSS", 30.0), 0.5),
            // ln 3 of ln 9 is one half.
            (("React", 20.0), ("Go", 26.0), 0.5),
            // 2 · ln 3 and 1 · ln 9 are the same.
            (("React CSS", 20.0), ("Go", 26.0), 1.0),
            // Below 19 it is one year: ln 2 of ln 8.
            (("React", 12.0), ("Go", 25.0), 1.0 / 3.0),
            (("React", 18.0), ("Go", 19.0), 1.0),
            (("React", 30.0), ("", 30.0), 0.0),
            (("", 30.0), ("", 30.0), 0.0),
        ] {
            let Pair { one, other, .. } = pair(one, other);
            near(experience(&one, &other), expected);
            near(experience(&other, &one), expected);
        }
    }

    #[test]
    fn the_total_is_weighted() {
        // Jaccard 1/3; cosine 4 / (√5 · √4.25) = 0.867722; of React and Postgres both go with Node: 1; 3 of 4
        // categories; 2 · ln 3 of 2 · ln 9: 1/2.
        let Pair { catalogue, one, other } = pair(("React Node", 20.0), ("Node Postgres", 26.0));
        let scores = Scores::of(&one, &other, &catalogue);
        let expected = Scores { jaccard: 0.3333, cosine: 0.8677, complementary: 1.0, diversity: 0.75, experience: 0.5 };
        assert_eq!(scores, expected);
        // 0.09999 + 0.216925 + 0.2 + 0.1125 + 0.05 = 0.679415
        assert_eq!(scores.total(), 0.6794);
    }

    #[test]
    fn totals_go_from_nothing_to_all() {
        let all = Scores { jaccard: 1.0, cosine: 1.0, complementary: 1.0, diversity: 1.0, experience: 1.0 };
        assert_eq!(all.total(), 1.0);
        let Pair { catalogue, one, other } = skills("React Node Redis Figma", "");
        assert_eq!(Scores::of(&one, &other, &catalogue).total(), 0.0);
        // The same skills in every category: 0.3 + 0.25 + 0 + 0.15 + 0.1.
        let Pair { catalogue, one, other } = skills("React Node Redis Figma", "figma redis node react");
        assert_eq!(Scores::of(&one, &other, &catalogue).total(), 0.8);
    }
}
