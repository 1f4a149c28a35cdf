//! The model: which skills of two members go together, learnt from what became of requests. For each pair of a skill that a
//! member has and a skill that another one has it counts how often the member wanted to know the other and how often not. Newer
//! requests weigh more. Counts only ever grow, so that it does not matter in which order or on which host they are made.
//!
//! Only skills of the table are learnt: there are so many of them, and members can't make up others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::matching::calibration::Grid;
use crate::matching::catalogue::{Catalogue, SkillId, SkillKey};

/// The version of the model. What is counted, or how it is added up, changes: then this does, and the model is learnt anew in
/// documents of its own.
pub const VERSION: u32 = 1;
/// After so many milliseconds a request weighs half as much: 180 days.
const HALF_LIFE: f64 = 180.0 * 86_400_000.0;
/// How many requests a pair has to have before they outweigh what is known of the member's skill alone.
const CAUTION: f64 = 8.0;
/// A pair is told of as a reason when it is accepted one and a half times as often as others, and was so often.
const TOLD_LIFT: f64 = 0.405;
const TOLD_ACCEPTED: f64 = 3.0;

/// What a request of this age weighs beside one of now; the age is in milliseconds.
pub fn weight(age: i64) -> f64 {
    (-(age as f64) / HALF_LIFE).exp2()
}

/// How many requests were accepted and how many were not, by their weights.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counts {
    /// The member wanted to know the other.
    pub accepted: f64,
    /// The member ignored or rejected the other.
    pub ignored: f64,
}

impl Counts {
    /// One request more, of this weight.
    pub fn add(&mut self, accepted: bool, weight: f64) {
        if accepted {
            self.accepted += weight;
        } else {
            self.ignored += weight;
        }
    }

    fn plus(self, other: Self) -> Self {
        Self { accepted: self.accepted + other.accepted, ignored: self.ignored + other.ignored }
    }

    /// The share of the accepted, above 0 and below 1.
    fn share(self) -> f64 {
        (self.accepted + 1.0) / (self.accepted + self.ignored + 2.0)
    }

    /// How much more often than `base` this was accepted, as a difference of log-odds; near 0 while there is little to go by.
    fn lift(self, base: f64) -> f64 {
        let accepted = self.accepted + CAUTION * base;
        let ignored = self.ignored + CAUTION * (1.0 - base);
        (accepted / ignored).ln() - (base / (1.0 - base)).ln()
    }
}

/// What became of a request.
#[derive(Debug, Clone, Copy)]
pub struct Example<'a> {
    /// What the member knows who decided.
    pub member: &'a [SkillKey],
    /// What the other one knows.
    pub other: &'a [SkillKey],
    /// The formula's score of the two, from 0 to 1.
    pub total: f64,
    /// Whether the member wanted to know the other.
    pub accepted: bool,
    /// Of the request's age: [`weight`].
    pub weight: f64,
}

/// The skills of the table among a member's.
pub fn keys(skills: &[SkillId], catalogue: &Catalogue) -> Vec<SkillKey> {
    skills.iter().filter_map(|skill| catalogue.key(*skill)).collect()
}

/// The counts, or a part of them: the rows of some skills.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pairs {
    /// By the skill of the member who decides, and in its row by the skill of the other.
    pub rows: BTreeMap<SkillKey, BTreeMap<SkillKey, Counts>>,
    /// How well the formula and the pairs knew before.
    pub grid: Grid,
}

impl Pairs {
    /// Adds what became of a request of which the pairs had expected `lift`.
    pub fn add(&mut self, example: &Example<'_>, lift: f64) {
        for one in example.member {
            let row = self.rows.entry(*one).or_default();
            for other in example.other {
                row.entry(*other).or_default().add(example.accepted, example.weight);
            }
        }
        self.grid.add(example.total, lift, example.accepted, example.weight);
    }

    /// Learns from what became of a request; returns what was expected of it.
    pub fn learn(&mut self, example: &Example<'_>) -> f64 {
        let lift = self.lift(example.member, example.other);
        self.add(example, lift);
        lift
    }

    /// What [`Taste::lift`] says, for one other member only.
    fn lift(&self, member: &[SkillKey], other: &[SkillKey]) -> f64 {
        let mut sum = 0.0;
        for row in member.iter().filter_map(|own| self.rows.get(own)) {
            let base = share_of(row);
            sum += other.iter().filter_map(|skill| row.get(skill)).map(|counts| counts.lift(base)).sum::<f64>();
        }
        sum / (member.len().max(1) * other.len().max(1)) as f64
    }
}

/// The share of the accepted in a row.
fn share_of(row: &BTreeMap<SkillKey, Counts>) -> f64 {
    row.values().fold(Counts::default(), |sum, counts| sum.plus(*counts)).share()
}

