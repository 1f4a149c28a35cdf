//! Templates of cache keys: `user:{_id}` names the key of each user's document. The application says by them which cached values
//! follow from a collection, so that every commit of every component makes those stale that it has to.
//!
//! Reads writes and touches nothing.

use std::collections::BTreeSet;

use bson::{Bson, RawBson, RawBsonRef};
use serde::Deserialize;

use crate::cache::{MAX_KEY, check_key};
use crate::documents::{Filter, Write};
use crate::text;

/// The most keys that one template makes of one write.
const MAX_KEYS: usize = 1_000;

/// A key in which `{field}` stands for the value of a document's field.
///
/// A value is an id, a text or a whole number. What no key can have, such as a text with a space, is in no key: nobody can have
/// cached anything under it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct KeyTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(String),
}

impl TryFrom<String> for KeyTemplate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = |why: &str| format!("the key {text:?} is wrong: {why}");
        let (mut parts, mut rest) = (Vec::new(), text.as_str());
        while let Some((before, after)) = rest.split_once('{') {
            let (field, behind) = after.split_once('}').ok_or_else(|| wrong("a `{` has no `}`"))?;
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if field.is_empty() || !field.bytes().all(is_name) {
                return Err(wrong("between `{` and `}` stands the name of a whole field: letters, digits and `_`"));
            }
            if before.is_empty() && !parts.is_empty() {
                return Err(wrong("something has to stand between two fields"));
            }
            parts.extend((!before.is_empty()).then(|| Part::Text(before.to_owned())));
            parts.push(Part::Field(field.to_owned()));
            rest = behind;
        }
        parts.extend((!rest.is_empty()).then(|| Part::Text(rest.to_owned())));
        let fixed: String =
            parts.iter().map(|part| if let Part::Text(text) = part { text.as_str() } else { "" }).collect();
        if fixed.contains('}') || check_key(&fixed).is_err() {
            return Err(wrong(&format!(
                "besides fields it takes 1 to {MAX_KEY} printable ASCII characters without spaces"
            )));
        }
        Ok(Self { text, parts })
    }
}

impl KeyTemplate {
    /// As a pattern of keys: `user:*`.
    pub fn pattern(&self) -> String {
        self.parts.iter().map(|part| if let Part::Text(text) = part { text.as_str() } else { "*" }).collect()
    }

    /// The keys of the documents that a write touches.
    ///
    /// # Errors
    /// Nobody can know them before the write: its filter leaves a field open, or it changes one. Or there are too many.
    pub fn keys(&self, write: &Write) -> Result<Vec<String>, String> {
        let mut keys = vec![String::new()];
        for part in &self.parts {
            let values = match part {
                Part::Text(text) => vec![text.clone()],
                Part::Field(field) => values(write, field).ok_or_else(|| self.open(write, field))?,
            };
            if keys.len() * values.len() > MAX_KEYS {
                return Err(format!(
                    "one write makes more than {MAX_KEYS} cached values of {:?} stale; write less at once",
                    self.text
                ));
            }
            keys = keys.iter().flat_map(|key| values.iter().map(move |value| format!("{key}{value}"))).collect();
        }
        keys.retain(|key| check_key(key).is_ok());
        Ok(keys)
    }

    fn open(&self, write: &Write, field: &str) -> String {
        let collection = text::cut(write.collection(), text::MAX_NAME);
        format!(
            "a write to {collection} has to say of which {field} it is, because cached values follow from it ({:?} in \
             application.toml): let its filter have {field}, as a value or in `$in`, and do not change that field",
            self.text
        )
    }
}

/// The values that a field has in the documents that a write touches, before and after it; none when the write does not say.
fn values(write: &Write, field: &str) -> Option<Vec<String>> {
    match write {
        Write::Insert { document, .. } => Some(match document.get(field).ok()? {
            Some(RawBsonRef::Array(array)) => array.into_iter().flatten().filter_map(name).collect(),
            value => value.and_then(name).into_iter().collect(),
        }),
        Write::Update { filter, change, .. } => {
            let mut changed = change.paths().map(|path| path.split('.').next().unwrap_or(path));
            if changed.any(|changed| changed == field) { None } else { wanted(filter, field) }
        }
        Write::Delete { filter, .. } => wanted(filter, field),
    }
}

/// The values that a filter wants of a field.
fn wanted(filter: &Filter, field: &str) -> Option<Vec<String>> {
    let named = |value: Bson| RawBson::try_from(value).ok().and_then(|value| name(value.as_raw_bson_ref()));
    let equal = filter.equalities().into_iter().find(|(path, _)| *path == field);
    if let Some((_, value)) = equal {
        return Some(named(value).into_iter().collect());
    }
    let Ok(Some(RawBsonRef::Document(tests))) = filter.source().get(field) else { return None };
    let Ok(Some(RawBsonRef::Array(any))) = tests.get("$in") else { return None };
    let names: BTreeSet<String> = any.into_iter().flatten().filter_map(name).collect();
    Some(names.into_iter().collect())
}

