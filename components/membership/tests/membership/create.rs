//! Beginning a payment.

use harness::{App, StandIn, Value, doc, json};

use crate::shop::{BASE, MERCHANT, PAGE, SALT_KEY, Shop, amount, decoded, member};

/// In milliseconds.
const DAY: u64 = 86_400_000;

#[test]
fn a_payment_is_recorded_and_its_page_is_opened() {
    let shop = Shop::open();
    let ada = shop.member("Ada", "free");
    for (tier, price) in [("silver", 9_900), ("gold", 19_900)] {
        let reply = shop.post("create", &ada, &json!({ "membershipTier": tier })).send();
        assert_eq!((reply.status, &reply.json()["url"]), (200, &json!(PAGE)), "{}", reply.text());
        let txn = reply.json()["txnId"].as_str().unwrap().to_owned();
        let payment = shop.payment(&txn);
        assert_eq!(payment.get_object_id("userId").unwrap(), ada.id);
        assert_eq!((payment.get_str("membershipTier").unwrap(), payment.get_str("state").unwrap()), (tier, "pending"));
        assert_eq!(amount(&payment), price);
        let [sent] = &shop.0.fetched()[..] else { panic!("one request") };
        assert_eq!((sent.method.as_str(), sent.url.clone()), ("POST", format!("{BASE}/pg/v1/pay")));
        let order = sent.json()["request"].as_str().unwrap().to_owned();
        let signature = shop.0.sign("phonepe", &format!("{order}/pg/v1/pay"));
        assert_eq!(sent.header("x-verify"), Some(format!("{signature}###1").as_str()));
        let order = decoded(&order);
        for (field, value) in [
            ("merchantId", json!(MERCHANT)),
            ("merchantTransactionId", json!(txn)),
            ("merchantUserId", json!(ada.id.to_hex())),
            ("amount", json!(price)),
            ("redirectUrl", json!("http://localhost:3000")),
            ("callbackUrl", json!("http://localhost:3000/payments/phonepe/callback")),
        ] {
            assert_eq!(order[field], value, "{field}");
        }
    }
    assert!(shop.is_unchanged(&ada), "nothing is bought yet");
}

/// Attack (API6): a client that says the price, the member or the state of its payment. Outcome: 400, and nothing is
/// recorded.
#[test]
fn a_client_says_the_tier_and_nothing_else() {
    let shop = Shop::open();
    let ada = shop.member("Ada", "free");
    for (body, part) in [
        (json!({}), "membershipTier is required"),
        (json!({ "membershipTier": "free" }), "must be silver or gold"),
        (json!({ "membershipTier": "Gold" }), "must be silver or gold"),
        (json!({ "membershipTier": ["gold"] }), "must be silver or gold"),
        (json!({ "membershipTier": null }), "must be silver or gold"),
        (json!({ "membershipTier": { "$ne": "" } }), "must be silver or gold"),
        (json!({ "membershipTier": "gold", "amount": 1 }), "amount is not a known field"),
        (json!({ "membershipTier": "gold", "userId": "x" }), "userId is not a known field"),
        (json!([]), ""),
    ] {
        let reply = shop.post("create", &ada, &body).send();
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.message().contains(part), "{body}: {}", reply.message());
    }
    assert!(shop.0.find("payments", doc! {}).is_empty() && shop.0.fetched().is_empty());
    assert_eq!(shop.0.post("/payments/phonepe/create").json(&json!({ "membershipTier": "gold" })).send().status, 401);
}

#[test]
fn nobody_pays_for_what_they_have() {
    let shop = Shop::open();
    for (has, wants, status) in [
        ("free", "silver", 200),
        ("silver", "silver", 400),
        ("silver", "gold", 200),
        ("gold", "silver", 400),
        ("gold", "gold", 400),
        ("platinum", "silver", 200),
    ] {
        let ada = shop.member(&format!("Ada{has}{wants}"), has);
        let reply = shop.post("create", &ada, &json!({ "membershipTier": wants })).send();
        assert_eq!(reply.status, status, "{has} wants {wants}: {}", reply.text());
    }
    let nobody = crate::shop::Member { id: harness::ObjectId::new(), token: shop.0.log_in(harness::ObjectId::new()) };
    assert_eq!(shop.post("create", &nobody, &json!({ "membershipTier": "gold" })).send().status, 404, "{}", nobody.id);
}

