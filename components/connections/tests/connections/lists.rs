//! The lists: `GET /user/requests/received`, `GET /user/requests/sent` and `GET /user/connections`.

use harness::{App, DateTime, ObjectId, Value, doc, json};

use crate::member::*;

#[test]
fn the_received_list_has_what_waits_newest_first_with_its_sender() {
    let app = app();
    let (ada, bob) = pair(&app);
    let (cy, eve) = (member(&app, "Cy"), member(&app, "Eve"));
    let first = ada.interested(&app, &bob);
    app.clock().advance(1_000);
    let second = cy.interested(&app, &bob);
    assert_eq!(eve.send(&app, "ignore", bob.id).status, 200);
    bob.interested(&app, &member(&app, "Dan"));
    let sender = |member: &Member, name: &str| json!({ "_id": member.id.to_hex(), "firstName": name, "lastName": "Test", "photoUrl": format!("https://example.com/{name}.png") });
    let request = |id: &str, from: Value, at: &str| json!({ "_id": id, "fromUserId": from, "toUserId": bob.id.to_hex(), "status": "interested", "createdAt": at, "updatedAt": at });
    let expected = json!({
        "message": "Data fetched successfully",
        "data": [request(&second, sender(&cy, "Cy"), "2026-01-15T12:00:01.000Z"), request(&first, sender(&ada, "Ada"), START)],
    });
    assert_eq!(bob.list(&app, "/user/requests/received"), expected);
    assert_eq!(bob.review(&app, "accepted", &first).status, 200);
    assert_eq!(bob.review(&app, "rejected", &second).status, 200);
    assert_eq!(bob.list(&app, "/user/requests/received")["data"], json!([]), "what is answered waits no more");
}

#[test]
fn the_sent_list_has_what_waits_for_others_newest_first_with_whom_it_is_to() {
    let app = app();
    let (ada, bob) = pair(&app);
    let (cy, eve) = (member(&app, "Cy"), member(&app, "Eve"));
    let first = ada.interested(&app, &bob);
    app.clock().advance(1_000);
    let second = ada.interested(&app, &cy);
    assert_eq!(ada.send(&app, "ignore", eve.id).status, 200);
    member(&app, "Dan").interested(&app, &ada);
    let to = |member: &Member, name: &str| json!({ "_id": member.id.to_hex(), "firstName": name, "lastName": "Test", "photoUrl": format!("https://example.com/{name}.png") });
    let request = |id: &str, to: Value, at: &str| json!({ "_id": id, "fromUserId": ada.id.to_hex(), "toUserId": to, "status": "interested", "createdAt": at, "updatedAt": at });
    let (new, old) =
        (request(&second, to(&cy, "Cy"), "2026-01-15T12:00:01.000Z"), request(&first, to(&bob, "Bob"), START));
    let message = "Data fetched successfully";
    assert_eq!(ada.list(&app, "/user/requests/sent"), json!({ "message": message, "data": [new, old] }));
    let page = json!({ "message": message, "data": [old], "page": 2, "hasMore": false });
    assert_eq!(ada.list(&app, "/user/requests/sent?limit=1&page=2"), page);
    assert_eq!(bob.list(&app, "/user/requests/sent")["data"], json!([]), "what came is in the other list");
    assert_eq!(bob.review(&app, "accepted", &first).status, 200);
    assert_eq!(cy.review(&app, "rejected", &second).status, 200);
    assert_eq!(ada.list(&app, "/user/requests/sent")["data"], json!([]), "what is answered waits no more");
}

#[test]
fn the_sent_list_leaves_out_who_is_gone() {
    let app = app();
    let (ada, bob) = pair(&app);
    old_request(&app, ada.id, ObjectId::new(), "interested", MILLIS);
    let id = old_request(&app, ada.id, bob.id, "interested", MILLIS);
    let data = ada.list(&app, "/user/requests/sent")["data"].clone();
    assert_eq!(data.as_array().unwrap().len(), 1, "{data}");
    assert_eq!((&data[0]["_id"], data[0].get("__v"), data[0].get("pair")), (&json!(id.to_hex()), None, None));
}

#[test]
fn nobody_gets_empty_lists() {
    let app = app();
    let ada = member(&app, "Ada");
    assert_eq!(
        ada.list(&app, "/user/requests/received"),
        json!({ "message": "Data fetched successfully", "data": [] })
    );
    assert_eq!(
        ada.list(&app, "/user/connections"),
        json!({ "message": "Connections fetched successfully", "data": [] })
    );
}

#[test]
fn the_received_list_leaves_out_who_is_gone_and_shows_the_old() {
    let app = app();
    let (ada, bob) = pair(&app);
    old_request(&app, ObjectId::new(), bob.id, "interested", MILLIS);
    let id = old_request(&app, ada.id, bob.id, "interested", MILLIS);
    let data = bob.list(&app, "/user/requests/received")["data"].clone();
    assert_eq!(data.as_array().unwrap().len(), 1, "{data}");
    assert_eq!((&data[0]["_id"], data[0].get("__v"), data[0].get("pair")), (&json!(id.to_hex()), None, None));
}

