//! The feed by the built component in the real engine: what both kinds have in common is here, each kind in a file of
//! its own. Ids are made of numbers, so that who joined before whom is known.

mod index;
mod large;
mod model;
mod old;
mod plain;
mod ranked;
mod reads;
mod types;

use harness::{App, Document, ObjectId, Reply, Value, doc, json};

/// A member and the own session.
struct Member {
    id: ObjectId,
    token: String,
}

fn app() -> App {
    App::with(&["feed"])
}

/// The id of the user that joined as number `number`.
fn id(number: u32) -> ObjectId {
    let [a, b, c, d] = number.to_be_bytes();
    ObjectId::from_bytes([0x65, 0, 0, 0, 0, 0, 0, 0, a, b, c, d])
}

fn hex(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    numbers.into_iter().map(|number| id(number).to_hex()).collect()
}

/// A user document as sign-up and profile make it; `fields` are put over it.
fn user(app: &App, number: u32, fields: Document) {
    let email = format!("secret{number}@example.com");
    let mut user = doc! {
        "_id": id(number), "firstName": format!("Member{number}"), "lastName": "Test", "emailId": &email, "emailKey": &email,
        "password": "the hash", "photoUrl": "https://example.com/photo.png", "about": "about", "skills": ["rust"],
        "emailPreferences": { "marketingEmails": true }, "isPremium": false, "membershipTier": "free", "age": 30,
        "gender": "others",
    };
    user.extend(fields);
    app.insert("users", user);
}

fn users(app: &App, numbers: impl IntoIterator<Item = u32>) {
    numbers.into_iter().for_each(|number| user(app, number, doc! {}));
}

/// A member with a session.
fn member(app: &App, number: u32, fields: Document) -> Member {
    user(app, number, fields);
    session(app, id(number))
}

fn session(app: &App, id: ObjectId) -> Member {
    Member { id, token: app.log_in(id) }
}

/// A request as the earlier database has it: without `pair`.
fn request(app: &App, from: ObjectId, to: ObjectId, status: &str) {
    app.insert(
        "connectionrequests",
        doc! { "_id": ObjectId::new(), "fromUserId": from, "toUserId": to, "status": status, "__v": 0 },
    );
}

impl Member {
    fn ask(&self, app: &App, query: &str) -> Reply {
        app.get(&format!("/feed{query}")).token(&self.token).send()
    }

    fn feed(&self, app: &App, query: &str) -> Value {
        let reply = self.ask(app, query);
        assert_eq!(reply.status, 200, "{query}: {}", reply.text());
        reply.json()
    }

    /// All pages of a query, until there is no more.
    fn pages(&self, app: &App, query: &str) -> Vec<Value> {
        let mut pages = Vec::new();
        for page in 1..100 {
            let answer = self.feed(app, &format!("{query}&page={page}"));
            assert_eq!(*told(&answer, "page"), page);
            let has_more = *told(&answer, "hasMore") == true;
            pages.push(answer);
            if !has_more {
                break;
            }
        }
        pages
    }
}

/// What an answer tells of itself.
fn told<'a>(answer: &'a Value, name: &str) -> &'a Value {
    answer.get("recommendations").and_then(|told| told.get(name)).unwrap_or(&Value::Null)
}

/// Who is in an answer, in its order.
fn ids(answer: &Value) -> Vec<String> {
    let data = answer.get("data").and_then(Value::as_array).into_iter().flatten();
    let ids: Vec<String> =
        data.map(|user| user.get("_id").and_then(Value::as_str).unwrap_or("none").to_owned()).collect();
    assert_eq!(*told(answer, "returned"), ids.len());
    ids
}

fn all_ids(pages: &[Value]) -> Vec<String> {
    pages.iter().flat_map(ids).collect()
}

#[test]
fn without_a_session_the_feed_says_please_login() {
    let app = app();
    users(&app, 1..3);
    for path in ["/feed", "/feed?ml=true", "/feed?page=x"] {
        for reply in [app.get(path).send(), app.get(path).token("nonsense").send()] {
            assert_eq!((reply.status, reply.text().as_str()), (401, "Please login"), "{path}");
        }
    }
}

