//! The user document: what a new one looks like, and how one is shown to its owner and to others.
//! Older documents lack fields that came later; whoever looks at one sees the defaults there.

use devconnect_sdk::bson::{Bson, DateTime, Document, ObjectId};
use devconnect_sdk::doc;

use crate::cast::{self, Kind, Schema};
use crate::{email, preferences};

/// The collection.
pub const COLLECTION: &str = "users";
/// What others see of a user.
pub const SAFE_FIELDS: [&str; 10] =
    ["_id", "firstName", "lastName", "photoUrl", "age", "gender", "about", "skills", "isPremium", "membershipTier"];
/// The fields of a user and what each is; the e-mail preferences are in [`preferences`].
pub const SCHEMA: &Schema = &[
    ("firstName", Kind::Text),
    ("lastName", Kind::Text),
    ("emailId", Kind::Text),
    ("photoUrl", Kind::Text),
    ("age", Kind::Number),
    ("gender", Kind::Text),
    ("about", Kind::Text),
    ("skills", Kind::Texts),
    ("isPremium", Kind::Truth),
    ("membershipTier", Kind::Text),
    ("premiumActivatedAt", Kind::Date),
    ("createdAt", Kind::Date),
    ("updatedAt", Kind::Date),
];
/// How long the owner's view is cached, in seconds.
pub const CACHE_AGE: u32 = 1_800;
/// What not even the owner sees.
const HIDDEN_FIELDS: [&str; 3] = ["password", "emailKey", "__v"];

/// Somebody who signs up.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The id that the document gets.
    pub id: ObjectId,
    /// 1 to 50 characters.
    pub first_name: String,
    /// 1 to 50 characters.
    pub last_name: String,
    /// As [`crate::email::address`] makes it.
    pub email: String,
    /// Of the password; never the password.
    pub password_hash: String,
}

impl NewUser {
    /// The document to store.
    pub fn document(&self, now: DateTime) -> Document {
        doc! {
            "_id": self.id,
            "firstName": &self.first_name,
            "lastName": &self.last_name,
            "emailId": &self.email,
            "emailKey": &self.email,
            "password": &self.password_hash,
            "skills": [],
            "emailPreferences": preferences::defaults(),
            "isPremium": false,
            "membershipTier": "free",
            "createdAt": now,
            "updatedAt": now,
        }
    }
}

/// Where the owner's view is cached, as JSON. Each commit that changes the document makes it stale (`application.toml`).
pub fn cache_key(id: ObjectId) -> String {
    format!("user:{}", id.to_hex())
}

/// A stored user, each field as its kind: an old document may have anything there.
pub fn cast(user: Document) -> Document {
    cast::document(user, SCHEMA)
}

/// What a user sees of the own document: all of it but secrets and what only the database uses.
pub fn own(mut user: Document) -> Document {
    for field in HIDDEN_FIELDS {
        user.remove(field);
    }
    let preferences = preferences::of(&user);
    let mut user = cast(user);
    fill_defaults(&mut user);
    user.insert(preferences::FIELD, preferences);
    user
}

/// What others see of a user.
pub fn safe(user: &Document) -> Document {
    let shown: Document = SAFE_FIELDS
        .iter()
        .filter_map(|field| user.get(field).map(|value| ((*field).to_owned(), value.clone())))
        .collect();
    let mut shown = cast(shown);
    fill_defaults(&mut shown);
    shown
}

/// The filter of the accounts that may have this e-mail, as it was typed.
pub fn with_email(typed: &str) -> Document {
    let mut spellings = email::spellings(typed);
    // Old accounts may have it in upper case.
    let exact = typed.trim();
    if !spellings.iter().any(|known| known == exact) {
        spellings.push(exact.to_owned());
    }
    let tests = spellings.iter().flat_map(|email| [doc! { "emailId": email }, doc! { "emailKey": email }]);
    doc! { "$or": tests.collect::<Bson>() }
}

/// The projection to what others see.
pub fn safe_projection() -> Document {
    SAFE_FIELDS.iter().map(|field| ((*field).to_owned(), Bson::from(1))).collect()
}

fn fill_defaults(user: &mut Document) {
    let defaults = doc! { "skills": [], "isPremium": false, "membershipTier": "free" };
    for (field, value) in defaults {
        if matches!(user.get(&field), None | Some(Bson::Null)) {
            user.insert(field, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_user() -> Document {
        let user = NewUser {
            id: ObjectId::from_bytes([7; 12]),
            first_name: "Ada".into(),
            last_name: "Lovelace".into(),
            email: "ada@example.com".into(),
            password_hash: "$argon2id$…".into(),
        };
        user.document(DateTime::from_millis(0))
    }

    #[test]
    fn the_owner_never_sees_the_password() {
        let shown = own(new_user());
        assert!(HIDDEN_FIELDS.iter().all(|field| !shown.contains(field)));
        assert_eq!(shown.get_str("emailId"), Some("ada@example.com"));
        assert_eq!(shown.get_str("membershipTier"), Some("free"));
    }

    #[test]
    fn others_see_the_safe_fields_only() {
        let shown = safe(&new_user());
        assert!(shown.iter().all(|(field, _)| SAFE_FIELDS.contains(&field)));
        assert!(!shown.contains("photoUrl"));
    }

    #[test]
    fn each_field_is_shown_as_its_kind() {
        let old = doc! {
            "_id": 1, "firstName": 5, "age": "33", "skills": "rust", "isPremium": "true", "membershipTier": { "a": 1 },
            "createdAt": "2024-02-29T00:00:00.000Z", "updatedAt": 0, "about": ["a"], "hobby": 7,
        };
        let shown = own(old.clone());
        for (field, expected) in [
            ("firstName", Bson::from("5")),
            ("age", 33.into()),
            ("skills", vec!["rust"].into()),
            ("isPremium", true.into()),
            ("membershipTier", "free".into()),
            ("createdAt", DateTime::from_millis(1_709_164_800_000).into()),
            ("updatedAt", DateTime::from_millis(0).into()),
            ("hobby", 7.into()),
        ] {
            assert_eq!(shown.get(field), Some(&expected), "{field}");
        }
        assert!(!shown.contains("about"));
        assert_eq!(safe(&old).get("skills"), Some(&vec!["rust"].into()));
    }

    #[test]
    fn a_secret_that_is_there_twice_is_hidden_twice() {
        let twice = b"\x2a\0\0\0\x02password\0\x02\0\0\0a\0\x02password\0\x02\0\0\0b\0\x0a_\0\0";
        let mut bytes = twice.to_vec();
        let length = i32::try_from(bytes.len()).unwrap();
        bytes.splice(..4, length.to_le_bytes());
        let shown = own(Document::from_slice(&bytes).unwrap());
        assert!(!shown.contains("password") && shown.contains("_"), "{shown:?}");
    }

    #[test]
    fn an_old_document_shows_the_defaults() {
        let shown = own(doc! { "_id": 1, "firstName": "Bo", "password": "x", "__v": 0 });
        assert_eq!(shown.get_bool("isPremium"), Some(false));
        assert_eq!(shown.get_array("skills"), Some([].as_slice()));
        assert_eq!(shown.get_document("emailPreferences"), Some(&preferences::defaults()));
        assert!(!shown.contains("__v"));
    }
}