/// How a value stands in a key.
fn name(value: RawBsonRef<'_>) -> Option<String> {
    match value {
        RawBsonRef::ObjectId(id) => Some(id.to_hex()),
        RawBsonRef::String(text) => Some(text.to_owned()),
        RawBsonRef::Int32(number) => Some(number.to_string()),
        RawBsonRef::Int64(number) => Some(number.to_string()),
        // The same number to a filter.
        RawBsonRef::Double(number) if number.fract() == 0.0 => Some(format!("{:.0}", number + 0.0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bson::oid::ObjectId;
    use bson::{Document, RawDocumentBuf, doc};

    use super::*;
    use crate::documents::Change;

    fn template(text: &str) -> KeyTemplate {
        KeyTemplate::try_from(text.to_owned()).unwrap()
    }

    fn insert(document: &Document) -> Write {
        let document = RawDocumentBuf::try_from(document).unwrap();
        Write::Insert { collection: "c".to_owned(), document }
    }

    fn update(filter: &Document, change: &Document) -> Write {
        Write::Update {
            collection: "c".to_owned(),
            filter: Filter::from_document(filter).unwrap(),
            change: Change::from_document(change).unwrap(),
            upsert: false,
            many: true,
            must_match: false,
        }
    }

    fn delete(filter: &Document) -> Write {
        let filter = Filter::from_document(filter).unwrap();
        Write::Delete { collection: "c".to_owned(), filter, many: true, must_match: false }
    }

    fn keys(text: &str, write: &Write) -> Result<Vec<String>, String> {
        template(text).keys(write)
    }

    fn some<const N: usize>(keys: [&str; N]) -> Result<Vec<String>, String> {
        Ok(keys.map(str::to_owned).to_vec())
    }

    #[test]
    fn a_write_that_says_what_it_is_about_names_its_keys() {
        let id = ObjectId::from_bytes([0xab; 12]);
        let hex = id.to_hex();
        let set = doc! { "$set": { "b": 1 } };
        assert_eq!(keys("user:{_id}:card", &insert(&doc! { "_id": id })), Ok(vec![format!("user:{hex}:card")]));
        assert_eq!(keys("x:{a}:{b}", &insert(&doc! { "_id": 1, "a": "p:q", "b": 5_i64 })), some(["x:p:q:5"]));
        assert_eq!(keys("x:{a}", &update(&doc! { "a": 5.0, "c": { "$gt": 1 } }, &set)), some(["x:5"]));
        assert_eq!(keys("x:{a}", &update(&doc! { "$and": [{ "a": { "$eq": "1" } }] }, &set)), some(["x:1"]));
        assert_eq!(keys("x:{a}", &delete(&doc! { "a": { "$in": ["2", "1", "2"] } })), some(["x:1", "x:2"]));
        assert_eq!(
            keys("x:{a}:{b}", &delete(&doc! { "a": { "$in": [1, 2] }, "b": { "$in": ["p", "q"] } })),
            some(["x:1:p", "x:1:q", "x:2:p", "x:2:q"])
        );
        assert_eq!(keys("all", &delete(&doc! {})), some(["all"]));
    }

    #[test]
    fn what_can_be_in_no_key_is_in_none() {
        for odd in [doc! {}, doc! { "a": null }, doc! { "a": { "b": 1 } }, doc! { "a": "a b" }, doc! { "a": "é" }] {
            assert_eq!(keys("x:{a}", &insert(&odd)), some([]), "{odd}");
        }
        assert_eq!(keys("x:{a}", &insert(&doc! { "a": "x".repeat(600) })), some([]));
        // An old document may have a list there: it is found by each of its values.
        assert_eq!(keys("x:{a}", &insert(&doc! { "a": ["1", 2, null] })), some(["x:1", "x:2"]));
    }

    #[test]
    fn a_write_that_leaves_open_what_it_is_about_is_refused_in_words() {
        let set = doc! { "$set": { "b": 1 } };
        let open = [
            delete(&doc! {}),
            delete(&doc! { "a": { "$ne": 1 } }),
            delete(&doc! { "a": { "$gt": 1 } }),
            delete(&doc! { "$or": [{ "a": 1 }, { "b": 1 }] }),
            delete(&doc! { "a.b": 1 }),
            update(&doc! { "_id": 1 }, &set),
            update(&doc! { "a": 1 }, &doc! { "$set": { "a": 2 } }),
            update(&doc! { "a": 1 }, &doc! { "$unset": { "a.b": 1 } }),
        ];
        for write in open {
            let why = keys("x:{a}", &write).unwrap_err();
            assert!(why.contains("of which a it is") && why.contains("\"x:{a}\""), "{why}");
        }
        let many: Vec<i32> = (0..40).collect();
        let many = delete(&doc! { "a": { "$in": &many }, "b": { "$in": &many } });
        assert!(keys("x:{a}:{b}", &many).unwrap_err().contains("more than 1000"));
    }

    #[test]
    fn a_template_that_makes_no_keys_is_refused() {
        for (text, why) in [
            ("", "printable ASCII"),
            ("{a}", "printable ASCII"),
            ("a b:{c}", "printable ASCII"),
            ("a:{b", "has no `}`"),
            ("a:b}", "printable ASCII"),
            ("a:{}", "the name of a whole field"),
            ("a:{b.c}", "the name of a whole field"),
            ("a:{$b}", "the name of a whole field"),
            ("a:{b}{c}", "between two fields"),
        ] {
            let error = KeyTemplate::try_from(text.to_owned()).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert_eq!(template("user:{_id}:card").pattern(), "user:*:card");
    }
}
