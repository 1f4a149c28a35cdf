//! The public route as `GET /openapi.json` describes it. The one for operators is not public, and not described.

use devconnect_sdk::openapi::{Answer, Description, Field, Named, Schema};

const COUNT: Schema = Schema::IntegerFrom(0);

const DAY: Named = Named {
    name: "ActivityOfADay",
    about: "What a member did on a day of UTC",
    schema: Schema::Object(&[
        Field::Required("day", Schema::Day),
        Field::Required("logins", COUNT),
        Field::Required("visits", COUNT),
        Field::Required("messagesSent", COUNT),
        Field::Required("requestsSent", COUNT),
        Field::Required("requestsAccepted", COUNT),
        Field::Required("requestsRejected", COUNT),
    ]),
};

const ACTIVITY: Named = Named {
    name: "Activity",
    about: "What a member did in the last 30 days",
    schema: Schema::Object(&[
        Field::Required("since", Schema::Day),
        Field::Required("activeDays", COUNT),
        Field::Required("logins", COUNT),
        Field::Required("visits", COUNT),
        Field::Required("messagesSent", COUNT),
        Field::Required("requestsSent", COUNT),
        Field::Required("requestsAccepted", COUNT),
        Field::Required("requestsRejected", COUNT),
        Field::Required("days", Schema::List(&Schema::Named(&DAY))),
    ]),
};

pub(crate) const SUMMARY: Description = Description {
    summary: "The member's own activity",
    answers: &[Answer::Json(
        200,
        Schema::Object(&[Field::Required("data", Schema::Named(&ACTIVITY))]),
        "The days on which there was any, and their sum",
    )],
    ..Description::NONE
};
