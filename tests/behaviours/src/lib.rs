//! Simulated members who choose whom they want to know by a rule of their own, and how many of the first ten that the formula and
//! the learnt model recommend they would choose. The scores are those of the feed (`model::matching`); nothing else of the product
//! is touched.
//!
//! A run has two times. In the first one members look at what the plain and the ranked feed show them, and the model learns from
//! what they choose. In the second one other members, whom nobody has seen before, are recommended to each other.

#![forbid(unsafe_code)]

mod network;
mod rule;

pub use rule::Behaviour;

use model::matching::calibration::Calibration;
use model::matching::pairs::{self, Example, Pairs, Taste};
use model::matching::scores::Scores;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::network::{Member, Network};
use crate::rule::Rule;

/// The seeds of the figures.
pub const SEEDS: [u64; 5] = [1, 2, 3, 5, 8];
/// Members of the first time, how many each looks at, and over how many days.
const SEEN: usize = 400;
const LOOKED_AT: usize = 20;
const DAYS: usize = 60;
/// Members of the second time who are recommended others, and how many others there are.
const ASKING: usize = 100;
const UNSEEN: usize = 300;
/// How many of the recommended are looked at.
pub const FIRST: usize = 10;
const DAY: i64 = 86_400_000;

/// How many of the first [`FIRST`] were wanted, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Precision {
    /// Of those that the formula recommends.
    pub formula: f64,
    /// Of those that the model recommends.
    pub model: f64,
}

/// What both are worth where members choose like this. The same seed gives the same figures.
///
/// # Errors
/// The table of skills can't be read.
pub fn precision(behaviour: Behaviour, seed: u64) -> Result<Precision, String> {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut network = Network::new()?;
    let rule = Rule::of(behaviour, &network, &mut random);
    let seen: Vec<Member> = (0..SEEN).map(|_| network.member(&mut random)).collect();
    let pairs = learnt(&network, &rule, &seen, &mut random);
    let unseen: Vec<Member> = (0..UNSEEN).map(|_| network.member(&mut random)).collect();
    let calibration = Calibration::fit(&pairs.grid);
    let mut sum = Precision { formula: 0.0, model: 0.0 };
    for _ in 0..ASKING {
        let member = network.member(&mut random);
        let taste = Taste::of(&pairs, &member.keys);
        let mut scored = Vec::with_capacity(UNSEEN);
        for other in &unseen {
            let total = network.total(&member, other);
            let is_wanted = rule.wants(&network, &member, other, &mut random);
            scored.push((total, calibration.score(total, taste.lift(&other.keys)), is_wanted));
        }
        sum.formula += first(&mut scored, |(total, ..)| *total);
        sum.model += first(&mut scored, |(_, score, _)| *score);
    }
    Ok(Precision { formula: sum.formula / ASKING as f64, model: sum.model / ASKING as f64 })
}

/// The model after the first time.
fn learnt(network: &Network, rule: &Rule, seen: &[Member], random: &mut SmallRng) -> Pairs {
    let mut pairs = Pairs::default();
    for day in 0..DAYS {
        let weight = pairs::weight((DAYS - day) as i64 * DAY);
        for member in seen.iter().skip(day % 10).step_by(10) {
            for number in 0..LOOKED_AT * 10 / DAYS {
                // Every other one is from a ranked feed: the best of a few whom nobody chose.
                let few = if number % 2 == 0 { 1 } else { 8 };
                let shown = (0..few).filter_map(|_| seen.get(random.random_range(0..seen.len())));
                let best = shown.map(|other| (network.total(member, other), other)).max_by(|a, b| a.0.total_cmp(&b.0));
                let Some((total, other)) = best else { continue };
                let accepted = rule.wants(network, member, other, random);
                pairs.learn(&Example { member: &member.keys, other: &other.keys, total, accepted, weight });
            }
        }
    }
    pairs
}

/// How many of the first by a score are wanted.
fn first(scored: &mut [(f64, f64, bool)], score: impl Fn(&(f64, f64, bool)) -> f64) -> f64 {
    scored.sort_by(|one, other| score(other).total_cmp(&score(one)));
    let wanted = scored.iter().take(FIRST).filter(|(.., is_wanted)| *is_wanted).count();
    wanted as f64 / FIRST as f64
}

impl Network {
    /// The formula's score of two members.
    fn total(&self, member: &Member, other: &Member) -> f64 {
        Scores::of(&member.profile, &other.profile, &self.catalogue).total()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(behaviour: Behaviour) -> Precision {
        let all = SEEDS.map(|seed| precision(behaviour, seed).unwrap());
        let mean = |of: fn(&Precision) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
        Precision { formula: mean(|found| found.formula), model: mean(|found| found.model) }
    }

    #[test]
    fn who_chooses_as_the_formula_does_is_recommended_as_well_but_for_a_point() {
        let Precision { formula, model } = mean(Behaviour::Formula);
        assert!(formula > 0.5 && model >= formula - 0.01, "{formula} {model}");
    }

    #[test]
    fn who_chooses_otherwise_is_recommended_better() {
        for behaviour in [Behaviour::Affinity, Behaviour::Fashion] {
            let Precision { formula, model } = mean(behaviour);
            assert!(model >= formula + 0.05, "{behaviour:?}: {formula} {model}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_figures() {
        let again = || precision(Behaviour::Affinity, 7).unwrap();
        assert_eq!(again(), again());
    }
}
