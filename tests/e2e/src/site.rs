//! A site: a stack with the built components and the fixture `stamped`, and the operator who deploys there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;

use crate::{Server, ServerOptions, Stack, operate, stamped, with_fixture};

/// Hosts of one stack, and how they are operated.
pub struct Site {
    /// Where they keep what they keep.
    pub stack: Stack,
    components: TempDir,
    files: TempDir,
}

impl Site {
    /// On a stack.
    pub fn new(stack: Stack) -> Arc<Self> {
        let files = TempDir::new().expect("a folder for components");
        Arc::new(Self { stack, components: with_fixture("stamped"), files })
    }

    /// Starts a host.
    pub async fn start(&self, host: &str) -> Server {
        self.start_with(host, ServerOptions::default()).await
    }

    /// The same with options.
    pub async fn start_with(&self, host: &str, options: ServerOptions) -> Server {
        let components = Some(self.components.path().to_owned());
        self.stack.start_with(host, ServerOptions { components, ..options }).await
    }

    /// A file with a component.
    pub fn file(&self, name: &str, wasm: &[u8]) -> PathBuf {
        let file = self.files.path().join(name);
        std::fs::write(&file, wasm).expect("a file with a component");
        file
    }

    /// What a command says to the host `host` of the site, and whether it went well. Blocks, on a runtime of many threads.
    pub fn operate(&self, server: &Server, arguments: &[&str]) -> (String, bool) {
        tokio::task::block_in_place(|| operate(server, &self.stack.data("host"), arguments))
    }

    /// The same where it has to go well.
    pub fn well(&self, server: &Server, arguments: &[&str]) -> String {
        let (said, well) = self.operate(server, arguments);
        assert!(well, "{arguments:?}: {said}");
        said
    }

    /// Deploys the fixture with a stamp.
    pub fn deploy(&self, server: &Server, stamp: u64, how: &[&str]) -> String {
        let file = self.file("stamped.wasm", &stamped(stamp));
        let file = file.to_str().expect("a path in UTF-8");
        self.well(server, &[&["deploy", file], how].concat())
    }

    /// What `components --json` says of a component.
    pub fn component(&self, server: &Server, name: &str) -> Value {
        let all: Value = serde_json::from_str(&self.well(server, &["components", "--json"])).expect("JSON");
        let mut found = all.as_array().into_iter().flatten();
        found.find(|component| component["name"] == name).cloned().unwrap_or_default()
    }

    /// The token of the host `host`.
    pub fn token(&self) -> String {
        token(&self.stack.data("host"))
    }
}

/// The operator's token of a host with this data folder.
pub fn token(data: &Path) -> String {
    std::fs::read_to_string(token_file(data)).expect("a host that has run").trim().to_owned()
}

/// Where it is.
pub(crate) fn token_file(data: &Path) -> PathBuf {
    data.join("secrets/devconnect_admin_token")
}

/// What the fixture says to a request; `nothing` where there is none.
pub async fn stamp(url: &str) -> String {
    let answer = reqwest::get(format!("{url}/stamp")).await.expect("a host that answers");
    if answer.status() == 404 { "nothing".to_owned() } else { answer.text().await.expect("an answer") }
}
