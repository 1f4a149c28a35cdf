//! The files of components that serve: which file answers which path. A table is built whole and never changed afterwards, and
//! touches no store.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use assets::{Asset, Assets};

use crate::Served;
use crate::conflict::RouteConflict;

/// A file that answers a request.
pub struct FoundFile {
    /// The file.
    pub asset: Arc<Asset>,
    /// The files that it is one of, which have its headers.
    pub assets: Arc<Assets>,
}

impl FoundFile {
    fn of(assets: &Arc<Assets>, asset: &Arc<Asset>) -> Self {
        Self { asset: asset.clone(), assets: assets.clone() }
    }

    /// The file at a path, among these.
    pub(super) fn at(assets: &Arc<Assets>, path: &str) -> Option<Self> {
        assets.find(path).map(|asset| Self::of(assets, asset))
    }
}

/// The files of all components.
#[derive(Default)]
pub(super) struct Files {
    /// The components with files.
    served: Vec<Served>,
    /// By the path of a URL, the place of its component.
    paths: HashMap<Arc<str>, usize>,
}

impl Files {
    /// Builds the table of these components, in this order. `route` is the component that has a `GET` route of a path.
    ///
    /// # Errors
    /// Two components have one path, or a component a path that is a route. The later one of the two is refused.
    pub(super) fn of(
        components: &[&Served],
        route: impl Fn(&str) -> Option<(String, String)>,
    ) -> Result<Self, RouteConflict> {
        let order: HashMap<&str, usize> =
            components.iter().enumerate().map(|(place, served)| (served.name(), place)).collect();
        let mut files = Self::default();
        let mut fallbacks: BTreeMap<&str, &str> = BTreeMap::new();
        for served in components.iter().filter(|served| served.versions().any(|version| version.assets.is_some())) {
            let (name, place) = (served.name(), files.served.len());
            for assets in served.versions().filter_map(|version| version.assets.as_ref()) {
                for path in assets.paths() {
                    let wanted = || format!("the file {}", shown(path));
                    let first = files.paths.insert(path.clone(), place).filter(|first| *first != place);
                    if let Some(first) = first.and_then(|first| files.served.get(first)) {
                        let (first, second) = (first.name().to_owned(), name.to_owned());
                        return Err(RouteConflict { first, second, wanted: wanted(), other: "it".into() });
                    }
                    let Some((owner, route)) = route(path) else { continue };
                    // The one that comes later is refused, and the component itself where both are its own.
                    return Err(if order.get(owner.as_str()) > order.get(name) {
                        RouteConflict { first: name.to_owned(), second: owner, wanted: route, other: wanted() }
                    } else {
                        RouteConflict { first: owner, second: name.to_owned(), wanted: wanted(), other: route }
                    });
                }
                for prefix in assets.fallback_prefixes() {
                    let first = fallbacks.insert(prefix, name).filter(|first| *first != name);
                    if let Some(first) = first {
                        let wanted = format!("the fallback of {prefix}");
                        let (first, second) = (first.to_owned(), name.to_owned());
                        return Err(RouteConflict { first, second, wanted, other: "it".into() });
                    }
                }
            }
            files.served.push((*served).clone());
        }
        Ok(files)
    }

    /// The file at a decoded path. While a component has a canary, `caller` decides whose file it is, as it does for routes;
    /// what only the other version has is found when its name has a hash, since a page of that version asks for it.
    pub(super) fn find(&self, path: &str, caller: impl Fn() -> String) -> Option<FoundFile> {
        // A folder may have a slash at its end.
        let shorter = path.strip_suffix('/').filter(|shorter| !shorter.is_empty());
        let served = self.served.get(*self.paths.get(shorter.unwrap_or(path))?)?;
        let version = picked(served, &caller);
        let found = version.assets.as_ref().and_then(|assets| FoundFile::at(assets, path));
        found.or_else(|| {
            let others = served.versions().filter_map(|version| version.assets.as_ref());
            others.filter_map(|assets| FoundFile::at(assets, path)).find(|found| found.asset.hashed)
        })
    }

    /// The file that answers a decoded path which leads to nothing else.
    pub(super) fn fallback(&self, path: &str, caller: impl Fn() -> String) -> Option<FoundFile> {
        let of = |served: &Served| {
            let assets = picked(served, &caller).assets.clone()?;
            let (prefix, asset) = assets.fallback(path)?;
            Some((prefix.len(), FoundFile::of(&assets, asset)))
        };
        self.served.iter().filter_map(of).max_by_key(|(length, _)| *length).map(|(_, found)| found)
    }
}

/// The version of a component whose files a caller gets.
fn picked<'a>(served: &'a Served, caller: &impl Fn() -> String) -> &'a Arc<engine::Loaded> {
    if served.canary.is_some() { served.pick(&caller()) } else { &served.stable }
}

/// A path in an error: in ASCII, on one line.
fn shown(path: &str) -> String {
    path.escape_default().to_string()
}
