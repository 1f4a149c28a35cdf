//! Signing up: what is stored, answered and told, and whom it refuses.

use harness::{App, DateTime, ObjectId, Reply, START, Value, doc, json};

fn form() -> Value {
    json!({ "firstName": "Ada", "lastName": "Lovelace", "emailId": "ada@example.com", "password": "Passw0rd!" })
}

/// The form with one field as it should be for the test.
fn with(field: &str, value: impl Into<Value>) -> Value {
    let (mut form, value) = (form(), value.into());
    form.as_object_mut().into_iter().for_each(|fields| fields.extend([(field.to_owned(), value.clone())]));
    form
}

fn sign_up(app: &App, form: &Value) -> Reply {
    app.post("/signup").json(form).send()
}

/// Nothing was stored, opened or told.
fn is_untouched(app: &App) -> bool {
    app.find("users", doc! {}).is_empty()
        && app.find("sessions", doc! {}).is_empty()
        && app.events("user-events").is_empty()
}

#[test]
fn a_new_user_is_stored_as_the_contract_says() {
    let app = App::with(&["auth"]);
    let typed = json!({ "firstName": "  Ada ", "lastName": "Lovelace", "emailId": " Ada@Example.COM ", "password": " Passw0rd! " });
    let reply = sign_up(&app, &typed);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let [mut user] = <[_; 1]>::try_from(app.find("users", doc! {})).unwrap();
    let id = user.remove("_id").unwrap().as_object_id().unwrap();
    let hash = user.remove("password").unwrap().as_str().unwrap().to_owned();
    assert!(hash.starts_with("$argon2id$") && !hash.contains("Passw0rd!"), "{hash}");
    let now = DateTime::from_millis(START as i64);
    let expected = doc! {
        "firstName": "Ada",
        "lastName": "Lovelace",
        "emailId": "ada@example.com",
        "emailKey": "ada@example.com",
        "skills": [],
        "emailPreferences": { "welcomeEmail": true, "connectionRequests": true, "loginSuggestions": true, "marketingEmails": false },
        "isPremium": false,
        "membershipTier": "free",
        "createdAt": now,
        "updatedAt": now,
    };
    assert_eq!(user, expected);
    assert_eq!(reply.json()["data"]["_id"], id.to_hex());
    // A password is taken as it was typed, blanks and all.
    let log_in = |password: &str| {
        app.post("/login").json(&json!({ "emailId": "ada@example.com", "password": password })).send().status
    };
    assert_eq!((log_in("Passw0rd!"), log_in(" Passw0rd! ")), (400, 200));
}

#[test]
fn the_answer_is_the_own_user_without_secrets() {
    let app = App::with(&["auth"]);
    let reply = sign_up(&app, &form());
    assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"));
    let mut answer = reply.json();
    let id = answer["data"]["_id"].take();
    assert_eq!(id.as_str().map(str::len), Some(24));
    let expected = json!({
        "message": "User added successfully",
        "data": {
            "_id": null,
            "firstName": "Ada",
            "lastName": "Lovelace",
            "emailId": "ada@example.com",
            "skills": [],
            "emailPreferences": { "welcomeEmail": true, "connectionRequests": true, "loginSuggestions": true, "marketingEmails": false },
            "isPremium": false,
            "membershipTier": "free",
            "createdAt": "2026-01-15T12:00:00.000Z",
            "updatedAt": "2026-01-15T12:00:00.000Z",
        },
    });
    assert_eq!(answer, expected);
}

