//! Callbacks and confirmations of one payment at the same moment.

use harness::{all, doc, json};

use crate::shop::{PAID, Shop, said};

/// Attack (API6): a payment that is confirmed and called back many times at once. Outcome: one upgrade, and everybody
/// is told of it.
#[test]
fn however_many_come_at_once_there_is_one_upgrade() {
    let shop = Shop::open();
    for round in 0..5 {
        let ada = shop.member(&format!("Ada{round}"), "free");
        let txn = shop.begin(&ada, "gold");
        let word = said(&txn, 19_900, PAID);
        shop.says(&txn, 19_900, PAID);
        let confirm = json!({ "txnId": txn });
        let mut begun = Vec::new();
        for _ in 0..6 {
            begun.push(shop.callback(&word).begin());
            begun.push(shop.post("confirm", &ada, &confirm).begin());
            begun.push(shop.post("confirm", &ada, &json!({ "membershipTier": "gold" })).begin());
        }
        for reply in all(begun) {
            assert_eq!((reply.status, reply.message().as_str()), (200, "Premium activated"), "{}", reply.text());
        }
        assert_eq!(shop.membership(&ada), ("gold".to_owned(), true, true));
        let done = shop.0.find("payments", doc! { "userId": ada.id, "state": "done" });
        assert_eq!(done.len(), 1);
        // Both were written by one commit.
        let user = shop.0.find("users", doc! { "_id": ada.id }).remove(0);
        assert_eq!(user.get("premiumActivatedAt"), done[0].get("paidAt"));
    }
}

/// One of them is refused, the others are not.
#[test]
fn a_changed_amount_among_good_ones_changes_nothing() {
    let shop = Shop::open();
    let (ada, eve) = (shop.member("Ada", "free"), shop.member("Eve", "free"));
    let txn = shop.begin(&ada, "silver");
    shop.says(&txn, 9_900, PAID);
    let (good, changed) = (said(&txn, 9_900, PAID), said(&txn, 1, PAID));
    let replies = all([
        shop.callback(&changed).begin(),
        shop.callback(&good).begin(),
        shop.post("confirm", &eve, &json!({ "txnId": txn })).begin(),
        shop.post("confirm", &ada, &json!({ "txnId": txn, "membershipTier": "gold" })).begin(),
        shop.post("confirm", &ada, &json!({ "txnId": txn })).begin(),
    ]);
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [400, 200, 403, 400, 200]);
    assert_eq!(shop.membership(&ada).0, "silver");
    assert!(shop.is_unchanged(&eve));
}
