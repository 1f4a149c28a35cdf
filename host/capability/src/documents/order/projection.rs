//! Projecting: which fields of a document are returned.
//!
//! Inclusion or exclusion of dotted paths, `_id` apart. Pure functions over raw BSON.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bson::{Document, RawArray, RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf};

use crate::documents::Error;
use crate::documents::elements::{Element, at_most, document_of, elements};

use crate::documents::order::{Number, valid_path, validate};

/// Which fields of a document are returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    /// Keep the named paths, or drop them.
    keep: bool,
    id: bool,
    named: Tree,
    /// The most bytes of a document.
    most: usize,
}

/// The named paths by their parts; a leaf stands for everything below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Tree(BTreeMap<String, Tree>);

impl Projection {
    /// Every field.
    pub fn all() -> Projection {
        Projection { keep: false, id: true, named: Tree::default(), most: usize::MAX }
    }

    /// Reads `{field: 1, …}` or `{field: 0, …}`; `_id` may differ from the rest. An empty one means every field.
    ///
    /// # Errors
    /// [`Error::Invalid`] for operators, a mixture, or a path inside another.
    pub fn parse(document: &RawDocument) -> Result<Projection, Error> {
        validate(document)?;
        let mut projection = Projection::all();
        let (mut mode, mut id) = (None, None);
        for (name, value) in document.iter().flatten() {
            let name = name.as_str();
            valid_path(name)?;
            let keep = match (value, Number::of(value)) {
                (RawBsonRef::Boolean(keep), _) => keep,
                (_, Some(Number::Whole(number))) => number != 0,
                (_, Some(Number::Real(number))) => number != 0.0,
                _ => return Err(Error::invalid(format!("the projection of `{name}` must be 1 or 0"))),
            };
            if name == "_id" {
                id = Some(keep);
                continue;
            }
            if *mode.get_or_insert(keep) != keep {
                return Err(Error::Invalid("a projection either keeps fields or drops them, `_id` apart".to_owned()));
            }
            projection.named.add(name)?;
        }
        projection.keep = mode.or(id).unwrap_or(false);
        projection.id = id.unwrap_or(true);
        Ok(projection)
    }

    /// [`Projection::parse`] of a document in memory.
    ///
    /// # Errors
    /// As [`Projection::parse`].
    pub fn from_document(document: &Document) -> Result<Projection, Error> {
        let raw = RawDocumentBuf::try_from(document).map_err(|error| Error::invalid(error.to_string()))?;
        Projection::parse(&raw)
    }

    /// The same without this field of the document and everything in it.
    pub fn without(mut self, field: &str) -> Projection {
        if field == "_id" {
            self.id = false;
        } else if self.keep {
            self.named.0.remove(field);
        } else {
            self.named.0.insert(field.to_owned(), Tree::default());
        }
        self
    }

    /// The same with at most so many bytes of a document: a larger one comes without its largest fields, and one whose `_id` alone is
    /// larger comes empty. One odd document is no reason to answer none of the others.
    pub fn at_most(mut self, bytes: usize) -> Projection {
        self.most = bytes;
        self
    }

