//! The harness with fixtures: what the host makes of components that misbehave, ask for too much or consume events.
//! A module is a matter. What the product's components do is tested beside each of them.
//! They share nothing but the executable.

#![forbid(unsafe_code)]

mod consuming;
mod fetching;
mod grants;
mod http;
mod limits;
mod retention;
