//! The routes as `GET /openapi.json` describes them.

use devconnect_sdk::openapi::{Answer, Description, Field, Named, Schema};
use model::described::{BAD_REQUEST, LIMITED, NAME, NEW_PASSWORD, OWN_USER};

const SIGN_UP_FORM: Named = Named {
    name: "SignUp",
    about: "Somebody who is new",
    schema: Schema::Closed(&[
        Field::Required("firstName", NAME),
        Field::Required("lastName", NAME),
        Field::Required("emailId", Schema::Email),
        Field::Required("password", NEW_PASSWORD),
    ]),
};

pub(crate) const SIGN_UP: Description = Description {
    summary: "Sign up",
    about: "Makes an account and logs in: the answer sets the session's cookie.",
    body: Some(Schema::Named(&SIGN_UP_FORM)),
    answers: &[
        Answer::Json(
            200,
            Schema::Object(&[
                Field::Required("message", Schema::Text),
                Field::Required("data", Schema::Named(&OWN_USER)),
            ]),
            "The account is there",
        ),
        BAD_REQUEST,
        LIMITED,
    ],
    ..Description::NONE
};

pub(crate) const LOG_IN: Description = Description {
    summary: "Log in",
    about: "The answer sets the session's cookie.",
    body: Some(Schema::Object(&[Field::Required("emailId", Schema::Text), Field::Required("password", Schema::Text)])),
    answers: &[
        Answer::Json(200, Schema::Named(&OWN_USER), "The member is logged in"),
        Answer::Error(400, "`Invalid credentials`, or no JSON object"),
        Answer::Error(429, "Too many failed attempts, or too many sessions"),
    ],
    ..Description::NONE
};

pub(crate) const LOG_OUT: Description = Description {
    summary: "Log out",
    about: "The session ends on every host at once, and the answer clears the cookie.",
    answers: &[Answer::Text(200, "`Logout successfull`")],
    ..Description::NONE
};
