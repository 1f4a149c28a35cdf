//! The product over HTTP: the way of a member through it, and every refusal of the contract.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

use e2e::{Member, PASSWORD, Stack, json, on_both_stacks};
use reqwest::StatusCode;

on_both_stacks! {
    a_member_signs_up_connects_and_logs_out,
    malformed_and_hostile_bodies_are_refused,
    other_peoples_things_stay_theirs,
    eight_racing_requests_in_both_directions_make_one,
    the_days_limit_holds_when_it_is_raced,
    a_token_that_is_not_a_living_one_is_refused,
}

async fn a_member_signs_up_connects_and_logs_out(stack: Stack) {
    let server = stack.start("host").await;
    let ada = Member::sign_up(&server.url, "Ada").await;
    let grace = Member::sign_up(&server.url, "Grace").await;

    let edit = json!({ "about": "Engines", "skills": ["rust", "wasm"], "age": 36, "gender": "female" });
    let edited: e2e::Value = ada.patch("/profile/edit").json(&edit).send().await.unwrap().json().await.unwrap();
    assert_eq!(edited["message"], "Ada, your profile updated successfully");
    let own = ada.read("/profile/view").await;
    assert_eq!((&own["about"], &own["age"]), (&json!("Engines"), &json!(36)));
    assert!(own.get("password").is_none());

    let sent = ada.post(&format!("/request/send/interested/{}", grace.id)).send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::OK);
    let received = grace.read("/user/requests/received").await;
    assert_eq!(received["data"][0]["fromUserId"]["firstName"], "Ada");
    let request = received["data"][0]["_id"].as_str().unwrap();
    let accepted = grace.post(&format!("/request/review/accepted/{request}")).send().await.unwrap();
    assert_eq!(accepted.status(), StatusCode::OK);
    for (member, other) in [(&ada, &grace), (&grace, &ada)] {
        let connections = member.read("/user/connections").await;
        assert_eq!(connections["data"][0]["_id"], other.id);
        assert!(connections["data"][0].get("emailId").is_none(), "a safe user has no e-mail");
    }

    let bearer = Member::nobody(&server.url).get("/profile/view").bearer_auth(&ada.token).send().await.unwrap();
    assert_eq!(bearer.status(), StatusCode::OK);
    let out = ada.post("/logout").send().await.unwrap();
    assert_eq!((out.status(), out.text().await.unwrap().as_str()), (StatusCode::OK, "Logout successfull"));
    let dead = ada.get("/profile/view").send().await.unwrap();
    assert_eq!((dead.status(), dead.text().await.unwrap().as_str()), (StatusCode::UNAUTHORIZED, "Please login"));
    assert_eq!(Member::log_in(&server.url, "ADA@example.com", PASSWORD).await.id, ada.id);
    // Each component that is told of all this takes it: a dead letter would fail the test.
    server.settled().await;
}

