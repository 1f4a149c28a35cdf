//! The routes as `GET /openapi.json` describes them.

use devconnect_sdk::openapi::{Answer, Description, Field, Parameter, Schema};
use model::described::{BAD_REQUEST, EMAIL_PREFERENCES, LIMITED, NO_USER};

const CHOICES: Answer = Answer::Json(
    200,
    Schema::Object(&[
        Field::Required("success", Schema::Boolean),
        Field::Required("emailPreferences", Schema::Named(&EMAIL_PREFERENCES)),
    ]),
    "The choices as they are now",
);

pub(crate) const SHOW: Description =
    Description { summary: "Which mails the member wants", answers: &[CHOICES, NO_USER], ..Description::NONE };

pub(crate) const CHOOSE: Description = Description {
    summary: "Choose which mails are wanted",
    body: Some(Schema::Closed(&[
        Field::Optional("welcomeEmail", Schema::Boolean),
        Field::Optional("connectionRequests", Schema::Boolean),
        Field::Optional("loginSuggestions", Schema::Boolean),
        Field::Optional("marketingEmails", Schema::Boolean),
    ])),
    answers: &[CHOICES, BAD_REQUEST, NO_USER, LIMITED],
    ..Description::NONE
};

const LINK: &[Parameter] = &[
    Parameter::Path("userId", Schema::Id, "As in the link"),
    Parameter::RequiredQuery("token", Schema::Pattern("^[0-9a-fA-F]{64}$"), "As in the link"),
];
const NOT_VALID: Answer = Answer::Html(403, "The token is not that of this user; nothing was changed");

pub(crate) const ASK: Description = Description {
    summary: "The page behind the link in a mail; its button ends mails",
    parameters: LINK,
    answers: &[Answer::Html(200, "The page"), NOT_VALID],
    ..Description::NONE
};

pub(crate) const UNSUBSCRIBE: Description = Description {
    summary: "End mails: the button, or a mail program's own",
    parameters: LINK,
    answers: &[Answer::Html(200, "It worked"), NOT_VALID, Answer::Html(404, "There is no such user")],
    ..Description::NONE
};
