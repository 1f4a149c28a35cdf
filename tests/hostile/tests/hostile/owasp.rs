//! The OWASP API Security Top 10 (2023), each by its number. Of sensitive flows (API6) components have the limits, and their
//! tests; what others feed the host (API10) is in `e2e` and `faults`, which have real servers.
//! What a component decides alone is tried in its own tests too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

use std::time::Duration;

use e2e::{Member, PASSWORD, ServerOptions, Value, json, until};
use hostile::shared::Shared;
use hostile::websocket::Socket;
use hostile::{gzip, raw};
use reqwest::{Method, Response, StatusCode};

/// A site as it is in production: behind https, with a front end of another site.
static HOST: Shared = Shared::new(|| ServerOptions {
    environment: vec![
        ("PUBLIC_URL", "https://devconnect.example".to_owned()),
        ("FRONTEND_URL", "https://good.example".to_owned()),
    ],
    ..ServerOptions::default()
});

/// Fields that no client may set. Those with a dot or a `$` mean something to a database.
const PRIVILEGED: [&str; 26] = [
    "_id",
    "id",
    "role",
    "roles",
    "isAdmin",
    "admin",
    "membershipType",
    "membershipTier",
    "isPremium",
    "premiumActivatedAt",
    "password",
    "emailKey",
    "emailPreferences",
    "createdAt",
    "updatedAt",
    "sessions",
    "jti",
    "__v",
    "$set",
    "$unset",
    "emailPreferences.marketingEmails",
    "skills.0",
    "__proto__",
    "constructor",
    "prototype",
    "firstName\u{0}",
];

/// What no answer shows of a member, by the names that it is stored under.
const HIDDEN: [&str; 6] = ["\"password\"", "emailKey", "tokenHash", "\"jti\"", "argon2", "$2b$"];

/// What no error shows of what is behind it.
const INTERNALS: [&str; 10] =
    ["panicked", "backtrace", ".rs:", "wasm", "sqlite", "SELECT", "component.toml", "/components/", "/tmp/", "grants"];

/// An error in the one shape: JSON with a message, and nothing of what is behind it.
async fn refusal(answer: Response, what: &str) -> String {
    let status = answer.status();
    assert!(status.is_client_error(), "{what}: {status}");
    let text = answer.text().await.unwrap();
    let body: Value = text.parse().unwrap_or_else(|_| panic!("{what}: no JSON: {text}"));
    let message = body["message"].as_str().unwrap_or_else(|| panic!("{what}: no message: {text}")).to_owned();
    assert!(!message.is_empty() && body.as_object().unwrap().len() == 1, "{what}: {text}");
    assert!(INTERNALS.iter().all(|part| !text.contains(part)), "{what}: {text}");
    message
}

