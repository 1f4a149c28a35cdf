//! The writes of a commit, inside its transaction.
//!
//! A change reads the documents that match its filter, is applied here, and sets the whole fields that are different. The server
//! detects a conflict when another commit has changed one of the documents meanwhile. Consecutive writes of one kind are one command.

use std::collections::BTreeMap;

use ::mongodb::{ClientSession, Database};
use bson::raw::{CStr, cstr};
use bson::{Bson, Document, RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf, doc, rawdoc};

use crate::outbox;
use capability::documents::indexed::{arrays, check_arrays};
use capability::documents::order::{Key, key, validate_insert};
use capability::documents::{Change, Changed, Collection, Commit, Effect, Error, Filter, Write};
use capability::events::Event;

use crate::refusal::{Stop, outcome};
use crate::{MAX_TIME, Shared, read};

/// The most bytes of one command, which is a BSON document of limited size; one document of ours always fits.
const MAX_COMMAND: usize = 12 << 20;
/// The most statements of one command.
const MAX_STATEMENTS: usize = 50_000;
/// The most documents, and bytes of them, that one write changes.
const MAX_WRITTEN: usize = 100_000;
const MAX_WRITTEN_BYTES: usize = 64 << 20;

/// How many bytes of documents are changed between two yields to other tasks.
pub(super) const STEP: usize = 256 << 10;

/// A running transaction.
pub(super) struct Transaction<'a> {
    shared: &'a Shared,
    database: &'a Database,
    session: &'a mut ClientSession,
    /// The commit has one write or event only.
    alone: bool,
    /// Statements that were not sent yet. They are sent before any read, and before the commit.
    batch: Batch,
    prefetched: Prefetched,
}

/// The collection of a write.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) name: &'a str,
    pub(super) collection: &'a Collection,
}

impl<'a> Transaction<'a> {
    /// The transaction that the session has started.
    pub(super) fn new(shared: &'a Shared, database: &'a Database, session: &'a mut ClientSession) -> Transaction<'a> {
        let (batch, prefetched) = (Batch::default(), Prefetched::default());
        Transaction { shared, database, session, alone: false, batch, prefetched }
    }

    /// Does the writes in order and appends the events.
    pub(super) async fn run(mut self, commit: &Commit) -> Result<Vec<Effect>, Stop> {
        self.alone = commit.writes.len() + commit.events.len() == 1;
        let mut effects = Vec::with_capacity(commit.writes.len());
        for (number, write) in (0u32..).zip(&commit.writes) {
            let rest = commit.writes.get(number as usize..).unwrap_or_default();
            let done = match self.prefetch(number, rest).await {
                Ok(()) => self.perform(write, number).await,
                Err(stop) => Err(stop),
            };
            match done {
                Ok(effect) => effects.push(effect),
                Err(Stop::Refused(error)) => {
                    // The server may refuse an earlier write, and that error comes first.
                    self.send().await?;
                    return Err(error.into());
                }
                Err(stop) => return Err(stop),
            }
        }
        self.send().await?;
        let events: Vec<&Event> = commit.events.iter().collect();
        outbox::enqueue(self.database, self.session, &self.shared.topics, &events).await?;
        Ok(effects)
    }

    async fn perform(&mut self, write: &Write, number: u32) -> Result<Effect, Stop> {
        match write {
            Write::Insert { collection, document } => {
                self.insert(self.target(collection)?, document, number).await?;
                Ok(Effect { matched: 0, changed: 1, upserted: false })
            }
            Write::Update { collection, filter, change, upsert, many, must_match } => {
                let target = self.target(collection)?;
                let found = self.find(target, filter, *many, number).await?;
                if found.is_empty() && *upsert {
                    let document = change.upserted(filter)?;
                    validate_insert(&document)?;
                    self.insert(target, &document, number).await?;
                    return Ok(Effect { matched: 0, changed: 1, upserted: true });
                }
                matched(*must_match, &found, number)?;
                self.update(target, &found, change, number).await
            }
            Write::Delete { collection, filter, many, must_match } => {
                let target = self.target(collection)?;
                let found = self.find(target, filter, *many, number).await?;
                matched(*must_match, &found, number)?;
                self.delete(target, &found, number).await
            }
        }
    }

    fn target<'b>(&self, name: &'b str) -> Result<Target<'b>, Error>
    where
        'a: 'b,
    {
        Ok(Target { name, collection: self.shared.schema.collection(name)? })
    }

    /// Reads the documents of the changes from this one on together, as long as each is of one document by its `_id` and no
    /// two are of the same.
    async fn prefetch(&mut self, number: u32, rest: &[Write]) -> Result<(), Stop> {
        if number < self.prefetched.end {
            return Ok(());
        }
        let Some(Write::Update { collection, .. }) = rest.first() else { return Ok(()) };
        let mut ids: BTreeMap<Key, Bson> = BTreeMap::new();
        for write in rest {
            let Some((key, id)) = of_one_document(write, collection) else { break };
            if ids.insert(key, id).is_some() {
                break;
            }
        }
        if ids.len() < 2 {
            return Ok(());
        }
        self.send().await?;
        let end = number + u32::try_from(ids.len()).unwrap_or(u32::MAX);
        self.prefetched = Prefetched { end, found: BTreeMap::new() };
        let ids: Vec<Bson> = ids.into_values().collect();
        for document in self.read(collection, doc! { "_id": { "$in": ids } }, true).await? {
            self.prefetched.found.insert(id_key(&document), document);
        }
        Ok(())
    }

