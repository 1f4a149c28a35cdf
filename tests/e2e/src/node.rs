//! JavaScript clients: Node with the official Socket.IO client, installed from the lock file when it is not there yet.

use std::path::PathBuf;
use std::process::Command;

use crate::{lock, root};

/// A command that runs Node in the folder of the clients. Panics, with what to install, where that can't be.
pub fn node() -> Command {
    let folder = installed();
    let mut command = Command::new("node");
    command.current_dir(folder);
    command
}

/// Runs a file of `node:test` against hosts; the first one's URL is `DEVCONNECT_URL`, the next one's `DEVCONNECT_URL_2`.
/// `environment` has further variables. Blocks.
/// Panics, with what was said, when a test fails or there is none.
pub fn test(file: &str, urls: &[&str], environment: &[(&str, &str)]) {
    let names = ["DEVCONNECT_URL", "DEVCONNECT_URL_2", "DEVCONNECT_URL_3"];
    let output = node()
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

fn installed() -> PathBuf {
    // Test processes run side by side.
    let _lock = lock("npm");
    let folder = root().join("tests/e2e/js");
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
