//! End to end: the built host in processes of its own, over real sockets and, where it matters, on real servers.
//! A module is a matter, and the first part of a test's path: `cargo test --release -p e2e deploy::` runs one of them.
//! They are one executable: each further one would compile the host's generic code and link the host once more.

#![forbid(unsafe_code)]

mod account;
mod browser;
mod canary;
mod clients;
mod consumers;
mod contract;
mod demo;
mod deploy;
mod deploying_again;
mod described;
mod draining;
mod durability;
mod events;
mod existing;
mod files;
mod fuzz;
mod hosts;
mod live;
mod mail;
mod memory;
mod neighbours;
mod old;
mod operating;
mod outages;
mod payments;
mod polling;
mod product;
mod watching;
