//! What operators see of a host: how each store is, as a probe and as a metric, how far consumers are, and what the whole
//! network does; what others on its machine can read of it; with which settings it refuses to start, and with which components
//! it starts all the same.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use e2e::{
    Expected, Member, PASSWORD, Server, ServerOptions, Site, Stack, Value, json, stamp, stamp_of, stamped, until,
};

use crate::deploy::{of_another_interface_with_manifest, with_manifest};

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

/// Attack (63): reading mails and secrets in a data folder that others may enter. Outcome: every file is 0600 in folders of
/// 0700.
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

/// Attack (62): production with a secret that can be guessed, or without an https PUBLIC_URL. Outcome: the host does not
/// start, and says which variable.
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
        ("UNSUBSCRIBE_SECRET", session_secret, "JWT_SECRET and UNSUBSCRIBE_SECRET are the same"),
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

/// The manifest of a component, with these lines at its end.
fn manifest(name: &str, rest: &str) -> String {
    format!("[component]\nname = \"{name}\"\nversion = \"1.0.0\"\n{rest}")
}

/// A route, as a manifest has it.
fn route(path: &str) -> String {
    format!("[[http]]\nmethod = \"GET\"\npath = \"{path}\"\nsession = \"none\"\n")
}

/// Files that can't be served beside the built components and `stamped`, by their names, with what is said of them under which
/// name.
fn bad_files() -> Vec<(&'static str, Option<Vec<u8>>, &'static str, &'static str)> {
    let bundled = |name: &str, rest: &str| Some(with_manifest(&manifest(name, rest)).unwrap());
    let twice = xtask::guests::with_manifest(stamped(3), &manifest("twice", &route("/twice")));
    let later = of_another_interface_with_manifest(&manifest("later", &route("/later")));
    let collection = "[grants.documents]\nnothing = { access = \"r\" }\n";
    vec![
        ("a-copy-of-stamped.wasm", Some(stamped(1)), "stamped.wasm", "stamped is in "),
        ("bare.wasm", Some(b"\0asm\x0d\0\x01\0".to_vec()), "bare.wasm", "there is no manifest in it"),
        ("conflict.wasm", bundled("zz-conflict", &route("/stamp")), "zz-conflict", "stamped has /stamp already"),
        ("folder.wasm", None, "folder.wasm", "it is no file"),
        ("half.wasm", Some(stamped(2)[..1000].to_vec()), "half.wasm", "not a WebAssembly component"),
        ("later.wasm", Some(later), "later", "it imports what this host does not have"),
        ("module.wasm", Some(b"\0asm\x01\0\0\0".to_vec()), "module.wasm", "it is a core module"),
        ("text.wasm", Some(b"no component".to_vec()), "text.wasm", "not a WebAssembly component"),
        ("twice.wasm", Some(twice), "twice.wasm", "there are two"),
        ("unknown.wasm", bundled("unknown", collection), "unknown", "the collection \"nothing\""),
        ("untold.wasm", bundled("untold", "[presence]\n"), "untold", "does not export"),
    ]
}

/// What `/readyz` says: its status, and the names of the components that fail.
async fn ready(server: &Server) -> (String, Vec<String>) {
    let answer = reqwest::get(format!("{}/readyz", server.url)).await.unwrap();
    assert_eq!(answer.status(), 200);
    let ready: Value = answer.json().await.unwrap();
    let failed = ready["components"]["failed"].as_array().unwrap();
    let failed = failed.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    (ready["status"].as_str().unwrap().to_owned(), failed)
}

