//! What members type, made up: it is refused with words, or it is stored in the one form in which it is compared.

use fuzzing::config;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::body::Body;
use crate::profile::{Form, changes};
use crate::{email, text};

const ODD: [&str; 12] = ["\0", "\n", "\r\n", "\t", "\u{200b}", "\u{202e}", "\u{a0}", "\u{feff}", "é", "李", "ﬁ", "İ"];
const URLS: [&str; 5] = ["https://a.example/b?c#d", "http://[::1]:80/", "https:// a", "javascript:1", "HTTPS://A"];

/// Text with what is invisible, ends lines, or looks like something else.
fn typed() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z0-9 ]{0,6}",
        2 => "\\PC{0,4}",
        1 => prop::sample::select(ODD.to_vec()).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn address() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => ("[ a-zA-Z0-9.+_'-]{1,12}", "@|@@|", "[a-zA-Z0-9.-]{1,12}\\.?[a-z]{0,4} ?")
            .prop_map(|(local, at, domain)| format!("{local}{at}{domain}")),
        1 => typed(),
        1 => (typed(), typed()).prop_map(|(local, domain)| format!("{local}@{domain}.com")),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_address_has_one_form(address in address()) {
        match email::address(&json!(address)) {
            Err(why) => prop_assert!(!why.is_empty()),
            Ok(stored) => {
                prop_assert_eq!(email::address(&json!(stored)), Ok(stored.clone()), "what is stored is accepted as it is");
                prop_assert_eq!(email::key(&stored), stored.clone());
                prop_assert_eq!(email::address(&json!(format!("  {address} "))), Ok(stored.clone()));
                prop_assert_eq!(stored.matches('@').count(), 1);
                prop_assert!(!stored.contains(|c: char| c.is_control() || c.is_whitespace()), "{stored:?}");
                // Limits of a mailbox hold for each of its addresses.
                prop_assert_eq!(email::mailbox(&stored), email::mailbox(&address));
            }
        }
    }

    #[test]
    fn a_text_is_trimmed_and_within_its_length(typed in typed(), least in 0_usize..4, more in 0_usize..20) {
        let length = least..=least + more;
        let value = json!(typed);
        let reads = [(text::line(&value, length.clone()), false), (text::lines(&value, length.clone()), true)];
        for (read, lines) in reads {
            match read {
                Err(why) => prop_assert!(why.starts_with("must "), "{why}"),
                Ok(stored) => {
                    prop_assert_eq!(stored.trim(), &stored);
                    prop_assert!(length.contains(&stored.chars().count()), "{stored:?}");
                    let breaks = |c: char| lines && matches!(c, '\n' | '\r' | '\t');
                    prop_assert!(!stored.contains(|c: char| c.is_control() && !breaks(c)), "{stored:?}");
                }
            }
        }
    }
}

/// A value of a form's field: sometimes what it takes, sometimes anything.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => typed().prop_map(Value::from),
        2 => prop::sample::select(vec![json!(""), json!(33), json!("33"), json!(33.0), json!(17), json!(1e300)]),
        1 => prop::sample::select(vec![json!("male"), json!(null)]),
        1 => prop::sample::select(URLS.to_vec()).prop_map(Value::from),
        1 => prop::collection::vec(typed(), 0..4).prop_map(Value::from),
        1 => Just(json!({ "$ne": null })),
    ]
}

const FIELDS: [&str; 9] =
    ["firstName", "lastName", "emailId", "photoUrl", "gender", "about", "skills", "age", "password"];

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_form_is_refused_as_a_whole_or_stored_as_it_reads_again(
        fields in prop::collection::btree_map(prop::sample::select(FIELDS.to_vec()), value(), 0..4),
        whole in any::<bool>(),
    ) {
        let form = if whole { Form::WholeForm } else { Form::Exact };
        let body = || Body::new(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect());
        let Ok(set) = changes(body(), form) else { return Ok(()) };
        prop_assert!(!fields.contains_key("password"), "nobody sets it here");
        for (name, _) in set.iter() {
            prop_assert!(name == "emailKey" || fields.contains_key(name), "{name}");
        }
        // What is stored is a body that changes nothing any more.
        let stored = serde_json::to_value(&set).unwrap();
        let stored = stored.as_object().unwrap().iter().filter(|(name, _)| *name != "emailKey");
        let again = Body::new(stored.map(|(name, value)| (name.clone(), value.clone())).collect());
        prop_assert_eq!(changes(again, Form::Exact), Ok(set));
    }
}
