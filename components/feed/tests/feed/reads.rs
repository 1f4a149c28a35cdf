//! What a page asks the documents: one question, whatever its kind, once the rest was asked before.

use super::*;

/// What a page asks when it was asked before.
fn questions(app: &App, member: &Member, query: &str) -> u64 {
    app.questions(|| _ = member.feed(app, query))
}

#[test]
fn a_page_costs_one_question() {
    let app = app();
    let ada = member(&app, 500, doc! { "membershipTier": "gold" });
    users(&app, 1..=60);
    for number in 1..=20 {
        request(&app, ada.id, id(number), "ignore");
    }
    for query in ["", "?page=2", "?limit=25", "?page=9", "?ml=true", "?ml=true&page=2", "?ml=true&limit=200"] {
        let answer = ada.feed(&app, query);
        assert_eq!(answer["recommendations"]["totalAvailable"], 40, "{query}");
        for _ in 0..3 {
            assert_eq!(questions(&app, &ada, query), 1, "{query}");
        }
        assert_eq!(ada.feed(&app, query), answer, "{query}");
    }
    // Another member has other requests.
    let bob = session(&app, id(30));
    assert!(questions(&app, &bob, "?limit=10") <= 5, "a session, two sides of requests, the page, and new cards");
    assert_eq!(questions(&app, &bob, "?limit=10"), 1);
}

/// A pool of more members than are ever scored, and more of them than one question names.
#[test]
fn a_full_pool_costs_one_question() {
    let app = app();
    let ada = member(&app, 5_000, doc! { "skills": ["rust"] });
    users(&app, 1..=1_100);
    for query in ["?ml=true", ""] {
        let answer = ada.feed(&app, query);
        assert_eq!(answer["recommendations"]["totalAvailable"], 1_100, "{query}");
        assert_eq!(questions(&app, &ada, query), 1, "{query}");
    }
    assert_eq!(app.count("feed", "memory") + app.count("feed", "cpu"), 0);
}

#[test]
fn what_changes_is_on_the_next_page() {
    let app = App::with(&["feed", "profile", "connections"]);
    let ada = member(&app, 1, doc! { "skills": ["rust"] });
    users(&app, 2..=5);
    let bob = session(&app, id(2));
    let shown = |query: &str, id: &str| {
        let page = ada.feed(&app, query);
        page["data"].as_array().unwrap().iter().find(|user| user["_id"] == id).cloned()
    };
    let hex = id(2).to_hex();
    for (round, name) in ["Bo", "Bill", "Ben"].into_iter().enumerate() {
        let skills: Vec<String> = (0..=round).map(|number| format!("skill {number}")).collect();
        let edit = json!({ "firstName": name, "skills": skills });
        let reply = app.patch("/profile/edit").token(&bob.token).json(&edit).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        let plain = shown("", &hex).unwrap();
        assert_eq!((&plain["firstName"], &plain["skills"]), (&json!(name), &json!(skills)));
        // Nothing in common any more: a ranked feed compares the skills of this moment.
        assert!(shown("?ml=true", &hex).is_none_or(|user| user["scoreBreakdown"]["jaccard"] == 0.0));
    }
    let edit = json!({ "skills": ["rust"] });
    assert_eq!(app.patch("/profile/edit").token(&bob.token).json(&edit).send().status, 200);
    assert_eq!(shown("?ml=true", &hex).unwrap()["scoreBreakdown"]["jaccard"], 1.0);
    // Whoever is asked leaves both feeds at once.
    let asked = app.post(&format!("/request/send/ignore/{hex}")).token(&ada.token).send();
    assert_eq!(asked.status, 200, "{}", asked.text());
    for query in ["", "?ml=true"] {
        assert!(shown(query, &hex).is_none(), "{query}");
        assert!(!ids(&bob.feed(&app, query)).contains(&ada.id.to_hex()), "{query}");
        assert_eq!(ada.feed(&app, query)["recommendations"]["totalAvailable"], 3, "{query}");
    }
    // And whoever joins is counted at once.
    user(&app, 9, doc! {});
    assert_eq!(ids(&ada.feed(&app, "")).len(), 4);
}