#[test]
fn without_a_payment_server_there_are_no_payments_and_the_rest_is_there() {
    let complete = [("PHONEPE_BASE_URL", BASE), ("PHONEPE_MERCHANT_ID", MERCHANT), ("PHONEPE_SALT_KEY", SALT_KEY)];
    for missing in ["PHONEPE_BASE_URL", "PHONEPE_MERCHANT_ID", "PHONEPE_SALT_KEY", ""] {
        let mut setup = App::setup(&["membership"]);
        for (name, value) in complete.iter().filter(|(name, _)| !missing.is_empty() && *name != missing) {
            setup = setup.variable(name, value);
        }
        let app = setup.start();
        let ada = member(&app, "Ada", "free");
        for (what, body) in [
            ("create", json!({ "membershipTier": "gold" })),
            ("confirm", json!({ "membershipTier": "gold" })),
            ("callback", json!({ "response": "e30=" })),
        ] {
            let reply = app.post(&format!("/payments/phonepe/{what}")).token(&ada.token).json(&body).send();
            assert_eq!(
                (reply.status, reply.message().as_str()),
                (503, "Payments are not set up on this server"),
                "{what}"
            );
        }
        assert!(app.fetched().is_empty() && app.find("payments", doc! {}).is_empty());
    }
}

#[test]
fn a_payment_server_that_opens_no_page_is_a_503_and_no_fault_of_a_store() {
    let shop = Shop::open();
    let ada = shop.member("Ada", "free");
    let page =
        |url: Value| json!({ "success": true, "data": { "instrumentResponse": { "redirectInfo": { "url": url } } } });
    let pay = || StandIn::of("POST", &format!("{BASE}/pg/v1/pay"));
    let answers = [
        pay().fails("no connection: refused"),
        pay().status(500).body("oops"),
        pay().status(302),
        pay().status(400).json(&json!({ "success": false, "code": "BAD_REQUEST" })),
        pay().json(&json!({ "success": false, "code": "KEY_NOT_CONFIGURED" })),
        pay().json(&page(json!("javascript:alert(1)"))),
        pay().json(&page(json!("/relative"))),
        pay().json(&page(json!("https://pay.example/two\nlines"))),
        pay().json(&page(json!(7))),
        pay().json(&json!([])),
    ];
    for answer in answers {
        shop.0.stand_in(answer.clone());
        let reply = shop.post("create", &ada, &json!({ "membershipTier": "gold" })).send();
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{answer:?}: {}", reply.text());
        assert!(!reply.text().contains("connection") && !reply.text().contains("BAD_REQUEST"), "{}", reply.text());
    }
    assert_eq!(shop.0.count("membership", "store"), 0);
    assert!(shop.is_unchanged(&ada));
    let recorded = shop.0.find("payments", doc! {});
    assert!(recorded.len() == 10 && recorded.iter().all(|payment| payment.get_str("state").ok() == Some("failed")));
    assert_eq!(shop.confirm(&ada, &json!({ "membershipTier": "gold" })).status, 404, "nobody can have paid them");
}

#[test]
fn payments_are_begun_so_often_in_an_hour() {
    let shop = Shop::open();
    let (ada, bob) = (shop.member("Ada", "free"), shop.member("Bob", "free"));
    for _ in 0..20 {
        shop.begin(&ada, "silver");
    }
    let reply = shop.post("create", &ada, &json!({ "membershipTier": "silver" })).send();
    assert_eq!(reply.status, 429, "{}", reply.text());
    assert!(reply.header("retry-after").is_some());
    shop.begin(&bob, "silver");
    shop.0.clock().advance(3_600_000);
    shop.begin(&ada, "silver");
}

#[test]
fn what_nobody_pays_is_deleted_and_what_is_paid_stays() {
    let shop = Shop::open();
    let (ada, bob) = (shop.member("Ada", "free"), shop.member("Bob", "free"));
    let (paid, unpaid) = (shop.begin(&ada, "gold"), shop.begin(&bob, "gold"));
    shop.says(&paid, 19_900, crate::shop::PAID);
    assert_eq!(shop.confirm(&ada, &json!({ "txnId": paid })).status, 200);
    shop.0.clock().advance(89 * DAY);
    shop.0.clean_up();
    assert_eq!(shop.0.find("payments", doc! {}).len(), 2);
    shop.0.clock().advance(3 * DAY);
    shop.0.clean_up();
    let kept = shop.0.find("payments", doc! {});
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].get_str("_id").unwrap(), paid.as_str(), "{unpaid} is gone");
}
