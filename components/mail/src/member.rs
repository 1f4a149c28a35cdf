//! A member as mails see one: the stored document, whatever an event said of it. Who is gone, or does not want a kind
//! of mail, gets none. Documents of any age and shape are read; what can't be read there is not known.

use devconnect_sdk::event::Failure;
use devconnect_sdk::prelude::*;
use model::{preferences, user};

use crate::plain;

/// The most characters of a first or a last name in a mail; a profile of today has no more.
const LONGEST_NAME: usize = 50;
/// The most words of a name in a mail: more is a message.
const MOST_WORDS: usize = 4;
/// The most skills that are looked at; a profile of today has no more.
const MOST_SKILLS: usize = 50;
/// No id is less.
pub(crate) const LEAST: ObjectId = ObjectId::from_bytes([0; 12]);

/// A member.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: ObjectId,
    document: Document,
}

impl Member {
    /// What is read of somebody who may get a mail.
    pub(crate) fn fields() -> Document {
        doc! { "firstName": 1, "lastName": 1, "emailId": 1, "skills": 1, (preferences::FIELD): 1 }
    }

    /// Of a stored document; none when its id is not an ObjectId, as every member's is.
    pub(crate) fn of(document: Document) -> Option<Self> {
        Some(Self { id: document.get_oid("_id")?, document: user::cast(document) })
    }

    /// The member of this id; none when the account is gone.
    pub(crate) fn find(id: ObjectId) -> Result<Option<Self>, Failure> {
        let query = collection(user::COLLECTION).find(doc! { "_id": id }).project(Self::fields());
        Ok(query.first::<Document>()?.and_then(Self::of))
    }

    /// The member of this id, who wants this kind of mail.
    pub(crate) fn wanting(kind: &str, id: ObjectId) -> Result<Option<Self>, Failure> {
        Ok(Self::find(id)?.filter(|member| member.wants(kind)))
    }

    /// Whether the member wants this kind of mail; the kinds are those of [`preferences::KINDS`].
    pub(crate) fn wants(&self, kind: &str) -> bool {
        preferences::of(&self.document).get_bool(kind) == Some(true)
    }

    /// Where mails go; empty when it is not known.
    pub(crate) fn address(&self) -> &str {
        self.document.get_str("emailId").unwrap_or_default()
    }

    /// Empty when it is not known.
    pub(crate) fn first_name(&self) -> String {
        self.name("firstName")
    }

    /// First and last name.
    pub(crate) fn full_name(&self) -> String {
        match format!("{} {}", self.name("firstName"), self.name("lastName")).trim() {
            "" => "Somebody".to_owned(),
            name => name.to_owned(),
        }
    }

    /// As the member writes them.
    pub(crate) fn skills(&self) -> impl Iterator<Item = &str> {
        self.document.get_array("skills").unwrap_or_default().iter().filter_map(Bson::as_str).take(MOST_SKILLS)
    }

    fn name(&self, field: &str) -> String {
        plain::name(self.document.get_str(field).unwrap_or_default(), MOST_WORDS).chars().take(LONGEST_NAME).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(mut document: Document) -> Member {
        document.insert("_id", LEAST);
        Member::of(document).unwrap()
    }

    #[test]
    fn names_are_as_short_as_a_profile_has_them() {
        let ada = member(doc! { "firstName": " Ada ", "lastName": "L".repeat(80) });
        assert_eq!((ada.first_name(), ada.full_name()), ("Ada".to_owned(), format!("Ada {}", "L".repeat(50))));
        for odd in [doc! {}, doc! { "firstName": null, "lastName": [] }, doc! { "firstName": "  " }] {
            let odd = member(odd);
            assert_eq!((odd.first_name(), odd.full_name(), odd.address()), (String::new(), "Somebody".to_owned(), ""));
        }
        assert_eq!(member(doc! { "lastName": "Hopper" }).full_name(), "Hopper");
        assert_eq!(member(doc! { "lastName": 5 }).full_name(), "5", "as mongoose reads it");
    }

    #[test]
    fn a_name_is_no_message_and_no_link() {
        let eve =
            member(doc! { "firstName": "You won! Now go to https://evil.example/x", "lastName": "www.evil.example" });
        assert_eq!(
            (eve.first_name(), eve.full_name()),
            ("You won! Now go".into(), "You won! Now go www. evil. example".into())
        );
        assert_eq!(member(doc! { "firstName": "https://evil.example" }).first_name(), "");
    }

    #[test]
    fn a_choice_that_was_never_made_is_its_default() {
        let old = member(doc! {});
        assert!(old.wants("welcomeEmail") && old.wants("connectionRequests") && !old.wants("marketingEmails"));
        let broken = member(doc! { "emailPreferences": [{ "marketingEmails": true }] });
        assert!(!broken.wants("marketingEmails"));
    }

    #[test]
    fn who_has_no_id_is_no_member() {
        assert!(Member::of(doc! { "_id": "x", "firstName": "Ada" }).is_none());
    }
}
