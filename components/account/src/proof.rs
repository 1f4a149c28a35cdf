//! The password, asked for again: a session alone, which may have been left open or stolen, neither changes it nor deletes the
//! account. Guesses are slowed as those of log-ins are, by the same counters.

use devconnect_sdk::passwords::{self, Verdict};
use devconnect_sdk::prelude::*;
use model::attempts::Attempts;
use model::client::Client;
use model::{email, password, text, user};
use serde_json::Value;

/// How often the password is verified again when the stored hash changed between the check and the commit.
const TRIES: u32 = 3;

/// A member who has shown the password.
pub(crate) struct Proven {
    pub(crate) id: ObjectId,
    /// The stored hash that the password was verified against. A commit that matches it holds for no later password.
    pub(crate) hash: String,
}

/// Does something for the caller, who has typed the password of the account; none: the stored hash is another one by now, so the
/// password is verified once more. Answers what was done, and the counters of the attempt.
pub(crate) fn proven<T>(
    request: &Request,
    typed: &str,
    mut act: impl FnMut(&Proven) -> Result<Option<T>, Error>,
) -> Result<(T, Attempts), Error> {
    let (me, client) = (request.user_id()?, Client::of(request)?);
    for _ in 0..TRIES {
        let member: Option<Document> = collection(user::COLLECTION)
            .find(doc! { "_id": me })
            .project(doc! { "emailId": 1, "password": 1 })
            .first()?;
        let member = member.map(user::cast).ok_or_else(missing)?;
        let attempts = attempts(me, &member, &client);
        attempts.check()?;
        let hash = member.get_str("password");
        let verdict = passwords::verify(typed, hash)?;
        let Some(hash) = hash.filter(|_| verdict != Verdict::Differs) else {
            attempts.failed();
            return Err(Error::bad_request("The password is wrong"));
        };
        // Guesses that ran beside this one may have been too many: then no guess counts any more.
        attempts.check()?;
        if let Some(done) = act(&Proven { id: me, hash: hash.to_owned() })? {
            return Ok((done, attempts));
        }
    }
    Err(Error::Busy)
}

/// Those of a log-in to this account. One without an e-mail has its own all the same.
fn attempts(id: ObjectId, member: &Document, client: &Client) -> Attempts {
    let email = member.get_str("emailId").map(email::key).filter(|key| !key.is_empty());
    Attempts::of(&email.unwrap_or_else(|| id.to_hex()), client)
}

/// A password as somebody types it, whatever it is.
pub(crate) fn typed(value: &Value) -> Result<String, String> {
    let typed = text::any(value)?;
    if (1..=password::LONGEST).contains(&typed.len()) {
        Ok(typed.to_owned())
    } else {
        Err(format!("must have 1 to {} bytes", password::LONGEST))
    }
}

pub(crate) fn missing() -> Error {
    Error::not_found("User not found")
}
