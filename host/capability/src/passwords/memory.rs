//! The memory of hashing: 19 MiB for each hash that runs at once, allocated once and used again.
//!
//! An allocator would give each blocking thread memory of its own for it, and keep that: a few log-ins cost a gigabyte.

use std::sync::{Mutex, MutexGuard, PoisonError};

use argon2::Block;

/// Memory that hashes take turns with. There is as much of it as hashes ran at once.
pub(super) struct Memory {
    kept: Mutex<Vec<Vec<Block>>>,
    /// How many blocks a hash of today takes.
    usual: usize,
}

impl Memory {
    /// For hashes that usually take this number of blocks.
    pub(super) fn new(usual: usize) -> Self {
        Self { kept: Mutex::default(), usual }
    }

    /// Lends `work` so many blocks. Nothing of it is left in them.
    pub(super) fn lend<T>(&self, blocks: usize, work: impl FnOnce(&mut [Block]) -> T) -> T {
        let mut memory = self.lock().pop().unwrap_or_default();
        if memory.len() < blocks {
            memory = vec![Block::new(); blocks.max(self.usual)];
        }
        let result = work(&mut memory);
        // What a hash leaves would be a short way to guess its password.
        memory.fill(Block::new());
        if memory.len() > self.usual {
            // An old hash took more.
            memory.truncate(self.usual);
            memory.shrink_to_fit();
        }
        self.lock().push(memory);
        result
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> Vec<Vec<Block>> {
        std::mem::take(&mut *self.lock())
    }
}