    /// The dotted paths it names, without `_id`.
    pub fn paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.named.paths("", &mut out);
        out
    }

    /// As a BSON document for a store; empty for every field.
    ///
    /// BSON can't express no field at all: it becomes `_id` alone, so [`Projection::apply`] the result in any case.
    pub fn to_document(&self) -> Document {
        let mut out: Document = self.paths().into_iter().map(|path| (path, i32::from(self.keep).into())).collect();
        if self.keep && out.is_empty() {
            out.insert("_id", 1);
        } else if !self.id {
            out.insert("_id", 0);
        }
        out
    }

    /// The kept fields of a document, in their order. Those that are kept whole are not looked into: an old document may have
    /// anything there.
    pub fn apply(&self, document: &RawDocument) -> RawDocumentBuf {
        self.kept(document).unwrap_or_else(|_| RawDocumentBuf::new())
    }

    fn kept(&self, document: &RawDocument) -> Result<RawDocumentBuf, Error> {
        if !self.keep && self.id && self.named.0.is_empty() {
            return at_most(document, self.most);
        }
        let mut parts: Vec<Cow<'_, [u8]>> = Vec::new();
        for element in elements(document)? {
            if element.name == b"_id" && !self.named.0.contains_key("_id") {
                parts.extend(self.id.then_some(Cow::Borrowed(element.bytes)));
                continue;
            }
            // No path names what is not UTF-8.
            match str::from_utf8(element.name).ok().and_then(|name| self.named.0.get(name)) {
                None => parts.extend((!self.keep).then_some(Cow::Borrowed(element.bytes))),
                Some(tree) if tree.0.is_empty() => parts.extend(self.keep.then_some(Cow::Borrowed(element.bytes))),
                Some(tree) => parts.extend(tree.part(element, self.keep)?.map(Cow::Owned)),
            }
        }
        let kept = document_of(parts.iter().map(|part| &**part))?;
        if kept.as_bytes().len() <= self.most { Ok(kept) } else { at_most(&kept, self.most) }
    }
}

impl Tree {
    fn add(&mut self, path: &str) -> Result<(), Error> {
        let mut tree = self;
        let mut parts = path.split('.').peekable();
        while let Some(part) = parts.next() {
            let known = tree.0.contains_key(part);
            tree = tree.0.entry(part.to_owned()).or_default();
            if known && (tree.0.is_empty() || parts.peek().is_none()) {
                return Err(Error::invalid(format!("the projection names `{path}` and a path inside or around it")));
            }
        }
        Ok(())
    }

    fn paths(&self, prefix: &str, out: &mut Vec<String>) {
        for (part, tree) in &self.0 {
            let path = if prefix.is_empty() { part.clone() } else { format!("{prefix}.{part}") };
            if tree.0.is_empty() { out.push(path) } else { tree.paths(&path, out) }
        }
    }

    /// What is kept of a field of which some is named, as an element.
    fn part(&self, element: Element<'_>, keep: bool) -> Result<Option<Vec<u8>>, Error> {
        let alone = document_of([element.bytes])?;
        let mut out = RawDocumentBuf::new();
        for (name, value) in alone.iter().flatten() {
            match self.inside(value, keep) {
                Some(value) => out.append(name, value),
                None => return Ok(None),
            }
        }
        Ok(elements(&out)?.first().map(|element| element.bytes.to_vec()))
    }

    /// What is kept of one field: all of it, a part of it, or nothing.
    fn project(&self, name: &str, value: RawBsonRef<'_>, keep: bool) -> Option<bson::RawBson> {
        match self.0.get(name) {
            None => (!keep).then(|| value.into()),
            Some(tree) if tree.0.is_empty() => keep.then(|| value.into()),
            Some(tree) => tree.inside(value, keep),
        }
    }

    fn inside(&self, value: RawBsonRef<'_>, keep: bool) -> Option<bson::RawBson> {
        match value {
            RawBsonRef::Document(document) => {
                let mut out = RawDocumentBuf::new();
                for (name, value) in document.iter().flatten() {
                    if let Some(value) = self.project(name.as_str(), value, keep) {
                        out.append(name, value);
                    }
                }
                Some(out.into())
            }
            RawBsonRef::Array(array) => Some(self.elements(array, keep).into()),
            // A plain value has nothing at the path: dropping leaves it, keeping has nothing to keep.
            other => (!keep).then(|| other.into()),
        }
    }

    fn elements(&self, array: &RawArray, keep: bool) -> RawArrayBuf {
        let mut out = RawArrayBuf::new();
        for value in array.into_iter().flatten().filter_map(|value| self.inside(value, keep)) {
            out.push(value);
        }
        out
    }
}
