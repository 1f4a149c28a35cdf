//! A MongoDB that stands alone, is not there, does not answer, or comes back: callers learn so soon, and nobody has to help.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bson::doc;
use capability::documents::{Commit, Documents as _, Error};
use conformance::documents::{insert, query, schema, topics};
use conformance::servers;
use mongodb::Client;
use store_mongodb::MongoDb;

/// A server of this test's own, which it may treat badly.
struct Server {
    process: Child,
}

impl Server {
    fn start(program: &Path, data: &Path, port: u16, set: bool) -> Self {
        let mut command = Command::new(program);
        command.arg("--dbpath").arg(data).args(["--port", &port.to_string(), "--bind_ip", "127.0.0.1"]);
        command.args(["--nounixsocket", "--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64"]);
        if set {
            command.args(["--replSet", "rs0", "--setParameter", "enableTestCommands=1"]);
        }
        let process = command.stdout(Stdio::null()).spawn().unwrap_or_else(|error| panic!("mongod: {error}"));
        Self { process }
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The program that the stack has fetched; none where its servers are containers.
fn program() -> Option<PathBuf> {
    let programs = std::fs::read_dir(servers::stack_folder().join("programs")).ok()?;
    let found = programs.flatten().map(|entry| entry.path().join("mongod")).find(|program| program.is_file());
    if found.is_none() {
        eprintln!("skipped, there is no mongod to treat badly");
    }
    found
}

/// Prepares until it is done; panics when it is not within thirty seconds.
async fn prepared(store: &MongoDb) {
    let begun = Instant::now();
    loop {
        match store.prepare().await {
            Ok(_) => return,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(30), "it is not prepared: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Commits until that is done; panics when it is not within thirty seconds.
async fn heals(store: &MongoDb) {
    let begun = Instant::now();
    loop {
        let write = insert("plain", doc! { "_id": bson::oid::ObjectId::new() });
        match store.commit(Commit { writes: vec![write], events: Vec::new() }).await {
            Ok(_) => return,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(30), "it does not heal: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Fifty callers at once all learn that it is away within the patience of one.
async fn is_away(store: &MongoDb) {
    let begun = Instant::now();
    let calls = (0..50).map(|number| {
        let store = store.clone();
        tokio::spawn(async move {
            let write = insert("plain", doc! { "_id": number });
            let commit = Commit { writes: vec![write], events: Vec::new() };
            let (found, done) = (store.find(query("plain", &doc! {})), store.commit(commit));
            let (found, done) = tokio::join!(found, done);
            assert!(matches!(found, Err(Error::Unavailable(_))), "{found:?}");
            assert!(matches!(done, Err(Error::Unavailable(_))), "{done:?}");
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "they waited for {:?}", begun.elapsed());
}

/// A server that ends each request because of its time is not away: whoever delivers an event counts that as an attempt.
async fn gives_up_what_takes_too_long(store: &MongoDb, direct: &Client) {
    let admin = direct.database("admin");
    let commands = ["find", "aggregate", "insert", "update", "delete", "bulkWrite"];
    let data = doc! { "failCommands": commands.to_vec(), "errorCode": 50 };
    admin.run_command(doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data }).await.unwrap();
    let found = store.find(query("plain", &doc! {})).await;
    assert!(matches!(found, Err(Error::Overdue(_))), "{found:?}");
    let write = insert("plain", doc! { "_id": bson::oid::ObjectId::new() });
    let done = store.commit(Commit { writes: vec![write], events: Vec::new() }).await;
    assert!(matches!(done, Err(Error::Overdue(_))), "{done:?}");
    admin.run_command(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mongodb_that_comes_later_freezes_and_dies_is_away_and_heals() {
    // Installs it where it is missing.
    if tokio::task::spawn_blocking(servers::mongodb_uri).await.unwrap().is_none() {
        return;
    }
    let Some(program) = program() else { return };
    let (data, port) = (tempfile::TempDir::new().unwrap(), free_port());
    let open = |uri: String| MongoDb::open(&uri, "away", &schema(), &topics()).unwrap();
    let store = open(format!("mongodb://127.0.0.1:{port}/?replicaSet=rs0"));
    is_away(&store).await;
    assert!(matches!(store.prepare().await, Err(Error::Unavailable(_))));

    let alone = Server::start(&program, data.path(), port, false);
    for store in [&store, &open(format!("mongodb://127.0.0.1:{port}"))] {
        let begun = Instant::now();
        let refusal = loop {
            match store.prepare().await {
                Err(Error::Invalid(text)) => break text,
                other => assert!(begun.elapsed() < Duration::from_secs(30), "{other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert!(refusal.contains("--replSet") && refusal.contains("rs.initiate()"), "{refusal}");
    }
    drop(alone);

    let server = Server::start(&program, data.path(), port, true);
    let direct = Client::with_uri_str(format!("mongodb://127.0.0.1:{port}/?directConnection=true")).await.unwrap();
    let members = doc! { "_id": "rs0", "members": [{ "_id": 0, "host": format!("127.0.0.1:{port}") }] };
    direct.database("admin").run_command(doc! { "replSetInitiate": members }).await.unwrap();
    prepared(&store).await;
    heals(&store).await;
    gives_up_what_takes_too_long(&store, &direct).await;
    heals(&store).await;
    server.signal("-STOP");
    is_away(&store).await;
    server.signal("-CONT");
    heals(&store).await;
    drop(server);
    is_away(&store).await;
    let _again = Server::start(&program, data.path(), port, true);
    heals(&store).await;
}

#[tokio::test]
async fn a_uri_that_is_none_is_refused_without_its_password() {
    for uri in
        ["mongo://me:secret@127.0.0.1", "mongodb://me:secret@:x/", "mongodb://me:secret@h/?maxPoolSize=secret", ""]
    {
        match MongoDb::open(uri, "away", &schema(), &topics()) {
            Ok(_) => panic!("{uri} opens"),
            Err(error) => {
                assert!(matches!(error, Error::Invalid(_)) && !error.to_string().contains("secret"), "{error}")
            }
        }
    }
}
