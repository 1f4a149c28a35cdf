//! Changes: the updates that can be made to a document.
//!
//! The operators are those of [`Change::parse`] and mean what they mean in MongoDB; every other one, and replacing a whole
//! document, is refused by name. Pure: a document goes in, a document or an error comes out.

mod operators;
mod parse;
mod target;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use bson::{Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf, Timestamp};

use crate::documents::elements::{Element, document_of, elements};
use crate::documents::filter::ElementFilter;
use crate::documents::order::{count_values, validate};
use crate::documents::{Error, Filter, MAX_DEPTH, MAX_DOCUMENT};

/// The most paths that one change changes.
const MAX_STEPS: usize = 256;
/// The most paths that one change names, those inside `$pull` included.
const MAX_PATHS: usize = 1_000;
/// What one step takes in memory besides its path and its values, about, in bytes.
const STEP: usize = 256;
/// So many bytes a change may add to a document of an earlier database that is larger than any of ours.
const MARGIN: usize = 16 << 10;

/// An update of a document.
#[derive(Debug, Clone)]
pub struct Change {
    source: RawDocumentBuf,
    /// In the order of their paths, as MongoDB applies them.
    steps: Vec<Step>,
    paths: Vec<String>,
    /// The number of its values, those inside others included.
    values: usize,
}

/// A stored document after a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// All of it. What the change does not name is there byte for byte.
    pub document: RawDocumentBuf,
    /// The same as an update of MongoDB's: `$set` of the whole fields that are different, `$unset` of those that are gone.
    pub update: RawDocumentBuf,
}

/// One path and its operator.
#[derive(Debug, Clone)]
struct Step {
    path: String,
    parts: Vec<String>,
    operator: Operator,
}

#[derive(Debug, Clone)]
enum Operator {
    Set(Bson),
    SetOnInsert(Bson),
    Unset,
    /// By a number.
    Increase(Bson),
    Min(Bson),
    Max(Bson),
    /// Appends these; then keeps that many from the front, or from the end when negative.
    Push(Vec<Bson>, Option<i64>),
    AddToSet(Vec<Bson>),
    /// Every element that is equal to a value.
    PullEqual(Bson),
    /// Every element that satisfies a condition.
    PullMatching(ElementFilter),
}

impl Change {
    /// Reads a change of the operators `$set $unset $inc $min $max $push` (with `$each` and `$slice`) `$addToSet`
    /// (with `$each`) `$pull $setOnInsert`.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names an operator outside these, two paths that conflict, or a whole document.
    pub fn parse(document: &RawDocument) -> Result<Change, Error> {
        let (steps, paths) = parse::change(document)?;
        let values = count_values(RawBsonRef::Document(document));
        Ok(Change { source: document.to_owned(), steps, paths, values })
    }

    /// [`Change::parse`] of a document in memory.
    ///
    /// # Errors
    /// As [`Change::parse`].
    pub fn from_document(document: &Document) -> Result<Change, Error> {
        let raw = RawDocumentBuf::try_from(document).map_err(|error| Error::invalid(error.to_string()))?;
        Change::parse(&raw)
    }

    /// Every dotted path that it changes or reads.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }

    /// About how many bytes it takes in memory. A parsed value takes many times the bytes of a small one.
    pub fn weight(&self) -> usize {
        let paths: usize = self.paths.iter().map(String::len).sum();
        self.source.as_bytes().len() + self.values * size_of::<Bson>() + self.steps.len() * STEP + 2 * paths
    }

    /// As a BSON document for a store: exactly what was parsed.
    pub fn to_document(&self) -> Document {
        Document::try_from(&*self.source).unwrap_or_default()
    }

    /// Changes a document and returns whether it is different now. `inserting` applies `$setOnInsert` too.
    ///
    /// # Errors
    /// [`Error::Invalid`] when an operator meets a value of the wrong type, a number would overflow, `_id` would
    /// change, or the result is too large or too deep. The document is then partly changed and must not be stored.
    pub fn apply(&self, document: &mut Document, inserting: bool) -> Result<bool, Error> {
        let changed = self.run(document, inserting)?;
        if changed {
            encode(document)?;
        }
        Ok(changed)
    }

    /// The changed document, or `None` when it stays as it is. Only the fields that the change names are read, and only what it makes
    /// of them is checked: an old document may have anything in its other fields.
    ///
    /// # Errors
    /// As [`Change::apply`], and [`Error::Invalid`] for a named field that can't be read.
    pub fn changed(&self, before: &RawDocument) -> Result<Option<Changed>, Error> {
        let stored = elements(before)?;
        let named = self.named(&stored)?;
        let mut after = named.clone();
        if !self.run(&mut after, false)? {
            return Ok(None);
        }
        let mut set = Document::new();
        for (name, value) in &after {
            let old = named.get(name);
            let is_same = old.map_or(Ok(false), |old| operators::is_same(old, value))?;
            if !is_same {
                check(name, old, value)?;
                set.insert(name.clone(), value.clone());
            }
        }
        let unset: Document =
            named.keys().filter(|name| !after.contains_key(name)).map(|name| (name.clone(), "".into())).collect();
        if set.is_empty() && unset.is_empty() {
            return Ok(None);
        }
        let document = replaced(&stored, &set, &unset)?;
        check_size(before, &document)?;
        let mut update = Document::new();
        for (operator, fields) in [("$set", set), ("$unset", unset)] {
            if !fields.is_empty() {
                update.insert(operator, fields);
            }
        }
        let update = RawDocumentBuf::try_from(&update).map_err(|error| Error::invalid(error.to_string()))?;
        Ok(Some(Changed { document, update }))
    }

