//! Members and what they do, and what is stored and told of it.

use harness::{App, DateTime, Document, ObjectId, Published, Reply, Value, doc, json};

pub(crate) const START: &str = "2026-01-15T12:00:00.000Z";
pub(crate) const MILLIS: i64 = 1_768_478_400_000;
pub(crate) const TOPIC: &str = "connection-events";

/// A member and the own session.
pub(crate) struct Member {
    pub(crate) id: ObjectId,
    pub(crate) token: String,
}

pub(crate) fn app() -> App {
    App::with(&["connections"])
}

pub(crate) fn member(app: &App, first_name: &str) -> Member {
    of_tier(app, first_name, "free")
}

pub(crate) fn of_tier(app: &App, first_name: &str, tier: &str) -> Member {
    let id = ObjectId::new();
    let email = format!("{id}@example.com");
    app.insert(
        "users",
        doc! {
            "_id": id, "firstName": first_name, "lastName": "Test", "emailId": &email, "emailKey": &email, "password": "the hash",
            "photoUrl": format!("https://example.com/{first_name}.png"), "about": "about", "skills": ["rust"],
            "emailPreferences": { "marketingEmails": true }, "isPremium": tier != "free", "membershipTier": tier,
        },
    );
    Member { id, token: app.log_in(id) }
}

pub(crate) fn pair(app: &App) -> (Member, Member) {
    (member(app, "Ada"), member(app, "Bob"))
}

/// A request as the earlier database has it: without `pair`.
pub(crate) fn old_request(app: &App, from: ObjectId, to: ObjectId, status: &str, at: i64) -> ObjectId {
    let id = ObjectId::new();
    let at = DateTime::from_millis(at);
    app.insert(
        "connectionrequests",
        doc! { "_id": id, "fromUserId": from, "toUserId": to, "status": status, "createdAt": at, "updatedAt": at, "__v": 0 },
    );
    id
}

/// An app whose database had two users, and these requests between them, before the host started.
pub(crate) fn with_old(old: &[(ObjectId, ObjectId, &str)]) -> App {
    let mut setup = App::setup(&["connections"]);
    if let Some((one, other, _)) = old.first() {
        for (id, name) in [(one, "Ada"), (other, "Bob")] {
            setup = setup.document("users", doc! { "_id": id, "firstName": name, "emailId": id.to_hex() });
        }
    }
    for (from, to, status) in old {
        let at = DateTime::from_millis(MILLIS);
        let request = doc! { "_id": ObjectId::new(), "fromUserId": from, "toUserId": to, "status": *status, "createdAt": at, "updatedAt": at };
        setup = setup.document("connectionrequests", request);
    }
    setup.start()
}

pub(crate) fn requests(app: &App) -> Vec<Document> {
    app.find("connectionrequests", doc! {})
}

/// What the counters of all days say was used.
pub(crate) fn used(app: &App) -> Vec<i64> {
    let counters = app.find("requestcounters", doc! {});
    counters
        .iter()
        .filter_map(|counter| counter.get("used"))
        .filter_map(|used| used.as_i64().or_else(|| used.as_i32().map(i64::from)))
        .collect()
}

impl Member {
    pub(crate) fn send(&self, app: &App, status: &str, to: impl ToString) -> Reply {
        app.post(&format!("/request/send/{status}/{}", to.to_string())).token(&self.token).send()
    }

    pub(crate) fn interested(&self, app: &App, to: &Member) -> String {
        let reply = self.send(app, "interested", to.id);
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json().pointer("/data/_id").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    pub(crate) fn review(&self, app: &App, status: &str, request: &str) -> Reply {
        app.post(&format!("/request/review/{status}/{request}")).token(&self.token).send()
    }

    pub(crate) fn respond(&self, app: &App, request: &str, body: &Value) -> Reply {
        app.patch(&format!("/user/requests/{request}/respond")).token(&self.token).json(body).send()
    }

    pub(crate) fn list(&self, app: &App, path: &str) -> Value {
        let reply = app.get(path).token(&self.token).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }
}

pub(crate) fn assert_says(reply: &Reply, status: u16, message: &str) {
    assert_eq!((reply.status, reply.message().as_str()), (status, message));
}

pub(crate) fn statuses(replies: &[Reply]) -> Vec<u16> {
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    statuses
}

/// An event as the contract has it.
pub(crate) fn event(
    kind: &str,
    by: &Member,
    request: &str,
    from: &Member,
    to: &Member,
    status: &str,
    at: &str,
) -> Published {
    Published {
        kind: kind.to_owned(),
        key: from.id.to_hex(),
        value: json!({
            "eventType": kind, "userId": by.id.to_hex(), "timestamp": at,
            "data": { "requestId": request, "fromUserId": from.id.to_hex(), "toUserId": to.id.to_hex(), "status": status, "timestamp": at },
        }),
    }
}
