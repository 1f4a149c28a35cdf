//! The ranked feed: best first, with scores and reasons.

use super::*;

fn skilled(app: &App, number: u32, skills: &[&str]) {
    user(app, number, doc! { "skills": skills });
}

/// A gold member with these skills.
fn caller(app: &App, skills: &[&str]) -> Member {
    member(app, 100_000, doc! { "skills": skills, "membershipTier": "gold" })
}

fn score(user: &Value) -> f64 {
    user.get("recommendationScore").and_then(Value::as_f64).unwrap_or(-1.0)
}

#[test]
fn a_scored_user_has_score_reasons_and_breakdown() {
    let app = app();
    let ada = caller(&app, &["React", "Node.js"]);
    skilled(&app, 2, &["nodejs", "postgres"]);
    let answer = ada.feed(&app, "?ml=true");
    // Node of three skills; 1.2² / (√(1² + 1.2²) · √(1.2² + 0.9²)); React and PostgreSQL both go with Node; frontend,
    // backend and databases of ten categories; the same age and number of skills.
    // 0.3 · 0.3333 + 0.25 · 0.6146 + 0.2 · 1 + 0.15 · 0.3 + 0.1 · 1 = 0.59864
    let expected = json!({
        "data": [{
            "_id": id(2).to_hex(), "firstName": "Member2", "lastName": "Test", "photoUrl": "https://example.com/photo.png",
            "age": 30, "gender": "others", "about": "about", "skills": ["nodejs", "postgres"], "isPremium": false,
            "membershipTier": "free",
            "recommendationScore": 0.5986,
            "recommendationReasoning": [
                "You both know Node.js",
                "Brings PostgreSQL to go with what you know",
                "Covers databases, where you have no skills",
                "Is about as experienced as you",
            ],
            "scoreBreakdown": { "jaccard": 0.3333, "cosine": 0.6146, "complementary": 1.0, "diversity": 0.3, "experience": 1.0 },
        }],
        "recommendations": {
            "totalAvailable": 1, "mlProcessed": 1, "returned": 1, "highMatch": 0, "page": 1, "hasMore": false,
        },
    });
    assert_eq!(answer, expected);
}

/// Skills that differ from user to user.
fn varied(number: u32) -> Vec<&'static str> {
    let all =
        ["React", "Node.js", "MongoDB", "Docker", "Figma", "Python", "Pandas", "Flutter", "Jest", "Rust", "Juggling"];
    all.iter().enumerate().filter(|(place, _)| number >> place & 1 == 1).map(|(_, skill)| *skill).collect()
}

#[test]
fn the_best_come_first_and_the_breakdown_adds_up() {
    let app = app();
    let ada = caller(&app, &["React", "Node.js", "MongoDB", "Docker", "Figma"]);
    for number in 1..=150 {
        user(&app, number, doc! { "skills": varied(number * 13), "age": 18 + number % 40 });
    }
    let answer = ada.feed(&app, "?ml=true&limit=200");
    let data = answer["data"].as_array().unwrap();
    assert!(data.len() > 100);
    let scores: Vec<f64> = data.iter().map(score).collect();
    assert!(scores.is_sorted_by(|one, other| one >= other), "{scores:?}");
    assert!(scores.iter().all(|score| (0.05..=1.0).contains(score)), "{scores:?}");
    let weights =
        [("jaccard", 0.30), ("cosine", 0.25), ("complementary", 0.20), ("diversity", 0.15), ("experience", 0.10)];
    for user in data {
        let breakdown = user["scoreBreakdown"].as_object().unwrap();
        assert_eq!(breakdown.len(), weights.len());
        assert!(breakdown.values().all(|value| (0.0..=1.0).contains(&value.as_f64().unwrap())), "{user}");
        let sum: f64 = weights.iter().map(|(name, weight)| weight * breakdown[*name].as_f64().unwrap()).sum();
        assert!((sum - score(user)).abs() <= 0.000_051, "{sum} is not {}", score(user));
        let reasons = user["recommendationReasoning"].as_array().unwrap();
        assert!(!reasons.is_empty() && reasons.iter().all(|reason| reason.as_str().is_some_and(|text| text.len() > 5)));
        let decimals = score(user) * 10_000.0;
        assert!((decimals - decimals.round()).abs() < 1e-6, "four decimals");
    }
    let high = scores.iter().filter(|score| **score >= 0.7).count();
    assert!(high > 0);
    assert_eq!(answer["recommendations"]["highMatch"], high);
}

