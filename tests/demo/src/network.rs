//! Who knows whom: communities of people with the same skills, some ties between them, and requests that wait, were
//! declined, or are of people who don't want to see somebody. Touches nothing.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeSet;

use crate::chance::Chance;
use crate::people::{BUSY, MIDDLE, NEW, Person};

/// The fewest and the most connections of everybody but the one who has just joined.
pub(crate) const CONNECTIONS: std::ops::RangeInclusive<usize> = 2..=25;
/// Requests that somebody may send on a day.
const MOST_SENT: usize = 10;
/// Connections of the one who has been here for long, and of the one who comes by now and then.
const OF_BUSY: usize = 24;
const OF_MIDDLE: usize = 8;
/// Requests that wait for those who are shown.
const WAITING: [(usize, usize); 3] = [(BUSY, 6), (MIDDLE, 3), (NEW, 2)];
/// A skill in common counts as much, against so much chance.
const COMMON: usize = 10;
const NOISE: usize = 26;
/// Of a hundred others, those who are known from elsewhere, and what that counts.
const ELSEWHERE: (usize, usize) = (6, 40);

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The other accepts.
    Accepted,
    /// The other has not answered yet.
    Waiting,
    /// The other declines.
    Declined,
    /// It is no request: the sender does not want to see the other.
    Ignored,
}

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The number of who sends it.
    pub from: usize,
    /// The number of who gets it.
    pub to: usize,
    /// What becomes of it.
    pub fate: Fate,
}

/// All requests among these people, one a pair at most.
pub fn requests(people: &[Person]) -> Vec<Request> {
    let mut plan = Plan { people, all: Vec::new(), pairs: BTreeSet::new(), of: vec![Of::default(); people.len()] };
    plan.connect();
    plan.waiting();
    plan.others();
    plan.all
}

/// What one has so far.
#[derive(Debug, Clone, Copy, Default)]
struct Of {
    connections: usize,
    sent: usize,
}

struct Plan<'a> {
    people: &'a [Person],
    all: Vec<Request>,
    pairs: BTreeSet<(usize, usize)>,
    of: Vec<Of>,
}