#[test]
fn who_is_gone_gets_no_feed() {
    let app = app();
    users(&app, 1..3);
    let gone = session(&app, id(9));
    for query in ["", "?ml=true"] {
        let reply = gone.ask(&app, query);
        assert_eq!((reply.status, reply.message().as_str()), (404, "User not found"));
    }
}

#[test]
fn nobody_is_shown_with_whom_a_request_exists() {
    for status in ["ignore", "interested", "accepted", "rejected"] {
        let app = app();
        let ada = member(&app, 1, doc! {});
        users(&app, 2..6);
        request(&app, ada.id, id(2), status);
        request(&app, id(4), ada.id, status);
        // A request between others is none of Ada's.
        request(&app, id(3), id(5), status);
        let plain = ada.feed(&app, "");
        assert_eq!(ids(&plain), hex([3, 5]), "{status}");
        assert_eq!(plain["recommendations"]["totalAvailable"], 2);
        let ranked = ada.feed(&app, "?ml=true");
        assert_eq!(ids(&ranked), hex([5, 3]), "{status}");
        assert_eq!(ranked["recommendations"]["totalAvailable"], 2);
    }
}

#[test]
fn requests_of_odd_shapes_leave_out_whom_they_name() {
    let app = app();
    let ada = member(&app, 1, doc! {});
    users(&app, 2..6);
    // Twice, both ways, to oneself, to nobody, and to what is no id.
    request(&app, ada.id, id(2), "interested");
    request(&app, ada.id, id(2), "ignore");
    request(&app, id(2), ada.id, "rejected");
    request(&app, ada.id, ada.id, "interested");
    request(&app, ada.id, id(99), "interested");
    app.insert("connectionrequests", doc! { "_id": 1, "fromUserId": ada.id });
    app.insert("connectionrequests", doc! { "_id": 2, "fromUserId": ada.id, "toUserId": id(3).to_hex() });
    app.insert("connectionrequests", doc! { "_id": "3", "fromUserId": null, "toUserId": ada.id, "status": 7 });
    app.insert("connectionrequests", doc! { "_id": 4, "toUserId": ada.id, "fromUserId": id(4) });
    let answer = ada.feed(&app, "?limit=1");
    assert_eq!(ids(&answer), hex([3]));
    assert_eq!(told(&answer, "totalAvailable"), 2, "who is gone is not counted as left out");
    assert_eq!(all_ids(&ada.pages(&app, "?limit=1")), hex([3, 5]));
}

#[test]
fn thousands_of_requests_are_all_respected() {
    let app = app();
    let ada = member(&app, 5_000, doc! { "membershipTier": "gold" });
    let shown: Vec<u32> = vec![1, 700, 1_001, 1_002, 1_003, 2_100, 2_749, 3_000, 3_001];
    for number in 1..=3_001 {
        // Some of them are gone, and their requests are still there.
        if number % 5 != 4 || shown.contains(&number) {
            user(&app, number, doc! {});
        }
        match number {
            _ if shown.contains(&number) => {}
            _ if number % 5 < 2 => request(&app, id(number), ada.id, "interested"),
            _ => request(&app, ada.id, id(number), "ignore"),
        }
    }
    for (query, expected) in
        [("?limit=200", shown.clone()), ("?limit=200&ml=true", shown.iter().rev().copied().collect())]
    {
        let answer = ada.feed(&app, query);
        assert_eq!(ids(&answer), hex(expected.clone()), "{query}");
        let recommendations = &answer["recommendations"];
        assert_eq!((&recommendations["totalAvailable"], &recommendations["hasMore"]), (&json!(9), &json!(false)));
        for limit in [1, 2, 4] {
            let pages = ada.pages(&app, &query.replace("200", &limit.to_string()));
            assert_eq!(all_ids(&pages), hex(expected.clone()), "{query} by {limit}");
            assert!(pages.iter().all(|page| page["recommendations"]["totalAvailable"] == 9), "{query} by {limit}");
        }
    }
}

