//! A member as one is stored, and what one sends.

use harness::{App, DateTime, Document, ObjectId, Reply, Value, doc};

pub(crate) const START: &str = "2026-01-15T12:00:00.000Z";
const CREATED: i64 = 1_700_000_000_000;

/// A member as one is stored after signing up.
pub(crate) struct Member {
    pub(crate) id: ObjectId,
    pub(crate) token: String,
}

pub(crate) fn stored(id: ObjectId, first_name: &str, email: &str) -> Document {
    doc! {
        "_id": id,
        "firstName": first_name,
        "lastName": "Lovelace",
        "emailId": email,
        "emailKey": email,
        "password": "$argon2id$the-hash",
        "skills": ["math"],
        "emailPreferences": { "welcomeEmail": true, "connectionRequests": false, "loginSuggestions": true, "marketingEmails": true },
        "isPremium": true,
        "membershipTier": "silver",
        "createdAt": DateTime::from_millis(CREATED),
        "updatedAt": DateTime::from_millis(CREATED),
        "__v": 0,
    }
}

pub(crate) fn member(app: &App, first_name: &str, email: &str) -> Member {
    let id = ObjectId::new();
    app.insert("users", stored(id, first_name, email));
    Member { id, token: app.log_in(id) }
}

pub(crate) fn of_ada() -> (App, Member) {
    let app = App::with(&["profile"]);
    let ada = member(&app, "Ada", "ada@example.com");
    (app, ada)
}

pub(crate) fn document(app: &App, id: ObjectId) -> Document {
    let mut found = app.find("users", doc! { "_id": id });
    assert_eq!(found.len(), 1);
    found.remove(0)
}

impl Member {
    pub(crate) fn edit(&self, app: &App, body: &Value) -> Reply {
        app.patch("/profile/edit").token(&self.token).json(body).send()
    }

    pub(crate) fn post_form(&self, app: &App, body: &Value) -> Reply {
        app.patch(&format!("/user/{}", self.id)).token(&self.token).json(body).send()
    }
}

/// Refused with 400 by words that begin with `words`, and nothing is changed.
pub(crate) fn assert_refused(app: &App, ada: &Member, before: &Document, body: &Value, words: &str, reply: &Reply) {
    assert_eq!(reply.status, 400, "{body}: {}", reply.text());
    assert!(reply.message().contains(words), "{body}: {:?} has no {words:?}", reply.message());
    assert_eq!(&document(app, ada.id), before, "{body}");
}
