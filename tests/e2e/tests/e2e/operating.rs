//! What operators see of a host: how each store is, as a probe and as a metric, how far consumers are, and what the whole
//! network does; what others on its machine can read of it; and with which settings it refuses to start.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it stands")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use e2e::{Expected, Member, PASSWORD, ServerOptions, Site, Stack, Value, json, until};

/// A port that nobody listens on: it was free a moment ago.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("redis://{}", listener.local_addr().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_seen_though_nobody_calls() {
    let environment = vec![("REDIS_URL", nobody())];
    let stack = Stack::embedded();
    let expects = vec![Expected::Warning("the connection for push messages of Redis can't be opened")];
    let server = stack.start_with("host", ServerOptions { environment, expects, ..ServerOptions::default() }).await;
    let line = |capability: &str, engine: &str, state: &str| {
        format!("devconnect_store_state{{capability=\"{capability}\",engine=\"{engine}\",state=\"{state}\"}} 1\n")
    };
    let gone = line("cache", "Redis", "down");
    let metrics = loop {
        let answer = reqwest::get(format!("{}/metrics", server.admin)).await.unwrap();
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
        let text = answer.text().await.unwrap();
        if text.contains(&gone) {
            break text;
        }
        tokio::task::yield_now().await;
    };
    assert!(metrics.contains(&line("documents", "embedded (SQLite)", "up")), "{metrics}");
    let ready: Value = reqwest::get(format!("{}/readyz", server.url)).await.unwrap().json().await.unwrap();
    assert_eq!((&ready["status"], &ready["stores"]["cache"]["state"]), (&"degraded".into(), &"down".into()));
    let member = reqwest::get(format!("{}/metrics", server.url)).await.unwrap();
    assert_eq!(member.status(), reqwest::StatusCode::NOT_FOUND, "it is not shown to the world");
}

e2e::on_both_stacks!(the_network_is_shown_to_operators_alone);

