//! Every type of event that there is in the topics of the component: each is told, or is none of its business.

use harness::{FAILURES, ObjectId, doc, json};

use crate::{CONNECTIONS, USERS, app, envelope, mails, member, no_dead_letters};

/// What product.md and the model have, by topic, and in each topic one that nobody knows.
const TOPICS: [(&str, &[&str]); 2] = [
    (USERS, &["USER_SIGNUP", "USER_LOGIN", "USER_LOGOUT", "USER_ONLINE", "USER_OFFLINE", "USER_SKILLS", "USER_FLEW"]),
    (
        CONNECTIONS,
        &["CONNECTION_REQUEST", "CONNECTION_REVIEW", "CONNECTION_ACCEPTED", "CONNECTION_REJECTED", "CONNECTION_BROKEN"],
    ),
];
#[test]
fn every_type_of_its_topics_is_told_or_is_none_of_its_business() {
    let app = app();
    let (ada, bea) = (member(&app, "Ada", doc! {}), member(&app, "Bea", doc! {}));
    for (topic, kinds) in TOPICS {
        for kind in kinds {
            let data = json!({
                "requestId": ObjectId::new().to_hex(), "fromUserId": ada.to_hex(), "toUserId": bea.to_hex(),
                "status": "interested", "skills": ["rust"],
            });
            app.publish(topic, &ada.to_hex(), kind, envelope(kind, ada, data));
        }
    }
    assert_eq!(mails(&app).len(), 2, "a welcome, and a request");
    no_dead_letters(&app);
    for failure in FAILURES {
        assert_eq!(app.count("mail", failure), 0, "{failure}");
    }
}
