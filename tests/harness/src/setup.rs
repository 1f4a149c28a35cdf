//! How an app is put together: components, configuration, and what is in the database before the host starts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bson::Document;
use serde::{Deserialize, Serialize};

use crate::document::Canonical;
use crate::process::Process;
use crate::workspace::target;
use crate::{App, START, components_folder, file, host};

/// An [`App`] that is being put together.
#[must_use = "nothing starts before `start`"]
pub struct Setup {
    components: Vec<String>,
    config: String,
    variables: BTreeMap<String, String>,
    documents: Vec<(String, Document)>,
    passwords: Option<Cost>,
}

/// What hashing a password costs.
#[derive(Clone, Copy, Serialize)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    parallel: usize,
    waiting: usize,
}

/// Cheap: what is tested is the component, not argon2.
const CHEAP: Cost = Cost { memory_kib: 64, passes: 1, parallel: 2, waiting: 64 };

#[derive(Serialize)]
struct Start<'a> {
    application: PathBuf,
    components: Vec<PathBuf>,
    config: &'a str,
    variables: &'a BTreeMap<String, String>,
    documents: Vec<(&'a str, Canonical<'a>)>,
    passwords: Option<Cost>,
    now: u64,
    refuse_scans: bool,
    cache: PathBuf,
}

#[derive(Deserialize)]
struct Started {
    pooled: bool,
}

impl Setup {
    pub(crate) fn of(components: &[&str]) -> Self {
        let components = components.iter().map(|name| (*name).to_owned()).collect();
        let (config, variables, documents) = (String::new(), BTreeMap::new(), Vec::new());
        Self { components, config, variables, documents, passwords: Some(CHEAP) }
    }

    /// Under an operator's configuration, the text of a `devconnect.toml`. Scans are refused whatever it says.
    pub fn config(mut self, config: &str) -> Self {
        config.clone_into(&mut self.config);
        self
    }

    /// With a variable of the environment that `application.toml` names, of a secret or a setting.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With a document that is in the store when the host starts, as one of an earlier version is.
    pub fn document(mut self, collection: &str, document: Document) -> Self {
        self.documents.push((collection.to_owned(), document));
        self
    }

    /// With the full cost of a password, as a host has it, instead of the cheap one of tests.
    pub fn costly_passwords(mut self) -> Self {
        self.passwords = None;
        self
    }

    /// Builds what must be built and starts the host.
    pub fn start(self) -> App {
        let components = self.components.iter().map(|name| file(name)).collect();
        let documents = self.documents.iter().map(|(collection, document)| (collection.as_str(), Canonical(document)));
        let start = Start {
            application: components_folder(),
            components,
            config: &self.config,
            variables: &self.variables,
            documents: documents.collect(),
            passwords: self.passwords,
            now: START,
            // Every test of a component shows that its questions have their indexes.
            refuse_scans: true,
            cache: target().join("harness/compiled"),
        };
        let process = Process::spawn(host::file());
        let Started { pooled } = process.begin("start", &start).read();
        App { process, pooled }
    }
}
