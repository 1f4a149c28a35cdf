//! The files of replaced versions: a page that was loaded before a deploy goes on asking for the scripts of its own version. Only
//! files whose names have hashes are found here, because what is at such a path never changes. Touches no store.

use std::sync::Arc;

use arc_swap::ArcSwap;
use assets::Assets;

use crate::files::FoundFile;

/// The most bytes of the files of all replaced versions; beyond it the oldest version is dropped.
const MOST_BYTES: usize = 64 << 20;

/// The replaced versions whose files are still served, the last replaced first.
#[derive(Default)]
pub(super) struct Retired(ArcSwap<Vec<RetiredVersion>>);

#[derive(Clone)]
struct RetiredVersion {
    component: String,
    sha256: String,
    assets: Arc<Assets>,
}

impl Retired {
    /// Adds a version that is replaced now.
    pub(super) fn add(&self, component: &str, sha256: &str, assets: &Arc<Assets>) {
        self.put(component, sha256, assets, true);
    }

    /// Adds a version that was replaced before all that are here, unless it has no room.
    pub(super) fn add_older(&self, component: &str, sha256: &str, assets: &Arc<Assets>) {
        self.put(component, sha256, assets, false);
    }

    fn put(&self, component: &str, sha256: &str, assets: &Arc<Assets>, first: bool) {
        if !assets.has_hashed() {
            return;
        }
        let version =
            RetiredVersion { component: component.to_owned(), sha256: sha256.to_owned(), assets: assets.clone() };
        self.0.rcu(|known| {
            let others = known.iter().filter(|other| !other.is(component, sha256)).cloned();
            let mut versions: Vec<RetiredVersion> = if first {
                [version.clone()].into_iter().chain(others).collect()
            } else {
                others.chain([version.clone()]).collect()
            };
            let mut held = 0_usize;
            versions.retain(|version| {
                held = held.saturating_add(version.assets.held());
                held <= MOST_BYTES
            });
            versions
        });
    }

    /// Drops the versions for which `keep` is false, by component and hash.
    pub(super) fn retain(&self, keep: impl Fn(&str, &str) -> bool) {
        let is_kept = |version: &&RetiredVersion| keep(&version.component, &version.sha256);
        if !self.0.load().iter().all(|version| is_kept(&version)) {
            self.0.rcu(|known| known.iter().filter(is_kept).cloned().collect::<Vec<_>>());
        }
    }

    /// Whether the files of a version are here.
    pub(super) fn has(&self, component: &str, sha256: &str) -> bool {
        self.0.load().iter().any(|version| version.is(component, sha256))
    }

    /// The file with a hash in its name at a decoded path.
    pub(super) fn find(&self, path: &str) -> Option<FoundFile> {
        self.0.load().iter().filter_map(|version| FoundFile::at(&version.assets, path)).find(|found| found.asset.hashed)
    }

    /// The bytes in memory.
    pub(super) fn held(&self) -> usize {
        self.0.load().iter().map(|version| version.assets.held()).sum()
    }
}

impl RetiredVersion {
    fn is(&self, component: &str, sha256: &str) -> bool {
        self.component == component && self.sha256 == sha256
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assets::{File, Rules, pack};

    fn files(names: &[&str], bytes: usize) -> Arc<Assets> {
        let file = |name: &&str| File { path: (*name).to_owned(), bytes: vec![7; bytes] };
        let section = pack(names.iter().map(file).collect(), None).unwrap();
        Arc::new(Assets::read(&section, Rules { prefix: "/".to_owned(), ..Rules::default() }).unwrap())
    }

    #[test]
    fn only_names_with_hashes_are_found_and_the_last_replaced_first() {
        let retired = Retired::default();
        retired.add("a", "1", &files(&["index.html", "a-DiwrgTda.png"], 1));
        retired.add("a", "2", &files(&["a-DiwrgTda.png"], 2));
        retired.add_older("a", "0", &files(&["a-DiwrgTda.png", "b-DiwrgTdb.png"], 3));
        retired.add("a", "none", &files(&["index.html"], 1));
        assert!(retired.has("a", "0") && !retired.has("a", "none") && !retired.has("b", "0"));
        let length = |path: &str| {
            let found = retired.find(path)?;
            Some(found.asset.form(assets::Coding::Identity)?.bytes.len())
        };
        assert_eq!((length("/a-DiwrgTda.png"), length("/b-DiwrgTdb.png"), length("/")), (Some(2), Some(3), None));
        retired.retain(|_, sha256| sha256 != "2");
        assert_eq!(length("/a-DiwrgTda.png"), Some(1));
        retired.retain(|_, _| false);
        assert_eq!((length("/b-DiwrgTdb.png"), retired.held()), (None, 0));
    }

    #[test]
    fn the_oldest_are_dropped_beyond_the_bound() {
        let retired = Retired::default();
        // Of a type that is not compressed.
        let large = files(&["a-DiwrgTda.png", "b-DiwrgTda.png", "c-DiwrgTda.png"], 8 << 20);
        for version in ["1", "2", "3"] {
            retired.add("a", version, &large);
        }
        assert!(retired.has("a", "3") && retired.has("a", "2") && !retired.has("a", "1"));
        retired.add_older("a", "0", &large);
        assert!(!retired.has("a", "0") && retired.held() <= MOST_BYTES);
    }
}
