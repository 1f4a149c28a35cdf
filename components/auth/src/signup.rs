//! A new account. One commit makes the user, its first session and the event, so that none is there without the others.
//! The e-mail address is not verified: limits keep strangers from finding out who has an account, and from having mails sent to
//! other people.

use devconnect_sdk::passwords;
use devconnect_sdk::prelude::*;
use model::attempts::{Attempts, hex};
use model::body::Body;
use model::client::Client;
use model::events::{Signup, USER_EVENTS};
use model::rate::Rate;
use model::user::{self, NewUser};
use model::{email, password, profile};

/// Sign-ups from one address, those of taken e-mails too: each says whether there is an account.
const FROM_ADDRESS: Rate = Rate {
    name: "signups-from",
    setting: "limits.signups-per-address",
    most: 40,
    seconds: 3_600,
    refusal: "Too many sign-ups from your address, please try again later",
};
/// New accounts whose e-mails lead to one mailbox: each has mails sent there.
const TO_RECIPIENT: Rate = Rate {
    name: "signups-to",
    setting: "limits.signups-per-recipient",
    most: 5,
    seconds: 86_400,
    refusal: "Too many sign-ups for this e-mail address, please try again later",
};
/// Sign-ups for one mailbox that are under way. One that breaks off with its host counts until its window ends, and not for a
/// day: whoever tries again is let in.
const UNDER_WAY: Rate = Rate { name: "signups-trying", most: 5, seconds: 30, ..TO_RECIPIENT };
/// Bytes of a mailbox that go into a key, as twice as many digits.
const MAILBOX_BYTES: usize = 200;

pub(crate) fn sign_up(request: &Request) -> Result<Response, Error> {
    let form = Form::of(request)?;
    let client = Client::of(request)?;
    if let Some(address) = client.limited() {
        FROM_ADDRESS.count(address)?;
    }
    // Saves a hash; what decides between two at once is the unique index.
    if collection(user::COLLECTION).exists(user::with_email(&form.email))? {
        return Err(taken());
    }
    let mailbox = email::mailbox(&form.email);
    let mailbox = hex(mailbox.as_bytes().iter().take(MAILBOX_BYTES));
    let trying = UNDER_WAY.count(&mailbox)?;
    let attempts = Attempts::of(&email::key(&form.email), &client);
    let made = TO_RECIPIENT.allows(&mailbox, trying.number()).and_then(|()| make(form));
    if made.is_ok() {
        attempts.remember();
        TO_RECIPIENT.add(&mailbox);
    }
    trying.give_back();
    made
}

fn make(form: Form) -> Result<Response, Error> {
    let now = clock::now();
    let new = NewUser {
        id: ObjectId::new(),
        password_hash: passwords::hash(&form.password)?,
        first_name: form.first_name,
        last_name: form.last_name,
        email: form.email,
    };
    let document = new.document(now);
    let event =
        Signup { first_name: &new.first_name, last_name: &new.last_name, email_id: &new.email, signup_time: now }
            .event(new.id);
    let written = Commit::new()
        .insert(user::COLLECTION, &document)
        .open_session(new.id, &[("emailId", &new.email)])
        .envelope(USER_EVENTS, &new.id.to_hex(), &event)
        .run();
    match written {
        Ok(_) => Ok(Response::json(&doc! { "message": "User added successfully", "data": user::own(document) })),
        Err(documents::Error::Duplicate { write: 0, .. }) => Err(taken()),
        Err(error) => Err(error.into()),
    }
}

fn taken() -> Error {
    Error::bad_request("An account with this emailId already exists")
}

struct Form {
    first_name: String,
    last_name: String,
    email: String,
    password: String,
}

impl Form {
    fn of(request: &Request) -> Result<Self, Error> {
        let mut body = Body::of(request)?;
        let first_name = body.required("firstName", profile::name);
        let last_name = body.required("lastName", profile::name);
        let email = body.required("emailId", email::address);
        let password = body.required("password", password::strong);
        body.finish()?;
        match (first_name, last_name, email, password) {
            (Some(first_name), Some(last_name), Some(email), Some(password)) => {
                Ok(Self { first_name, last_name, email, password })
            }
            _ => Err(Error::internal("a field of the sign-up is missing and nobody said so")),
        }
    }
}