    /// The stored fields that the change names, whole.
    fn named(&self, stored: &[Element<'_>]) -> Result<Document, Error> {
        let mut named = Document::new();
        for step in &self.steps {
            let Some(name) = step.parts.first() else { continue };
            let Some(element) = stored.iter().find(|element| element.name == name.as_bytes()) else { continue };
            if named.contains_key(name) {
                continue;
            }
            let value = match read(*element) {
                Ok(value) => value,
                // What is put in its place, or taken away, need not be read. No change sets this value.
                Err(_) if step.parts.len() == 1 && matches!(step.operator, Operator::Set(_) | Operator::Unset) => {
                    Bson::Undefined
                }
                Err(error) => {
                    return Err(Error::invalid(format!("`{name}` of a stored document can't be read: {error}")));
                }
            };
            named.insert(name, value);
        }
        Ok(named)
    }

    /// The document that an upsert inserts when nothing matches: the filter's equalities, then the change, then an
    /// ObjectId as `_id` if there is none. `_id` comes first.
    ///
    /// # Errors
    /// As [`Change::apply`]; also when the filter demands two values at one path.
    pub fn upserted(&self, filter: &Filter) -> Result<RawDocumentBuf, Error> {
        let equalities = filter.equalities();
        parse::without_conflict(equalities.iter().map(|(path, _)| *path))?;
        let mut document = Document::new();
        for (path, value) in equalities {
            let parts: Vec<String> = path.split('.').map(str::to_owned).collect();
            Operator::Set(value).apply(&mut document, path, &parts, true)?;
        }
        self.run(&mut document, true)?;
        let id = document.remove("_id").unwrap_or_else(|| Bson::ObjectId(bson::oid::ObjectId::new()));
        let mut whole = Document::new();
        whole.insert("_id", id);
        whole.extend(document);
        encode(&whole)
    }

    fn run(&self, document: &mut Document, inserting: bool) -> Result<bool, Error> {
        let id = document.get("_id").cloned();
        let mut changed = false;
        for step in &self.steps {
            changed |= step.operator.apply(document, &step.path, &step.parts, inserting)?;
        }
        if id.is_some() && document.get("_id") != id.as_ref() {
            return Err(Error::Invalid("`_id` of a document can't change".to_owned()));
        }
        Ok(changed)
    }
}

/// The value of an element.
fn read(element: Element<'_>) -> Result<Bson, Error> {
    let alone = document_of([element.bytes])?;
    let (_, value) = alone
        .iter()
        .next()
        .ok_or_else(|| Error::invalid("it is not there"))?
        .map_err(|error| Error::invalid(error.to_string()))?;
    Bson::try_from(value).map_err(|error| Error::invalid(error.to_string()))
}

/// The stored document with the fields of `set`, in their old places or at the end, and without those of `unset`. Where a name is
/// there twice, the first field changes.
fn replaced(stored: &[Element<'_>], set: &Document, unset: &Document) -> Result<RawDocumentBuf, Error> {
    let new = RawDocumentBuf::try_from(set).map_err(|error| Error::invalid(error.to_string()))?;
    let new = elements(&new)?;
    let mut met = BTreeSet::new();
    let mut parts: Vec<&[u8]> = Vec::with_capacity(stored.len() + new.len());
    for element in stored {
        if !met.insert(element.name) {
            parts.push(element.bytes);
            continue;
        }
        match new.iter().find(|new| new.name == element.name) {
            Some(new) => parts.push(new.bytes),
            None if unset.keys().any(|name| name.as_bytes() == element.name) => {}
            None => parts.push(element.bytes),
        }
    }
    parts.extend(new.iter().filter(|new| !met.contains(new.name)).map(|new| new.bytes));
    document_of(parts)
}

/// Whether a field may become this. One of an old document may be too deep, but not deeper.
fn check(name: &str, old: Option<&Bson>, new: &Bson) -> Result<(), Error> {
    if matches!(new, Bson::Timestamp(Timestamp { time: 0, increment: 0 })) {
        return Err(Error::invalid(format!("`{name}` is an empty timestamp, which MongoDB would replace by its own")));
    }
    let depth = 1 + levels(new);
    if depth > MAX_DEPTH && depth > 1 + old.map_or(0, levels) {
        return Err(Error::invalid(format!("`{name}` makes the document nested more than {MAX_DEPTH} deep")));
    }
    Ok(())
}

/// How many documents and arrays are inside each other in a value, itself included.
fn levels(value: &Bson) -> usize {
    match value {
        Bson::Document(document) => 1 + document.values().map(levels).max().unwrap_or(0),
        Bson::Array(values) => 1 + values.iter().map(levels).max().unwrap_or(0),
        _ => 0,
    }
}

/// A document of an earlier database may be larger than ours may become.
fn check_size(before: &RawDocument, after: &RawDocument) -> Result<(), Error> {
    let (before, after) = (before.as_bytes().len(), after.as_bytes().len());
    let most = if before > MAX_DOCUMENT { before + MARGIN } else { MAX_DOCUMENT };
    if after <= most {
        return Ok(());
    }
    Err(Error::invalid(format!("the document would have {after} bytes; at most {most} are allowed")))
}

fn encode(document: &Document) -> Result<RawDocumentBuf, Error> {
    let raw = RawDocumentBuf::try_from(document).map_err(|error| Error::invalid(error.to_string()))?;
    validate(&raw)?;
    Ok(raw)
}
