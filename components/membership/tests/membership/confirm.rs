//! Confirming a payment: the payment server is asked, and what it says has to be about what is recorded.

use harness::{StandIn, json};

use crate::shop::{BASE, FAILED, MERCHANT, PAID, PENDING, Shop, said};

#[test]
fn a_paid_payment_upgrades_its_member_once() {
    let shop = Shop::open();
    let ada = shop.member("Ada", "free");
    let txn = shop.begin(&ada, "gold");
    shop.0.fetched();
    shop.says(&txn, 19_900, PAID);
    let reply = shop.confirm(&ada, &json!({ "membershipTier": "gold", "txnId": txn }));
    let body = reply.json();
    assert_eq!((reply.status, &body["message"]), (200, &json!("Premium activated")), "{body}");
    assert_eq!((&body["user"]["membershipTier"], &body["user"]["isPremium"]), (&json!("gold"), &json!(true)));
    assert!(body["user"]["premiumActivatedAt"].is_string() && body["user"]["emailId"] == "ada@example.com", "{body}");
    assert!(!reply.text().contains("argon2") && body["user"].get("password").is_none());
    let [sent] = &shop.0.fetched()[..] else { panic!("one request") };
    let path = format!("/pg/v1/status/{MERCHANT}/{txn}");
    assert_eq!((sent.method.as_str(), sent.url.clone()), ("GET", format!("{BASE}{path}")));
    assert_eq!(sent.header("x-verify"), Some(format!("{}###1", shop.0.sign("phonepe", &path)).as_str()));
    assert_eq!(sent.header("x-merchant-id"), Some(MERCHANT));
    let payment = shop.payment(&txn);
    assert_eq!((payment.get_str("state").unwrap(), payment.get_str("reference").unwrap()), ("done", "T2026"));

    // The same again, later: the same answer, nobody is asked and nothing changes.
    let user = shop.0.find("users", harness::doc! { "_id": ada.id });
    shop.0.clock().advance(3_600_000);
    for body in [json!({ "txnId": txn }), json!({ "membershipTier": "gold" })] {
        assert_eq!(shop.confirm(&ada, &body).status, 200, "{body}");
    }
    assert!(shop.0.fetched().is_empty());
    assert_eq!((shop.0.find("users", harness::doc! { "_id": ada.id }), shop.payment(&txn)), (user, payment));
}

#[test]
fn what_is_not_paid_changes_nothing() {
    let shop = Shop::open();
    let ada = shop.member("Ada", "free");
    let txn = shop.begin(&ada, "silver");
    let ask = || shop.confirm(&ada, &json!({ "txnId": txn }));
    for (word, message) in [
        (PENDING, "The payment is not completed yet"),
        (("TRANSACTION_NOT_FOUND", ""), "The payment is not completed yet"),
        (("PAYMENT_SUCCESS", "PENDING"), "The payment is not completed yet"),
        (FAILED, "The payment has failed"),
    ] {
        shop.says(&txn, 9_900, word);
        let reply = ask();
        assert_eq!((reply.status, reply.message().as_str()), (400, message), "{word:?}");
        assert!(shop.is_unchanged(&ada), "{word:?}");
    }
    assert_eq!(shop.payment(&txn).get_str("state").unwrap(), "failed");
    // It is the payment server's word that counts, also when it comes to be another one.
    shop.says(&txn, 9_900, PAID);
    assert_eq!(ask().status, 200);
    assert_eq!(shop.membership(&ada), ("silver".to_owned(), true, true));
}

/// Attack (API6): a payment of another amount, merchant or transaction than what is recorded. Outcome: 400, and nobody
/// is upgraded.
#[test]
fn what_is_paid_has_to_be_what_is_recorded() {
    let shop = Shop::open();
    let ada = shop.member("Ada", "free");
    let (txn, other) = (shop.begin(&ada, "gold"), shop.begin(&ada, "silver"));
    let url = format!("{BASE}/pg/v1/status/{MERCHANT}/{txn}");
    let good = said(&txn, 19_900, PAID);
    let with = |field: &str, value: harness::Value| {
        let mut changed = good.clone();
        changed["data"][field] = value;
        changed
    };
    for word in [
        with("amount", json!(9_900)),
        with("amount", json!(1)),
        with("amount", json!(19_900.5)),
        with("amount", json!("19900")),
        with("amount", json!(null)),
        with("merchantId", json!("M2")),
        with("merchantTransactionId", json!(other)),
        with("merchantTransactionId", json!(null)),
    ] {
        shop.0.stand_in(StandIn::of("GET", &url).json(&word));
        let reply = shop.confirm(&ada, &json!({ "txnId": txn }));
        assert_eq!(reply.status, 400, "{word}");
        assert!(reply.message().contains("nothing was changed"), "{}", reply.message());
        assert!(shop.is_unchanged(&ada), "{word}");
        assert_eq!(shop.payment(&txn).get_str("state").unwrap(), "pending");
    }
}