impl Plan<'_> {
    fn of(&self, number: usize) -> Of {
        self.of.get(number).copied().unwrap_or_default()
    }

    /// Adds a request, unless there is one between the two or the sender has sent enough.
    fn add(&mut self, from: usize, to: usize, fate: Fate) -> bool {
        let counts = fate != Fate::Ignored;
        if from == to || (counts && self.of(from).sent >= MOST_SENT) {
            return false;
        }
        if !self.pairs.insert((from.min(to), from.max(to))) {
            return false;
        }
        for (number, sends) in [(from, true), (to, false)] {
            if let Some(of) = self.of.get_mut(number) {
                of.connections += usize::from(fate == Fate::Accepted);
                of.sent += usize::from(counts && sends);
            }
        }
        self.all.push(Request { from, to, fate });
        true
    }

    /// Connects each with those who fit best, chance being part of it.
    fn connect(&mut self) {
        let mut chance = Chance::of("network", 0);
        // In a small network nobody knows everybody, so that there are some left who ask.
        let most = self.people.len() / 2;
        let targets: Vec<usize> = (0..self.people.len())
            .map(|number| match number {
                BUSY => OF_BUSY.min(most),
                MIDDLE => OF_MIDDLE.min(most),
                NEW => 0,
                _ => (2 + chance.below(7) + chance.below(7)).min(most),
            })
            .collect();
        let mut order: Vec<usize> =
            (0..self.people.len()).filter(|number| ![BUSY, MIDDLE, NEW].contains(number)).collect();
        chance.shuffle(&mut order);
        // Those who are shown come first, so that they have as many as they should.
        for number in [BUSY, MIDDLE].into_iter().chain(order) {
            let wanted = targets.get(number).copied().unwrap_or_default();
            let candidates = self.candidates(number, &mut chance);
            // At first those who want more themselves; where these are too few, anybody.
            for most in [2, *CONNECTIONS.end()] {
                for &other in &candidates {
                    let enough = if most == 2 { wanted } else { *CONNECTIONS.start() };
                    if self.of(number).connections >= enough {
                        break;
                    }
                    let room = targets.get(other).copied().unwrap_or_default().saturating_add(most);
                    let is_shown = [BUSY, MIDDLE].contains(&other) && most == 2;
                    if is_shown || self.of(other).connections >= room.min(*CONNECTIONS.end()) {
                        continue;
                    }
                    let (from, to) = self.directed(number, other, &mut chance);
                    self.add(from, to, Fate::Accepted);
                }
            }
        }
    }

    /// All others, those who fit best first. Nobody knows the one who has just joined.
    fn candidates(&self, number: usize, chance: &mut Chance) -> Vec<usize> {
        let skills = |number: usize| self.people.get(number).map(|person| person.skills.as_slice()).unwrap_or_default();
        let own = skills(number);
        let mut scored: Vec<(Reverse<usize>, usize)> = (0..self.people.len())
            .filter(|other| *other != number && *other != NEW)
            .map(|other| {
                let common = skills(other).iter().filter(|skill| own.contains(skill)).count();
                let by_chance = chance.below(NOISE);
                let elsewhere = if chance.percent(ELSEWHERE.0) { ELSEWHERE.1 } else { 0 };
                (Reverse(common * COMMON + by_chance + elsewhere), other)
            })
            .collect();
        scored.sort_unstable();
        scored.into_iter().map(|(_, other)| other).collect()
    }

    /// Who of two asks: the one who has asked fewer people so far.
    fn directed(&self, one: usize, other: usize, chance: &mut Chance) -> (usize, usize) {
        let by_chance = chance.percent(50);
        let first = match self.of(one).sent.cmp(&self.of(other).sent) {
            Ordering::Equal => by_chance,
            less_or_more => less_or_more.is_lt(),
        };
        if first { (one, other) } else { (other, one) }
    }

    /// Requests that wait for those who are shown.
    fn waiting(&mut self) {
        let mut chance = Chance::of("network", 1);
        for (to, count) in WAITING {
            // A small network has not as many.
            let mut left = count.min(self.people.len() / 6);
            for from in self.candidates(to, &mut chance) {
                let shown = [BUSY, MIDDLE, NEW].contains(&from);
                if left > 0 && !shown && self.add(from, to, Fate::Waiting) {
                    left -= 1;
                }
            }
        }
    }

    /// Some that were declined, some that nobody has answered, and some people who don't want to see each other.
    fn others(&mut self) {
        let mut chance = Chance::of("network", 2);
        let count = self.people.len() / 10;
        for fate in [Fate::Waiting, Fate::Declined, Fate::Ignored] {
            for _ in 0..count {
                let [from, to] = [(); 2].map(|()| chance.below(self.people.len()));
                // What those who are shown see is left as it is.
                if from > NEW && to > NEW {
                    self.add(from, to, fate);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::people;

    fn degrees(count: usize, requests: &[Request]) -> Vec<usize> {
        let is_of = |number: usize| {
            move |request: &&Request| request.fate == Fate::Accepted && (request.from == number || request.to == number)
        };
        (0..count).map(|number| requests.iter().filter(is_of(number)).count()).collect()
    }

    #[test]
    fn nobody_knows_themselves_or_anybody_twice_or_asks_too_many() {
        for count in [10, 12, 30, 200] {
            let all = requests(&people(count));
            assert_eq!(all, requests(&people(count)));
            let pairs: BTreeSet<_> = all.iter().map(|one| (one.from.min(one.to), one.from.max(one.to))).collect();
            assert_eq!(pairs.len(), all.len());
            assert!(all.iter().all(|one| one.from != one.to && one.from.max(one.to) < count));
            for number in 0..count {
                let sent = all.iter().filter(|one| one.from == number && one.fate != Fate::Ignored).count();
                assert!(sent <= MOST_SENT, "{number} of {count} sends {sent}");
            }
        }
    }

    #[test]
    fn everybody_knows_somebody_but_the_new_one() {
        for count in [10, 12, 30, 200] {
            let degrees = degrees(count, &requests(&people(count)));
            for (number, degree) in degrees.iter().enumerate() {
                let allowed = if number == NEW { 0..=0 } else { CONNECTIONS };
                assert!(allowed.contains(degree), "{number} of {count} has {degree}");
            }
        }
        let degrees = degrees(200, &requests(&people(200)));
        assert_eq!((degrees[BUSY], degrees[MIDDLE]), (OF_BUSY, OF_MIDDLE));
        let all: usize = degrees.iter().sum();
        assert!((1_200..=2_400).contains(&all), "{all}");
    }

    #[test]
    fn those_who_are_shown_have_requests_to_answer_and_people_with_the_same_skills_find_each_other() {
        let people = people(200);
        let all = requests(&people);
        for (to, count) in WAITING {
            assert_eq!(all.iter().filter(|one| one.to == to && one.fate == Fate::Waiting).count(), count);
        }
        let common = |one: &&Request| people[one.from].skills.iter().any(|skill| people[one.to].skills.contains(skill));
        let connections: Vec<&Request> = all.iter().filter(|one| one.fate == Fate::Accepted).collect();
        let strong = connections.iter().filter(|one| common(one)).count();
        let weak = connections.len() - strong;
        assert!(strong > 2 * weak && weak > 20, "{strong} with common skills, {weak} without");
        for fate in [Fate::Declined, Fate::Ignored] {
            assert!(all.iter().filter(|one| one.fate == fate).count() >= 10);
        }
    }
}