/// Attack (65): a file that is no component in the folder of components. Outcome: the others serve; it is named in the log,
/// at `/readyz` and in `components`.
#[tokio::test(flavor = "multi_thread")]
async fn one_bad_file_keeps_no_other_component_from_serving() {
    let stack = Stack::embedded();
    let (data, components) = (stack.data("host"), e2e::with_fixture("stamped"));
    let files = bad_files();
    let mut names: Vec<String> = Vec::new();
    for (file, bytes, name, _) in &files {
        let path = components.path().join(file);
        match bytes {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::create_dir(&path).unwrap(),
        }
        names.push((*name).to_owned());
    }
    // Nobody reads what is not there.
    std::os::unix::fs::symlink("nowhere", components.path().join("unreadable.wasm")).unwrap();
    names.push("unreadable.wasm".to_owned());
    names.sort();
    let options = || ServerOptions {
        components: Some(components.path().to_owned()),
        expects: vec![Expected::Warning("this component of the folder is not served")],
        ..ServerOptions::default()
    };
    // Twice: what was deployed by the first start is not what fails at the second.
    for _ in 0..2 {
        let server = stack.start_with("host", options()).await;
        assert_eq!(ready(&server).await, ("degraded".to_owned(), names.clone()));
        // Of two files with one component it is the first.
        assert_eq!(stamp(&server.url).await, stamp_of(1));
        assert_eq!(reqwest::get(format!("{}/feed", server.url)).await.unwrap().status(), 401, "the feed serves");
        let operated = |arguments: &[&str]| tokio::task::block_in_place(|| e2e::operate(&server, &data, arguments));
        let (said, well) = operated(&["components", "--json"]);
        assert!(well, "{said}");
        let listed: Value = serde_json::from_str(&said).unwrap();
        for (_, _, name, why) in &files {
            let found = listed.as_array().unwrap().iter().find(|component| component["name"] == *name);
            let found = found.unwrap_or_else(|| panic!("{name} is not listed: {said}"));
            assert!(found["failing"].as_str().is_some_and(|told| told.contains(why)), "{name}: {found:#}");
        }
        let (said, _) = operated(&["components"]);
        assert!(said.contains("not deployed") && said.contains("not on this host: "), "{said}");
        assert!(tokio::task::block_in_place(|| server.interrupt()));
    }

    let folder = components.path().to_str().unwrap();
    let arguments = ["--strict", "--components", folder, "--data", data.to_str().unwrap()];
    let said = tokio::task::block_in_place(|| e2e::refused(&arguments, &[]));
    assert!(said.contains("not all components can be served: ") && said.contains("without --strict"), "{said}");
    assert!(said.contains("half.wasm is refused"), "{said}");
    // With those out of the way that are bad, a strict host starts, and everything serves.
    for (file, bytes, ..) in &files {
        let path = components.path().join(file);
        if bytes.is_some() { std::fs::remove_file(path).unwrap() } else { std::fs::remove_dir(path).unwrap() }
    }
    std::fs::remove_file(components.path().join("unreadable.wasm")).unwrap();
    let config = Some("[components]\nstrict = true\n");
    let server = stack.start_with("host", ServerOptions { config, expects: Vec::new(), ..options() }).await;
    assert_eq!(ready(&server).await, ("up".to_owned(), Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_without_any_component_that_serves_says_what_is_wrong_with_each() {
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let application = e2e::root().join("target/components/application.toml");
    std::fs::copy(application, folder.path().join("application.toml")).unwrap();
    std::fs::write(folder.path().join("text.wasm"), "no component").unwrap();
    let [components, data] = [&folder, &data].map(|folder| folder.path().to_str().unwrap());
    let said =
        tokio::task::block_in_place(|| e2e::refused(&["--components", components, "--data", data, "--strict"], &[]));
    assert!(said.contains("not all components can be served: ") && said.contains("text.wasm is refused"), "{said}");
    let said = tokio::task::block_in_place(|| e2e::refused(&["--components", components, "--data", data], &[]));
    assert!(said.contains("no component can be served: ") && said.contains("text.wasm is refused"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_version_that_no_longer_loads_keeps_no_other_component_from_serving() {
    let site = Site::new(Stack::embedded());
    let server = site.start("host").await;
    let large =
        with_manifest(&manifest("stamped", &(route("/stamp") + "[limits]\ntable-elements = 15_000\n"))).unwrap();
    site.well(&server, &["deploy", site.file("large.wasm", &large).to_str().unwrap(), "--accept-grants"]);
    assert_eq!(stamp(&server.url).await, stamp_of(7));
    assert!(tokio::task::block_in_place(|| server.interrupt()));

    let config = Some("[limits]\ntable-elements = 10000\n");
    let expects = vec![Expected::Warning("this host can't load what is deployed, and keeps what it has")];
    let server = site.start_with("host", ServerOptions { config, expects, ..ServerOptions::default() }).await;
    assert_eq!(ready(&server).await, ("degraded".to_owned(), vec!["stamped".to_owned()]));
    assert_eq!(stamp(&server.url).await, "nothing");
    assert_eq!(reqwest::get(format!("{}/feed", server.url)).await.unwrap().status(), 401, "the feed serves");
    let failing = site.component(&server, "stamped")["failing"].clone();
    assert!(failing.as_str().is_some_and(|why| why.contains("at most 10000 is allowed here")), "{failing}");
    // What comes next it can load.
    site.deploy(&server, 8, &["--accept-grants"]);
    assert_eq!((stamp(&server.url).await, ready(&server).await), (stamp_of(8), ("up".to_owned(), Vec::new())));
}