#[test]
fn connections_are_safe_users_of_both_directions_latest_first() {
    let app = app();
    let (ada, bob) = pair(&app);
    let (cy, eve) = (of_tier(&app, "Cy", "gold"), member(&app, "Eve"));
    let mine = ada.interested(&app, &bob);
    let theirs = cy.interested(&app, &ada);
    let no = eve.interested(&app, &ada);
    ada.interested(&app, &member(&app, "Waiting"));
    assert_eq!(ada.list(&app, "/user/connections")["data"], json!([]), "nobody has answered yet");
    assert_eq!(bob.review(&app, "accepted", &mine).status, 200);
    app.clock().advance(1_000);
    assert_eq!(ada.respond(&app, &theirs, &json!({ "action": "accept" })).status, 200);
    assert_eq!(ada.review(&app, "rejected", &no).status, 200);
    let safe = |member: &Member, name: &str, tier: &str| {
        json!({
            "_id": member.id.to_hex(), "firstName": name, "lastName": "Test", "photoUrl": format!("https://example.com/{name}.png"),
            "about": "about", "skills": ["rust"], "isPremium": tier != "free", "membershipTier": tier,
        })
    };
    let expected = json!({ "message": "Connections fetched successfully", "data": [safe(&cy, "Cy", "gold"), safe(&bob, "Bob", "free")] });
    assert_eq!(ada.list(&app, "/user/connections"), expected);
    assert_eq!(bob.list(&app, "/user/connections")["data"], json!([safe(&ada, "Ada", "free")]));
    assert_eq!(eve.list(&app, "/user/connections")["data"], json!([]));
}

#[test]
fn connections_leave_out_who_is_gone_and_name_nobody_twice() {
    let app = app();
    let (ada, bob) = pair(&app);
    old_request(&app, ada.id, bob.id, "accepted", MILLIS);
    old_request(&app, bob.id, ada.id, "accepted", MILLIS - 1);
    old_request(&app, ObjectId::new(), ada.id, "accepted", MILLIS);
    let data = ada.list(&app, "/user/connections")["data"].clone();
    let ids: Vec<&str> = data.as_array().unwrap().iter().filter_map(|user| user["_id"].as_str()).collect();
    assert_eq!(ids, [bob.id.to_hex()]);
}

/// An app in which Ada has `count` requests of a status, whose dates go up and down, from and to others.
fn of_many(count: usize, status: &str, both_ways: bool) -> (App, Member, Vec<ObjectId>) {
    let app = app();
    let ada = member(&app, "Ada");
    let others: Vec<ObjectId> = (0..count).map(|_| ObjectId::new()).collect();
    app.insert_all("users", others.iter().map(|id| doc! { "_id": id, "firstName": "Bob", "emailId": id.to_hex() }));
    // (date, `_id`, who): dates come in groups of equal ones.
    let mut rows: Vec<(i64, ObjectId, ObjectId)> =
        others.iter().zip(0..).map(|(other, n)| (MILLIS + n * 7 % 40, ObjectId::new(), *other)).collect();
    app.insert_all("connectionrequests", rows.iter().zip(0..).map(|((date, id, other), n)| {
        let (from, to) = if both_ways && n % 2 == 0 { (ada.id, *other) } else { (*other, ada.id) };
        let date = DateTime::from_millis(*date);
        doc! { "_id": id, "fromUserId": from, "toUserId": to, "status": status, "createdAt": date, "updatedAt": date }
    }));
    rows.sort_unstable_by_key(|(date, id, _)| std::cmp::Reverse((*date, *id)));
    (app, ada, rows.into_iter().map(|(_, _, other)| other).collect())
}

/// What stands at a place of each row.
fn column<'a>(list: &'a Value, place: &str) -> Vec<&'a str> {
    let rows = list.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    rows.iter().filter_map(|row| row.pointer(place)?.as_str()).collect()
}

#[test]
fn the_received_list_is_complete_and_in_order_past_a_thousand() {
    for count in [1_000, 1_001, 2_345] {
        let (app, ada, senders) = of_many(count, "interested", false);
        let list = ada.list(&app, "/user/requests/received");
        assert_eq!(column(&list, "/fromUserId/_id"), senders.iter().map(|id| id.to_hex()).collect::<Vec<_>>());
    }
}

#[test]
fn the_connections_are_complete_and_in_order_past_a_thousand() {
    for count in [1_000, 1_001, 2_345] {
        let (app, ada, others) = of_many(count, "accepted", true);
        let list = ada.list(&app, "/user/connections");
        assert_eq!(column(&list, "/_id"), others.iter().map(|id| id.to_hex()).collect::<Vec<_>>());
    }
}

/// The ids of the requests in a list.
fn ids(list: &Value) -> Vec<String> {
    column(list, "/_id").into_iter().map(str::to_owned).collect()
}

