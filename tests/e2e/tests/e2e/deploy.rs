//! Deploying on a running host: what serves before, during and after, what is refused, and what a crash leaves.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails where it stands, and says what it saw"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use e2e::{
    Expected, Server, ServerOptions, Site, Stack, Value, on_both_stacks, stamp, stamp_of, stamped, token, until,
};
use manifest::{Manifest, ManifestError};
use sha2::{Digest as _, Sha256};

on_both_stacks!(
    a_version_is_deployed_gone_back_to_and_removed,
    a_rollback_returns_to_what_served_everybody,
    what_is_refused_changes_nothing,
    requests_meet_one_whole_version_each,
    a_crash_leaves_one_whole_version,
);

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}

/// Waits for what another host is to do, and says how long that took. It is to follow within two seconds; the bound is for
/// a machine that has other work.
async fn follows(what: &str, holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    until(what, Duration::from_secs(30), holds).await;
    println!("{what} after {:.1?}", begun.elapsed());
}

async fn a_version_is_deployed_gone_back_to_and_removed(stack: Stack) {
    let site = Site::new(stack);
    let server = site.start("host").await;
    assert_eq!(stamp(&server.url).await, stamp_of(0), "what is in the folder is deployed");
    let said = site.deploy(&server, 1, &[]);
    assert!(said.contains("stamped 1.0.0 (") && said.contains(") serves, 1.0.0 ("), "{said}");
    assert_eq!(stamp(&server.url).await, stamp_of(1));
    assert!(site.deploy(&server, 1, &[]).contains("serves already"));
    site.deploy(&server, 2, &[]);

    let found = site.component(&server, "stamped");
    let versions: Vec<&str> =
        found["versions"].as_array().unwrap().iter().map(|version| version["sha256"].as_str().unwrap()).collect();
    assert_eq!((versions.len(), found["serving"].as_str()), (3, Some(versions[0])));
    assert_eq!(
        found["grants"],
        serde_json::json!([
            "publish to the topic analytics-events",
            "read the collection useractivity",
            "write the collection useractivity"
        ])
    );

    site.well(&server, &["rollback", "stamped"]);
    assert_eq!(stamp(&server.url).await, stamp_of(1));
    site.well(&server, &["rollback", "stamped", "--to", &versions[2][..12]]);
    assert_eq!(stamp(&server.url).await, stamp_of(0));
    let (said, well) = site.operate(&server, &["rollback", "stamped"]);
    assert!(!well && said.contains("no such version to go back to"), "{said}");
    site.well(&server, &["rollback", "stamped", "--to", &versions[1][..12]]);

    // A host that starts again starts with what is deployed, and not with what is in its folder.
    assert!(tokio::task::block_in_place(|| server.interrupt()));
    let server = site.start("host").await;
    assert_eq!(stamp(&server.url).await, stamp_of(1));
    assert!(site.well(&server, &["remove", "stamped"]).contains("is removed"));
    assert_eq!(stamp(&server.url).await, "nothing");
    let (said, well) = site.operate(&server, &["remove", "stamped"]);
    assert!(!well && said.contains("no component \"stamped\" is deployed"), "{said}");
    drop(server);
    let server = site.start("host").await;
    assert_eq!(stamp(&server.url).await, "nothing", "what was removed is not deployed again");
    site.well(&server, &["rollback", "stamped"]);
    assert_eq!(
        stamp(&server.url).await,
        stamp_of(1),
        "the one that served; what was gone back from does not come back"
    );
    assert!(!site.well(&server, &["components"]).is_empty());

    // A component that was removed begins anew: nothing of before is gone back to, unless it is named.
    site.well(&server, &["remove", "stamped"]);
    site.deploy(&server, 3, &["--accept-grants"]);
    let (said, well) = site.operate(&server, &["rollback", "stamped"]);
    assert!(!well && said.contains("no such version to go back to"), "{said}");
    site.well(&server, &["rollback", "stamped", "--to", &hash(1)[..12]]);
    assert_eq!(stamp(&server.url).await, stamp_of(1));
}