#[test]
fn a_new_user_is_logged_in_at_once() {
    let app = App::with(&["auth"]);
    let reply = sign_up(&app, &form());
    let cookie = reply.header("set-cookie").unwrap();
    for part in ["; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=28800"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let [session] = <[_; 1]>::try_from(app.find("sessions", doc! {})).unwrap();
    let user = app.find("users", doc! {})[0].get_object_id("_id").unwrap();
    assert_eq!(session.get_object_id("userId").unwrap(), user);
    assert_eq!(session.get_datetime("createdAt").unwrap(), &DateTime::from_millis(START as i64));
    assert_eq!(session.get_datetime("expiresAt").unwrap(), &DateTime::from_millis(START as i64 + 7 * 86_400_000));
    assert!(!session.contains_key("revokedAt") && session.contains_key("jti"));
    let token = reply.token().unwrap();
    assert!(!session.to_string().contains(&token), "the token itself is nowhere");
    assert_eq!(app.post("/logout").token(&token).send().status, 200);
}

#[test]
fn one_event_tells_of_the_sign_up() {
    let app = App::with(&["auth"]);
    let id = sign_up(&app, &form()).json()["data"]["_id"].as_str().unwrap().to_owned();
    let [event] = <[_; 1]>::try_from(app.events("user-events")).unwrap();
    assert_eq!((event.kind.as_str(), &event.key), ("USER_SIGNUP", &id));
    let expected = json!({
        "eventType": "USER_SIGNUP",
        "userId": id,
        "timestamp": "2026-01-15T12:00:00.000Z",
        "data": { "firstName": "Ada", "lastName": "Lovelace", "emailId": "ada@example.com", "signupTime": "2026-01-15T12:00:00.000Z" },
    });
    assert_eq!(event.value, expected);
}

#[test]
fn an_e_mail_that_is_taken_is_refused_in_any_case() {
    let app = App::with(&["auth"]);
    assert_eq!(sign_up(&app, &form()).status, 200);
    for email in ["ada@example.com", "ADA@example.com", " Ada@Example.Com "] {
        let reply = sign_up(&app, &with("emailId", email));
        assert_eq!(
            (reply.status, reply.message().as_str()),
            (400, "An account with this emailId already exists"),
            "{email}"
        );
        assert_eq!(reply.token(), None, "{email}");
    }
    let counts =
        (app.find("users", doc! {}).len(), app.find("sessions", doc! {}).len(), app.events("user-events").len());
    assert_eq!(counts, (1, 1, 1), "a refused sign-up leaves nothing");
    assert_eq!(sign_up(&app, &with("emailId", "ada@example.org")).status, 200);
}

#[test]
fn an_old_account_without_the_derived_field_keeps_its_e_mail() {
    let app = App::with(&["auth"]);
    app.insert("users", doc! { "_id": ObjectId::new(), "firstName": "Old", "emailId": "ada@example.com" });
    assert_eq!(sign_up(&app, &with("emailId", "Ada@example.com")).status, 400);
    assert_eq!(app.find("users", doc! {}).len(), 1);
}

#[test]
fn of_sign_ups_with_one_e_mail_at_once_one_succeeds() {
    let app = App::with(&["auth"]);
    let emails = ["ada@example.com", "ADA@example.com", "Ada@example.com", "ada@EXAMPLE.com"];
    let replies = harness::all(emails.map(|email| app.post("/signup").json(&with("emailId", email)).begin()));
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400, 400, 400]);
    let counts =
        (app.find("users", doc! {}).len(), app.find("sessions", doc! {}).len(), app.events("user-events").len());
    assert_eq!(counts, (1, 1, 1));
}

#[test]
fn a_weak_password_is_refused() {
    let app = App::with(&["auth"]);
    for weak in ["", "Pa0!", "Passw0!", "passw0rd!", "PASSW0RD!", "Password!", "Passw0rdd", "12345678"] {
        let reply = sign_up(&app, &with("password", weak));
        let told = reply.message();
        assert_eq!(reply.status, 400, "{weak}");
        assert!(told.starts_with("password is not strong enough"), "{weak}: {told}");
    }
    assert!(is_untouched(&app));
    assert_eq!(sign_up(&app, &with("password", "Passw0r!")).status, 200, "eight characters do");
}

#[test]
fn names_and_passwords_stay_within_their_lengths() {
    let app = App::with(&["auth"]);
    let long = |password: usize| format!("Aa1!{}", "x".repeat(password - 4));
    let refused = [
        (with("firstName", " "), "firstName must have 1 to 50 characters"),
        (with("firstName", "\u{200b}\u{3164}"), "firstName must have something to see in it"),
        (with("firstName", "é".repeat(51)), "firstName must have 1 to 50 characters"),
        (with("firstName", "A\u{0}da"), "firstName must not have control characters"),
        (with("lastName", ""), "lastName must have 1 to 50 characters"),
        (with("lastName", "\u{2060}"), "lastName must have something to see in it"),
        (with("lastName", "x".repeat(51)), "lastName must have 1 to 50 characters"),
        (with("password", long(1_025)), "password must have at most 1024 bytes"),
    ];
    for (form, message) in refused {
        let reply = sign_up(&app, &form);
        assert_eq!((reply.status, reply.message().as_str()), (400, message));
    }
    assert!(is_untouched(&app));
    let longest =
        json!({ "firstName": "é".repeat(50), "lastName": "Li", "emailId": "ada@example.com", "password": long(1_024) });
    assert_eq!(sign_up(&app, &longest).status, 200);
}