/// Attack (API1): another member's conversation, notification, profile, messages and presence, by their ids, on every route and
/// event that takes one. Outcome: 403 or 404, or what there is of one's own; nothing changes and nothing is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_of_others_open_nothing() {
    let host = HOST.get().await;
    let [ada, bea] = host.pair("Ada", "Bea").await;
    let eve = host.member("Eve").await;
    let mut from_ada = Socket::of(&ada, &host.server.url).await;
    let sent = json!({ "toUserId": bea.id, "message": "for Bea alone", "fromUserId": eve.id });
    let sent = from_ada.ask("private-message", &sent.to_string()).await.unwrap();
    assert_eq!(sent["ok"], true, "{sent}");
    let message = sent["_id"].as_str().unwrap();

    // Over HTTP.
    for other in [&ada, &bea] {
        let session = other.read("/sessions").await["data"][0]["id"].as_str().unwrap().to_owned();
        let ended = eve.request(Method::DELETE, &format!("/sessions/{session}")).send().await.unwrap();
        assert_eq!(ended.status(), 404, "another member's session");
        assert_eq!(eve.read(&format!("/chat/{}/history", other.id)).await, json!({ "data": [] }));
        let older = eve.get(&format!("/chat/{}/history?before={message}", other.id)).send().await.unwrap();
        assert_eq!(older.status(), 400, "a message of others is no place in this conversation");
        let edit = eve.patch(&format!("/user/{}", other.id)).json(&json!({ "firstName": "Pwned" }));
        assert_eq!(edit.send().await.unwrap().status(), 403);
        for token in ["", "?token=", "?token=x", &format!("?token={}", "0".repeat(64)), "?token[$ne]=x"] {
            let link = format!("/unsubscribe/{}{token}", other.id);
            for method in [Method::GET, Method::POST] {
                let answer = eve.request(method, &link).send().await.unwrap();
                assert!(answer.status().is_client_error(), "{link}: {}", answer.status());
            }
        }
        assert_eq!(other.read("/email-preferences").await["emailPreferences"]["welcomeEmail"], true);
    }
    let mut notification = String::new();
    until("Bea has a notification", Duration::from_secs(30), async || {
        let all = bea.read("/notifications").await;
        notification = all["data"][0]["_id"].as_str().unwrap_or_default().to_owned();
        !notification.is_empty()
    })
    .await;
    let read = eve.post(&format!("/notifications/{notification}/read")).send().await.unwrap();
    assert_eq!(read.status(), 403);
    let after = bea.read("/notifications").await;
    assert!(after["data"].as_array().unwrap().iter().all(|one| one["readAt"].is_null()), "{after}");
    assert_eq!(eve.read("/notifications").await["data"], json!([]));

    // On a socket.
    let mut from_eve = Socket::of(&eve, &host.server.url).await;
    for (event, payload) in [
        ("message:read", json!({ "_id": message })),
        ("message:delivered", json!({ "_id": message })),
        ("private-message", json!({ "toUserId": ada.id, "message": "hello", "fromUserId": bea.id })),
        ("typing", json!({ "toUserId": ada.id, "fromUserId": bea.id })),
        ("register", json!(ada.id)),
        ("register", json!({ "userId": ada.id })),
    ] {
        let ack = from_eve.ask(event, &payload.to_string()).await.unwrap();
        assert!(ack["ok"] == false && ack["message"].is_string(), "{event} {payload}: {ack}");
    }
    assert_eq!(from_ada.ask("register", &json!(ada.id).to_string()).await.unwrap()["ok"], true);
    let asked = from_eve.ask("presence:query", &json!({ "userId": ada.id }).to_string()).await.unwrap();
    assert_eq!(asked["online"], false, "a stranger is never there");
    let history = bea.read(&format!("/chat/{}/history", ada.id)).await;
    let stored = &history["data"];
    assert_eq!((stored.as_array().unwrap().len(), &stored[0]["fromUserId"]), (1, &json!(ada.id)), "{stored}");
    assert!(stored[0]["readAt"].is_null() && stored[0]["deliveredAt"].is_null(), "{stored}");
    assert!(ada.read("/profile/view").await["firstName"].as_str().unwrap().starts_with("Ada"));
}

