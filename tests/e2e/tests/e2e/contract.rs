//! The contract with front ends, line by line: each route with what it answers and refuses, each event of a socket, each event of
//! the log. A row names the line it is about. The rules behind the lines are tested with the components, and the way through all
//! of them in `product`; here a line that nobody kept would be found.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

use std::collections::{BTreeMap, BTreeSet};

use e2e::described::Asked;
use e2e::{Member, PASSWORD, PaymentServer, Stack, Value, json, on_both_stacks, root};
use reqwest::{Method, StatusCode};

on_both_stacks! {
    every_route_answers_as_its_line_says,
    every_route_refuses_as_its_line_says,
    a_user_leaves_the_host_without_secrets,
    every_answer_has_its_type,
}

/// The routes of the table in the contract, as `METHOD path`.
const ROUTES: [&str; 29] = [
    "POST /signup",
    "POST /login",
    "POST /logout",
    "GET /profile/view",
    "PATCH /profile/edit",
    "PATCH /user/{userId}",
    "GET /feed",
    "POST /request/send/{status}/{toUserId}",
    "POST /request/review/{status}/{requestId}",
    "PATCH /user/requests/{requestId}/respond",
    "GET /user/requests/received",
    "GET /user/requests/sent",
    "GET /user/connections",
    "GET /chat/{targetUserId}/history",
    "GET /email-preferences",
    "PATCH /email-preferences",
    "GET /unsubscribe/{userId}",
    "POST /unsubscribe/{userId}",
    "GET /notifications",
    "POST /notifications/{id}/read",
    "POST /profile/password",
    "GET /sessions",
    "DELETE /sessions/{id}",
    "GET /account/export",
    "DELETE /account",
    "GET /analytics/summary",
    "POST /payments/phonepe/create",
    "POST /payments/phonepe/confirm",
    "POST /payments/phonepe/callback",
];
/// The table of sockets: what a client sends.
const SOCKET_EVENTS: [&str; 6] =
    ["register", "private-message", "message:delivered", "message:read", "typing", "presence:query"];
/// What a server sends.
const SENT_EVENTS: [&str; 8] = [
    "private-message",
    "message:delivered",
    "message:read",
    "typing",
    "presence:state",
    "presence",
    "notification",
    "error",
];
/// The topics and their events.
const EVENTS: [(&str, &[&str]); 5] = [
    ("user-events", &["USER_SIGNUP", "USER_LOGIN", "USER_LOGOUT", "USER_ONLINE", "USER_OFFLINE"]),
    ("message-events", &["MESSAGE_SENT", "MESSAGE_DELIVERED", "MESSAGE_READ"]),
    ("connection-events", &["CONNECTION_REQUEST", "CONNECTION_REVIEW", "CONNECTION_ACCEPTED", "CONNECTION_REJECTED"]),
    ("notification-events", &["CONNECTION_REQUEST_NOTIFICATION", "MESSAGE_NOTIFICATION", "SYSTEM_NOTIFICATION"]),
    ("analytics-events", &["USER_ACTIVITY", "MESSAGE_ANALYTICS", "CONNECTION_ANALYTICS"]),
];
/// "Safe user".
const SAFE: [&str; 10] =
    ["_id", "firstName", "lastName", "photoUrl", "age", "gender", "about", "skills", "isPremium", "membershipTier"];

/// The manifests of the built components, parsed.
fn manifests() -> Vec<std::sync::Arc<manifest::Manifest>> {
    let files = std::fs::read_dir(root().join("target/components")).unwrap().map(|entry| entry.unwrap().path());
    let components = files.filter(|file| file.extension().is_some_and(|extension| extension == "wasm"));
    components.map(|file| manifest::Bundle::read_file(&file).unwrap().manifest).collect()
}