#[test]
fn what_is_no_e_mail_is_refused() {
    let app = App::with(&["auth"]);
    let long = format!("{}@example.com", "a".repeat(65));
    let longer = format!("a@{}.com", vec!["b".repeat(60); 5].join("."));
    for email in [
        "",
        " ",
        "ada",
        "ada@",
        "@example.com",
        "ada@example",
        "a b@example.com",
        "a@@example.com",
        "a\u{0}@example.com",
        &long,
        &longer,
    ] {
        let reply = sign_up(&app, &with("emailId", email));
        assert_eq!((reply.status, reply.message().as_str()), (400, "emailId is not a valid e-mail address"), "{email}");
    }
    assert!(is_untouched(&app));
}

#[test]
fn a_field_of_another_type_is_refused() {
    let app = App::with(&["auth"]);
    for field in ["firstName", "lastName", "emailId", "password"] {
        for value in [json!(null), json!(12_345_678), json!(true), json!(["ada@example.com"]), json!({ "$ne": null })] {
            let reply = sign_up(&app, &with(field, value.clone()));
            assert_eq!((reply.status, reply.message()), (400, format!("{field} must be a text")), "{field}: {value}");
        }
    }
    assert!(is_untouched(&app));
}

#[test]
fn a_missing_field_is_named() {
    let app = App::with(&["auth"]);
    for field in ["firstName", "lastName", "emailId", "password"] {
        let mut form = form();
        form.as_object_mut().unwrap().remove(field);
        let reply = sign_up(&app, &form);
        assert_eq!((reply.status, reply.message()), (400, format!("{field} is required")));
    }
    let all = sign_up(&app, &json!({})).message();
    assert_eq!(all, "firstName is required; lastName is required; emailId is required; password is required");
    assert!(is_untouched(&app));
}

/// Attack (API3): a sign-up with tiers, ids, keys and prototypes. Outcome: 400, no account.
#[test]
fn an_unknown_field_is_refused_so_that_nobody_makes_themselves_premium() {
    let app = App::with(&["auth"]);
    for field in ["isPremium", "membershipTier", "_id", "emailKey", "createdAt", "age", "$set", "__proto__"] {
        let reply = sign_up(&app, &with(field, "gold"));
        assert_eq!((reply.status, reply.message()), (400, format!("{field} is not a known field")));
    }
    assert!(is_untouched(&app));
}

#[test]
fn what_is_no_json_object_of_a_decent_size_is_refused() {
    let app = App::with(&["auth"]);
    let post = |kind: &str, body: String| app.post("/signup").header("content-type", kind).body(body).send();
    let deep = form().to_string().replace("\"Ada\"", &format!("{}{}", "[".repeat(32), "]".repeat(32)));
    let bodies = [
        (String::new(), "firstName is required"),
        ("[]".into(), "The body must be a JSON object"),
        ("\"text\"".into(), "The body must be a JSON object"),
        ("{\"firstName\":".into(), "The body is not JSON"),
        (format!("{}x", form()), "The body is not JSON"),
        (deep, "The body is nested deeper than 32 levels"),
        ("{\"a\":".repeat(2_000), "The body is nested deeper than 32 levels"),
    ];
    for (body, message) in bodies {
        let reply = post("application/json", body.clone());
        assert_eq!(reply.status, 400, "{body}: {}", reply.text());
        assert!(reply.message().starts_with(message), "{body}: {}", reply.text());
    }
    assert_eq!(post("application/json; charset=latin1", form().to_string()).status, 415);
    for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
        assert_eq!(post(kind, form().to_string()).status, 415, "{kind}");
    }
    assert_eq!(post("application/json", with("firstName", "x".repeat(16 * 1024)).to_string()).status, 413);
    assert!(is_untouched(&app));
    assert_eq!(post("application/json; charset=utf-8", form().to_string()).status, 200);
}

