//! The allocator of every component. A fresh instance per request makes two things dear: growing the memory and
//! touching more of it than needed. So a request allocates by moving a pointer through the heap that the linker left
//! (see `link.rs`), and only what does not fit there goes to a general allocator that grows by a MiB at a time.

#![allow(unsafe_code, reason = "an allocator is unsafe by its trait; it can harm nothing but its own sandbox")]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::{Cell, UnsafeCell};

use dlmalloc::{Allocator, Dlmalloc};

/// How much the memory grows at once, at least.
const GROWTH: usize = 1024 * 1024;

/// Where the heap's memory comes from.
pub(crate) trait Memory: Send {
    /// The first and the last-but-one address of the heap that is there from the start.
    fn preset(&self) -> (usize, usize);
    /// `bytes` more of memory (a multiple of 64 KiB), zeroed; none when there is no more.
    fn grow(&self, bytes: usize) -> Option<*mut u8>;
}

/// A pointer that moves through the preset heap: back when what was allocated last is freed or resized, otherwise
/// only forward. What does not fit comes from `large`, which reuses what is freed.
///
/// dlmalloc is the allocator that std itself uses on this target. It is here under our own page source because
/// std's would take the preset heap for itself, and grows by 64 KiB.
pub(crate) struct Heap<M> {
    /// The next free address; 0 before the first allocation.
    next: Cell<usize>,
    start: Cell<usize>,
    end: Cell<usize>,
    memory: M,
    large: UnsafeCell<Dlmalloc<Pages<M>>>,
}

// SAFETY: a component has one thread (tests on the machine keep each heap to one, too).
unsafe impl<M> Sync for Heap<M> {}

impl<M: Memory + Copy> Heap<M> {
    pub(crate) const fn new(memory: M) -> Self {
        let mut large = Dlmalloc::new_with_allocator(Pages(memory));
        large.set_granularity(GROWTH);
        Self { next: Cell::new(0), start: Cell::new(0), end: Cell::new(0), memory, large: UnsafeCell::new(large) }
    }

    /// Whether an address is in the preset heap.
    fn holds(&self, at: *mut u8) -> bool {
        (self.start.get()..self.end.get()).contains(&(at as usize))
    }

    /// Whether this is what was allocated last.
    fn is_last(&self, at: *mut u8, size: usize) -> bool {
        at as usize + size == self.next.get()
    }

    /// The first allocation of all, and those that do not fit into the preset heap.
    #[cold]
    #[inline(never)]
    fn elsewhere(&self, layout: Layout) -> *mut u8 {
        if self.next.get() == 0 {
            let (start, end) = self.memory.preset();
            self.start.set(start);
            self.next.set(start);
            self.end.set(end);
            // SAFETY: as for the call that led here; the heap now has its bounds, so this happens once.
            return unsafe { self.alloc(layout) };
        }
        // SAFETY: the size is not zero, which `GlobalAlloc` demands of its caller; one thread, and dlmalloc does not call back.
        unsafe { (*self.large.get()).malloc(layout.size(), layout.align()) }
    }
}

// SAFETY: a block lies either in the preset heap, from `next` on, which moves behind it, or in dlmalloc's memory, and
// which of the two is decided by its address alone. `next` moves back only over the last block.
unsafe impl<M: Memory + Copy> GlobalAlloc for Heap<M> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let next = self.next.get();
        // Neither sum can wrap: a layout's size and alignment are below half of the address space, and so is the heap.
        let at = (next + layout.align() - 1) & !(layout.align() - 1);
        let after = at + layout.size();
        if next == 0 || after > self.end.get() {
            return self.elsewhere(layout);
        }
        self.next.set(after);
        at as *mut u8
    }

    #[inline]
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if self.is_last(at, layout.size()) {
            self.next.set(at as usize);
        } else if !self.holds(at) {
            // SAFETY: it came from dlmalloc with this layout.
            unsafe { (*self.large.get()).free(at, layout.size(), layout.align()) }
        }
    }

    #[inline]
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if self.holds(at) {
            if self.is_last(at, layout.size()) && at as usize + size <= self.end.get() {
                self.next.set(at as usize + size);
                return at;
            }
            if size <= layout.size() {
                return at;
            }
            // SAFETY: the caller promises a valid layout for the new size; the two blocks do not overlap.
            unsafe {
                let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                if !new.is_null() {
                    new.copy_from_nonoverlapping(at, layout.size());
                    self.dealloc(at, layout);
                }
                return new;
            }
        }
        // SAFETY: it came from dlmalloc with this layout.
        unsafe { (*self.large.get()).realloc(at, layout.size(), layout.align(), size) }
    }
}

/// [`Memory`] in the words of dlmalloc. Memory that has been grown is never given back.
struct Pages<M>(M);

// SAFETY: `grow` answers fresh memory each time.
unsafe impl<M: Memory> Allocator for Pages<M> {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        self.0.grow(size).map_or((std::ptr::null_mut(), 0, 0), |at| (at, size, 0))
    }

    fn remap(&self, _at: *mut u8, _old: usize, _new: usize, _can_move: bool) -> *mut u8 {
        std::ptr::null_mut()
    }

    fn free_part(&self, _at: *mut u8, _old: usize, _new: usize) -> bool {
        false
    }

    fn free(&self, _at: *mut u8, _size: usize) -> bool {
        false
    }

    fn can_release_part(&self, _flags: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        64 * 1024
    }
}

#[cfg(target_arch = "wasm32")]
mod component {
    use super::{Heap, Memory};

    #[global_allocator]
    static HEAP: Heap<Linear> = Heap::new(Linear);

    #[derive(Clone, Copy)]
    struct Linear;

    unsafe extern "C" {
        static __heap_base: u8;
        static __heap_end: u8;
    }

    impl Memory for Linear {
        fn preset(&self) -> (usize, usize) {
            (&raw const __heap_base as usize, &raw const __heap_end as usize)
        }

        fn grow(&self, bytes: usize) -> Option<*mut u8> {
            let page = core::arch::wasm32::memory_grow(0, bytes.div_ceil(65_536));
            (page != usize::MAX).then(|| (page * 65_536) as *mut u8)
        }
    }
}

#[cfg(test)]
#[path = "alloc_tests.rs"]
mod tests;
