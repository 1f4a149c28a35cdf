//! `cargo xtask run` while somebody writes a component: what is saved is built and serves, what does not compile is said and
//! changes nothing.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use e2e::{JWT_SECRET, built, free_port, is_warning, root, until};
use tempfile::TempDir;

/// A build of one small component, and of the SDK the first time, takes less on any machine, also when others build beside it.
const BUILT: Duration = Duration::from_secs(400);

/// A workspace of one component. It shares the folder of what is built with the real one, so that only its own is.
struct Project(TempDir);

impl Project {
    fn new() -> Self {
        let project = Self(TempDir::new().unwrap());
        let sdk = root().join("components/sdk");
        let profile: String = std::fs::read_to_string(root().join("Cargo.toml"))
            .unwrap()
            .split("\n[")
            .filter(|table| table.starts_with("profile."))
            .map(|table| format!("[{table}\n"))
            .collect();
        project.write("Cargo.toml", &format!("[workspace]\nresolver = \"3\"\nmembers = [\"components/*\"]\n{profile}"));
        project.write(
            "components/watched/Cargo.toml",
            &format!(
                "[package]\nname = \"watched\"\nversion = \"0.1.0\"\nedition = \"2024\"\nbuild = {:?}\n\
                 [lib]\ncrate-type = [\"cdylib\"]\n[dependencies]\ndevconnect-sdk.path = {sdk:?}\n",
                sdk.join("link.rs")
            ),
        );
        project.write("components/watched/component.toml", &manifest("/watched"));
        project.says("one");
        for file in ["Cargo.lock", "rust-toolchain.toml", "components/application.toml"] {
            if let Ok(text) = std::fs::read_to_string(root().join(file)) {
                project.write(file, &text);
            }
        }
        std::fs::create_dir(project.path("target")).unwrap();
        for folder in ["guest", "guest-debian"] {
            std::os::unix::fs::symlink(root().join("target").join(folder), project.path("target").join(folder))
                .unwrap();
        }
        project
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Takes a component away.
    fn remove(&self, name: &str) {
        std::fs::remove_dir_all(self.path("components").join(name)).unwrap();
    }

    /// The component answers with this from now on.
    fn says(&self, words: &str) {
        let code = format!(
            "use devconnect_sdk::prelude::*;\n\
             devconnect_sdk::http_component! {{ GET \"/watched\" => |_| Ok(Response::text(\"{words}\")) }}\n"
        );
        self.write("components/watched/src/lib.rs", &code);
    }

    fn run(&self) -> Running {
        let mut child = Command::new(built("xtask"))
            .args(["run", "--port", "0", "--admin-port", &free_port().to_string(), "--host"])
            .arg(built("devconnect"))
            .current_dir(self.0.path())
            .env_remove("CARGO_MANIFEST_DIR")
            .env("JWT_SECRET", JWT_SECRET)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        listen(out, said.clone());
        listen(err, said.clone());
        Running { child, said }
    }
}

fn manifest(path: &str) -> String {
    format!(
        "[component]\nname = \"watched\"\nversion = \"1.0.0\"\n[[http]]\nmethod = \"GET\"\npath = \"{path}\"\nsession = \"none\"\n"
    )
}

fn listen(stream: impl Read + Send + 'static, said: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            eprintln!("{line}");
            let mut said = said.lock().unwrap();
            said.push_str(&line);
            said.push('\n');
        }
    });
}

/// `cargo xtask run`, and what it has said.
struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Running {
    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    async fn until_said(&self, what: &str) {
        until(what, BUILT, async || self.said().contains(what)).await;
    }

    fn url(&self) -> String {
        let said = self.said();
        let address = said.split_once(" on http").unwrap().1;
        format!("http{}", address.split_whitespace().next().unwrap())
    }

    /// Waits until the component answers with this.
    async fn until_says(&self, words: &str) {
        let url = format!("{}/watched", self.url());
        until(words, BUILT, async || reqwest::get(&url).await.unwrap().text().await.unwrap() == words).await;
    }
}

impl Running {
    /// As Ctrl-C does.
    fn interrupt(&self) -> bool {
        Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Killed, it would leave its host behind.
        if matches!(self.child.try_wait(), Ok(None)) && self.interrupt() {
            let _ = self.child.wait();
        }
    }
}

fn runs(process: u32) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}

/// Attack (66): a new crate while the host watches. Outcome: only that crate is compiled.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_saved_serves_and_what_does_not_compile_is_said() {
    let project = Project::new();
    let mut running = project.run();
    running.until_said("Ctrl-C").await;
    running.until_says("one").await;
    project.says("two");
    running.until_says("two").await;

    project.write("components/watched/src/lib.rs", "this is no Rust");
    running.until_said("expected one of").await;
    running.until_said("not deployed: ").await;
    running.until_says("two").await;
    project.says("three");
    running.until_says("three").await;

    // A manifest that is none, and one that the code has no answer for.
    project.write("components/watched/component.toml", "[component]\nname = \"watched\"\n");
    running.until_said("missing field `version`").await;
    project.write("components/watched/component.toml", &(manifest("/watched") + "[presence]\n"));
    running.until_said("does not export devconnect:platform/presence-handler").await;
    running.until_says("three").await;
    project.write("components/watched/component.toml", &manifest("/watched"));
    project.says("four");
    running.until_says("four").await;

    // One that is new serves, too. It is all that is compiled for that.
    let said_before = running.said().len();
    let other = std::fs::read_to_string(project.path("components/watched/Cargo.toml")).unwrap();
    project.write("components/other/Cargo.toml", &other.replace("watched", "other"));
    project.write("components/other/component.toml", &manifest("/other").replace("watched", "other"));
    let code = std::fs::read_to_string(project.path("components/watched/src/lib.rs")).unwrap();
    project.write("components/other/src/lib.rs", &code.replace("/watched", "/other").replace("four", "five"));
    let url = format!("{}/other", running.url());
    until("the other serves", BUILT, async || reqwest::get(&url).await.unwrap().status() == 200).await;
    running.until_says("four").await;
    let said = running.said()[said_before..].to_owned();
    let compiled = |name: &str| said.contains(&format!("Compiling {name} v"));
    assert!(compiled("other") && !compiled("watched") && !compiled("devconnect-sdk"), "{said}");

    // One that is a library as well would have every component compiled in another form.
    project.write(
        "components/other/Cargo.toml",
        &other.replace("watched", "other").replace("\"cdylib\"", "\"cdylib\", \"rlib\""),
    );
    running.until_said("other/Cargo.toml: write `crate-type = [\"cdylib\"]` under [lib], and no other type").await;

    // What is gone is not built any more, and nothing of it is left for a host that starts.
    let file = project.path("target/components/other.wasm");
    assert!(file.exists());
    project.remove("other");
    until("the file of the other is removed", BUILT, async || !file.exists()).await;
    assert!(project.path("target/components/watched.wasm").exists());

    let id = running.child.id();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let host: u32 = children.split_whitespace().next().unwrap().parse().unwrap();
    assert!(running.interrupt());
    assert!(running.child.wait().unwrap().success(), "{}", running.said());
    assert!(!runs(host), "the host has drained and ended");
    let said = running.said();
    let warnings: Vec<&str> = said.lines().filter(|line| is_warning(line)).collect();
    assert!(warnings.is_empty(), "{warnings:#?}");
}
