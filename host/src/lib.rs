//! DevConnect's host: it runs WebAssembly components, a fresh instance per request, and owns what they reach.
//!
//! Data flows one way: **trigger → registry → engine → component → capability → the trigger's answer**.
//!
//! | room | what it is for |
//! |---|---|
//! | [`trigger`] | what calls a component: HTTP, sockets, events, schedules |
//! | [`registry`] | what is deployed: manifests, the route table |
//! | [`deploy`] | what the cluster runs: versions, one commit a change, every host follows |
//! | [`engine`] | wasmtime: compiling, limits, one call |
//! | [`capability`] | what a component may reach, a room each |
//! | [`admin`] | the operator's side: metrics, components, events |
//! | [`command`] | what the binary asks a running host |
//! | [`application`] | what the components have in common |
//! | [`config`] | what the operator decides |
//! | [`host`] | all of it put together |

mod abort;
pub mod admin;
pub mod application;
pub mod capability;
pub mod command;
pub mod config;
pub mod deploy;
pub mod engine;
pub mod host;
pub mod registry;
pub mod stores;
pub mod trigger;

pub use host::{Host, HostError, HostOptions};
