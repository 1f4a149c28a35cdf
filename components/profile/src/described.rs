//! The routes as `GET /openapi.json` describes them.

use devconnect_sdk::openapi::{Answer, Description, Field, Named, Parameter, Schema};
use model::described::{BAD_REQUEST, LIMITED, NAME, NO_USER, OWN_USER, SKILLS};

const EDIT_FORM: Named = Named {
    name: "ProfileEdit",
    about: "What is to be changed; a field that is not there stays as it is",
    schema: Schema::Closed(&[
        Field::Optional("firstName", NAME),
        Field::Optional("lastName", NAME),
        Field::Optional("emailId", Schema::Email),
        Field::Optional("photoUrl", Schema::About("An http or https URL", &Schema::TextOf(1, 2_048))),
        Field::Optional("gender", Schema::OneOf(&["male", "female", "others"])),
        Field::Optional("age", Schema::IntegerOf(18, 120)),
        Field::Optional("about", Schema::TextOf(0, 1_000)),
        Field::Optional("skills", SKILLS),
    ]),
};

const WHOLE_FORM: Named = Named {
    name: "ProfileForm",
    about: "All inputs of a form: an empty text in age, gender, photoUrl or about is not given, and age may be text",
    schema: Schema::Closed(&[
        Field::Optional("firstName", NAME),
        Field::Optional("lastName", NAME),
        Field::Optional("emailId", Schema::Email),
        Field::Optional("photoUrl", Schema::About("An http or https URL, or empty", &Schema::TextOf(0, 2_048))),
        Field::Optional("gender", Schema::About("male, female or others, or empty", &Schema::Text)),
        Field::Optional("age", Schema::AnyOf(&[Schema::IntegerOf(18, 120), Schema::Text])),
        Field::Optional("about", Schema::TextOf(0, 1_000)),
        Field::Optional("skills", SKILLS),
    ]),
};

const CHANGED: Answer = Answer::Json(
    200,
    Schema::Object(&[Field::Required("message", Schema::Text), Field::Required("data", Schema::Named(&OWN_USER))]),
    "The profile as it is now",
);

pub(crate) const VIEW: Description = Description {
    summary: "See the own profile",
    answers: &[Answer::Json(200, Schema::Named(&OWN_USER), "The profile"), NO_USER],
    ..Description::NONE
};

pub(crate) const EDIT: Description = Description {
    summary: "Change the own profile",
    about: "All fields are changed, or none.",
    body: Some(Schema::Named(&EDIT_FORM)),
    answers: &[CHANGED, BAD_REQUEST, NO_USER, LIMITED],
    ..Description::NONE
};

pub(crate) const EDIT_BY_FORM: Description = Description {
    summary: "Change the own profile by a form",
    about: "All fields are changed, or none.",
    body: Some(Schema::Named(&WHOLE_FORM)),
    parameters: &[Parameter::Path("userId", Schema::Id, "The own id")],
    answers: &[CHANGED, BAD_REQUEST, Answer::Error(403, "It is the profile of somebody else"), NO_USER, LIMITED],
};
