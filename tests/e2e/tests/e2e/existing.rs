//! A MongoDB that is already there: one that the earlier DevConnect wrote, and what this one asks of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

use bson::oid::ObjectId;
use bson::{DateTime, Document, doc};
use e2e::{Expected, Member, Server, Stack, json, node};
use mongodb::bson;
use mongodb::options::IndexOptions;
use mongodb::{Client, Database, IndexModel};
use reqwest::StatusCode;
use tokio::task::spawn_blocking;

const PASSWORD: &str = "Old-Passw0rd!";

async fn real() -> Option<(Stack, Database)> {
    let stack = spawn_blocking(Stack::real).await.unwrap()?;
    let client = Client::with_uri_str(stack.variable("MONGODB_URI")).await.unwrap();
    let database = client.default_database().unwrap();
    Some((stack, database))
}

/// A user as mongoose stored one: no field that came later, `__v`, and a bcrypt hash.
fn user(id: ObjectId, name: &str, email: &str) -> Document {
    let at = DateTime::from_millis(1_700_000_000_000);
    doc! {
        "_id": id, "firstName": name, "lastName": "Old", "emailId": email,
        "password": bcrypt::hash_with_result(PASSWORD, 4).unwrap().format_for_version(bcrypt::Version::TwoB),
        "age": 36, "gender": "female", "photoUrl": "https://example.com/a.png", "about": "Old", "skills": ["js", "css"],
        "createdAt": at, "updatedAt": at, "__v": 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_the_earlier_devconnect_works() {
    let Some((stack, database)) = real().await else { return };
    let users = database.collection::<Document>("users");
    let [ada, bob, eve, other_eve] = [(); 4].map(|()| ObjectId::new());
    let stored = [
        user(ada, "Ada", "Ada.Lovelace@Example.com"),
        user(bob, "Bob", "bob@example.com"),
        user(eve, "Eve", "Eve@example.com"),
        user(other_eve, "Evelyn", "eve@example.com"),
    ];
    users.insert_many(&stored).await.unwrap();
    let unique = IndexOptions::builder().unique(true).name("emailId_1".to_owned()).build();
    users.create_index(IndexModel::builder().keys(doc! { "emailId": 1 }).options(unique).build()).await.unwrap();
    let requests = database.collection::<Document>("connectionrequests");
    let at = |n: i64| DateTime::from_millis(1_700_000_000_000 + n);
    let request = doc! { "_id": ObjectId::new(), "fromUserId": ada, "toUserId": bob, "status": "accepted",
    "createdAt": at(0), "updatedAt": at(0), "__v": 0 };
    requests.insert_one(&request).await.unwrap();
    let messages = database.collection::<Document>("messages");
    let old = |n: i64, from: ObjectId, to: ObjectId| {
        doc! { "_id": ObjectId::new(), "fromUserId": from, "toUserId": to, "text": format!("old {n}"), "ts": at(n),
        "createdAt": at(n), "updatedAt": at(n), "__v": 0 }
    };
    messages.insert_many([old(2, bob, ada), old(1, ada, bob), old(3, ada, bob)]).await.unwrap();

    let server = stack.start("host").await;
    // Of the two Eves one has the lower-cased e-mail.
    server.expect(Expected::Warning("old documents stay without a field, and stay usable"));
    for email in ["Ada.Lovelace@Example.com", "ada.lovelace@example.com", " ADA.LOVELACE@EXAMPLE.COM "] {
        let member = Member::log_in(&server.url, email, PASSWORD).await;
        assert_eq!(member.id, ada.to_hex(), "{email}");
    }
    let member = Member::log_in(&server.url, "ada.lovelace@example.com", PASSWORD).await;
    let after = users.find_one(doc! { "_id": ada }).await.unwrap().unwrap();
    assert!(after.get_str("password").unwrap().starts_with("$argon2id$"), "it is rehashed");
    for field in ["emailId", "age", "skills", "createdAt", "__v"] {
        assert_eq!(after.get(field), stored[0].get(field), "{field} stays as it was");
    }
    // Of two that differ in case only, the exact one logs in.
    for (email, id) in [("Eve@example.com", eve), ("eve@example.com", other_eve)] {
        assert_eq!(Member::log_in(&server.url, email, PASSWORD).await.id, id.to_hex(), "{email}");
    }

    let own = member.read("/profile/view").await;
    assert_eq!((&own["emailId"], &own["membershipTier"]), (&json!("Ada.Lovelace@Example.com"), &json!("free")));
    assert!(own.get("__v").is_none() && own.get("password").is_none(), "{own}");
    let connections = member.read("/user/connections").await;
    assert_eq!(connections["data"][0]["_id"], bob.to_hex());
    let texts = |history: &e2e::Value| {
        let all = history["data"].as_array().unwrap().iter();
        all.map(|message| message["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(texts(&member.read(&format!("/chat/{bob}/history")).await), ["old 1", "old 2", "old 3"]);
    let feed = member.read("/feed?limit=10").await;
    let seen: Vec<&str> = feed["data"].as_array().unwrap().iter().map(|user| user["_id"].as_str().unwrap()).collect();
    assert!(seen.len() == 2 && !seen.contains(&bob.to_hex().as_str()), "the two Eves: {feed}");
    // Nobody can ask again, in either direction.
    let again = Member::log_in(&server.url, "bob@example.com", PASSWORD).await;
    let refused = again.post(&format!("/request/send/interested/{ada}")).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let edit = json!({ "about": "New", "skills": ["rust"] });
    assert_eq!(member.patch("/profile/edit").json(&edit).send().await.unwrap().status(), StatusCode::OK);
    let after = users.find_one(doc! { "_id": ada }).await.unwrap().unwrap();
    assert_eq!((after.get_str("about").unwrap(), after.get_i32("__v").unwrap()), ("New", 0));
}

/// The routes of the product that the tests of sockets do not use, so that their questions are asked.
async fn use_everything(server: &Server) {
    let ada = Member::sign_up(&server.url, "Ada").await;
    let bob = Member::sign_up(&server.url, "Bob").await;
    let cleo = Member::log_in(&server.url, &Member::sign_up(&server.url, "Cleo").await.email, e2e::PASSWORD).await;
    let done = |request: e2e::described::Asked| async move {
        let answer = request.send().await.unwrap();
        let (url, status) = (answer.url().clone(), answer.status());
        assert_eq!(status, StatusCode::OK, "{url}");
        answer.json::<e2e::Value>().await.unwrap_or_default()
    };
    done(ada.post(&format!("/request/send/ignore/{}", cleo.id))).await;
    let request = done(ada.post(&format!("/request/send/interested/{}", bob.id))).await;
    bob.read("/user/requests/received").await;
    bob.read("/user/requests/received?limit=10&page=2").await;
    let respond = format!("/user/requests/{}/respond", request["data"]["_id"].as_str().unwrap());
    done(bob.patch(&respond).json(&json!({ "action": "accept" }))).await;
    for path in ["/user/connections", "/feed?limit=10", "/feed?limit=10&page=2&ml=true", "/email-preferences"] {
        ada.read(path).await;
    }
    for path in ["/profile/view", "/profile/view"] {
        cleo.read(path).await;
    }
    done(ada.patch("/profile/edit").json(&json!({ "about": "Engines", "emailId": "ada.new@example.com" }))).await;
    done(ada.patch(&format!("/user/{}", ada.id)).json(&json!({ "about": "", "age": "33" }))).await;
    done(bob.patch("/email-preferences").json(&json!({ "marketingEmails": true }))).await;
    ada.read(&format!("/chat/{}/history", bob.id)).await;
    for path in ["/sessions", "/account/export"] {
        ada.read(path).await;
    }
    let _ = cleo.post("/logout").send().await.unwrap();
}

/// Whatever the components ask while the whole product is used, MongoDB answers from an index.
#[tokio::test(flavor = "multi_thread")]
async fn no_question_reads_a_whole_collection() {
    let Some((stack, database)) = real().await else { return };
    let server = stack.start("host").await;
    database.run_command(doc! { "profile": 2 }).await.unwrap();
    use_everything(&server).await;
    let url = server.url.clone();
    let few = [("DEVCONNECT_PAIRS", "4"), ("DEVCONNECT_MESSAGES", "5")];
    spawn_blocking(move || node::test("live.test.mjs", &[&url], &few)).await.unwrap();
    database.run_command(doc! { "profile": 0 }).await.unwrap();

    let profile = database.collection::<Document>("system.profile");
    let mut asked = profile.find(doc! { "planSummary": { "$exists": true } }).await.unwrap();
    let (mut questions, mut scans) = (0, Vec::new());
    while asked.advance().await.unwrap() {
        let question = asked.deserialize_current().unwrap();
        // Who has which shard: a few dozen documents at most, and the time is compared to the server's.
        if question.get_str("ns").unwrap().ends_with(".outboxleases") {
            continue;
        }
        questions += 1;
        if question.get_str("planSummary").unwrap().contains("COLLSCAN") {
            scans.push(question);
        }
    }
    assert!(scans.is_empty(), "{} scans, such as {}", scans.len(), scans[0]);
    assert!(questions > 200, "only {questions} questions were seen");
}