/// The two series of the report: a canary that was rejected, and one that another took the place of, serve nobody again.
async fn a_rollback_returns_to_what_served_everybody(stack: Stack) {
    let site = Site::new(stack);
    let server = site.start("host").await;
    site.deploy(&server, 1, &[]);
    site.deploy(&server, 2, &["--weight", "50"]);
    site.well(&server, &["rollback", "stamped"]);
    site.deploy(&server, 3, &[]);
    site.well(&server, &["rollback", "stamped"]);
    assert_eq!(stamp(&server.url).await, stamp_of(1), "2 was rejected");

    site.deploy(&server, 4, &["--weight", "20"]);
    site.deploy(&server, 5, &["--weight", "20"]);
    site.well(&server, &["promote", "stamped"]);
    assert_eq!(stamp(&server.url).await, stamp_of(5));
    site.well(&server, &["rollback", "stamped"]);
    assert_eq!(stamp(&server.url).await, stamp_of(1), "4 never served everybody");
    site.well(&server, &["rollback", "stamped"]);
    assert_eq!(stamp(&server.url).await, stamp_of(0));
    let (said, well) = site.operate(&server, &["rollback", "stamped"]);
    assert!(!well && said.contains("no such version to go back to"), "{said}");
}

/// The hash of the fixture with this stamp.
fn hash(number: u64) -> String {
    hex::encode(Sha256::digest(stamped(number)))
}

/// The fixture's code with the stamp 7, and no manifest.
fn without_manifest() -> Vec<u8> {
    stripped(stamped(7))
}

/// A component without its manifest.
fn stripped(mut wasm: Vec<u8>) -> Vec<u8> {
    let marker = b"devconnect:manifest";
    let name = wasm.windows(marker.len()).rposition(|window| window == marker).unwrap();
    // The section is the last one: its id, its size in two or three bytes, the name's length.
    let begin = (0..name).rev().take(5).find(|at| wasm[*at] == 0).unwrap();
    wasm.truncate(begin);
    wasm
}

/// The same with another manifest.
pub(crate) fn with_manifest(text: &str) -> Result<Vec<u8>, ManifestError> {
    Manifest::bundle(without_manifest(), text)
}

/// A component with a description of its routes, of at most 100 bytes.
fn described(component: &[u8], description: &[u8]) -> Vec<u8> {
    let name = b"devconnect:openapi";
    let size = 1 + name.len() + description.len();
    assert!(size < 128, "its size is one byte");
    [component, &[0, size as u8, name.len() as u8], name, description].concat()
}

/// A component around a core module, with these sections after it.
fn around(module: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut component = b"\0asm\x0d\0\x01\0\x01".to_vec();
    component.push(module.len() as u8);
    component.extend(module);
    component.extend(rest);
    Manifest::bundle(component, "[component]\nname = \"crafted\"\nversion = \"1.0.0\"\n").unwrap()
}

/// A component that traps as soon as there is an instance of it: its module's start function is `unreachable`.
fn trapping() -> Vec<u8> {
    let module = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x08\x01\0\x0a\x05\x01\x03\0\0\x0b";
    around(module, b"\x02\x04\x01\0\0\0")
}

/// The fixture as one that was built for a later version of the host's interfaces.
fn of_another_interface() -> Vec<u8> {
    let mut wasm = stamped(7);
    let imported = b"devconnect:platform/documents@0.1.0";
    let places: Vec<usize> = (0..wasm.len() - imported.len()).filter(|at| wasm[*at..].starts_with(imported)).collect();
    assert!(!places.is_empty());
    for at in places {
        wasm[at + imported.len() - 3] = b'9';
    }
    wasm
}

/// The same with another manifest.
pub(crate) fn of_another_interface_with_manifest(text: &str) -> Vec<u8> {
    // What the host's interfaces are is not checked when a manifest is put in.
    Manifest::bundle(stripped(of_another_interface()), text).unwrap()
}

