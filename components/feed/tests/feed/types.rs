//! Every type of event that there is in the topics of the component: each is told, or is none of its business.

use super::*;

/// What the topics have, and in each of them one that nobody knows.
const TOPICS: [(&str, &[&str]); 2] = [
    (
        "user-events",
        &[
            "USER_SIGNUP",
            "USER_LOGIN",
            "USER_LOGOUT",
            "USER_ONLINE",
            "USER_OFFLINE",
            "USER_SKILLS",
            "USER_DELETED",
            "USER_FLEW",
        ],
    ),
    (
        "connection-events",
        &["CONNECTION_REQUEST", "CONNECTION_REVIEW", "CONNECTION_ACCEPTED", "CONNECTION_REJECTED", "CONNECTION_BROKEN"],
    ),
];

#[test]
fn every_type_of_its_topics_is_told_or_is_none_of_its_business() {
    let app = app();
    users(&app, 1..3);
    build(&app);
    let [ada, bea] = [1, 2].map(|number| id(number).to_hex());
    for status in ["interested", "ignore", "accepted", "rejected", "odd"] {
        for (topic, kinds) in TOPICS {
            for kind in kinds {
                let data = json!({
                    "requestId": ada, "fromUserId": ada, "toUserId": bea, "status": status, "skills": ["rust"], "socketId": "x",
                    "timestamp": "2026-01-15T12:30:00.000Z",
                });
                let value =
                    json!({ "eventType": kind, "userId": ada, "timestamp": "2026-01-15T12:30:00.000Z", "data": data });
                app.publish(topic, &ada, kind, value.to_string());
            }
        }
    }
    app.until_consumed("feed");
    all_is_well(&app);
    assert!(app.count("feed", "answered") > 0);
}
