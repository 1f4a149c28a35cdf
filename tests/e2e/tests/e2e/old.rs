//! An old database: a thousand good members in the shapes that mongoose wrote, and among them one for each odd thing that such a
//! database has. Every member logs in, and every page comes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

use std::collections::BTreeSet;

use bson::oid::ObjectId;
use bson::{Bson, DateTime, Document, doc};
use e2e::{Member, Stack, json, network, on_both_stacks};
use harness::{ODD_NAMES, odd_values};
use reqwest::StatusCode;

on_both_stacks! {
    one_odd_document_of_each_kind_harms_nobody,
}

const PASSWORD: &str = "Old-Passw0rd!";
const GOOD: usize = 1_000;
/// Of the good ones, those who log in and those who know Ada.
const SOME: usize = 20;

/// The fields of an odd member that hold the odd value.
const ODD_FIELDS: [&str; 8] =
    ["photoUrl", "age", "gender", "about", "skills", "emailPreferences", "premiumActivatedAt", "hobbies"];

fn at(millis: i64) -> DateTime {
    DateTime::from_millis(1_700_000_000_000 + millis)
}

/// A user as mongoose stored one.
fn user(id: ObjectId, name: &str, hash: &str) -> Document {
    doc! {
        "_id": id, "firstName": name, "lastName": "Old", "emailId": email(id), "password": hash, "age": 36, "gender": "female",
        "photoUrl": "https://example.com/a.png", "about": "Old", "skills": ["javascript", "css"], "createdAt": at(0),
        "updatedAt": at(0), "__v": 0,
    }
}

fn email(id: ObjectId) -> String {
    format!("{id}@example.com")
}

fn request(from: ObjectId, to: ObjectId, status: &str) -> Document {
    doc! { "_id": ObjectId::new(), "fromUserId": from, "toUserId": to, "status": status, "createdAt": at(0), "updatedAt": at(0), "__v": 0 }
}

/// The odd members: what is odd about each, and the document.
fn odd(hash: &str) -> Vec<(String, ObjectId, Document)> {
    let of_values = odd_values().into_iter().map(|(kind, value)| {
        let fields = ODD_FIELDS.map(|field| (field, value.clone()));
        (kind.to_owned(), fields.to_vec())
    });
    let of_names = ODD_NAMES.iter().map(|name| (format!("a field {name:?}"), vec![(*name, Bson::from("odd"))]));
    let of_names_at_all = ["firstName", "lastName", "membershipTier", "isPremium", "createdAt"]
        .into_iter()
        .flat_map(|field| {
            odd_values().into_iter().map(move |(kind, value)| (format!("{kind} as {field}"), vec![(field, value)]))
        })
        .step_by(7);
    of_values
        .chain(of_names)
        .chain(of_names_at_all)
        .map(|(what, fields)| {
            let id = ObjectId::new();
            let mut user = user(id, "Odd", hash);
            user.extend(fields.into_iter().map(|(field, value)| (field.to_owned(), value)));
            (what, id, user)
        })
        .collect()
}

/// A member who can see everybody, the odd ones, and some of the good ones.
struct Old {
    ada: ObjectId,
    odd: Vec<(String, ObjectId)>,
    good: Vec<ObjectId>,
}

impl Old {
    /// Puts the database there.
    async fn on(stack: &Stack) -> Self {
        let hash = bcrypt::hash_with_result(PASSWORD, 4).unwrap().format_for_version(bcrypt::Version::TwoB);
        let ada = ObjectId::new();
        let mut first = user(ada, "Ada", &hash);
        first.insert("membershipTier", "gold");
        let good: Vec<ObjectId> = (0..GOOD).map(|_| ObjectId::new()).collect();
        let odd = odd(&hash);
        let mut users = vec![first];
        // The odd ones are spread among the others.
        let every = GOOD / odd.len();
        for (number, id) in good.iter().enumerate() {
            users.push(user(*id, "Good", &hash));
            users.extend(
                (number % every == 0).then(|| odd.get(number / every)).flatten().map(|(.., user)| user.clone()),
            );
        }
        let known: BTreeSet<ObjectId> = users.iter().map(|user| user.get_object_id("_id").unwrap()).collect();
        users.extend(odd.iter().filter(|(_, id, _)| !known.contains(id)).map(|(.., user)| user.clone()));

        let (mut requests, mut messages) = (Vec::new(), Vec::new());
        for (number, (_, id, user)) in (0_i64..).zip(&odd) {
            // Half of them know Ada, the others want to.
            let mut request = request(*id, ada, if number % 2 == 0 { "accepted" } else { "interested" });
            let value = user.get("hobbies").or_else(|| user.get("about")).cloned().unwrap();
            request.insert("note", value.clone());
            requests.push(request);
            for (field, from, to) in [("text", *id, good[0]), ("deliveredAt", good[0], ada), ("note", ada, good[0])] {
                let mut message =
                    doc! { "_id": ObjectId::new(), "fromUserId": from, "toUserId": to, "text": "hi", "ts": at(number) };
                message.insert(field, value.clone());
                messages.push(message);
            }
        }
        requests.extend(good.iter().take(SOME).map(|id| request(ada, *id, "accepted")));
        network::adopt(stack, "host", vec![("users", users), ("connectionrequests", requests), ("messages", messages)])
            .await;
        Self { ada, odd: odd.into_iter().map(|(what, id, _)| (what, id)).collect(), good }
    }
}

