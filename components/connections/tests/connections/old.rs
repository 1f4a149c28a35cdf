//! Documents of an earlier database: whatever is in one, both lists come, with everybody else in them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use harness::{Bson, DateTime, ObjectId, Value, doc, json, odd_values};

use crate::member::*;

#[test]
fn one_odd_member_breaks_no_list() {
    let app = app();
    let ada = member(&app, "Ada");
    let at = DateTime::from_millis(MILLIS);
    let mut good = Vec::new();
    for (kind, value) in odd_values() {
        for status in ["accepted", "interested"] {
            // A good one beside each odd one, so that the odd ones come first, last and between them.
            let (odd, bob) = (ObjectId::new(), member(&app, "Bob"));
            app.insert("users", doc! { "_id": odd, "emailId": odd.to_hex(), "firstName": value.clone(), "photoUrl": value.clone(), "skills": value.clone(), "odd": value.clone() });
            for from in [odd, bob.id] {
                app.insert("connectionrequests", doc! {
                    "_id": ObjectId::new(), "fromUserId": from, "toUserId": ada.id, "status": status, "createdAt": at, "updatedAt": at,
                    "odd": value.clone(),
                });
            }
            good.push((kind, status, bob.id.to_hex(), odd.to_hex()));
        }
    }
    let ids = |path: &str, place: &str| -> Vec<String> {
        let list = ada.list(&app, path);
        let rows = list["data"].as_array().unwrap();
        rows.iter().filter_map(|row| row.pointer(place)?.as_str().map(str::to_owned)).collect()
    };
    let (connections, received) = (ids("/user/connections", "/_id"), ids("/user/requests/received", "/fromUserId/_id"));
    let page = ids("/user/requests/received?limit=200", "/fromUserId/_id");
    for (kind, status, bob, odd) in &good {
        for list in if *status == "accepted" { vec![&connections] } else { vec![&received, &page] } {
            assert!(list.contains(bob) && list.contains(odd), "{kind}: {status}");
        }
    }
}

#[test]
fn an_odd_request_is_shown_as_mongoose_cast_it() {
    let app = app();
    let (ada, bob) = pair(&app);
    app.insert("connectionrequests", doc! {
        "_id": ObjectId::new(), "fromUserId": bob.id.to_hex(), "toUserId": ada.id, "status": "interested", "createdAt": "2024-02-29",
        "updatedAt": 0,
    });
    let list = ada.list(&app, "/user/requests/received");
    let row = &list["data"][0];
    assert_eq!(
        (&row["fromUserId"]["firstName"], &row["createdAt"]),
        (&json!("Bob"), &json!("2024-02-29T00:00:00.000Z"))
    );
    assert_eq!(row["updatedAt"], "1970-01-01T00:00:00.000Z");
    let id = row["_id"].as_str().unwrap();
    let reply = ada.review(&app, "accepted", id);
    assert_eq!((reply.status, &reply.json()["data"]["status"]), (200, &json!("accepted")), "{}", reply.text());
    assert_eq!(bob.list(&app, "/user/connections")["data"].as_array().map(Vec::len), Some(0), "it names Bob by text");
    assert_eq!(ada.list(&app, "/user/connections")["data"][0]["_id"], bob.id.to_hex());
}

#[test]
fn an_odd_member_asks_and_is_asked() {
    let app = app();
    let (ada, _) = pair(&app);
    for (kind, value) in odd_values() {
        let id = ObjectId::new();
        let odd: Vec<Bson> = vec![value.clone()];
        app.insert(
            "users",
            doc! { "_id": id, "emailId": id.to_hex(), "firstName": value.clone(), "membershipTier": value, "odd": odd },
        );
        let asked = ada.send(&app, "ignore", id);
        assert_eq!(asked.status, 200, "{kind}: {}", asked.text());
        let odd = Member { id, token: app.log_in(id) };
        let asks = odd.send(&app, "interested", member(&app, "Bob").id);
        assert_eq!(
            (asks.status, asks.json().get("data").is_some_and(Value::is_object)),
            (200, true),
            "{kind}: {}",
            asks.text()
        );
    }
}
