//! Payments, against a stand-in of the payment server that checks and makes signatures itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

use e2e::{Expected, Member, PaymentServer, ServerOptions, Stack, Value, json, on_both_stacks, refused};

on_both_stacks! {
    a_payment_is_paid_and_its_tier_counts_on_every_host,
}

async fn asked(request: e2e::described::Asked) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

async fn create(member: &Member, tier: &str) -> (u16, Value) {
    asked(member.post("/payments/phonepe/create").json(&json!({ "membershipTier": tier }))).await
}

async fn confirm(member: &Member, body: Value) -> (u16, Value) {
    asked(member.post("/payments/phonepe/confirm").json(&body)).await
}

async fn call_back(nobody: &Member, payments: &PaymentServer, txn: &str, amount: i64) -> u16 {
    let (body, verify) = payments.callback(txn, amount);
    asked(nobody.post("/payments/phonepe/callback").header("x-verify", verify).json(&body)).await.0
}

async fn a_payment_is_paid_and_its_tier_counts_on_every_host(stack: Stack) {
    let payments = PaymentServer::start().await;
    let expects = vec![Expected::Warning("not about what is recorded"), Expected::Warning("payment of another one")];
    let host = stack.start_with("host", ServerOptions { expects, ..payments.options() }).await;
    // On embedded stores there is one host at a time.
    let other = match stack.has("MONGODB_URI") {
        true => Some(stack.start_with("other", payments.options()).await),
        false => None,
    };
    let elsewhere = other.as_ref().map_or(&host.url, |other| &other.url).clone();
    let (ada, eve) = (Member::sign_up(&host.url, "Ada").await, Member::sign_up(&host.url, "Eve").await);
    let there = ada.at(&elsewhere);
    assert_eq!(there.read("/profile/view").await["membershipTier"], "free", "it is in the caches");

    let (status, begun) = create(&ada, "silver").await;
    assert_eq!(status, 200, "{begun}");
    let txn = begun["txnId"].as_str().unwrap();
    assert_eq!(begun["url"], json!(format!("https://pay.example/page/{txn}")));
    assert_eq!(payments.order(txn), (9_900, ada.id.clone()));
    assert_eq!(confirm(&ada, json!({ "txnId": txn })).await.0, 400, "it is not paid yet");
    payments.pay(txn);
    assert_eq!(confirm(&eve, json!({ "txnId": txn })).await.0, 403);
    let nobody = Member::nobody(&host.url);
    assert_eq!(call_back(&nobody, &payments, txn, 1).await, 400, "another amount");
    assert_eq!(ada.read("/profile/view").await["membershipTier"], "free");
    let (status, confirmed) = confirm(&ada, json!({ "membershipTier": "silver" })).await;
    assert_eq!((status, &confirmed["message"]), (200, &json!("Premium activated")), "{confirmed}");
    assert_eq!(confirmed["user"]["membershipTier"], "silver");
    for member in [&ada, &there] {
        let profile = member.read("/profile/view").await;
        assert_eq!((&profile["membershipTier"], &profile["isPremium"]), (&json!("silver"), &json!(true)));
    }
    let activated = confirmed["user"]["premiumActivatedAt"].clone();
    assert!(activated.is_string(), "{confirmed}");
    // Replays, also on the other host.
    assert_eq!(call_back(&Member::nobody(&elsewhere), &payments, txn, 9_900).await, 200);
    assert_eq!(confirm(&there, json!({ "txnId": txn })).await.1["user"]["premiumActivatedAt"], activated);

    // The next one by the callback, at once on both hosts.
    let (_, begun) = create(&there, "gold").await;
    let txn = begun["txnId"].as_str().unwrap();
    payments.pay(txn);
    let strangers = (Member::nobody(&host.url), Member::nobody(&elsewhere));
    let (one, two, three, four) = tokio::join!(
        call_back(&strangers.0, &payments, txn, 19_900),
        call_back(&strangers.1, &payments, txn, 19_900),
        confirm(&ada, json!({ "txnId": txn })),
        confirm(&there, json!({ "membershipTier": "gold" })),
    );
    assert_eq!([one, two, three.0, four.0], [200; 4]);
    for member in [&ada, &there] {
        assert_eq!(member.read("/profile/view").await["membershipTier"], "gold");
    }
    assert_eq!(eve.read("/profile/view").await["membershipTier"], "free");
    assert_eq!(payments.asked().1, 0, "each request was signed");
}

/// Attack (SSRF): a payment server that is at a private address which nobody named. Outcome: nothing is sent to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_that_is_not_named_is_not_asked() {
    let payments = PaymentServer::start().await;
    let host = Stack::embedded().start_with("host", payments.out_of_reach()).await;
    let ada = Member::sign_up(&host.url, "Ada").await;
    let (status, body) = create(&ada, "gold").await;
    assert_eq!(status, 503, "{body}");
    assert_eq!(payments.asked(), (0, 0));
    let why = host.warnings().into_iter().find(|line| line.contains("a loopback address"));
    assert!(why.is_some_and(|line| line.contains("`private`")), "the operator reads why");
    let ready = reqwest::get(format!("{}/readyz", host.url)).await.unwrap().status();
    assert_eq!(ready, 200, "it is no store of the host's");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_salt_key_is_no_fault_of_the_members() {
    let payments = PaymentServer::start().await;
    let mut options = payments.options();
    options.environment.push(("PHONEPE_SALT_KEY", "another-0b7c1d9e-5f28-4a63-9d1e-c2f4".to_owned()));
    options.expects =
        vec![Expected::Outcome("membership", "unable"), Expected::Warning("opens no page: 401, AUTHORIZATION_FAILED")];
    let host = Stack::embedded().start_with("host", options).await;
    let ada = Member::sign_up(&host.url, "Ada").await;
    assert_eq!(create(&ada, "gold").await.0, 503);
    assert_eq!(payments.asked(), (1, 1));
    assert_eq!(call_back(&Member::nobody(&host.url), &payments, &"a".repeat(32), 19_900).await, 403);
}

#[test]
fn a_url_that_is_none_is_told_when_the_host_starts() {
    let data = tempfile::TempDir::new().unwrap();
    for (url, why) in [
        ("pay.example", "begins with https:// or http://"),
        ("https://user:hush@pay.example", "has no user"),
        ("https://0x7f.1/apis", "written as 127.0.0.1"),
    ] {
        let said = refused(&["--strict", "--data", data.path().to_str().unwrap()], &[("PHONEPE_BASE_URL", url)]);
        assert!(said.contains("the setting phonepe.base-url is") && said.contains(why), "{url}: {said}");
    }
}
