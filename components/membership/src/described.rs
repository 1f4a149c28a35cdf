//! The routes as `GET /openapi.json` describes them.

use devconnect_sdk::openapi::{Answer, Description, Field, Schema};
use model::described::{BAD_REQUEST, LIMITED, NO_USER, OWN_USER};

const PAID_TIER: Schema = Schema::OneOf(&["silver", "gold"]);
const PAYMENT: Schema = Schema::Pattern("^[0-9a-f]{32}$");
const NO_PAYMENT: Answer = Answer::Error(404, "There is no such payment");
const NOT_SET_UP: Answer = Answer::Error(503, "Payments are not set up here, or the payment server does not answer");

pub(crate) const CREATE: Description = Description {
    summary: "Begin to pay for a membership",
    about: "The price is the server's. The member pays on the page at `url`, and confirms then.",
    body: Some(Schema::Closed(&[Field::Required("membershipTier", PAID_TIER)])),
    answers: &[
        Answer::Json(
            200,
            Schema::Object(&[Field::Required("url", Schema::Text), Field::Required("txnId", PAYMENT)]),
            "The page where it is paid, and the payment's id",
        ),
        BAD_REQUEST,
        NO_USER,
        LIMITED,
        NOT_SET_UP,
    ],
    ..Description::NONE
};

pub(crate) const CONFIRM: Description = Description {
    summary: "Confirm a payment",
    about: "By its `txnId`, or the newest ones of a tier. As often as it is asked, a payment upgrades once.",
    body: Some(Schema::Closed(&[Field::Optional("membershipTier", PAID_TIER), Field::Optional("txnId", PAYMENT)])),
    answers: &[
        Answer::Json(
            200,
            Schema::Object(&[
                Field::Required("message", Schema::Text),
                Field::Required("user", Schema::Named(&OWN_USER)),
            ]),
            "It is paid, and the membership counts",
        ),
        Answer::Error(400, "It is not paid, or not what was recorded; nothing was changed"),
        Answer::Error(403, "It is the payment of another member"),
        NO_PAYMENT,
        LIMITED,
        NOT_SET_UP,
    ],
    ..Description::NONE
};

pub(crate) const CALLBACK: Description = Description {
    summary: "The payment server says what became of a payment",
    about: "Signed in `X-VERIFY`.",
    body: Some(Schema::Object(&[Field::Required("response", Schema::Text)])),
    answers: &[
        Answer::Json(200, Schema::Object(&[Field::Required("message", Schema::Text)]), "It was understood"),
        Answer::Error(400, "It is malformed, or not about what was recorded; nothing was changed"),
        Answer::Error(403, "It is not signed by the payment server"),
        NO_PAYMENT,
        NOT_SET_UP,
    ],
    ..Description::NONE
};