/// Attack (API2): who has an account, asked by wrong passwords of an account and of nobody; guesses without end. Outcome:
/// the same statuses and words for both, one after the other, and from the tenth on both wait, told by `Retry-After`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_in_tells_nobody_who_has_an_account() {
    let host = HOST.get().await;
    let ada = host.member("Ada").await;
    let nobody = host.nobody();
    let guess = async |email: &str| {
        let body = json!({ "emailId": email, "password": "Wr0ng!Password" });
        let answer = nobody.post("/login").json(&body).send().await.unwrap();
        let (status, wait) = (answer.status().as_u16(), answer.headers().contains_key("retry-after"));
        assert!(answer.headers().get("set-cookie").is_none());
        (status, wait, answer.text().await.unwrap())
    };
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..12 {
        known.push(guess(&ada.email).await);
        unknown.push(guess("nobody.at.all@example.com").await);
    }
    assert_eq!(known, unknown);
    assert_eq!(known[0], (400, false, r#"{"message":"Invalid credentials"}"#.to_owned()));
    let (status, has_wait, said) = known.last().unwrap();
    assert!(*status == 429 && *has_wait && said.contains("message"), "{known:?}");
    // Nothing that is allowed is a guess: the member's session lives.
    ada.read("/profile/view").await;
}

/// Attack (API3): fields that are not a client's to set, in the body of every route that takes one: ids, tiers, dates,
/// operators, dotted names, prototypes. Outcome: 400, or they have no effect; the member is as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_sets_what_is_not_theirs_to_set() {
    let host = HOST.get().await;
    let (ada, bea) = (host.member("Ada").await, host.member("Bea").await);
    let before = ada.read("/profile/view").await;
    let own = format!("/user/{}", ada.id);
    let values = [json!("gold"), json!(true), json!({ "$ne": null }), json!({ "membershipTier": "gold" })];
    for (number, field) in PRIVILEGED.into_iter().enumerate() {
        let value = &values[number % values.len()];
        // Beside a good field, which is not changed either.
        for (method, path, good) in [
            (Method::PATCH, "/profile/edit", json!({ "about": "changed" })),
            (Method::PATCH, own.as_str(), json!({ "about": "changed" })),
            (Method::PATCH, "/email-preferences", json!({ "marketingEmails": true })),
            (
                Method::POST,
                "/profile/password",
                json!({ "currentPassword": PASSWORD, "newPassword": "0ther!Password" }),
            ),
            (Method::DELETE, "/account", json!({ "password": PASSWORD })),
            (Method::PATCH, "/user/requests/6b0656747f186650d975ce8d/respond", json!({ "action": "accept" })),
            (
                Method::POST,
                "/signup",
                json!({ "firstName": "Mal", "lastName": "Lory", "emailId": "mallory@example.com", "password": PASSWORD }),
            ),
        ] {
            // A sign-up and the end of an account have a password, and a change of the profile none.
            if good.get(field).is_some() {
                continue;
            }
            let mut body = good;
            body.as_object_mut().unwrap().insert(field.to_owned(), value.clone());
            let what = format!("{method} {path} {body}");
            let answer = ada.request(method, path).json(&body).send().await.unwrap();
            assert_eq!(answer.status(), 400, "{what}");
            refusal(answer, &what).await;
        }
    }
    assert_eq!(ada.read("/profile/view").await, before);
    assert_eq!(
        Member::try_log_in(&host.server.url, "mallory@example.com", PASSWORD).await.err(),
        Some(Some(StatusCode::BAD_REQUEST))
    );

    // Where more fields are none of its business, they do nothing.
    let body = json!({ "emailId": ada.email, "password": PASSWORD, "_id": bea.id, "isPremium": true, "membershipTier": "gold" });
    let user: Value = host.nobody().post("/login").json(&body).send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (&user["_id"], &user["isPremium"], &user["membershipTier"]),
        (&json!(ada.id), &json!(false), &json!("free"))
    );
    let body = json!({ "status": "accepted", "fromUserId": bea.id, "toUserId": ada.id, "_id": bea.id, "pair": "x" });
    let sent = ada.post(&format!("/request/send/interested/{}", bea.id)).json(&body).send().await.unwrap();
    let sent: Value = sent.json().await.unwrap();
    let request = &sent["data"];
    assert_eq!((&request["status"], &request["fromUserId"]), (&json!("interested"), &json!(ada.id)), "{sent}");
    assert_ne!(request["_id"], bea.id.as_str());
    assert_eq!(ada.read("/user/connections").await["data"], json!([]));
    assert_eq!(ada.read("/profile/view").await, before);
}

/// Attack (API3): reading every answer for what is not meant for who reads it: hashes, keys, e-mail addresses of others.
/// Outcome: none has them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_shows_what_is_hidden() {
    let host = HOST.get().await;
    let [ada, bea] = host.pair("Ada", "Bea").await;
    let cara = host.member("Cara").await;
    cara.post(&format!("/request/send/interested/{}", ada.id)).send().await.unwrap();
    let log_in = json!({ "emailId": ada.email, "password": PASSWORD });
    let mut texts =
        vec![("/login", host.nobody().post("/login").json(&log_in).send().await.unwrap().text().await.unwrap())];
    let edit = json!({ "about": "me" });
    texts.push(("/profile/edit", ada.patch("/profile/edit").json(&edit).send().await.unwrap().text().await.unwrap()));
    let history = format!("/chat/{}/history", bea.id);
    for path in [
        "/profile/view",
        "/feed",
        "/feed?ml=true",
        "/user/connections",
        "/user/requests/received",
        "/user/requests/sent",
        "/notifications",
        "/email-preferences",
        "/analytics/summary",
        "/sessions",
        "/account/export",
        &history,
    ] {
        texts.push((path, ada.get(path).send().await.unwrap().text().await.unwrap()));
    }
    for (path, text) in texts {
        assert!(text.contains('{'), "{path}: {text}");
        assert!(HIDDEN.iter().all(|name| !text.contains(name)), "{path}: {text}");
        assert!([&bea, &cara].iter().all(|other| !text.contains(&other.email)), "{path}: {text}");
    }
}

