//! The build script of every component: `build = "../sdk/link.rs"` in its `Cargo.toml`.
//!
//! A request gets a fresh instance, and what an instance costs is the memory it touches and grows. So the linker
//! is told of a small stack and of a heap that is there from the start: a common request never grows its memory.

#![allow(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]

/// Bytes of stack. Deep recursion traps instead of running into the data (the stack lies below it).
const STACK: u32 = 64 * 1024;
/// Bytes of heap above the component's own data, there without a `memory.grow`. A whole number of 64 KiB pages.
const HEAP: u32 = 256 * 1024;

fn main() {
    println!("cargo::rerun-if-changed=Cargo.toml");
    if std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("wasm32") {
        println!("cargo::rustc-link-arg-cdylib=-zstack-size={STACK}");
        println!("cargo::rustc-link-arg-cdylib=--initial-heap={HEAP}");
    }
}
