//! Both sides of a host under what nobody would send: Schemathesis, driven by the description that the host gives of itself.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails where it stands"
)]

use e2e::{Expected, Member, PaymentServer, Server, Site, Stack, Value, schemathesis, stamp, stamp_of};

e2e::on_both_stacks! {
    whatever_is_asked_of_the_product_it_answers_as_it_says,
}

/// What must hold of each answer: none that is the host's failure, none that the description does not have, and none without
/// the token.
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,ignored_auth";

/// The routes that end the session of who asks, or may: whoever goes on asking needs another one.
const ENDS_SESSIONS: &str = "^/(logout|sessions.*|account.*|profile/password)$";
/// Which checks are off, and why.
const CONFIG: &str = "tests/e2e/schemathesis.toml";

/// The product's side, asked by members and by strangers. `--full` asks much more.
async fn whatever_is_asked_of_the_product_it_answers_as_it_says(stack: Stack) {
    let payments = PaymentServer::start().await;
    let server = stack.start_with("host", payments.options()).await;
    // What is drawn takes an id out of an answer, and a tier of its own.
    server.expect(Expected::Warning("a member confirms a payment for another tier"));
    let member = Member::sign_up(&server.url, "Ada").await;
    ask(&server, &["--header", &bearer(&member), "--exclude-path-regex", ENDS_SESSIONS]);
    assert_eq!(member.read("/profile/view").await["_id"], member.id.as_str(), "it was the member all the time");
    let leaving = Member::sign_up(&server.url, "Bob").await;
    if ask(&server, &["--header", &bearer(&leaving), "--include-path-regex", ENDS_SESSIONS]) {
        assert_eq!(leaving.get("/profile/view").send().await.unwrap().status(), 401, "it has logged out");
    }
    ask(&server, &[]);
}

fn bearer(member: &Member) -> String {
    format!("Authorization: Bearer {}", member.token)
}

/// Lets Schemathesis ask a host, with these arguments; false where there is no Schemathesis. It draws the same each time.
/// Panics, with what it found, when an answer is not as the host says.
fn ask(server: &Server, arguments: &[&str]) -> bool {
    let Some(mut command) = tokio::task::block_in_place(schemathesis::command) else { return false };
    let examples = if std::env::var_os("DEVCONNECT_FULL").is_some() { "500" } else { "20" };
    command.arg("--config-file").arg(e2e::root().join(CONFIG));
    command.args(["run", &format!("{}/openapi.json", server.url), "--phases", "examples,coverage,fuzzing"]);
    command.args(["--max-examples", examples, "--generation-deterministic", "--request-timeout", "30"]);
    // A drawn cookie beside the member's token would say nothing.
    command.args(["--generation-with-security-parameters", "false"]);
    command.args(["--continue-on-failure", "--no-color", "--warnings", "off"]).args(arguments);
    let output = tokio::task::block_in_place(|| command.output()).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{arguments:?}: {said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("Fuzzing"), "it has fuzzed:\n{said}");
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_of_the_operators_side_nothing_fails_and_nothing_is_deployed() {
    let Some(mut command) = tokio::task::block_in_place(schemathesis::command) else { return };
    let site = Site::new(Stack::embedded());
    let server = site.start("host").await;
    site.deploy(&server, 1, &[]);
    let versions = || {
        let all: Vec<Value> = serde_json::from_str(&site.well(&server, &["components", "--json"])).unwrap();
        all.into_iter().map(|component| (component["name"].clone(), component["versions"].clone())).collect::<Vec<_>>()
    };
    let before = versions();
    assert!(before.len() > 5, "{before:?}");

    command.args(["run", &format!("{}/v1/openapi.json", server.admin), "--url", &format!("{}/v1", server.admin)]);
    command.args(["--header", &format!("Authorization: Bearer {}", site.token())]);
    command.args(["--phases", "examples,coverage,fuzzing", "--checks", CHECKS, "--max-examples", "100"]);
    command.args(["--continue-on-failure", "--no-color", "--warnings", "off"]);
    let output = tokio::task::block_in_place(|| command.output()).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("Fuzzing"), "it has fuzzed:\n{said}");

    // It finds names in answers, and may well have removed a component or gone back. But nothing came to be deployed.
    assert_eq!(versions(), before);
    let log = site.well(&server, &["deploys", "--max", "1000"]);
    let deploys: Vec<&str> =
        log.lines().filter(|line| !line.contains(" remove ") && !line.contains(" rollback ")).collect();
    assert_eq!(deploys.len(), 1, "{log}");
    // And it goes on as if nothing had been.
    site.deploy(&server, 2, &["--accept-grants"]);
    assert_eq!(stamp(&server.url).await, stamp_of(2));
}