async fn the_network_is_shown_to_operators_alone(stack: Stack) {
    let server = stack.start("host").await;
    let ada = Member::sign_up(&server.url, "Ada").await;
    let edited = ada.patch("/profile/edit").json(&json!({ "skills": ["Rust", "node.js"] })).send().await.unwrap();
    assert_eq!(edited.status(), 200);
    let (url, data, begun) = (server.admin.clone(), stack.data("host"), Instant::now());
    let server = tokio::task::spawn_blocking(move || {
        let show = |route: &str| e2e::operate(&server, &data, &["show", route]);
        let shown = loop {
            let (said, well) = show("/analytics/network?by=hour&windows=2");
            assert!(well, "{said}");
            let shown: Value = serde_json::from_str(&said).unwrap();
            if shown["data"]["total"]["signups"] == 1 && shown["data"]["topSkills"] != json!([]) {
                break shown;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{said}");
        };
        let both = json!([{ "skill": "node.js", "members": 1 }, { "skill": "rust", "members": 1 }]);
        assert_eq!(shown["data"]["topSkills"], both);
        for (route, why) in [
            ("/analytics/network?windows=0", "windows takes 1 to 60"),
            ("/analytics/summary", "There is nothing here"),
            ("/..", "nothing"),
            ("analytics", "begins with a slash"),
        ] {
            let (said, well) = show(route);
            assert!(!well && said.contains(why), "{route}: {said}");
        }
        server
    });
    let server = server.await.unwrap();
    assert_eq!(ada.get("/analytics/network").send().await.unwrap().status(), 404, "not for members");
    for (path, status) in [("/v1/app/analytics/network", 401), ("/app/analytics/network", 404)] {
        assert_eq!(reqwest::get(format!("{url}{path}")).await.unwrap().status(), status, "{path}");
    }
    let metrics = reqwest::get(format!("{url}/metrics")).await.unwrap().text().await.unwrap();
    let analytics =
        |line: &&str| line.starts_with("devconnect_consumer_lag{component=\"analytics\",topic=\"user-events\"");
    assert_eq!(metrics.lines().filter(analytics).count(), 3, "one a partition: {metrics}");
    drop(server);
}

/// What is in a folder, at any depth, and the folder itself.
fn tree(folder: &Path) -> Vec<PathBuf> {
    let mut all = vec![folder.to_owned()];
    let mut at = 0;
    while let Some(path) = all.get(at).cloned() {
        at += 1;
        if path.is_dir() {
            all.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    all
}

/// Which of these others may read, write or enter.
fn open_to_others(paths: &[PathBuf]) -> Vec<&PathBuf> {
    let is_open =
        |path: &PathBuf| std::fs::symlink_metadata(path).is_ok_and(|about| about.permissions().mode() & 0o077 != 0);
    paths.iter().filter(|path| is_open(path)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_reads_what_a_host_writes_wherever_it_is_told_to_write() {
    let site = Site::new(Stack::embedded());
    let data = site.stack.data("host");
    // What an older host has left, and an operator who made the folder.
    let set = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    for folder in ["mails", "deployed"] {
        std::fs::create_dir_all(data.join(folder)).unwrap();
        set(&data.join(folder), 0o755);
    }
    set(&data, 0o755);
    let old = data.join("mails/old.eml");
    std::fs::write(&old, "Subject: a token\n").unwrap();
    set(&old, 0o644);
    let options = ServerOptions { umask: Some("022"), ..ServerOptions::default() };
    let server = site.start_with("host", options).await;
    Member::sign_up(&server.url, "Ada").await;
    site.deploy(&server, 1, &[]);
    let of_kind = |kind: &str| {
        let is_kind = |path: &&PathBuf| path.extension().is_some_and(|end| end == kind);
        tree(&data).iter().filter(is_kind).count()
    };
    let (bound, rows) = (Duration::from_secs(60), data.join("deployed/deployed.json"));
    until("the mail is sent", bound, async || of_kind("eml") == 2).await;
    until("the local copy is there", bound, async || rows.exists()).await;
    server.settled().await;
    let all = tree(&data);
    for name in [
        "store.sqlite",
        "store.sqlite-wal",
        "store.lock",
        "secrets/unsubscribe_secret",
        "secrets/devconnect_admin_token",
    ] {
        assert!(all.contains(&data.join(name)), "{name} is not in {all:#?}");
    }
    assert!(of_kind("compiled") > 0 && of_kind("wasm") > 0, "{all:#?}");
    assert_eq!(open_to_others(&all), Vec::<&PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_all_users_need_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let shared = folder.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o1777)).unwrap();
    let said = tokio::task::block_in_place(|| e2e::refused(&["--data", shared.to_str().unwrap()], &[]));
    assert!(said.contains("give the host a folder of its own"), "{said}");
}

/// What a host in production needs to be told.
const PRODUCTION: [(&str, &str); 5] = [
    ("DEVCONNECT_ENV", "production"),
    ("PUBLIC_URL", "https://devconnect.example"),
    ("JWT_SECRET", "32b0530dd5036f4843af90bfb4ecc249ef48504e022317da66aaa57510101d0a"),
    ("UNSUBSCRIBE_SECRET", "9c1f6f0c0d1de0a4d0f7b8d1f35f8a62c46b7a19be3fd2f8815a7e04c3b96d2e"),
    ("DEVCONNECT_ADMIN_TOKEN", "956cba074f787b42289a7bc1d04cd02d80958e1c3b5ca6db"),
];

#[tokio::test(flavor = "multi_thread")]
async fn production_starts_with_what_nobody_guesses_and_with_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path().join("data");
    let (_, session_secret) = PRODUCTION[2];
    for (variable, value, why) in [
        ("JWT_SECRET", "", "JWT_SECRET is not set"),
        ("JWT_SECRET", "secret", "JWT_SECRET is too short: it needs at least 32 bytes"),
        ("JWT_SECRET", "changeme-changeme-changeme-changeme", "JWT_SECRET can be guessed"),
        ("UNSUBSCRIBE_SECRET", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "UNSUBSCRIBE_SECRET can be guessed"),
        ("UNSUBSCRIBE_SECRET", session_secret, "UNSUBSCRIBE_SECRET and JWT_SECRET are the same"),
        ("DEVCONNECT_ADMIN_TOKEN", "a", "DEVCONNECT_ADMIN_TOKEN is too short: it needs at least 24 bytes"),
        ("DEVCONNECT_ADMIN_TOKEN", "devconnect-admin-password-2026", "DEVCONNECT_ADMIN_TOKEN can be guessed"),
        ("PUBLIC_URL", "", "PUBLIC_URL is not set"),
        ("PUBLIC_URL", "http://devconnect.example", "PUBLIC_URL is not https"),
        ("PUBLIC_URL", "https://localhost", "PUBLIC_URL leads to the machine of whoever opens it"),
    ] {
        let environment = [&PRODUCTION[..], &[(variable, value)]].concat();
        let arguments = ["--data", data.to_str().unwrap()];
        let said = tokio::task::block_in_place(|| e2e::refused(&arguments, &environment));
        let help = if variable == "PUBLIC_URL" { "https://devconnect.example" } else { "openssl rand -hex 32" };
        assert!(said.contains(why) && said.contains(help), "{variable}: {said}");
        assert!(variable == "PUBLIC_URL" || value.len() < 7 || !said.contains(value), "{variable} is shown: {said}");
    }

    let environment = PRODUCTION.map(|(variable, value)| (variable, value.to_owned())).into();
    let stack = Stack::embedded();
    let server = stack.start_with("host", ServerOptions { environment, ..ServerOptions::default() }).await;
    let ada = json!({ "firstName": "Ada", "lastName": "Tester", "emailId": "ada@example.com", "password": PASSWORD });
    let answer = Member::nobody(&server.url).post("/signup").json(&ada).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("; Secure"), "{cookie}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weak_secret_is_a_warning_where_people_develop() {
    let environment = vec![("JWT_SECRET", "secret".to_owned()), ("PUBLIC_URL", "http://localhost:3000".to_owned())];
    let expects = vec![Expected::Warning("JWT_SECRET is too short: it needs at least 32 bytes")];
    let stack = Stack::embedded();
    let server = stack.start_with("host", ServerOptions { environment, expects, ..ServerOptions::default() }).await;
    Member::sign_up(&server.url, "Ada").await;
}
