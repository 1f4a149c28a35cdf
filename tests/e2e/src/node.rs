//! JavaScript clients: Node with the official Socket.IO client, or with what drives a browser, each installed from its lock file
//! when it is not there yet.

use std::path::PathBuf;
use std::process::Command;

use crate::{lock, root};

/// Where the clients are, under the workspace.
const CLIENTS: &str = "tests/e2e/js";
/// Where the walks of a browser are.
const WALKS: &str = "tests/browser";

/// A command that runs Node in the folder of the clients. Panics, with what to install, where that can't be.
pub fn node() -> Command {
    node_in(CLIENTS)
}

fn node_in(folder: &str) -> Command {
    let folder = installed(folder);
    let mut command = Command::new("node");
    command.current_dir(folder);
    command
}

/// Runs a file of `node:test` against hosts; the first one's URL is `DEVCONNECT_URL`, the next one's `DEVCONNECT_URL_2`.
/// `environment` has further variables. Blocks.
/// Panics, with what was said, when a test fails or there is none.
pub fn test(file: &str, urls: &[&str], environment: &[(&str, &str)]) {
    run(node(), file, urls, environment);
}

/// The same with a file that walks through the page in a real Chromium. Where there is none, it is skipped and says why; in
/// continuous integration that is a failure.
pub fn walk(file: &str, url: &str) {
    match chromium() {
        Ok(program) => run(node_in(WALKS), file, &[url], &[("DEVCONNECT_CHROMIUM", &program)]),
        Err(why) if std::env::var_os("CI").is_none() => eprintln!("skipped, there is no Chromium: {why}"),
        Err(why) => panic!("there is no Chromium: {why}"),
    }
}

/// The one of `DEVCONNECT_CHROMIUM`, or the system's, installed where it is missing and we may.
fn chromium() -> Result<String, String> {
    if let Ok(program) = std::env::var("DEVCONNECT_CHROMIUM") {
        return Ok(program);
    }
    let _lock = lock("chromium");
    xtask::stack::program("chromium", "chromium").map_err(|error| format!("{error:#}"))?;
    Ok("/usr/bin/chromium".to_owned())
}

fn run(mut node: Command, file: &str, urls: &[&str], environment: &[(&str, &str)]) {
    let names = ["DEVCONNECT_URL", "DEVCONNECT_URL_2", "DEVCONNECT_URL_3"];
    let output = node
        .args(["--test", "--test-force-exit", "--test-reporter=spec", file])
        .envs(names.into_iter().zip(urls))
        .envs(environment.iter().copied())
        .output()
        .expect("node; install Node 20 or newer");
    let text = String::from_utf8_lossy(&output.stdout);
    eprintln!("{text}");
    assert!(output.status.success(), "{file} failed:\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let passed = text.lines().find_map(|line| line.split_once("pass ")?.1.trim().parse::<u32>().ok());
    assert!(passed.is_some_and(|passed| passed > 0), "{file} tested nothing:\n{text}");
}

fn installed(folder: &str) -> PathBuf {
    // Test processes run side by side.
    let _lock = lock("npm");
    let folder = root().join(folder);
    // The copy that was made of the lock file last says whether what is installed is what it names.
    let (wanted, done) = (folder.join("package-lock.json"), folder.join("node_modules/.installed"));
    let wanted = std::fs::read(wanted).expect("the lock file of the JavaScript clients");
    if std::fs::read(&done).is_ok_and(|done| done == wanted) {
        return folder;
    }
    let installed = Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder).status();
    match installed {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("npm could not install the JavaScript clients: {status}"),
        Err(error) => panic!("npm can't be run ({error}); install Node 20 or newer"),
    }
    std::fs::write(done, wanted).expect("a note beside what npm installed");
    folder
}
