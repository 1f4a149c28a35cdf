//! Signing up, logging in and logging out, by the built component in the real engine.
//! A module for each of the three routes.
//! They share nothing but the executable.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod login;
mod logout;
mod old;
mod signup;