/// Attack (API1): another member's payment, or one's own for a dearer tier. Outcome: 403 and 400, and nobody is asked
/// or upgraded.
#[test]
fn a_payment_is_of_its_member_and_its_tier() {
    let shop = Shop::open();
    let (ada, eve) = (shop.member("Ada", "free"), shop.member("Eve", "free"));
    let txn = shop.begin(&ada, "silver");
    shop.says(&txn, 9_900, PAID);
    shop.0.fetched();
    let stolen = shop.confirm(&eve, &json!({ "txnId": txn }));
    assert_eq!((stolen.status, stolen.message().as_str()), (403, "This is not your payment"));
    let dearer = shop.confirm(&ada, &json!({ "txnId": txn, "membershipTier": "gold" }));
    assert_eq!((dearer.status, dearer.message().as_str()), (400, "This payment is for another membership"));
    let none = shop.confirm(&eve, &json!({ "membershipTier": "silver" }));
    assert_eq!((none.status, none.message().as_str()), (404, "There is no such payment"));
    assert!(shop.is_unchanged(&ada) && shop.is_unchanged(&eve) && shop.0.fetched().is_empty());
    // And once it is done it is no more hers.
    assert_eq!(shop.confirm(&ada, &json!({ "txnId": txn })).status, 200);
    assert_eq!(shop.confirm(&eve, &json!({ "txnId": txn })).status, 403);
    assert!(shop.is_unchanged(&eve));
}

#[test]
fn a_confirmation_says_which_payment_is_meant() {
    let shop = Shop::open();
    let ada = shop.member("Ada", "free");
    for (body, status) in [
        (json!({}), 400),
        (json!({ "txnId": 7 }), 400),
        (json!({ "txnId": "" }), 400),
        (json!({ "txnId": "../../pay" }), 400),
        (json!({ "txnId": "A".repeat(32) }), 400),
        (json!({ "txnId": { "$ne": "" } }), 400),
        (json!({ "txnId": "a".repeat(32) }), 404),
        (json!({ "membershipTier": "free" }), 400),
        (json!({ "membershipTier": "gold", "amount": 1 }), 400),
        (json!({ "membershipTier": "gold" }), 404),
    ] {
        assert_eq!(shop.confirm(&ada, &body).status, status, "{body}");
    }
    assert!(shop.0.fetched().is_empty());
}

#[test]
fn without_an_id_the_newest_three_of_a_tier_are_asked_for() {
    let shop = Shop::open();
    let ada = shop.member("Ada", "free");
    let begin = |tier: &str| {
        shop.0.clock().advance(1_000);
        shop.begin(&ada, tier)
    };
    let silver: Vec<String> = (0..4).map(|_| begin("silver")).collect();
    let gold = begin("gold");
    for txn in silver.iter().chain([&gold]) {
        shop.says(txn, 9_900, PENDING);
    }
    shop.says(&silver[0], 9_900, PAID);
    shop.0.fetched();
    let asked = |body: &harness::Value| {
        let reply = shop.confirm(&ada, body);
        let urls = shop.0.fetched().into_iter().map(|sent| sent.url);
        let ids: Vec<String> = urls.map(|url| url.rsplit('/').next().unwrap().to_owned()).collect();
        (reply.status, ids)
    };
    let newest = [&silver[3], &silver[2], &silver[1]].map(Clone::clone).to_vec();
    assert_eq!(asked(&json!({ "membershipTier": "silver" })), (400, newest.clone()), "the fourth is too old");
    // One that has failed is none of the newest any more.
    shop.says(&silver[3], 9_900, FAILED);
    assert_eq!(asked(&json!({ "membershipTier": "silver" })), (400, newest));
    let next = [&silver[2], &silver[1], &silver[0]].map(Clone::clone).to_vec();
    assert_eq!(asked(&json!({ "membershipTier": "silver" })), (200, next));
    assert_eq!(shop.membership(&ada).0, "silver");
}

