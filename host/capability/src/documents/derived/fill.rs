//! Filling: adds the derived fields to documents of an earlier version.
//!
//! Walks a collection by `_id`, a page at a time, and writes where the field is missing. Every write matches the values
//! that the field follows from, so a document that changes meanwhile is read again and never gets an outdated value.
//! Idempotent: run twice or by two hosts at once, the result is the same.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Document, RawBson, RawBsonRef, RawDocument, RawDocumentBuf, Timestamp, doc};

use crate::clocks::Clock;
use crate::documents::derived::Derived;
use crate::documents::derived::marker::{Marker, Progress};
use crate::documents::order::{Class, class};
use crate::documents::{
    Change, Commit, Documents, Effect, Error, Filter, MAX_DOCUMENT, Projection, Query, Schema, Write, date,
};

/// Documents that one step reads and one commit writes.
const PAGE: u32 = 500;
/// How many are, where those would be too large for an answer.
const SMALL_PAGE: u32 = 15;
/// How often a document that keeps changing is read again.
const ROUNDS: u32 = 10;
/// How often a long filling reports its progress, in the log and in its marker.
const REPORT: Duration = Duration::from_secs(2);
/// How many skipped documents are named.
const EXAMPLES: usize = 10;

/// The result of filling one derived field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// The collection.
    pub collection: String,
    /// The derived field.
    pub field: String,
    /// Documents that were read.
    pub seen: i64,
    /// Documents that got it.
    pub filled: i64,
    /// Documents that stay without it, because a unique index or a limit refused it.
    pub skipped: i64,
}

/// Commits what is filled, and what follows from it.
#[async_trait]
pub trait Commits: Send + Sync {
    /// Commits these writes to a collection. `documents` has for each of them what is known of its document: the `_id`, the field that
    /// it gets and those that the field follows from. The effects are those of the writes, in their order.
    async fn commit(
        &self,
        collection: &str,
        writes: Vec<Write>,
        documents: Vec<Document>,
    ) -> Result<Vec<Effect>, Error>;
}

/// The commits of a store of which nothing is cached.
pub struct Uncached<'a>(pub &'a dyn Documents);

#[async_trait]
impl Commits for Uncached<'_> {
    async fn commit(&self, _: &str, writes: Vec<Write>, _: Vec<Document>) -> Result<Vec<Effect>, Error> {
        self.0.commit(Commit { writes, events: Vec::new() }).await
    }
}

/// Fills every derived field of the schema that was not filled before; with `again`, all of them. Returns those it
/// worked on.
///
/// # Errors
/// [`Error::Unavailable`] when the store does not answer: what was written stays, and the next call continues there.
pub async fn fill(
    store: &dyn Documents,
    commits: &dyn Commits,
    schema: &Schema,
    clock: &dyn Clock,
    again: bool,
) -> Result<Vec<Filled>, Error> {
    let mut all = Vec::new();
    for (name, collection) in &schema.collections {
        for (field, rule) in &collection.derived {
            let marker = Marker::of(store, name, field, rule);
            let mut progress = marker.read().await?;
            if progress.done && !again {
                continue;
            }
            if again {
                marker.reset().await?;
                progress = Progress::default();
            }
            let now = Instant::now();
            let (begun, reported) = (now, now);
            let mut filling =
                Filling { store, commits, clock, collection: name, field, rule, marker, progress, begun, reported };
            filling.run().await?;
            all.push(filling.outcome());
        }
    }
    Ok(all)
}

/// The filling of one field.
struct Filling<'a> {
    store: &'a dyn Documents,
    commits: &'a dyn Commits,
    clock: &'a dyn Clock,
    collection: &'a str,
    field: &'a str,
    rule: &'a Derived,
    marker: Marker<'a>,
    progress: Progress,
    begun: Instant,
    reported: Instant,
}

/// A document that lacks the field, and the field's value.
#[derive(Debug, Clone)]
struct Lacking {
    id: Bson,
    /// The fields that the value follows from, as they were read.
    sources: Document,
    value: String,
}