    /// The documents that match a write's filter, by `_id`.
    async fn find(
        &mut self,
        target: Target<'_>,
        filter: &Filter,
        many: bool,
        number: u32,
    ) -> Result<Vec<RawDocumentBuf>, Stop> {
        if number < self.prefetched.end {
            let known = id_of(filter).and_then(|(key, _)| self.prefetched.found.get(&key));
            return Ok(known.filter(|document| filter.matches(document)).cloned().into_iter().collect());
        }
        self.send().await?;
        self.read(target.name, read::filter(filter)?, many).await
    }

    async fn read(&mut self, collection: &str, filter: Document, many: bool) -> Result<Vec<RawDocumentBuf>, Stop> {
        read_all(self.database, self.session, collection, filter, many).await
    }

    async fn insert(&mut self, target: Target<'_>, document: &RawDocument, number: u32) -> Result<(), Stop> {
        target.check(document)?;
        self.queue(&INSERT, target, document, number).await
    }

    async fn update(
        &mut self,
        target: Target<'_>,
        found: &[RawDocumentBuf],
        change: &Change,
        number: u32,
    ) -> Result<Effect, Stop> {
        let mut effect = Effect { matched: found.len() as u64, ..Effect::default() };
        let mut bytes = 0;
        for before in found {
            bytes += before.as_bytes().len();
            if bytes > STEP {
                bytes = 0;
                // Other tasks run meanwhile, and a commit that was given up ends here.
                tokio::task::yield_now().await;
            }
            if let Some(Changed { document, update }) = change.changed(before)? {
                target.check_change(before, &document)?;
                effect.changed += 1;
                self.queue(&UPDATE, target, &rawdoc! { "q": by_id(before), "u": update }, number).await?;
            } else if !self.alone {
                // A write, so that another commit that changes it before this one ends is a conflict.
                for statement in touch(before) {
                    self.queue(&UPDATE, target, &statement, number).await?;
                }
            }
        }
        Ok(effect)
    }

    async fn delete(&mut self, target: Target<'_>, found: &[RawDocumentBuf], number: u32) -> Result<Effect, Stop> {
        for document in found {
            self.queue(&DELETE, target, &rawdoc! { "q": by_id(document), "limit": 1 }, number).await?;
        }
        Ok(Effect { matched: found.len() as u64, changed: found.len() as u64, upserted: false })
    }

    /// Adds a statement of the write of this number to the batch.
    async fn queue(
        &mut self,
        kind: &'static Kind,
        target: Target<'_>,
        statement: &RawDocument,
        number: u32,
    ) -> Result<(), Stop> {
        if !self.batch.takes(kind, target.name, statement) {
            self.send().await?;
        }
        self.batch.add(kind, target.name, statement, number);
        Ok(())
    }

    /// Sends the batch.
    async fn send(&mut self) -> Result<(), Stop> {
        let batch = std::mem::take(&mut self.batch);
        batch.send(self.shared, self.database, self.session).await
    }
}

/// The documents of a filter by `_id`, all of them or the first one, as the transaction of a session sees them.
pub(super) async fn read_all(
    database: &Database,
    session: &mut ClientSession,
    collection: &str,
    filter: Document,
    many: bool,
) -> Result<Vec<RawDocumentBuf>, Stop> {
    let collection = read::collection(database, collection);
    let mut query = collection.find(filter).sort(doc! { "_id": 1 }).max_time(MAX_TIME);
    if !many {
        query = query.limit(1);
    }
    let mut cursor = query.session(&mut *session).await?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while cursor.advance(session).await? {
        let document = cursor.current();
        bytes += document.as_bytes().len();
        if found.len() == MAX_WRITTEN || bytes > MAX_WRITTEN_BYTES {
            return Err(Error::Invalid(format!(
                "the write is about more than {MAX_WRITTEN} documents or {MAX_WRITTEN_BYTES} bytes; split it"
            ))
            .into());
        }
        found.push(document.to_owned());
    }
    Ok(found)
}

impl Target<'_> {
    pub(super) fn check(&self, document: &RawDocument) -> Result<(), Error> {
        self.check_arrays(document, &self.arrays(document))
    }

    /// The same of a changed document. The arrays that an old one had before are no fault of the change.
    pub(super) fn check_change(&self, before: &RawDocument, after: &RawDocument) -> Result<(), Error> {
        let arrays = self.arrays(after);
        if arrays == self.arrays(before) { Ok(()) } else { self.check_arrays(after, &arrays) }
    }

    fn arrays(&self, document: &RawDocument) -> Vec<&str> {
        arrays(document, self.collection.indexes.iter().flat_map(|index| &index.fields).map(String::as_str))
    }

    fn check_arrays(&self, document: &RawDocument, arrays: &[&str]) -> Result<(), Error> {
        if arrays.is_empty() {
            return Ok(());
        }
        self.collection.indexes.iter().try_for_each(|index| check_arrays(index, document, arrays))
    }
}

