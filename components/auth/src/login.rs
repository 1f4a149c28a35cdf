//! Logging in. Whatever is wrong, the answer has the same words, and an unknown e-mail costs the time of a wrong password.
//! The commit matches the very hash that was verified: a password that changes meanwhile opens no session.

use devconnect_sdk::passwords::{self, Verdict};
use devconnect_sdk::prelude::*;
use model::attempts::Attempts;
use model::client::Client;
use model::events::{Login, USER_EVENTS};
use model::rate::Rate;
use model::{email, password, user};
use serde_json::{Map, Value};

/// How often the password is verified again when the stored hash changed between the check and the commit.
const TRIES: u32 = 3;
/// Log-ins that succeed, of one account: each has a session, which is kept until it expires.
const LOG_INS: Rate = Rate {
    name: "logins",
    setting: "limits.logins",
    most: 100,
    seconds: 3_600,
    refusal: "Too many log-ins, please try again later",
};

pub(crate) fn log_in(request: &Request) -> Result<Response, Error> {
    let typed = Typed::of(request)?;
    let attempts = Attempts::of(&typed.key, &Client::of(request)?);
    attempts.check()?;
    for _ in 0..TRIES {
        let Some((found, verdict)) = verified(&typed)? else {
            attempts.failed();
            return Err(refused());
        };
        // Guesses that ran beside this one may have been too many: then no guess counts any more.
        attempts.check()?;
        LOG_INS.count(&found.id.to_hex())?;
        match opened(&found, verdict, &typed.password, request.client()) {
            Ok(()) => {
                attempts.succeeded();
                return Ok(Response::json(&user::own(found.document)));
            }
            Err(documents::Error::Unmet { write: 0 }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::Busy)
}

fn refused() -> Error {
    Error::bad_request("Invalid credentials")
}

/// What somebody typed.
struct Typed {
    email: String,
    key: String,
    password: String,
}

impl Typed {
    fn of(request: &Request) -> Result<Self, Error> {
        let body: Map<String, Value> = request.json()?;
        let text = |field: &str| body.get(field).and_then(Value::as_str).ok_or_else(refused);
        let (email, password) = (text("emailId")?.trim(), text("password")?);
        if email.is_empty() || password.is_empty() || password.len() > password::LONGEST {
            return Err(refused());
        }
        Ok(Self { email: email.into(), key: email::key(email), password: password.into() })
    }
}

/// A user as it was when the password was verified.
struct Found {
    id: ObjectId,
    hash: String,
    document: Document,
}

/// The user whose e-mail and password these are.
fn verified(typed: &Typed) -> Result<Option<(Found, Verdict)>, Error> {
    let found = named(typed)?;
    let verdict = passwords::verify(&typed.password, found.as_ref().map(|found| found.hash.as_str()))?;
    Ok(found.filter(|_| verdict != Verdict::Differs).map(|found| (found, verdict)))
}

/// Two old accounts may have e-mails that differ in case only; then the exact one is meant.
fn named(typed: &Typed) -> Result<Option<Found>, Error> {
    let filter = user::with_email(&typed.email);
    let found = collection(user::COLLECTION).find(filter).limit(5).raw()?;
    // A document that can't be read is left out, and does not keep others from logging in.
    let mut candidates: Vec<Document> =
        found.iter().filter_map(|user| Document::from_slice(user).ok()).map(user::cast).collect();
    let rank = |candidate: &Document| match candidate.get_str("emailId") {
        Some(email) if email == typed.email => 0,
        Some(email) if email == typed.key => 1,
        _ => 2,
    };
    candidates.sort_by_key(rank);
    Ok(candidates.into_iter().next().and_then(|document| {
        let (id, hash) = (document.get_oid("_id")?, document.get_str("password")?.to_owned());
        Some(Found { id, hash, document })
    }))
}

fn opened(found: &Found, verdict: Verdict, typed_password: &str, client: &str) -> Result<(), documents::Error> {
    let renewed = match verdict {
        // When the host is too busy to hash, another log-in will do it.
        Verdict::MatchesOutdated => passwords::hash(typed_password).ok(),
        _ => None,
    };
    let hash = renewed.as_deref().unwrap_or(&found.hash);
    let email = found.document.get_str("emailId").unwrap_or_default();
    Commit::new()
        .update(
            user::COLLECTION,
            doc! { "_id": found.id, "password": &found.hash },
            doc! { "$set": { "password": hash } },
        )
        .must_match()
        .open_session(found.id, &[("emailId", email)])
        .envelope(
            USER_EVENTS,
            &found.id.to_hex(),
            &Login { email_id: email, login_time: clock::now(), ip_address: client }.event(found.id),
        )
        .run()?;
    Ok(())
}
