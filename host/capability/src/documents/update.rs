//! Changes: the updates that can be made to a document.
//!
//! The operators are those of [`Change::parse`] and mean what they mean in MongoDB; every other one, and replacing a whole
//! document, is refused by name. Pure: a document goes in, a document or an error comes out.

mod operators;
mod parse;
mod target;
#[cfg(test)]
mod tests;

use bson::{Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf};

use crate::documents::filter::ElementFilter;
use crate::documents::order::{count_values, storable, validate};
use crate::documents::{Error, Filter};

/// The most paths that one change changes.
const MAX_STEPS: usize = 256;
/// The most paths that one change names, those inside `$pull` included.
const MAX_PATHS: usize = 1_000;
/// What one step takes in memory besides its path and its values, about, in bytes.
const STEP: usize = 256;

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

    /// The changed document, or `None` when it stays as it is.
    pub fn changed(&self, before: &RawDocument) -> Result<Option<RawDocumentBuf>, Error> {
        let mut document = Document::try_from(before)
            .map_err(|error| Error::Unavailable(format!("a stored document is damaged: {error}")))?;
        if !self.run(&mut document, false)? {
            return Ok(None);
        }
        let after = encode(&document)?;
        storable(&after)?;
        Ok(Some(after))
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

fn encode(document: &Document) -> Result<RawDocumentBuf, Error> {
    let raw = RawDocumentBuf::try_from(document).map_err(|error| Error::invalid(error.to_string()))?;
    validate(&raw)?;
    Ok(raw)
}
