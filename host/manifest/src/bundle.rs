//! The bundle: the one file to deploy, a component with its manifest inside, read and hashed once.
//!
//! Every file from a folder, an operator or the document store is read as a bundle first.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use assets::Assets;

use crate::{Description, Manifest, ManifestError, assets_of_component};

/// Why a file is not a bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It can't be read.
    #[error("can't read {path}: {why}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        why: std::io::Error,
    },
    /// Its manifest is refused, or its description or files.
    #[error("{name} is refused: {why}")]
    Manifest {
        /// The component, or the file where the component's name is not known.
        name: String,
        /// What is wrong.
        why: ManifestError,
    },
}

/// A file with a valid manifest, which may be deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Its manifest.
    pub manifest: Arc<Manifest>,
    /// What it says of its routes.
    pub description: Arc<Description>,
    /// Its files.
    pub assets: Option<Arc<Assets>>,
    /// The hex SHA-256 of the file, which is its version for the host.
    pub sha256: String,
    /// The bytes of the file.
    pub wasm: Vec<u8>,
}

impl Bundle {
    /// Reads a bundle from bytes; `origin` is its name in errors of the manifest.
    ///
    /// # Errors
    /// There is not exactly one manifest, or it is wrong, or the description of its routes or its files are. The component's
    /// code is not checked.
    pub fn read(origin: &str, wasm: Vec<u8>) -> Result<Self, BundleError> {
        let refused = |why| BundleError::Manifest { name: origin.to_owned(), why };
        let manifest = Manifest::of_component(&wasm).map_err(refused)?;
        let description = Description::of_component(&wasm, &manifest).map_err(refused)?;
        let assets = assets_of_component(&wasm, &manifest).map_err(refused)?.map(Arc::new);
        let sha256 = hex::encode(Sha256::digest(&wasm));
        Ok(Self { manifest: Arc::new(manifest), description: Arc::new(description), assets, sha256, wasm })
    }

    /// Reads a bundle from a file.
    ///
    /// # Errors
    /// The same, or the file can't be read.
    pub fn read_file(path: &Path) -> Result<Self, BundleError> {
        let unreadable = |why| BundleError::Unreadable { path: path.to_owned(), why };
        // A pipe would be waited for, and a device never ends.
        if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(unreadable(std::io::Error::other("it is no file")));
        }
        let wasm = std::fs::read(path).map_err(unreadable)?;
        Self::read(&path.display().to_string(), wasm)
    }

    /// The name of its component.
    pub fn name(&self) -> &str {
        &self.manifest.component.name
    }
}
