//! A JSON body taken apart field by field, so that one answer names everything that is wrong with it.

use devconnect_sdk::http::{Error, Request};
use serde_json::{Map, Value};

/// A body whose fields are taken out one after the other; what is wrong with them is gathered on the way.
#[derive(Debug)]
pub struct Body {
    fields: Map<String, Value>,
    problems: Vec<String>,
}

impl Body {
    /// The body of `request`: 400 when it is no JSON object.
    pub fn of(request: &Request) -> Result<Self, Error> {
        request.json().map(Self::new)
    }

    /// Of fields that have been read already.
    pub fn new(fields: Map<String, Value>) -> Self {
        Self { fields, problems: Vec::new() }
    }

    /// Takes out the field `name`; what `read` says of its value is a problem. None when it is not there or wrong.
    pub fn optional<T>(&mut self, name: &str, read: impl FnOnce(&Value) -> Result<T, String>) -> Option<T> {
        let value = self.fields.remove(name)?;
        read(&value).map_err(|problem| self.problems.push(format!("{name} {problem}"))).ok()
    }

    /// As [`Body::optional`], and its absence is a problem, too.
    pub fn required<T>(&mut self, name: &str, read: impl FnOnce(&Value) -> Result<T, String>) -> Option<T> {
        if !self.fields.contains_key(name) {
            self.problems.push(format!("{name} is required"));
        }
        self.optional(name, read)
    }

    /// Forgets the field `name` when it is an empty text, as a form sends what was not filled in.
    pub fn drop_empty(&mut self, name: &str) {
        if self.fields.get(name).and_then(Value::as_str).is_some_and(|text| text.trim().is_empty()) {
            self.fields.remove(name);
        }
    }

    /// 400 when something was wrong, or when fields are left that nobody took.
    pub fn finish(mut self) -> Result<(), Error> {
        let left = self.fields.keys().map(|name| format!("{} is not a known field", shortened(name)));
        self.problems.extend(left);
        if self.problems.is_empty() { Ok(()) } else { Err(Error::bad_request(sentence(&self.problems))) }
    }
}

/// At most ten of them: a body can have thousands of unknown fields.
fn sentence(problems: &[String]) -> String {
    let shown: Vec<&str> = problems.iter().take(10).map(String::as_str).collect();
    shown.join("; ")
}

fn shortened(name: &str) -> String {
    name.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(value: Value) -> Body {
        Body::new(value.as_object().cloned().unwrap())
    }

    fn number(value: &Value) -> Result<i64, String> {
        value.as_i64().ok_or_else(|| "must be a number".to_owned())
    }

    #[test]
    fn every_problem_is_named() {
        let mut body = body(json!({ "a": "x", "admin": true, "blank": " " }));
        body.drop_empty("blank");
        assert_eq!(body.optional("a", number), None);
        assert_eq!(body.required("b", number), None);
        assert_eq!(body.optional("blank", number), None);
        let error = body.finish().unwrap_err();
        assert_eq!(error, Error::bad_request("a must be a number; b is required; admin is not a known field"));
    }

    #[test]
    fn a_good_body_finishes() {
        let mut body = body(json!({ "a": 1 }));
        assert_eq!(body.required("a", number), Some(1));
        assert!(body.finish().is_ok());
    }
}
