//! Logging in: the right password and no other, in the same words for every refusal, and not too often.

use harness::{App, Document, ObjectId, Reply, Value, doc, json};

const PASSWORD: &str = "Passw0rd!";
/// How long failures are remembered, in milliseconds.
const WINDOW: u64 = 900_000;

/// Somebody who signed up, as the answer said.
fn ada(app: &App) -> Value {
    named(app, "ada@example.com")
}

fn named(app: &App, email: &str) -> Value {
    let form = json!({ "firstName": "Ada", "lastName": "Lovelace", "emailId": email, "password": PASSWORD });
    app.post("/signup").json(&form).send().json().get("data").cloned().unwrap_or_default()
}

/// A user of an old database.
fn old(app: &App, email: &str, hash: &str) -> ObjectId {
    let id = ObjectId::new();
    app.insert("users", before(id, email, hash));
    id
}

fn before(id: ObjectId, email: &str, hash: &str) -> Document {
    doc! { "_id": id, "firstName": "Old", "emailId": email, "password": hash, "__v": 0 }
}

fn log_in(app: &App, email: &str, password: &str) -> Reply {
    app.post("/login").json(&json!({ "emailId": email, "password": password })).send()
}

fn log_in_from(app: &App, address: &str, email: &str, password: &str) -> u16 {
    let peer = address.parse().unwrap_or(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    app.post("/login").json(&json!({ "emailId": email, "password": password })).from(peer).send().status
}

/// Guesses at accounts that are not there, a different one each time.
fn guess_from(app: &App, address: &str, times: usize) -> Vec<u16> {
    (0..times).map(|n| log_in_from(app, address, &format!("nobody{n}@example.com"), "wrong")).collect()
}

#[test]
fn the_right_password_opens_a_session_and_answers_the_own_user() {
    let app = App::with(&["auth"]);
    let ada = ada(&app);
    let reply = log_in(&app, "ada@example.com", PASSWORD);
    assert_eq!((reply.status, reply.json()), (200, ada));
    assert!(!reply.text().contains("argon2") && !reply.text().contains("emailKey"), "{}", reply.text());
    let cookie = reply.header("set-cookie").unwrap();
    for part in ["; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=28800"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert_eq!(app.find("sessions", doc! {}).len(), 2, "one of the sign-up, one of the log-in");
    assert_eq!(app.post("/logout").token(&reply.token().unwrap()).send().status, 200);
}

#[test]
fn an_e_mail_is_trimmed_and_its_case_does_not_matter() {
    let app = App::with(&["auth"]);
    ada(&app);
    for email in ["ADA@example.com", "  Ada@Example.Com\n"] {
        assert_eq!(log_in(&app, email, PASSWORD).status, 200, "{email}");
    }
}

#[test]
fn one_event_tells_of_the_log_in() {
    let app = App::with(&["auth"]);
    let id = ada(&app)["_id"].as_str().unwrap().to_owned();
    app.clock().advance(1_000);
    let body = json!({ "emailId": "ADA@example.com", "password": PASSWORD });
    assert_eq!(app.post("/login").json(&body).from("203.0.113.7".parse().unwrap()).send().status, 200);
    let [_, event] = <[_; 2]>::try_from(app.events("user-events")).unwrap();
    assert_eq!((event.kind.as_str(), &event.key), ("USER_LOGIN", &id));
    let expected = json!({
        "eventType": "USER_LOGIN",
        "userId": id,
        "timestamp": "2026-01-15T12:00:01.000Z",
        "data": { "emailId": "ada@example.com", "loginTime": "2026-01-15T12:00:01.000Z", "ipAddress": "203.0.113.7" },
    });
    assert_eq!(event.value, expected);
}

/// Attack (API2, injection): log-ins of nobody, with wrong passwords, operators, lists and zero bytes. Outcome: the
/// same words for all, and no session.
#[test]
fn every_refusal_has_the_same_words() {
    let app = App::with(&["auth"]);
    ada(&app);
    let long = "x".repeat(1_025);
    let bodies = [
        json!({ "emailId": "ada@example.com", "password": "Passw0rd?" }),
        json!({ "emailId": "ada@example.com", "password": "passw0rd!" }),
        json!({ "emailId": "ada@example.com", "password": " Passw0rd!" }),
        json!({ "emailId": "nobody@example.com", "password": PASSWORD }),
        json!({ "emailId": "no e-mail", "password": PASSWORD }),
        json!({ "emailId": "", "password": PASSWORD }),
        json!({ "emailId": "ada@example.com", "password": "" }),
        json!({ "emailId": "ada@example.com", "password": long }),
        json!({ "emailId": "x".repeat(10_000), "password": PASSWORD }),
        json!({ "emailId": "a\u{0}@example.com", "password": PASSWORD }),
        json!({ "emailId": "ada@example.com" }),
        json!({ "password": PASSWORD }),
        json!({}),
        json!({ "emailId": { "$ne": null }, "password": { "$ne": null } }),
        json!({ "emailId": { "$ne": null }, "password": PASSWORD }),
        json!({ "emailId": "ada@example.com", "password": { "$ne": null } }),
        json!({ "emailId": ["ada@example.com"], "password": PASSWORD }),
        json!({ "emailId": "ada@example.com", "password": 5 }),
        json!({ "emailId": null, "password": null }),
    ];
    for body in bodies {
        let reply = app.post("/login").json(&body).send();
        assert_eq!((reply.status, reply.json()), (400, json!({ "message": "Invalid credentials" })), "{body}");
        assert_eq!(reply.token(), None, "{body}");
    }
    assert_eq!(app.find("sessions", doc! {}).len(), 1, "the one of the sign-up");
    assert_eq!(app.events("user-events").len(), 1);
}

#[test]
fn what_is_no_json_object_of_a_decent_size_is_refused() {
    let app = App::with(&["auth"]);
    ada(&app);
    let good = json!({ "emailId": "ada@example.com", "password": PASSWORD }).to_string();
    let post = |kind: &str, body: String| app.post("/login").header("content-type", kind).body(body).send().status;
    let deep = good.replace(&format!("\"{PASSWORD}\""), &format!("{}{}", "[".repeat(32), "]".repeat(32)));
    for body in [String::new(), "[]".into(), "null".into(), "{\"emailId\":".into(), format!("{good}}}"), deep] {
        assert_eq!(post("application/json", body.clone()), 400, "{body}");
    }
    assert_eq!(post("text/plain", good.clone()), 415);
    assert_eq!(post("application/json", good.replace("ada@", &"x".repeat(16 * 1024))), 413);
    assert_eq!(post("application/json", good), 200);
}

/// The id of who logs in, or the refusal.
fn who(app: &App, email: &str, password: &str) -> Result<String, String> {
    let reply = log_in(app, email, password);
    reply.json().get("_id").and_then(Value::as_str).map_or_else(|| Err(reply.message()), |id| Ok(id.to_owned()))
}

#[test]
fn an_old_e_mail_in_mixed_case_logs_in_however_it_is_written() {
    let (id, hash) = (ObjectId::new(), bcrypt::hash("mixed", 4).unwrap());
    let app = App::setup(&["auth"]).document("users", before(id, " Ada@Example.com", &hash)).start();
    assert_eq!(app.find("users", doc! {})[0].get_str("emailKey").unwrap(), "ada@example.com");
    for email in [" Ada@Example.com", "Ada@Example.com", "ada@example.com", "ADA@EXAMPLE.COM"] {
        assert_eq!(who(&app, email, "mixed"), Ok(id.to_hex()), "{email}");
    }
    assert_eq!(who(&app, "ada@example.com", "other"), Err("Invalid credentials".into()));
}

#[test]
fn of_two_old_e_mails_that_differ_in_case_the_exact_one_logs_in() {
    let hashes = ["mixed", "lower"].map(|password| bcrypt::hash(password, 4).unwrap());
    for lower_is_first in [false, true] {
        let mut ids = [ObjectId::from_bytes([1; 12]), ObjectId::from_bytes([2; 12])];
        if lower_is_first {
            ids.reverse();
        }
        let [mixed, lower] = ids;
        let app = App::setup(&["auth"])
            .document("users", before(mixed, "Ada@Example.com", &hashes[0]))
            .document("users", before(lower, "ada@example.com", &hashes[1]))
            .start();
        assert_eq!(app.find("users", doc! { "emailKey": "ada@example.com" }).len(), 1, "one of the two has it");
        assert_eq!(who(&app, "Ada@Example.com", "mixed"), Ok(mixed.to_hex()));
        assert_eq!(who(&app, "ada@example.com", "lower"), Ok(lower.to_hex()));
        assert_eq!(
            who(&app, "ADA@EXAMPLE.COM", "lower"),
            Ok(lower.to_hex()),
            "of neither, the lower-cased one is meant"
        );
        for (email, password) in
            [("Ada@Example.com", "lower"), ("ada@example.com", "mixed"), ("ADA@EXAMPLE.COM", "mixed")]
        {
            assert_eq!(who(&app, email, password), Err("Invalid credentials".into()), "{email} {password}");
        }
    }
}

#[test]
fn an_old_hash_logs_in_and_is_made_anew() {
    let app = App::with(&["auth"]);
    let hash = bcrypt::hash("weak", 4).unwrap();
    assert!(hash.starts_with("$2b$"));
    let id = old(&app, "old@example.com", &hash);
    let stored = || app.find("users", doc! { "_id": id })[0].get_str("password").unwrap().to_owned();
    assert_eq!(log_in(&app, "old@example.com", "wrong").status, 400);
    assert_eq!(stored(), hash, "a wrong password changes nothing");
    let reply = log_in(&app, "old@example.com", "weak");
    let expected = json!({
        "_id": id.to_hex(),
        "firstName": "Old",
        "emailId": "old@example.com",
        "skills": [],
        "isPremium": false,
        "membershipTier": "free",
        "emailPreferences": { "welcomeEmail": true, "connectionRequests": true, "loginSuggestions": true, "marketingEmails": false },
    });
    assert_eq!((reply.status, reply.json()), (200, expected), "an old user shows the defaults");
    let renewed = stored();
    assert!(renewed.starts_with("$argon2id$"), "{renewed}");
    assert_eq!(log_in(&app, "old@example.com", "weak").status, 200);
    assert_eq!(stored(), renewed, "a new hash stays");
}

#[test]
fn an_account_without_a_usable_hash_is_nobody_s() {
    let app = App::with(&["auth"]);
    for (email, hash) in
        [("empty@example.com", ""), ("text@example.com", "secret"), ("broken@example.com", "$2b$10$short")]
    {
        old(&app, email, hash);
        for password in ["secret", "x"] {
            assert_eq!(log_in(&app, email, password).message(), "Invalid credentials", "{email} {password}");
        }
    }
    app.insert("users", doc! { "_id": ObjectId::new(), "emailId": "none@example.com" });
    assert_eq!(log_in(&app, "none@example.com", "x").message(), "Invalid credentials");
}

/// The status of a log-in from an address and the seconds after which to try again.
fn waits(app: &App, address: &str, email: &str, password: &str) -> (u16, Option<u64>) {
    let peer = address.parse().unwrap();
    let reply = app.post("/login").json(&json!({ "emailId": email, "password": password })).from(peer).send();
    (reply.status, reply.header("retry-after").and_then(|seconds| seconds.parse().ok()))
}

/// Attack (46, API2): guesses of a password from one address. Outcome: from the tenth on it waits longer and longer.
#[test]
fn after_ten_failures_an_address_waits_longer_and_longer() {
    let app = App::with(&["auth"]);
    ada(&app);
    named(&app, "bo@example.com");
    for n in 0..10 {
        let email = if n % 2 == 0 { "ada@example.com" } else { " ADA@Example.com" };
        assert_eq!(log_in(&app, email, "wrong").status, 400, "{n}");
    }
    let mut wait = 10;
    for _ in 0..4 {
        for password in ["wrong", PASSWORD] {
            let reply = log_in(&app, "ada@example.com", password);
            let words = (reply.status, reply.message());
            assert_eq!(words, (429, "Too many failed attempts, please try again later".to_owned()));
            assert_eq!((reply.header("retry-after"), reply.token()), (Some(wait.to_string().as_str()), None));
        }
        assert_eq!(log_in(&app, "bo@example.com", PASSWORD).status, 200, "another account does not");
        app.clock().advance(wait * 1_000 - 1);
        let reply = log_in(&app, "ada@example.com", PASSWORD);
        assert_eq!((reply.status, reply.header("retry-after")), (429, Some("1")));
        app.clock().advance(1);
        assert_eq!(log_in(&app, "ada@example.com", "wrong").status, 400, "each further one doubles the wait");
        wait *= 2;
    }
    app.clock().advance(wait * 1_000);
    assert_eq!(log_in(&app, "ada@example.com", PASSWORD).status, 200);
    assert_eq!(log_in(&app, "ada@example.com", "wrong").status, 400, "and all is forgotten");
    assert_eq!(log_in(&app, "ada@example.com", PASSWORD).status, 200);
}

#[test]
fn failures_are_forgotten_a_quarter_of_an_hour_after_the_first() {
    let app = App::with(&["auth"]);
    ada(&app);
    for _ in 0..9 {
        assert_eq!(log_in(&app, "ada@example.com", "wrong").status, 400);
    }
    app.clock().advance(WINDOW);
    for n in 0..10 {
        assert_eq!(log_in(&app, "ada@example.com", "wrong").status, 400, "{n}");
    }
    assert_eq!(log_in(&app, "ada@example.com", PASSWORD).status, 429);
}

/// Attack (46): wrong passwords of others, to lock a member out. Outcome: the member gets in from its own address.
#[test]
fn who_knows_the_password_gets_in_from_another_address_whatever_others_do() {
    let app = App::with(&["auth"]);
    ada(&app);
    // One who guesses a lot, and very many of whom each guesses once.
    for n in 0..40 {
        log_in_from(&app, "198.51.100.1", "ada@example.com", &format!("wrong{n}"));
    }
    assert_eq!(log_in_from(&app, "198.51.100.1", "ada@example.com", PASSWORD), 429);
    for n in 0..120 {
        assert_eq!(log_in_from(&app, &format!("203.0.113.{n}"), "ada@example.com", "wrong"), 400, "{n}");
        if n % 40 == 0 {
            assert_eq!(log_in_from(&app, &format!("192.0.2.{n}"), "ada@example.com", PASSWORD), 200, "{n}");
        }
    }
    for address in ["203.0.113.200", "192.0.2.0", "2001:db8::1"] {
        assert_eq!(log_in_from(&app, address, "ada@example.com", PASSWORD), 200, "{address}");
    }
}

#[test]
fn where_very_many_guess_an_address_that_nobody_knows_has_one_guess() {
    let app = App::with(&["auth"]);
    ada(&app);
    assert_eq!(log_in_from(&app, "192.0.2.1", "ada@example.com", PASSWORD), 200);
    for n in 0..100 {
        assert_eq!(log_in_from(&app, &format!("203.0.113.{n}"), "ada@example.com", "wrong"), 400, "{n}");
    }
    let guesses = |address: &str| [0; 3].map(|_| log_in_from(&app, address, "ada@example.com", "wrong"));
    assert_eq!(guesses("203.0.113.200"), [400, 429, 429]);
    assert_eq!(guesses("192.0.2.1"), [400; 3], "one that it was logged in from has as many as ever");
    let others = [0; 3].map(|_| log_in_from(&app, "203.0.113.200", "bo@example.com", "wrong"));
    assert_eq!(others, [400; 3], "it is about this account");
}

#[test]
fn an_account_that_is_not_there_makes_one_wait_in_the_same_way() {
    let app = App::with(&["auth"]);
    let statuses: Vec<u16> = (0..11).map(|_| log_in(&app, "nobody@example.com", "wrong").status).collect();
    assert_eq!(statuses, [[400; 10].as_slice(), &[429]].concat());
}

#[test]
fn a_right_password_forgets_the_failures_of_its_address() {
    let app = App::with(&["auth"]);
    ada(&app);
    for round in 0..2 {
        for n in 0..9 {
            assert_eq!(log_in(&app, "ada@example.com", "wrong").status, 400, "{round} {n}");
        }
        assert_eq!(log_in(&app, "ada@example.com", PASSWORD).status, 200, "{round}");
    }
}

#[test]
fn after_fifty_failures_an_address_waits_at_accounts_that_do_not_know_it() {
    let app = App::with(&["auth"]);
    for name in ["ada", "bo"] {
        named(&app, &format!("{name}@example.com"));
    }
    assert_eq!(guess_from(&app, "203.0.113.7", 49), [400; 49]);
    assert_eq!(
        log_in_from(&app, "203.0.113.7", "ada@example.com", PASSWORD),
        200,
        "its failures are not forgotten by this"
    );
    assert_eq!(guess_from(&app, "203.0.113.7", 2), [400, 429]);
    assert_eq!(waits(&app, "203.0.113.7", "bo@example.com", PASSWORD), (429, Some(2)));
    for known in ["203.0.113.7", "::ffff:203.0.113.7"] {
        assert_eq!(log_in_from(&app, known, "ada@example.com", PASSWORD), 200, "who was there before is let in");
    }
    assert_eq!(log_in_from(&app, "203.0.113.8", "bo@example.com", PASSWORD), 200, "another address does not wait");
    assert_eq!(log_in_from(&app, "::ffff:203.0.113.7", "cy@example.com", "wrong"), 429, "another spelling of it does");
    app.clock().advance(2_000);
    assert_eq!(log_in_from(&app, "203.0.113.7", "bo@example.com", PASSWORD), 200);
    assert_eq!(guess_from(&app, "203.0.113.7", 2), [400, 429]);
    assert_eq!(waits(&app, "203.0.113.7", "cy@example.com", "wrong"), (429, Some(4)), "each further one doubles it");
}

#[test]
fn who_signed_up_at_an_address_is_known_there() {
    let app = App::with(&["auth"]);
    let form =
        json!({ "firstName": "Ada", "lastName": "Lovelace", "emailId": "ada@example.com", "password": PASSWORD });
    assert_eq!(app.post("/signup").json(&form).from("203.0.113.7".parse().unwrap()).send().status, 200);
    assert_eq!(guess_from(&app, "203.0.113.7", 51), [[400; 50].as_slice(), &[429]].concat());
    assert_eq!(log_in_from(&app, "203.0.113.7", "ada@example.com", PASSWORD), 200);
}

#[test]
fn all_addresses_of_one_ipv6_network_count_as_one() {
    let app = App::with(&["auth"]);
    for host in 1..=50 {
        let address = format!("2001:db8:1:2::{host:x}");
        assert_eq!(log_in_from(&app, &address, &format!("nobody{host}@example.com"), "wrong"), 400, "{address}");
    }
    assert_eq!(log_in_from(&app, "2001:db8:1:2:ffff::1", "bo@example.com", "wrong"), 429);
    assert_eq!(log_in_from(&app, "2001:db8:1:3::1", "bo@example.com", "wrong"), 400);
}

#[test]
fn loopback_is_limited_only_when_the_operator_says_so() {
    let app = App::with(&["auth"]);
    assert_eq!(guess_from(&app, "127.0.0.1", 52), [400; 52]);
    assert_eq!(guess_from(&app, "::1", 1), [400]);
    let app = App::with_config(&["auth"], "[settings]\n\"limits.loopback\" = \"on\"");
    assert_eq!(guess_from(&app, "127.0.0.1", 51), [[400; 50].as_slice(), &[429]].concat());
}

#[test]
fn guesses_at_once_do_not_pass_the_limit() {
    let app = App::with(&["auth"]);
    ada(&app);
    let wrong = json!({ "emailId": "ada@example.com", "password": "wrong" });
    let replies = harness::all((0..30).map(|_| app.post("/login").json(&wrong).begin()));
    assert!(replies.iter().all(|reply| matches!(reply.status, 400 | 429)), "{replies:?}");
    assert_eq!(log_in(&app, "ada@example.com", PASSWORD).status, 429);
}

#[test]
fn an_account_is_logged_in_to_so_often_in_an_hour() {
    let config = "[settings]\n\"limits.logins\" = \"3\"";
    let app = App::with_config(&["auth"], config);
    ada(&app);
    named(&app, "bo@example.com");
    let statuses = |email: &str| [0; 4].map(|_| log_in(&app, email, PASSWORD).status);
    assert_eq!(statuses("ada@example.com"), [200, 200, 200, 429]);
    let reply = log_in(&app, "ada@example.com", PASSWORD);
    assert_eq!(reply.message(), "Too many log-ins, please try again later");
    assert_eq!((reply.header("retry-after"), reply.token()), (Some("3600"), None), "the hour began at noon");
    assert_eq!(log_in(&app, "ada@example.com", "wrong").status, 400, "who does not know the password learns nothing");
    assert_eq!(statuses("bo@example.com"), [200, 200, 200, 429], "others have their own");
    assert_eq!(app.find("sessions", doc! {}).len(), 8, "two of sign-ups, and three each");
    app.clock().advance(3_600_000);
    assert_eq!(log_in(&app, "ada@example.com", PASSWORD).status, 200);
    let app = App::with_config(&["auth"], "[settings]\n\"limits.logins\" = \"off\"");
    ada(&app);
    assert!((0..110).all(|_| log_in(&app, "ada@example.com", PASSWORD).status == 200), "no limit");
}

#[test]
fn log_ins_at_once_all_succeed_and_each_has_its_session() {
    let app = App::with(&["auth"]);
    let id = old(&app, "old@example.com", &bcrypt::hash("weak", 4).unwrap());
    let right = json!({ "emailId": "old@example.com", "password": "weak" });
    let replies = harness::all((0..3).map(|_| app.post("/login").json(&right).begin()));
    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    assert_eq!(app.find("sessions", doc! { "userId": id }).len(), 3);
    assert_eq!(app.events("user-events").len(), 3);
}
