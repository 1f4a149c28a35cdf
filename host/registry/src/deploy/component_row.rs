//! The documents that say what is deployed: one row per component, and the head, whose revision every change increments.
//! Only converts them and makes writes of them; touches no store.

use bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::deploy::canary::CanaryRun;
use capability::documents::{Error, Write, date};

/// The collection of the rows. It is the host's, not the application's.
pub(crate) const COLLECTION: &str = "host-components";
/// The `_id` of the head. No component can have this name.
pub(super) const HEAD: &str = "@head";
/// How many versions of a component are kept for a rollback, besides the serving one and the canary.
const EARLIER_VERSIONS: usize = 5;

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

/// The deployed versions of one component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ComponentRow {
    /// The component's name.
    pub name: String,
    /// The hash of the version that serves; none once the component is removed.
    pub serving: Option<String>,
    /// The canary run, if there is one.
    #[serde(default)]
    pub canary: Option<CanaryRun>,
    /// The known versions, the last deployed first. What each may see or do has been accepted.
    pub versions: Vec<Version>,
}

impl ComponentRow {
    /// The row of a component that was never deployed.
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), serving: None, canary: None, versions: Vec::new() }
    }

    /// The version that serves.
    pub fn current(&self) -> Option<&Version> {
        let serving = self.serving.as_ref()?;
        self.version(serving)
    }

    /// The hashes of the serving version and of the canary.
    pub fn active_hashes(&self) -> impl Iterator<Item = &str> {
        self.serving.as_deref().into_iter().chain(self.canary.as_ref().map(|run| run.sha256.as_str()))
    }

    /// A known version, by its hash.
    pub fn version(&self, sha256: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.sha256 == sha256)
    }

    /// The version before the serving one, in the order in which they were deployed; of a removed component, the last one.
    pub(super) fn previous(&self) -> Option<&Version> {
        let Some(serving) = &self.serving else { return self.versions.first() };
        self.versions.iter().skip_while(|version| version.sha256 != *serving).nth(1)
    }

    /// Makes a version, new or known, the serving one, and ends a canary run; returns the versions that are dropped for it.
    pub(super) fn serve(&mut self, version: Version) -> Vec<Version> {
        self.serving = Some(version.sha256.clone());
        self.canary = None;
        self.put_first(version)
    }

    /// Starts or changes a canary run of a version, new or known; returns the versions that are dropped for it.
    pub(super) fn start_canary(&mut self, version: Version, run: CanaryRun) -> Vec<Version> {
        self.canary = Some(run);
        self.put_first(version)
    }

    /// Makes a known version the serving one, and ends a canary run.
    pub(super) fn switch_to(&mut self, sha256: &str) {
        self.serving = Some(sha256.to_owned());
        self.canary = None;
    }

    fn put_first(&mut self, version: Version) -> Vec<Version> {
        // A known version keeps the time of its first deploy.
        let known = self.versions.iter().position(|known| known.sha256 == version.sha256);
        let version = known.map_or(version, |at| self.versions.remove(at));
        self.versions.insert(0, version);
        let mut others = 0;
        let kept = |version: &Version| {
            let needed = self.serving.as_ref() == Some(&version.sha256)
                || self.canary.as_ref().is_some_and(|run| run.sha256 == version.sha256);
            others += usize::from(!needed);
            needed || others <= EARLIER_VERSIONS
        };
        let (kept, dropped) = std::mem::take(&mut self.versions).into_iter().partition(kept);
        self.versions = kept;
        dropped
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
            canary: document.get_document("canary").ok().and_then(CanaryRun::read),
            versions: document.get_array("versions").ok()?.iter().filter_map(version).collect(),
        })
    }

    /// A write that sets all fields without a condition: the head's revision orders the writers.
    pub(super) fn write(&self) -> Result<Write, Error> {
        let versions = self.versions.iter().map(|Version { sha256, version, at }| {
            Bson::Document(doc! { "sha256": sha256, "version": version, "at": date(*at) })
        });
        let canary = self.canary.as_ref().map(CanaryRun::document);
        let set = doc! { "serving": self.serving.clone(), "canary": canary, "versions": versions.collect::<Vec<_>>() };
        Write::put(COLLECTION, &self.name, set)
    }
}

