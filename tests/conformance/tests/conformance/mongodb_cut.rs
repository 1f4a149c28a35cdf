//! A MongoDB whose line is cut in the middle of a commit: once it is restored, the documents of the commit are free again,
//! long before the server would end the transaction by itself.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use bson::doc;
use capability::documents::{Commit, Documents as _, Error, Write};
use conformance::documents::{event, insert, schema, topics, update};
use conformance::servers;
use mongodb::Client;
use store_mongodb::MongoDb;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A call is given up after 10 s; then nobody is left who could end its transaction.
const CUT: Duration = Duration::from_secs(12);
/// The server would hold the locks for 60 s.
const FREE_WITHIN: Duration = Duration::from_secs(15);

/// A line to the server, which is cut after some answers: nothing comes through in either direction until it is restored.
#[derive(Clone)]
struct Line {
    answers: Arc<AtomicI64>,
    open: watch::Sender<bool>,
}

impl Line {
    /// To a server; the port on which it listens.
    async fn to(server: String) -> (Self, u16) {
        let line = Self { answers: Arc::new(AtomicI64::new(i64::MAX)), open: watch::Sender::new(true) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, copy) = (listener.local_addr().unwrap().port(), line.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                let ((questions, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(copy.clone().carry(questions, to_server, false));
                tokio::spawn(copy.clone().carry(from_server, to_client, true));
            }
        });
        (line, port)
    }

    async fn carry(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, is_answer: bool) {
        let (mut open, mut bytes) = (self.open.subscribe(), Vec::new());
        loop {
            bytes.clear();
            let read = from.read_buf(&mut bytes).await.unwrap_or(0);
            if read > 0 && is_answer && self.answers.fetch_sub(1, Ordering::SeqCst) == 0 {
                self.open.send_replace(false);
            }
            if open.wait_for(|open| *open).await.is_err() || read == 0 || to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    }

    fn cut_after(&self, answers: i64) {
        self.answers.store(answers, Ordering::SeqCst);
    }

    fn restore(&self) {
        self.answers.store(i64::MAX, Ordering::SeqCst);
        self.open.send_replace(true);
    }
}

/// Two writes and an event of one key, which are several commands of one transaction.
fn commit(name: &str) -> Commit {
    let writes: Vec<Write> = [format!("{name}-a"), format!("{name}-b")]
        .iter()
        .map(|id| update("plain", &doc! { "_id": id }, &doc! { "$inc": { "n": 1 } }))
        .collect();
    Commit { writes, events: vec![event(&bson::oid::ObjectId::new().to_hex(), name)] }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_cut_off_keeps_no_document_locked() {
    let Some(uri) = tokio::task::spawn_blocking(servers::mongodb_uri).await.unwrap() else { return };
    let server = uri.trim_start_matches("mongodb://").split(['/', '?']).next().unwrap().to_owned();
    if server.contains(['@', ',']) {
        eprintln!("skipped: a line leads to one server without a password");
        return;
    }
    let database = format!("cut{}", bson::oid::ObjectId::new().to_hex());
    let direct = MongoDb::open(&uri, &database, &schema(), &topics()).unwrap();
    direct.prepare().await.unwrap();
    // Each cut is a store and a line of its own, since each waits for its timeout.
    let cuts = (0..12).map(|answers| {
        let (direct, database, server) = (direct.clone(), database.clone(), server.clone());
        tokio::spawn(async move { cut(&direct, &database, server, answers).await })
    });
    let mut unclear = 0;
    for cut in cuts.collect::<Vec<_>>() {
        unclear += usize::from(cut.await.unwrap());
    }
    Client::with_uri_str(&uri).await.unwrap().database(&database).drop().await.unwrap();
    assert!(unclear >= 3, "only {unclear} commits were cut off");
}

/// Cuts a commit off after some answers; true when its caller was not told how it ended.
async fn cut(direct: &MongoDb, database: &str, server: String, answers: i64) -> bool {
    let name = format!("cut-{answers}");
    let documents = ["a", "b"].map(|part| insert("plain", doc! { "_id": format!("{name}-{part}"), "n": 0 }));
    direct.commit(Commit { writes: documents.into(), events: Vec::new() }).await.unwrap();
    let (line, port) = Line::to(server).await;
    let through = format!("mongodb://127.0.0.1:{port}/{database}?directConnection=true");
    let store = MongoDb::open(&through, database, &schema(), &topics()).unwrap();
    store.prepare().await.unwrap();
    line.cut_after(answers);
    let done = store.commit(commit(&name)).await;
    assert!(matches!(done, Ok(_) | Err(Error::Unavailable(_))), "{done:?}");
    if done.is_err() {
        tokio::time::sleep(CUT).await;
    }
    line.restore();
    let restored = Instant::now();
    while let Err(error) = direct.commit(commit(&name)).await {
        assert!(restored.elapsed() < FREE_WITHIN, "cut after {answers} answers, still {error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eprintln!("cut after {answers} answers: {}, free after {:.1?}", done.is_ok(), restored.elapsed());
    done.is_err()
}
