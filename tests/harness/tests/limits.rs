//! A component that loops, eats memory, traps or chatters gets its own kind of end, counted, and nobody else notices.

use devconnect_host::engine::Outcome;
use harness::App;

#[test]
fn each_way_to_misbehave_has_its_own_answer_and_count() {
    let app = App::with(&["misbehaving"]);
    let ways = [
        ("loop", 504, Outcome::Cpu),
        ("bomb", 500, Outcome::Memory),
        ("trap", 500, Outcome::Trap),
        ("chatter", 500, Outcome::HostCalls),
        ("well", 200, Outcome::Answered),
    ];
    for (way, status, outcome) in ways {
        let reply = app.get(&format!("/misbehaving/{way}")).send();
        assert_eq!(reply.status, status, "{way}: {}", reply.text());
        if status != 200 {
            let incident = reply.json()["incident"].as_str().unwrap().to_owned();
            assert_eq!(reply.header("x-request-id"), Some(incident.as_str()), "{way}");
            assert!(!reply.text().contains("on purpose"), "a client learns nothing of the inside");
        }
        assert_eq!(app.component("misbehaving").counts.of(outcome), 1, "{way}");
    }
}

#[test]
fn an_answer_after_many_failures_is_still_right() {
    let app = App::with(&["misbehaving"]);
    app.runtime().block_on(async {
        let calls = (0..60).map(|n| {
            let way = ["loop", "bomb", "trap", "well"][n % 4];
            let request = app.get(&format!("/misbehaving/{way}"));
            async move { (way, request.dispatch().await) }
        });
        for (way, reply) in futures_util::future::join_all(calls).await {
            let expected = match way {
                "loop" => 504,
                "well" => 200,
                _ => 500,
            };
            assert_eq!(reply.status, expected, "{way}");
        }
    });
    let counts = app.component("misbehaving");
    for outcome in [Outcome::Cpu, Outcome::Memory, Outcome::Trap, Outcome::Answered] {
        assert_eq!(counts.counts.of(outcome), 15, "{}", outcome.as_str());
    }
}

#[test]
fn without_a_pool_everything_is_the_same() {
    let mut config = devconnect_host::config::Config::default();
    config.engine.pooling = false;
    let app = App::with_config(&["misbehaving"], config);
    assert!(!app.host().registry.engine().pooled());
    assert_eq!(app.get("/misbehaving/well").send().status, 200);
    assert_eq!(app.get("/misbehaving/loop").send().status, 504);
    assert_eq!(app.get("/misbehaving/bomb").send().status, 500);
}