async fn what_is_refused_changes_nothing(stack: Stack) {
    let site = Site::new(stack);
    let config = Some("[limits]\ntable-elements = 10000\n");
    let server = site.start_with("host", ServerOptions { config, ..ServerOptions::default() }).await;
    let head = "[component]\nname = \"stamped\"\nversion = \"2.0.0\"\n";
    let other = "[component]\nname = \"other\"\nversion = \"1.0.0\"\n";
    let route = "[[http]]\nmethod = \"GET\"\npath = \"/stamp\"\nsession = \"none\"\n";
    let bundled = |text: String| with_manifest(&text).unwrap();
    for (what, wasm, why) in [
        ("text", b"no component".to_vec(), "not a WebAssembly component"),
        ("half", stamped(7)[..1000].to_vec(), "not a WebAssembly component"),
        ("module", b"\0asm\x01\0\0\0".to_vec(), "it is a core module"),
        ("bare", b"\0asm\x0d\0\x01\0".to_vec(), "there is no manifest in it"),
        (
            "unknown",
            bundled(format!("{head}[grants.documents]\nnothing = {{ access = \"r\" }}\n")),
            "the collection \"nothing\"",
        ),
        ("presence", bundled(format!("{head}[presence]\n")), "does not export devconnect:platform/presence-handler"),
        ("wider", bundled(format!("{head}{route}[grants]\nmail = true\n")), "+ send mails"),
        (
            "first",
            bundled(format!("{other}[grants]\npasswords = true\n")),
            "asks for more than the version that serves; accept it with --accept-grants:\n+ hash and verify passwords",
        ),
        (
            "slice",
            bundled(format!("{head}[grants.cache]\n\"session:0*\" = \"r\"\n")),
            "the cache keys \"session:0*\", and sessions are under \"session:*\"",
        ),
        (
            "letters",
            bundled(format!("{head}[[event]]\ntopic = \"message-events.dlq\"\n")),
            "the topic \"message-events.dlq\"",
        ),
        (
            "large",
            bundled(format!("{head}{route}[limits]\ntable-elements = 10_001\n")),
            "its limits.table-elements is 10001, and at most 10000 is allowed here",
        ),
        ("trapping", trapping(), "it can't be instantiated"),
        ("garbage", described(&bundled(format!("{head}{route}")), b"{}"), "says of its routes"),
        (
            "lying",
            described(&bundled(format!("{head}{route}")), br#"{"method":"GET","path":"/healthz"}"#),
            "the manifest has no route GET \"/healthz\"",
        ),
        ("later", of_another_interface(), "it imports what this host does not have"),
        ("conflict", bundled(format!("{other}{route}")), "stamped has /stamp already"),
    ] {
        let file = site.file(&format!("{what}.wasm"), &wasm);
        let (said, well) = site.operate(&server, &["deploy", path(&file)]);
        assert!(!well && said.contains(why), "{what}: {said}");
        assert_eq!(stamp(&server.url).await, stamp_of(0), "{what}");
        // The host says the same to whoever does not look first.
        let asked = reqwest::Client::new().post(format!("{}/v1/components", server.admin)).bearer_auth(site.token());
        let answer = asked.body(wasm).send().await.unwrap();
        assert!(answer.status().is_client_error(), "{what}: {}", answer.status());
        assert!(answer.json::<Value>().await.unwrap()["message"].as_str().unwrap().contains(why), "{what}");
    }
    // A contradiction has its line and column.
    let why = Manifest::parse(&format!("{head}{route}{route}")).unwrap_err().to_string();
    assert!(why.contains("line 10, column 8: GET /stamp is there twice"), "{why}");

    let accepted = site.file("wider.wasm", &bundled(format!("{head}{route}[grants]\nmail = true\n")));
    site.well(&server, &["deploy", "--accept-grants", path(&accepted)]);
    site.well(&server, &["rollback", "stamped"]);
    // What was accepted once is.
    site.well(&server, &["deploy", path(&accepted)]);
    let asked =
        reqwest::Client::new().post(format!("{}/v1/components/stamped/rollback", server.admin)).send().await.unwrap();
    assert_eq!(asked.status(), 401, "not without the token");
}

/// Triggers and limits are accepted like grants, line by line, and what asks for less is not asked about.
/// Attack (53): a version without grants that subscribes to a topic from the earliest event, or drops a route's session
/// rule. Outcome: refused with the lines that are new, until they are accepted.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_version_may_see_or_do_beyond_the_one_before_is_accepted() {
    let site = Site::new(Stack::embedded());
    let server = site.start("host").await;
    // Its version for all events of a topic has a handler for none of them.
    server.expect(Expected::Warning("has no handler for MESSAGE_"));
    let deploy = |text: &str, how: &[&str]| {
        let file = site.file("changed.wasm", &with_manifest(text).unwrap());
        site.operate(&server, &[&["deploy", path(&file)], how].concat())
    };
    let narrow = "[component]\nname = \"stamped\"\nversion = \"2.0.0\"\n\
                  [[http]]\nmethod = \"GET\"\npath = \"/stamp\"\nsession = \"none\"\n\
                  [[http]]\nmethod = \"GET\"\npath = \"/stamp/mine\"\nsession = \"required\"\n";
    let (said, well) = deploy(narrow, &[]);
    assert!(well && !said.lines().any(|line| line.starts_with("+ ")), "{said}");
    assert!(said.contains("- get events of the topic analytics-events, types STAMP, from earliest\n"), "{said}");
    let serving = || site.component(&server, "stamped")["serving"].as_str().unwrap().to_owned();
    let before = serving();

    let topic = "[[event]]\ntopic = \"message-events\"\nfrom = \"earliest\"\n";
    let widened = [
        (format!("{narrow}{topic}"), "+ get events of the topic message-events, all types, from earliest\n"),
        (
            narrow.replace("\"required\"", "\"none\""),
            "- GET /stamp/mine, session required\n+ GET /stamp/mine, session none\n",
        ),
        (
            narrow.replace("\"required\"", "\"required\"\nheaders = [\"x-secret\"]"),
            "- GET /stamp/mine, session required\n+ GET /stamp/mine, session required, headers x-secret\n",
        ),
        (
            format!("{narrow}[[http]]\nmethod = \"GET\"\npath = \"/stamp/slow\"\n"),
            "+ GET /stamp/slow, session required\n",
        ),
        (format!("{narrow}[[socket]]\nevent = \"stamp\"\n"), "+ answer the socket event stamp\n"),
        (format!("{narrow}[limits]\ncpu-ms = 251\n"), "+ limits.cpu-ms, up to 251\n"),
    ];
    for (text, lines) in &widened {
        let (said, well) = deploy(text, &[]);
        assert!(!well && said.contains("accept it with --accept-grants:\n") && said.contains(lines), "{said}");
        assert_eq!(serving(), before, "{lines}");
    }
    for (text, lines) in &widened[..2] {
        let (said, well) = deploy(text, &["--accept-grants"]);
        assert!(well && said.contains(lines), "{said}");
        site.well(&server, &["rollback", "stamped", "--to", &before[..12]]);
        // What was accepted once is.
        let (said, well) = deploy(text, &[]);
        assert!(well && said.contains(lines), "{said}");
        site.well(&server, &["rollback", "stamped", "--to", &before[..12]]);
    }
    assert_eq!(serving(), before);
}

