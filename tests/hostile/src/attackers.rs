//! The attackers' threads: a runtime that computes when nobody else wants to.

use std::sync::OnceLock;

use rustix::process::setpriority_process;
use tokio::runtime::{Builder, Runtime};

/// As many threads as attack at once.
const THREADS: usize = 2;
/// The lowest priority (nice(2)).
const LOWEST: i32 = 19;

/// The runtime of attacks. What an attack spawns is spawned here.
///
/// In life an attacker computes on machines of its own. Here it shares the host's, and what it computes would count as the
/// host's slowness. So its threads give way: the host's own threads and those of good clients keep their normal priority.
pub fn attackers() -> &'static Runtime {
    static ATTACKERS: OnceLock<Runtime> = OnceLock::new();
    ATTACKERS.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS).thread_name("attacker").on_thread_start(give_way).enable_all();
        builder.build().expect("a runtime for attacks")
    })
}

/// Has the calling thread compute when nobody else wants to, from here on.
pub(crate) fn give_way() {
    // Linux has a priority for each thread: without a process's id it is the calling thread's.
    if let Err(error) = setpriority_process(None, LOWEST) {
        eprintln!("attacks compete with the host for the machine: {error}");
    }
}