/// Documents that were read in advance for the writes before the one of the number `end`.
#[derive(Default)]
struct Prefetched {
    end: u32,
    found: BTreeMap<Key, RawDocumentBuf>,
}

/// The `_id` of a change of one document in this collection.
fn of_one_document(write: &Write, wanted: &str) -> Option<(Key, Bson)> {
    match write {
        Write::Update { collection, filter, upsert: false, many: false, .. } if collection == wanted => id_of(filter),
        _ => None,
    }
}

/// The `_id` that a filter requires; documents are left out, since their names could begin with `$`.
pub(super) fn id_of(filter: &Filter) -> Option<(Key, Bson)> {
    let (_, id) = filter.equalities().into_iter().find(|(path, _)| *path == "_id")?;
    let raw = RawBson::try_from(id.clone()).ok()?;
    (!matches!(id, Bson::Document(_) | Bson::Array(_))).then(|| (key(raw.as_raw_bson_ref()), id))
}

pub(super) fn id_key(document: &RawDocument) -> Key {
    key(document.get("_id").ok().flatten().unwrap_or(RawBsonRef::Null))
}

fn matched(must: bool, found: &[RawDocumentBuf], number: u32) -> Result<(), Error> {
    if must && found.is_empty() { Err(Error::Unmet(number)) } else { Ok(()) }
}

pub(super) fn by_id(document: &RawDocument) -> RawDocumentBuf {
    let id = document.get("_id").ok().flatten().unwrap_or(RawBsonRef::Null);
    let mut equal = RawDocumentBuf::new();
    equal.append(cstr!("$eq"), id);
    rawdoc! { "_id": equal }
}

/// Two writes that leave a document as it is.
pub(super) fn touch(document: &RawDocument) -> Vec<RawDocumentBuf> {
    vec![
        rawdoc! { "q": by_id(document), "u": { "$set": { "devconnect-held": true } } },
        rawdoc! { "q": by_id(document), "u": { "$unset": { "devconnect-held": true } } },
    ]
}

/// A kind of write command.
#[derive(PartialEq)]
pub(super) struct Kind {
    command: &'static CStr,
    statements: &'static CStr,
}

pub(super) static INSERT: Kind = Kind { command: cstr!("insert"), statements: cstr!("documents") };
pub(super) static UPDATE: Kind = Kind { command: cstr!("update"), statements: cstr!("updates") };
pub(super) static DELETE: Kind = Kind { command: cstr!("delete"), statements: cstr!("deletes") };

/// Statements of one kind for one collection, sent together.
pub(super) struct Batch {
    /// None while it is empty.
    kind: Option<&'static Kind>,
    pub(super) collection: String,
    list: RawArrayBuf,
    /// For each statement whose it is: the number of its write, or of its commit in a group.
    numbers: Vec<u32>,
}

impl Default for Batch {
    fn default() -> Batch {
        Batch { kind: None, collection: String::new(), list: RawArrayBuf::new(), numbers: Vec::new() }
    }
}

impl Batch {
    pub(super) fn takes(&self, kind: &Kind, collection: &str, statement: &RawDocument) -> bool {
        self.kind.is_none_or(|other| other == kind && self.collection == collection)
            && self.numbers.len() < MAX_STATEMENTS
            && (self.numbers.is_empty() || self.list.as_bytes().len() + statement.as_bytes().len() <= MAX_COMMAND)
    }

    pub(super) fn add(&mut self, kind: &'static Kind, collection: &str, statement: &RawDocument, number: u32) {
        if self.kind.is_none() {
            self.kind = Some(kind);
            collection.clone_into(&mut self.collection);
        }
        self.list.push(statement.to_owned());
        self.numbers.push(number);
    }

    /// Sends it in the transaction of a session, unless it is empty. A refusal of a repeated value names the number of its
    /// statement.
    pub(super) async fn send(
        self,
        shared: &Shared,
        database: &Database,
        session: &mut ClientSession,
    ) -> Result<(), Stop> {
        let Some(kind) = self.kind else { return Ok(()) };
        let reply = database.run_raw_command(command(kind, &self.collection, self.list)).session(session).await;
        let position = |statement: u32| self.numbers.get(statement as usize).copied().unwrap_or_default();
        outcome(reply, shared.schema.collection(&self.collection)?, position).map(drop)
    }
}

/// The command of these statements. They are done in their order, and the first refusal ends it.
pub(super) fn command(kind: &Kind, collection: &str, statements: RawArrayBuf) -> RawDocumentBuf {
    let mut command = RawDocumentBuf::new();
    command.append(kind.command, collection);
    command.append(kind.statements, statements);
    command.append(cstr!("ordered"), true);
    command.append(cstr!("maxTimeMS"), i64::try_from(MAX_TIME.as_millis()).unwrap_or(i64::MAX));
    command
}