#[test]
fn a_payment_server_that_is_away_is_a_503_and_no_fault_of_a_store() {
    let shop = Shop::open();
    let ada = shop.member("Ada", "free");
    let txn = shop.begin(&ada, "gold");
    let url = format!("{BASE}/pg/v1/status/{MERCHANT}/{txn}");
    let status = || StandIn::of("GET", &url);
    let answers = [
        status().fails("pay.example did not answer in 5000 ms"),
        status().status(500).json(&said(&txn, 19_900, PAID)),
        status().body("<html>"),
        status().json(&json!("PAYMENT_SUCCESS")),
    ];
    for answer in answers {
        shop.0.stand_in(answer.clone());
        let reply = shop.confirm(&ada, &json!({ "txnId": txn }));
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{answer:?}: {}", reply.text());
    }
    assert_eq!(shop.0.count("membership", "store"), 0);
    assert!(shop.is_unchanged(&ada));
    shop.says(&txn, 19_900, PAID);
    assert_eq!(shop.confirm(&ada, &json!({ "txnId": txn })).status, 200);
}

#[test]
fn a_payment_that_comes_late_takes_nothing_away() {
    let shop = Shop::open();
    let ada = shop.member("Ada", "free");
    let (silver, gold) = (shop.begin(&ada, "silver"), shop.begin(&ada, "gold"));
    shop.says(&silver, 9_900, PAID);
    shop.says(&gold, 19_900, PAID);
    assert_eq!(shop.confirm(&ada, &json!({ "txnId": gold })).status, 200);
    let reply = shop.confirm(&ada, &json!({ "txnId": silver }));
    assert_eq!((reply.status, &reply.json()["user"]["membershipTier"]), (200, &json!("gold")));
    assert_eq!(shop.payment(&silver).get_str("state").unwrap(), "done");
    assert_eq!(shop.membership(&ada).0, "gold");
}

#[test]
fn confirmations_are_bounded() {
    let shop = Shop::open();
    let ada = shop.member("Ada", "free");
    let statuses: Vec<u16> = (0..31).map(|_| shop.confirm(&ada, &json!({ "membershipTier": "gold" })).status).collect();
    assert_eq!((statuses[29], statuses[30]), (404, 429));
}

/// The day's limit of requests, what others see, and the own profile: all of them know the tier with the answer.
#[test]
fn the_tier_counts_at_once() {
    let shop = Shop::with(&["membership", "connections", "profile", "feed"]);
    let ada = shop.member("Ada", "free");
    let others: Vec<_> = (0..12).map(|number| shop.member(&format!("Other{number}"), "free")).collect();
    let send = |to: &crate::shop::Member| {
        shop.0.post(&format!("/request/send/interested/{}", to.id)).token(&ada.token).send().status
    };
    let profile = || shop.0.get("/profile/view").token(&ada.token).send().json()["membershipTier"].clone();
    let feed = || {
        let pages = [1, 2].map(|page| shop.0.get(&format!("/feed?page={page}")).token(&others[11].token).send().json());
        let users = pages.iter().flat_map(|page| page["data"].as_array().unwrap());
        users.filter(|user| user["firstName"] == "Ada").map(|user| user["membershipTier"].clone()).collect::<Vec<_>>()
    };
    let statuses: Vec<u16> = others[..11].iter().map(send).collect();
    assert_eq!((statuses[9], statuses[10]), (200, 429), "the day's ten");
    assert_eq!((profile(), feed()), (json!("free"), vec![json!("free")]), "and it is in the caches");
    let txn = shop.begin(&ada, "silver");
    shop.says(&txn, 9_900, PAID);
    assert_eq!(shop.confirm(&ada, &json!({ "txnId": txn })).status, 200);
    assert_eq!((profile(), feed()), (json!("silver"), vec![json!("silver")]));
    assert_eq!(send(&others[10]), 200, "the day has a hundred now");
}
