//! Filters and changes, made up and damaged: what an operator means by the others, what a change leaves alone, and that
//! whatever a component sends is refused with a short text or understood.

use bson::raw::RawDocumentBuf;
use bson::{Bson, Document, RawDocument, doc};
use fuzzing::{config, damage};
use proptest::prelude::*;

use crate::documents::order::{storable, validate};
use crate::documents::{Change, Error, Filter, Projection, Sort};
use crate::text;

fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).unwrap()
}

fn plain() -> impl Strategy<Value = Bson> {
    prop_oneof![
        4 => (-2i32..3).prop_map(Bson::Int32),
        2 => prop::sample::select(vec![0.0, -0.0, 0.5, 1.0, f64::NAN, f64::INFINITY]).prop_map(Bson::Double),
        1 => prop::sample::select(vec![i64::MIN, -1, 1, i64::MAX]).prop_map(Bson::Int64),
        2 => "[ab]{0,2}".prop_map(Bson::String),
        1 => Just(Bson::Null),
        1 => any::<bool>().prop_map(Bson::Boolean),
        1 => (-2i64..2).prop_map(|millis| bson::DateTime::from_millis(millis).into()),
    ]
}

fn value() -> impl Strategy<Value = Bson> {
    plain().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Bson::Array),
            fields(inner).prop_map(Bson::Document),
        ]
    })
}

fn fields(value: impl Strategy<Value = Bson>) -> impl Strategy<Value = Document> {
    prop::collection::btree_map("[a-c]", value, 0..3).prop_map(|fields| fields.into_iter().collect())
}

fn document() -> impl Strategy<Value = Document> {
    fields(value()).prop_map(|fields| {
        let mut document = doc! { "_id": 1 };
        document.extend(fields);
        document
    })
}

fn path() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "a.b", "b.a", "a.b.c", "a.0", "b.1.a", "c.a"]).prop_map(str::to_owned)
}

