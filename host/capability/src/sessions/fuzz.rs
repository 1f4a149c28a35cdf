//! Tokens, made up and changed: a token is read when it is exactly the one that was signed, and says exactly that.

use fuzzing::{config, costly, damage};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::sessions::token::Keys;

/// Milliseconds since 1970.
const NOW: u64 = 1_700_000_000_000;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_token_says_what_was_signed_until_the_second_of_its_end(
        secret in prop::collection::vec(any::<u8>(), 1..64),
        (subject, id) in ("\\PC{0,40}", "\\PC{0,40}"),
        claims in prop::collection::vec(("[a-z]{4,8}", "\\PC{0,40}"), 0..4),
        seconds in 1_u64..1_000_000,
    ) {
        let keys = Keys::new(&secret);
        let expires = NOW / 1_000 + seconds;
        let token = keys.sign("_id", &subject, &claims, &id, NOW / 1_000, expires).unwrap();
        let read = keys.read(token.reveal(), "_id", NOW).unwrap();
        prop_assert_eq!((&read.subject, &read.id, read.expires), (&subject, &id, expires));
        prop_assert!(keys.read(token.reveal(), "_id", expires * 1_000 - 1).is_some());
        prop_assert!(keys.read(token.reveal(), "_id", expires * 1_000).is_none());
        // A byte more makes another key. (Zeros at its end alone would not: an HMAC fills its key up with them.)
        let other = [&secret[..], &[1]].concat();
        prop_assert!(Keys::new(&other).read(token.reveal(), "_id", NOW).is_none());
    }

    #[test]
    fn a_changed_token_is_none(damage in damage()) {
        let keys = Keys::new(b"secret");
        let claims = [("mail".to_owned(), "a@b.c".to_owned())];
        let token = keys.sign("_id", "42", &claims, "s1", NOW / 1_000, NOW / 1_000 + 60).unwrap();
        let changed = damage.of_text(token.reveal());
        prop_assert_eq!(keys.read(&changed, "_id", NOW).is_some(), changed == token.reveal());
    }

    #[test]
    fn no_parts_of_two_tokens_make_a_third(
        subjects in ("[0-9]{1,4}", "[0-9]{1,4}"),
        parts in prop::array::uniform3(any::<bool>()),
    ) {
        let keys = Keys::new(b"secret");
        let sign = |subject: &str| keys.sign("_id", subject, &[], "s1", 1, NOW).unwrap().reveal().to_owned();
        let both = [sign(&subjects.0), sign(&subjects.1)];
        let mixed: Vec<&str> = parts
            .iter()
            .enumerate()
            .map(|(at, second)| both[usize::from(*second)].split('.').nth(at).unwrap())
            .collect();
        let mixed = mixed.join(".");
        prop_assert_eq!(keys.read(&mixed, "_id", NOW).is_some(), both.contains(&mixed));
    }

    #[test]
    fn text_is_no_token(text in "[A-Za-z0-9_.=-]{0,200}", other in "\\PC{0,200}") {
        let keys = Keys::new(b"secret");
        prop_assert!(keys.read(&text, "_id", NOW).is_none());
        prop_assert!(keys.read(&other, "_id", NOW).is_none());
    }
}

proptest! {
    #![proptest_config(costly(2))]

    /// Base64 has texts of the same bytes: none of them is another token of the same session, whose hash nobody would bury.
    #[test]
    fn no_other_letter_in_any_place_is_the_same_token(place in any::<Index>()) {
        let keys = Keys::new(b"secret");
        let token = keys.sign("_id", "42", &[], "s1", 1, NOW).unwrap();
        let token = token.reveal();
        let place = place.index(token.len());
        for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=.+/ ".chars() {
            let mut changed: Vec<char> = token.chars().collect();
            changed[place] = letter;
            let changed: String = changed.into_iter().collect();
            prop_assert_eq!(keys.read(&changed, "_id", NOW).is_some(), changed == token, "{} at {}", letter, place);
        }
        for more in ["=", "==", " ", "\n", ".", "A"] {
            let longer = format!("{token}{more}");
            prop_assert!(keys.read(&longer, "_id", NOW).is_none(), "{longer:?}");
        }
    }
}
