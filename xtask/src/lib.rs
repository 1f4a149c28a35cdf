//! The chores as a library, so that tests can build what they load and bring up what they talk to.
//! `guests` builds components, `stack` has the real servers; the command line around them is `main.rs`.

#![forbid(unsafe_code)]

pub mod guests;
pub mod stack;