/// Attack (API4, injection): bodies that are malformed, deep, large, of another type, or operators of a database.
/// Outcome: 400, 413 or 415 in the one shape; nobody is logged in.
async fn malformed_and_hostile_bodies_are_refused(stack: Stack) {
    let server = stack.start("host").await;
    let nobody = Member::nobody(&server.url);
    let deep = format!("{{\"firstName\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let large = format!("{{\"firstName\":\"{}\"}}", "x".repeat(300 << 10));
    let user = |change: e2e::Value| {
        let mut user =
            json!({ "firstName": "Eve", "lastName": "Tester", "emailId": "eve@example.com", "password": PASSWORD });
        user.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        user.to_string()
    };
    let cases = [
        ("malformed", "{\"firstName\":".to_owned(), 400),
        ("not an object", "[1]".to_owned(), 400),
        ("wrong type", user(json!({ "firstName": 5 })), 400),
        ("too deep", deep, 400),
        ("too large", large, 413),
        ("weak password", user(json!({ "password": "weakpassword" })), 400),
        ("unknown field", user(json!({ "isPremium": true })), 400),
        ("injected e-mail", user(json!({ "emailId": { "$ne": null } })), 400),
        ("bad e-mail", user(json!({ "emailId": "eve" })), 400),
        ("empty", String::new(), 400),
    ];
    for (name, body, status) in cases {
        let request = nobody.post("/signup").header("content-type", "application/json").body(body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{name}");
        let body: e2e::Value = answer.json().await.unwrap();
        assert!(body["message"].is_string(), "{name}: {body}");
    }
    let text = nobody.post("/signup").header("content-type", "text/plain").body(user(json!({}))).send().await.unwrap();
    assert_eq!(text.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);

    Member::sign_up(&server.url, "Eve").await;
    let twice = nobody.post("/signup").header("content-type", "application/json");
    let twice = twice.body(user(json!({ "emailId": "EVE@Example.com" }))).send().await.unwrap();
    assert_eq!(twice.status(), StatusCode::BAD_REQUEST, "the same e-mail in another case");
    for body in [
        json!({ "emailId": { "$ne": null }, "password": { "$ne": null } }),
        json!({ "emailId": "eve@example.com", "password": { "$ne": null } }),
        json!({ "emailId": "eve@example.com", "password": "Wr0ng!Password" }),
        json!({ "emailId": "nobody@example.com", "password": PASSWORD }),
    ] {
        let answer = nobody.post("/login").json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.headers().get("set-cookie").is_none(), "{body}");
        assert_eq!(answer.json::<e2e::Value>().await.unwrap()["message"], "Invalid credentials", "{body}");
    }
}

/// Attack (API1): editing another member, answering requests to others. Outcome: 403 or 404, nothing changes.
async fn other_peoples_things_stay_theirs(stack: Stack) {
    let server = stack.start("host").await;
    let ada = Member::sign_up(&server.url, "Ada").await;
    let eve = Member::sign_up(&server.url, "Eve").await;
    let mallory = Member::sign_up(&server.url, "Mallory").await;
    let edit = eve.patch(&format!("/user/{}", ada.id)).json(&json!({ "firstName": "Pwned" })).send().await.unwrap();
    assert_eq!(edit.status(), StatusCode::FORBIDDEN);
    ada.post(&format!("/request/send/interested/{}", eve.id)).send().await.unwrap();
    let received = eve.read("/user/requests/received").await;
    let request = received["data"][0]["_id"].as_str().unwrap();
    let review = mallory.post(&format!("/request/review/accepted/{request}")).send().await.unwrap();
    assert_eq!(review.status(), StatusCode::NOT_FOUND);
    let respond = mallory.patch(&format!("/user/requests/{request}/respond")).json(&json!({ "action": "accept" }));
    assert_eq!(respond.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(mallory.read("/user/connections").await["data"], json!([]));
}

async fn eight_racing_requests_in_both_directions_make_one(stack: Stack) {
    let server = stack.start("host").await;
    let ada = Member::sign_up(&server.url, "Ada").await;
    let grace = Member::sign_up(&server.url, "Grace").await;
    let sends = (0..8).map(|n| {
        let (from, to) = if n % 2 == 0 { (ada.clone(), grace.id.clone()) } else { (grace.clone(), ada.id.clone()) };
        tokio::spawn(async move { from.post(&format!("/request/send/interested/{to}")).send().await.unwrap().status() })
    });
    let mut won = 0;
    for send in sends.collect::<Vec<_>>() {
        match send.await.unwrap() {
            StatusCode::OK => won += 1,
            status => assert_eq!(status, StatusCode::BAD_REQUEST),
        }
    }
    assert_eq!(won, 1);
}

/// Attack (API6): more requests at once than a day allows. Outcome: exactly the limit, 429 beyond.
async fn the_days_limit_holds_when_it_is_raced(stack: Stack) {
    let server = stack.start("host").await;
    let ada = Member::sign_up(&server.url, "Ada").await;
    let mut others = Vec::new();
    for n in 0..14_u8 {
        others.push(Member::sign_up(&server.url, &format!("Other{}", char::from(b'a' + n))).await.id);
    }
    let sends: Vec<_> = others
        .into_iter()
        .map(|id| {
            let ada = ada.clone();
            tokio::spawn(async move { ada.post(&format!("/request/send/interested/{id}")).send().await.unwrap() })
        })
        .collect();
    let (mut sent, mut limited) = (0, 0);
    for send in sends {
        let answer = send.await.unwrap();
        if answer.status() == StatusCode::OK {
            sent += 1;
        } else {
            assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
            let body: e2e::Value = answer.json().await.unwrap();
            assert_eq!((&body["tier"], &body["limit"], &body["used"]), (&json!("free"), &json!(10), &json!(10)));
            limited += 1;
        }
    }
    assert_eq!((sent, limited), (10, 4));
}

/// A token by hand (RFC 7515), of HMAC with the algorithm's hash.
fn sign(claims: &e2e::Value, secret: &str, algorithm: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let header = json!({ "alg": algorithm, "typ": "JWT" });
    let message = [header.to_string(), claims.to_string()].map(|part| BASE64.encode(part)).join(".");
    let signature = match algorithm {
        "HS256" => Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes())
            .unwrap()
            .chain_update(&message)
            .finalize()
            .into_bytes()
            .to_vec(),
        _ => Hmac::<sha2::Sha512>::new_from_slice(secret.as_bytes())
            .unwrap()
            .chain_update(&message)
            .finalize()
            .into_bytes()
            .to_vec(),
    };
    format!("{message}.{}", BASE64.encode(signature))
}

/// Attack (JWT): tokens of another secret, another algorithm, another time, an unknown session. Outcome: `Please
/// login`, on all stores.
async fn a_token_that_is_not_a_living_one_is_refused(stack: Stack) {
    let server = stack.start("host").await;
    let ada = Member::sign_up(&server.url, "Ada").await;
    let far = 4_000_000_000_u64;
    let claims = |jti: &str, exp: u64| json!({ "_id": ada.id, "emailId": ada.email, "jti": jti, "iat": 1, "exp": exp });
    let payload = ada.token.split('.').nth(1).unwrap();
    let signature = ada.token.split('.').nth(2).unwrap();
    let forged = [
        ("another secret", sign(&claims("x", far), "another secret", "HS256")),
        ("another algorithm", sign(&claims("x", far), e2e::JWT_SECRET, "HS512")),
        ("expired", sign(&claims("x", 1_000), e2e::JWT_SECRET, "HS256")),
        ("an unknown jti", sign(&claims("0123456789abcdef", far), e2e::JWT_SECRET, "HS256")),
        ("alg none", format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.")),
        ("alg none with a signature", format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.{signature}")),
        ("nonsense", "nonsense".to_owned()),
    ];
    for (name, token) in forged {
        let answer = Member::nobody(&server.url).get("/profile/view").bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{name}");
        assert_eq!(answer.text().await.unwrap(), "Please login", "{name}");
    }
    assert_eq!(ada.get("/profile/view").send().await.unwrap().status(), StatusCode::OK);
}