fn ids(page: &e2e::Value, place: &str) -> Vec<String> {
    let rows = page["data"].as_array().unwrap_or_else(|| panic!("{page}"));
    rows.iter().filter_map(|row| row.pointer(place)?.as_str().map(str::to_owned)).collect()
}

/// All members of a feed, page by page.
async fn feed(member: &Member, query: &str) -> Vec<String> {
    let mut all = Vec::new();
    for page in 1..=200 {
        let answer = member.read(&format!("/feed?{query}&page={page}")).await;
        all.extend(ids(&answer, "/_id"));
        if answer["recommendations"]["hasMore"] != true {
            break;
        }
    }
    all
}

async fn one_odd_document_of_each_kind_harms_nobody(stack: Stack) {
    let old = Old::on(&stack).await;
    let server = stack.start("host").await;
    let log_in = async |what: &str, id: ObjectId| {
        let entered = Member::try_log_in(&server.url, &email(id), PASSWORD).await;
        entered.unwrap_or_else(|status| panic!("{what}: the log-in is {status:?}"))
    };
    for (what, id) in &old.odd {
        let member = log_in(what, *id).await;
        assert_eq!(member.id, id.to_hex(), "{what}");
        for path in [
            "/profile/view",
            "/feed",
            "/feed?ml=true",
            "/user/connections",
            "/user/requests/received",
            "/user/requests/sent",
            "/email-preferences",
            "/notifications",
            "/analytics/summary",
            "/sessions",
            "/account/export",
        ] {
            let answer = member.get(path).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "{what}: {path}");
        }
        for (path, body) in [
            ("/profile/edit", json!({ "gender": "others" })),
            ("/email-preferences", json!({ "marketingEmails": false })),
        ] {
            let answer = member.patch(path).json(&body).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "{what}: {path}");
        }
    }
    for id in old.good.iter().take(SOME) {
        log_in("a good member", *id).await;
    }

    // What all of them are on comes whole.
    let ada = log_in("Ada", old.ada).await;
    let known: BTreeSet<String> =
        old.odd.iter().map(|(_, id)| id.to_hex()).chain(old.good.iter().take(SOME).map(|id| id.to_hex())).collect();
    let strangers: BTreeSet<String> = old.good.iter().skip(SOME).map(|id| id.to_hex()).collect();
    let seen = feed(&ada, "limit=200").await;
    assert_eq!(seen.iter().cloned().collect::<BTreeSet<_>>(), strangers, "everybody with whom there is no request");
    assert_eq!(seen.len(), strangers.len(), "each once");
    let stranger = log_in("a good member", old.good[SOME]).await;
    let seen: BTreeSet<String> = feed(&stranger, "limit=10").await.into_iter().collect();
    assert!(seen.is_superset(&known), "also the odd ones: {:?}", known.difference(&seen).collect::<Vec<_>>());
    let connections = ids(&ada.read("/user/connections").await, "/_id");
    let received = ids(&ada.read("/user/requests/received").await, "/fromUserId/_id");
    let both: BTreeSet<String> = connections.iter().chain(&received).cloned().collect();
    assert_eq!(both, known);
    for (with, count) in [(old.good[0], 2 * old.odd.len()), (old.odd[0].1, 0)] {
        let (mut messages, mut before) = (0, String::new());
        loop {
            let page = ada.read(&format!("/chat/{with}/history?limit=20{before}")).await;
            let page = ids(&page, "/_id");
            messages += page.len();
            let Some(oldest) = page.first() else { break };
            before = format!("&before={oldest}");
        }
        assert_eq!(messages, count, "with {with}");
    }
    // Whatever is told of the log-ins reads the same documents.
    server.settled().await;
}