#[test]
fn a_high_match_is_counted_on_its_page() {
    let app = app();
    let all = ["React", "Node.js", "MongoDB", "Docker", "Figma", "Python"];
    let ada = caller(&app, &all);
    skilled(&app, 1, &all);
    skilled(&app, 2, &["Cobol"]);
    skilled(&app, 3, &all);
    let high = |query: &str| ada.feed(&app, query)["recommendations"]["highMatch"].clone();
    assert_eq!([high("?ml=true"), high("?ml=true&limit=1"), high("?ml=true&limit=2&page=2")], [2, 1, 0]);
    assert_eq!(high(""), 0, "a plain feed has no scores");
}

#[test]
fn who_scores_less_than_a_twentieth_is_left_out() {
    let app = app();
    // Without skills of one's own there is only what the other covers: 0.15 for all ten categories.
    let newcomer = caller(&app, &[]);
    skilled(&app, 1, &[]);
    skilled(&app, 2, &["Rust", "React", "Redis"]);
    skilled(&app, 3, &["Rust", "React", "Redis", "Docker"]);
    skilled(&app, 4, &["Rust", "React", "Redis", "Docker", "Figma"]);
    let answer = newcomer.feed(&app, "?ml=true");
    assert_eq!(ids(&answer), hex([4, 3]), "0.045 is not enough");
    let scores: Vec<f64> = answer["data"].as_array().unwrap().iter().map(score).collect();
    assert_eq!(scores, [0.075, 0.06]);
    let recommendations = &answer["recommendations"];
    assert_eq!((&recommendations["totalAvailable"], &recommendations["mlProcessed"]), (&json!(4), &json!(4)));
    assert_eq!(recommendations["hasMore"], false);
}

#[test]
fn equals_are_newest_first_on_every_page() {
    let app = app();
    let ada = caller(&app, &["Rust"]);
    for number in 1..=45 {
        // Three scores, mixed.
        let skills = [["Rust", "Go"], ["Rust", "Figma"], ["Rust", "RUST"]];
        skilled(&app, number, &skills[(number % 3) as usize]);
    }
    let of = |remainder: u32| (1..=45).rev().filter(move |number| number % 3 == remainder);
    let whole = ada.feed(&app, "?ml=true&limit=200");
    let best = whole["data"][0]["scoreBreakdown"].clone();
    assert_eq!(
        best,
        json!({ "jaccard": 1.0, "cosine": 1.0, "complementary": 0.0, "diversity": 0.1, "experience": 1.0 })
    );
    assert_eq!(ids(&whole)[..15], hex(of(2)));
    // Figma adds a category, and weighs less beside Rust than Go does.
    assert_eq!(ids(&whole)[15..], hex(of(1).chain(of(0))));
    for limit in [1, 4, 7, 15, 44, 45, 46] {
        let pages = ada.pages(&app, &format!("?ml=true&limit={limit}"));
        assert_eq!(all_ids(&pages), ids(&whole), "by {limit}");
        assert_eq!(pages.len(), 45_usize.div_ceil(limit));
        assert!(pages.iter().all(|page| page["recommendations"]["mlProcessed"] == 45));
        let beyond = ada.feed(&app, &format!("?ml=true&limit={limit}&page={}", pages.len() + 1));
        assert_eq!((ids(&beyond).len(), &beyond["recommendations"]["hasMore"]), (0, &json!(false)));
    }
}

#[test]
fn the_pool_is_the_newest_thousand() {
    let app = app();
    let ada = caller(&app, &["Rust"]);
    users(&app, 1..=1_004);
    request(&app, ada.id, id(1_000), "ignore");
    let pages = ada.pages(&app, "?ml=true&limit=200");
    assert_eq!(all_ids(&pages), hex((4..=1_004).rev().filter(|number| *number != 1_000)));
    for page in pages {
        let recommendations = &page["recommendations"];
        assert_eq!(
            (&recommendations["totalAvailable"], &recommendations["mlProcessed"]),
            (&json!(1_003), &json!(1_000))
        );
    }
    let plain = ada.feed(&app, "");
    assert_eq!(plain["recommendations"]["totalAvailable"], 1_003, "the same count as in the plain feed");
}

#[test]
fn a_pool_of_full_profiles_stays_within_the_limits() {
    let app = app();
    let skills = |number: u32| -> Vec<String> {
        (0..50)
            .map(|place| {
                if place % 2 == 0 {
                    format!("Skill {}", number * 7 + place)
                } else {
                    varied(2_047)[place as usize % 11].to_owned() + " "
                }
            })
            .collect()
    };
    let ada = member(&app, 100_000, doc! { "skills": skills(1), "membershipTier": "gold" });
    for number in 1..=1_000 {
        user(&app, number, doc! { "skills": skills(number), "about": "a".repeat(1_000) });
    }
    let answer = ada.feed(&app, "?ml=true&limit=200&page=5");
    assert_eq!((ids(&answer).len(), &answer["recommendations"]["mlProcessed"]), (200, &json!(1_000)));
}
