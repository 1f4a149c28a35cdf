//! Text of strangers, as a mail may show it: names and skills without what a mail program makes a link of. The address of a new
//! account is not verified, so a mail must not carry a message of somebody who signed up with another person's address.

use model::invisible::is_invisible;

/// Characters that count as dots in a domain name (RFC 3490).
const DOTS: [char; 4] = ['.', '\u{3002}', '\u{ff0e}', '\u{ff61}'];
/// Shows nothing, and keeps what stands on both sides of it from being one word.
const JOINER: char = '\u{2060}';

/// A name: at most so many words, none of which is or holds a link.
pub(crate) fn name(text: &str, most_words: usize) -> String {
    let visible = visible(text);
    let words = visible.split_whitespace().filter(|word| !is_link(word)).take(most_words);
    let words: Vec<String> = words.map(|word| with_broken_dots(word, ' ')).collect();
    words.join(" ")
}

/// A skill: `Node.js` looks as it is written, and is no link.
pub(crate) fn skill(text: &str) -> String {
    let visible = visible(text);
    let words: Vec<String> =
        visible.split_whitespace().filter(|word| !is_link(word)).map(|word| with_broken_dots(word, JOINER)).collect();
    words.join(" ")
}

/// Without characters that show nothing or turn the direction; spaces and control characters are spaces. Joiners and variation
/// selectors stay: scripts and emoji are written with them.
fn visible(text: &str) -> String {
    let shown = |character: char| match character {
        character if character.is_whitespace() || character.is_control() => Some(' '),
        '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' => Some(character),
        character => (!is_invisible(character)).then_some(character),
    };
    text.chars().filter_map(shown).collect()
}

/// Whether a word has a scheme, or is an address.
fn is_link(word: &str) -> bool {
    word.contains("://") || word.contains(['@', '\u{ff20}'])
}

/// With `breaker` behind each dot that could be one of a domain: one between two letters or digits, the second of which does not
/// stand alone.
fn with_broken_dots(word: &str, breaker: char) -> String {
    let mut out = String::with_capacity(word.len());
    let mut before: Option<char> = None;
    let mut rest = word.chars();
    while let Some(character) = rest.next() {
        out.push(character);
        let mut behind = rest.clone();
        let is_of_domain = DOTS.contains(&character)
            && before.is_some_and(char::is_alphanumeric)
            && behind.next().is_some_and(char::is_alphanumeric)
            && behind.next().is_some_and(|next| next.is_alphanumeric() || next == '-');
        if is_of_domain {
            out.push(breaker);
        }
        before = Some(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_names() {
        for text in ["Ada", "Zoë", "O'Neil", "Jean-Luc", "J.R.R.", "李", "María de los Ángeles", "<i>Dora</i>", "नेहा"]
        {
            assert_eq!(name(text, 4), text);
        }
        assert_eq!(name("  Ada\r\n\tLovelace ", 4), "Ada Lovelace");
    }

    #[test]
    fn a_link_in_a_name_is_none_in_a_mail() {
        for (text, expected) in [
            ("https://evil.example/x", ""),
            ("Go to HTTPS://evil.example now", "Go to now"),
            ("eve@evil.example", ""),
            ("www.evil.example", "www. evil. example"),
            ("evil\u{3002}example", "evil\u{3002} example"),
            ("ev\u{200b}il.ex\u{ad}ample", "evil. example"),
            ("1.2.3.4/x", "1.2.3.4/x"),
            ("10.20.30.40", "10. 20. 30. 40"),
            ("a\u{202e}b", "ab"),
            ("A\u{34f}d\u{2060}a\u{e0041}", "Ada"),
            ("\u{3164}\u{2800}", ""),
            ("👩\u{200d}💻", "👩\u{200d}💻"),
        ] {
            assert_eq!(name(text, 4), expected, "{text:?}");
        }
        assert_eq!(name("one two three four five", 4), "one two three four");
    }

    #[test]
    fn a_skill_looks_as_it_is_written() {
        assert_eq!(skill("Node.js"), "Node.\u{2060}js");
        assert_eq!(skill("C++"), "C++");
        assert_eq!(skill("Visual Studio .NET"), "Visual Studio .NET");
        assert_eq!(skill("see http://evil.example"), "see");
    }
}
