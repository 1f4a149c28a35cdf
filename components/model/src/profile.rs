//! The fields of a profile that its owner may change, and the rule that each follows.

use devconnect_sdk::bson::{Bson, Document};
use devconnect_sdk::http::Error;
use serde_json::Value;

use crate::body::Body;
use crate::{email, text};

const GENDERS: [&str; 3] = ["male", "female", "others"];
const AGES: std::ops::RangeInclusive<i64> = 18..=120;
const MOST_SKILLS: usize = 50;
const LONGEST_URL: usize = 2_048;
const LONGEST_ABOUT: usize = 1_000;

/// How a body came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// By a client that sends only what it means.
    Exact,
    /// By a form that sends each of its inputs: empty ones are not meant, and an age may be text.
    WholeForm,
}

/// What to set in the user document; 400 that names all problems, one unknown field being enough.
pub fn changes(mut body: Body, form: Form) -> Result<Document, Error> {
    if form == Form::WholeForm {
        ["age", "gender", "photoUrl", "about"].iter().for_each(|field| body.drop_empty(field));
    }
    let mut set = Document::new();
    for (field, read) in FIELDS {
        if let Some(value) = body.optional(field, *read) {
            set.insert(*field, value);
        }
    }
    if let Some(age) = body.optional("age", |value| age(value, form)) {
        set.insert("age", age);
    }
    if let Some(address) = body.optional("emailId", email::address) {
        set.insert("emailKey", &address);
        set.insert("emailId", address);
    }
    body.finish()?;
    Ok(set)
}

type Rule = fn(&Value) -> Result<Bson, String>;

/// The fields that follow the same rule wherever they come from.
const FIELDS: &[(&str, Rule)] = &[
    ("firstName", |value| name(value).map(Bson::from)),
    ("lastName", |value| name(value).map(Bson::from)),
    ("photoUrl", |value| photo_url(value).map(Bson::from)),
    ("gender", |value| gender(value).map(Bson::from)),
    ("about", |value| text::lines(value, 0..=LONGEST_ABOUT).map(Bson::from)),
    ("skills", |value| skills(value).map(Bson::from)),
];

/// A first or a last name.
pub fn name(value: &Value) -> Result<String, String> {
    text::line(value, 1..=50)
}

fn gender(value: &Value) -> Result<String, String> {
    let gender = text::any(value)?;
    if GENDERS.contains(&gender) { Ok(gender.into()) } else { Err(format!("must be one of {}", GENDERS.join(", "))) }
}

fn age(value: &Value, form: Form) -> Result<i32, String> {
    let problem = || format!("must be a whole number from {} to {}", AGES.start(), AGES.end());
    let age = match value {
        Value::Number(number) => {
            number.as_i64().or_else(|| number.as_f64().and_then(|number| Bson::Double(number).as_i64()))
        }
        Value::String(text) if form == Form::WholeForm => text.trim().parse().ok(),
        _ => None,
    };
    age.filter(|age| AGES.contains(age)).and_then(|age| i32::try_from(age).ok()).ok_or_else(problem)
}

fn photo_url(value: &Value) -> Result<String, String> {
    let url = text::line(value, 1..=LONGEST_URL)?;
    if is_web_url(&url) { Ok(url) } else { Err("must be an http or https URL".into()) }
}

/// A scheme of the web, then a host; nothing that could end an attribute of a page.
fn is_web_url(url: &str) -> bool {
    let rest = ["https://", "http://"].iter().find_map(|scheme| {
        let (head, rest) = url.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    let Some(rest) = rest else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_of_host =
        |character: char| character.is_alphanumeric() || matches!(character, '.' | '-' | '_' | ':' | '[' | ']');
    let is_plain = |character: char| !character.is_whitespace() && !matches!(character, '"' | '<' | '>' | '\\' | '`');
    authority.chars().any(char::is_alphanumeric) && authority.chars().all(is_of_host) && rest.chars().all(is_plain)
}

/// Trimmed, each once, in the order in which they came.
fn skills(value: &Value) -> Result<Vec<String>, String> {
    let values = value.as_array().ok_or_else(|| "must be a list of texts".to_owned())?;
    if values.len() > MOST_SKILLS {
        return Err(format!("must be at most {MOST_SKILLS}"));
    }
    let mut skills: Vec<String> = Vec::with_capacity(values.len());
    for value in values {
        let skill = text::line(value, 1..=50).map_err(|problem| format!("has one that {problem}"))?;
        if !skills.contains(&skill) {
            skills.push(skill);
        }
    }
    Ok(skills)
}

#[cfg(test)]
mod tests {
    use super::*;
    use devconnect_sdk::doc;
    use serde_json::json;

    fn set(body: Value, form: Form) -> Result<Document, Error> {
        changes(Body::new(body.as_object().cloned().unwrap()), form)
    }

    #[test]
    fn good_values_are_set_as_they_are_stored() {
        let body = json!({ "firstName": " Ada ", "emailId": "Ada@Example.com", "age": 36.0, "skills": ["rust", " rust ", "wasm"], "about": "" });
        let expected = doc! { "firstName": "Ada", "about": "", "skills": ["rust", "wasm"], "age": 36, "emailKey": "ada@example.com", "emailId": "ada@example.com" };
        assert_eq!(set(body, Form::Exact), Ok(expected));
    }

    #[test]
    fn one_bad_value_refuses_all() {
        let many: Vec<String> = (0..51).map(|number| number.to_string()).collect();
        for body in [
            json!({ "firstName": " " }),
            json!({ "firstName": "\u{200b}\u{3164}" }),
            json!({ "skills": ["\u{2800}"] }),
            json!({ "lastName": "x".repeat(51) }),
            json!({ "age": 17 }),
            json!({ "age": 18.5 }),
            json!({ "age": "33" }),
            json!({ "age": null }),
            json!({ "gender": "robot" }),
            json!({ "gender": "" }),
            json!({ "photoUrl": "javascript:alert(1)" }),
            json!({ "photoUrl": "https://" }),
            json!({ "photoUrl": "https://a.b/\" onload=\"x" }),
            json!({ "about": "x".repeat(1_001) }),
            json!({ "skills": "rust" }),
            json!({ "skills": [""] }),
            json!({ "skills": [5] }),
            json!({ "skills": many }),
            json!({ "password": "Passw0rd!" }),
            json!({ "firstName": "Ada", "isPremium": true }),
            json!({ "firstName": "Ada", "emailId": { "$ne": null } }),
        ] {
            assert!(matches!(set(body.clone(), Form::Exact), Err(Error::BadRequest(_))), "{body}");
        }
    }

    #[test]
    fn a_whole_form_may_have_empty_inputs() {
        let body = json!({ "firstName": "Ada", "age": "33", "gender": "", "photoUrl": "", "about": " ", "skills": [] });
        assert_eq!(set(body, Form::WholeForm), Ok(doc! { "firstName": "Ada", "skills": [], "age": 33 }));
        assert!(set(json!({ "firstName": "" }), Form::WholeForm).is_err());
        assert!(set(json!({ "age": "33 years" }), Form::WholeForm).is_err());
    }
}
