//! The routes as `GET /openapi.json` describes them.

use devconnect_sdk::openapi::{Answer, Description, Field, Named, Parameter, Schema};
use model::described::{BAD_REQUEST, DATE_OR_NULL, LIMITED, NO_USER, SAFE_USER, TEXT_OR_NULL, TIER};

const STATUS: Schema = Schema::OneOf(&["ignore", "interested", "accepted", "rejected"]);

const REQUEST: Named = Named {
    name: "ConnectionRequest",
    about: "A connection request",
    schema: Schema::Object(&[
        Field::Required("_id", Schema::Id),
        Field::Required("fromUserId", Schema::Id),
        Field::Required("toUserId", Schema::Id),
        Field::Required("status", STATUS),
        Field::Optional("createdAt", DATE_OR_NULL),
        Field::Optional("updatedAt", DATE_OR_NULL),
    ]),
};

/// What a list of requests shows of the other one.
const OTHER: Schema = Schema::Object(&[
    Field::Required("_id", Schema::Id),
    Field::Optional("firstName", TEXT_OR_NULL),
    Field::Optional("lastName", TEXT_OR_NULL),
    Field::Optional("photoUrl", TEXT_OR_NULL),
]);

const RECEIVED_REQUEST: Named = Named {
    name: "ReceivedRequest",
    about: "A connection request that waits for an answer, with its sender",
    schema: Schema::Object(&[
        Field::Required("_id", Schema::Id),
        Field::Required("fromUserId", OTHER),
        Field::Required("toUserId", Schema::Id),
        Field::Required("status", STATUS),
        Field::Optional("createdAt", DATE_OR_NULL),
        Field::Optional("updatedAt", DATE_OR_NULL),
    ]),
};

const SENT_REQUEST: Named = Named {
    name: "SentRequest",
    about: "A connection request that waits for the answer of whom it is to",
    schema: Schema::Object(&[
        Field::Required("_id", Schema::Id),
        Field::Required("fromUserId", Schema::Id),
        Field::Required("toUserId", OTHER),
        Field::Required("status", STATUS),
        Field::Optional("createdAt", DATE_OR_NULL),
        Field::Optional("updatedAt", DATE_OR_NULL),
    ]),
};

const DONE: Answer = Answer::Json(
    200,
    Schema::Object(&[Field::Required("message", Schema::Text), Field::Required("data", Schema::Named(&REQUEST))]),
    "The request as it is now",
);
const MISSING: Answer = Answer::Error(404, "No such request waits for an answer");

pub(crate) const SEND: Description = Description {
    summary: "Ask a user to connect, or ignore one",
    parameters: &[
        Parameter::Path("status", Schema::OneOf(&["ignore", "interested"]), "What is wanted"),
        Parameter::Path("toUserId", Schema::Id, "Whom it is about"),
    ],
    answers: &[
        DONE,
        Answer::Error(400, "The status or the id is none, it is the own id, or there is a request between the two"),
        NO_USER,
        Answer::Json(
            429,
            Schema::Object(&[
                Field::Required("message", Schema::Text),
                Field::Optional("tier", TIER),
                Field::Optional("limit", Schema::IntegerFrom(0)),
                Field::Optional("used", Schema::IntegerFrom(0)),
            ]),
            "The day's limit is reached, which the answer names, or it was too fast",
        ),
    ],
    ..Description::NONE
};

pub(crate) const REVIEW: Description = Description {
    summary: "Answer a request",
    parameters: &[
        Parameter::Path("status", Schema::OneOf(&["accepted", "rejected"]), "The answer"),
        Parameter::Path("requestId", Schema::Id, "A request that waits for the member"),
    ],
    answers: &[DONE, Answer::Error(400, "The status is none"), MISSING, LIMITED],
    ..Description::NONE
};

pub(crate) const RESPOND: Description = Description {
    summary: "Answer a request",
    body: Some(Schema::Closed(&[Field::Required("action", Schema::OneOf(&["accept", "reject"]))])),
    parameters: &[Parameter::Path("requestId", Schema::Id, "A request that waits for the member")],
    answers: &[DONE, BAD_REQUEST, Answer::Error(403, "The request is somebody else's to answer"), MISSING, LIMITED],
    ..Description::NONE
};

/// How a list is paged.
const PAGED: &str = "All of them up to the newest 10,000, or a page where `page` or `limit` is given; newest first.";
const PAGE: &[Parameter] = &[
    Parameter::Query("page", Schema::IntegerOf(1, 1_000), "From 1"),
    Parameter::Query("limit", Schema::IntegerFrom(1), "Requests of a page: 50, at most 200"),
];
const BAD_PAGE: Answer = Answer::Error(400, "`page` or `limit` is no whole number from 1, or too large");

pub(crate) const RECEIVED: Description = Description {
    summary: "The requests that wait for the member",
    about: PAGED,
    parameters: PAGE,
    answers: &[
        Answer::Json(
            200,
            Schema::Object(&[
                Field::Required("message", Schema::Text),
                Field::Required("data", Schema::List(&Schema::Named(&RECEIVED_REQUEST))),
                Field::Optional("page", Schema::IntegerFrom(1)),
                Field::Optional("hasMore", Schema::Boolean),
            ]),
            "The requests",
        ),
        BAD_PAGE,
    ],
    ..Description::NONE
};

pub(crate) const SENT: Description = Description {
    summary: "The member's requests that wait for others",
    about: PAGED,
    parameters: PAGE,
    answers: &[
        Answer::Json(
            200,
            Schema::Object(&[
                Field::Required("message", Schema::Text),
                Field::Required("data", Schema::List(&Schema::Named(&SENT_REQUEST))),
                Field::Optional("page", Schema::IntegerFrom(1)),
                Field::Optional("hasMore", Schema::Boolean),
            ]),
            "The requests",
        ),
        BAD_PAGE,
    ],
    ..Description::NONE
};

pub(crate) const CONNECTIONS: Description = Description {
    summary: "The users that the member is connected with",
    answers: &[Answer::Json(
        200,
        Schema::Object(&[
            Field::Required("message", Schema::Text),
            Field::Required("data", Schema::List(&Schema::Named(&SAFE_USER))),
        ]),
        "The users, the latest connection first",
    )],
    ..Description::NONE
};