/// The text of all tests, with the files it is in.
fn tests() -> BTreeMap<String, String> {
    let mut folders = vec![root().join("components"), root().join("tests")];
    let mut texts = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.to_string_lossy().into_owned();
            if path.is_dir() {
                folders.extend((!name.contains("node_modules")).then_some(path));
            } else if name.contains("/tests/") && (name.ends_with(".rs") || name.ends_with(".mjs")) {
                texts.insert(name, std::fs::read_to_string(path).unwrap());
            }
        }
    }
    texts.retain(|name, _| !name.ends_with("contract.rs"));
    texts
}

#[test]
fn what_is_built_is_what_the_tables_say() {
    let built: BTreeSet<String> = manifests()
        .iter()
        .flat_map(|manifest| {
            manifest.http.iter().map(|route| format!("{} {}", route.method.as_str(), route.path)).collect::<Vec<_>>()
        })
        .filter(|route| route != "GET /analytics/network")
        .collect();
    assert_eq!(built, ROUTES.iter().map(|route| (*route).to_owned()).collect());
    let messages: BTreeSet<String> = manifests()
        .iter()
        .flat_map(|manifest| manifest.socket.iter().map(|socket| socket.event.clone()).collect::<Vec<_>>())
        .collect();
    assert_eq!(messages, SOCKET_EVENTS.iter().map(|event| (*event).to_owned()).collect());
}

#[test]
fn every_event_has_a_test_that_names_it() {
    let tests = tests();
    let named = |word: &str| {
        tests.values().any(|text| text.contains(&format!("\"{word}\"")) || text.contains(&format!("'{word}'")))
    };
    let events = EVENTS.iter().flat_map(|(topic, kinds)| std::iter::once(topic).chain(kinds.iter()));
    let missing: Vec<&str> =
        events.chain(&SOCKET_EVENTS).chain(&SENT_EVENTS).filter(|word| !named(word)).copied().collect();
    assert_eq!(missing, [""; 0]);
}

/// Two members, connected, and what they know of each other.
struct Pair {
    ada: Member,
    bob: Member,
    /// The message of the answer to the request and to its acceptance.
    said: [Value; 2],
}

async fn answered(request: Asked) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

impl Pair {
    async fn at(url: &str) -> Self {
        let (ada, bob) = (Member::sign_up(url, "Ada").await, Member::sign_up(url, "Bob").await);
        let (status, sent) = answered(ada.post(&format!("/request/send/interested/{}", bob.id))).await;
        assert_eq!(status, 200, "{sent}");
        let request = sent["data"]["_id"].as_str().unwrap();
        let (status, accepted) = answered(bob.post(&format!("/request/review/accepted/{request}"))).await;
        assert_eq!(status, 200, "{accepted}");
        Self { ada, bob, said: [sent, accepted] }
    }
}

