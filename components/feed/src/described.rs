//! The route as `GET /openapi.json` describes it.

use devconnect_sdk::openapi::{Answer, Description, Field, Named, Parameter, Schema};
use model::described::{NO_USER, SAFE_USER};

const SCORE: Schema = Schema::NumberOf(0, 1);
const COUNT: Schema = Schema::IntegerFrom(0);

const FEED_USER: Named = Named {
    name: "FeedUser",
    about: "A user of the feed; in the ranked one with a score and its reasons",
    schema: Schema::AllOf(&[
        Schema::Named(&SAFE_USER),
        Schema::Object(&[
            Field::Optional("recommendationScore", SCORE),
            Field::Optional("recommendationReasoning", Schema::List(&Schema::Text)),
            Field::Optional(
                "scoreBreakdown",
                Schema::Object(&[
                    Field::Required("jaccard", SCORE),
                    Field::Required("cosine", SCORE),
                    Field::Required("complementary", SCORE),
                    Field::Required("diversity", SCORE),
                    Field::Required("experience", SCORE),
                ]),
            ),
        ]),
    ]),
};

pub(crate) const FEED: Description = Description {
    summary: "Other members to look at",
    about: "Never oneself, nor anybody with whom there is a request in either direction.",
    parameters: &[
        Parameter::Query("page", Schema::IntegerOf(1, 1_000_000), "From 1"),
        Parameter::Query(
            "limit",
            Schema::IntegerFrom(1),
            "Users of a page: 10; at most 10, 100 or 200 by the member's tier",
        ),
        Parameter::Query("ml", Schema::Text, "`true`: those who fit best, with the reasons"),
    ],
    answers: &[
        Answer::Json(
            200,
            Schema::Object(&[
                Field::Required("data", Schema::List(&Schema::Named(&FEED_USER))),
                Field::Required(
                    "recommendations",
                    Schema::Object(&[
                        Field::Required("totalAvailable", COUNT),
                        Field::Required("mlProcessed", COUNT),
                        Field::Required("returned", COUNT),
                        Field::Required("highMatch", COUNT),
                        Field::Required("page", Schema::IntegerFrom(1)),
                        Field::Required("hasMore", Schema::Boolean),
                    ]),
                ),
            ]),
            "A page",
        ),
        Answer::Error(400, "`page` or `limit` is no whole number from 1, or too large"),
        NO_USER,
    ],
    ..Description::NONE
};
