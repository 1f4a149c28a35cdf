//! What answers for a component: the version that serves and, for a share of those who ask, its canary.
//!
//! Who asks is in a bucket, and stays there: it follows from the component and from who it is alone, on every host. So a
//! canary whose weight is raised gets others besides, and nobody goes back.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::Manifest;
use crate::engine::Loaded;

/// A component as it is served.
#[derive(Clone)]
pub struct Served {
    /// The version that serves.
    pub stable: Arc<Loaded>,
    /// The version that is tried out on some.
    pub canary: Option<Canary>,
}

/// A version that is tried out.
#[derive(Clone)]
pub struct Canary {
    /// The version.
    pub version: Arc<Loaded>,
    /// How many of a hundred buckets get it, 1 to 100.
    pub weight: u8,
}

impl Served {
    /// Without a canary.
    pub fn whole(version: Arc<Loaded>) -> Self {
        Self { stable: version, canary: None }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.stable.manifest.component.name
    }

    /// The versions.
    pub fn versions(&self) -> impl Iterator<Item = &Arc<Loaded>> {
        [&self.stable].into_iter().chain(self.canary.as_ref().map(|canary| &canary.version))
    }

    /// The version with this hash.
    pub fn version(&self, sha256: &str) -> Option<&Arc<Loaded>> {
        self.versions().find(|version| version.sha256 == sha256)
    }

    /// The same, with the canary only where it has something too: what only one of the two answers, that one's manifest
    /// decides, and what is new in a canary waits until it serves.
    pub fn where_canary(&self, has: impl FnOnce(&Manifest) -> bool) -> Self {
        Self { stable: self.stable.clone(), canary: self.canary.clone().filter(|canary| has(&canary.version.manifest)) }
    }

    /// The version for somebody: a user, an address, the key of an event.
    pub fn pick(&self, who: &str) -> &Arc<Loaded> {
        match &self.canary {
            Some(canary) if canary.takes(who) => &canary.version,
            _ => &self.stable,
        }
    }
}

impl Canary {
    /// Whether it is for this one.
    pub(super) fn takes(&self, who: &str) -> bool {
        bucket(&self.version.manifest.component.name, who) < self.weight
    }
}

/// 0 to 99.
fn bucket(component: &str, who: &str) -> u8 {
    let digest = Sha256::new().chain_update(component).chain_update([0]).chain_update(who).finalize();
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
        // It is the same on every host and in every release.
        assert_eq!((bucket("feed", "a"), bucket("feed", "b")), (46, 27));
    }
}
