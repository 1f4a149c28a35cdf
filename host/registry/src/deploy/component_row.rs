//! The documents that say what is deployed: one row per component, and the head, whose revision every change increments.
//! Only converts them and makes writes of them; touches no store.

use std::collections::BTreeSet;

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

/// How long the files of a replaced version are served, in milliseconds.
const RETIRED_FOR_MS: u64 = 24 * 3_600_000;
/// The most replaced versions of a component whose files are served.
const MOST_RETIRED: usize = 16;

/// A version that was replaced and whose files are still served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetiredVersion {
    /// The hex SHA-256 of its file.
    pub sha256: String,
    /// When it was replaced, in milliseconds since 1970.
    pub at: u64,
}

impl RetiredVersion {
    /// Whether its files are served no more.
    pub(super) fn is_over(&self, now: u64) -> bool {
        now.saturating_sub(self.at) >= RETIRED_FOR_MS
    }
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
    /// The hashes of the versions that a rollback returns to, each of which served everybody: the last one is the version that
    /// serves or, of a removed component, the one that served.
    #[serde(default)]
    pub history: Vec<String>,
    /// The replaced versions whose files are still served, the last replaced first. They are known versions.
    #[serde(default)]
    pub retired: Vec<RetiredVersion>,
}

impl ComponentRow {
    /// The row of a component that was never deployed.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            serving: None,
            canary: None,
            versions: Vec::new(),
            history: Vec::new(),
            retired: Vec::new(),
        }
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

    /// The version that a rollback returns to: the one that served everybody before the serving one; of a removed component,
    /// the one that served. A version that only a share of the callers got, that was rolled back or that served before the
    /// component was removed and deployed again is none.
    pub(super) fn previous(&self) -> Option<&Version> {
        let before = match &self.serving {
            None => self.history.as_slice(),
            Some(_) => self.history.split_last().map(|(_, before)| before).unwrap_or_default(),
        };
        self.version(before.last()?)
    }

    /// Makes a version, new or known, the serving one, and ends a canary run; returns the versions that are dropped for it.
    pub(super) fn serve(&mut self, version: Version) -> Vec<Version> {
        if self.serving.is_none() {
            // A component that was removed begins anew.
            self.history.clear();
        }
        self.canary = None;
        self.serve_all(&version.sha256);
        self.put_first(version)
    }

    /// Starts or changes a canary run of a version, new or known; returns the versions that are dropped for it.
    pub(super) fn start_canary(&mut self, version: Version, run: CanaryRun) -> Vec<Version> {
        self.canary = Some(run);
        self.put_first(version)
    }

    /// Ends the canary run: its version serves everybody.
    pub(super) fn promote(&mut self) {
        if let Some(run) = self.canary.take() {
            self.serve_all(&run.sha256);
        }
    }

    /// Ends the canary run: its version is rejected.
    pub(super) fn reject_canary(&mut self) {
        if let Some(run) = self.canary.take() {
            self.history.retain(|sha256| *sha256 != run.sha256);
        }
    }

    /// Returns to a known version. Those that served after it are rejected, and the canary, unless that is the version.
    pub(super) fn return_to(&mut self, sha256: &str) {
        if self.canary.as_ref().is_some_and(|run| run.sha256 == sha256) {
            return self.promote();
        }
        self.reject_canary();
        match self.history.iter().position(|served| served == sha256) {
            Some(at) => {
                self.history.truncate(at + 1);
                self.serving = Some(sha256.to_owned());
            }
            None => self.serve_all(sha256),
        }
    }

    /// Takes the component out of service.
    pub(super) fn remove(&mut self) {
        self.serving = None;
        self.canary = None;
        self.retired.clear();
    }

    /// Keeps the files of these versions, which may be replaced now. [`ComponentRow::settle_retired`] says which ones were.
    pub(super) fn retire(&mut self, hashes: impl IntoIterator<Item = String>, now: u64) {
        for sha256 in hashes {
            if !self.retired.iter().any(|retired| retired.sha256 == sha256) {
                self.retired.insert(0, RetiredVersion { sha256, at: now });
            }
        }
    }

    /// Drops what is over, what is known no more and what serves, again or still.
    pub(super) fn settle_retired(&mut self, now: u64) {
        let active: BTreeSet<String> = self.active_hashes().map(str::to_owned).collect();
        let known: BTreeSet<&str> = self.versions.iter().map(|version| version.sha256.as_str()).collect();
        self.retired.retain(|retired| {
            let sha256 = retired.sha256.as_str();
            !retired.is_over(now) && known.contains(sha256) && !active.contains(sha256)
        });
        self.retired.truncate(MOST_RETIRED);
        if self.serving.is_none() {
            self.retired.clear();
        }
    }

    /// A version serves everybody from now on. It is in the history once, at its last time.
    fn serve_all(&mut self, sha256: &str) {
        self.history.retain(|served| served != sha256);
        self.history.push(sha256.to_owned());
        self.serving = Some(sha256.to_owned());
    }

    fn put_first(&mut self, version: Version) -> Vec<Version> {
        // A known version keeps the time of its first deploy.
        let known = self.versions.iter().position(|known| known.sha256 == version.sha256);
        let version = known.map_or(version, |at| self.versions.remove(at));
        self.versions.insert(0, version);
        let retired = self.retired.iter().map(|retired| retired.sha256.as_str());
        let needed: BTreeSet<&str> = self.active_hashes().chain(retired).collect();
        // Those that a rollback returns to come first: versions that were only tried out don't displace them.
        let deployed = self.versions.iter().map(|version| &version.sha256);
        let mut earlier: Vec<&str> = Vec::new();
        for sha256 in self.history.iter().rev().chain(deployed).map(String::as_str) {
            if earlier.len() < EARLIER_VERSIONS && !needed.contains(sha256) && !earlier.contains(&sha256) {
                earlier.push(sha256);
            }
        }
        let kept: BTreeSet<String> = needed.into_iter().chain(earlier).map(str::to_owned).collect();
        self.history.retain(|sha256| kept.contains(sha256));
        let (kept, dropped) =
            std::mem::take(&mut self.versions).into_iter().partition(|version| kept.contains(&version.sha256));
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
        let replaced = |retired: &Bson| {
            let retired = retired.as_document()?;
            let at = u64::try_from(retired.get_datetime("at").ok()?.timestamp_millis()).ok()?;
            Some(RetiredVersion { sha256: retired.get_str("sha256").ok()?.to_owned(), at })
        };
        let mut row = Self {
            name: document.get_str("_id").ok()?.to_owned(),
            serving: document.get_str("serving").ok().map(str::to_owned),
            canary: document.get_document("canary").ok().and_then(CanaryRun::read),
            versions: document.get_array("versions").ok()?.iter().filter_map(version).collect(),
            history: Vec::new(),
            retired: Vec::new(),
        };
        // A host of before files were served wrote none.
        row.retired = document
            .get_array("retired")
            .map(|retired| retired.iter().filter_map(replaced).collect())
            .unwrap_or_default();
        row.history = match document.get_array("history") {
            Ok(history) => history.iter().filter_map(|sha256| sha256.as_str().map(str::to_owned)).collect(),
            Err(_) => row.history_by_deploys(),
        };
        Some(row)
    }

    /// The history of a row that an earlier host wrote, which had none: the order of the deploys.
    fn history_by_deploys(&self) -> Vec<String> {
        let is_later = |version: &&Version| self.serving.as_ref().is_some_and(|serving| version.sha256 != *serving);
        let served = self.versions.iter().skip_while(is_later).map(|version| version.sha256.clone());
        let canary = self.canary.as_ref().map(|run| &run.sha256);
        let mut history: Vec<String> = served.filter(|sha256| Some(sha256) != canary).collect();
        history.reverse();
        history
    }

    /// A write that sets all fields without a condition: the head's revision orders the writers.
    pub(super) fn write(&self) -> Result<Write, Error> {
        let versions = self.versions.iter().map(|Version { sha256, version, at }| {
            Bson::Document(doc! { "sha256": sha256, "version": version, "at": date(*at) })
        });
        let retired = self
            .retired
            .iter()
            .map(|RetiredVersion { sha256, at }| Bson::Document(doc! { "sha256": sha256, "at": date(*at) }));
        let canary = self.canary.as_ref().map(CanaryRun::document);
        let set = doc! {
            "serving": self.serving.clone(), "canary": canary, "versions": versions.collect::<Vec<_>>(),
            "history": &self.history, "retired": retired.collect::<Vec<_>>(),
        };
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
        row.promote();
        assert_eq!((row.current(), &row.canary), (Some(&version("7")), &None));
        assert_eq!(row.previous(), Some(&version("0")), "what was only tried out is nothing to go back to");
    }

    #[test]
    fn what_is_tried_out_displaces_nothing_that_can_be_gone_back_to() {
        let mut row = ComponentRow::new("a");
        row.serve(version("0"));
        row.serve(version("1"));
        for number in 2..20 {
            row.start_canary(version(&number.to_string()), run(&number.to_string()));
            row.reject_canary();
        }
        assert_eq!(row.previous(), Some(&version("0")));
    }

    /// A change as `change` makes it: what was active may be replaced, and what was replaced is kept.
    fn replace(row: &mut ComponentRow, now: u64, change: impl FnOnce(&mut ComponentRow) -> Vec<Version>) -> usize {
        let active: Vec<String> = row.active_hashes().map(str::to_owned).collect();
        row.retire(active, now);
        let dropped = change(row).len();
        row.settle_retired(now);
        dropped
    }

    fn retired(row: &ComponentRow) -> Vec<&str> {
        row.retired.iter().map(|retired| retired.sha256.as_str()).collect()
    }

    #[test]
    fn a_replaced_version_is_kept_a_day_for_its_files() {
        let mut row = ComponentRow::new("a");
        for number in 0..10 {
            let dropped = replace(&mut row, number, |row| row.serve(version(&number.to_string())));
            assert_eq!(dropped, 0, "{number}");
        }
        assert_eq!(retired(&row), ["8", "7", "6", "5", "4", "3", "2", "1", "0"]);
        assert!(retired(&row).iter().all(|sha256| row.version(sha256).is_some()));
        // One that serves again is not among them, and was replaced anew when another one follows.
        replace(&mut row, 20, |row| {
            row.return_to("3");
            Vec::new()
        });
        assert_eq!(retired(&row), ["9", "8", "7", "6", "5", "4", "2", "1", "0"]);
        let later = RETIRED_FOR_MS + 5;
        let dropped = replace(&mut row, later, |row| row.serve(version("x")));
        assert_eq!((retired(&row), dropped), (vec!["3", "9", "8", "7", "6", "5"], 0));
        let much_later = 2 * RETIRED_FOR_MS + 50;
        replace(&mut row, much_later, |row| row.serve(version("y")));
        let dropped = replace(&mut row, much_later, |row| row.serve(version("z")));
        assert_eq!(retired(&row), ["y", "x"]);
        assert!(dropped > 0, "those whose time is over make room");
        replace(&mut row, much_later, |row| {
            row.remove();
            Vec::new()
        });
        assert_eq!(retired(&row), Vec::<&str>::new(), "nothing stays of what is removed");
    }

    #[test]
    fn a_canary_leaves_its_files_and_there_are_so_many_versions_and_no_more() {
        let mut row = ComponentRow::new("a");
        replace(&mut row, 0, |row| row.serve(version("0")));
        for number in 1..40 {
            let name = number.to_string();
            replace(&mut row, number, |row| row.start_canary(version(&name), run(&name)));
            assert!(!retired(&row).contains(&"0") && !retired(&row).contains(&name.as_str()));
        }
        assert_eq!((row.retired.len(), retired(&row)[0]), (MOST_RETIRED, "38"));
        assert!(row.versions.len() <= MOST_RETIRED + EARLIER_VERSIONS + 3, "{}", row.versions.len());
        replace(&mut row, 50, |row| {
            row.reject_canary();
            Vec::new()
        });
        assert_eq!(retired(&row)[0], "39");
    }

    /// A change of a row.
    #[derive(Debug, Clone)]
    enum Step {
        Deploy(usize),
        Canary(usize),
        Promote,
        RollBack,
        RollBackTo(usize),
        Remove,
    }

    /// What the operator was promised, written down plainly: all that served everybody, in order, and what was rejected.
    #[derive(Debug, Default)]
    struct Model {
        served: Vec<String>,
        rejected: BTreeSet<String>,
        serving: Option<String>,
        canary: Option<String>,
    }

    impl Model {
        fn serve(&mut self, name: &str) {
            self.rejected.remove(name);
            self.served.push(name.to_owned());
            (self.serving, self.canary) = (Some(name.to_owned()), None);
        }

        fn deploy(&mut self, name: &str) {
            if self.serving.is_none() {
                self.served.clear();
            }
            self.serve(name);
        }

        fn reject_canary(&mut self) {
            self.rejected.extend(self.canary.take());
        }

        /// The last one that served everybody before the serving one and is not rejected.
        fn previous(&self) -> Option<String> {
            let before = self.served.iter().rev().filter(|name| !self.rejected.contains(*name));
            before.into_iter().find(|name| self.serving.as_ref() != Some(*name)).cloned()
        }

        fn go_back_to(&mut self, name: &str) {
            if self.canary.as_deref() == Some(name) {
                return self.serve(name);
            }
            self.reject_canary();
            let last = self.served.iter().rposition(|served| served == name);
            match last.filter(|_| !self.rejected.contains(name)) {
                None => self.serve(name),
                Some(last) => {
                    self.rejected.extend(self.served.drain(last + 1..));
                    self.rejected.remove(name);
                    self.serving = Some(name.to_owned());
                }
            }
        }
    }

    fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
        use proptest::prelude::*;
        // As many as a row keeps beside the serving one, so that none is dropped.
        let step = prop_oneof![
            4 => (0..EARLIER_VERSIONS).prop_map(Step::Deploy),
            4 => (0..EARLIER_VERSIONS).prop_map(Step::Canary),
            3 => Just(Step::Promote),
            4 => Just(Step::RollBack),
            1 => (0..EARLIER_VERSIONS).prop_map(Step::RollBackTo),
            1 => Just(Step::Remove),
        ];
        proptest::collection::vec(step, 0..40)
    }

    /// Does a step as `change` does, in the row and in the model, where it is possible.
    fn take(step: &Step, row: &mut ComponentRow, model: &mut Model) {
        match step {
            Step::Deploy(number) => {
                row.serve(version(&number.to_string()));
                model.deploy(&number.to_string());
            }
            Step::Canary(number) if row.serving.as_ref().is_some_and(|serving| *serving != number.to_string()) => {
                row.start_canary(version(&number.to_string()), run(&number.to_string()));
                model.canary = Some(number.to_string());
            }
            Step::Promote if row.canary.is_some() => {
                row.promote();
                let canary = model.canary.clone().unwrap();
                model.serve(&canary);
            }
            Step::RollBack if row.canary.is_some() => {
                row.reject_canary();
                model.reject_canary();
            }
            Step::RollBack => {
                let target = row.previous().map(|version| version.sha256.clone());
                assert_eq!(target, model.previous());
                if let Some(target) = target {
                    assert!(!model.rejected.contains(&target), "{target} was rejected");
                    row.return_to(&target);
                    model.go_back_to(&target);
                }
            }
            Step::RollBackTo(number) if row.version(&number.to_string()).is_some() => {
                row.return_to(&number.to_string());
                model.go_back_to(&number.to_string());
            }
            Step::Remove if row.serving.is_some() => {
                row.remove();
                (model.serving, model.canary) = (None, None);
            }
            Step::Canary(_) | Step::Promote | Step::RollBackTo(_) | Step::Remove => {}
        }
    }

    proptest::proptest! {
        #[test]
        fn a_rollback_returns_to_what_served_everybody_and_never_to_what_was_rejected(steps in steps()) {
            let (mut row, mut model) = (ComponentRow::new("a"), Model::default());
            for step in &steps {
                take(step, &mut row, &mut model);
                let canary = row.canary.as_ref().map(|run| run.sha256.clone());
                assert_eq!((&row.serving, &canary), (&model.serving, &model.canary), "{step:?}");
                assert_eq!(row.previous().map(|version| version.sha256.clone()), model.previous(), "{step:?}");
                assert!(row.history.iter().all(|sha256| row.version(sha256).is_some()));
            }
        }
    }

    #[test]
    fn a_row_of_an_earlier_host_has_its_history_by_the_deploys() {
        let versions: Vec<_> =
            ["4", "3", "2", "1"].map(|sha256| doc! { "sha256": sha256, "version": "1", "at": date(1) }).into();
        let read = |serving: Option<&str>| {
            let document =
                doc! { "_id": "a", "serving": serving, "canary": run("2").document(), "versions": &versions };
            ComponentRow::read(&RawDocumentBuf::try_from(&document).unwrap()).unwrap().history
        };
        assert_eq!(read(Some("3")), ["1", "3"]);
        assert_eq!(read(None), ["1", "3", "4"]);
    }

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let mut row = ComponentRow::new("a");
        row.serve(version("2"));
        row.start_canary(version("2"), run("2"));
        row.retired = vec![RetiredVersion { sha256: "1".into(), at: 7 }];
        let document = RawDocumentBuf::try_from(&doc! {
            "_id": "a", "serving": "2", "canary": run("2").document(),
            "versions": [doc! { "sha256": "2", "version": "1", "at": date(1) }], "history": ["2"],
            "retired": [doc! { "sha256": "1", "at": date(7) }],
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