/// What the model says of a skill of others.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Opinion {
    /// Over all of the member's skills.
    lift: f64,
    /// The member's skill for which it holds most, where that can be told.
    because: Option<(SkillKey, f64)>,
}

/// What the model says of a member: by each skill that another one may have.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Taste(BTreeMap<SkillKey, Opinion>);

impl Taste {
    /// Of a member with these skills, whose rows are in `pairs`.
    pub fn of(pairs: &Pairs, member: &[SkillKey]) -> Self {
        let (mut opinions, count) = (BTreeMap::new(), member.len().max(1) as f64);
        for own in member {
            let Some(row) = pairs.rows.get(own) else { continue };
            let base = share_of(row);
            for (other, counts) in row {
                let lift = counts.lift(base);
                let opinion = opinions.entry(*other).or_insert(Opinion { lift: 0.0, because: None });
                opinion.lift += lift / count;
                let is_told = lift >= TOLD_LIFT && counts.accepted >= TOLD_ACCEPTED;
                if is_told && opinion.because.is_none_or(|(_, most)| lift > most) {
                    opinion.because = Some((*own, lift));
                }
            }
        }
        Self(opinions)
    }

    /// How much more likely than others somebody with these skills is wanted, in log-odds; 0 where nothing is known.
    pub fn lift(&self, other: &[SkillKey]) -> f64 {
        let sum: f64 = other.iter().filter_map(|skill| self.0.get(skill)).map(|opinion| opinion.lift).sum();
        sum / other.len().max(1) as f64
    }

    /// The pair that speaks most for somebody with these skills: one of the member's own, and one of the other's.
    pub fn reason(&self, other: &[SkillKey]) -> Option<(SkillKey, SkillKey)> {
        let told = other.iter().filter_map(|skill| {
            let (own, lift) = self.0.get(skill)?.because?;
            Some((lift, own, *skill))
        });
        told.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, own, skill)| (own, skill))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SkillKey = SkillKey(1);
    const B: SkillKey = SkillKey(2);
    const C: SkillKey = SkillKey(3);

    fn example<'a>(member: &'a [SkillKey], other: &'a [SkillKey], accepted: bool) -> Example<'a> {
        Example { member, other, total: 0.4, accepted, weight: 1.0 }
    }

    fn learnt() -> Pairs {
        let mut pairs = Pairs::default();
        for _ in 0..30 {
            pairs.learn(&example(&[A], &[B], true));
            pairs.learn(&example(&[A], &[C], false));
        }
        pairs
    }

    #[test]
    fn who_is_accepted_rises_and_who_is_ignored_falls() {
        let pairs = learnt();
        let taste = Taste::of(&pairs, &[A]);
        assert!(taste.lift(&[B]) > 1.0 && taste.lift(&[C]) < -1.0);
        assert!(taste.lift(&[B, C]).abs() < 1e-9, "one of each");
        assert!((pairs.lift(&[A, C], &[B, C]) - Taste::of(&pairs, &[A, C]).lift(&[B, C])).abs() < 1e-9);
        assert!((pairs.lift(&[A], &[B]) - taste.lift(&[B])).abs() < 1e-9);
        assert_eq!(taste.reason(&[C, B]), Some((A, B)));
        assert_eq!(taste.reason(&[C]), None);
    }

    #[test]
    fn nothing_is_said_of_what_was_never_seen() {
        let pairs = learnt();
        for taste in [Taste::of(&pairs, &[]), Taste::of(&pairs, &[C]), Taste::of(&Pairs::default(), &[A])] {
            assert_eq!((taste.lift(&[B]), taste.reason(&[B])), (0.0, None));
        }
        assert_eq!(Taste::of(&pairs, &[A]).lift(&[]), 0.0);
    }

    #[test]
    fn a_few_requests_say_little() {
        let mut pairs = learnt();
        pairs.learn(&example(&[A], &[SkillKey(4)], true));
        let taste = Taste::of(&pairs, &[A]);
        assert!(taste.lift(&[SkillKey(4)]) < taste.lift(&[B]) / 2.0);
        assert_eq!(taste.reason(&[SkillKey(4)]), None);
    }

    #[test]
    fn the_order_of_requests_does_not_matter_to_the_counts() {
        let [one, other] = [example(&[A, B], &[C], true), example(&[A], &[C, B], false)];
        let (mut forth, mut back) = (Pairs::default(), Pairs::default());
        [one, other].iter().for_each(|example| forth.add(example, 0.0));
        [other, one].iter().for_each(|example| back.add(example, 0.0));
        assert_eq!(forth, back);
    }

    #[test]
    fn an_old_request_weighs_less() {
        assert_eq!(weight(0), 1.0);
        assert!((weight(180 * 86_400_000) - 0.5).abs() < 1e-12);
        assert!(weight(-86_400_000) > 1.0, "of a clock that is ahead");
        assert!(weight(i64::MAX) >= 0.0);
    }
}