async fn every_route_answers_as_its_line_says(stack: Stack) {
    let payments = PaymentServer::start().await;
    let server = stack.start_with("host", payments.options()).await;
    let Pair { ada, bob, said: [sent, accepted] } = Pair::at(&server.url).await;
    let nobody = Member::nobody(&server.url);
    // POST /request/send: `<first> is <status> in <first>`, and the request.
    assert_eq!((&sent["message"], &sent["data"]["status"]), (&json!("Ada is interested in Bob"), &json!("interested")));
    assert_eq!((&sent["data"]["fromUserId"], &sent["data"]["toUserId"]), (&json!(ada.id), &json!(bob.id)));
    // POST /request/review: `Connection Request accepted`.
    assert_eq!(
        (&accepted["message"], &accepted["data"]["status"]),
        (&json!("Connection Request accepted"), &json!("accepted"))
    );
    let cy = Member::sign_up(&server.url, "Cy").await;
    // PATCH /user/requests/:requestId/respond: both words.
    for (member, action, word) in [(&bob, "accept", "accepted"), (&ada, "reject", "rejected")] {
        let (_, sent) = answered(cy.post(&format!("/request/send/interested/{}", member.id))).await;
        let path = format!("/user/requests/{}/respond", sent["data"]["_id"].as_str().unwrap());
        let (status, answer) = answered(member.patch(&path).json(&json!({ "action": action }))).await;
        assert_eq!((status, &answer["message"]), (200, &json!(format!("Connection request {word} successfully"))));
        assert_eq!(answered(member.patch(&path).json(&json!({ "action": action }))).await.0, 404, "once answered");
    }
    let ada_again = json!({ "emailId": ada.email, "password": PASSWORD });
    let form = json!({ "firstName": "Dora", "lastName": "Test", "emailId": "dora@example.com", "password": PASSWORD });
    let (history, token) = (format!("/chat/{}/history", bob.id), "00".repeat(32));
    let rows: [(&str, Asked, u16, Value); 20] = [
        ("POST /signup", nobody.post("/signup").json(&form), 200, json!({ "message": "User added successfully" })),
        (
            "POST /login",
            nobody.post("/login").json(&ada_again),
            200,
            json!({ "firstName": "Ada", "emailId": ada.email }),
        ),
        ("GET /profile/view", ada.get("/profile/view"), 200, json!({ "_id": ada.id, "emailId": ada.email })),
        (
            "PATCH /profile/edit",
            ada.patch("/profile/edit").json(&json!({ "about": "a" })),
            200,
            json!({ "message": "Ada, your profile updated successfully" }),
        ),
        (
            "PATCH /user/:userId, `\"\"` is not given and an age may be text",
            ada.patch(&format!("/user/{}", ada.id))
                .json(&json!({ "firstName": "Ada", "age": "33", "gender": "", "photoUrl": "", "about": "" })),
            200,
            json!({ "message": "Ada, your profile updated successfully" }),
        ),
        (
            "GET /user/connections",
            ada.get("/user/connections"),
            200,
            json!({ "message": "Connections fetched successfully" }),
        ),
        (
            "GET /user/requests/received",
            ada.get("/user/requests/received"),
            200,
            json!({ "message": "Data fetched successfully", "data": [] }),
        ),
        (
            "GET /user/requests/sent",
            ada.get("/user/requests/sent"),
            200,
            json!({ "message": "Data fetched successfully", "data": [] }),
        ),
        ("GET /chat/:targetUserId/history", ada.get(&history), 200, json!({ "data": [] })),
        (
            "GET /email-preferences",
            ada.get("/email-preferences"),
            200,
            json!({ "success": true, "emailPreferences": {
                "welcomeEmail": true, "connectionRequests": true, "loginSuggestions": true, "marketingEmails": false,
            } }),
        ),
        (
            "PATCH /email-preferences",
            ada.patch("/email-preferences").json(&json!({ "marketingEmails": true })),
            200,
            json!({ "success": true }),
        ),
        (
            "GET /unsubscribe: a wrong token is 403",
            ada.get(&format!("/unsubscribe/{}?token={token}", ada.id)),
            403,
            Value::Null,
        ),
        (
            "POST /unsubscribe: a wrong token is 403",
            ada.post(&format!("/unsubscribe/{}?token={token}", ada.id)),
            403,
            Value::Null,
        ),
        ("GET /analytics/summary", ada.get("/analytics/summary"), 200, json!({})),
        ("GET /healthz", nobody.get("/healthz"), 200, json!("ok")),
        (
            "POST /profile/password",
            ada.post("/profile/password").json(&json!({ "currentPassword": PASSWORD, "newPassword": "0ther!Pass" })),
            200,
            json!({ "message": "Password changed successfully" }),
        ),
        ("DELETE /sessions/:id", ada.request(Method::DELETE, "/sessions/others"), 200, json!({ "success": true })),
        ("GET /account/export", ada.get("/account/export"), 200, json!({ "next": null })),
        (
            "DELETE /account: asks for the password",
            ada.request(Method::DELETE, "/account").json(&json!({ "password": PASSWORD })),
            400,
            json!({ "message": "The password is wrong" }),
        ),
        ("POST /logout", ada.post("/logout"), 200, json!("Logout successfull")),
    ];
    for (line, request, status, expected) in rows {
        let (came, body) = answered(request).await;
        assert_eq!(came, status, "{line}: {body}");
        match &expected {
            Value::Object(fields) => {
                for (field, value) in fields {
                    assert_eq!(&body[field], value, "{line}: {body}");
                }
            }
            Value::Null => {}
            text => assert_eq!(&body, text, "{line}"),
        }
    }
    // POST /payments/phonepe: the price is the server's, and what is paid counts.
    let tier = json!({ "membershipTier": "gold" });
    let (status, begun) = answered(bob.post("/payments/phonepe/create").json(&tier)).await;
    assert_eq!(status, 200, "{begun}");
    let txn = begun["txnId"].as_str().unwrap();
    assert_eq!((begun["url"].is_string(), payments.order(txn)), (true, (19_900, bob.id.clone())));
    payments.pay(txn);
    let (status, confirmed) = answered(bob.post("/payments/phonepe/confirm").json(&tier)).await;
    assert_eq!((status, &confirmed["message"]), (200, &json!("Premium activated")), "{confirmed}");
    assert_eq!(confirmed["user"]["membershipTier"], "gold");
    let (body, verify) = payments.callback(txn, 19_900);
    let callback = nobody.post("/payments/phonepe/callback").header("x-verify", verify).json(&body);
    assert_eq!(answered(callback).await.0, 200);
    // GET /sessions: the one of this request is marked; DELETE /account: gone.
    let sessions = cy.read("/sessions").await;
    assert_eq!((sessions["data"].as_array().unwrap().len(), &sessions["data"][0]["current"]), (1, &json!(true)));
    let gone = cy.request(Method::DELETE, "/account").json(&json!({ "password": PASSWORD }));
    assert_eq!(answered(gone).await, (200, json!({ "message": "Account deleted successfully" })));
    // GET /feed: what is told of a page, and of a member with ml=true.
    let page = bob.read("/feed?ml=true&limit=500").await;
    let told: BTreeSet<&str> = page["recommendations"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(told, BTreeSet::from(["totalAvailable", "mlProcessed", "returned", "highMatch", "page", "hasMore"]));
    let plain = bob.read("/feed?limit=500").await;
    let seen: Vec<&str> =
        plain["data"].as_array().unwrap().iter().filter_map(|user| user["firstName"].as_str()).collect();
    assert_eq!(seen, ["Dora"], "never oneself nor anyone with whom a request exists");
    server.settled().await;
    // GET /notifications: newest first; POST /notifications/:id/read.
    let notifications = bob.read("/notifications").await;
    let first = &notifications["data"][0];
    for field in ["_id", "type", "message", "count", "createdAt"] {
        assert!(!first[field].is_null(), "{field}: {notifications}");
    }
    let read = bob.post(&format!("/notifications/{}/read", first["_id"].as_str().unwrap()));
    assert_eq!(answered(read).await, (200, json!({ "success": true })));
    assert!(bob.read("/notifications").await["data"][0]["readAt"].is_string());
}

async fn every_route_refuses_as_its_line_says(stack: Stack) {
    let payments = PaymentServer::start().await;
    let server = stack.start_with("host", payments.options()).await;
    let Pair { ada, bob, .. } = Pair::at(&server.url).await;
    let cy = Member::sign_up(&server.url, "Cy").await;
    let nobody = Member::nobody(&server.url);
    // No session, or a bad one: 401, in these words.
    let id = "0123456789abcdef01234567";
    let open = [
        "POST /signup",
        "POST /login",
        "GET /unsubscribe/{userId}",
        "POST /unsubscribe/{userId}",
        "POST /payments/phonepe/callback",
    ];
    for route in ROUTES.iter().filter(|route| !open.contains(route)) {
        let (method, path) = route.split_once(' ').unwrap();
        let path = path.replace("{status}", "interested");
        let path: String =
            path.split('/').map(|part| if part.starts_with('{') { id } else { part }).collect::<Vec<_>>().join("/");
        for bad in [None, Some("nonsense"), Some("a.b.c")] {
            let mut request = nobody.request(Method::from_bytes(method.as_bytes()).unwrap(), &path);
            if method != "GET" {
                request = request.json(&json!({}));
            }
            if let Some(bad) = bad {
                request = request.header("cookie", format!("token={bad}"));
            }
            assert_eq!(answered(request).await, (401, json!("Please login")), "{route} with {bad:?}");
        }
    }
    let (_, waiting) = answered(cy.post(&format!("/request/send/interested/{}", ada.id))).await;
    let waiting = waiting["data"]["_id"].as_str().unwrap();
    let send = |status: &str, to: &str| ada.post(&format!("/request/send/{status}/{to}"));
    let json_of = |request: Asked, body: &Value| request.json(body);
    let rows: Vec<(&str, Asked, u16)> = vec![
        (
            "POST /login: unknown e-mail",
            json_of(nobody.post("/login"), &json!({ "emailId": "x@example.com", "password": PASSWORD })),
            400,
        ),
        (
            "POST /signup: weak password",
            json_of(
                nobody.post("/signup"),
                &json!({ "firstName": "Eve", "lastName": "Test", "emailId": "eve@example.com", "password": "weak" }),
            ),
            400,
        ),
        (
            "POST /signup: taken e-mail",
            json_of(
                nobody.post("/signup"),
                &json!({ "firstName": "Eve", "lastName": "Test", "emailId": ada.email, "password": PASSWORD }),
            ),
            400,
        ),
        ("PATCH /profile/edit: unknown field", json_of(ada.patch("/profile/edit"), &json!({ "isPremium": true })), 400),
        ("PATCH /profile/edit: bad value", json_of(ada.patch("/profile/edit"), &json!({ "age": 5 })), 400),
        (
            "PATCH /user/:userId: own id only",
            json_of(ada.patch(&format!("/user/{}", bob.id)), &json!({ "about": "x" })),
            403,
        ),
        ("GET /feed: no number", ada.get("/feed?page=x"), 400),
        ("POST /request/send: bad status", send("loves", &cy.id), 400),
        ("POST /request/send: to oneself", send("interested", &ada.id), 400),
        ("POST /request/send: there already", send("interested", &bob.id), 400),
        ("POST /request/send: there in the other direction", send("ignore", &cy.id), 400),
        ("POST /request/send: no such user", send("interested", id), 404),
        ("POST /request/review: not to me", bob.post(&format!("/request/review/accepted/{waiting}")), 404),
        ("POST /request/review: not there", ada.post(&format!("/request/review/accepted/{id}")), 404),
        ("POST /request/review: bad status", ada.post(&format!("/request/review/loved/{waiting}")), 400),
        (
            "PATCH …/respond: not to me",
            json_of(bob.patch(&format!("/user/requests/{waiting}/respond")), &json!({ "action": "accept" })),
            403,
        ),
        (
            "PATCH …/respond: not there",
            json_of(ada.patch(&format!("/user/requests/{id}/respond")), &json!({ "action": "accept" })),
            404,
        ),
        (
            "PATCH …/respond: bad action",
            json_of(ada.patch(&format!("/user/requests/{waiting}/respond")), &json!({ "action": "love" })),
            400,
        ),
        ("GET …/history: bad before", ada.get(&format!("/chat/{}/history?before={id}", bob.id)), 400),
        (
            "PATCH /email-preferences: bad value",
            json_of(ada.patch("/email-preferences"), &json!({ "welcomeEmail": "yes" })),
            400,
        ),
        ("POST /payments: no tier", json_of(ada.post("/payments/phonepe/create"), &json!({ "amount": 1 })), 400),
        (
            "POST /payments: nothing was paid",
            json_of(ada.post("/payments/phonepe/confirm"), &json!({ "membershipTier": "gold" })),
            404,
        ),
        (
            "POST /payments: not the payment server",
            json_of(nobody.post("/payments/phonepe/callback"), &json!({ "response": "e30=" })),
            403,
        ),
        (
            "POST /profile/password: wrong password",
            json_of(
                ada.post("/profile/password"),
                &json!({ "currentPassword": "Wr0ng!Pass", "newPassword": "0ther!Pass" }),
            ),
            400,
        ),
        (
            "POST /profile/password: weak password",
            json_of(ada.post("/profile/password"), &json!({ "currentPassword": PASSWORD, "newPassword": "weak" })),
            400,
        ),
        ("DELETE /sessions/:id: not mine", ada.request(Method::DELETE, &format!("/sessions/{}", "0".repeat(32))), 404),
        ("GET /account/export: bad cursor", ada.get("/account/export?cursor=x"), 400),
        ("DELETE /account: no password", json_of(ada.request(Method::DELETE, "/account"), &json!({})), 400),
        ("POST /notifications/:id/read: not there", ada.post(&format!("/notifications/{id}/read")), 404),
        ("a path that is not there", ada.get("/nowhere"), 404),
        ("not JSON", ada.patch("/profile/edit").header("content-type", "text/plain").body("{}"), 415),
        (
            "a foreign Origin",
            json_of(ada.patch("/profile/edit").header("origin", "https://evil.example"), &json!({ "about": "x" })),
            403,
        ),
    ];
    for (line, request, status) in rows {
        let (came, body) = answered(request).await;
        assert_eq!(came, status, "{line}: {body}");
        assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{line}: {body}");
    }
}

async fn a_user_leaves_the_host_without_secrets(stack: Stack) {
    let server = stack.start("host").await;
    let Pair { ada, bob, .. } = Pair::at(&server.url).await;
    Member::sign_up(&server.url, "Cy").await;
    for path in [
        "/profile/view",
        "/feed",
        "/feed?ml=true",
        "/user/connections",
        "/user/requests/received",
        "/user/requests/sent",
        "/notifications",
    ] {
        for member in [&ada, &bob] {
            let text = member.get(path).send().await.unwrap().text().await.unwrap();
            assert!(!text.contains("argon2") && !text.contains("\"password\""), "{path}: {text}");
        }
    }
    let safe = BTreeSet::from(SAFE);
    let ml = BTreeSet::from(["recommendationScore", "recommendationReasoning", "scoreBreakdown"]);
    for (path, more) in [("/feed", &BTreeSet::new()), ("/feed?ml=true", &ml), ("/user/connections", &BTreeSet::new())] {
        for user in ada.read(path).await["data"].as_array().unwrap() {
            let fields: BTreeSet<&str> = user.as_object().unwrap().keys().map(String::as_str).collect();
            assert!(fields.is_subset(&safe.union(more).copied().collect()), "{path}: {user}");
        }
    }
}

/// JSON in and out, UTF-8; ids are 24 hex digits, dates ISO 8601 with milliseconds and Z.
async fn every_answer_has_its_type(stack: Stack) {
    let server = stack.start("host").await;
    let Pair { ada, bob, said: [sent, _] } = Pair::at(&server.url).await;
    let answer = bob.get("/user/connections").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/json; charset=utf-8");
    let is_id = |value: &Value| {
        value.as_str().is_some_and(|id| id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let is_date = |value: &Value| {
        value.as_str().is_some_and(|date| {
            date.len() == 24 && date.ends_with('Z') && date.as_bytes()[19] == b'.' && date.as_bytes()[10] == b'T'
        })
    };
    let own = ada.read("/profile/view").await;
    assert!(is_id(&own["_id"]) && is_date(&own["createdAt"]) && is_date(&own["updatedAt"]), "{own}");
    let request = &sent["data"];
    assert!(["_id", "fromUserId", "toUserId"].iter().all(|field| is_id(&request[*field])), "{request}");
    assert!(["createdAt", "updatedAt"].iter().all(|field| is_date(&request[*field])), "{request}");
}
