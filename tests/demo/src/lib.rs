//! People for a host that is shown to somebody: they sign up, fill in their profiles, ask to connect, answer and write
//! to each other, all through the host's public interface, as members do. Nothing is put into a store.
//!
//! A run that was interrupted is completed by the next one: who is there logs in, requests and messages that are there
//! are not sent again. What is done last is the profile of the one who has just joined; by that a finished run is
//! known.

#![forbid(unsafe_code)]

mod api;
mod chance;
pub mod network;
pub mod people;
mod polling;
mod portrait;
mod portraits;
mod progress;
mod sow;
pub mod talk;

pub use portraits::Portraits;
pub use progress::Progress;
pub use sow::{LogIn, Options, Outcome, run};

/// The fewest people of whom a network can be made, and the most that there are.
pub const PEOPLE: std::ops::RangeInclusive<usize> = 10..=200;