/// A grant that the code can't use is named before the component is deployed and while it is. What is shipped has none.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_can_not_be_used_is_warned_of() {
    let site = Site::new(Stack::embedded());
    let server = site.start("host").await;
    let check = |file: &Path| tokio::task::block_in_place(|| e2e::command(&["check", path(file)]));
    let text = "[component]\nname = \"other\"\nversion = \"1.0.0\"\ndescription = \"A test's\"\n\
                [grants]\nevents = [\"analytics-events\"]\nmail = true\n[grants.cache]\n\"user:*\" = \"w\"\n";
    let file = site.file("other.wasm", &with_manifest(text).unwrap());
    let (checked, well) = check(&file);
    assert!(
        well && checked.starts_with("other 1.0.0: A test's\n  publish to the topic analytics-events\n"),
        "{checked}"
    );
    let deployed = site.well(&server, &["deploy", "--accept-grants", path(&file)]);
    assert!(deployed.contains("+ send mails\n"), "{deployed}");
    for said in [checked, deployed] {
        let unused = "warning: granted and not used: ";
        assert_eq!(said.matches(unused).count(), 2, "{said}");
        assert!(said.contains(&format!("{unused}send mails: it imports none of mail.send; take it out")), "{said}");
        assert!(
            said.contains(&format!("{unused}write the cache keys user:*: it imports none of cache.set, ")),
            "{said}"
        );
    }
    for component in std::fs::read_dir(e2e::root().join("target/components")).unwrap() {
        let file = component.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "wasm") {
            let (said, well) = check(&file);
            assert!(well && !said.contains("warning"), "{said}");
        }
    }
}