impl Filling<'_> {
    async fn run(&mut self) -> Result<(), Error> {
        for lowest in lowest_ids() {
            let mut from = match &self.progress.after {
                None => doc! { "$gte": &lowest },
                Some(after) => match kind(after).cmp(&kind(&lowest)) {
                    Ordering::Less => doc! { "$gte": &lowest },
                    Ordering::Equal => doc! { "$gt": after },
                    Ordering::Greater => continue,
                },
            };
            while let Some(last) = self.step(doc! { "_id": from }).await? {
                self.progress.after = Some(last.clone());
                self.report().await?;
                from = doc! { "$gt": last };
            }
        }
        self.progress.done = true;
        self.marker.write(&self.progress, self.now()).await?;
        self.log_outcome();
        Ok(())
    }

    /// One page; returns its last `_id`, none when the page is empty.
    async fn step(&mut self, filter: Document) -> Result<Option<Bson>, Error> {
        let page = self.read(filter).await?;
        let Some(last) = page.last().and_then(|document| value(document, "_id")) else { return Ok(None) };
        let last = comparable(last);
        self.progress.seen += i64::try_from(page.len()).unwrap_or_default();
        let mut lacking: Vec<Lacking> = page.iter().filter_map(|document| self.lacking(document)).collect();
        for round in 0.. {
            let moved = self.write(lacking).await?;
            if moved.is_empty() {
                break;
            }
            if round == ROUNDS {
                moved.iter().for_each(|document| self.skip(&document.id, "it keeps changing"));
                break;
            }
            // Changed or filled by another writer since it was read.
            let ids: Vec<&Bson> = moved.iter().map(|document| &document.id).collect();
            let page = self.read(doc! { "_id": { "$in": ids } }).await?;
            lacking = page.iter().filter_map(|document| self.lacking(document)).collect();
        }
        Ok(Some(last))
    }

    /// Documents by `_id`, with the derived field and its sources.
    async fn read(&self, filter: Document) -> Result<Vec<RawDocumentBuf>, Error> {
        let mut fields = doc! { self.field: 1 };
        fields.extend(self.rule.sources().iter().map(|source| (source.clone(), Bson::Int32(1))));
        // A source that is larger is none, and no reason not to fill the others.
        let projection = Projection::from_document(&fields)?.at_most(MAX_DOCUMENT);
        let query = Query { projection, limit: PAGE, ..Query::all(self.collection, Filter::from_document(&filter)?) };
        match self.store.find(query.clone()).await {
            Err(Error::Invalid(_) | Error::Overdue(_)) => self.store.find(Query { limit: SMALL_PAGE, ..query }).await,
            found => found,
        }
    }

    /// What a document lacks; none when it has the field or lacks a source of it.
    fn lacking(&self, document: &RawDocument) -> Option<Lacking> {
        if !matches!(document.get(self.field).ok()?, None | Some(RawBsonRef::Null)) {
            return None;
        }
        let derived = self.rule.value(document)?;
        let mut sources = Document::new();
        for source in self.rule.sources() {
            sources.insert(source, value(document, source)?);
        }
        Some(Lacking { id: value(document, "_id")?, sources, value: derived })
    }

    /// Writes the field into these documents; returns those that had changed since they were read.
    ///
    /// A document that a commit refuses is skipped: those before it are committed first, so that the first of two that clash
    /// gets the field, and then those after it.
    async fn write(&mut self, lacking: Vec<Lacking>) -> Result<Vec<Lacking>, Error> {
        let (mut moved, mut clashes) = (Vec::new(), Vec::new());
        let mut parts = vec![lacking];
        while let Some(mut part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            match self.commit(&part).await {
                Ok(effects) => {
                    let (done, missed): (Vec<_>, Vec<_>) =
                        part.into_iter().zip(effects).partition(|(_, effect)| effect.matched > 0);
                    self.progress.filled += i64::try_from(done.len()).unwrap_or_default();
                    moved.extend(missed.into_iter().map(|(document, _)| document));
                }
                Err(Error::Duplicate { write, index }) => {
                    let mut rest = part.split_off(part.len().min(write as usize));
                    if !rest.is_empty() {
                        clashes.push((rest.remove(0), index));
                    }
                    parts.extend([rest, part]);
                }
                // One of them is refused, or all take too long; the error does not say which.
                Err(Error::Invalid(_) | Error::Overdue(_)) if part.len() > 1 => {
                    let rest = part.split_off(part.len() / 2);
                    parts.extend([rest, part]);
                }
                Err(Error::Invalid(why)) => part.iter().for_each(|refused| self.skip(&refused.id, &why)),
                Err(error) => return Err(error),
            }
        }
        // After all writes: the holder of the value may have been in the same part.
        for (refused, index) in clashes {
            self.clash(&refused, &index).await?;
        }
        Ok(moved)
    }

    async fn commit(&self, part: &[Lacking]) -> Result<Vec<Effect>, Error> {
        let writes = part.iter().map(|document| self.update(document)).collect::<Result<_, _>>()?;
        let known = part.iter().map(|lacking| {
            let mut document = doc! { "_id": &lacking.id, self.field: &lacking.value };
            document.extend(lacking.sources.clone());
            document
        });
        self.commits.commit(self.collection, writes, known.collect()).await
    }

    fn update(&self, document: &Lacking) -> Result<Write, Error> {
        let mut filter = doc! { "_id": { "$eq": &document.id }, self.field: null };
        filter.extend(document.sources.iter().map(|(name, value)| (name.clone(), Bson::from(doc! { "$eq": value }))));
        Ok(Write::Update {
            collection: self.collection.to_owned(),
            filter: Filter::from_document(&filter)?,
            change: Change::from_document(&doc! { "$set": { self.field: &document.value } })?,
            upsert: false,
            many: false,
            must_match: false,
        })
    }

    /// A unique index refused the field of this document.
    async fn clash(&mut self, refused: &Lacking, index: &str) -> Result<(), Error> {
        let mut why = format!("the index {index} has its value already");
        // Only an index of this field alone finds the holder.
        if index == self.field && self.progress.examples.len() < EXAMPLES {
            let holders = self.read(doc! { self.field: &refused.value }).await?;
            if let Some(id) = holders.first().and_then(|holder| value(holder, "_id")) {
                why = format!("the same value as {}", shown(&id));
            }
        }
        self.skip(&refused.id, &why);
        Ok(())
    }

    fn skip(&mut self, id: &Bson, why: &str) {
        self.progress.skipped += 1;
        if self.progress.examples.len() < EXAMPLES {
            self.progress.examples.push(format!("{}: {why}", shown(id)));
        }
    }

    /// Every [`REPORT`], writes the progress to the marker and the log.
    async fn report(&mut self) -> Result<(), Error> {
        if self.reported.elapsed() < REPORT {
            return Ok(());
        }
        self.reported = Instant::now();
        self.marker.write(&self.progress, self.now()).await?;
        let Progress { seen, filled, skipped, .. } = self.progress;
        tracing::info!(collection = self.collection, field = self.field, seen, filled, skipped, "filling a field");
        Ok(())
    }

    fn log_outcome(&self) {
        let Progress { seen, filled, skipped, ref examples, .. } = self.progress;
        let (collection, field) = (self.collection, self.field);
        if filled > 0 || self.begun.elapsed() >= REPORT {
            tracing::info!(collection, field, seen, filled, "old documents have got a field");
        }
        if skipped > 0 {
            let some = examples.join("; ");
            tracing::warn!(collection, field, skipped, some, "old documents stay without a field, and stay usable");
        }
    }

    fn outcome(&self) -> Filled {
        let Progress { seen, filled, skipped, .. } = self.progress;
        Filled { collection: self.collection.to_owned(), field: self.field.to_owned(), seen, filled, skipped }
    }

    fn now(&self) -> DateTime {
        date(self.clock.now())
    }
}

