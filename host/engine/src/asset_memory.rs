//! Memory of files: how many bytes the files of all loaded versions have, and the most that they may have. Touches nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes of the files of all loaded versions.
#[derive(Debug, Default)]
pub(super) struct AssetMemory(Arc<AtomicUsize>);

/// The part of one version; it is free again when this is dropped.
pub(super) struct AssetShare {
    held: Arc<AtomicUsize>,
    bytes: usize,
}

impl AssetMemory {
    /// Takes memory; none when there would be more than `most` bytes.
    pub(super) fn take(&self, bytes: usize, most: usize) -> Option<AssetShare> {
        let more = |held: usize| held.checked_add(bytes).filter(|held| *held <= most);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(AssetShare { held: self.0.clone(), bytes })
    }

    /// The bytes that are taken.
    pub(super) fn held(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for AssetShare {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_free_again() {
        let memory = AssetMemory::default();
        let first = memory.take(60, 100);
        assert!(first.is_some() && memory.take(41, 100).is_none() && memory.take(usize::MAX, 100).is_none());
        let second = memory.take(40, 100);
        assert!(second.is_some() && memory.held() == 100);
        drop(first);
        assert_eq!(memory.held(), 40);
    }
}
