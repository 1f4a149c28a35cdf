//! Failing: the components that this host should serve and can't, and why. Deploying writes it; operators and `/readyz` read
//! it. Touches no store.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The components that this host should serve and can't.
#[derive(Default)]
pub struct Failing(Mutex<Reasons>);

#[derive(Default)]
struct Reasons {
    /// Of what is deployed, by component.
    deployed: BTreeMap<String, String>,
    /// Of what is in the folder of components, by component, or by the file's name where that is all that is known.
    folder: BTreeMap<String, String>,
}

impl Failing {
    /// Why this host does not serve a component as it should; none: it does.
    pub fn why(&self, name: &str) -> Option<String> {
        let reasons = self.reasons();
        reasons.deployed.get(name).or_else(|| reasons.folder.get(name)).cloned()
    }

    /// All of them with the reasons, by component, or by the file's name where its component is not known.
    pub fn all(&self) -> BTreeMap<String, String> {
        let reasons = self.reasons();
        let mut all = reasons.folder.clone();
        all.extend(reasons.deployed.clone());
        all
    }

    /// Their names.
    pub fn names(&self) -> Vec<String> {
        self.all().into_keys().collect()
    }

    /// Replaces what is known of deployed components.
    pub(crate) fn set_deployed(&self, failing: BTreeMap<String, String>) {
        self.reasons().deployed = failing;
    }

    /// Why a deployed component fails, as it was known before.
    pub(crate) fn known(&self, name: &str) -> Option<String> {
        self.reasons().deployed.get(name).cloned()
    }

    /// Adds something of the folder of components.
    pub(crate) fn add_of_folder(&self, name: String, why: String) {
        self.reasons().folder.insert(name, why);
    }

    /// Forgets what the folder has of these components: it is not what they serve.
    pub(crate) fn forget_of_folder<T>(&self, deployed: &BTreeMap<String, T>) {
        self.reasons().folder.retain(|name, _| !deployed.contains_key(name));
    }

    fn reasons(&self) -> MutexGuard<'_, Reasons> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_deployed_since_does_not_fail_in_the_folder() {
        let failing = Failing::default();
        failing.add_of_folder("a".into(), "wrong".into());
        failing.add_of_folder("broken.wasm".into(), "half".into());
        failing.set_deployed([("a".to_owned(), "too large".to_owned())].into());
        assert_eq!((failing.why("a").as_deref(), failing.known("broken.wasm")), (Some("too large"), None));
        assert_eq!(failing.names(), ["a", "broken.wasm"]);
        failing.forget_of_folder(&BTreeMap::from([("a".to_owned(), ())]));
        failing.set_deployed(BTreeMap::new());
        assert_eq!(failing.names(), ["broken.wasm"]);
        assert_eq!(failing.why("broken.wasm").as_deref(), Some("half"));
    }
}
