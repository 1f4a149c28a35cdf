//! What was prepared once is kept: what came before in its kind compiles no SQL, whatever its values are.

use std::cell::RefCell;

use bson::oid::ObjectId;
use capability::events::{EventLog, Next, Outbox, Start};
use rusqlite::Connection;
use rusqlite::hooks::{AuthContext, Authorization};

use crate::tests::*;

/// Like the application's.
const SCHEMA: &str = "
[conversations]
[messages]
indexes = [
  { fields = ['pair', 'ts', 'seq'] },
  { fields = ['fromUserId', 'clientId'], unique = true, where-exists = ['clientId'] },
]
[requests]
indexes = [
  { fields = ['pair'], unique = true, where-exists = ['pair'] },
  { fields = ['from', 'to'] },
  { fields = ['to', 'status', 'at'] },
]
[sessions]
indexes = [{ fields = ['jti'], unique = true }, { fields = ['userId', 'revokedAt'] }]
[users]
indexes = [{ fields = ['mail'], unique = true, where-exists = ['mail'] }]
";

thread_local! {
    /// What SQLite asked to be allowed since this began; none: nothing is recorded.
    static COMPILED: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// SQLite asks while it compiles a statement, also one that it compiles again, and never while it runs one.
pub(crate) fn watch(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.authorizer(Some(|context: AuthContext<'_>| {
        COMPILED.with_borrow_mut(|compiled| {
            if let Some(compiled) = compiled {
                compiled.push(format!("{:?}", context.action));
            }
        });
        Authorization::Allow
    }))
}

/// A store with one reader: what it prepared for one read is there for the next.
fn store() -> Sqlite {
    let settings = Settings { readers: 1, ..Settings::default() };
    Sqlite::open_with(Location::Memory, &schema(SCHEMA), &topics(), settings).unwrap()
}

/// Begins to record on the writer and on the reader.
async fn begin(store: &Sqlite) {
    let writer = store.write(|_, _| {
        COMPILED.set(Some(Vec::new()));
        Ok(Vec::new())
    });
    writer.await.unwrap();
    let reader = store.read(|_, _| {
        COMPILED.set(Some(Vec::new()));
        Ok(())
    });
    reader.await.unwrap();
}

/// What was compiled meanwhile by the writer, and by the reader.
async fn end(store: &Sqlite) -> (Vec<String>, Vec<String>) {
    let (told, hears) = std::sync::mpsc::channel();
    let writer = store.write(move |_, _| {
        told.send(COMPILED.take().unwrap()).unwrap();
        Ok(Vec::new())
    });
    writer.await.unwrap();
    let reader = store.read(|_, _| Ok(COMPILED.take().unwrap()));
    (hears.recv().unwrap(), reader.await.unwrap())
}

fn nothing() -> (Vec<String>, Vec<String>) {
    (Vec::new(), Vec::new())
}

/// As the messaging component stores a message: its place in the conversation first.
async fn send(store: &Sqlite, seq: i32, client_id: &str) -> Result<Vec<Effect>, Error> {
    let place =
        update("conversations", doc! { "_id": "a:b", "seq": seq }, doc! { "$set": { "seq": seq + 1, "ts": seq } });
    let (from, to) = (ObjectId::from_bytes([1; 12]), ObjectId::from_bytes([2; 12]));
    let message = doc! {
        "_id": ObjectId::new(), "fromUserId": from, "toUserId": to, "text": format!("hello {seq}"), "pair": "a:b",
        "ts": bson::DateTime::from_millis(seq.into()), "seq": seq + 1, "clientId": client_id,
    };
    let writes = vec![with(place, &["must_match"]), insert("messages", message)];
    store.commit(Commit { writes, events: vec![event(&seq.to_string(), "a:b")] }).await
}

#[tokio::test]
async fn a_message_compiles_nothing() {
    let store = store();
    commit(&store, vec![insert("conversations", doc! { "_id": "a:b", "seq": 0, "ts": 0 })]).await.unwrap();
    let member = store.event_log().subscribe("g", &["things".to_owned()], Start::Earliest).await.unwrap();
    let mut seq = 0;
    let some = async |seq: &mut i32| {
        for _ in 0..20 {
            send(&store, *seq, &format!("c{seq}")).await.unwrap();
            *seq += 1;
            let Ok(Next::Records(place, records)) = member.next().await else { panic!("nothing is read") };
            let offset = records.last().unwrap().offset + 1;
            assert_eq!(member.commit(&place, offset).await, Ok(true));
        }
        // One that came too late, and twice one that is there already: it is undone, first all of its group with it.
        assert_eq!(send(&store, 1_000, "late").await, Err(Error::Unmet(0)));
        for _ in 0..2 {
            assert!(matches!(send(&store, *seq, "c0").await, Err(Error::Duplicate { write: 1, .. })));
        }
        commit(&store, vec![delete("conversations", doc! { "_id": "nobody:b" })]).await.unwrap();
    };
    some(&mut seq).await;
    begin(&store).await;
    some(&mut seq).await;
    assert_eq!(end(&store).await, nothing());
    assert_eq!(store.count("messages", Filter::all(), 0).await, Ok(40));
}

