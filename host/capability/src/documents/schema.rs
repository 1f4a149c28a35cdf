//! The application's collections: their names, indexes and derived fields.
//!
//! Read from `application.toml`; stores create the indexes when they start, and the host fills the derived fields. Pure
//! data and the rules for it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::documents::order::valid_path;
use crate::documents::{Derived, Error};

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

impl Schema {
    /// Refuses a schema that not every store can have.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the collection or the index.
    pub fn check(&self) -> Result<(), Error> {
        let mut names = BTreeSet::new();
        for (name, collection) in &self.collections {
            if !names.insert(name.to_ascii_lowercase()) {
                return Err(Error::Invalid(format!("the collection `{name}` differs from another only by case")));
            }
            collection.check(name)?;
        }
        Ok(())
    }

    /// The collection of this name.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none.
    pub fn collection(&self, name: &str) -> Result<&Collection, Error> {
        self.collections
            .get(name)
            .ok_or_else(|| Error::invalid(format!("the collection `{name}` is not in the application's schema")))
    }
}

impl Collection {
    fn check(&self, collection: &str) -> Result<(), Error> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if collection.is_empty() || collection.len() > 64 || !collection.bytes().all(plain) {
            return Err(Error::Invalid(format!(
                "the collection name `{collection}` must be 1 to 64 letters, digits, `_` or `-`"
            )));
        }
        let mut names = BTreeSet::new();
        for index in &self.indexes {
            let name = index.name();
            if index.fields.is_empty() || index.fields.iter().any(|field| field == "_id") {
                return Err(Error::Invalid(format!("an index of `{collection}` has no fields, or `_id` among them")));
            }
            index.fields.iter().chain(&index.where_exists).try_for_each(|path| valid_path(path))?;
            if !names.insert(name.to_ascii_lowercase()) {
                return Err(Error::Invalid(format!("`{collection}` has two indexes of the name `{name}`")));
            }
        }
        Ok(())
    }
}

/// Refuses topics that no log can have.
///
/// # Errors
/// [`Error::Invalid`] that names the topic.
pub fn check_topics(topics: &BTreeMap<String, u32>) -> Result<(), Error> {
    match topics.iter().find(|(_, partitions)| **partitions == 0) {
        Some((name, _)) => Err(Error::Invalid(format!("the topic `{name}` has no partition; give it at least one"))),
        None => Ok(()),
    }
}

impl Index {
    /// The index's name in every store: its fields joined by `_`, as in `fromUserId_status`.
    pub fn name(&self) -> String {
        self.fields.join("_").replace('.', "_")
    }
}
