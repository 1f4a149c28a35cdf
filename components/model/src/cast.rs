//! Stored values as mongoose read them. The earlier DevConnect looked at its documents through schemas, whatever was in them: a
//! number as text, a lone value where a list belongs. Here the same, and nothing is written back.

use devconnect_sdk::bson::{Bson, DateTime, Document, ObjectId};

/// What a field of a schema is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Truth,
    /// A moment.
    Date,
    /// The id of a document.
    Id,
    /// A list of texts.
    Texts,
}

/// The fields of a collection.
pub type Schema = [(&'static str, Kind)];

/// Casts each field of a schema that is there. One that can't be cast is not there, as mongoose had it; null stays null.
pub fn document(mut document: Document, schema: &Schema) -> Document {
    for (field, kind) in schema {
        if document.get(field).is_none_or(|value| kind.is(value)) {
            continue;
        }
        if let Some(value) = document.remove(field).and_then(|value| kind.cast(value)) {
            document.insert(*field, value);
        }
    }
    document
}

impl Kind {
    /// Whether a value is of this kind, or null.
    fn is(self, value: &Bson) -> bool {
        match (self, value) {
            (_, Bson::Null) | (Self::Text, Bson::String(_)) | (Self::Truth, Bson::Boolean(_)) => true,
            (Self::Number, Bson::Int32(_) | Bson::Int64(_)) | (Self::Id, Bson::ObjectId(_)) => true,
            (Self::Number, Bson::Double(number)) => !number.is_nan(),
            (Self::Date, Bson::DateTime(_)) => value.as_date().is_some(),
            (Self::Texts, Bson::Array(values)) => values.iter().all(|value| Self::Text.is(value)),
            _ => false,
        }
    }

    /// A value as one of this kind; none where mongoose has no way to it.
    pub fn cast(self, value: Bson) -> Option<Bson> {
        if self.is(&value) {
            return Some(value);
        }
        match self {
            Self::Text => text(&value).map(Bson::from),
            Self::Number => number(&value),
            Self::Truth => truth(&value).map(Bson::from),
            Self::Date => date(&value).map(Bson::from),
            Self::Id => id(&value).map(Bson::from),
            Self::Texts => texts(value).map(Bson::from),
        }
    }
}

/// The text that JavaScript makes of a value.
fn text(value: &Bson) -> Option<String> {
    Some(match value {
        Bson::Boolean(value) => value.to_string(),
        Bson::Int32(number) => number.to_string(),
        Bson::Int64(number) => number.to_string(),
        Bson::Double(number) if *number == f64::INFINITY => "Infinity".into(),
        Bson::Double(number) if *number == f64::NEG_INFINITY => "-Infinity".into(),
        Bson::Double(number) => number.to_string(),
        Bson::ObjectId(id) => id.to_hex(),
        Bson::DateTime(date) => date.to_string(),
        Bson::Binary(binary) => String::from_utf8_lossy(&binary.bytes).into_owned(),
        Bson::Opaque(opaque) => opaque.decimal_text().or_else(|| value.as_str().map(str::to_owned))?,
        value => value.as_str()?.to_owned(),
    })
}

fn number(value: &Bson) -> Option<Bson> {
    let number = match value {
        Bson::Boolean(value) => return Some(i32::from(*value).into()),
        Bson::DateTime(date) => return Some(date.millis().into()),
        value => match value.as_str() {
            Some(text) => typed(text.trim())?,
            None => value.as_f64()?,
        },
    };
    if number.is_nan() {
        return None;
    }
    let narrow = Bson::Double(number).as_i64().and_then(|whole| i32::try_from(whole).ok());
    Some(narrow.map_or(Bson::Double(number), Bson::Int32))
}

/// The number that a text is to JavaScript, but for its hexadecimals and the like.
fn typed(text: &str) -> Option<f64> {
    let digits = text.trim_start_matches(['+', '-']);
    let is_number = digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') || digits == "Infinity";
    if is_number { text.parse().ok() } else { None }
}

fn truth(value: &Bson) -> Option<bool> {
    match (value.as_str(), value.as_f64()) {
        (Some("true" | "1" | "yes"), _) => Some(true),
        (Some("false" | "0" | "no"), _) => Some(false),
        (_, Some(1.0)) => Some(true),
        (_, Some(0.0)) => Some(false),
        _ => None,
    }
}

/// A date of milliseconds, or of text as ISO 8601 has it; a time without an offset is of UTC.
fn date(value: &Bson) -> Option<DateTime> {
    let date = match value.as_str().map(str::trim) {
        Some(text) => text.parse().or_else(|_| format!("{text}Z").parse()).ok()?,
        None => DateTime::from_millis(Bson::Double(value.as_f64()?.trunc()).as_i64()?),
    };
    // Not one that no client can hold.
    Bson::from(date).as_date()
}

/// The id in a value: of 24 digits of text, or of a document that was put in the place of its id.
pub fn id(value: &Bson) -> Option<ObjectId> {
    match value {
        Bson::ObjectId(id) => Some(*id),
        Bson::Document(document) => document.get_oid("_id"),
        value => value.as_str()?.parse().ok(),
    }
}

/// A lone value is a list of one. A list keeps its nulls and loses values that are not text.
fn texts(value: Bson) -> Option<Vec<Bson>> {
    match value {
        Bson::Array(values) => Some(values.into_iter().filter_map(|value| Kind::Text.cast(value)).collect()),
        value => Some(vec![Kind::Text.cast(value)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use devconnect_sdk::doc;

    fn cast(kind: Kind, value: impl Into<Bson>) -> Option<Bson> {
        kind.cast(value.into())
    }

    #[test]
    fn text_is_what_javascript_makes_of_a_value() {
        for (value, expected) in [
            (Bson::from("Ada"), "Ada"),
            (5.into(), "5"),
            ((1_i64 << 40).into(), "1099511627776"),
            (5.0.into(), "5"),
            (0.5.into(), "0.5"),
            (f64::NAN.into(), "NaN"),
            (f64::NEG_INFINITY.into(), "-Infinity"),
            (true.into(), "true"),
            (ObjectId::from_bytes([1; 12]).into(), "010101010101010101010101"),
            (DateTime::from_millis(0).into(), "1970-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(cast(Kind::Text, value), Some(expected.into()));
        }
        assert_eq!([cast(Kind::Text, doc! {}), cast(Kind::Text, vec!["a"])], [None, None]);
        assert_eq!(cast(Kind::Text, Bson::Null), Some(Bson::Null));
    }

    #[test]
    fn numbers_may_be_text() {
        for (value, expected) in [
            (Bson::from("33"), Some(33.into())),
            (" 33 ".into(), Some(33.into())),
            ("1e3".into(), Some(1_000.into())),
            ("-0.5".into(), Some((-0.5).into())),
            (true.into(), Some(1.into())),
            (33.0.into(), Some(33.0.into())),
            (DateTime::from_millis(7).into(), Some(7_i64.into())),
            ("".into(), None),
            ("33 years".into(), None),
            ("nan".into(), None),
            (f64::NAN.into(), None),
            (vec![33].into(), None),
            (doc! {}.into(), None),
        ] {
            assert_eq!(Kind::Number.cast(value.clone()), expected, "{value:?}");
        }
    }

    #[test]
    fn truth_may_be_text_or_a_number() {
        for value in [Bson::from(true), "true".into(), "1".into(), "yes".into(), 1.into(), 1.0.into()] {
            assert_eq!(cast(Kind::Truth, value), Some(true.into()));
        }
        for value in [Bson::from(false), "false".into(), "0".into(), "no".into(), 0.into()] {
            assert_eq!(cast(Kind::Truth, value), Some(false.into()));
        }
        for value in [Bson::from("maybe"), 2.into(), "".into(), doc! {}.into()] {
            assert_eq!(cast(Kind::Truth, value), None);
        }
    }

    #[test]
    fn dates_may_be_text_or_milliseconds() {
        let date = DateTime::from_millis(1_709_164_800_123);
        for value in [
            Bson::from(date),
            1_709_164_800_123_i64.into(),
            1_709_164_800_123.5.into(),
            "2024-02-29T00:00:00.123Z".into(),
            "2024-02-29T02:00:00.123+02:00".into(),
            "2024-02-29T00:00:00.123".into(),
        ] {
            assert_eq!(cast(Kind::Date, value), Some(date.into()));
        }
        assert_eq!(cast(Kind::Date, "2024-02-29"), Some(DateTime::from_millis(1_709_164_800_000).into()));
        for value in [Bson::from("soon"), true.into(), i64::MAX.into(), DateTime::from_millis(i64::MIN).into()] {
            assert_eq!(cast(Kind::Date, value), None);
        }
    }

    #[test]
    fn ids_may_be_text() {
        let id = ObjectId::from_bytes([1; 12]);
        for value in [Bson::from(id), id.to_hex().into(), doc! { "_id": id }.into()] {
            assert_eq!(cast(Kind::Id, value), Some(id.into()));
        }
        assert_eq!([cast(Kind::Id, "ada"), cast(Kind::Id, 5)], [None, None]);
    }

    #[test]
    fn a_lone_value_is_a_list() {
        assert_eq!(cast(Kind::Texts, "rust"), Some(vec!["rust"].into()));
        assert_eq!(cast(Kind::Texts, 5), Some(vec!["5"].into()));
        let mixed = Bson::Array(vec!["a".into(), 5.into(), Bson::Null, doc! {}.into(), true.into()]);
        let expected = Bson::Array(vec!["a".into(), "5".into(), Bson::Null, "true".into()]);
        assert_eq!(cast(Kind::Texts, mixed), Some(expected));
        assert_eq!(cast(Kind::Texts, doc! {}), None);
    }

    #[test]
    fn what_a_schema_does_not_name_stays() {
        let schema = [("age", Kind::Number), ("skills", Kind::Texts), ("at", Kind::Date), ("none", Kind::Text)];
        let stored = doc! { "age": "33", "skills": "rust", "at": "soon", "other": { "age": "33" } };
        let expected = doc! { "other": { "age": "33" }, "age": 33, "skills": ["rust"] };
        assert_eq!(document(stored, &schema), expected);
    }
}
