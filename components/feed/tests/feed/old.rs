//! Documents of an earlier database: whatever is in one, every page comes, with everybody else on it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use harness::{doc, json, odd_values};

use crate::*;

#[test]
fn one_odd_member_breaks_no_page() {
    let app = app();
    let ada = member(&app, 1, doc! { "skills": ["rust"], "membershipTier": "gold" });
    let mut number = 1;
    for (_, value) in odd_values() {
        for field in ["firstName", "photoUrl", "age", "skills", "about", "isPremium", "hobbies"] {
            number += 1;
            user(&app, number, doc! { field: value.clone() });
        }
    }
    let everybody = hex(2..=number);
    for query in ["?limit=200", "?limit=7"] {
        assert_eq!(all_ids(&ada.pages(&app, query)), everybody, "{query}");
    }
    // Who shares no skill that can be read may be left out, and nobody else.
    let ranked = all_ids(&ada.pages(&app, "?ml=true&limit=200"));
    assert!(ranked.len() >= everybody.len() * 6 / 7, "{} of {}", ranked.len(), everybody.len());
    assert_eq!(app.count("feed", "trap") + app.count("feed", "memory") + app.count("feed", "cpu"), 0);
}

#[test]
fn whoever_asks_may_be_odd() {
    let app = app();
    users(&app, 1..5);
    for (number, (kind, value)) in (10..).zip(odd_values()) {
        let odd = member(&app, number, doc! { "skills": value.clone(), "age": value.clone(), "membershipTier": value });
        for query in ["", "?ml=true"] {
            assert_eq!(odd.ask(&app, query).status, 200, "{kind} {query}");
        }
    }
}

#[test]
fn a_field_that_is_too_large_for_a_page_is_not_on_it() {
    let app = app();
    let ada = member(&app, 1, doc! {});
    user(&app, 2, doc! { "photoUrl": format!("data:image/png;base64,{}", "x".repeat(700_000)) });
    user(&app, 3, doc! {});
    for query in ["", "?ml=true"] {
        let page = ada.feed(&app, query);
        let of = |id: &str| page["data"].as_array().unwrap().iter().find(|user| user["_id"] == id).unwrap().clone();
        let (large, small) = (of(&id(2).to_hex()), of(&id(3).to_hex()));
        assert_eq!((large.get("photoUrl"), &large["firstName"]), (None, &json!("Member2")), "{query}");
        assert_eq!(small["photoUrl"], "https://example.com/photo.png");
    }
}
