//! By which rule members choose: what is true of them, and what neither the formula nor the model is told.

use model::matching::catalogue::SkillId;
use rand::RngExt as _;
use rand::rngs::SmallRng;

use crate::network::{Member, Network};

/// From this score of the formula on somebody is wanted who chooses as the formula does.
const LIKED: f64 = 0.22;
/// How many skills are the fashion.
const FASHIONABLE: usize = 8;

/// How members choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// As the formula does: whom it scores well.
    Formula,
    /// People of one other field of work, which is not the own one: what is in common counts for nothing.
    Affinity,
    /// Whoever knows what is the fashion, whoever chooses; and three times of ten just so.
    Fashion,
}

impl Behaviour {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Formula, Self::Affinity, Self::Fashion];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Formula => "as the formula",
            Self::Affinity => "another field",
            Self::Fashion => "fashion and chance",
        }
    }
}

/// A rule with what chance has made of it.
pub(crate) enum Rule {
    Formula,
    /// The field that each field likes.
    Affinity(Vec<usize>),
    Fashion(Vec<SkillId>),
}

impl Rule {
    pub(crate) fn of(behaviour: Behaviour, network: &Network, random: &mut SmallRng) -> Self {
        match behaviour {
            Behaviour::Formula => Self::Formula,
            Behaviour::Affinity => {
                let count = network.fields.len();
                let by = random.random_range(1..count);
                Self::Affinity((0..count).map(|field| (field + by) % count).collect())
            }
            Behaviour::Fashion => {
                let all: Vec<SkillId> = network.catalogue.all().collect();
                let some = (0..FASHIONABLE).filter_map(|_| all.get(random.random_range(0..all.len())));
                Self::Fashion(some.copied().collect())
            }
        }
    }

    /// Whether `member` wants to know `other`.
    pub(crate) fn wants(&self, network: &Network, member: &Member, other: &Member, random: &mut SmallRng) -> bool {
        match self {
            Self::Formula => network.total(member, other) >= LIKED,
            Self::Affinity(liked) => {
                let is_liked = liked.get(member.field) == Some(&other.field);
                random.random_range(0..100) < if is_liked { 85 } else { 8 }
            }
            Self::Fashion(skills) => {
                let is_fashion = skills.iter().any(|skill| other.profile.has(*skill));
                if random.random_range(0..10) < 3 { random.random_range(0..2) == 0 } else { is_fashion }
            }
        }
    }
}
