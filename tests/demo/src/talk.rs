//! What connected people have written to each other. Touches nothing.

mod topics;

use crate::chance::Chance;
use crate::network::{Fate, Request};
use crate::people::{BUSY, MIDDLE, Person};
use topics::{By, CLOSINGS, LATER, Line, OPENINGS, OPENINGS_IN_COMMON, TOPICS};

/// The shortest and the longest conversation, in messages.
const LENGTH: std::ops::RangeInclusive<usize> = 2..=30;
/// Of a hundred connections, those with a conversation.
const TALKING: usize = 24;
/// Conversations of those who are shown, and how many of them end with something that waits to be read.
const OF_BUSY: (usize, usize) = (14, 6);
const OF_MIDDLE: (usize, usize) = (5, 2);

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The number of who says it.
    pub by: usize,
    /// The text.
    pub text: String,
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// The numbers of the two.
    pub between: [usize; 2],
    /// What was read.
    pub said: Vec<Said>,
    /// What came later and was not read yet; all by one of the two.
    pub unread: Vec<Said>,
}

/// The conversations of people with these requests.
pub fn conversations(people: &[Person], requests: &[Request]) -> Vec<Conversation> {
    let connected = requests.iter().filter(|request| request.fate == Fate::Accepted);
    let pairs: Vec<[usize; 2]> = connected.map(|request| [request.from, request.to]).collect();
    let (mut of_busy, mut of_middle) = (OF_BUSY, OF_MIDDLE);
    let mut all = Vec::new();
    for (number, between) in pairs.into_iter().enumerate() {
        let mut chance = Chance::of("talk", number);
        let is_of = |shown: usize| between.contains(&shown);
        let (talks, shown) = if is_of(BUSY) && is_of(MIDDLE) {
            // Whoever tries both has these two write to each other.
            (false, None)
        } else if is_of(BUSY) {
            (of_busy.0 > 0, Some((BUSY, &mut of_busy)))
        } else if is_of(MIDDLE) {
            (of_middle.0 > 0, Some((MIDDLE, &mut of_middle)))
        } else {
            (chance.percent(TALKING), None)
        };
        if !talks {
            continue;
        }
        // Those who are shown find what others wrote to them.
        let reader = match shown {
            Some((shown, left)) => {
                left.0 -= 1;
                let waits = left.1 > 0;
                left.1 = left.1.saturating_sub(1);
                waits.then_some(shown)
            }
            None => {
                let [one, _] = between;
                chance.percent(12).then_some(one)
            }
        };
        all.push(conversation(people, between, reader, &mut chance));
    }
    all
}

fn conversation(people: &[Person], between: [usize; 2], reader: Option<usize>, chance: &mut Chance) -> Conversation {
    let [mut a, mut b] = between;
    if chance.percent(50) {
        std::mem::swap(&mut a, &mut b);
    }
    // Most are short.
    let wanted = match chance.below(10) {
        0..=2 => *LENGTH.start(),
        3..=8 => 4 + chance.below(7),
        _ => 12 + chance.below(19),
    };
    let mut said = Vec::new();
    let mut say = |lines: &[Line], a: usize, b: usize, chance: &mut Chance| {
        for (by, wordings) in lines {
            let text = filled(people, a, b, chance.pick(wordings), between);
            said.push(Said { by: if *by == By::A { a } else { b }, text });
        }
        said.len()
    };
    let closing: &[Line] = chance.pick(CLOSINGS);
    let share = in_common(people, between).is_some();
    let openings = if share && chance.percent(40) { OPENINGS_IN_COMMON } else { OPENINGS };
    let mut length = say(chance.pick(openings), a, b, chance);
    let mut topics = TOPICS.to_vec();
    chance.shuffle(&mut topics);
    let mut talked = false;
    for topic in topics {
        if length >= wanted || length + topic.len() + closing.len() > *LENGTH.end() {
            break;
        }
        // Now and then the other one begins.
        if chance.percent(40) {
            std::mem::swap(&mut a, &mut b);
        }
        length = say(topic, a, b, chance);
        talked = true;
    }
    if talked && chance.percent(60) {
        say(closing, a, b, chance);
    }
    let unread = match reader {
        Some(reader) => {
            let [one, other] = between;
            let writer = if one == reader { other } else { one };
            let lines = chance.pick(LATER);
            let text = |line: &&str| Said { by: writer, text: filled(people, writer, reader, line, between) };
            lines.iter().map(text).collect()
        }
        None => Vec::new(),
    };
    Conversation { between, said, unread }
}

