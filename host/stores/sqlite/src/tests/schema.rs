use bson::doc;

use crate::tests::*;

fn open(folder: &std::path::Path, text: &str) -> Result<Sqlite, Error> {
    Sqlite::open(Location::Folder(folder.to_owned()), &schema(text), &topics())
}

#[tokio::test]
async fn indexes_follow_the_schema() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), "[c]\nindexes = [{ fields = ['a'] }]").unwrap();
    let writes = (0..9).map(|n| insert("c", doc! { "_id": n, "a": n, "b": [n, 7] })).collect();
    commit(&store, writes).await.unwrap();
    drop(store);

    let store = open(folder.path(), "[c]\nindexes = [{ fields = ['b'] }]").unwrap();
    assert!(!store.explain(query("c", doc! { "a": 3 }, doc! {})).await.unwrap().indexed);
    assert!(store.explain(query("c", doc! { "b": 3 }, doc! {})).await.unwrap().indexed);
    assert_eq!(find(&store, "c", doc! { "b": 3 }).await.len(), 1);
    assert_eq!(find(&store, "c", doc! { "b": 7 }).await.len(), 9);
    drop(store);

    // The same name over other documents is another index.
    let store = open(folder.path(), "[c]\nindexes = [{ fields = ['a'], unique = true }]").unwrap();
    let again = commit(&store, vec![insert("c", doc! { "_id": 20, "a": 3 })]).await;
    assert_eq!(again, Err(Error::Duplicate { write: 0, index: "a".to_owned() }));
    drop(store);

    // The marks of arrays outlive the process.
    let store = open(folder.path(), "[c]\nindexes = [{ fields = ['b'] }]").unwrap();
    drop(store);
    let store = open(folder.path(), "[c]\nindexes = [{ fields = ['b'] }]").unwrap();
    assert_eq!(find(&store, "c", doc! { "b": 7 }).await.len(), 9);
}

#[tokio::test]
async fn documents_that_break_a_new_unique_index_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), "[c]").unwrap();
    let documents = [doc! { "_id": "one", "a": 1 }, doc! { "_id": "two", "a": 1.0 }, doc! { "_id": "three", "b": [1] }];
    commit(&store, documents.map(|document| insert("c", document)).into()).await.unwrap();
    drop(store);
    let refused = |text: &str| match open(folder.path(), text) {
        Err(Error::Invalid(text)) => text,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    };
    let text = refused("[c]\nindexes = [{ fields = ['a'], unique = true }]");
    assert!(text.contains("\"one\"") && text.contains("\"two\""), "{text}");
    let text = refused("[c]\nindexes = [{ fields = ['b'], unique = true }]");
    assert!(text.contains("\"three\"") && text.contains("array"), "{text}");
    // Nothing was changed by trying.
    assert_eq!(find(&open(folder.path(), "[c]").unwrap(), "c", doc! {}).await.len(), 3);
}

#[test]
fn schemas_that_can_not_be_had_are_refused() {
    for text in [
        "['a b']",
        "[a]\n[A]",
        "[a]\nindexes = [{ fields = [] }]",
        "[a]\nindexes = [{ fields = ['_id'] }]",
        "[a]\nindexes = [{ fields = ['x.y'] }, { fields = ['x', 'y'] }]",
        "[a]\nindexes = [{ fields = ['x'] }, { fields = ['X'] }]",
        "[a]\nindexes = [{ fields = ['$x'] }]",
    ] {
        let opened = Sqlite::open(Location::Memory, &schema(text), &topics());
        assert!(matches!(opened, Err(Error::Invalid(_))), "{text}");
    }
}

#[tokio::test]
async fn names_can_hold_quotes() {
    let store = memory("[c]\nindexes = [{ fields = [\"it's \\\"x\\\"\"], unique = true }]");
    let one = doc! { "_id": 1, "it's \"x\"": 1 };
    commit(&store, vec![insert("c", one)]).await.unwrap();
    let two = commit(&store, vec![insert("c", doc! { "_id": 2, "it's \"x\"": 1 })]).await;
    assert_eq!(two, Err(Error::Duplicate { write: 0, index: "it's \"x\"".to_owned() }));
    assert_eq!(find(&store, "c", doc! { "it's \"x\"": 1 }).await.len(), 1);
}

#[test]
fn one_host_a_folder_and_nobody_else_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let store = open(&folder, "[c]").unwrap();
    match open(&folder, "[c]") {
        Err(Error::Unavailable(text)) => assert!(text.contains("another host"), "{text}"),
        _ => panic!("two hosts in one folder"),
    }
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    drop(store);
    open(&folder, "[c]").unwrap();
}

#[tokio::test]
async fn a_folder_is_synced_at_every_commit() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), "[c]").unwrap();
    let check = store.write(|connection, _| {
        let ask = |name: &str| {
            connection.pragma_query_value::<String, _>(None, name, |row| {
                row.get_ref(0)?.as_str().map(str::to_owned).or_else(|_| Ok(row.get::<_, i64>(0)?.to_string()))
            })
        };
        assert_eq!((ask("synchronous").unwrap(), ask("journal_mode").unwrap()), ("2".to_owned(), "wal".to_owned()));
        Ok(Vec::new())
    });
    check.await.unwrap();
}

#[tokio::test]
async fn every_thread_has_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { readers: 1, page_cache_kib: 512, mmap_mib: 3 };
    let location = Location::Folder(folder.path().to_owned());
    let store = Sqlite::open_with(location, &schema("[c]"), &topics(), settings).unwrap();
    fn check(connection: &rusqlite::Connection) {
        let ask = |name: &str| connection.pragma_query_value::<i64, _>(None, name, |row| row.get(0)).unwrap();
        assert_eq!((ask("cache_size"), ask("mmap_size")), (-512, 3 << 20));
    }
    let written = store.write(|connection, _| {
        check(connection);
        Ok(Vec::new())
    });
    written.await.unwrap();
    let read = store.read(|connection, _| {
        check(connection);
        Ok(())
    });
    read.await.unwrap();
    commit(&store, (0..50).map(|n| insert("c", doc! { "_id": n, "pad": "x".repeat(9_000) })).collect()).await.unwrap();
    assert_eq!(find(&store, "c", doc! {}).await.len(), 50);
}

#[test]
fn a_file_of_another_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), "[c]").unwrap());
    let file = rusqlite::Connection::open(folder.path().join("store.sqlite")).unwrap();
    file.pragma_update(None, "user_version", 2).unwrap();
    drop(file);
    assert!(matches!(open(folder.path(), "[c]"), Err(Error::Unavailable(text)) if text.contains("version 2")));
}

#[tokio::test]
async fn what_a_unique_index_leaves_out_may_have_arrays() {
    let folder = tempfile::tempdir().unwrap();
    let with_index = "[c]\nindexes = [{ fields = ['a'], unique = true, where-exists = ['b'] }]";
    let store = open(folder.path(), with_index).unwrap();
    commit(&store, vec![insert("c", doc! { "_id": 1, "a": [1] }), insert("c", doc! { "_id": 2, "a": [1] })])
        .await
        .unwrap();
    drop(store);
    drop(open(folder.path(), "[c]").unwrap());
    let store = open(folder.path(), with_index).unwrap();
    let refused = commit(&store, vec![insert("c", doc! { "_id": 3, "a": [1], "b": 1 })]).await;
    assert!(matches!(refused, Err(Error::Invalid(text)) if text.contains("array")));
}
