//! The wasmtime configuration: pooling allocator, copy-on-write, epoch interruption; each setting as measured.
//!
//! `docs/figures.md` has the figures. Where the pool can't be allocated (address space, cgroup), the on-demand allocator
//! is used with a warning: slower, otherwise the same.

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::AdmissionOptions;
use manifest::Limits;

/// The options of an engine.
#[derive(Debug, Clone, Copy)]
pub struct EngineOptions {
    /// Instances at once. `vm.max_map_count` allows about 10,000.
    pub instances: u32,
    /// Pool slots that stay warm; at least the number of components that are called often.
    pub warm: u32,
    /// Threads for guests that keep running; see `idle_pool`.
    pub lanes: usize,
    /// Use the pool. Off only to test the fallback.
    pub pooling: bool,
    /// The limits of admission; `running` is `instances`.
    pub admission: AdmissionOptions,
    /// The most that a component's manifest may ask for.
    pub ceilings: Limits,
    /// The most bytes of the files of all loaded versions together, in memory.
    pub asset_bytes: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            instances: 1_000,
            warm: 256,
            lanes: (cores / 2).max(1),
            pooling: true,
            admission: AdmissionOptions::default(),
            ceilings: Limits::MOST,
            asset_bytes: 512 << 20,
        }
    }
}

/// An engine, and whether it is pooled.
pub(super) fn build(options: &EngineOptions) -> wasmtime::Result<(wasmtime::Engine, bool)> {
    if options.pooling {
        let mut config = base();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(options)));
        match wasmtime::Engine::new(&config) {
            Ok(engine) => return Ok((engine, true)),
            Err(error) => tracing::warn!(
                "no instance pool ({error:#}); components run on demand, several times slower. \
                 Raise the limit on address space (ulimit -v) or lower engine.instances"
            ),
        }
    }
    Ok((wasmtime::Engine::new(&base())?, false))
}

fn base() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    // A quarter of a call's cost, and only WASI 0.3 needs it.
    config.concurrency_support(false);
    config.memory_init_cow(true);
    config.async_stack_zeroing(false);
    config.wasm_backtrace_max_frames(std::num::NonZeroUsize::new(16));
    config
}

fn pool(options: &EngineOptions) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(options.instances)
        // A component with imports has three core instances: itself, the shim and the fix-up. Larger ones have more, and a count
        // reserves nothing.
        .total_core_instances(options.instances.saturating_mul(64))
        .total_memories(options.instances)
        .total_tables(options.instances.saturating_mul(2))
        .total_stacks(options.instances)
        .max_memory_size(Limits::MAX_MEMORY_KIB as usize * 1024)
        // What toolchains of JavaScript and Python make. These are limits: nothing is reserved for them.
        .max_core_instances_per_component(64)
        .max_memories_per_component(8)
        .max_tables_per_component(32)
        .max_core_instance_size(1 << 20)
        .max_component_instance_size(1 << 20)
        .table_elements(Limits::MAX_TABLE_ELEMENTS as usize)
        // The pages that a small handler touches stay resident between calls and cause no page faults.
        .linear_memory_keep_resident(128 << 10)
        .table_keep_resident(16 << 10)
        .pagemap_scan(Enabled::Auto)
        .max_unused_warm_slots(options.warm);
    pool
}
