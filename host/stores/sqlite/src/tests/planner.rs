//! Whatever the indexes, the result is that of reading every document.

use bson::{Bson, Document, doc};
use proptest::prelude::*;

use crate::plan::{Select, WantedOrder, plan};
use crate::tests::*;

const SCHEMA: &str = "
[c]
indexes = [
  { fields = ['a'] },
  { fields = ['a', 'b'] },
  { fields = ['b', 'n.x', 'a'] },
  { fields = ['n.x'], where-exists = ['b'] },
  { fields = ['u'], unique = true, where-exists = ['u'] },
]
";

fn plain() -> impl Strategy<Value = Bson> {
    prop_oneof![
        4 => (0i32..4).prop_map(Bson::Int32),
        1 => (0i64..4).prop_map(Bson::Int64),
        1 => prop::sample::select(vec![0.5, 2.0, f64::NAN]).prop_map(Bson::Double),
        1 => "[ab]{0,1}".prop_map(Bson::String),
        1 => Just(Bson::Null),
        1 => any::<bool>().prop_map(Bson::Boolean),
    ]
}

fn value(arrays: bool) -> BoxedStrategy<Bson> {
    if !arrays {
        return plain().boxed();
    }
    let nested = plain().prop_map(|value| Bson::Document(doc! { "x": value }));
    let array = prop::collection::vec(prop_oneof![plain(), nested], 0..3).prop_map(Bson::Array);
    prop_oneof![4 => plain(), 1 => array].boxed()
}

fn documents(arrays: bool) -> impl Strategy<Value = Vec<Document>> {
    let maybe = || prop::option::weighted(0.8, value(arrays));
    let one = (maybe(), maybe(), maybe(), prop::bool::ANY, maybe(), any::<bool>());
    prop::collection::vec(one, 0..25).prop_map(|rows| {
        let mut documents = Vec::new();
        for (id, (a, b, x, nested, n, unique)) in (0i32..).zip(rows) {
            let n = if nested { x.map(|x| Bson::Document(doc! { "x": x })) } else { n };
            let fields = [("a", a), ("b", b), ("n", n), ("u", unique.then_some(Bson::Int32(id)))];
            // Ids are not in the order of insertion.
            let mut document = doc! { "_id": (id * 7) % 25 };
            document.extend(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
            documents.push(document);
        }
        documents
    })
}

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "a", "b", "b", "n.x", "n", "u", "_id", "a.0", "a.x"])
}

