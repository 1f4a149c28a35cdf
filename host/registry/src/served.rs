//! A served component: the version that serves and, for a share of the callers, its canary.
//!
//! A caller's bucket depends on the component and the caller alone, so it is the same on every host. A higher weight adds
//! callers to a canary and takes none away. Touches no store.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use engine::Loaded;
use manifest::Manifest;

/// A component as it is served.
#[derive(Clone)]
pub struct Served {
    /// The version that serves.
    pub stable: Arc<Loaded>,
    /// The version that a share of the callers gets.
    pub canary: Option<Canary>,
}

/// A version that serves a share of the callers.
#[derive(Clone)]
pub struct Canary {
    /// The version.
    pub version: Arc<Loaded>,
    /// How many of the 100 buckets get it, 1 to 100.
    pub weight: u8,
}

impl Served {
    /// A version without a canary.
    pub fn whole(version: Arc<Loaded>) -> Self {
        Self { stable: version, canary: None }
    }

    /// The component's name.
    pub fn name(&self) -> &str {
        &self.stable.manifest.component.name
    }

    /// The version that serves, and the canary's.
    pub fn versions(&self) -> impl Iterator<Item = &Arc<Loaded>> {
        [&self.stable].into_iter().chain(self.canary.as_ref().map(|canary| &canary.version))
    }

    /// The version with this hash.
    pub fn version(&self, sha256: &str) -> Option<&Arc<Loaded>> {
        self.versions().find(|version| version.sha256 == sha256)
    }

    /// The same, with the canary only if `has` is true of its manifest. A trigger that only the serving version has is answered
    /// by that version; a trigger that only the canary has is not answered until the canary is promoted.
    pub fn where_canary(&self, has: impl FnOnce(&Manifest) -> bool) -> Self {
        Self { stable: self.stable.clone(), canary: self.canary.clone().filter(|canary| has(&canary.version.manifest)) }
    }

    /// The version for a caller: a user, an address, the key of an event.
    pub fn pick(&self, caller: &str) -> &Arc<Loaded> {
        match &self.canary {
            Some(canary) if canary.includes(caller) => &canary.version,
            _ => &self.stable,
        }
    }
}

impl Canary {
    /// Whether a caller gets the canary.
    pub(super) fn includes(&self, caller: &str) -> bool {
        bucket(&self.version.manifest.component.name, caller) < self.weight
    }
}

/// The bucket of a caller, 0 to 99.
fn bucket(component: &str, caller: &str) -> u8 {
    let digest = Sha256::new().chain_update(component).chain_update([0]).chain_update(caller).finalize();
    let number = digest.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    (number % 100) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_even_and_each_component_has_its_own() {
        let mut sizes = [0_u32; 100];
        for user in 0..100_000 {
            sizes[usize::from(bucket("feed", &user.to_string()))] += 1;
        }
        assert!(sizes.iter().all(|size| (850..1_150).contains(size)), "{sizes:?}");
        let same = (0..1_000).filter(|user| bucket("feed", &user.to_string()) == bucket("auth", &user.to_string()));
        assert!(same.count() < 50);
        // Buckets are the same on every host and in every release.
        assert_eq!((bucket("feed", "a"), bucket("feed", "b")), (46, 27));
    }
}
