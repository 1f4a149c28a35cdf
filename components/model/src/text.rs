//! Text that people type: trimmed, counted in characters, without control characters, and with something to see in it.

use std::ops::RangeInclusive;

use serde_json::Value;

use crate::invisible::shows_nothing;

/// The text of a JSON value.
pub fn any(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| "must be a text".to_owned())
}

/// One line, trimmed, of a length within `length`.
pub fn line(value: &Value, length: RangeInclusive<usize>) -> Result<String, String> {
    let text = any(value)?.trim();
    if text.chars().any(char::is_control) {
        return Err("must not have control characters".into());
    }
    measured(text, length)
}

/// Any number of lines, trimmed, of a length within `length`.
pub fn lines(value: &Value, length: RangeInclusive<usize>) -> Result<String, String> {
    let text = any(value)?.trim();
    if text.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\r' | '\t')) {
        return Err("must not have control characters".into());
    }
    measured(text, length)
}

fn measured(text: &str, length: RangeInclusive<usize>) -> Result<String, String> {
    if !text.is_empty() && shows_nothing(text) {
        return Err("must have something to see in it".into());
    }
    if length.contains(&text.chars().count()) {
        Ok(text.into())
    } else if *length.start() == 0 {
        Err(format!("must have at most {} characters", length.end()))
    } else {
        Err(format!("must have {} to {} characters", length.start(), length.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_is_trimmed_and_counted_in_characters() {
        assert_eq!(line(&json!("  Zoé "), 2..=3).as_deref(), Ok("Zoé"));
        assert!(line(&json!("   "), 1..=5).is_err());
        assert!(line(&json!("a\nb"), 1..=5).is_err());
        assert!(line(&json!(5), 1..=5).is_err());
        assert_eq!(lines(&json!("a\nb"), 0..=5).as_deref(), Ok("a\nb"));
        assert!(lines(&json!("a\0b"), 0..=5).is_err());
    }

    #[test]
    fn text_has_something_to_see_in_it() {
        for text in ["\u{200b}", "\u{3164}\u{2800}", " \u{2060} ", "\u{feff}", "\u{e0041}\u{e007f}"] {
            assert_eq!(line(&json!(text), 1..=50), Err("must have something to see in it".into()), "{text:?}");
            assert!(lines(&json!(text), 0..=50).is_err(), "{text:?}");
        }
        // A joiner inside of a word is part of how it is written.
        for text in ["می\u{200c}خواهم", "👩\u{200d}💻", "李"] {
            assert_eq!(line(&json!(text), 1..=50).as_deref(), Ok(text));
        }
    }
}
