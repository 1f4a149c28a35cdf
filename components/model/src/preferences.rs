//! Which mails a user wants. A choice that was never made is its default.

use devconnect_sdk::bson::Document;

use crate::cast::Kind;

/// The field of the user document that holds the choices.
pub const FIELD: &str = "emailPreferences";

/// Each kind of mail, and whether somebody who never said gets it.
pub const KINDS: [(&str, bool); 4] =
    [("welcomeEmail", true), ("connectionRequests", true), ("loginSuggestions", true), ("marketingEmails", false)];

/// The choices of a new user.
pub fn defaults() -> Document {
    KINDS.iter().map(|(kind, wanted)| ((*kind).to_owned(), (*wanted).into())).collect()
}

/// The choices of a stored user, defaults included.
pub fn of(user: &Document) -> Document {
    let stored = user.get_document(FIELD);
    let choice = |kind: &str, default| {
        let chosen = stored.and_then(|stored| Kind::Truth.cast(stored.get(kind)?.clone())?.as_bool());
        chosen.unwrap_or(default)
    };
    KINDS.iter().map(|(kind, default)| ((*kind).to_owned(), choice(kind, *default).into())).collect()
}

/// The place of one choice in the user document.
pub fn path(kind: &str) -> String {
    format!("{FIELD}.{kind}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use devconnect_sdk::doc;

    #[test]
    fn what_was_never_chosen_is_the_default() {
        assert_eq!(of(&doc! {}), defaults());
        let user = doc! { "emailPreferences": { "welcomeEmail": false, "loginSuggestions": "no", "marketingEmails": "maybe" } };
        let expected = doc! { "welcomeEmail": false, "connectionRequests": true, "loginSuggestions": false, "marketingEmails": false };
        assert_eq!(of(&user), expected);
    }
}
