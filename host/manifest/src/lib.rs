//! The files of authors: a component's manifest, the bundle of both, and `application.toml`.
//!
//! They are parsed and checked here, and immutable afterwards. It may touch the files that it reads the grants of
//! `capability`, and the files of `assets`; it knows no wasmtime and no store.

#![forbid(unsafe_code)]

pub mod application;
mod asset_rules;
mod bundle;
#[cfg(test)]
mod fuzz;
mod grants;
mod imports;
mod limits;
mod manifest;
pub mod openapi;
mod permissions;
mod schedule;
mod section;
mod source_span;
mod trigger;

pub use application::{Application, ApplicationError};
pub use asset_rules::AssetRules;
pub use bundle::{Bundle, BundleError};
pub use grants::Grants;
pub use imports::Imports;
pub use limits::Limits;
pub use manifest::{About, Manifest, ManifestError, SECTION};
pub use openapi::Description;
pub use permissions::Difference;
pub use schedule::{Cron, ScheduleTrigger};
pub use section::assets_of_component;
pub use trigger::{BodyRule, EventTrigger, From, HttpTrigger, Method, PresenceTrigger, SessionRule, SocketTrigger};
