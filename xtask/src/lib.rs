//! The chores as a library, so that tests can build what they load.
//! `guests` builds components; the command line around it is `main.rs`.

pub mod guests;