/// Attack (API4): pages of a billion, of less than nothing, of no number. Outcome: at most what the contract says, or 400.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_has_its_bound_whatever_is_asked_for() {
    let host = HOST.get().await;
    let [ada, bea] = host.pair("Ada", "Bea").await;
    for _ in 0..12 {
        host.member("Other").await;
    }
    let chat = format!("/chat/{}/history", bea.id);
    for (path, most) in [
        ("/feed", 10),
        ("/user/requests/received", 200),
        ("/user/requests/sent", 200),
        ("/notifications", 100),
        (chat.as_str(), 200),
    ] {
        for large in ["1000000000", "4294967295"] {
            let page = ada.read(&format!("{path}?limit={large}")).await;
            assert!(page["data"].as_array().unwrap().len() <= most, "{path} {large}");
        }
        for none in
            ["0", "-1", "NaN", "Infinity", "1.5", "1e9", "0x10", "%00", "%27", "1%20OR%201=1", "%7B%22$gt%22:0%7D"]
        {
            let what = format!("{path}?limit={none}");
            let answer = ada.get(&what).send().await.unwrap();
            assert_eq!(answer.status(), 400, "{what}");
            refusal(answer, &what).await;
        }
        // A number that no counter holds is a bound or a refusal, never a failure.
        let what = format!("{path}?limit=99999999999999999999999999");
        let status = ada.get(&what).send().await.unwrap().status();
        assert!(status == 200 || status == 400, "{what}: {status}");
        // Names that a parser of another language would take for objects and lists are other names.
        assert_eq!(
            ada.get(&format!("{path}?limit[$gt]=0&limit[]=1&__proto__[limit]=1")).send().await.unwrap().status(),
            200
        );
    }
    for path in ["/feed?page=-1", "/feed?page=NaN", "/feed?page=999999999999", "/notifications?cursor={\"$gt\":\"\"}"] {
        let answer = ada.get(path).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{path}");
    }
}

/// Attack (API4): JSON that is deep, long, odd or twice itself, and compressed bodies that grow. Outcome: a refusal in the
/// one shape, nothing changed; of a name that is there twice the last one counts, as in every browser.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_costs_what_its_route_allows() {
    let host = HOST.get().await;
    let ada = host.member("Ada").await;
    let before = ada.read("/profile/view").await;
    let deep = |open: &str, close: &str| format!("{{\"about\":{}1{}}}", open.repeat(10_000), close.repeat(10_000));
    let bodies = [
        ("deep arrays", deep("[", "]")),
        ("deep objects", deep("{\"a\":", "}")),
        ("deep without an end", "[".repeat(60_000)),
        ("a huge number", "{\"age\":1e400}".to_owned()),
        ("a huge negative number", "{\"age\":-1e400}".to_owned()),
        ("many digits", format!("{{\"age\":{}}}", "9".repeat(50_000))),
        ("NaN", "{\"age\":NaN}".to_owned()),
        ("a comment", "{/* */\"age\":20}".to_owned()),
        ("single quotes", "{'age':20}".to_owned()),
        ("two values", "{\"age\":20}{\"age\":21}".to_owned()),
        ("a comma at the end", "{\"age\":20,}".to_owned()),
        ("a bad escape", "{\"about\":\"\\x41\"}".to_owned()),
        ("a raw line end in a text", "{\"about\":\"a\nb\"}".to_owned()),
        (
            "many unknown fields",
            format!("{{{}\"age\":20}}", (0..1_500).map(|n| format!("\"f{n}\":0,")).collect::<String>()),
        ),
        ("many skills", json!({ "skills": vec!["x"; 5_000] }).to_string()),
        ("too large", json!({ "about": "x".repeat(100_000) }).to_string()),
    ];
    for (what, body) in bodies {
        let answer =
            ada.patch("/profile/edit").header("content-type", "application/json").body(body).send().await.unwrap();
        let expected = if what == "too large" { 413 } else { 400 };
        assert_eq!(answer.status().as_u16(), expected, "{what}");
        refusal(answer, what).await;
    }
    // Four megabytes out of 25 KB.
    let bomb = gzip::spaces(4 << 20);
    assert!(bomb.len() < 30 << 10);
    for encoding in ["gzip", "x-gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip", "compress"] {
        let request = ada.patch("/profile/edit").header("content-type", "application/json");
        let answer = request.header("content-encoding", encoding).body(bomb.clone()).send().await.unwrap();
        let status = answer.status().as_u16();
        assert!([400, 413, 415].contains(&status), "{encoding}: {status}");
        refusal(answer, encoding).await;
    }
    assert_eq!(ada.read("/profile/view").await, before);
    let twice = "{\"about\":\"first\",\"about\":\"second\",\"age\":17,\"age\":40}";
    let answer =
        ada.patch("/profile/edit").header("content-type", "application/json").body(twice).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let after = ada.read("/profile/view").await;
    assert_eq!((&after["about"], &after["age"]), (&json!("second"), &json!(40)));
}

