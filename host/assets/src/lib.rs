//! The files of a component: the custom section `devconnect:assets`, written by a build and read by a host.
//!
//! A host serves them without calling the component. It may touch the folder that a build reads; it knows no manifest, no
//! wasmtime and no network.

#![forbid(unsafe_code)]

mod compress;
mod folder;
#[cfg(test)]
mod fuzz;
mod hashed;
mod media_type;
mod path;
mod section;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

pub use folder::{File, read_folder};
pub use hashed::is_hashed;
pub use path::{check_path, is_below};
pub use section::pack;

/// The name of the custom section of a component that holds its files.
pub const SECTION: &str = "devconnect:assets";
/// The most files of a component.
pub const MOST_FILES: usize = 1_000;
/// The largest file, in bytes.
pub const LARGEST_FILE: usize = 8 << 20;
/// The most bytes of all files of a component together, without their compressed forms.
pub const MOST_BYTES: usize = 32 << 20;

/// Why files can't be read or packed, or a section is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AssetsError(String);

impl AssetsError {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// A form of a file: as it is, or compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coding {
    /// Brotli, `br`.
    Brotli,
    /// `gzip`.
    Gzip,
    /// As it is.
    Identity,
}

impl Coding {
    /// All of them, the one that is smallest as a rule first.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Gzip, Self::Identity];

    /// Its name in `Content-Encoding` and `Accept-Encoding` (RFC 9110, section 8.4.1).
    pub fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Identity => "identity",
        }
    }
}

/// The bytes of one form of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// The bytes; a clone shares them.
    pub bytes: Bytes,
    /// The strong entity tag of these bytes.
    pub etag: HeaderValue,
}

/// One file of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Its path in the folder that it was packed from.
    pub path: String,
    /// Its media type.
    pub media_type: HeaderValue,
    /// Its name has a hash of its content: what is at this path never changes.
    pub hashed: bool,
    identity: Form,
    brotli: Option<Form>,
    gzip: Option<Form>,
}

impl Asset {
    /// A form of it, where there is one. A compressed form is there only where it is smaller.
    pub fn form(&self, coding: Coding) -> Option<&Form> {
        match coding {
            Coding::Brotli => self.brotli.as_ref(),
            Coding::Gzip => self.gzip.as_ref(),
            Coding::Identity => Some(&self.identity),
        }
    }
}

/// Where a component's files are served, and with which headers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// The path that all of them are under: `/`, or a path without a slash at its end.
    pub prefix: String,
    /// For paths under a prefix that lead to no file: the file that is the answer. The longest prefix counts.
    pub fallback: Vec<(String, String)>,
    /// The headers of every answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// All files of one version of a component. A clone of an [`Arc`] of it shares the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assets {
    files: Vec<Arc<Asset>>,
    /// The files by the paths of their URLs, decoded. A folder with an `index.html` is there without a slash at its end.
    paths: HashMap<Arc<str>, Entry>,
    /// By prefix, the longest first.
    fallback: Vec<(String, usize)>,
    headers: Vec<(HeaderName, HeaderValue)>,
    held: usize,
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    file: usize,
    /// The path is that of a folder, and may have a slash at its end.
    is_folder: bool,
}

