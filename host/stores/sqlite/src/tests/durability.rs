use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use bson::doc;

use crate::tests::*;
use capability::events::{EventLog, Next, Record, Start};

const FOLDER: &str = "DOCUMENTS_TEST_FOLDER";

fn open(folder: &Path) -> Sqlite {
    Sqlite::open(Location::Folder(folder.to_owned()), &schema("[c]\nindexes = [{ fields = ['n'] }]"), &topics())
        .unwrap()
}

async fn all_records(store: &Sqlite) -> Vec<Record> {
    let log = store.event_log();
    let mut records = Vec::new();
    for (partition, end) in (0..).zip(log.end_offsets("things").await.unwrap()) {
        let mut offset = 0;
        while offset < end {
            let part = log.read("things", partition, offset, 1_000).await.unwrap();
            assert_eq!(part[0].offset, offset);
            offset += part.len() as u64;
            records.extend(part);
        }
    }
    records
}

#[tokio::test]
async fn reopening_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for number in 0..20 {
        let (writes, events) = (vec![insert("c", doc! { "_id": number })], vec![event(&number.to_string(), "k")]);
        store.commit(Commit { writes, events }).await.unwrap();
    }
    let member = store.event_log().subscribe("g", &["things".to_owned()], Start::Earliest).await.unwrap();
    let Next::Records(partition, _) = member.next().await.unwrap() else { panic!("nothing is taken here") };
    assert_eq!(member.commit(&partition, 5).await, Ok(true));
    drop(member);
    let before = (find(&store, "c", doc! {}).await, all_records(&store).await);
    drop(store);
    let store = open(folder.path());
    assert_eq!((find(&store, "c", doc! {}).await, all_records(&store).await), before);
    let committed = store.event_log().committed("g", "things").await.unwrap();
    assert_eq!(committed[usize::try_from(partition.partition).unwrap()], Some(5));
    store.commit(Commit { writes: vec![], events: vec![event("next", "k")] }).await.unwrap();
    assert_eq!(all_records(&store).await.len(), 21);
}

/// Not a test by itself: the process that [`what_was_acknowledged_survives_a_kill`] kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn victim() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = open(Path::new(&folder));
    let key = async |key: u32| {
        for number in 0.. {
            let id = format!("{key}-{number}");
            let writes = vec![insert("c", doc! { "_id": &id, "n": number, "pad": "x".repeat(500) })];
            store.commit(Commit { writes, events: vec![event(&id, &key.to_string())] }).await.unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "\ndone {id}").unwrap();
            out.flush().unwrap();
        }
    };
    tokio::join!(key(0), key(1), key(2), key(3));
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("{}::victim", module_path!().split_once("::").unwrap().1);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let done = |line: String| line.strip_prefix("done ").map(str::to_owned);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut acknowledged: Vec<String> = lines.by_ref().filter_map(done).take(400).collect();
    child.kill().unwrap();
    // Its output between the last line read and its end counts too; the last line may be cut.
    let rest: Vec<String> = lines.filter_map(done).collect();
    acknowledged.extend(rest.iter().rev().skip(1).cloned());
    assert!(!child.wait().unwrap().success());
    assert!(acknowledged.len() >= 400);

    let store = open(folder.path());
    let records = all_records(&store).await;
    for id in &acknowledged {
        assert_eq!(find(&store, "c", doc! { "_id": id }).await.len(), 1, "{id}");
    }
    let mut logged: Vec<String> = records.into_iter().map(|record| record.event.id).collect();
    let mut stored = Vec::new();
    for key in 0..4 {
        for number in 0.. {
            let id = format!("{key}-{number}");
            if find(&store, "c", doc! { "_id": &id }).await.is_empty() {
                break;
            }
            stored.push(id);
        }
    }
    logged.sort_unstable();
    stored.sort_unstable();
    assert_eq!(logged, stored);
    assert_eq!(store.count("c", Filter::all(), 0).await, Ok(stored.len() as u64));
}

#[tokio::test]
async fn a_full_disk_refuses_and_keeps_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    commit(&store, vec![insert("c", doc! { "_id": 1 })]).await.unwrap();
    let limit = |pages: &'static str| {
        store.write(move |connection, _| {
            connection.query_row(pages, [], |_| Ok(())).unwrap();
            Ok(Vec::new())
        })
    };
    limit("PRAGMA max_page_count = 60").await.unwrap();
    let mut stored = 1;
    let mut last = Ok(Vec::new());
    for number in 2..50 {
        let writes = vec![insert("c", doc! { "_id": number, "pad": "x".repeat(40_000) })];
        last = store.commit(Commit { writes, events: vec![event(&number.to_string(), "k")] }).await;
        match &last {
            Ok(_) => stored += 1,
            Err(error) => assert!(matches!(error, Error::Unavailable(text) if text.contains("full")), "{error}"),
        }
    }
    assert!(last.is_err() && stored > 1);
    assert_eq!(store.count("c", Filter::all(), 0).await, Ok(stored));
    assert_eq!(all_records(&store).await.len() as u64, stored - 1);
    limit("PRAGMA max_page_count = 100000").await.unwrap();
    commit(&store, vec![insert("c", doc! { "_id": 100 })]).await.unwrap();
    assert_eq!(find(&store, "c", doc! { "_id": { "$in": [1, 100] } }).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_disk_answers_every_commit_of_a_group_truly() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store
        .write(|connection, _| {
            connection.query_row("PRAGMA max_page_count = 60", [], |_| Ok(())).unwrap();
            Ok(Vec::new())
        })
        .await
        .unwrap();
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let document = doc! { "_id": number, "pad": "x".repeat(15_000) };
                (number, commit(&store, vec![insert("c", document)]).await.is_ok())
            })
        })
        .collect();
    let mut refused = 0;
    for task in tasks {
        let (number, done) = task.await.unwrap();
        refused += u32::from(!done);
        assert_eq!(find(&store, "c", doc! { "_id": number }).await.len(), usize::from(done));
    }
    assert!(refused > 0);
}