#[test]
fn the_received_list_is_read_page_by_page() {
    let (app, ada, _) = of_many(230, "interested", false);
    let whole = ids(&ada.list(&app, "/user/requests/received"));
    let page = |query: &str| ada.list(&app, &format!("/user/requests/received?{query}"));
    for (query, rows, number, more) in [
        ("limit=100", 0..100, 1, true),
        ("limit=100&page=2", 100..200, 2, true),
        ("limit=100&page=3", 200..230, 3, false),
        ("limit=100&page=4", 230..whole.len(), 4, false),
        ("limit=115&page=2", 115..230, 2, false),
        ("page=1", 0..50, 1, true),
        ("page=5", 200..230, 5, false),
        ("limit=1000", 0..200, 1, true),
        ("limit=1&page=007", 6..7, 7, true),
        ("page=1000&limit=99999999999999", 230..whole.len(), 1_000, false),
        ("page=&limit=7", 0..7, 1, true),
    ] {
        let answer = page(query);
        assert_eq!(ids(&answer), whole[rows], "{query}");
        assert_eq!((&answer["page"], &answer["hasMore"]), (&json!(number), &json!(more)), "{query}");
        assert_eq!(answer["message"], "Data fetched successfully");
    }
    for query in ["page=", "limit=", "page=&limit="] {
        let answer = page(query);
        assert_eq!((ids(&answer), answer.get("page"), answer.get("hasMore")), (whole.clone(), None, None), "{query}");
    }
    for query in ["page=0", "limit=0", "page=-1", "limit=x", "page=1001", "limit=1.5", "page=99999999999999"] {
        let reply = app.get(&format!("/user/requests/received?{query}")).token(&ada.token).send();
        assert_eq!(reply.status, 400, "{query}: {}", reply.text());
    }
}

/// Attack (52): ten thousand requests to one member, to break its list. Outcome: the list is cut, and read page by page.
#[test]
fn what_very_many_send_is_shown_up_to_the_newest_ten_thousand() {
    let app = app();
    let ada = member(&app, "Ada");
    let senders: Vec<Member> = (0..5).map(|_| member(&app, "Bob")).collect();
    let insert = |count: usize, from: i64| {
        app.insert_all("connectionrequests", (0..count).map(|n| {
            let at = DateTime::from_millis(from + i64::try_from(n).unwrap());
            let sender = senders[n % senders.len()].id;
            doc! { "_id": ObjectId::new(), "fromUserId": sender, "toUserId": ada.id, "status": "interested", "createdAt": at, "updatedAt": at }
        }));
    };
    insert(10_000, MILLIS);
    let list = ada.list(&app, "/user/requests/received");
    assert_eq!((ids(&list).len(), list.get("hasMore")), (10_000, None));
    let first = ids(&list).pop();
    insert(300, MILLIS + 20_000);
    let list = ada.list(&app, "/user/requests/received");
    assert_eq!((ids(&list).len(), list.get("hasMore")), (10_000, Some(&json!(true))));
    assert_eq!(list["data"][0]["createdAt"], "2026-01-15T12:00:20.299Z", "the newest");
    assert_eq!(list["data"][9_999]["createdAt"], "2026-01-15T12:00:00.300Z");
    let last = ada.list(&app, "/user/requests/received?limit=100&page=103");
    assert_eq!((ids(&last).pop(), &last["hasMore"]), (first, &json!(false)), "what is older is on a page");
}

/// Once they were asked for, connections ask the documents for nothing that did not change; and what changes is seen at once,
/// whoever changed it.
#[test]
fn connections_that_did_not_change_cost_no_question() {
    let app = App::with(&["connections", "profile"]);
    let (ada, bob) = pair(&app);
    let (cy, dan) = (member(&app, "Cy"), member(&app, "Dan"));
    for other in [&bob, &cy] {
        let id = ada.interested(&app, other);
        assert_eq!(other.review(&app, "accepted", &id).status, 200);
    }
    let names = |member: &Member| -> Vec<String> {
        let list = member.list(&app, "/user/connections");
        let names = list["data"].as_array().unwrap().iter().map(|user| user["firstName"].as_str().unwrap().to_owned());
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        names
    };
    let all = || [&ada, &bob, &cy, &dan].map(names);
    let before = [vec!["Bob", "Cy"], vec!["Ada"], vec!["Ada"], vec![]].map(|names| names.join(","));
    assert_eq!(all().map(|names| names.join(",")), before);
    for _ in 0..3 {
        assert_eq!(app.questions(|| assert_eq!(all().map(|names| names.join(",")), before)), 0);
    }
    let edit = app.patch("/profile/edit").token(&bob.token).json(&json!({ "firstName": "Robert" })).send();
    assert_eq!(edit.status, 200, "{}", edit.text());
    assert_eq!(names(&ada), ["Cy", "Robert"]);
    let id = dan.interested(&app, &ada);
    assert_eq!(ada.review(&app, "accepted", &id).status, 200);
    let questions = app.questions(|| {
        assert_eq!(names(&ada), ["Cy", "Dan", "Robert"]);
        assert_eq!(names(&dan), ["Ada"]);
    });
    assert_eq!(questions, 3, "the list of each, and Dan's card, which nobody has seen yet");
    assert_eq!(app.questions(|| _ = all()), 0);
}
