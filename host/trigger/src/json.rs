//! JSON as browsers and the old server read it: a half of a surrogate pair is a character that is missing, and not an error.
//!
//! Clients cut strings wherever they like, and what they then send is `\ud83d` alone. JavaScript takes it, and stores
//! U+FFFD for it. Pure.

use bytes::Bytes;

/// The digits of U+FFFD.
const REPLACEMENT: &[u8; 4] = b"fffd";

/// The same JSON with U+FFFD for each half of a surrogate pair.
pub(crate) fn with_whole_characters(json: Bytes) -> Bytes {
    let Some(first) = next_half(&json, 0) else { return json };
    let mut mended = json.to_vec();
    let mut half = Some(first);
    while let Some(at) = half {
        if let Some(digits) = mended.get_mut(at..at + REPLACEMENT.len()) {
            digits.copy_from_slice(REPLACEMENT);
        }
        half = next_half(&mended, at + REPLACEMENT.len());
    }
    mended.into()
}

/// The place of the digits of the next half of a pair, from `from` on, which is not inside of an escape.
fn next_half(json: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += json.get(at..)?.iter().position(|byte| *byte == b'\\')?;
        match unit(json, at) {
            Some(0xd800..=0xdbff) if matches!(unit(json, at + 6), Some(0xdc00..=0xdfff)) => at += 12,
            Some(0xd800..=0xdfff) => return Some(at + 2),
            Some(_) => at += 6,
            // Another escape, or none at all.
            None => at += 2,
        }
    }
}

/// The UTF-16 code unit of the escape at this place.
fn unit(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at.checked_add(6)?)?.strip_prefix(br"\u")?;
    let value = |digit: &u8| char::from(*digit).to_digit(16);
    digits.iter().try_fold(0_u32, |unit, digit| Some(unit * 16 + value(digit)?))?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mended(json: &str) -> String {
        String::from_utf8(with_whole_characters(Bytes::copy_from_slice(json.as_bytes())).to_vec()).unwrap()
    }

    #[test]
    fn half_a_pair_is_a_character_that_is_missing() {
        for (json, expected) in [
            (r#""hi \ud83d""#, "hi \u{fffd}"),
            (r#""\ude00 hi""#, "\u{fffd} hi"),
            (r#""\ud83d\ude00""#, "😀"),
            (r#""\uD83D\uDE00""#, "😀"),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\ud83d\n\ude00""#, "\u{fffd}\n\u{fffd}"),
            (r#""\\ud83d""#, r"\ud83d"),
            (r#""\\\ud83d""#, "\\\u{fffd}"),
            (r#""\u005cud83d""#, r"\ud83d"),
            (r#""\ud83dude00""#, "\u{fffd}ude00"),
            (r#""plain é""#, "plain é"),
        ] {
            let read: String = serde_json::from_str(&mended(json)).unwrap();
            assert_eq!(read, expected, "{json}");
        }
        assert_eq!(mended(r#"{"\ud83d":"a"}"#), r#"{"\ufffd":"a"}"#);
    }

    #[test]
    fn what_is_no_json_stays_none() {
        for text in ["", "\\", "\\u", "\\ud8", "\\ud83", "\"\\ud83\"", "\\ud83d\\u", "\\uzzzz", "\"\\"] {
            assert!(serde_json::from_str::<serde_json::Value>(&mended(text)).is_err(), "{text}");
        }
    }

    proptest! {
        /// As JavaScript reads it: the string's UTF-16 code units, each half of a pair one missing character.
        #[test]
        fn any_units_are_read_as_javascript_reads_them(
            units in prop::collection::vec(prop_oneof![Just(0x41_u16), Just(0x5c), 0xd7fe..=0xe001_u16, any::<u16>()], 0..30)
        ) {
            let escaped: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let read: String = serde_json::from_str(&mended(&format!("\"{escaped}\""))).unwrap();
            prop_assert_eq!(read, String::from_utf16_lossy(&units));
        }

        /// What is JSON already is the same afterwards.
        #[test]
        fn what_is_whole_is_not_touched(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(mended(&json), json);
        }
    }
}
