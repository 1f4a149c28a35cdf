//! JSON bodies into structs, with errors that a caller can act on: which field, and what was wrong with it.
//! The way out is [`Response::json`](crate::http::Response::json), for structs and for documents alike: ids become
//! hex strings there and dates ISO 8601 with milliseconds.

use serde::de::DeserializeOwned;

use crate::http::Error;

/// How many objects and arrays may lie inside each other.
const DEEPEST: usize = 32;

/// `body` as a `T`. The body must be a JSON object, at most 32 levels deep, and an empty one counts as `{}`; a wrong type, a
/// missing field and (where `T` has `#[serde(deny_unknown_fields)]`) an unknown one are 400s that name the field.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    parse_part("body", if body.is_empty() { b"{}" } else { body })
}

/// The same for what the caller knows as `part`: a request's body, a message's payload.
pub fn parse_part<T: DeserializeOwned>(part: &str, body: &[u8]) -> Result<T, Error> {
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Error::bad_request(format!("The {part} must be a JSON object")));
    }
    if depth(body) > DEEPEST {
        return Err(Error::bad_request(format!("The {part} is nested deeper than {DEEPEST} levels")));
    }
    serde_json::from_slice(body).map_err(|error| explained(part, body, &error))
}

/// The greatest number of brackets that are open at once, outside of strings.
fn depth(body: &[u8]) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                open += 1;
                deepest = deepest.max(open);
            }
            b'}' | b']' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn explained(part: &str, body: &[u8], error: &serde_json::Error) -> Error {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    if !error.is_data() {
        return Error::bad_request(format!("The {part} is not JSON: {text}"));
    }
    let mut names = names_at(body, error.line(), error.column());
    if text.starts_with("missing field") {
        // It is the object around that lacks it, whatever its last field was.
        names.pop();
    }
    names.retain(|name| !name.is_empty());
    Error::bad_request(if names.is_empty() { text.to_string() } else { format!("{}: {text}", names.join(".")) })
}

/// For each object or array that is open at the given place (line and column from 1), the name of its present field;
/// empty for an item of an array.
fn names_at(body: &[u8], line: usize, column: usize) -> Vec<String> {
    let before: usize = body.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    let end = (before + column).min(body.len());
    let mut names: Vec<String> = Vec::new();
    let mut last_string = String::new();
    let mut bytes = body.iter().take(end).copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => last_string = string_literal(&mut bytes),
            b':' => {
                if let Some(name) = names.last_mut() {
                    name.clone_from(&last_string);
                }
            }
            b',' if bytes.len() > 0 => {
                if let Some(name) = names.last_mut() {
                    name.clear();
                }
            }
            b'{' | b'[' => names.push(String::new()),
            b'}' | b']' if bytes.len() > 0 => {
                names.pop();
            }
            _ => {}
        }
    }
    names
}

/// The rest of a string whose opening quote has been read; escapes other than of `"` stay as they are written.
fn string_literal(bytes: &mut impl Iterator<Item = u8>) -> String {
    let mut text = Vec::new();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => text.extend(bytes.next()),
            other => text.push(other),
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Profile {
        name: String,
        age: Option<u32>,
        address: Option<Address>,
        #[serde(default)]
        skills: Vec<String>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Address {
        city: String,
    }

    fn message(body: &str) -> String {
        match parse::<Profile>(body.as_bytes()) {
            Err(Error::BadRequest(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn errors_name_the_field() {
        assert_eq!(message(r#"{"name":"a","age":"x"}"#), r#"age: invalid type: string "x", expected u32"#);
        assert_eq!(
            message("{\n \"name\": \"a\",\n \"address\": {\"city\": 5}\n}"),
            "address.city: invalid type: integer `5`, expected a string"
        );
        assert!(message(r#"{"name":"a","skills":["x",1]}"#).starts_with("skills: invalid type"));
        assert!(message(r#"{"name":"a","admin":true}"#).starts_with("unknown field `admin`"));
        assert_eq!(message(r#"{"age":3}"#), "missing field `name`");
        assert_eq!(message(r#"{"name":"a","address":{"street":{"x":[]}}}"#), "address: missing field `city`");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert_eq!(message(""), "missing field `name`", "nothing is sent where nothing is meant");
        for body in [" ", "[]", "\"x\"", "null", "  7"] {
            assert_eq!(message(body), "The body must be a JSON object");
        }
        assert!(message("{\"name\":").starts_with("The body is not JSON"));
        assert!(message("{} x").contains("name") || !message("{} x").is_empty());
    }

    #[test]
    fn depth_counts_outside_of_strings() {
        assert_eq!(depth(br#"{"a":["[[[[",{"\"{":1}]}"#), 3);
        let deep = format!("{{\"name\":{}{}}}", "[".repeat(32), "]".repeat(32));
        assert_eq!(message(&deep), "The body is nested deeper than 32 levels");
    }
}
