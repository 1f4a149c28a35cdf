//! What an application says about its collections: their names, their indexes and what is derived in them.
//!
//! Read from `application.toml`; engines make the indexes when they start, and the host fills what is derived. Pure data.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Derived;

/// All collections of the application, by name.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Schema {
    /// By name. A collection that is not here does not exist.
    pub collections: BTreeMap<String, Collection>,
}

/// One collection.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Collection {
    /// Besides the one on `_id` that every collection has.
    pub indexes: Vec<Index>,
    /// Fields that follow from others, by name.
    pub derived: BTreeMap<String, Derived>,
}

/// One index over one or more fields.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Index {
    /// Dotted paths, in order.
    pub fields: Vec<String>,
    /// No two documents may have the same values (a missing field counts as null).
    #[serde(default)]
    pub unique: bool,
    /// Only documents that have all of these fields are in the index.
    #[serde(default)]
    pub where_exists: Vec<String>,
}

impl Index {
    /// The index's name on every engine: its fields joined by `_`, as in `fromUserId_status`.
    pub fn name(&self) -> String {
        self.fields.join("_").replace('.', "_")
    }
}
