//! Cases about documents of an earlier database: of types, depths and sizes that no commit takes.

use bson::raw::cstr;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, JavaScriptCodeWithScope, RawDocumentBuf, Regex, Timestamp, doc};
use capability::documents::{Effect, Projection};

use super::{Subject, query, raw, update};

/// Fields that an old document may have, by what is odd about them.
pub fn odd_fields() -> Vec<(&'static str, Bson)> {
    let scope = JavaScriptCodeWithScope { code: "f()".into(), scope: doc! { "a": 1 } };
    vec![
        ("undefined", Bson::Undefined),
        ("symbol", Bson::Symbol("s".into())),
        ("decimal", Bson::Decimal128("1.50".parse().unwrap())),
        ("decimals", vec![Bson::Decimal128("NaN".parse().unwrap()), 1.into()].into()),
        ("regex", Regex { pattern: cstr!("^a").into(), options: cstr!("i").into() }.into()),
        ("code", Bson::JavaScriptCode("f()".into())),
        ("scope", scope.into()),
        ("low", Bson::MinKey),
        ("high", Bson::MaxKey),
        ("stamp", Timestamp { time: 5, increment: 6 }.into()),
        ("old binary", Binary { subtype: BinarySubtype::BinaryOld, bytes: vec![1, 2, 3] }.into()),
        ("user binary", Binary { subtype: BinarySubtype::UserDefined(0x90), bytes: vec![1] }.into()),
        ("names", doc! { "$a": 1, "b.c": 2, "": 3, "d\u{1}": 4 }.into()),
        ("$name", 1.into()),
        ("dotted.name", 1.into()),
        ("", 1.into()),
        ("deep", (0..80).fold(Bson::Int32(1), |inner, _| doc! { "d": inner }.into())),
        ("long", "x".repeat(700_000).into()),
        ("larger", "x".repeat(1_500_000).into()),
        ("not a number", f64::NAN.into()),
        ("infinity", f64::NEG_INFINITY.into()),
        ("first date", bson::DateTime::MIN.into()),
        ("last date", bson::DateTime::MAX.into()),
        ("zero", "a\0b".into()),
    ]
}

impl Subject {
    async fn adopt(&self, collection: &str, documents: Vec<RawDocumentBuf>) {
        for document in documents {
            self.documents.adopt(collection, vec![document]).await.unwrap();
        }
    }
}

/// A change touches what it names. What else is there stays, byte for byte.
pub async fn odd_fields_pass_through(subject: &Subject) {
    for (name, value) in odd_fields() {
        let before = doc! { "_id": 1, "age": 1, name: value.clone() };
        subject.adopt("people", vec![raw(&before)]).await;
        let found = subject.documents.find(query("people", &doc! { "age": 1 })).await.unwrap();
        assert_eq!(found, [raw(&before)], "{name:?}");
        let change = update("people", &doc! { "_id": 1 }, &doc! { "$set": { "age": 2 }, "$push": { "new": 1 } });
        let again = update("people", &doc! { "_id": 1 }, &doc! { "$set": { "age": 3 } });
        let one = Effect { matched: 1, changed: 1, upserted: false };
        assert_eq!(subject.commit(vec![change, again]).await, Ok(vec![one, one]), "{name:?}");
        let found = subject.documents.find(query("people", &doc! {})).await.unwrap();
        assert_eq!(found, [raw(&doc! { "_id": 1, "age": 3, name: value, "new": [1] })], "{name:?}");
        let kept = update("people", &doc! { "_id": 1 }, &doc! { "$set": { "age": 3 } });
        let touched = super::insert("plain", doc! { "_id": 1 });
        let matched = Effect { matched: 1, ..Effect::default() };
        let done = subject.commit(vec![kept, touched]).await.map(|effects| effects[0]);
        assert_eq!(done, Ok(matched), "{name:?}: a commit that changes nothing of it");
        let all = ["people", "plain"].map(|name| super::delete(name, &doc! { "_id": 1 }));
        subject.commit(all.into()).await.unwrap();
    }
}

/// Text that is not UTF-8 passes through as well: the official drivers wrote half surrogate pairs so.
pub async fn text_that_is_not_utf_8_passes_through(subject: &Subject) {
    let before = raw(&doc! { "_id": 1, "text": "xyz", "age": 1 });
    let bytes = before.into_bytes();
    let at = bytes.windows(3).position(|window| window == b"xyz").unwrap();
    let before = RawDocumentBuf::from_bytes([&bytes[..at], b"\xED\xA0\x80", &bytes[at + 3..]].concat()).unwrap();
    subject.adopt("people", vec![before]).await;
    subject.commit(vec![update("people", &doc! { "_id": 1 }, &doc! { "$set": { "age": 2 } })]).await.unwrap();
    let mut whole = query("people", &doc! { "age": 2 });
    let found = subject.documents.find(whole.clone()).await.unwrap();
    assert!(found[0].as_bytes().windows(3).any(|window| window == b"\xED\xA0\x80"));
    whole.projection = Projection::from_document(&doc! { "age": 0 }).unwrap();
    let without = subject.documents.find(whole).await.unwrap();
    assert!(
        without[0].as_bytes().windows(3).any(|window| window == b"\xED\xA0\x80"),
        "also beside a field that is left out"
    );
}

/// Rows that are too large for a list come without their largest fields, and the others as they are.
pub async fn rows_are_bounded(subject: &Subject) {
    let row =
        |n: i32, bytes: usize| raw(&doc! { "_id": n, "photo": "x".repeat(bytes), "name": n.to_string(), "age": -n });
    let large = (0..40).map(|n| row(n, if n % 2 == 0 { 700_000 } else { 100 })).collect();
    subject.adopt("people", large).await;
    subject.adopt("plain", (0..40).map(|n| row(n, if n % 2 == 0 { 700_000 } else { 100 })).collect()).await;
    for (collection, sort) in [("people", doc! {}), ("people", doc! { "age": -1 }), ("plain", doc! { "age": -1 })] {
        let mut asked = query(collection, &doc! {});
        asked.sort = capability::documents::Sort::from_document(&sort).unwrap();
        asked.projection = Projection::all().at_most(4_096);
        let rows = subject.ask(asked).await;
        assert_eq!(rows.len(), 40);
        for (row, n) in rows.iter().zip(0..) {
            let keys: Vec<&str> = row.keys().map(String::as_str).collect();
            let all: &[&str] = if n % 2 == 0 { &["_id", "name", "age"] } else { &["_id", "photo", "name", "age"] };
            assert_eq!((row.get_i32("_id").unwrap(), keys.as_slice()), (n, all), "{collection} by {sort}");
        }
    }
    let ids: Document = doc! { "_id": "x".repeat(5_000), "name": "a" };
    subject.adopt("people", vec![raw(&ids)]).await;
    let mut asked = query("people", &doc! { "name": "a" });
    asked.projection = Projection::all().at_most(4_096);
    assert_eq!(subject.ask(asked).await, [doc! {}], "an _id that is too large leaves nothing");
}