/// Attack (API5): what is for operators, asked with a member's session on either side. Outcome: on the public side there is
/// nothing, on the operators' side a member's session is no token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_is_no_operator() {
    let host = HOST.get().await;
    let ada = host.member("Ada").await;
    for (method, path) in [
        (Method::GET, "/v1/components"),
        (Method::POST, "/v1/components"),
        (Method::DELETE, "/v1/components/auth"),
        (Method::GET, "/v1/lag"),
        (Method::GET, "/v1/dead-letters"),
        (Method::GET, "/v1/app/analytics/network"),
        (Method::GET, "/v1/openapi.json"),
    ] {
        assert_eq!(ada.request(method.clone(), path).send().await.unwrap().status(), 404, "{method} {path}");
        let asked = || ada.at(&host.server.admin).request(method.clone(), path);
        for request in [asked(), asked().bearer_auth(&ada.token), asked().bearer_auth("")] {
            assert_eq!(request.send().await.unwrap().status(), 401, "{method} {path}");
        }
    }
    assert_eq!(ada.get("/analytics/network").send().await.unwrap().status(), 404);
}

/// Attack (API7): the address of something inside as the URL of a photo. Outcome: it is kept as text or refused, and nobody
/// fetches it, whatever shows the member.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_url_of_a_member_is_fetched() {
    let host = HOST.get().await;
    let inside = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = inside.local_addr().unwrap().port();
    let [ada, bea] = host.pair("Ada", "Bea").await;
    for url in [
        format!("http://127.0.0.1:{port}/photo.png"),
        format!("http://localhost:{port}/latest/meta-data/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("HTTP://127.1:{port}/"),
        format!("https://127.0.0.1:{port}/"),
    ] {
        let edit = ada.patch("/profile/edit").json(&json!({ "photoUrl": url })).send().await.unwrap();
        assert!([200, 400].contains(&edit.status().as_u16()), "{url}: {}", edit.status());
    }
    for url in [
        "file:///etc/passwd",
        "gopher://127.0.0.1:25/",
        "javascript:alert(1)",
        "data:text/html,x",
        "//127.0.0.1/",
        "ftp://a/b",
    ] {
        let edit = ada.patch("/profile/edit").json(&json!({ "photoUrl": url })).send().await.unwrap();
        assert_eq!(edit.status(), 400, "{url}");
        refusal(edit, url).await;
    }
    let cara = host.member("Cara").await;
    ada.post(&format!("/request/send/interested/{}", cara.id)).send().await.unwrap();
    bea.read("/user/connections").await;
    cara.read("/feed").await;
    cara.read("/user/requests/received").await;
    Member::log_in(&host.server.url, &cara.email, PASSWORD).await;
    until("Cara was told of the request", Duration::from_secs(30), async || {
        cara.read("/notifications").await["data"][0]["_id"].is_string()
    })
    .await;
    let fetched = tokio::time::timeout(Duration::from_millis(500), inside.accept()).await;
    assert!(fetched.is_err(), "somebody has connected: {fetched:?}");
}

