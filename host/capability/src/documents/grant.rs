//! Which collections a component may touch, and which of their fields it never sees.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::{Access, text};

/// Collections by name, as in `people = { access = "r", except = ["notes"] }`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Grant(BTreeMap<String, CollectionGrant>);

/// What a component may do with one collection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectionGrant {
    /// Read, write, or both.
    pub access: Access,
    /// Fields that this component never sees: projected away, and refused in a filter, sort or change.
    #[serde(default)]
    pub except: BTreeSet<String>,
    /// Fields that the application calls private and that this component sees all the same.
    #[serde(default)]
    pub private: BTreeSet<String>,
}

impl Grant {
    /// Refuses a field that is in both lists, or that is not a whole field.
    pub fn check(&self) -> Result<(), String> {
        for (name, grant) in &self.0 {
            if let Some(field) = grant.except.intersection(&grant.private).next() {
                return Err(format!("grants.documents.{name} has {field:?} in both `except` and `private`"));
            }
            if let Some(field) = grant.except.iter().chain(&grant.private).find(|field| field.contains('.')) {
                return Err(format!("grants.documents.{name}: {field:?} is inside a field; name the whole field"));
            }
        }
        Ok(())
    }

    /// What is granted, by the name of the collection.
    pub fn granted(&self) -> impl Iterator<Item = (&str, &CollectionGrant)> {
        self.0.iter().map(|(name, grant)| (name.as_str(), grant))
    }

    /// The names of the collections.
    pub fn collections(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The names of the collections that may be changed.
    pub fn writable(&self) -> impl Iterator<Item = &str> {
        let writable = self.0.iter().filter(|(_, grant)| grant.access.includes(Access::Write));
        writable.map(|(name, _)| name.as_str())
    }

    /// What may be done with `collection`, given the fields that the application calls private.
    ///
    /// The error is the manifest line that would allow it.
    pub fn view<'a>(
        &'a self,
        collection: &'a str,
        wanted: Access,
        private: &'a BTreeSet<String>,
    ) -> Result<View<'a>, String> {
        match self.0.get(collection) {
            Some(grant) if grant.access.includes(wanted) => Ok(View { collection, grant, private }),
            _ => Err(format!(
                "not granted; in component.toml: [grants.documents] {} = {{ access = \"{}\" }}",
                text::cut(collection, text::MAX_NAME),
                wanted.as_str()
            )),
        }
    }
}

/// One collection as one component sees it.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    collection: &'a str,
    grant: &'a CollectionGrant,
    private: &'a BTreeSet<String>,
}

impl View<'_> {
    /// The top-level fields that this component does not see.
    pub fn hidden(&self) -> impl Iterator<Item = &str> {
        let private = self.private.difference(&self.grant.private);
        private.chain(self.grant.except.difference(self.private)).map(String::as_str)
    }

    /// Refuses a dotted path that leads to or into a hidden field.
    pub fn check_path(&self, path: &str) -> Result<(), String> {
        let field = path.split('.').next().unwrap_or(path);
        if !self.hidden().any(|hidden| hidden == field) {
            return Ok(());
        }
        let (collection, access) = (self.collection, self.grant.access.as_str());
        Err(format!(
            "the field {collection}.{field} is not granted; in component.toml: [grants.documents] {collection} = \
             {{ access = \"{access}\", private = [{field:?}] }}"
        ))
    }

    /// Refuses the first hidden one of several paths.
    pub fn check_paths<'p>(&self, paths: impl IntoIterator<Item = &'p str>) -> Result<(), String> {
        paths.into_iter().try_for_each(|path| self.check_path(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(toml: &str) -> Grant {
        toml::from_str(toml).unwrap()
    }

    fn private() -> BTreeSet<String> {
        BTreeSet::from(["secret".to_owned()])
    }

    #[test]
    fn what_is_not_granted_prints_its_line() {
        let private = private();
        let error = grant("").view("people", Access::Read, &private).unwrap_err();
        assert!(error.contains("[grants.documents] people = { access = \"r\" }"), "{error}");
        assert!(grant("people = { access = \"r\" }").view("people", Access::Write, &private).is_err());
    }

    #[test]
    fn a_private_field_is_hidden_until_it_is_granted() {
        let private = private();
        let without = grant("people = { access = \"r\" }");
        let view = without.view("people", Access::Read, &private).unwrap();
        let error = view.check_path("secret.inner").unwrap_err();
        assert!(error.contains("private = [\"secret\"]"), "{error}");
        assert!(view.check_path("secrets").is_ok());
        let with = grant("people = { access = \"r\", private = [\"secret\"], except = [\"mail\"] }");
        let view = with.view("people", Access::Read, &private).unwrap();
        assert!(view.check_path("secret").is_ok());
        assert!(view.check_path("mail").is_err());
        assert_eq!(view.hidden().collect::<Vec<_>>(), ["mail"]);
    }

    #[test]
    fn contradictions_are_refused() {
        assert!(grant("a = { access = \"r\", except = [\"x\"], private = [\"x\"] }").check().is_err());
        assert!(grant("a = { access = \"r\", except = [\"x.y\"] }").check().is_err());
    }
}