/// Each kind of query twice, with other values, limits and lengths of lists.
#[tokio::test]
async fn a_read_compiles_nothing() {
    let store = store();
    let user = |n: i32| doc! { "_id": n, "mail": format!("m{n}"), "age": n };
    commit(&store, (0..30).map(|n| insert("users", user(n))).collect()).await.unwrap();
    commit(&store, vec![insert("conversations", doc! { "_id": "a:b", "seq": 0, "ts": 0 })]).await.unwrap();
    for seq in 0..60 {
        send(&store, seq, &format!("c{seq}")).await.unwrap();
    }
    let newest = || doc! { "ts": -1, "seq": -1, "_id": -1 };
    let date = |n: i32| bson::DateTime::from_millis(n.into());
    let ask = async |n: i32| {
        let limit = u32::try_from(n).unwrap();
        for (collection, filter, sort) in [
            // A history, its newest page and an older one.
            ("messages", doc! { "pair": "a:b" }, newest()),
            (
                "messages",
                doc! { "pair": "a:b", "ts": { "$lte": date(n) }, "$or": [
                    { "ts": { "$lt": date(n) } }, { "ts": date(n), "seq": { "$lt": n } }, { "ts": date(n), "seq": null }
                ] },
                newest(),
            ),
            ("messages", doc! { "fromUserId": n, "clientId": format!("c{n}") }, doc! {}),
            ("conversations", doc! { "_id": format!("{n}:b") }, doc! {}),
            ("sessions", doc! { "jti": n }, doc! {}),
            ("users", doc! { "mail": format!("m{n}") }, doc! {}),
            ("users", doc! { "_id": { "$in": (0..5 + n / 10).collect::<Vec<_>>() } }, doc! {}),
            ("users", doc! { "_id": { "$gt": n } }, doc! {}),
            ("requests", doc! { "pair": format!("{n}") }, doc! {}),
            ("requests", doc! { "to": n, "status": "interested" }, doc! { "at": -1 }),
            ("requests", doc! { "$or": [{ "from": n }, { "to": n, "status": "accepted" }] }, doc! {}),
        ] {
            let request = Query { limit: 1 + limit, ..query(collection, filter, sort) };
            store.refusing_scans().find(request).await.unwrap();
        }
        // Whole collections as well.
        let request = Query { limit: 1 + limit, ..query("users", doc! { "age": n }, doc! { "age": 1 }) };
        store.find(request).await.unwrap();
        let count = async |collection: &str, filter: bson::Document, limit: u32| {
            store.count(collection, Filter::from_document(&filter).unwrap(), limit).await.unwrap()
        };
        let either = doc! { "$or": [{ "from": n, "to": 1 - n }, { "from": 1 - n, "to": n }] };
        count("requests", either, 1).await;
        let ids = doc! { "_id": { "$gte": ObjectId::from_bytes([3; 12]), "$ne": ObjectId::from_bytes([9; 12]) } };
        count("users", ids.clone(), 0).await;
        count("users", ids, 1 + limit).await;
        count("users", doc! { "_id": n }, limit).await;
        store
            .distinct("users", "age", Filter::from_document(&doc! { "mail": format!("m{n}") }).unwrap())
            .await
            .unwrap();
        let log = store.event_log();
        for partition in 0..3 {
            log.read("things", partition, limit.into(), 1 + limit).await.unwrap();
        }
        log.bounds("things").await.unwrap();
        log.committed(&format!("g{n}"), "things").await.unwrap();
        store.outbox().waiting(limit, 1 + limit).await.unwrap();
    };
    ask(2).await;
    ask(3).await;
    begin(&store).await;
    for n in [0, 1, 2, 3, 25] {
        ask(n).await;
    }
    assert_eq!(end(&store).await, nothing());
}
