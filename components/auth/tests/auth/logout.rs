//! Logging out, and sessions that end by themselves.

use harness::{App, DateTime, ObjectId, Reply, START, doc, json};

/// 7 days in milliseconds.
const TOKEN_AGE: u64 = 7 * 86_400_000;

fn log_out(app: &App, token: &str) -> Reply {
    app.post("/logout").token(token).send()
}

/// Attack (JWT): a token after its log-out. Outcome: it is dead at once.
#[test]
fn logging_out_kills_the_token_at_once() {
    let app = App::with(&["auth"]);
    let token = app.log_in(ObjectId::new());
    app.clock().advance(5_000);
    let reply = log_out(&app, &token);
    assert_eq!((reply.status, reply.text().as_str()), (200, "Logout successfull"));
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(reply.token().as_deref(), Some(""), "the cookie is cleared");
    assert!(reply.header("set-cookie").unwrap().contains("Max-Age=0"));
    let [session] = <[_; 1]>::try_from(app.find("sessions", doc! {})).unwrap();
    assert_eq!(session.get_datetime("revokedAt").unwrap(), &DateTime::from_millis(START as i64 + 5_000));
    let again = log_out(&app, &token);
    assert_eq!((again.status, again.text().as_str()), (401, "Please login"));
    assert_eq!(app.events("user-events").len(), 1, "what is refused tells nothing");
}

#[test]
fn one_event_tells_of_the_log_out() {
    let app = App::with(&["auth"]);
    let id = ObjectId::new();
    assert_eq!(log_out(&app, &app.log_in(id)).status, 200);
    let [event] = <[_; 1]>::try_from(app.events("user-events")).unwrap();
    assert_eq!((event.kind.as_str(), event.key), ("USER_LOGOUT", id.to_hex()));
    let expected = json!({ "eventType": "USER_LOGOUT", "userId": id.to_hex(), "timestamp": "2026-01-15T12:00:00.000Z", "data": {} });
    assert_eq!(event.value, expected);
}

#[test]
fn other_sessions_live_on() {
    let app = App::with(&["auth"]);
    let (ada, bo) = (ObjectId::new(), ObjectId::new());
    let tokens = [app.log_in(ada), app.log_in(ada), app.log_in(bo)];
    for token in tokens {
        assert_eq!(log_out(&app, &token).status, 200, "none of them died with another");
    }
}

#[test]
fn a_bearer_is_as_good_as_the_cookie() {
    let app = App::with(&["auth"]);
    let token = app.log_in(ObjectId::new());
    let send = || app.post("/logout").header("authorization", &format!("Bearer {token}")).send().status;
    assert_eq!((send(), send()), (200, 401));
}

#[test]
fn nobody_logs_out_without_a_session() {
    let app = App::with(&["auth"]);
    let living = app.log_in(ObjectId::new());
    let forged = format!("{}x", &living[..living.len() - 1]);
    let unsigned = format!("{}.", living.rsplit_once('.').unwrap().0);
    let other = App::with(&["auth"]).log_in(ObjectId::new());
    for token in ["", "x", "a.b.c", &forged, &unsigned, &other] {
        let reply = log_out(&app, token);
        assert_eq!((reply.status, reply.text().as_str()), (401, "Please login"), "{token}");
    }
    let reply = app.post("/logout").send();
    assert_eq!((reply.status, reply.text().as_str()), (401, "Please login"));
    assert_eq!(app.events("user-events"), []);
    assert_eq!(log_out(&app, &living).status, 200);
}

#[test]
fn a_token_ends_after_seven_days() {
    let app = App::with(&["auth"]);
    let (early, late) = (app.log_in(ObjectId::new()), app.log_in(ObjectId::new()));
    app.clock().advance(TOKEN_AGE - 1_000);
    assert_eq!(log_out(&app, &early).status, 200, "a second before its end it is good");
    app.clock().advance(1_000);
    let reply = log_out(&app, &late);
    assert_eq!((reply.status, reply.text().as_str()), (401, "Please login"));
}

#[test]
fn only_a_post_logs_in_or_out_or_signs_up() {
    let app = App::with(&["auth"]);
    let token = app.log_in(ObjectId::new());
    for path in ["/signup", "/login", "/logout"] {
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            assert_eq!(app.request(method, path).token(&token).send().status, 405, "{method} {path}");
        }
    }
    assert_eq!(log_out(&app, &token).status, 200);
}