/// The lowest `_id` of each kind, in order: a comparison never leaves the kind of its bound. Kinds of one value only
/// (null, NaN) are left out.
fn lowest_ids() -> [Bson; 8] {
    [
        Bson::Double(f64::NEG_INFINITY),
        Bson::String(String::new()),
        Bson::Document(Document::new()),
        Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: Vec::new() }),
        Bson::ObjectId(ObjectId::from_bytes([0; 12])),
        Bson::Boolean(false),
        Bson::DateTime(DateTime::MIN),
        Bson::Timestamp(Timestamp { time: 0, increment: 0 }),
    ]
}

/// An `_id` of an old type as one that a filter takes, and that no lesser one of its kind follows.
fn comparable(id: Bson) -> Bson {
    match id {
        Bson::Symbol(text) => Bson::String(text),
        Bson::Decimal128(number) => {
            let nearest: f64 = number.to_string().parse().unwrap_or(f64::INFINITY);
            Bson::Double(nearest.next_up())
        }
        id => id,
    }
}

/// The kind of an `_id`, which comes before its value in the order.
fn kind(id: &Bson) -> Option<Class> {
    RawBson::try_from(id.clone()).ok().map(|id| class(id.as_raw_bson_ref()))
}

fn value(document: &RawDocument, name: &str) -> Option<Bson> {
    Bson::try_from(document.get(name).ok()??).ok()
}

/// An `_id` as text for people.
fn shown(id: &Bson) -> String {
    match id {
        Bson::ObjectId(id) => id.to_hex(),
        Bson::String(text) => text.clone(),
        other => other.to_string(),
    }
}