fn condition() -> impl Strategy<Value = Bson> {
    let one = (prop::sample::select(vec!["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]), plain())
        .prop_map(|(name, value)| (name, value));
    let many = (prop::sample::select(vec!["$in", "$nin"]), prop::collection::vec(plain(), 0..4))
        .prop_map(|(name, values)| (name, Bson::Array(values)));
    let exists = any::<bool>().prop_map(|exists| ("$exists", Bson::Boolean(exists)));
    let operator = prop_oneof![5 => one, 2 => many, 1 => exists].boxed();
    let operators = prop::collection::vec(operator, 1..3)
        .prop_map(|pairs| pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Document>());
    prop_oneof![
        3 => plain(),
        1 => prop::collection::vec(plain(), 0..2).prop_map(Bson::Array),
        4 => operators.clone().prop_map(Bson::Document),
        1 => operators.clone().prop_map(|inner| Bson::Document(doc! { "$not": inner })),
        1 => operators.prop_map(|inner| Bson::Document(doc! { "$elemMatch": inner })),
    ]
}

fn filter() -> impl Strategy<Value = Document> {
    let leaf = prop::collection::vec((path(), condition()), 0..3)
        .prop_map(|pairs| pairs.into_iter().map(|(path, value)| (path.to_owned(), value)).collect::<Document>());
    leaf.prop_recursive(2, 8, 3, |inner| {
        let lists = prop::collection::vec(inner.clone(), 1..4);
        (prop::sample::select(vec!["$and", "$or", "$or"]), lists, inner).prop_map(|(name, lists, mut filter)| {
            filter.insert(name, lists);
            filter
        })
    })
}

fn sort() -> impl Strategy<Value = Document> {
    prop::collection::vec((path(), prop::sample::select(vec![1, -1])), 0..3)
        .prop_map(|pairs| pairs.into_iter().map(|(path, way)| (path.to_owned(), Bson::Int32(way))).collect())
}

fn question() -> impl Strategy<Value = (Document, Document, u32, u32)> {
    (filter(), sort(), 0u32..4, 1u32..30)
}

/// The result of reading every document.
fn naive(documents: &[Document], request: &Query) -> Result<Vec<RawDocumentBuf>, Error> {
    let found = documents.iter().cloned().map(raw).filter(|document| request.filter.matches(document));
    let mut found =
        found.map(|document| Ok((request.sort.key(&document)?, document))).collect::<Result<Vec<_>, Error>>()?;
    found.sort_by(|one, other| one.0.cmp(&other.0));
    let found = found.into_iter().map(|(_, document)| document);
    Ok(found.skip(request.skip as usize).take(request.limit as usize).collect())
}

/// Inserts those that the indexes accept: not two arrays in one index.
async fn keep(store: &Sqlite, candidates: Vec<Document>) -> Vec<Document> {
    let mut inserted = Vec::new();
    for document in candidates {
        match commit(store, vec![insert("c", document.clone())]).await {
            Ok(_) => inserted.push(document),
            Err(error) => assert!(error.to_string().contains("both meet an array"), "{error}"),
        }
    }
    inserted
}

mod fuzz {
    use super::*;

    proptest! {
        #![proptest_config(fuzzing::costly(2))]

        #[test]
        fn indexes_never_change_an_answer(
            (before, after) in any::<bool>().prop_flat_map(|arrays| (documents(arrays), value(true))),
            questions in prop::collection::vec(question(), 20),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let store = memory(SCHEMA);
                let mut documents = keep(&store, before).await;
                for (number, (filter, sort, skip, limit)) in questions.into_iter().enumerate() {
                    // Half-way a path may get its first array.
                    if number == 10 {
                        let late = doc! { "_id": 100, "a": after.clone(), "b": after.clone(), "n": { "x": after.clone() } };
                        documents.extend(keep(&store, vec![late]).await);
                    }
                    let request = Query { skip, limit, ..query("c", filter.clone(), sort.clone()) };
                    let wanted = naive(&documents, &request);
                    let plan = store.explain(request.clone()).await.unwrap();
                    match (store.find(request.clone()).await, wanted) {
                        (Err(Error::Invalid(_)), Err(_)) => {}
                        (found, wanted) => assert_eq!(found, wanted, "{filter} {sort} {plan:?}"),
                    }
                    let all = documents.iter().filter(|document| request.filter.matches(&raw((*document).clone()))).count();
                    assert_eq!(store.count("c", request.filter, 0).await, Ok(all as u64), "{filter} {plan:?}");
                    // What SQLite sorts is small.
                    let sorts = plan.steps.iter().any(|step| step.contains("TEMP B-TREE"));
                    assert!(!sorts || select(&store, &filter, &sort).rowids, "{filter} {sort} {plan:?}");
                    if plan.indexed {
                        assert!(!plan.steps.iter().any(|step| step == "SCAN c_c"), "{plan:?}");
                    }
                }
            });
        }
    }
}

fn select(store: &Sqlite, filter: &Document, sort: &Document) -> Select {
    let (filter, sort) = (Filter::from_document(filter).unwrap(), Sort::from_document(sort).unwrap());
    plan(store.store.layout().table("c").unwrap(), &filter, Some(&WantedOrder::new(&sort)))
}

async fn explained(store: &Sqlite, filter: Document, sort: Document) -> (bool, String) {
    let plan = store.explain(query("c", filter, sort)).await.unwrap();
    (plan.indexed, plan.steps.join("; "))
}

#[tokio::test]
async fn indexes_are_used_where_they_can_be() {
    let store = memory(SCHEMA);
    for (filter, sort, words) in [
        (doc! { "_id": 1 }, doc! {}, "sqlite_autoindex_c_c_1 (id=?)"),
        (doc! { "_id": { "$in": [1, 2, 3] } }, doc! {}, "(id=?)"),
        (doc! { "_id": { "$gt": 1 } }, doc! { "_id": -1 }, "(id>? AND id<?)"),
        (doc! { "a": 1 }, doc! {}, "i_c.a (<expr>=?)"),
        (doc! { "a": 1, "_id": { "$gt": 1 } }, doc! {}, "i_c.a (<expr>=? AND id>? AND id<?)"),
        (doc! { "a": { "$in": [1, 2] }, "_id": { "$lt": 1 } }, doc! {}, "i_c.a (<expr>=? AND id>? AND id<?)"),
        (doc! { "a": 1 }, doc! { "b": -1 }, "i_c.a_b (<expr>=?)"),
        (doc! { "a": 1, "b": { "$gt": 1 } }, doc! { "b": 1 }, "i_c.a_b (<expr>=? AND <expr>>? AND <expr><?)"),
        (doc! { "$and": [{ "a": 1 }, { "b": { "$in": [1, 2] } }] }, doc! {}, "i_c.a_b (<expr>=? AND <expr>=?)"),
        (doc! { "u": 5 }, doc! {}, "i_c.u (<expr>=?)"),
        (doc! { "n.x": 1, "b": { "$exists": true } }, doc! {}, "i_c.n_x (<expr>=?)"),
        (doc! { "$or": [{ "a": 1 }, { "u": 2 }, { "_id": 3 }] }, doc! {}, "UNION"),
        (doc! {}, doc! {}, "USING COVERING INDEX sqlite_autoindex_c_c_1"),
        (doc! {}, doc! { "a": -1 }, "USING COVERING INDEX i_c.a"),
        (doc! { "a": { "$in": [] } }, doc! {}, ""),
    ] {
        let (indexed, steps) = explained(&store, filter.clone(), sort.clone()).await;
        assert!(indexed && steps.contains(words), "{filter} {sort}: {steps}");
        assert!(!steps.contains("SORT IN MEMORY"), "{filter} {sort}: {steps}");
    }
    for (filter, sort) in [
        (doc! {}, doc! { "z": 1 }),
        (doc! { "z": 1 }, doc! {}),
        (doc! { "_id": { "$gt": 1 }, "z": 1 }, doc! {}),
        (doc! { "$or": [{ "a": 1 }, { "z": 2 }] }, doc! {}),
        (doc! { "n.x": 1 }, doc! {}),
        (doc! { "u": null }, doc! {}),
        (doc! { "a": { "$ne": 1 } }, doc! {}),
        (doc! { "z": 1 }, doc! { "a": 1 }),
    ] {
        let (indexed, steps) = explained(&store, filter.clone(), sort).await;
        assert!(!indexed, "{filter}: {steps}");
    }
    commit(&store, vec![insert("c", doc! { "_id": 1, "b": [1] })]).await.unwrap();
    let (indexed, steps) = explained(&store, doc! { "a": 1 }, doc! { "b": -1 }).await;
    assert!(indexed && steps.contains("SORT IN MEMORY"), "{steps}");
}

#[tokio::test]
async fn an_index_in_order_is_not_sorted() {
    let store = memory(SCHEMA);
    for (filter, sort) in [
        (doc! {}, doc! {}),
        (doc! {}, doc! { "_id": -1 }),
        (doc! {}, doc! { "a": 1 }),
        (doc! { "a": 1 }, doc! {}),
        (doc! { "a": 1 }, doc! { "b": 1 }),
        (doc! { "a": 1 }, doc! { "b": -1, "_id": -1 }),
        (doc! { "b": 1, "n.x": "x" }, doc! { "a": -1, "_id": -1 }),
        (doc! { "_id": { "$gte": 1 } }, doc! { "_id": 1 }),
    ] {
        let (_, steps) = explained(&store, filter.clone(), sort.clone()).await;
        assert!(!steps.contains("SORT") && !steps.contains("TEMP B-TREE"), "{filter} {sort}: {steps}");
    }
}

/// Where an index has the whole order, one statement reads the documents as well.
#[tokio::test]
async fn documents_that_nothing_sorts_are_read_beside_their_rowids() {
    let store = memory(SCHEMA);
    for (filter, sort, rowids) in [
        (doc! { "a": 1 }, doc! { "b": 1 }, false),
        (doc! { "a": 1 }, doc! { "b": -1, "_id": -1 }, false),
        (doc! { "a": 1, "b": { "$lt": 2 } }, doc! { "b": -1, "_id": -1 }, false),
        (doc! { "a": 1, "b": 2 }, doc! {}, false),
        // Sorted in memory, whatever the order of the index.
        (doc! { "a": 1 }, doc! { "z": 1 }, false),
        // Of those with the same `b` SQLite has to turn round the order.
        (doc! { "a": 1 }, doc! { "b": -1 }, true),
        (doc! { "a": { "$in": [1, 2] } }, doc! {}, true),
        (doc! { "b": 1 }, doc! { "n.x": 1 }, true),
        // Nothing but keys is read of what is skipped.
        (doc! {}, doc! { "a": 1 }, true),
        (doc! { "_id": { "$gt": bson::oid::ObjectId::new() } }, doc! {}, true),
    ] {
        let select = select(&store, &filter, &sort);
        assert_eq!(select.rowids, rowids, "{filter} {sort}: {select:?}");
        let (_, steps) = explained(&store, filter.clone(), sort.clone()).await;
        assert!(rowids || !steps.contains("TEMP B-TREE"), "{filter} {sort}: {steps}");
    }
}

/// Branches of an `$or` that meet the same document, counted, told apart, sorted and in order.
#[tokio::test]
async fn a_document_of_several_branches_counts_once() {
    let store = memory(SCHEMA);
    commit(&store, (0..20).map(|n| insert("c", doc! { "_id": n, "a": n % 4, "b": n % 3, "z": -n })).collect())
        .await
        .unwrap();
    let either = doc! { "$or": [{ "a": 1 }, { "a": { "$gte": 1 } }, { "b": 0 }, { "_id": 5 }] };
    let expected: Vec<i32> = (0..20).filter(|n| n % 4 >= 1 || n % 3 == 0).collect();
    let filter = Filter::from_document(&either).unwrap();
    assert_eq!(store.count("c", filter.clone(), 0).await, Ok(expected.len() as u64));
    for limit in [1, 3, 15] {
        assert_eq!(store.count("c", filter.clone(), limit).await, Ok(u64::from(limit)));
    }
    let values = store.distinct("c", "_id", filter).await.unwrap();
    assert_eq!(values, expected.iter().map(|n| Bson::Int32(*n)).collect::<Vec<_>>());
    let ids = async |sort: Document| -> Vec<i32> {
        let found = store.find(query("c", either.clone(), sort)).await.unwrap();
        found.iter().map(|found| found.get_i32("_id").unwrap()).collect()
    };
    assert_eq!(ids(doc! {}).await, expected);
    let backwards: Vec<i32> = expected.iter().rev().copied().collect();
    assert_eq!(ids(doc! { "_id": -1 }).await, backwards);
    assert_eq!(ids(doc! { "z": 1 }).await, backwards, "sorted in memory");
}

#[tokio::test]
async fn lists_on_several_fields_do_not_multiply_without_bound() {
    let store = memory(SCHEMA);
    commit(&store, vec![insert("c", doc! { "_id": 1, "a": 7, "b": 300, "n": { "x": 5 } })]).await.unwrap();
    let list: Vec<i32> = (0..333).collect();
    let filter = doc! { "a": { "$in": &list }, "b": { "$in": &list }, "n.x": { "$in": &list } };
    assert_eq!(find(&store, "c", filter).await.len(), 1);
}

#[tokio::test]
async fn explaining_does_not_read() {
    let store = memory(SCHEMA);
    assert!(store.explain(query("nowhere", doc! {}, doc! {})).await.is_err());
}