impl Assets {
    /// Reads a section, all of it: sizes, hashes, and that each compressed form is the file. The bytes are copied once.
    ///
    /// # Errors
    /// The section is malformed or beyond a bound, or `rules` name a file that is not there.
    pub fn read(section: &[u8], rules: Rules) -> Result<Self, AssetsError> {
        let files: Vec<Arc<Asset>> = section::read(section)?.into_iter().map(Arc::new).collect();
        let Rules { prefix, fallback, headers } = rules;
        let mut paths: HashMap<Arc<str>, Entry> = HashMap::with_capacity(files.len());
        let mut add = |path: String, entry| match paths.insert(Arc::from(path.as_str()), entry) {
            None => Ok(()),
            Some(_) => Err(AssetsError::new(format!("two files are served at {path:?}"))),
        };
        for (number, file) in files.iter().enumerate() {
            add(path::join(&prefix, &file.path), Entry { file: number, is_folder: false })?;
            if let Some(folder) = path::folder_of_index(&file.path) {
                add(path::join(&prefix, folder), Entry { file: number, is_folder: true })?;
            }
        }
        let mut by_prefix = Vec::with_capacity(fallback.len());
        for (under, name) in fallback {
            let file = files.iter().position(|file| file.path == name);
            let file = file.ok_or_else(|| {
                AssetsError::new(format!("the fallback of {under:?} is the file {name:?}, which is not there"))
            })?;
            by_prefix.push((under, file));
        }
        by_prefix.sort_by(|(one, _), (other, _)| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        let held = files.iter().flat_map(|file| Coding::ALL.map(|coding| file.form(coding)));
        let held = held.flatten().map(|form| form.bytes.len()).sum();
        Ok(Self { files, paths, fallback: by_prefix, headers, held })
    }

    /// The file at the decoded path of a URL.
    pub fn find(&self, path: &str) -> Option<&Arc<Asset>> {
        let shorter = path.strip_suffix('/').filter(|shorter| !shorter.is_empty() && !shorter.ends_with('/'));
        let entry = match shorter {
            Some(shorter) => self.paths.get(shorter).filter(|entry| entry.is_folder),
            None => self.paths.get(path),
        };
        self.files.get(entry?.file)
    }

    /// The file that answers a path that leads to none, and the prefix for which it was named. Only a path whose last segment
    /// has no dot is that of a page.
    pub fn fallback(&self, path: &str) -> Option<(&str, &Arc<Asset>)> {
        if !path::is_page(path) {
            return None;
        }
        let (under, file) = self.fallback.iter().find(|(under, _)| is_below(path, under))?;
        Some((under.as_str(), self.files.get(*file)?))
    }

    /// The paths of the URLs of all files, and of the folders with an `index.html`.
    pub fn paths(&self) -> impl Iterator<Item = &Arc<str>> {
        self.paths.keys()
    }

    /// The prefixes that have a fallback.
    pub fn fallback_prefixes(&self) -> impl Iterator<Item = &str> {
        self.fallback.iter().map(|(under, _)| under.as_str())
    }

    /// The headers of every answer.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// The files.
    pub fn files(&self) -> &[Arc<Asset>] {
        &self.files
    }

    /// Whether there are files whose names have hashes, which pages of this version may ask for after it was replaced.
    pub fn has_hashed(&self) -> bool {
        self.files.iter().any(|file| file.hashed)
    }

    /// The bytes in memory, of all forms.
    pub fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on should fail right here")]

    use super::*;

    fn rules(prefix: &str, fallback: &[(&str, &str)]) -> Rules {
        let fallback = fallback.iter().map(|(under, file)| ((*under).to_owned(), (*file).to_owned())).collect();
        Rules { prefix: prefix.to_owned(), fallback, headers: Vec::new() }
    }

    fn assets(names: &[&str], rules: Rules) -> Result<Assets, AssetsError> {
        let file = |name: &&str| File { path: (*name).to_owned(), bytes: name.as_bytes().to_vec() };
        Assets::read(&pack(names.iter().map(file).collect(), None).unwrap(), rules)
    }

    #[test]
    fn a_folder_is_its_index_with_and_without_a_slash() {
        let root = assets(&["index.html", "docs/index.html", "a.js"], rules("/", &[])).unwrap();
        let found = |assets: &Assets, path: &str| assets.find(path).map(|file| file.path.clone());
        for (path, file) in [
            ("/", Some("index.html")),
            ("/index.html", Some("index.html")),
            ("/docs", Some("docs/index.html")),
            ("/docs/", Some("docs/index.html")),
            ("/a.js", Some("a.js")),
            ("/a.js/", None),
            ("/index.html/", None),
            ("/docs//", None),
            ("//", None),
            ("", None),
            ("a.js", None),
            ("/docs/../a.js", None),
        ] {
            assert_eq!(found(&root, path).as_deref(), file, "{path}");
        }
        let below = assets(&["index.html", "a.js"], rules("/app", &[])).unwrap();
        for (path, file) in [
            ("/app", Some("index.html")),
            ("/app/", Some("index.html")),
            ("/app/a.js", Some("a.js")),
            ("/a.js", None),
            ("/", None),
            ("/appa.js", None),
        ] {
            assert_eq!(found(&below, path).as_deref(), file, "{path}");
        }
    }

    #[test]
    fn the_fallback_of_the_longest_prefix_answers_pages() {
        let names = ["index.html", "app.html"];
        let assets = assets(&names, rules("/", &[("/", "index.html"), ("/app", "app.html")])).unwrap();
        for (path, file) in [
            ("/app", Some("app.html")),
            ("/app/a/b", Some("app.html")),
            ("/app/a/", Some("app.html")),
            ("/apple", Some("index.html")),
            ("/x", Some("index.html")),
            ("/app/a.js", None),
            ("/app/v1.2/a", Some("app.html")),
            ("/app/../a", None),
            ("/app//a", None),
            ("/app/a\\b", None),
            ("/app/a\0", None),
            ("/app/.", None),
            ("/app/..;/a", None),
            ("", None),
            ("app", None),
        ] {
            assert_eq!(assets.fallback(path).map(|(_, file)| file.path.as_str()), file, "{path:?}");
        }
    }

    #[test]
    fn rules_that_no_files_fit_are_refused() {
        let refused = assets(&["a.js"], rules("/", &[("/", "index.html")])).unwrap_err().to_string();
        assert!(refused.contains("\"index.html\", which is not there"), "{refused}");
        let refused = assets(&["docs", "docs/index.html"], rules("/", &[])).unwrap_err().to_string();
        assert!(refused.contains("\"/docs\""), "{refused}");
    }
}