/// The first skill of one that the other has, too.
fn in_common(people: &[Person], [one, other]: [usize; 2]) -> Option<&'static str> {
    let (one, other) = (people.get(one)?, people.get(other)?);
    one.skills.iter().find(|skill| other.skills.contains(skill)).copied()
}

/// A line with names and what the two have in common filled in.
fn filled(people: &[Person], a: usize, b: usize, line: &str, between: [usize; 2]) -> String {
    let (Some(from), Some(to)) = (people.get(a), people.get(b)) else { return String::new() };
    // What both know is the same through the whole conversation.
    let skill = in_common(people, between).or_else(|| from.skills.first().copied()).unwrap_or_default();
    let text = line.replace("{a}", &from.first).replace("{b}", &to.first).replace("{skill}", skill);
    let text = text.replace("{builds}", from.builds).replace("{town}", to.town);
    // What somebody builds may begin a sentence.
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::network::requests;
    use crate::people::{NEW, people};

    fn all(count: usize) -> (Vec<Person>, Vec<Conversation>) {
        let people = people(count);
        let conversations = conversations(&people, &requests(&people));
        (people, conversations)
    }

    #[test]
    fn they_are_the_same_each_time_and_of_connected_people() {
        let (people, talk) = all(200);
        assert_eq!(talk, conversations(&people, &requests(&people)));
        let requests = requests(&people);
        let is_connected = |between: [usize; 2]| {
            requests.iter().any(|request| request.fate == Fate::Accepted && [request.from, request.to] == between)
        };
        let pairs: BTreeSet<[usize; 2]> = talk.iter().map(|conversation| conversation.between).collect();
        assert_eq!(pairs.len(), talk.len());
        assert!(talk.iter().all(|conversation| is_connected(conversation.between)));
        assert!(!talk.iter().any(|conversation| conversation.between.contains(&NEW)));
    }

    #[test]
    fn each_has_2_to_30_messages_of_both_and_nothing_is_left_to_fill_in() {
        for count in [10, 12, 200] {
            for Conversation { between, said, unread } in all(count).1 {
                assert!(LENGTH.contains(&said.len()), "{} messages", said.len());
                let by: BTreeSet<usize> = said.iter().map(|said| said.by).collect();
                assert_eq!(by, BTreeSet::from(between), "{said:?}");
                assert!(unread.len() <= 3 && unread.iter().all(|one| one.by == unread[0].by), "{unread:?}");
                for Said { text, .. } in said.iter().chain(&unread) {
                    assert!((1..=5_000).contains(&text.chars().count()) && text.trim() == text, "{text:?}");
                    assert!(!text.contains(['{', '}']) && !text.contains("  "), "{text}");
                    assert!(text.starts_with(|first: char| !first.is_lowercase()), "{text}");
                }
            }
        }
    }

    #[test]
    fn those_who_are_shown_have_something_to_read() {
        let (_, talk) = all(200);
        for (shown, (count, unread)) in [(BUSY, OF_BUSY), (MIDDLE, OF_MIDDLE)] {
            let own: Vec<&Conversation> = talk.iter().filter(|one| one.between.contains(&shown)).collect();
            assert_eq!(own.len(), count);
            let to_read = own.iter().filter(|one| one.unread.iter().any(|said| said.by != shown)).count();
            assert_eq!(to_read, unread);
        }
        let messages: usize = talk.iter().map(|one| one.said.len() + one.unread.len()).sum();
        assert!((1_200..=3_500).contains(&messages), "{messages}");
        let texts: BTreeSet<&String> = talk.iter().flat_map(|one| one.said.iter().map(|said| &said.text)).collect();
        assert!(texts.len() > 400, "{}", texts.len());
    }

    #[test]
    fn no_line_has_a_place_that_nobody_fills() {
        let lines =
            [OPENINGS, OPENINGS_IN_COMMON, TOPICS, CLOSINGS].into_iter().flatten().flat_map(|lines| lines.iter());
        let wordings = lines.flat_map(|(_, wordings)| wordings.iter()).chain(LATER.iter().copied().flatten());
        for wording in wordings {
            let places = ["{a}", "{b}", "{skill}", "{builds}", "{town}"];
            let rest = places.iter().fold((*wording).to_owned(), |rest, place| rest.replace(place, ""));
            assert!(!rest.contains(['{', '}']), "{wording}");
        }
    }
}
