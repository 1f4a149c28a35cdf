//! Stores that stop, freeze or are cut off while members are at work.
//!
//! Two hosts run on servers of the test's own. A [`load::Load`] of members reads, edits and writes messages meanwhile, and
//! judges every answer: right, late, refused as it should be, or wrong. Hosts that die are the matter of [`crash`]: their
//! members' [`traffic`] goes on, and an [`audit`] compares documents, events and effects in the end. What can't be set up panics: this is test code.

#![forbid(unsafe_code)]
#![expect(
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that can't be set up should fail loudly, right here"
)]

pub mod audit;
pub mod chart;
pub mod chat;
pub mod crash;
pub mod line;
pub mod load;
pub mod machine;
pub mod network;
pub mod servers;
pub mod tally;
pub mod traffic;
