//! Every type of event that there is in the topics of the component: each is told, or is none of its business.

use harness::{App, FAILURES, ObjectId, json};

/// What product.md and the model have, by topic, and in each topic one that nobody knows.
const TOPICS: [(&str, &[&str]); 3] = [
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
            "USER_ERASED",
            "USER_FLEW",
        ],
    ),
    ("message-events", &["MESSAGE_SENT", "MESSAGE_DELIVERED", "MESSAGE_READ", "MESSAGE_LOST"]),
    (
        "connection-events",
        &["CONNECTION_REQUEST", "CONNECTION_REVIEW", "CONNECTION_ACCEPTED", "CONNECTION_REJECTED", "CONNECTION_BROKEN"],
    ),
];
#[test]
fn every_type_of_its_topics_is_told_or_is_none_of_its_business() {
    let app = App::with(&["analytics"]);
    let user = ObjectId::new().to_hex();
    for (topic, kinds) in TOPICS {
        for kind in kinds {
            let data = json!({ "status": "interested", "skills": ["rust"] });
            let value =
                json!({ "eventType": kind, "userId": user, "timestamp": "2026-01-15T12:00:00.000Z", "data": data });
            app.publish(topic, &user, kind, value.to_string());
        }
    }
    app.until_consumed("analytics");
    for (topic, _) in TOPICS {
        assert_eq!(app.dead_letters(topic), []);
    }
    for failure in FAILURES {
        assert_eq!(app.count("analytics", failure), 0, "{failure}");
    }
    assert!(app.count("analytics", "answered") > 0);
}