#[test]
fn a_body_is_read_as_browsers_and_their_libraries_send_it() {
    let app = App::with(&["auth"]);
    let marked = format!("\u{feff}{}", form());
    let reply = app.post("/signup").header("content-type", "application/json").body(marked).send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    // Half of an emoji, from a client that cut the name.
    let cut = with("emailId", "grace@example.com").to_string().replace("\"Ada\"", r#""Ada \ud83d""#);
    let reply = app.post("/signup").header("content-type", "application/json").body(cut).send();
    assert_eq!((reply.status, reply.json()["data"]["firstName"].as_str()), (200, Some("Ada \u{fffd}")));
}

#[test]
fn a_name_may_have_one_character() {
    let app = App::with(&["auth"]);
    for (number, (first, last)) in [("李", "伟"), ("O", "Ó"), (" A ", "É")].into_iter().enumerate() {
        let mut form = with("emailId", format!("a{number}@example.com"));
        form["firstName"] = first.into();
        form["lastName"] = last.into();
        let reply = sign_up(&app, &form);
        assert_eq!((reply.status, reply.json()["data"]["firstName"].as_str()), (200, Some(first.trim())), "{last}");
    }
}

#[test]
fn an_international_e_mail_is_one_account_however_it_is_typed() {
    let app = App::with(&["auth"]);
    for (first, others) in [
        ("josé@example.com", ["JOSÉ@EXAMPLE.COM", "jose\u{301}@example.com"]),
        ("a@münchen.de", ["A@xn--mnchen-3ya.de", "a@mu\u{308}nchen.de"]),
    ] {
        let reply = sign_up(&app, &with("emailId", first));
        assert_eq!((reply.status, reply.json()["data"]["emailId"].as_str()), (200, Some(first)), "{}", reply.text());
        for other in others {
            let reply = sign_up(&app, &with("emailId", other));
            assert_eq!((reply.status, reply.message().as_str()), (400, "An account with this emailId already exists"));
            let typed = json!({ "emailId": other, "password": form()["password"] });
            assert_eq!(app.post("/login").json(&typed).send().status, 200, "{other}");
        }
    }
}

#[test]
fn an_old_account_with_an_international_e_mail_is_taken_and_logs_in() {
    let old =
        doc! { "_id": ObjectId::new(), "firstName": "Old", "emailId": "a@xn--mnchen-3ya.de", "password": "$2b$10$x" };
    let app = App::setup(&["auth"]).document("users", old).start();
    let reply = sign_up(&app, &with("emailId", "a@münchen.de"));
    assert_eq!((reply.status, reply.message().as_str()), (400, "An account with this emailId already exists"));
}

#[test]
fn an_e_mail_that_an_old_account_has_in_another_case_is_taken() {
    let old = doc! { "_id": ObjectId::new(), "firstName": "Old", "emailId": "Ada@Example.com", "password": "$2b$10$x" };
    let app = App::setup(&["auth"]).document("users", old.clone()).start();
    for email in ["ada@example.com", "Ada@Example.com", " ADA@EXAMPLE.COM "] {
        let reply = sign_up(&app, &with("emailId", email));
        assert_eq!((reply.status, reply.message().as_str()), (400, "An account with this emailId already exists"));
    }
    let mut expected = old;
    expected.insert("emailKey", "ada@example.com");
    assert_eq!(app.find("users", doc! {}), [expected]);
}

/// Signs up from an address.
fn from(app: &App, address: &str, email: &str) -> Reply {
    app.post("/signup").json(&with("emailId", email)).from(address.parse().unwrap()).send()
}

/// Attack (46, API6): sign-ups from one address, one after the other, to learn who has an account. Outcome: after forty in an
/// hour: 429 with `Retry-After`.
#[test]
fn an_address_signs_up_so_often_in_an_hour_also_where_an_e_mail_is_taken() {
    let app = App::with_config(&["auth"], "[settings]\n\"limits.signups-per-address\" = \"5\"");
    assert_eq!(from(&app, "203.0.113.7", "ada0@example.com").status, 200);
    // Asking who has an account counts as much as having one.
    for (n, email) in
        ["ada0@example.com", "ada1@example.com", "ADA0@example.com", "ada2@example.com"].iter().enumerate()
    {
        assert_eq!(from(&app, "203.0.113.7", email).status, if n % 2 == 0 { 400 } else { 200 }, "{email}");
    }
    for email in ["ada0@example.com", "new@example.com"] {
        let reply = from(&app, "203.0.113.7", email);
        let words = (reply.status, reply.message());
        assert_eq!(words, (429, "Too many sign-ups from your address, please try again later".to_owned()), "{email}");
        assert_eq!((reply.header("retry-after"), reply.token()), (Some("3600"), None), "the hour began at noon");
    }
    assert_eq!(from(&app, "::ffff:203.0.113.7", "new@example.com").status, 429, "another spelling of it");
    assert_eq!(from(&app, "203.0.113.8", "new@example.com").status, 200, "another address has its own");
    assert_eq!(sign_up(&app, &with("emailId", "local@example.com")).status, 200, "loopback is not limited");
    app.clock().advance(3_600_000);
    assert_eq!(from(&app, "203.0.113.7", "later@example.com").status, 200);
}

#[test]
fn a_form_that_is_wrong_does_not_count() {
    let app = App::with_config(&["auth"], "[settings]\n\"limits.signups-per-address\" = \"1\"");
    for _ in 0..5 {
        let wrong = app.post("/signup").json(&with("password", "weak")).from("203.0.113.7".parse().unwrap()).send();
        assert_eq!(wrong.status, 400);
    }
    assert_eq!(from(&app, "203.0.113.7", "ada@example.com").status, 200);
    assert_eq!(from(&app, "203.0.113.7", "bo@example.com").status, 429);
}

#[test]
fn asking_who_has_an_account_has_an_end() {
    let app = App::with(&["auth"]);
    let statuses: Vec<u16> =
        (0..60).map(|n| from(&app, "203.0.113.7", &format!("probe{n}@example.com")).status).collect();
    assert_eq!(statuses, [[200; 40].as_slice(), &[429; 20]].concat());
    let app = App::with_config(&["auth"], "[settings]\n\"limits.loopback\" = \"on\"");
    let statuses: Vec<u16> =
        (0..41).map(|n| sign_up(&app, &with("emailId", format!("probe{n}@example.com"))).status).collect();
    assert_eq!(statuses, [[200; 40].as_slice(), &[429]].concat());
}

/// Attack (46, API6): sign-ups as `victim+N@…`, in other cases and with dots, to send mails to one mailbox. Outcome: five a day.
#[test]
fn a_mailbox_has_so_few_new_accounts_in_a_day_however_it_is_written() {
    let spellings: [fn(usize) -> String; 3] = [
        |n| format!("victim+{n}@example.com"),
        |n| format!("Victim+news{n}@Example.COM"),
        |n| format!("{}+{n}@gmail.com", ["victim", "v.ictim", "vi.ctim", "v.i.c.t.i.m", "vict.im", "victi.m"][n % 6]),
    ];
    for spelling in spellings {
        let app = App::with(&["auth"]);
        let emails: Vec<String> = (0..8).map(spelling).collect();
        let statuses: Vec<u16> = (0..8).map(|n| from(&app, &format!("203.0.113.{n}"), &emails[n]).status).collect();
        assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429], "{emails:?}");
        let reply = sign_up(&app, &with("emailId", emails[7].as_str()));
        let words = (reply.status, reply.message());
        let expected = "Too many sign-ups for this e-mail address, please try again later";
        assert_eq!(words, (429, expected.to_owned()), "from loopback, too");
        assert_eq!(reply.header("retry-after"), Some("43200"), "the day ends in twelve hours");
        assert_eq!(app.events("user-events").len(), 5, "so many mails at most");
        assert_eq!(sign_up(&app, &with("emailId", "other@example.com")).status, 200);
        app.clock().advance(43_200_000);
        assert_eq!(sign_up(&app, &with("emailId", emails[7].as_str())).status, 200);
    }
}

