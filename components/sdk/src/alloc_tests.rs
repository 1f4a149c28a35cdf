//! The allocator on a stretch of memory that grows as a component's does: blocks never overlap, keep what was
//! written into them through every resize, and a long life of allocating and freeing does not grow without end.
//! (On the machine, so that a failure has a backtrace; the allocator is the same code.)

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::{Heap, Memory};

const PRESET: usize = 256 * 1024;
const MOST: usize = 64 * 1024 * 1024;

/// A component's memory: the preset heap, then what it grew by. Leaked; each test has one of its own.
#[derive(Clone, Copy)]
struct Stretch {
    base: usize,
    used: &'static AtomicUsize,
}

impl Stretch {
    fn new() -> Self {
        let layout = Layout::from_size_align(MOST, 65_536).unwrap();
        // SAFETY: the layout is not empty.
        let base = unsafe { std::alloc::alloc_zeroed(layout) };
        assert!(!base.is_null());
        Self { base: base as usize, used: Box::leak(Box::new(AtomicUsize::new(PRESET))) }
    }

    fn grown(&self) -> usize {
        self.used.load(Ordering::Relaxed) - PRESET
    }

    fn release(self) {
        // SAFETY: from `new`, with this layout; nobody uses it any more.
        unsafe { std::alloc::dealloc(self.base as *mut u8, Layout::from_size_align_unchecked(MOST, 65_536)) }
    }
}

impl Memory for Stretch {
    fn preset(&self) -> (usize, usize) {
        // Not aligned to anything, as `__heap_base` may be.
        (self.base + 24, self.base + PRESET)
    }

    fn grow(&self, bytes: usize) -> Option<*mut u8> {
        assert_eq!(bytes % super::GROWTH, 0, "grows by whole MiB");
        let at = self.used.fetch_add(bytes, Ordering::Relaxed);
        (at + bytes <= MOST).then(|| (self.base + at) as *mut u8)
    }
}

struct Block {
    at: *mut u8,
    layout: Layout,
    mark: u8,
}

impl Block {
    fn new(heap: &Heap<Stretch>, size: usize, align: usize, mark: u8) -> Self {
        let layout = Layout::from_size_align(size, align).unwrap();
        // SAFETY: not empty; written in full below.
        let at = unsafe { heap.alloc(layout) };
        assert!(!at.is_null() && (at as usize).is_multiple_of(align));
        // SAFETY: the block is that large.
        unsafe { at.write_bytes(mark, size) };
        Self { at, layout, mark }
    }

    fn check(&self, length: usize) {
        // SAFETY: written in full when it was made.
        let bytes = unsafe { std::slice::from_raw_parts(self.at, length) };
        assert!(bytes.iter().all(|byte| *byte == self.mark), "a block of {} bytes was overwritten", self.layout.size());
    }

    fn resize(&mut self, heap: &Heap<Stretch>, size: usize) {
        // SAFETY: the block lives and the size is not zero.
        self.at = unsafe { heap.realloc(self.at, self.layout, size) };
        assert!(!self.at.is_null() && (self.at as usize).is_multiple_of(self.layout.align()));
        self.check(size.min(self.layout.size()));
        self.layout = Layout::from_size_align(size, self.layout.align()).unwrap();
        // SAFETY: the block is now that large.
        unsafe { self.at.write_bytes(self.mark, size) };
    }

    fn free(self, heap: &Heap<Stretch>) {
        self.check(self.layout.size());
        // SAFETY: the block lives and is not used any more.
        unsafe { heap.dealloc(self.at, self.layout) };
    }
}

#[test]
fn a_common_request_never_grows() {
    let stretch = Stretch::new();
    let heap = Heap::new(stretch);
    // A buffer that grows as a `Vec` does stays where it is.
    let mut growing = Block::new(&heap, 8, 1, 1);
    let first = growing.at;
    for power in 4..17 {
        growing.resize(&heap, 1 << power);
        assert_eq!(growing.at, first);
    }
    growing.free(&heap);
    let again = Block::new(&heap, 8, 1, 2);
    assert_eq!(again.at, first, "what was freed last is used next");
    assert_eq!(stretch.grown(), 0);
    stretch.release();
}

#[test]
fn a_long_handler_does_not_leak() {
    let stretch = Stretch::new();
    let heap = Heap::new(stretch);
    let mut blocks: std::collections::VecDeque<Block> = Default::default();
    let (mut total, mut step) = (0_usize, 12_345_u64);
    while total < 1 << 30 {
        step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let size = 1 + (step >> 33) as usize % 20_000;
        blocks.push_back(Block::new(&heap, size, 8, step as u8));
        total += size;
        // First in, first out: the order in which a pointer that moves back can never help.
        if blocks.len() > 50 {
            blocks.pop_front().unwrap().free(&heap);
        }
    }
    assert!(stretch.grown() <= 3 << 20, "grew by {} KiB for at most a MiB in use", stretch.grown() >> 10);
    stretch.release();
}

#[test]
fn no_more_memory_is_null_and_not_a_fault() {
    let stretch = Stretch::new();
    let heap = Heap::new(stretch);
    let layout = Layout::from_size_align(MOST * 2, 8).unwrap();
    // SAFETY: not empty.
    assert!(unsafe { heap.alloc(layout) }.is_null());
    stretch.release();
}

mod fuzz {
    use super::*;

    proptest! {
        #![proptest_config(fuzzing::costly(4))]

        #[test]
        fn blocks_keep_what_was_written(steps in prop::collection::vec((0_u8..4, any::<prop::sample::Index>(), 1_usize..6_000, 0_u32..7), 1..400)) {
            let stretch = Stretch::new();
            let heap = Heap::new(stretch);
            let mut blocks: Vec<Block> = Vec::new();
            for (number, (what, which, size, align)) in steps.into_iter().enumerate() {
                match what {
                    2 if !blocks.is_empty() => blocks.swap_remove(which.index(blocks.len())).free(&heap),
                    3 if !blocks.is_empty() => { let at = which.index(blocks.len()); blocks[at].resize(&heap, size) }
                    _ => blocks.push(Block::new(&heap, size, 1 << align, number as u8)),
                }
            }
            blocks.into_iter().for_each(|block| block.free(&heap));
            stretch.release();
        }
    }
}
