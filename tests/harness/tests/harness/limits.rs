//! A component that loops, eats memory, traps or chatters gets its own kind of end, counted, and nobody else notices.

use harness::App;

#[test]
fn each_way_to_misbehave_has_its_own_answer_and_count() {
    let app = App::with(&["misbehaving"]);
    let ways = [
        ("loop", 504, "cpu"),
        ("bomb", 500, "memory"),
        ("trap", 500, "trap"),
        ("chatter", 500, "host-calls"),
        ("well", 200, "answered"),
    ];
    for (way, status, outcome) in ways {
        let reply = app.get(&format!("/misbehaving/{way}")).send();
        assert_eq!(reply.status, status, "{way}: {}", reply.text());
        if status != 200 {
            let incident = reply.json()["incident"].as_str().unwrap().to_owned();
            assert_eq!(reply.header("x-request-id"), Some(incident.as_str()), "{way}");
            assert!(!reply.text().contains("on purpose"), "a client learns nothing of the inside");
        }
        assert_eq!(app.count("misbehaving", outcome), 1, "{way}");
    }
}

#[test]
fn an_answer_after_many_failures_is_still_right() {
    let app = App::with(&["misbehaving"]);
    let ways = ["loop", "bomb", "trap", "well"].into_iter().cycle().take(60);
    let replies = harness::all(ways.clone().map(|way| app.get(&format!("/misbehaving/{way}")).begin()));
    for (way, reply) in ways.zip(replies) {
        let expected = match way {
            "loop" => 504,
            "well" => 200,
            _ => 500,
        };
        assert_eq!(reply.status, expected, "{way}");
    }
    for outcome in ["cpu", "memory", "trap", "answered"] {
        assert_eq!(app.count("misbehaving", outcome), 15, "{outcome}");
    }
}

#[test]
fn without_a_pool_everything_is_the_same() {
    let app = App::with_config(&["misbehaving"], "[engine]\npooling = false");
    assert!(!app.pooled());
    assert_eq!(app.get("/misbehaving/well").send().status, 200);
    assert_eq!(app.get("/misbehaving/loop").send().status, 504);
    assert_eq!(app.get("/misbehaving/bomb").send().status, 500);
}

#[test]
fn a_host_call_now_and_then_hides_no_time() {
    let app = App::with(&["misbehaving"]);
    assert_eq!(app.get("/misbehaving/evade").send().status, 504);
    assert_eq!(app.count("misbehaving", "cpu"), 1);
}

#[test]
fn an_answer_that_no_client_can_get_is_the_components_failure() {
    let app = App::with(&["misbehaving"]);
    let ways =
        ["many", "long", "long-name", "odd-name", "odd-value", "cookies", "status-0", "status-101", "status-600"];
    let failures = || {
        let counted = ["unable", "trap", "memory", "cpu", "host-calls", "out-of-time"];
        counted.into_iter().map(|outcome| app.count("misbehaving", outcome)).sum::<u64>()
    };
    for (number, way) in (1..).zip(ways) {
        let reply = app.get(&format!("/misbehaving/headers/{way}")).send();
        assert_eq!(reply.status, 500, "{way}: {}", reply.text());
        assert_eq!((failures(), app.count("misbehaving", "answered")), (number, 0), "{way}");
    }
    // What it refuses is an answer.
    assert_eq!(app.get("/misbehaving/headers/nothing").send().status, 404);
    assert_eq!((failures(), app.count("misbehaving", "answered")), (9, 1));
    assert_eq!(app.count("misbehaving", "store"), 0);
}
