//! The route as `GET /openapi.json` describes it.

use devconnect_sdk::openapi::{Answer, Description, Field, Named, Parameter, Schema};
use model::described::{DATE_OR_NULL, TEXT_OR_NULL};

const MESSAGE: Named = Named {
    name: "ChatMessage",
    about: "A message of a conversation",
    schema: Schema::Object(&[
        Field::Required("_id", Schema::Id),
        Field::Required("fromUserId", Schema::Id),
        Field::Required("toUserId", Schema::Id),
        Field::Optional("text", TEXT_OR_NULL),
        Field::Optional("ts", DATE_OR_NULL),
        Field::Optional("deliveredAt", DATE_OR_NULL),
        Field::Optional("readAt", DATE_OR_NULL),
    ]),
};

pub(crate) const HISTORY: Description = Description {
    summary: "The history of a conversation",
    about: "The newest messages, or those before `before`; oldest first.",
    parameters: &[
        Parameter::Path("targetUserId", Schema::Id, "The other member"),
        Parameter::Query("limit", Schema::IntegerFrom(1), "Messages of a page: 50, at most 200"),
        Parameter::Query("before", Schema::Id, "The `_id` of a message of the conversation"),
    ],
    answers: &[
        Answer::Json(
            200,
            Schema::Object(&[Field::Required("data", Schema::List(&Schema::Named(&MESSAGE)))]),
            "A page; empty when the two never wrote each other",
        ),
        Answer::Error(400, "`limit` is no number from 1, or `before` is no message of the conversation"),
        Answer::Error(404, "The id is none"),
    ],
    ..Description::NONE
};
