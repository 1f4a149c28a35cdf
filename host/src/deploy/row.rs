//! The documents that say what is deployed: one a component, and the head, which every change raises.

use bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::trial::Trial;
use crate::capability::documents::{Error, Write, date};

/// Where they are. A collection of the host, not of the application.
pub(crate) const COLLECTION: &str = "host-components";
/// The `_id` of the head, which is no name of a component.
pub(super) const HEAD: &str = "@head";
/// How many versions of a component can be gone back to.
const KEPT: usize = 5;

/// A version of a component that was deployed once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// The hex SHA-256 of its file.
    pub sha256: String,
    /// For people, from its manifest.
    pub version: String,
    /// When it was deployed first, in milliseconds since 1970.
    pub at: u64,
}

/// What is deployed of one component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// The version that serves; none once it is removed.
    pub serving: Option<String>,
    /// The version that is tried out on some.
    #[serde(default)]
    pub canary: Option<Trial>,
    /// All that are known, the one that was deployed last first. What each asks for has been accepted.
    pub versions: Vec<Version>,
}

impl Row {
    /// Of a component that nobody deployed yet.
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), serving: None, canary: None, versions: Vec::new() }
    }

    /// The version that serves.
    pub fn current(&self) -> Option<&Version> {
        let serving = self.serving.as_ref()?;
        self.version(serving)
    }

    /// The hashes of what serves and of what is tried out.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        self.serving.as_deref().into_iter().chain(self.canary.as_ref().map(|trial| trial.sha256.as_str()))
    }

    /// A version that is known.
    pub fn version(&self, sha256: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.sha256 == sha256)
    }

    /// The version before the one that serves, in the order in which they were deployed; of one that is removed the last.
    pub(super) fn before(&self) -> Option<&Version> {
        let Some(serving) = &self.serving else { return self.versions.first() };
        self.versions.iter().skip_while(|version| version.sha256 != *serving).nth(1)
    }

    /// Has a version serve that may be new, and ends a trial; answers those that are forgotten for it.
    pub(super) fn serve(&mut self, version: Version) -> Vec<Version> {
        self.serving = Some(version.sha256.clone());
        self.canary = None;
        self.put_first(version)
    }

    /// Tries a version out that may be new; answers those that are forgotten for it.
    pub(super) fn try_out(&mut self, version: Version, trial: Trial) -> Vec<Version> {
        self.canary = Some(trial);
        self.put_first(version)
    }

    /// Has a version serve that is known, and ends a trial.
    pub(super) fn go_to(&mut self, sha256: &str) {
        self.serving = Some(sha256.to_owned());
        self.canary = None;
    }

    fn put_first(&mut self, version: Version) -> Vec<Version> {
        // It was deployed first when it was deployed first.
        let known = self.versions.iter().position(|known| known.sha256 == version.sha256);
        let version = known.map_or(version, |at| self.versions.remove(at));
        self.versions.insert(0, version);
        let mut others = 0;
        let kept = |version: &Version| {
            let needed = self.serving.as_ref() == Some(&version.sha256)
                || self.canary.as_ref().is_some_and(|trial| trial.sha256 == version.sha256);
            others += usize::from(!needed);
            needed || others <= KEPT
        };
        let (kept, forgotten) = std::mem::take(&mut self.versions).into_iter().partition(kept);
        self.versions = kept;
        forgotten
    }

    pub(super) fn read(document: &RawDocument) -> Option<Self> {
        let document = Document::try_from(document).ok()?;
        let version = |version: &Bson| {
            let version = version.as_document()?;
            let at = u64::try_from(version.get_datetime("at").ok()?.timestamp_millis()).ok()?;
            let text = |name: &str| version.get_str(name).ok().map(str::to_owned);
            Some(Version { sha256: text("sha256")?, version: text("version")?, at })
        };
        Some(Self {
            name: document.get_str("_id").ok()?.to_owned(),
            serving: document.get_str("serving").ok().map(str::to_owned),
            canary: document.get_document("canary").ok().and_then(Trial::read),
            versions: document.get_array("versions").ok()?.iter().filter_map(version).collect(),
        })
    }

    /// Writes the row as it is now, whatever it was: the head orders the writers.
    pub(super) fn write(&self) -> Result<Write, Error> {
        let versions = self.versions.iter().map(|Version { sha256, version, at }| {
            Bson::Document(doc! { "sha256": sha256, "version": version, "at": date(*at) })
        });
        let canary = self.canary.as_ref().map(Trial::document);
        let set = doc! { "serving": self.serving.clone(), "canary": canary, "versions": versions.collect::<Vec<_>>() };
        Write::put(COLLECTION, &self.name, set)
    }
}

