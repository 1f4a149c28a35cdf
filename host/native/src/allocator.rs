//! The allocator: that of the C library, within bounds that are set before the first thread starts.
//!
//! By itself glibc gives each thread an arena, up to eight per core, and keeps in each what was freed there; a block below a
//! threshold that grows with what is freed never goes back to the system. Measured on two cores, with 120 passwords hashed:
//!
//! | | own profile a second | resident before and after |
//! |---|---|---|
//! | glibc | 31,400 to 34,600 | 65 to 656 MB |
//! | glibc, an arena per core, blocks of 1 MiB and more mapped | 36,400 | 61 to 63 MB |
//! | mimalloc 2 | 36,600 | 79 MB |
//! | jemalloc 5 | 28,800 | 77 to 72 MB |
//!
//! So bounds are enough: they cost no dependency, hold for what is written in C too (SQLite, librdkafka), and leave the least
//! in memory. Other C libraries have no such arenas.

/// Blocks of this size or more are mapped by themselves, and go back to the system when they are freed. Bytes.
#[cfg(target_env = "gnu")]
const MAPPED: i32 = 1 << 20;

/// Sets the bounds. To be called before any thread is started.
pub fn bound() {
    #[cfg(target_env = "gnu")]
    {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let arenas = i32::try_from(cores.max(2)).unwrap_or(i32::MAX);
        for (parameter, value) in [(libc::M_ARENA_MAX, arenas), (libc::M_MMAP_THRESHOLD, MAPPED)] {
            // SAFETY: it takes two numbers and no pointer, and nothing allocates at the same time.
            #[expect(unsafe_code, reason = "a function of the C library")]
            let is_set = unsafe { libc::mallopt(parameter, value) };
            debug_assert_eq!(is_set, 1, "glibc knows both parameters");
        }
    }
}

/// Returns free memory of the C library's allocator to the system. It blocks for milliseconds.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: it takes a number and touches only free memory, under the allocator's own locks.
        #[expect(unsafe_code, reason = "a function of the C library; there is no safe one")]
        unsafe {
            libc::malloc_trim(0);
        }
    }
}