async fn requests_meet_one_whole_version_each(stack: Stack) {
    const VERSIONS: u64 = 30;
    let site = Site::new(stack);
    let server = site.start("host").await;
    let ended = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (url, ended) = (format!("{}/stamp", server.url), ended.clone());
            tokio::spawn(async move {
                let client = reqwest::Client::new();
                let (mut last, mut count) = (0, 0_u64);
                while !ended.load(Ordering::Relaxed) {
                    let answer = client.get(&url).send().await.unwrap();
                    assert_eq!(answer.status(), 200);
                    let text = answer.text().await.unwrap();
                    let number: u64 = text.strip_prefix("STAMP-").unwrap().parse().unwrap();
                    // One connection after another request never meets an older version again.
                    assert!((last..=VERSIONS).contains(&number), "{number} after {last}");
                    (last, count) = (number, count + 1);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                count
            })
        })
        .collect();
    for number in 1..=VERSIONS {
        site.deploy(&server, number, &[]);
        assert_eq!(stamp(&server.url).await, stamp_of(number));
    }
    ended.store(true, Ordering::Relaxed);
    let mut all = 0;
    for client in clients {
        all += client.await.unwrap();
    }
    println!("{all} requests during {VERSIONS} deploys, none failed");
    assert!(all > VERSIONS);
}

/// The steps of a deploy, and the stamp that serves after a crash there.
const STEPS: [(&str, u64); 4] =
    [("deploy-checked", 0), ("deploy-stored", 0), ("deploy-committed", 1), ("deploy-served", 1)];

fn aborting(step: &str) -> ServerOptions {
    ServerOptions { environment: vec![("DEVCONNECT_TEST_ABORT", format!("{step}:1"))], ..ServerOptions::default() }
}