#[test]
fn the_tier_says_how_long_a_page_may_be() {
    let app = app();
    users(&app, 1..=230);
    let tiers = [
        (doc! { "membershipTier": "free" }, 10),
        (doc! { "membershipTier": "silver" }, 100),
        (doc! { "membershipTier": "gold" }, 200),
        (doc! { "membershipTier": "platinum" }, 10),
        (doc! { "membershipTier": null }, 10),
        (doc! { "membershipTier": ["gold"] }, 10),
        (doc! { "membershipTier": 200, "isPremium": true }, 10),
    ];
    for (number, (fields, most)) in (1_000..).zip(tiers) {
        let member = member(&app, number, fields.clone());
        let returned = |query: &str| member.feed(&app, query)["recommendations"]["returned"].as_u64().unwrap();
        for ml in ["", "&ml=true"] {
            assert_eq!(returned(&format!("?{ml}")), 10, "{fields}");
            assert_eq!(returned(&format!("?limit=3{ml}")), 3, "{fields}");
            assert_eq!(returned(&format!("?limit={most}{ml}")), most, "{fields}");
            for larger in ["201", "4294967295", "4294967296", "99999999999999999999999999"] {
                assert_eq!(returned(&format!("?limit={larger}{ml}")), most, "{fields}");
            }
        }
    }
}

#[test]
fn a_page_that_is_none_is_refused() {
    let app = app();
    let ada = member(&app, 1, doc! {});
    users(&app, 2..5);
    for name in ["page", "limit"] {
        for garbage in ["0", "-1", "%2B1", "1.5", "x", "1x", "null", "1e2", "%00", "1%202", "%D9%A1"] {
            for query in [format!("?{name}={garbage}"), format!("?ml=true&{name}={garbage}")] {
                let reply = ada.ask(&app, &query);
                let message = format!("{name} must be a whole number from 1");
                assert_eq!((reply.status, reply.message()), (400, message), "{query}");
            }
        }
        assert_eq!(ids(&ada.feed(&app, &format!("?{name}="))), hex([2, 3, 4]), "an empty {name} is not given");
    }
    for far in ["1000001", "99999999999999999999999999"] {
        let reply = ada.ask(&app, &format!("?page={far}"));
        assert_eq!((reply.status, reply.message().as_str()), (400, "page must be at most 1000000"));
    }
    for query in ["?page=1000000", "?page=1000000&ml=true"] {
        let answer = ada.feed(&app, query);
        assert_eq!((ids(&answer).len(), told(&answer, "hasMore")), (0, &json!(false)));
        assert_eq!(told(&answer, "totalAvailable"), 3);
    }
}

/// Users as older programs, scripts and people with a database shell leave them.
fn odd_users() -> Vec<Document> {
    let timestamp = bson::Timestamp { time: 1, increment: 2 };
    vec![
        doc! {},
        doc! { "firstName": "Only" },
        doc! { "skills": null, "membershipTier": null, "age": null, "isPremium": null },
        doc! { "skills": "rust, go", "age": "33", "membershipTier": 7, "isPremium": "yes" },
        doc! { "skills": [null, 5, ["rust"], { "name": "rust" }, true, "", "   ", "rust"], "age": -4 },
        doc! { "skills": { "0": "rust" }, "age": f64::NAN },
        doc! { "skills": ["x".repeat(100_000), "rust"], "age": 1e300 },
        doc! { "skills": (0..300).map(|number| format!("skill {number}")).collect::<Vec<_>>(), "age": f64::INFINITY },
        doc! { "skills": ["RUST", "Rust", " rust "], "age": 28.5, "about": timestamp },
        doc! { "photoUrl": ["a", "b"], "firstName": 5, "lastName": { "a": 1 }, "skills": ["rust"], "__v": 3 },
    ]
}

