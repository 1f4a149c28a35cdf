//! Characters that show nothing: a name of only those is no name, and between others they hide what is written.
//!
//! Of Unicode 16.0: `Default_Ignorable_Code_Point`, `White_Space` and the general categories `Cc` and `Cf`
//! (`DerivedCoreProperties.txt`, `PropList.txt`, `UnicodeData.txt`), without the signs that enclose digits
//! (`Prepended_Concatenation_Mark`), and the empty Braille pattern, which is a symbol by its category alone.

/// Ranges, both ends included, in order.
const RANGES: [(char, char); 23] = [
    ('\u{0}', '\u{20}'),
    ('\u{7f}', '\u{a0}'),
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{1680}', '\u{1680}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{2000}', '\u{200f}'),
    ('\u{2028}', '\u{202f}'),
    ('\u{205f}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3000}', '\u{3000}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Whether a character shows nothing.
pub fn is_invisible(character: char) -> bool {
    let at = RANGES.partition_point(|(_, last)| *last < character);
    RANGES.get(at).is_some_and(|(first, _)| *first <= character)
}

/// Whether a text has nothing to see in it.
pub fn shows_nothing(text: &str) -> bool {
    text.chars().all(is_invisible)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranges_are_in_order() {
        assert!(RANGES.iter().all(|(first, last)| first <= last));
        assert!(RANGES.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }

    #[test]
    fn white_space_and_control_characters_are_among_them() {
        for character in ('\0'..=char::MAX).filter(|character| character.is_whitespace() || character.is_control()) {
            assert!(is_invisible(character), "{character:?}");
        }
    }

    #[test]
    fn what_can_be_seen_is_not_among_them() {
        // One of each script and kind that a name may begin with, and the signs that enclose digits.
        for character in "aZ9'-.李伟О́א ع न க ก ა あア한😀♥©\u{300}\u{93f}\u{600}\u{6dd}\u{110bd}".chars()
        {
            assert!(is_invisible(character) == (character == ' '), "{character:?}");
        }
    }

    #[test]
    fn what_hides_or_fills_is_among_them() {
        for character in [
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{17b4}',
            '\u{180e}',
            '\u{2000}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{202e}',
            '\u{2028}',
            '\u{2060}',
            '\u{2064}',
            '\u{2066}',
            '\u{206f}',
            '\u{2800}',
            '\u{3000}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{1d173}',
            '\u{e0001}',
            '\u{e0020}',
            '\u{e01ef}',
            '\u{e0fff}',
        ] {
            assert!(is_invisible(character), "{character:?}");
        }
        assert!(shows_nothing("\u{200b}\u{2060} \u{3164}") && shows_nothing("") && !shows_nothing("\u{200b}O"));
    }
}
