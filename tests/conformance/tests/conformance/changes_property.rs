//! What changes make of documents held against what MongoDB's own operators make of them. Both engines compute changes by
//! themselves, so nothing else would tell.
//!
//! `CONFORMANCE_SEED` repeats a run, whose seed a failure prints with the whole case.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

use bson::{Document, doc};
use capability::documents::Change;
use conformance::documents::generated::Generator;
use conformance::servers;
use mongodb::options::WriteConcern;
use mongodb::{Client, Collection};

const CASES: u32 = 4_000;

/// What the server makes of a document, or its words about why not.
async fn by_the_server(
    documents: &Collection<Document>,
    document: &Document,
    change: &Document,
) -> Result<Document, String> {
    documents.insert_one(document).await.unwrap();
    let done = documents.update_one(doc! {}, change.clone()).await;
    let after = documents.find_one_and_delete(doc! {}).await.unwrap().unwrap();
    done.map(|_| after).map_err(|error| error.kind.to_string())
}

fn by_ourselves(document: &Document, change: &Change) -> Result<Document, String> {
    let mut after = document.clone();
    change.apply(&mut after, false).map_err(|error| error.to_string())?;
    Ok(after)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_mongodbs() {
    let Some(uri) = tokio::task::spawn_blocking(servers::mongodb_uri).await.unwrap() else { return };
    let seed = std::env::var("CONFORMANCE_SEED").ok().map(|text| text.parse().unwrap());
    let seed = seed.unwrap_or_else(|| rand::random::<u64>() >> 16);
    let database =
        Client::with_uri_str(&uri).await.unwrap().database(&format!("changes-{seed}-{}", std::process::id()));
    let fast = mongodb::options::CollectionOptions::builder().write_concern(WriteConcern::nodes(1)).build();
    let documents = database.collection_with_options("c", fast);
    let mut generator = Generator::new(seed);
    let (mut cases, mut refused, mut changed, mut disagreed) = (0, 0, 0, Vec::new());
    while cases < CASES {
        let mut document = doc! { "_id": 1 };
        document.extend(generator.document());
        let change = generator.change();
        // What is refused by name, MongoDB may well take.
        let Ok(parsed) = Change::from_document(&change) else { continue };
        cases += 1;
        let ours = by_ourselves(&document, &parsed);
        let theirs = by_the_server(&documents, &document, &change).await;
        let same = match (&ours, &theirs) {
            // By their text: NaN is not itself.
            (Ok(ours), Ok(theirs)) => format!("{ours:?}") == format!("{theirs:?}"),
            (Err(_), Err(_)) => true,
            _ => false,
        };
        if !same {
            disagreed.push(format!("{change:?}\nof {document:?}\nours: {ours:?}\ntheirs: {theirs:?}"));
        }
        refused += u32::from(ours.is_err());
        changed += u32::from(ours.is_ok_and(|after| format!("{after:?}") != format!("{document:?}")));
    }
    database.drop().await.unwrap();
    let first: Vec<&String> = disagreed.iter().take(20).collect();
    assert!(first.is_empty(), "CONFORMANCE_SEED={seed}, {} disagree\n{first:#?}", disagreed.len());
    eprintln!("seed {seed}: {CASES} changes agreed, {changed} changed something and {refused} were refused");
}
