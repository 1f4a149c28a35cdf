//! The routes as `GET /openapi.json` describes them.

use devconnect_sdk::openapi::{Answer, Description, Field, Named, Parameter, Schema};
use model::described::{LIMITED, NEW_PASSWORD, NO_USER, OWN_USER};

const PASSWORD: Schema = Schema::About("The account's; 1,024 bytes at most", &Schema::TextOf(1, 1_024));
const DONE: Schema = Schema::Object(&[Field::Required("message", Schema::Text)]);
const SUCCESS: Schema = Schema::Object(&[Field::Required("success", Schema::Boolean)]);
const WRONG_PASSWORD: Answer =
    Answer::Error(400, "The password is wrong, or something in the body is; nothing was changed");
const GUESSED: Answer = Answer::Error(429, "Too many failed attempts, or too often");

pub(crate) const CHANGE_PASSWORD: Description = Description {
    summary: "Change the password",
    about: "All other sessions of the member end; the one in use stays.",
    body: Some(Schema::Closed(&[
        Field::Required("currentPassword", PASSWORD),
        Field::Required("newPassword", NEW_PASSWORD),
    ])),
    answers: &[Answer::Json(200, DONE, "It is changed"), WRONG_PASSWORD, NO_USER, GUESSED],
    ..Description::NONE
};

const SESSION: Named = Named {
    name: "Session",
    about: "A log-in that has not ended",
    schema: Schema::Object(&[
        Field::Required("id", Schema::Pattern("^[0-9a-f]{32}$")),
        Field::Required("createdAt", Schema::Date),
        Field::Required("expiresAt", Schema::Date),
        Field::Optional("current", Schema::About("Whether it is the one of this request", &Schema::Boolean)),
    ]),
};
const SESSION_LIST: Schema = Schema::ListOf(&Schema::Named(&SESSION), 1_000);

pub(crate) const SESSIONS: Description = Description {
    summary: "The member's sessions",
    about: "Newest first; of more than 1,000 the newest.",
    answers: &[Answer::Json(200, Schema::Object(&[Field::Required("data", SESSION_LIST)]), "All that live")],
    ..Description::NONE
};

pub(crate) const END_SESSION: Description = Description {
    summary: "End a session, or all others",
    about: "Its sockets are closed. `others` in the place of an id: all but the one in use.",
    parameters: &[Parameter::Path("id", Schema::Pattern("^([0-9a-f]{32}|others)$"), "Of the session")],
    answers: &[
        Answer::Json(200, SUCCESS, "It has ended"),
        Answer::Error(404, "The member has no such session"),
        LIMITED,
    ],
    ..Description::NONE
};

/// Documents as they are stored.
const STORED: Schema = Schema::List(&Schema::Object(&[]));

const EXPORTED: Named = Named {
    name: "Export",
    about: "All that is held of a member, or a part of it",
    schema: Schema::Object(&[
        Field::Required("exportedAt", Schema::Date),
        Field::Optional("profile", Schema::Named(&OWN_USER)),
        Field::Optional("sessions", SESSION_LIST),
        Field::Optional("mailSuggestions", STORED),
        Field::Optional("requestCounters", STORED),
        Field::Optional("activity", STORED),
        Field::Optional("payments", STORED),
        Field::Optional("requestsSent", STORED),
        Field::Optional("requestsReceived", STORED),
        Field::Optional("notifications", STORED),
        Field::Optional("messagesSent", STORED),
        Field::Optional("messagesReceived", STORED),
        Field::Optional("next", Schema::About("There when there is more; the next `cursor`", &Schema::Text)),
    ]),
};

pub(crate) const EXPORT: Description = Description {
    summary: "All that is held of the member",
    about: "An answer has at most 12 MiB. What does not fit is in further answers, from `next` on; a list that is broken off goes \
            on there.",
    parameters: &[Parameter::Query("cursor", Schema::Text, "The `next` of the answer before")],
    answers: &[
        Answer::Json(200, Schema::Named(&EXPORTED), "All of it, or a part"),
        Answer::Error(400, "`cursor` is no `next` of an export"),
        NO_USER,
        LIMITED,
    ],
    ..Description::NONE
};

pub(crate) const DELETE: Description = Description {
    summary: "Delete the account",
    about: "It is gone at once, all its sessions end, and its e-mail is free again. What else is held of the member is erased in \
            the minutes that follow.",
    body: Some(Schema::Closed(&[Field::Required("password", PASSWORD)])),
    answers: &[Answer::Json(200, DONE, "It is deleted"), WRONG_PASSWORD, NO_USER, GUESSED],
    ..Description::NONE
};