/// Attack (API8): looking for what a careless set-up gives away: versions in headers, pages that may be framed or sniffed,
/// cookies that scripts read, answers in caches, echoes of requests, words of failures. Outcome: every answer has the
/// headers against it, and an error has one shape.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_as_careful_as_the_others() {
    let host = HOST.get().await;
    let ada = host.member("Ada").await;
    let nobody = host.nobody();
    let odd = |name: &[u8]| Method::from_bytes(name).unwrap();
    let page = format!("/unsubscribe/{}?token=x", ada.id);
    let answers = [
        ("200", ada.get("/profile/view"), 200),
        ("health", nobody.get("/healthz"), 200),
        ("401", nobody.get("/profile/view"), 401),
        ("404", ada.get("/nothing"), 404),
        ("404 of an id", ada.post("/notifications/6b0656747f186650d975ce8d/read"), 404),
        ("405", ada.request(Method::DELETE, "/profile/view"), 405),
        ("400", ada.patch("/profile/edit").json(&json!({ "age": "x" })), 400),
        ("403", ada.patch("/user/6b0656747f186650d975ce8d").json(&json!({})), 403),
        ("415", ada.patch("/profile/edit").header("content-type", "text/xml").body("<a/>"), 415),
        ("a page", nobody.request(Method::POST, &page).body(""), 0),
        ("a page of GET", nobody.get(&page), 0),
        ("a preflight", nobody.request(Method::OPTIONS, "/login").header("origin", "https://good.example"), 204),
        ("a foreign origin", ada.patch("/profile/edit").header("origin", "https://evil.example").json(&json!({})), 403),
        ("a socket's handshake", ada.get("/socket.io/?EIO=4&transport=polling"), 200),
        ("a socket's refusal", ada.get("/socket.io/?EIO=3&transport=polling"), 400),
        ("TRACE", ada.request(Method::TRACE, "/profile/view"), 0),
        ("TRACK", ada.request(odd(b"TRACK"), "/profile/view"), 0),
        ("PROPFIND", ada.request(odd(b"PROPFIND"), "/"), 0),
        ("a method of nobody", ada.request(odd(b"GETX"), "/profile/view"), 0),
    ];
    for (what, request, expected) in answers {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        assert!(status == expected || (expected == 0 && answer.status().is_client_error()), "{what}: {status}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{what}");
        assert_eq!(headers["cache-control"], "no-store", "{what}");
        assert!(headers.contains_key("x-request-id"), "{what}");
        for name in ["server", "x-powered-by", "x-aspnet-version", "via"] {
            assert!(!headers.contains_key(name), "{what}: {name}");
        }
        let text = answer.text().await.unwrap();
        assert!(!text.contains(&ada.token), "{what} gives the session back: {text}");
        if text.trim_start().starts_with("<!doctype") {
            assert!(headers.contains_key("content-security-policy"), "{what}");
        }
        if status >= 400 {
            assert!(INTERNALS.iter().all(|part| !text.contains(part)), "{what}: {text}");
            let is_page = text.starts_with('<') || text == "Please login";
            assert!(is_page || text.parse::<Value>().is_ok_and(|body| body["message"].is_string()), "{what}: {text}");
        }
    }
    let body = json!({ "emailId": ada.email, "password": PASSWORD });
    let entered = nobody.post("/login").json(&body).send().await.unwrap();
    let cookie = entered.headers()["set-cookie"].to_str().unwrap();
    for attribute in ["HttpOnly", "Secure", "SameSite=None", "Path=/", "Max-Age=28800"] {
        assert!(cookie.split("; ").any(|part| part == attribute), "{attribute} in {cookie}");
    }
    assert!(!cookie.to_lowercase().contains("domain"), "{cookie}");
}

