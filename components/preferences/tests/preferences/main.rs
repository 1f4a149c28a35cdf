//! Which mails one wants, by the built component in the real engine.
//! A module for choosing, and one for the link that ends them all.
//! They share nothing but the executable.

mod preferences;
mod unsubscribe;