/// Raises the head from this revision, and refuses the commit when it has another one.
pub(super) fn raise(revision: i64) -> Result<Write, Error> {
    let known = doc! { "_id": HEAD, "revision": revision };
    Write::change_known(COLLECTION, &known, &doc! { "$inc": { "revision": 1_i64 } })
}

/// The head as it is before the first change.
pub(super) fn head() -> Result<Write, Error> {
    let document = RawDocumentBuf::try_from(&doc! { "_id": HEAD, "revision": 0_i64 });
    let document = document.map_err(|error| Error::Invalid(error.to_string()))?;
    Ok(Write::Insert { collection: COLLECTION.to_owned(), document })
}

#[cfg(test)]
mod tests {
    use super::super::trial::Rule;
    use super::*;

    fn version(name: &str) -> Version {
        Version { sha256: name.to_owned(), version: "1".into(), at: 1 }
    }

    #[test]
    fn the_last_five_versions_can_be_gone_back_to() {
        let mut row = Row::new("a");
        assert_eq!((row.current(), row.before()), (None, None));
        for name in ["1", "2", "3", "4", "5", "6"] {
            assert!(row.serve(version(name)).is_empty());
        }
        assert_eq!(row.serve(version("7")), [version("1")]);
        assert_eq!((row.current(), row.before()), (Some(&version("7")), Some(&version("6"))));
        assert!(row.serve(version("4")).is_empty(), "it was there");
        assert_eq!(
            row.versions.iter().map(|version| version.sha256.as_str()).collect::<Vec<_>>(),
            ["4", "7", "6", "5", "3", "2"]
        );
    }

    fn trial(sha256: &str) -> Trial {
        let rule = Rule { max_errors: 1.5, min_calls: 100, promote_after: Some(60) };
        Trial { sha256: sha256.to_owned(), weight: 10, run: "r".into(), since: 5, rule: Some(rule) }
    }

    #[test]
    fn what_serves_and_what_is_tried_out_is_never_forgotten() {
        let mut row = Row::new("a");
        row.serve(version("0"));
        for name in ["1", "2", "3", "4", "5", "6", "7"] {
            let forgotten = row.try_out(version(name), trial(name));
            assert!(forgotten.iter().all(|version| !["0", name].contains(&&*version.sha256)), "{forgotten:?}");
        }
        assert_eq!(
            row.versions.iter().map(|version| version.sha256.as_str()).collect::<Vec<_>>(),
            ["7", "6", "5", "4", "3", "2", "0"]
        );
        row.go_to("7");
        assert_eq!((row.current(), &row.canary), (Some(&version("7")), &None));
    }

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let mut row = Row::new("a");
        row.serve(version("2"));
        row.try_out(version("2"), trial("2"));
        let document = RawDocumentBuf::try_from(&doc! {
            "_id": "a", "serving": "2", "canary": trial("2").document(),
            "versions": [doc! { "sha256": "2", "version": "1", "at": date(1) }],
        });
        assert_eq!(Row::read(&document.unwrap()), Some(row));
        let mut row = Row::new("a");
        row.serve(version("1"));
        row.serve(version("2"));
        let versions = vec![
            doc! { "sha256": "2", "version": "1", "at": date(1) },
            doc! { "sha256": "1", "version": "1", "at": date(1) },
        ];
        let document = RawDocumentBuf::try_from(&doc! { "_id": "a", "serving": "2", "versions": versions }).unwrap();
        assert_eq!(Row::read(&document), Some(row));
    }
}
