//! A new account. One commit makes the user, its first session and the event, so that none is there without the others.

use devconnect_sdk::passwords;
use devconnect_sdk::prelude::*;
use model::body::Body;
use model::events::{Signup, USER_EVENTS};
use model::user::{self, NewUser};
use model::{email, password, profile};

pub(crate) fn sign_up(request: &Request) -> Result<Response, Error> {
    let form = Form::of(request)?;
    // Saves a hash; what decides between two at once is the unique index.
    if collection(user::COLLECTION).exists(doc! { "$or": [{ "emailId": &form.email }, { "emailKey": &form.email }] })? {
        return Err(taken());
    }
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
