//! Payments, as members, the payment server and those who would rather not pay know them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod callback;
mod confirm;
mod create;
mod racing;
mod shop;
