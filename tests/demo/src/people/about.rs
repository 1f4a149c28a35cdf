//! The text about somebody: sentences that fit their work, their town and what they like. Touches nothing.

use super::roles::Role;
use crate::chance::Chance;

/// How somebody says what they do and where. `{title}`, `{town}`.
const OPENINGS: &[&str] = &[
    "{title} in {town}.",
    "{title}, based in {town}.",
    "{title} from {town}, mostly remote.",
    "I live in {town} and work as a {small}.",
    "{title}. {town}, most of the year.",
];
/// What they make. `{builds}`.
const WORK: &[&str] = &[
    "These days I build {builds}.",
    "I spend my weeks on {builds}.",
    "Currently working on {builds}, with a team of four.",
    "For the last two years: {builds}.",
    "My team looks after {builds}.",
];
/// What they are learning. `{learns}`.
const LEARNING: &[&str] = &[
    "I am learning {learns}.",
    "On the side I read about {learns}.",
    "What I want to get to this year: {learns}.",
    "Ask me about {learns} in six months.",
];
/// How they like to work. `{skill}`.
const TASTE: &[&str] = &[
    "I like small pull requests and long walks.",
    "Boring technology, exciting problems.",
    "I would rather delete code than write it.",
    "{skill} is home; everything else is travel.",
    "I came to {skill} late and stayed.",
    "I write things down, so that I don't have to be in the meeting.",
    "Happy when the graph is flat and the tests are green.",
    "I learned {skill} by breaking it, repeatedly.",
    "I review other people's code for fun.",
    "Good error messages are a form of kindness.",
];
/// What they look for here.
const WANTED: &[&str] = &[
    "Looking for somebody to pair with on {skill} now and then.",
    "Happy to help people who are new to {skill}.",
    "Always up for a call about {skill}.",
    "Here to meet people who know more about {skill} than I do.",
    "I mentor two people at a time; one place is free.",
    "Open to talks and meetups around {town}.",
];
/// What they do when they don't work.
const REST: &[&str] = &[
    "Otherwise: bread, bicycles, a very old cat.",
    "Plays bass in a band that nobody has heard of.",
    "Weekends are for climbing.",
    "Two kids, three chickens, no spare time.",
    "I grow chillies on a balcony.",
    "Chess, badly.",
    "I swim in cold water and talk about it too much.",
    "Restoring a 1980s synthesiser, one capacitor at a time.",
    "I sing in a choir on Tuesdays.",
    "Amateur astronomer, professional night owl.",
    "Long-distance trains are my favourite office.",
    "I draw maps of places that don't exist.",
];

/// A text of one to five sentences; empty for some, who have not written one yet.
pub(super) fn text(role: &Role, title: &str, town: &str, skill: &str, chance: &mut Chance) -> String {
    // Drawn in any case, so that no sentence depends on whether another one is there.
    let picked = [OPENINGS, WORK, LEARNING, TASTE, WANTED, REST].map(|from| chance.pick(from));
    let [opening, work, learning, taste, wanted, rest] = picked;
    let kept = [100, 80, 45, 45, 40, 50].map(|percent| chance.percent(percent));
    let (builds, learns) = (chance.pick(role.builds), chance.pick(role.learns));
    if chance.percent(6) {
        return String::new();
    }
    let sentences = [opening, work, learning, taste, wanted, rest].into_iter().zip(kept);
    let sentences: Vec<&str> = sentences.filter_map(|(sentence, kept)| kept.then_some(sentence)).collect();
    let text = sentences.join(" ");
    let text = text.replace("a {small}", &with_article(title));
    let text = text.replace("{title}", title).replace("{town}", town).replace("{skill}", skill);
    text.replace("{builds}", builds).replace("{learns}", learns)
}

/// A title inside of a sentence: only abbreviations and names keep their capital letters.
fn with_article(title: &str) -> String {
    let (first, rest) = title.split_once(' ').unwrap_or((title, ""));
    let is_name = first.chars().filter(|letter| letter.is_uppercase()).count() > 1
        || ["Android", "Elixir", "Java", "Node"].contains(&first);
    let first = if is_name { first.to_owned() } else { first.to_lowercase() };
    // As they are spoken: an SRE, an ML engineer, an iOS developer.
    let vowel = first.starts_with(['a', 'e', 'i', 'o', 'A', 'E']) || ["SRE", "ML"].contains(&first.as_str());
    let article = if vowel { "an" } else { "a" };
    format!("{article} {first} {rest}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_read_in_a_sentence() {
        for (title, read) in [
            ("Backend developer", "a backend developer"),
            ("SRE", "an SRE"),
            ("ML engineer", "an ML engineer"),
            ("iOS developer", "an iOS developer"),
            ("UI engineer", "a UI engineer"),
            ("API developer", "an API developer"),
            ("Android developer", "an Android developer"),
            ("QA engineer", "a QA engineer"),
            ("Engine programmer", "an engine programmer"),
        ] {
            assert_eq!(with_article(title), read);
        }
    }
}
