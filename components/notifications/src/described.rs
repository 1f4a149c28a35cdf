//! The routes as `GET /openapi.json` describes them.

use devconnect_sdk::openapi::{Answer, Description, Field, Named, Parameter, Schema};
use model::described::{DATE_OR_NULL, TEXT_OR_NULL};

const NOTIFICATION: Named = Named {
    name: "Notification",
    about: "What a member has to know",
    schema: Schema::Object(&[
        Field::Required("_id", Schema::Id),
        Field::Optional("type", TEXT_OR_NULL),
        Field::Optional("fromUserId", Schema::Id),
        Field::Optional("message", TEXT_OR_NULL),
        Field::Required("count", Schema::IntegerFrom(1)),
        Field::Optional("createdAt", DATE_OR_NULL),
        Field::Optional("readAt", DATE_OR_NULL),
    ]),
};

pub(crate) const LIST: Description = Description {
    summary: "The member's notifications",
    about: "Newest first.",
    parameters: &[
        Parameter::Query("limit", Schema::IntegerFrom(1), "Notifications of a page: 20, at most 100"),
        Parameter::Query("cursor", Schema::Text, "The `next` of the page before"),
    ],
    answers: &[
        Answer::Json(
            200,
            Schema::Object(&[
                Field::Required("data", Schema::List(&Schema::Named(&NOTIFICATION))),
                Field::Optional("next", Schema::About("There when there is a next page", &Schema::Text)),
            ]),
            "A page",
        ),
        Answer::Error(400, "`limit` is no number from 1, or `cursor` is no `next` of a page"),
    ],
    ..Description::NONE
};

pub(crate) const READ: Description = Description {
    summary: "Mark a notification as read",
    parameters: &[Parameter::Path("id", Schema::Id, "Which")],
    answers: &[
        Answer::Json(200, Schema::Object(&[Field::Required("success", Schema::Boolean)]), "It is read"),
        Answer::Error(403, "It is somebody else's"),
        Answer::Error(404, "There is no such notification"),
    ],
    ..Description::NONE
};