async fn a_crash_leaves_one_whole_version(stack: Stack) {
    let site = Site::new(stack);
    let mut serving = 0;
    for (number, (step, after)) in (1..).zip(STEPS) {
        let server = site.start_with("host", aborting(step)).await;
        assert_eq!(stamp(&server.url).await, stamp_of(serving));
        let file = site.file("stamped.wasm", &stamped(number));
        let (said, well) = site.operate(&server, &["deploy", path(&file)]);
        assert!(!well && said.contains("no host answers"), "{step}: {said}");
        tokio::task::block_in_place(|| server.wait());
        if after == 1 {
            serving = number;
        }
        let server = site.start("host").await;
        assert_eq!(stamp(&server.url).await, stamp_of(serving), "{step}");
        // It can be done again, and gone on from there.
        assert!(
            site.deploy(&server, number, &[]).contains(if after == 1 { "serves already" } else { ") serves, " }),
            "{step}"
        );
        serving = number;
        drop(server);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_host_follows_also_one_that_was_away() {
    let Some(stack) = tokio::task::spawn_blocking(Stack::real).await.unwrap() else { return };
    let site = Site::new(stack);
    let (one, other, third) = tokio::join!(site.start("host"), site.start("other"), site.start("third"));
    let all_have = async |hosts: &[&Server], number: u64| {
        for host in hosts {
            follows("it has it", async || stamp(&host.url).await == stamp_of(number)).await;
        }
    };
    all_have(&[&one, &other, &third], 0).await;
    site.deploy(&one, 1, &[]);
    all_have(&[&one, &other, &third], 1).await;
    site.well(&one, &["rollback", "stamped"]);
    all_have(&[&one, &other, &third], 0).await;
    drop(third);
    site.deploy(&one, 2, &[]);
    all_have(&[&one, &other], 2).await;
    let third = site.start("third").await;
    assert_eq!(stamp(&third.url).await, stamp_of(2), "it starts right");
    drop(third);
    site.well(&one, &["rollback", "stamped", "--to", &hash(1)[..12]]);
    all_have(&[&one, &other], 1).await;
    let third = site.start("third").await;
    assert_eq!(stamp(&third.url).await, stamp_of(1), "it starts right after going back, too");

    // Two at once, of one host and of two: one wins, and the other is told.
    let tokens = ["host", "other"].map(|host| token(&site.stack.data(host)));
    for second in [&one, &other].repeat(10) {
        let both = [(3, &one, &tokens[0]), (4, second, &tokens[usize::from(std::ptr::eq(second, &other))])];
        let asking = both.map(|(number, host, token)| {
            let asked = reqwest::Client::new().post(format!("{}/v1/components", host.admin)).bearer_auth(token);
            tokio::spawn(asked.body(stamped(number)).send())
        });
        let mut said = Vec::new();
        for answer in asking {
            said.push(answer.await.unwrap().unwrap().status().as_u16());
        }
        assert!(said.contains(&200) && said.iter().all(|status| [200, 409].contains(status)), "{said:?}");
        let now = stamp(&one.url).await;
        assert!([stamp_of(3), stamp_of(4)].contains(&now), "{now}");
        follows("both hosts have one", async || stamp(&other.url).await == stamp(&one.url).await).await;
    }
}

/// Code without a manifest, as any compiler leaves it, becomes what deploys.
#[tokio::test(flavor = "multi_thread")]
async fn a_component_is_bundled_with_a_manifest_and_deployed() {
    let site = Site::new(Stack::embedded());
    let server = site.start("host").await;
    let bundle = |arguments: &[&str]| tokio::task::block_in_place(|| e2e::command(&[&["bundle"], arguments].concat()));
    let manifest = "[component]\nname = \"stamped\"\nversion = \"3.1.0\"\n\
                    [[http]]\nmethod = \"GET\"\npath = \"/stamp\"\nsession = \"none\"\n";
    let bare = site.file("bare.wasm", &without_manifest());
    let right = site.file("right.toml", manifest.as_bytes());
    let wrong = site.file("wrong.toml", manifest.replace("GET", "FETCH").as_bytes());

    let (said, well) = bundle(&[path(&bare)]);
    assert!(!well && said.contains("can't read") && said.contains("component.toml"), "{said}");
    let (said, well) = bundle(&[path(&bare), "--manifest", path(&wrong)]);
    assert!(!well && said.contains("line 5, column 10"), "{said}");
    let (said, well) = bundle(&[path(&bare), "--manifest", path(&right)]);
    let bundled = bare.with_file_name("stamped.wasm");
    assert!(well && said.contains(path(&bundled)), "{said}");
    let (said, well) = bundle(&[path(&bare), "--manifest", path(&right)]);
    assert!(!well && said.contains("is there already; name another file with --out"), "{said}");
    let again = bare.with_file_name("again.wasm");
    let (said, well) = bundle(&[path(&bundled), "--manifest", path(&right), "--out", path(&again)]);
    assert!(!well && said.contains("it has a manifest already") && !again.exists(), "{said}");

    let said = site.well(&server, &["deploy", path(&bundled)]);
    assert!(said.contains("stamped 3.1.0 ("), "{said}");
    assert_eq!(stamp(&server.url).await, stamp_of(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_can_not_load_a_version_says_so_and_keeps_the_one_it_has() {
    let Some(stack) = tokio::task::spawn_blocking(Stack::real).await.unwrap() else { return };
    let site = Site::new(stack);
    let config = Some("[limits]\ntable-elements = 10000\n");
    let (one, other) = tokio::join!(
        site.start("host"),
        site.start_with("other", ServerOptions { config, ..ServerOptions::default() })
    );
    other.expect(Expected::Warning("this host can't load what is deployed, and keeps what it has"));
    let manifest = "[component]\nname = \"stamped\"\nversion = \"2.0.0\"\n[[http]]\nmethod = \"GET\"\npath = \"/stamp\"\n\
                    session = \"none\"\n[limits]\ntable-elements = 15_000\n";
    let file = site.file("large.wasm", &with_manifest(manifest).unwrap());
    site.well(&one, &["deploy", "--accept-grants", path(&file)]);
    assert_eq!(stamp(&one.url).await, stamp_of(7));
    let asked = || {
        let (admin, data) = (other.admin.clone(), site.stack.data("other"));
        async move {
            let client = reqwest::Client::new();
            let asked = client.get(format!("{admin}/v1/components/stamped")).bearer_auth(token(&data));
            asked.send().await.unwrap().json::<Value>().await.unwrap()
        }
    };
    follows("it says why not", async || {
        asked().await["failing"].as_str().is_some_and(|why| why.contains("at most 10000 is allowed here"))
    })
    .await;
    assert_eq!(stamp(&other.url).await, stamp_of(0), "it keeps what it has");
    // What comes next it can load.
    site.deploy(&one, 8, &["--accept-grants"]);
    follows("it follows again", async || stamp(&other.url).await == stamp_of(8)).await;
    assert_eq!(asked().await["failing"], Value::Null);
}

/// A host that keeps a version, because it can't load the one that replaced it, keeps none of its routes from others.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_a_host_could_not_replace_stops_no_later_deploy() {
    let Some(stack) = tokio::task::spawn_blocking(Stack::real).await.unwrap() else { return };
    let site = Site::new(stack);
    let config = Some("[limits]\ntable-elements = 10000\n");
    let (host, other) = tokio::join!(
        site.start_with("host", ServerOptions { config, ..ServerOptions::default() }),
        site.start("other")
    );
    host.expect(Expected::Warning("this host can't load what is deployed, and keeps what it has"));
    host.expect(Expected::Warning("this host can't serve what is deployed, and keeps what it has"));
    let manifest = |name: &str, path: &str, limits: &str| {
        let text = format!(
            "[component]\nname = \"{name}\"\nversion = \"2.0.0\"\n[[http]]\nmethod = \"GET\"\npath = \"{path}\"\n\
             session = \"none\"\n{limits}"
        );
        with_manifest(&text).unwrap()
    };
    let moved = site.file("moved.wasm", &manifest("stamped", "/stamp/moved", "[limits]\ntable-elements = 15_000\n"));
    let data = site.stack.data("other");
    let (said, well) =
        tokio::task::block_in_place(|| e2e::operate(&other, &data, &["deploy", "--accept-grants", path(&moved)]));
    assert!(well, "{said}");
    follows("the host can't load it", async || !site.component(&host, "stamped")["failing"].is_null()).await;
    assert_eq!(stamp(&host.url).await, stamp_of(0), "it keeps what it has");

    // The path is free, whatever this host keeps.
    let second = site.file("second.wasm", &manifest("second", "/stamp", ""));
    site.well(&host, &["deploy", "--accept-grants", path(&second)]);
    for server in [&host, &other] {
        follows("both serve the new one", async || stamp(&server.url).await == stamp_of(7)).await;
    }
    // And what comes later is decided as ever.
    let third = site.file("third.wasm", &manifest("third", "/stamp", ""));
    let (said, well) = site.operate(&host, &["deploy", "--accept-grants", path(&third)]);
    assert!(!well && said.contains("second has"), "{said}");
    site.well(&host, &["remove", "second"]);
    site.well(&host, &["rollback", "stamped"]);
    for server in [&host, &other] {
        follows("both serve the first again", async || stamp(&server.url).await == stamp_of(0)).await;
    }
}
