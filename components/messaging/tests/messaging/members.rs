//! Members of the tests, and how they are connected.

use harness::{App, DateTime, ObjectId, doc};

/// A member.
pub(crate) struct Member {
    pub(crate) id: ObjectId,
    pub(crate) token: String,
}

impl Member {
    pub(crate) fn hex(&self) -> String {
        self.id.to_hex()
    }
}

pub(crate) fn member(app: &App, first_name: &str) -> Member {
    let id = ObjectId::new();
    let email = format!("{id}@example.com");
    let user = doc! { "_id": id, "firstName": first_name, "lastName": "Test", "emailId": &email, "emailKey": &email };
    app.insert("users", user);
    Member { id, token: app.log_in(id) }
}

/// A request between two, in this state.
pub(crate) fn connect(app: &App, from: ObjectId, to: ObjectId, status: &str) {
    let at = DateTime::from_millis(harness::START as i64);
    let pair = format!("{}:{}", from.min(to), from.max(to));
    app.insert(
        "connectionrequests",
        doc! { "_id": ObjectId::new(), "fromUserId": from, "toUserId": to, "status": status, "createdAt": at, "updatedAt": at, "pair": pair },
    );
}

/// Two who are connected.
pub(crate) fn pair(app: &App) -> (Member, Member) {
    let (ada, bob) = (member(app, "Ada"), member(app, "Bob"));
    connect(app, ada.id, bob.id, "accepted");
    (ada, bob)
}