/// A write that increments the head's revision, and fails the commit when the revision is another one.
pub(super) fn raise_head(revision: i64) -> Result<Write, Error> {
    let known = doc! { "_id": HEAD, "revision": revision };
    Write::change_known(COLLECTION, &known, &doc! { "$inc": { "revision": 1_i64 } })
}

/// A write that inserts the head as it is before the first change.
pub(super) fn insert_head() -> Result<Write, Error> {
    let document = RawDocumentBuf::try_from(&doc! { "_id": HEAD, "revision": 0_i64 });
    let document = document.map_err(|error| Error::Invalid(error.to_string()))?;
    Ok(Write::Insert { collection: COLLECTION.to_owned(), document })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::canary::Rule;

    fn version(name: &str) -> Version {
        Version { sha256: name.to_owned(), version: "1".into(), at: 1 }
    }

    #[test]
    fn the_last_five_versions_can_be_gone_back_to() {
        let mut row = ComponentRow::new("a");
        assert_eq!((row.current(), row.previous()), (None, None));
        for name in ["1", "2", "3", "4", "5", "6"] {
            assert!(row.serve(version(name)).is_empty());
        }
        assert_eq!(row.serve(version("7")), [version("1")]);
        assert_eq!((row.current(), row.previous()), (Some(&version("7")), Some(&version("6"))));
        assert!(row.serve(version("4")).is_empty(), "it was there");
        assert_eq!(
            row.versions.iter().map(|version| version.sha256.as_str()).collect::<Vec<_>>(),
            ["4", "7", "6", "5", "3", "2"]
        );
    }

    fn run(sha256: &str) -> CanaryRun {
        let rule = Rule { max_errors: 1.5, min_calls: 100, promote_after: Some(60) };
        CanaryRun { sha256: sha256.to_owned(), weight: 10, id: "r".into(), since: 5, rule: Some(rule) }
    }

    #[test]
    fn what_serves_and_what_is_tried_out_is_never_forgotten() {
        let mut row = ComponentRow::new("a");
        row.serve(version("0"));
        for name in ["1", "2", "3", "4", "5", "6", "7"] {
            let dropped = row.start_canary(version(name), run(name));
            assert!(dropped.iter().all(|version| !["0", name].contains(&&*version.sha256)), "{dropped:?}");
        }
        assert_eq!(
            row.versions.iter().map(|version| version.sha256.as_str()).collect::<Vec<_>>(),
            ["7", "6", "5", "4", "3", "2", "0"]
        );
        row.switch_to("7");
        assert_eq!((row.current(), &row.canary), (Some(&version("7")), &None));
    }

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let mut row = ComponentRow::new("a");
        row.serve(version("2"));
        row.start_canary(version("2"), run("2"));
        let document = RawDocumentBuf::try_from(&doc! {
            "_id": "a", "serving": "2", "canary": run("2").document(),
            "versions": [doc! { "sha256": "2", "version": "1", "at": date(1) }],
        });
        assert_eq!(ComponentRow::read(&document.unwrap()), Some(row));
        let mut row = ComponentRow::new("a");
        row.serve(version("1"));
        row.serve(version("2"));
        let versions = vec![
            doc! { "sha256": "2", "version": "1", "at": date(1) },
            doc! { "sha256": "1", "version": "1", "at": date(1) },
        ];
        let document = RawDocumentBuf::try_from(&doc! { "_id": "a", "serving": "2", "versions": versions }).unwrap();
        assert_eq!(ComponentRow::read(&document), Some(row));
    }
}
