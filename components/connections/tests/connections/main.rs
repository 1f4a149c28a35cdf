//! Connection requests: sent, answered and listed by the built component in the real engine. A file a route.

mod answer;
mod expiry;
mod limit;
mod lists;
mod member;
mod old;
mod send;

use harness::ObjectId;

use member::{TOPIC, app, requests};

#[test]
fn without_a_session_every_route_says_please_login() {
    let app = app();
    let id = ObjectId::new();
    let routes = [
        ("POST", format!("/request/send/interested/{id}")),
        ("POST", format!("/request/review/accepted/{id}")),
        ("PATCH", format!("/user/requests/{id}/respond")),
        ("GET", "/user/requests/received".to_owned()),
        ("GET", "/user/connections".to_owned()),
    ];
    for (method, path) in routes {
        let reply = app.request(method, &path).send();
        assert_eq!((reply.status, reply.text().as_str()), (401, "Please login"), "{method} {path}");
        let reply = app.request(method, &path).token("nonsense").send();
        assert_eq!((reply.status, reply.text().as_str()), (401, "Please login"), "{method} {path}");
    }
    assert!(requests(&app).is_empty() && app.events(TOPIC).is_empty());
}