#[test]
fn what_makes_no_account_does_not_count_for_its_mailbox() {
    let app = App::with(&["auth"]);
    assert_eq!(sign_up(&app, &with("emailId", "ada+0@example.com")).status, 200);
    for _ in 0..10 {
        assert_eq!(sign_up(&app, &with("emailId", "ada+0@example.com")).status, 400);
    }
    // Of those at once one is made.
    let replies = harness::all((0..4).map(|_| app.post("/signup").json(&with("emailId", "ada+1@example.com")).begin()));
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    for n in 2..5 {
        assert_eq!(sign_up(&app, &with("emailId", format!("ada+{n}@example.com"))).status, 200, "{n}");
    }
    assert_eq!(sign_up(&app, &with("emailId", "ada+5@example.com")).status, 429);
}

#[test]
fn a_setting_that_is_no_number_leaves_the_limit_as_it_is() {
    let app = App::with_config(&["auth"], "[settings]\n\"limits.signups-per-recipient\" = \"many\"");
    let statuses = (0..6).map(|n| sign_up(&app, &with("emailId", format!("ada+{n}@example.com"))).status);
    assert_eq!(statuses.collect::<Vec<_>>(), [200, 200, 200, 200, 200, 429]);
    let app = App::with_config(&["auth"], "[settings]\n\"limits.signups-per-recipient\" = \"off\"");
    assert!((0..12).all(|n| sign_up(&app, &with("emailId", format!("ada+{n}@example.com"))).status == 200));
}
