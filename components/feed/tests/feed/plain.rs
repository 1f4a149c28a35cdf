//! The plain feed: everybody, in the order in which they joined.

use super::*;

#[test]
fn the_answer_has_safe_users_and_what_there_is() {
    let app = app();
    let ada = member(&app, 1, doc! {});
    user(&app, 2, doc! { "membershipTier": "gold", "isPremium": true, "skills": ["rust", "Go"] });
    app.insert("users", doc! { "_id": id(3), "firstName": "Old", "password": "x" });
    let expected = json!({
        "data": [
            {
                "_id": id(2).to_hex(), "firstName": "Member2", "lastName": "Test", "photoUrl": "https://example.com/photo.png",
                "age": 30, "gender": "others", "about": "about", "skills": ["rust", "Go"], "isPremium": true,
                "membershipTier": "gold",
            },
            { "_id": id(3).to_hex(), "firstName": "Old", "skills": [], "isPremium": false, "membershipTier": "free" },
        ],
        "recommendations": {
            "totalAvailable": 2, "mlProcessed": 0, "returned": 2, "highMatch": 0, "page": 1, "hasMore": false,
        },
    });
    assert_eq!(ada.feed(&app, ""), expected);
    for not_true in ["?ml=false", "?ml=", "?ml", "?ml=1", "?ml=TRUE", "?ML=true"] {
        assert_eq!(ada.feed(&app, not_true), expected, "{not_true}");
    }
}

#[test]
fn nobody_else_is_an_empty_feed() {
    let app = app();
    let ada = member(&app, 1, doc! {});
    let expected = json!({
        "data": [],
        "recommendations": { "totalAvailable": 0, "mlProcessed": 0, "returned": 0, "highMatch": 0, "page": 1, "hasMore": false },
    });
    assert_eq!(ada.feed(&app, ""), expected);
    assert_eq!(ada.feed(&app, "?ml=true"), expected);
}

#[test]
fn pages_have_everybody_once() {
    let app = app();
    let ada = member(&app, 20, doc! { "membershipTier": "silver" });
    users(&app, (1..=48).filter(|number| *number != 20));
    request(&app, ada.id, id(10), "ignore");
    let everybody: Vec<u32> = (1..=48).filter(|number| ![10, 20].contains(number)).collect();
    for limit in [1, 7, 23, 45, 46, 47, 100] {
        let pages = ada.pages(&app, &format!("?limit={limit}"));
        assert_eq!(all_ids(&pages), hex(everybody.clone()), "by {limit}");
        assert_eq!(pages.len(), everybody.len().div_ceil(limit), "by {limit}");
        let (last, full) = pages.split_last().unwrap();
        assert!(full.iter().all(|page| page["data"].as_array().unwrap().len() == limit));
        assert!(pages.iter().all(|page| page["recommendations"]["totalAvailable"] == 46));
        let beyond = ada.feed(&app, &format!("?limit={limit}&page={}", pages.len() + 1));
        assert_eq!((ids(&beyond).len(), &beyond["recommendations"]["totalAvailable"]), (0, &json!(46)));
        assert_eq!(last["recommendations"]["hasMore"], false);
    }
}

#[test]
fn who_joins_between_two_pages_moves_nobody() {
    let app = app();
    let ada = member(&app, 1, doc! {});
    users(&app, 2..=12);
    assert_eq!(ids(&ada.feed(&app, "?limit=6")), hex(2..=7));
    user(&app, 13, doc! {});
    assert_eq!(ids(&ada.feed(&app, "?limit=6&page=2")), hex(8..=13));
    assert_eq!(
        ada.feed(&app, "?limit=6&page=2"),
        ada.feed(&app, "?page=2&limit=6"),
        "the same question, the same answer"
    );
}

#[test]
fn whoever_is_asked_leaves_the_feed() {
    let app = app();
    let ada = member(&app, 1, doc! {});
    users(&app, 2..=5);
    request(&app, ada.id, id(2), "interested");
    assert_eq!(ids(&ada.feed(&app, "?limit=2")), hex([3, 4]));
    let bob = session(&app, id(2));
    assert_eq!(ids(&bob.feed(&app, "")), hex([3, 4, 5]), "and the other's, too");
}

#[test]
fn who_joins_is_counted_at_once_and_who_is_brought_in_soon() {
    let app = app();
    let ada = member(&app, 1, doc! {});
    users(&app, 2..=12);
    let total = || ada.feed(&app, "?limit=5")["recommendations"]["totalAvailable"].clone();
    assert_eq!(total(), 11);
    // An id of the present second, as a sign-up makes it.
    let seconds = u32::try_from(harness::START / 1_000).unwrap().to_be_bytes();
    let [a, b, c, d] = seconds;
    let now = ObjectId::from_bytes([a, b, c, d, 1, 2, 3, 4, 5, 6, 7, 8]);
    user(&app, 13, doc! { "_id": now, "emailId": "new", "emailKey": "new" });
    assert_eq!(total(), 12);
    user(&app, 13, doc! {});
    assert_eq!(total(), 12);
    // However old the count is, nobody is missing on the pages, nor fewer told than are seen.
    assert_eq!(all_ids(&ada.pages(&app, "?limit=5")).len(), 13);
    let whole = ada.feed(&app, "?page=2&limit=10");
    assert_eq!((ids(&whole).len(), &whole["recommendations"]["totalAvailable"]), (3, &json!(13)));
    app.clock().advance(30_000);
    assert_eq!(total(), 13);
}