/// Attack (API10): documents of an earlier program with anything in any field. Outcome: everybody's feed has the
/// others.
#[test]
fn odd_old_documents_spoil_nothing() {
    let app = app();
    let ada = member(&app, 1, doc! { "membershipTier": "silver" });
    let count = u32::try_from(odd_users().len()).unwrap();
    for (number, mut odd) in (2..).zip(odd_users()) {
        // What makes an account; all else may be odd.
        odd.extend(doc! { "_id": id(number), "emailId": format!("odd{number}") });
        app.insert("users", odd);
    }
    // Nobody can send a request to these, and so nobody is shown them.
    app.insert("users", doc! { "_id": "text", "emailId": "text", "skills": ["rust"] });
    app.insert("users", doc! { "_id": 7, "emailId": "7", "skills": ["rust"] });
    user(&app, 500, doc! {});
    let plain = ada.feed(&app, "?limit=100");
    assert_eq!(ids(&plain), hex((2..2 + count).chain([500])));
    assert_eq!(plain["recommendations"]["totalAvailable"], count + 1);
    for shown in plain["data"].as_array().unwrap() {
        assert!(shown["skills"] != Value::Null && shown["membershipTier"] != Value::Null, "{shown}");
    }
    let ranked = ada.feed(&app, "?limit=100&ml=true");
    assert_eq!(ids(&ranked)[0], id(500).to_hex());
    assert_eq!(ranked["recommendations"]["mlProcessed"], count + 1);
    // A row that is too large comes without its largest field: those of 8 are its skills.
    let with_rust = [6, 10, 11];
    assert!(hex(with_rust).iter().all(|id| ids(&ranked).contains(id)), "{ranked}");
    assert!(!ids(&ranked).contains(&id(2).to_hex()), "nothing speaks for who has no skills");
}

#[test]
fn an_odd_caller_gets_a_feed() {
    for (number, mut odd) in (2..).zip(odd_users()) {
        let app = app();
        users(&app, [1, 900]);
        odd.insert("_id", id(number));
        app.insert("users", odd.clone());
        let odd = session(&app, id(number));
        assert_eq!(ids(&odd.feed(&app, "")), hex([1, 900]));
        odd.feed(&app, "?ml=true");
    }
}

/// Attack (API3): reading the feed for hashes, e-mail addresses and dates. Outcome: the safe fields and no others.
#[test]
fn nothing_private_is_shown() {
    let app = app();
    let ada = member(&app, 1, doc! {});
    user(&app, 2, doc! { "premiumActivatedAt": "when", "createdAt": "then", "phone": "555", "skills": ["rust", "go"] });
    let safe =
        ["_id", "firstName", "lastName", "photoUrl", "age", "gender", "about", "skills", "isPremium", "membershipTier"];
    let scored = ["recommendationScore", "recommendationReasoning", "scoreBreakdown"];
    for (query, more) in [("", [].as_slice()), ("?ml=true", scored.as_slice())] {
        let reply = ada.ask(&app, query);
        assert_eq!(reply.status, 200);
        for secret in
            ["the hash", "password", "secret2", "emailId", "emailKey", "marketing", "premiumAct", "createdAt", "555"]
        {
            assert!(!reply.text().contains(secret), "{secret} in {}", reply.text());
        }
        let shown = reply.json()["data"][0].as_object().unwrap().clone();
        let mut names: Vec<&str> = shown.keys().map(String::as_str).collect();
        let mut expected = [safe.as_slice(), more].concat();
        names.sort_unstable();
        expected.sort_unstable();
        assert_eq!(names, expected);
    }
}

/// The schedule by which what is not built is built.
const CRON: &str = "* * * * *";

/// Lets a minute go by, and what is due in it be done.
fn tick(app: &App) {
    let next = (app.clock().now() / 60_000 + 1) * 60_000;
    app.clock().set(next);
    app.until_ticked("feed", CRON, next);
}

/// Lets the index and the model be built.
fn build(app: &App) {
    tick(app);
    tick(app);
}

/// No event was given up, and no call failed.
fn all_is_well(app: &App) {
    for topic in ["user-events", "connection-events"] {
        assert_eq!(app.dead_letters(topic), []);
    }
    for failure in harness::FAILURES {
        assert_eq!(app.count("feed", failure), 0, "{failure}");
    }
}
