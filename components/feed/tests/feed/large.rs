//! Networks of more members than are scored for one page.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use ::model::matching::catalogue::Catalogue;
use ::model::matching::profile::Profile;
use ::model::matching::scores::Scores;

use super::*;

/// Skills that differ from member to member; nobody has Haskell.
fn varied(number: u32) -> Vec<&'static str> {
    let all = ["React", "Node.js", "MongoDB", "Docker", "Figma", "Python", "Pandas", "Flutter", "Jest", "Rust"];
    let picked = all.iter().enumerate().filter(|(place, _)| (number * 37) >> place & 1 == 1);
    picked.map(|(_, skill)| *skill).collect()
}

/// Members 1 to `count`, in a hundredth of the time of one after the other.
fn network(app: &App, count: u32) {
    let user = |number: u32| {
        let email = format!("m{number}@example.com");
        doc! {
            "_id": id(number), "firstName": "Sue", "lastName": "Test", "emailId": &email, "emailKey": &email,
            "skills": varied(number), "membershipTier": "free", "age": 20 + i32::try_from(number % 30).unwrap(),
        }
    };
    app.insert_all("users", (1..=count).map(user));
}

fn caller(app: &App, skills: &[&str]) -> Member {
    member(app, 100_000, doc! { "skills": skills, "membershipTier": "gold" })
}

/// Every member by the formula, best first and of equals the newest; who scores too little is not there.
fn by_formula(skills: &[&str], count: u32) -> Vec<String> {
    let mut catalogue = Catalogue::embedded().unwrap();
    let mut profile = |skills: &[&str], age: u32| Profile::new(skills.iter().copied(), f64::from(age), &mut catalogue);
    let own = profile(skills, 30);
    let others: Vec<Profile> = (1..=count).map(|number| profile(&varied(number), 20 + number % 30)).collect();
    let scored = (1..=count).zip(&others).map(|(number, other)| (Scores::of(&own, other, &catalogue).total(), number));
    let mut scored: Vec<(f64, u32)> = scored.filter(|(total, _)| *total >= 0.05).collect();
    scored.sort_by(|one, other| other.0.total_cmp(&one.0).then(other.1.cmp(&one.1)));
    hex(scored.into_iter().map(|(_, number)| number))
}

#[test]
fn up_to_two_thousand_the_ranking_is_that_of_the_formula_over_all() {
    let skills = ["Rust", "Docker", "React"];
    let app = App::with_config(&["feed"], "[settings]\n\"feed.model\" = \"off\"");
    network(&app, 1_500);
    let ada = caller(&app, &skills);
    let first = ada.feed(&app, "?ml=true&limit=200");
    assert_eq!(told(&first, "mlProcessed"), 1_000, "until the index is built, the newest");
    build(&app);
    let pages = ada.pages(&app, "?ml=true&limit=200");
    assert_eq!(all_ids(&pages), by_formula(&skills, 1_500));
    for page in pages {
        assert_eq!((told(&page, "mlProcessed"), told(&page, "totalAvailable")), (&json!(1_500), &json!(1_500)));
    }
    all_is_well(&app);
}

#[test]
fn who_shares_a_rare_skill_is_found_however_old_and_the_pages_go_on_to_the_end() {
    let app = App::with(&["feed", "connections"]);
    network(&app, 2_300);
    user(&app, 3_000, doc! { "skills": ["rust"] });
    let ada = caller(&app, &["Haskell"]);
    // The oldest of all.
    user(&app, 0, doc! { "skills": ["haskell"] });
    let best = id(0).to_hex();
    assert!(!ids(&ada.feed(&app, "?ml=true&limit=200")).contains(&best), "nobody looks so far back without an index");
    build(&app);
    let pages = ada.pages(&app, "?ml=true&limit=200");
    assert_eq!(ids(&pages[0])[0], best);
    let mut all = all_ids(&pages);
    all.sort_unstable();
    let mut everybody = hex((0..=2_300).chain([3_000]));
    everybody.sort_unstable();
    assert_eq!(all, everybody, "each once");
    for page in &pages {
        assert_eq!((told(page, "mlProcessed"), told(page, "totalAvailable")), (&json!(2_000), &json!(2_302)));
    }
    // A page that was seen asks the documents nothing, until a request changes what one may be shown.
    assert_eq!(app.questions(|| _ = ada.feed(&app, "?ml=true&limit=200")), 0);
    let asked = app.post(&format!("/request/send/ignore/{best}")).token(&ada.token).send();
    assert_eq!(asked.status, 200, "{}", asked.text());
    let again = ada.feed(&app, "?ml=true&limit=200");
    assert!(!ids(&again).contains(&best));
    assert_eq!(told(&again, "totalAvailable"), 2_301);
    all_is_well(&app);
}

#[test]
fn what_changes_in_a_large_network_is_found_after_a_while_and_told_at_once() {
    let app = App::with(&["feed", "profile"]);
    network(&app, 2_100);
    let ada = caller(&app, &["Haskell"]);
    user(&app, 0, doc! { "skills": ["Haskell"] });
    build(&app);
    let first = |query: &str| ids(&ada.feed(&app, query)).first().cloned();
    assert_eq!(first("?ml=true"), Some(id(0).to_hex()));
    let edit = |number: u32, skills: Value| {
        let token = session(&app, id(number)).token;
        let reply = app.patch("/profile/edit").token(&token).json(&json!({ "skills": skills })).send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        app.until_consumed("feed");
    };
    edit(0, json!(["Juggling"]));
    let shown = ada.feed(&app, "?ml=true");
    assert_eq!(ids(&shown)[0], id(0).to_hex(), "the ranking is kept for five minutes");
    assert_eq!(shown["data"][0]["scoreBreakdown"]["jaccard"], 0.0, "and the scores are those of the moment");
    edit(1, json!(["haskell"]));
    app.clock().advance(301_000);
    assert_eq!(first("?ml=true"), Some(id(1).to_hex()));
    // A profile of one's own counts at once.
    let reply = app.patch("/profile/edit").token(&ada.token).json(&json!({ "skills": ["juggling"] })).send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(first("?ml=true"), Some(id(0).to_hex()));
    all_is_well(&app);
}
