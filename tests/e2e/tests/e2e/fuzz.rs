//! The operator's side under what nobody would send: Schemathesis, driven by the description that the host gives of itself.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test fails where it stands")]

use e2e::{Site, Stack, Value, schemathesis, stamp, stamp_of};

/// What must hold of each answer: none that is the host's failure, none that the description does not have, and none without
/// the token.
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,ignored_auth";

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