/// Attack (API9): routes that nobody documents: earlier versions, panels, metrics, debuggers, files of the host, on the
/// public side. Outcome: there is nothing, by any method.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_there_that_is_not_documented() {
    let host = HOST.get().await;
    let ada = host.member("Ada").await;
    for path in [
        "/v1",
        "/v1/",
        "/v2/feed",
        "/api",
        "/api/v1/users",
        "/admin",
        "/admin/",
        "/metrics",
        "/debug",
        "/debug/pprof/",
        "/debug/vars",
        "/actuator",
        "/actuator/env",
        "/console",
        "/graphql",
        "/swagger",
        "/swagger.json",
        "/users",
        "/user",
        "/internal",
        "/harness",
        "/test",
        "/status",
        "/server-status",
        "/.env",
        "/.git/config",
        "/.well-known/openid-configuration",
        "/devconnect.toml",
        "/application.toml",
        "/components/auth.wasm",
        "/package.json",
        "/backup.sql",
        "/socket.io.js",
        "/healthz/x",
        "/login.php",
        "/signup.bak",
    ] {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
            let answer = ada.request(method.clone(), path).send().await.unwrap();
            assert_eq!(answer.status(), 404, "{method} {path}");
            assert_eq!(refusal(answer, path).await, "There is nothing here");
        }
    }
    // Files of the Socket.IO server itself: the host has no client to give away.
    for path in ["/socket.io/socket.io.js", "/socket.io/../metrics", "/socket.io/admin"] {
        let status = ada.get(path).send().await.unwrap().status();
        assert!(status.is_client_error(), "{path}: {status}");
    }
}

/// Attack (API2, API5): a protected route by another writing of its path, by another method, or by headers that make other
/// servers take another one. Outcome: 401 or nothing there; what is asked for is decided once, by the line of the request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_writing_of_a_path_gets_around_its_session() {
    let host = HOST.get().await;
    let ada = host.member("Ada").await;
    // As they are: an HTTP client would tidy them up.
    let ask = async |line: &str, headers: &str| {
        let request = format!("{line} HTTP/1.1\r\nHost: a\r\n{headers}Connection: close\r\n\r\n");
        let came = raw::exchange(&host.server.url, request.as_bytes()).await;
        let text = String::from_utf8_lossy(&came).into_owned();
        assert!(!text.contains("emailId"), "{line:?} {headers:?}: {text}");
        raw::statuses(&came)
    };
    for path in [
        "/profile/view",
        "//profile/view",
        "/profile//view",
        "/./profile/view",
        "/login/../profile/view",
        "/unsubscribe/../profile/view",
        "/profile/view/.",
        "/profile/view/..;/view",
        "/%2e/profile/view",
        "/login/%2e%2e/profile/view",
        "/login%2f..%2fprofile/view",
        "/profile%2fview",
        "/profile/%76iew",
        "/%70rofile/view",
        "/profile/view%00",
        "/profile/view%00.json",
        "/profile/view%20",
        "/profile/view;a=b",
        "/profile;/view",
        "/profile/view.json",
        "/PROFILE/VIEW",
        "/Profile/view",
        "/profile/view/",
        "/profile\\view",
        "/healthz/../profile/view",
        "/socket.io/../profile/view",
    ] {
        let statuses = ask(&format!("GET {path}"), "").await;
        assert!([&[400_u16][..], &[401], &[404]].contains(&statuses.as_slice()), "{path}: {statuses:?}");
    }
    for header in [
        "X-HTTP-Method-Override: GET",
        "X-HTTP-Method: GET",
        "X-Method-Override: PATCH",
        "X-Original-URL: /healthz",
        "X-Rewrite-URL: /healthz",
        "X-Forwarded-Prefix: /healthz",
        "X-Forwarded-Host: 127.0.0.1",
        "X-Forwarded-For: 127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "Forwarded: for=127.0.0.1;host=localhost",
        "X-User-Id: 6b0656747f186650d975ce8d",
        "X-Identity: admin",
        "Authorization: Basic YWRtaW46YWRtaW4=",
    ] {
        let header = format!("{header}\r\n");
        assert_eq!(ask("GET /profile/view", &header).await, [401], "{header}");
        // Nor is a route that needs none taken for one that is there.
        assert_eq!(ask("GET /healthz", &header).await, [200], "{header}");
        assert_eq!(ask("GET /metrics", &header).await, [404], "{header}");
    }
    let before = ada.read("/profile/view").await;
    for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let edit = ada.post("/profile/edit?_method=PATCH").header(name, "PATCH").json(&json!({ "about": "changed" }));
        assert_eq!(edit.send().await.unwrap().status(), 405, "{name}");
    }
    assert_eq!(ada.read("/profile/view").await, before);
}
