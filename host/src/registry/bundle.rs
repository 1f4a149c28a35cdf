//! The bundle: the one file that deploys, a component with its manifest inside, read and hashed once.
//!
//! What comes from a folder, from an operator or out of the documents is this before anything else is done with it.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::{DeployError, Manifest};

/// A file that may be deployed: it has a manifest that holds by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// What it says about itself.
    pub manifest: Arc<Manifest>,
    /// The hex SHA-256 of the file: its version, to the host.
    pub sha256: String,
    /// The file.
    pub wasm: Vec<u8>,
}

impl Bundle {
    /// Of these bytes; `origin` names them where their manifest does not.
    ///
    /// # Errors
    /// Where there is no manifest or not exactly one, and where it is wrong. The component's code is not looked at.
    pub fn read(origin: &str, wasm: Vec<u8>) -> Result<Self, DeployError> {
        let manifest =
            Manifest::of_component(&wasm).map_err(|why| DeployError::Manifest { name: origin.to_owned(), why })?;
        let sha256 = hex::encode(Sha256::digest(&wasm));
        Ok(Self { manifest: Arc::new(manifest), sha256, wasm })
    }

    /// Of a file.
    ///
    /// # Errors
    /// The same, and where it can't be read.
    pub fn read_file(path: &Path) -> Result<Self, DeployError> {
        let wasm = std::fs::read(path).map_err(|why| DeployError::Unreadable { path: path.to_owned(), why })?;
        Self::read(&path.display().to_string(), wasm)
    }

    /// The name of its component.
    pub fn name(&self) -> &str {
        &self.manifest.component.name
    }
}
