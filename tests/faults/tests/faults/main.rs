//! Faults: hosts and stores that die, freeze or are cut off, and versions that come and go, all of it under load.
//! A module is a kind of fault. Tests that treat servers badly take turns with them, whichever module they are in.
//! They are one executable, so that the turns are those of one process.

#![forbid(unsafe_code)]

mod crashes;
mod deploys;
mod faults;
mod schedules;
mod soak;
