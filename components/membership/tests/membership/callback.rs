//! The payment server's own call: its signature, and what it says.

use harness::json;

use crate::shop::{FAILED, PAID, PENDING, Shop, said};

#[test]
fn a_signed_callback_upgrades_the_member_of_its_payment_once() {
    let shop = Shop::open();
    let (ada, bob) = (shop.member("Ada", "free"), shop.member("Bob", "free"));
    let txn = shop.begin(&ada, "gold");
    shop.0.fetched();
    let word = said(&txn, 19_900, PAID);
    let reply = shop.callback(&word).send();
    assert_eq!(
        (reply.status, reply.json()),
        (200, json!({ "message": "Premium activated" })),
        "it says nothing of the member"
    );
    assert_eq!(shop.membership(&ada), ("gold".to_owned(), true, true));
    assert!(shop.is_unchanged(&bob) && shop.0.fetched().is_empty());

    // A replay.
    let (user, payment) = (shop.0.find("users", harness::doc! { "_id": ada.id }), shop.payment(&txn));
    shop.0.clock().advance(5 * 3_600_000);
    for _ in 0..3 {
        assert_eq!(shop.callback(&word).send().status, 200);
    }
    assert_eq!((shop.0.find("users", harness::doc! { "_id": ada.id }), shop.payment(&txn)), (user, payment));
}

/// Attack (API2): callbacks that are not signed, signed by another key, for another body, or with another index.
/// Outcome: 403, and nothing changes.
#[test]
fn what_is_not_signed_by_the_payment_server_is_refused() {
    let shop = Shop::open();
    let ada = shop.member("Ada", "free");
    let txn = shop.begin(&ada, "gold");
    let response = base64_of(&said(&txn, 19_900, PAID).to_string());
    let good = shop.0.sign("phonepe", &response);
    let unsubscribe = shop.0.sign("unsubscribe", &response);
    let other = shop.0.sign("phonepe", &base64_of(&said(&txn, 19_900, PENDING).to_string()));
    for verify in [
        String::new(),
        good.clone(),
        format!("{good}###"),
        format!("{good}###2"),
        format!("{good}###1###1"),
        format!("{good}##1"),
        format!("{}###1", &good[..63]),
        format!("{good}00###1"),
        format!("{}###1", "0".repeat(64)),
        format!("{}###1", "z".repeat(64)),
        format!("{unsubscribe}###1"),
        format!("{other}###1"),
        format!("{}###1", shop.0.sign("phonepe", &format!("{response}/pg/v1/pay"))),
    ] {
        let reply = shop.signed(&response, &verify).send();
        assert_eq!(
            (reply.status, reply.message().as_str()),
            (403, "This is not signed by the payment server"),
            "{verify}"
        );
    }
    let bare = shop.0.post("/payments/phonepe/callback").json(&json!({ "response": response })).send();
    assert_eq!(bare.status, 403, "without the header");
    assert!(shop.is_unchanged(&ada));
    assert_eq!(shop.signed(&response, &format!("{}###1", good.to_uppercase())).send().status, 200, "in either case");
}

#[test]
fn what_is_signed_still_has_to_be_what_is_recorded() {
    let shop = Shop::open();
    let ada = shop.member("Ada", "free");
    let txn = shop.begin(&ada, "gold");
    let mut of_other_merchant = said(&txn, 19_900, PAID);
    of_other_merchant["data"]["merchantId"] = json!("M2");
    for (word, status) in [
        (said(&txn, 9_900, PAID), 400),
        (said(&txn, 19_901, PAID), 400),
        (of_other_merchant, 400),
        (said(&"a".repeat(32), 19_900, PAID), 404),
        (json!({ "success": true, "code": "PAYMENT_SUCCESS" }), 404),
        (json!([1]), 400),
    ] {
        let reply = shop.callback(&word).send();
        assert_eq!(reply.status, status, "{word}: {}", reply.text());
        assert!(shop.is_unchanged(&ada) && shop.payment(&txn).get_str("state").ok() == Some("pending"), "{word}");
    }
    for body in [json!({}), json!({ "response": 7 }), json!([])] {
        assert_eq!(shop.0.post("/payments/phonepe/callback").json(&body).send().status, 400, "{body}");
    }
    for response in ["", "not base64!", "e30"] {
        let verify = format!("{}###1", shop.0.sign("phonepe", response));
        assert_eq!(shop.signed(response, &verify).send().status, 400, "{response}");
    }
}

#[test]
fn whatever_comes_first_the_last_word_that_it_is_paid_counts() {
    let shop = Shop::open();
    let ada = shop.member("Ada", "free");
    let txn = shop.begin(&ada, "silver");
    for (word, message) in
        [(PENDING, "The payment is not completed yet"), (FAILED, "The payment has failed"), (PAID, "Premium activated")]
    {
        let reply = shop.callback(&said(&txn, 9_900, word)).send();
        assert_eq!((reply.status, reply.message().as_str()), (200, message));
        assert_eq!(shop.is_unchanged(&ada), word != PAID);
    }
    assert_eq!(shop.callback(&said(&txn, 1, PAID)).send().status, 400, "of another amount it is no replay");
    // A word that comes late takes nothing back.
    for word in [FAILED, PENDING] {
        assert_eq!(shop.callback(&said(&txn, 9_900, word)).send().status, 200);
    }
    assert_eq!(shop.payment(&txn).get_str("state").unwrap(), "done");
    assert_eq!(shop.membership(&ada), ("silver".to_owned(), true, true));
}

#[test]
fn a_payment_of_a_member_who_is_gone_is_done_and_upgrades_nobody() {
    let shop = Shop::open();
    let gone = shop.member("Ada", "free");
    let txn = shop.begin(&gone, "gold");
    let mut other = shop.payment(&txn);
    // As if it were of somebody who was deleted since.
    other.insert("_id", "b".repeat(32));
    other.insert("userId", harness::ObjectId::new());
    shop.0.insert("payments", other);
    assert_eq!(shop.callback(&said(&"b".repeat(32), 19_900, PAID)).send().status, 200);
    assert_eq!(shop.payment(&"b".repeat(32)).get_str("state").unwrap(), "done");
    assert!(shop.is_unchanged(&gone));
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
