//! The own sessions: listed, and ended.

use harness::{Sessions, doc};

use crate::{DAY, again, app, listed, lives, member};

#[test]
fn they_are_listed_newest_first_and_the_one_in_use_is_marked() {
    let app = app();
    let (ada, bea) = (member(&app, "Ada"), member(&app, "Bea"));
    app.clock().advance(60_000);
    let second = again(&app, &ada);
    let all = listed(&app, &second);
    let times: Vec<(&str, &str, bool)> = all
        .iter()
        .map(|one| {
            let text = |field: &str| one[field].as_str().unwrap();
            (text("createdAt"), text("expiresAt"), one["current"].as_bool().unwrap())
        })
        .collect();
    let expected = [
        ("2026-01-15T12:01:00.000Z", "2026-01-22T12:01:00.000Z", true),
        ("2026-01-15T12:00:00.000Z", "2026-01-22T12:00:00.000Z", false),
    ];
    assert_eq!(times, expected);
    let mut fields: Vec<&str> = all[0].as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["createdAt", "current", "expiresAt", "id"], "and no token, and no hash of one");
    assert_eq!(listed(&app, &bea.token).len(), 1, "those of others are theirs");
    assert_eq!(app.get("/sessions").send().status, 401);
}

#[test]
fn what_has_ended_or_expired_is_not_listed() {
    let app = app();
    let ada = member(&app, "Ada");
    app.clock().advance(6 * DAY);
    let late = again(&app, &ada);
    let ended = again(&app, &ada);
    assert_eq!(app.post("/logout").token(&ended).send().status, 200);
    assert_eq!(listed(&app, &late).len(), 2);
    app.clock().advance(DAY);
    let [one] = <[_; 1]>::try_from(listed(&app, &late)).unwrap();
    assert_eq!(
        (&one["current"], app.find("sessions", doc! {}).len()),
        (&true.into(), 3),
        "the others are still stored"
    );
}

#[test]
fn one_that_is_ended_is_dead_at_once_and_its_sockets_close() {
    let app = app();
    let ada = member(&app, "Ada");
    app.clock().advance(1_000);
    let other = again(&app, &ada);
    let id = listed(&app, &other)[0]["id"].as_str().unwrap().to_owned();
    let end = || app.request("DELETE", &format!("/sessions/{id}")).token(&ada.token).send();
    let reply = end();
    assert_eq!((reply.status, reply.text().as_str(), reply.token()), (200, "{\"success\":true}", None));
    assert!(!lives(&app, &other) && lives(&app, &ada.token));
    let [ended] = <[_; 1]>::try_from(app.sockets().ended()).unwrap();
    assert_eq!((ended.user, ended.sessions), (ada.id.to_hex(), Sessions::One(id.clone())));
    assert_eq!((end().status, end().message().as_str()), (404, "Session not found"), "it has ended");
}

#[test]
fn the_one_in_use_ends_as_a_log_out_does() {
    let app = app();
    let ada = member(&app, "Ada");
    let id = listed(&app, &ada.token)[0]["id"].as_str().unwrap().to_owned();
    let reply = app.request("DELETE", &format!("/sessions/{id}")).token(&ada.token).send();
    assert_eq!((reply.status, reply.token().as_deref()), (200, Some("")), "the cookie is cleared");
    assert!(!lives(&app, &ada.token));
    assert_eq!(app.events("user-events").last().unwrap().kind, "USER_LOGOUT");
}

#[test]
fn all_others_end_at_once() {
    let app = app();
    let (ada, bea) = (member(&app, "Ada"), member(&app, "Bea"));
    let others = [again(&app, &ada), again(&app, &ada)];
    for _ in 0..2 {
        assert_eq!(app.request("DELETE", "/sessions/others").token(&ada.token).send().status, 200, "twice is once");
    }
    assert!(lives(&app, &ada.token) && lives(&app, &bea.token));
    assert!(others.iter().all(|token| !lives(&app, token)));
}

/// Attack (API1): the session of another member, by its id, and ids that are none. Outcome: 404, and it lives.
#[test]
fn those_of_others_and_what_is_none_are_not_there() {
    let app = app();
    let (ada, eve) = (member(&app, "Ada"), member(&app, "Eve"));
    let id = listed(&app, &ada.token)[0]["id"].as_str().unwrap().to_owned();
    let (upper, nobody) = (id.to_uppercase(), "0".repeat(32));
    let long = "f".repeat(4_000);
    for id in [id.as_str(), &upper, &nobody, &long, "x", "all", "$ne", "%7B%22$ne%22:null%7D", "..%2f", "%00"] {
        let reply = app.request("DELETE", &format!("/sessions/{id}")).token(&eve.token).send();
        assert!(matches!(reply.status, 404 | 400), "{id}: {} {}", reply.status, reply.text());
    }
    assert!(lives(&app, &ada.token) && lives(&app, &eve.token));
    assert_eq!(app.sockets().ended().iter().filter(|ended| ended.user == ada.id.to_hex()).count(), 0);
    assert_eq!(app.request("DELETE", &format!("/sessions/{id}")).send().status, 401);
}
