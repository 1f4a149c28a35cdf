//! DevConnect's host: it runs WebAssembly components, a fresh instance per request, and owns the resources that they use.
//!
//! Data flows one way: **trigger → registry → engine → component → capability → the trigger's response**. This crate puts
//! the layers together; each layer is a crate of its own and uses only those below it:
//!
//! | crate | what it is for |
//! |---|---|
//! | [`capability`] | what a component may use: traits, grants, operators, the unit of work |
//! | `store-*` | SQLite, MongoDB, Kafka, Redis, SMTP: each behind the traits of `capability` |
//! | [`manifest`] | what authors write: manifest, bundle, `application.toml` |
//! | [`engine`] | wasmtime: compiling, limits, one call, and the WIT glue |
//! | [`registry`] | what is deployed: the route table, versions, canaries, how hosts follow |
//! | [`trigger`] | what calls a component: HTTP, sockets, events, schedules |
//! | [`admin`] | the operator's side: metrics, components, events |

#![forbid(unsafe_code)]

pub mod cli;
pub mod command;
pub mod config;
#[cfg(test)]
mod fuzz;
pub mod harness;
pub mod host;
mod housekeeping;
mod log;
pub mod secrets;
mod serve;
pub mod stores;
mod strength;

pub use host::{Host, HostError, HostOptions, WrapDocuments};
