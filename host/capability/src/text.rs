//! Text of guests: what a component or a client wrote, on its way into a log, an error or a document of the host.
//!
//! It may be of any length, and have line breaks and escape sequences in it. Pure.

use std::fmt::{self, Write};

/// The most bytes of a name (of a header, a collection, a key) that is repeated.
pub const MAX_NAME: usize = 200;
/// The most bytes of a reason, such as the text of an error. With what [`cut`] adds it fits into 1 KiB.
pub const MAX_REASON: usize = 980;
/// The most bytes of a trap with the names of its frames.
pub const MAX_TRAP: usize = 4_000;

/// The text on one line and in at most `max` bytes. What could break the line or mislead who reads it is escaped; a text that
/// is cut ends with its length, in at most 40 bytes more.
pub fn cut(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for character in text.chars() {
        let end = out.len();
        if is_plain(character) {
            out.push(character);
        } else {
            out.extend(character.escape_default());
        }
        if out.len() > max {
            out.truncate(end);
            // Writing to a string does not fail.
            let _ = write!(out, "…({} bytes)", text.len());
            break;
        }
    }
    out
}

/// [`cut`] of what is formatted; no more of it is made than is kept.
pub fn cut_format(arguments: fmt::Arguments<'_>, max: usize) -> String {
    let mut head = Head { text: String::new(), room: max, is_cut: false };
    // The error is that of the full `Head`.
    let _ = head.write_fmt(arguments);
    // Escapes make it longer.
    let mut out = cut(&head.text, max);
    if head.is_cut {
        out.push('…');
    }
    out
}

/// The beginning of a text that is written into it.
struct Head {
    text: String,
    room: usize,
    is_cut: bool,
}

impl Write for Head {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let end = part.floor_char_boundary(self.room);
        let kept = part.get(..end).unwrap_or_default();
        self.text.push_str(kept);
        self.room -= kept.len();
        self.is_cut = kept.len() < part.len();
        if self.is_cut { Err(fmt::Error) } else { Ok(()) }
    }
}

/// A name in quotes, cut to [`MAX_NAME`], for the line of a manifest.
pub fn quoted(name: &str) -> String {
    format!("{:?}", cut(name, MAX_NAME))
}

/// Neither a control character nor one that ends a line or turns the direction of the text.
fn is_plain(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_plain_text_stays() {
        for text in ["", "a", "Grüße, \"you\" \\ 'me'", "日本語", &"x".repeat(100)] {
            assert_eq!(cut(text, 100), text);
        }
    }

    #[test]
    fn a_line_stays_a_line() {
        assert_eq!(cut("a\nb\r\tc\u{1b}[31m\0", 100), "a\\nb\\r\\tc\\u{1b}[31m\\u{0}");
        assert_eq!(cut("a\u{2028}\u{202e}b\u{85}", 100), "a\\u{2028}\\u{202e}b\\u{85}");
    }

    #[test]
    fn a_long_text_is_cut_and_says_how_long_it_was() {
        assert_eq!(cut("abcdef", 4), "abcd…(6 bytes)");
        assert_eq!(cut("ééé", 3), "é…(6 bytes)");
        assert_eq!(cut("a\n\n\n\n", 4), "a\\n…(5 bytes)");
        assert_eq!(cut("abc", 0), "…(3 bytes)");
    }

    #[test]
    fn of_a_large_value_only_the_beginning_is_made() {
        assert_eq!(cut_format(format_args!("{:?} is {}", "a\"b", 5), 100), "\"a\\\"b\" is 5");
        assert_eq!(cut_format(format_args!("a\nb"), 100), "a\\nb");
        assert_eq!(cut_format(format_args!("{}", "éé"), 3), "é…");
        let (large, mut head) = ("x".repeat(1 << 20), Head { text: String::new(), room: 10, is_cut: false });
        assert!(write!(head, "{large:?}").is_err());
        assert!(head.text.capacity() < 1_000);
    }

    #[test]
    fn a_name_stands_in_quotes() {
        assert_eq!(quoted("a\"b"), "\"a\\\"b\"");
        assert!(quoted(&"a".repeat(1 << 20)).len() < MAX_NAME + 50);
    }

    mod fuzz {
        use super::*;

        proptest::proptest! {
            #![proptest_config(fuzzing::config())]

            #[test]
            fn whatever_it_was_it_is_one_bounded_line(
                text in proptest::collection::vec(proptest::prelude::any::<char>(), 0..300),
                max in 0_usize..200,
            ) {
                let text: String = text.into_iter().collect();
                let short = cut(&text, max);
                proptest::prop_assert!(short.len() <= max + 40);
                proptest::prop_assert!(!short.chars().any(char::is_control));
                proptest::prop_assert!(short == text || text.len() > max || !text.chars().all(is_plain));
            }
        }
    }
}