/// A condition on the values at a path.
fn condition() -> impl Strategy<Value = Document> {
    let compared = (prop::sample::select(vec!["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]), plain())
        .prop_map(|(operator, value)| doc! { operator: value });
    let listed = (prop::sample::select(vec!["$in", "$nin"]), prop::collection::vec(value(), 0..4))
        .prop_map(|(operator, values)| doc! { operator: values });
    let exists = any::<bool>().prop_map(|exists| doc! { "$exists": exists });
    let plain = prop_oneof![4 => compared, 2 => listed, 1 => exists].boxed();
    let each = plain.clone().prop_map(|condition| doc! { "$elemMatch": condition });
    prop_oneof![4 => plain, 1 => each]
}

fn filter() -> impl Strategy<Value = Document> {
    let term = (path(), condition()).prop_map(|(path, condition)| doc! { path: condition });
    term.prop_recursive(2, 8, 3, |inner| {
        (prop::sample::select(vec!["$and", "$or"]), prop::collection::vec(inner, 1..4))
            .prop_map(|(operator, terms)| doc! { operator: terms })
    })
}

fn matches(filter: &Document, document: &Document) -> bool {
    Filter::from_document(filter).unwrap().matches(&raw(document))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn connectives_mean_what_they_mean_in_logic(one in filter(), other in filter(), document in document()) {
        let (first, second) = (matches(&one, &document), matches(&other, &document));
        prop_assert_eq!(matches(&doc! { "$and": [&one, &other] }, &document), first && second);
        prop_assert_eq!(matches(&doc! { "$or": [&one, &other] }, &document), first || second);
        prop_assert_eq!(matches(&doc! { "$or": [&one, &one] }, &document), first);
        prop_assert!(matches(&Document::new(), &document));
    }

    #[test]
    fn an_operator_and_its_opposite_never_agree(path in path(), condition in condition(), document in document()) {
        let matched = matches(&doc! { &path: &condition }, &document);
        prop_assert_ne!(matches(&doc! { &path: { "$not": &condition } }, &document), matched);
        let (operator, value) = condition.iter().next().unwrap();
        let opposite = match operator.as_str() {
            "$eq" => "$ne",
            "$ne" => "$eq",
            "$in" => "$nin",
            "$nin" => "$in",
            _ => return Ok(()),
        };
        prop_assert_ne!(matches(&doc! { &path: { opposite: value } }, &document), matched);
    }

    #[test]
    fn a_list_is_its_values_one_by_one(
        path in path(),
        values in prop::collection::vec(value(), 0..4),
        document in document(),
    ) {
        let one_of = matches(&doc! { &path: { "$in": &values } }, &document);
        let one = values.iter().any(|value| matches(&doc! { &path: { "$eq": value } }, &document));
        prop_assert_eq!(one_of, one);
    }

    #[test]
    fn a_bound_is_what_is_beyond_it_or_equal(path in path(), bound in plain(), document in document()) {
        let at = |operator: &str| matches(&doc! { &path: { operator: &bound } }, &document);
        prop_assert_eq!(at("$gte"), at("$gt") || at("$eq"));
        prop_assert_eq!(at("$lte"), at("$lt") || at("$eq"));
    }

    #[test]
    fn a_filter_is_the_same_once_it_was_written_and_read(filter in filter(), document in document()) {
        let parsed = Filter::from_document(&filter).unwrap();
        let again = Filter::from_document(&parsed.to_document()).unwrap();
        prop_assert_eq!(parsed.matches(&raw(&document)), again.matches(&raw(&document)));
        prop_assert_eq!(parsed.paths().collect::<Vec<_>>(), again.paths().collect::<Vec<_>>());
    }
}

fn change() -> impl Strategy<Value = Document> {
    let number = prop::sample::select(vec![Bson::Int32(1), Bson::Int32(i32::MAX), Bson::Int64(-7), Bson::Double(0.5)]);
    let operator = prop_oneof![
        3 => (prop::sample::select(vec!["$set", "$min", "$max", "$setOnInsert", "$addToSet", "$push"]), value()),
        1 => (Just("$unset"), Just(Bson::Int32(1))),
        1 => (Just("$inc"), number),
        1 => (Just("$pull"), plain()),
    ];
    let each = (prop::sample::select(vec!["$push", "$addToSet"]), prop::collection::vec(value(), 0..3))
        .prop_map(|(operator, values)| (operator, Bson::Document(doc! { "$each": values })));
    (path(), prop_oneof![5 => operator, 1 => each])
        .prop_map(|(path, (operator, value))| doc! { operator: { path: value } })
}

/// The name that a path begins with.
fn head(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_change_keeps_the_id_and_what_it_does_not_name(change in change(), document in document()) {
        // A value that begins with an operator is none.
        let Ok(parsed) = Change::from_document(&change) else { return Ok(()) };
        let Ok(changed) = parsed.changed(&raw(&document)) else { return Ok(()) };
        let Some(changed) = changed else { return Ok(()) };
        prop_assert!(validate(&changed.document).is_ok() && storable(&changed.document).is_ok());
        let changed = Document::try_from(&*changed.document).unwrap();
        prop_assert_eq!(changed.get("_id"), document.get("_id"));
        let named: Vec<&str> = parsed.paths().map(head).collect();
        for name in document.keys().chain(changed.keys()).filter(|name| !named.contains(&name.as_str())) {
            let bytes = |of: &Document| of.get(name).map(|value| raw(&doc! { "v": value }).into_bytes());
            prop_assert_eq!(bytes(&changed), bytes(&document), "{}", name);
        }
    }

    #[test]
    fn a_change_that_ends_in_one_value_changes_nothing_the_second_time(change in change(), document in document()) {
        let idempotent = ["$set", "$unset", "$min", "$max", "$addToSet", "$pull", "$setOnInsert"];
        if change.keys().any(|operator| !idempotent.contains(&operator.as_str())) {
            return Ok(());
        }
        let Ok(parsed) = Change::from_document(&change) else { return Ok(()) };
        let Ok(Some(changed)) = parsed.changed(&raw(&document)) else { return Ok(()) };
        prop_assert_eq!(parsed.changed(&changed.document).unwrap(), None, "{}", change);
    }

    #[test]
    fn what_was_set_is_found_and_what_was_unset_is_gone(path in "[a-c](\\.[a-c]){0,2}", value in plain()) {
        let mut document = doc! { "_id": 1 };
        let change = |change: Document, document: &mut Document| {
            Change::from_document(&change).unwrap().apply(document, false).unwrap()
        };
        let (set, found) = (doc! { "$set": { &path: &value } }, doc! { &path: { "$eq": &value, "$exists": true } });
        let (unset, gone) = (doc! { "$unset": { &path: 1 } }, doc! { &path: { "$exists": false } });
        prop_assert!(change(set, &mut document));
        prop_assert!(matches(&found, &document), "{found} {document}");
        prop_assert!(change(unset, &mut document));
        prop_assert!(matches(&gone, &document), "{gone} {document}");
    }

    #[test]
    fn a_projection_that_keeps_and_one_that_drops_share_a_document(names in "[a-c]{1,3}", document in document()) {
        let mut named: Vec<String> = names.chars().map(String::from).collect();
        named.sort_unstable();
        named.dedup();
        let projected = |keep: i32| {
            let mut projection: Document = named.iter().map(|name| (name.clone(), keep.into())).collect();
            projection.insert("_id", keep);
            let projected = Projection::from_document(&projection).unwrap().apply(&raw(&document));
            Document::try_from(&*projected).unwrap()
        };
        let (kept, dropped) = (projected(1), projected(0));
        prop_assert_eq!(kept.len() + dropped.len(), document.len());
        prop_assert!(kept.keys().all(|name| name == "_id" || named.contains(name)));
        prop_assert!(dropped.keys().all(|name| name != "_id" && !named.contains(name)));
    }
}

/// Refused with a text that is short however much was sent, or understood.
fn short<T>(read: Result<T, Error>) -> Result<Option<T>, TestCaseError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) => {
            prop_assert!(matches!(error, Error::Invalid(_)), "{error:?}");
            let length = error.to_string().len();
            prop_assert!(length <= text::MAX_REASON + 100, "{length} bytes");
            Ok(None)
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn damaged_bytes_are_refused_or_understood(
        source in prop_oneof![filter(), change(), document()],
        stored in document(),
        damage in damage(),
    ) {
        let bytes = damage.of(raw(&source).as_bytes());
        let Ok(damaged) = RawDocument::from_bytes(&bytes) else { return Ok(()) };
        let stored = raw(&stored);
        if let Some(filter) = short(Filter::parse(damaged))? {
            let _ = filter.matches(&stored);
            prop_assert_eq!(filter.source().as_bytes(), &bytes[..]);
        }
        if let Some(change) = short(Change::parse(damaged))?
            && let Some(Some(changed)) = short(change.changed(&stored))?
        {
            prop_assert!(validate(&changed.document).is_ok());
        }
        if let Some(sort) = short(Sort::parse(damaged))? {
            prop_assert_eq!(Sort::from_document(&sort.to_document()).unwrap(), sort.clone());
            let _ = short(sort.key(&stored))?;
        }
        if let Some(projection) = short(Projection::parse(damaged))? {
            prop_assert!(projection.apply(&stored).as_bytes().len() <= stored.as_bytes().len());
        }
        if validate(damaged).is_ok() {
            prop_assert!(Document::try_from(damaged).is_ok(), "what is valid is a document");
        }
    }
}
